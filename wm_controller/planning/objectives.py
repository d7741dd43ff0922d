# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The cost of an imagined future: what is wanted is weighed, what is forbidden is removed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wm_controller.memory.free_space import CostToGo, FreeSpace
from wm_controller.planning.config import PilotConfig
from wm_controller.planning.imagination import Future
from wm_controller.safety.geometry import compose, wrap_angle
from wm_controller.safety.sweep import trajectories_clear

Floats = NDArray[np.float64]
NO_WAY = 50.0  # m: counts for a place from which memory knows no way to the goal


@dataclass(frozen=True)
class Situation:
    """Where the robot is and what it wants: pose (3,) and goal (2,) in odom, obstacles (P, 2)."""

    pose: Floats
    goal: Floats
    obstacles: Floats
    way: CostToGo | None
    last_action: Floats


def cost(future: Future, situation: Situation, memory: FreeSpace,
         config: PilotConfig) -> Floats:
    """Return the cost (N,) of imagined futures, infinite where a constraint is broken."""
    poses = compose(situation.pose, future.poses)
    total = preferences(future, poses, situation, memory, config)
    total[~admissible(future, poses, situation, memory, config)] = np.inf
    return total


def admissible(future: Future, poses: Floats, situation: Situation, memory: FreeSpace,
               config: PilotConfig) -> NDArray[np.bool_]:
    """Return which futures (N,) keep the footprint clear and back up only over known ground."""
    clear = trajectories_clear(config.footprint, poses[:, 1:], situation.obstacles,
                               config.margin, start=situation.pose)
    backing = future.actions[..., 0] < -0.02
    if backing.any():
        rear = poses[:, 1:].copy()
        reach = config.footprint.reach
        rear[..., 0] -= reach * np.cos(rear[..., 2])
        rear[..., 1] -= reach * np.sin(rear[..., 2])
        known = memory.known_free(rear[..., :2])
        clear &= ~(backing & ~known).any(-1)
    return np.asarray(clear)


def preferences(future: Future, poses: Floats, situation: Situation, memory: FreeSpace,
                config: PilotConfig) -> Floats:
    """Return the weighed terms (N,), in metres of way, summed over the horizon."""
    w = config.weights
    actions = future.actions
    places = poses[:, 1:, :2]
    if situation.way is not None:
        way = np.minimum(situation.way(places), NO_WAY)
    else:
        way = np.hypot(*np.moveaxis(places - situation.goal, -1, 0))
    # A place within the tolerance is as good as the goal: no dithering around it.
    way = np.maximum(way - 0.5 * config.goal_tolerance, 0.0)
    total = w.way * way.mean(-1) + w.final_way * way[:, -1]
    total += w.heading * _way_lost_turning(poses[:, -1], way[:, -1], situation, config)

    if future.time_to_reach is not None and w.time_to_reach:
        total += w.time_to_reach * config.limits.max_v * future.time_to_reach.mean((0, -1))

    gap = memory.clearance_at(places) - config.footprint.reach
    lack = np.clip(1 - gap / config.comfort, 0.0, 1.5)
    total += w.near * (lack ** 2).mean(-1) * 0.3
    speed = np.maximum(actions[..., 0], 0.0) / config.limits.max_v
    total += w.fast_near * (lack * speed).mean(-1) * 0.3

    # What the model imagines counts less the further ahead it is.
    trust = 1.0 / (1.0 + 0.15 * future.clearance_steps)
    imagined_gap = future.nearest() - config.footprint.reach
    imagined_lack = np.clip(1 - imagined_gap / config.comfort, 0.0, 1.5)
    total += w.imagined_near * (imagined_lack ** 2 * trust).mean((0, -1))
    # Where the ensemble differs more than it usually does, the model was never taught.
    total += w.disagreement * np.maximum(future.disagreement - 1.0, 0.0)

    total += w.reverse * np.maximum(-actions[..., 0], 0.0).mean(-1) / config.limits.max_v
    total += w.turn * np.abs(actions[..., 1]).mean(-1) / config.limits.max_w
    scale = np.array([config.limits.max_v, config.limits.max_w])
    before = np.concatenate([np.broadcast_to(situation.last_action, (len(actions), 1, 2)),
                             actions[:, :-1]], 1)
    total += w.change * (np.abs(actions - before) / scale).sum(-1).mean(-1)
    return np.asarray(total)


def _way_lost_turning(poses: Floats, way: Floats, situation: Situation, config: PilotConfig
                      ) -> Floats:
    """The way (N,) m that could be driven in the time of turning where the way leads on.

    A horizon of two seconds sees no use in turning round, and backs all the way to the goal.
    """
    if situation.way is not None:
        wanted = situation.way.heading(poses[:, :2])
    else:
        x, y = (situation.goal - poses[:, :2]).T
        wanted = np.arctan2(y, x)
    turn = np.abs(wrap_angle(np.nan_to_num(wanted - poses[:, 2], nan=0.0)))
    apart = np.clip(way / 0.5, 0.0, 1.0)  # at the goal no heading is asked for
    return np.asarray(apart * turn * config.limits.max_v / config.limits.max_w)
