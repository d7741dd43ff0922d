# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The cost of an imagined future: what is wanted is weighed, what is forbidden is removed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
import torch
from torch import Tensor

from wm_controller.memory.free_space import CostToGo, FreeSpace
from wm_controller.memory.movers import Forecast
from wm_controller.planning.config import PilotConfig
from wm_controller.planning.grids import look_up
from wm_controller.planning.imagination import Future
from wm_controller.safety.sweep import trajectories_clear
from wm_controller.world_model.poses import placed

Floats = NDArray[np.float64]
SLOPE_M = 0.05  # half the distance over which slopes of what memory knows are taken
NO_WAY = 50.0  # m: counts for a place from which memory knows no way to the goal


@dataclass(frozen=True)
class Subgoal:
    """Where the upper level wants to be when it is `due` (ROS s).

    An abstract state (1, U), and a pose (3,) in odom.
    """

    abstract: Tensor
    pose: Floats
    due: float


@dataclass(frozen=True)
class Situation:
    """Where the robot is and what it wants: pose (3,) and goal (2,) in odom, obstacles (P, 2).

    `subgoal`, where the upper level has set one, with the step of the future (1..T) it is due at.
    `movers`: where what moves will be at each step of the future; None where nothing does.
    """

    pose: Floats
    goal: Floats
    obstacles: Floats
    way: CostToGo | None
    last_action: Floats
    subgoal: Subgoal | None = None
    due_step: int = 0
    movers: Forecast | None = None


def cost(future: Future, situation: Situation, memory: FreeSpace, config: PilotConfig,
         ranked: int | None = None) -> Floats:
    """Return the cost (N,) of imagined futures, infinite where a constraint is broken.

    With `ranked`, only so many of the least are whole, and no other is less than they are: the
    ensemble, whose doubts only add to a cost, is asked about futures that can be among them.
    """
    total = _without_doubt(future, situation, memory, config).numpy()
    total[~admissible(future, situation, memory, config)] = np.inf
    order = np.argsort(total)[:np.isfinite(total).sum()]
    first, rest = order[:ranked], order[ranked:] if ranked else order[:0]
    _add_doubt(total, future, first, config)
    _add_doubt(total, future, rest[total[rest] < total[first].max(initial=-np.inf)], config)
    return total


def _add_doubt(total: Floats, future: Future, which: NDArray[np.intp], config: PilotConfig
               ) -> None:
    total[which] += _doubt(future, torch.from_numpy(which), config).numpy()


def admissible(future: Future, situation: Situation, memory: FreeSpace,
               config: PilotConfig) -> NDArray[np.bool_]:
    """Return which futures (N,) keep the footprint clear and back up only over known ground."""
    poses = placed(torch.from_numpy(situation.pose), future.poses).numpy()
    clear = trajectories_clear(config.footprint, poses[:, 1:], situation.obstacles,
                               config.margin, start=situation.pose)
    if situation.movers is not None:
        clear &= _out_of_the_way(poses, situation.movers, config)
    backing = future.actions.numpy()[..., 0] < -0.02
    if backing.any():
        rear = poses[:, 1:].copy()
        reach = config.footprint.reach
        rear[..., 0] -= reach * np.cos(rear[..., 2])
        rear[..., 1] -= reach * np.sin(rear[..., 2])
        known = memory.known_free(rear[..., :2])
        clear &= ~(backing & ~known).any(-1)
    return np.asarray(clear)


def _out_of_the_way(poses: Floats, movers: Forecast, config: PilotConfig) -> NDArray[np.bool_]:
    """Which trajectories (N, T + 1, 3) in odom keep off what moves, step by step, (N,).

    Who is within the margin already need only not be approached.
    """
    keep_off = config.footprint.reach + movers.body + config.margin
    now = np.hypot(*np.moveaxis(poses[:, :1, None, :2] - movers.places[:, 0], -1, 0))
    off = np.hypot(*np.moveaxis(poses[:, 1:, None, :2] - movers.places.swapaxes(0, 1), -1, 0))
    close = (off < np.minimum(keep_off, now)) & movers.sure.T  # (N, T, M)
    return np.asarray(~close.any((1, 2)))


def preferences(future: Future, situation: Situation, memory: FreeSpace,
                config: PilotConfig) -> Tensor:
    """Return the weighed terms (N,), in metres of way, summed over the horizon."""
    return _without_doubt(future, situation, memory, config) + _doubt(
        future, torch.arange(len(future.actions)), config)


def _doubt(future: Future, which: Tensor, config: PilotConfig) -> Tensor:
    """Where the ensemble differs more than it usually does, the model was never taught."""
    if not config.weights.disagreement or not len(which):
        return torch.zeros(len(which), dtype=torch.float64)
    return config.weights.disagreement * torch.relu(future.disagreement(which) - 1.0)


def _without_doubt(future: Future, situation: Situation, memory: FreeSpace,
                   config: PilotConfig) -> Tensor:
    w = config.weights
    actions = future.actions
    poses = placed(torch.from_numpy(situation.pose), future.poses)
    places = poses[:, 1:, :2]
    total = way_cost(poses[:, 1:], situation, config)
    if situation.subgoal is not None:
        total = (1 - config.hierarchy.trust) * total + config.hierarchy.trust * _subgoal_missed(
            future, poses, situation, config)

    for weight, time_s in ((w.time_to_reach, future.time_to_reach),
                           (w.time_to_picture, future.time_to_picture)):
        if time_s is not None and weight:
            total = total + weight * config.limits.max_v * time_s.mean((0, -1))

    lack = lack_of_room(look_up(memory.clearance_at, places, SLOPE_M), config)
    total = total + w.near * (lack ** 2).mean(-1) * 0.3
    speed = torch.relu(actions[..., 0]) / config.limits.max_v
    total = total + w.fast_near * (lack * speed).mean(-1) * 0.3

    if situation.movers is not None and w.moving:
        off = _off_movers(places, situation.movers)
        lack = lack_of_room(off, config, config.comfort_moving)
        total = total + w.moving * (lack ** 2).mean(-1)

    # What the model imagines counts less the further ahead it is.
    trust = 1.0 / (1.0 + 0.15 * future.steps)
    imagined_lack = lack_of_room(future.nearest, config)
    total = total + w.imagined_near * (imagined_lack ** 2 * trust).mean((0, -1))

    total = total + w.reverse * torch.relu(-actions[..., 0]).mean(-1) / config.limits.max_v
    total = total + w.turn * actions[..., 1].abs().mean(-1) / config.limits.max_w
    scale = torch.tensor([config.limits.max_v, config.limits.max_w])
    first = torch.from_numpy(situation.last_action).expand(len(actions), 1, 2)
    before = torch.cat([first, actions[:, :-1]], 1)
    return total + w.change * ((actions - before).abs() / scale).sum(-1).mean(-1)


def way_cost(poses: Tensor, situation: Situation, config: PilotConfig) -> Tensor:
    """The weighed way (N,) m to the goal from poses (N, T, 3) in odom: mean, last, turning."""
    w = config.weights
    # A place within the tolerance is as good as the goal: no dithering around it.
    way = torch.relu(_way_left(poses[..., :2], situation) - 0.5 * config.goal_tolerance)
    total = w.way * way.mean(-1) + w.final_way * way[:, -1]
    return total + w.heading * _lost_turning(poses[:, -1], way[:, -1], situation, config)


def _off_movers(places: Tensor, movers: Forecast) -> Tensor:
    """Distance (N, T) m from places (N, T, 2) to the nearest that may be there then.

    To its edge, and nearer by the standard deviation of where it is, up to its own radius.
    """
    centres = torch.from_numpy(movers.places).swapaxes(0, 1)
    reach = torch.from_numpy(movers.body + np.minimum(movers.sigma, movers.body).T)
    nearest: Tensor = ((places[:, :, None] - centres).norm(dim=-1) - reach).amin(-1)
    return nearest


def lack_of_room(distance: Tensor, config: PilotConfig, comfort: float | None = None) -> Tensor:
    """How much (...,) of the comfortable gap is missing at a distance (...,) m to something."""
    gap = distance - config.footprint.reach
    return (1 - gap / (comfort or config.comfort)).clamp(0.0, 1.5)


def _subgoal_missed(future: Future, poses: Tensor, situation: Situation, config: PilotConfig
                    ) -> Tensor:
    """How far (N,) the future is from the subgoal when that is due, in metres of way."""
    subgoal, step = situation.subgoal, situation.due_step
    assert subgoal is not None
    target = torch.from_numpy(subgoal.pose)
    away = (poses[:, step, :2] - target[:2]).norm(dim=-1)
    turned = 1 - torch.cos(poses[:, step, 2] - target[2])
    turning = config.limits.max_v / config.limits.max_w  # m that are driven while a radian is
    missed: Tensor = 2 * away + turning * turned
    if future.abstract_off is not None:
        missed = missed + config.hierarchy.likeness * future.abstract_off
    return missed


def _way_left(places: Tensor, situation: Situation) -> Tensor:
    """The way (...,) m from places (..., 2) to the goal."""
    known = situation.way
    if known is None:
        away: Tensor = (places - torch.from_numpy(situation.goal)).norm(dim=-1)
        return away
    return look_up(lambda points: np.minimum(known(points), NO_WAY), places, SLOPE_M)


def _lost_turning(poses: Tensor, way: Tensor, situation: Situation, config: PilotConfig
                      ) -> Tensor:
    """The way (N,) m that could be driven in the time of turning where the way leads on.

    A horizon of two seconds sees no use in turning round, and backs all the way to the goal.
    """
    def along(points: Floats) -> Floats:
        """Unit vectors (N, 2) in which the way leads on; zero where none is known."""
        if situation.way is not None:
            wanted = situation.way.heading(points)
        else:
            x, y = (situation.goal - points).T
            wanted = np.arctan2(y, x)
        return np.asarray(np.nan_to_num(np.stack([np.cos(wanted), np.sin(wanted)], -1)))

    x, y = look_up(along, poses[:, :2], SLOPE_M).unbind(-1)
    cos, sin = torch.cos(poses[:, 2]), torch.sin(poses[:, 2])
    ahead, aside = cos * x + sin * y, cos * y - sin * x
    turn = torch.atan2(aside.abs(), ahead + 1e-12)  # without a way, none is lost
    apart = (way / 0.5).clamp(0.0, 1.0)  # at the goal no heading is asked for
    return apart * turn * config.limits.max_v / config.limits.max_w
