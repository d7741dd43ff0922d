# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Whether what is imagined tells candidate actions apart that were never executed.

A clearance head can be right on average over executed actions and still rank the alternatives of
one moment at chance. So: from states of simulated drives in rooms never seen, many candidates
each; the room itself says how near each would have come to anything. Per state, the area under
the curve of telling those that touch from those that do not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import mannwhitneyu, spearmanr

from wm_controller.evaluation.metrics import mean_interval
from wm_controller.planning.candidates import arcs
from wm_controller.planning.config import RobotLimits
from wm_controller.planning.contract import Observation
from wm_controller.planning.estimator import Estimator
from wm_controller.planning.imagination import Imagination
from wm_controller.safety.geometry import compose, integrate
from wm_controller.simulation.driving import Driver
from wm_controller.simulation.rooms import make_room
from wm_controller.simulation.simulator import Simulator
from wm_controller.world_model.bundle import Bundle

STATES_PER_ROOM = 6
WARM_FRAMES = 12
BETWEEN_FRAMES = 10
RANDOM_CANDIDATES = 40
SUBSTEPS = 4
LAG_S, DELAY_S = 0.1, 0.08  # of the simulated base, about

Floats = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Moment:
    """One state's candidates (N): true least clearance (m), whether each touches, and scores."""

    clearance: Floats
    touches: np.ndarray[Any, np.dtype[np.bool_]]
    scores: dict[str, Floats]


def rank_candidates(bundle: Bundle, rooms: int, seed: int, advance: Callable[[], None]
                    ) -> dict[str, Any]:
    """Return the within-state AUC and rank correlation of every score, with 95 % intervals."""
    moments: list[Moment] = []
    for i in range(rooms):
        moments += _moments(bundle, 100_000 * (seed + 50) + i, seed)
        advance()
    mixed = [m for m in moments if 0 < m.touches.sum() < len(m.touches)]
    rng = np.random.default_rng(seed)
    rows = {}
    for name in (mixed[0].scores if mixed else ()):
        auc = np.array([_auc(m.scores[name], m.touches) for m in mixed])
        order = np.array([spearmanr(m.scores[name], m.clearance).statistic for m in mixed])
        rows[name] = {'auc': mean_interval(auc, rng),
                      'rank_correlation': mean_interval(order, rng)}
    return {'rooms': rooms, 'states': len(moments), 'states_with_both': len(mixed),
            'candidates': len(moments[0].touches) if moments else 0, 'seed': seed,
            'model_digest': bundle.digest, 'rows': rows}


def _moments(bundle: Bundle, room_seed: int, seed: int) -> list[Moment]:
    rng = np.random.default_rng([seed, room_seed])
    room = make_room(room_seed, 'evaluation', people=0)
    robot = Simulator(room, seed=room_seed)
    estimator = Estimator(bundle)
    imagination = Imagination.of(bundle, seed=seed)
    driver = Driver(robot, rng, bundle.spec.step_period_s)
    found = []
    for frame in range(WARM_FRAMES + STATES_PER_ROOM * BETWEEN_FRAMES):
        odometry = robot.odometry
        estimator.observe(Observation(robot.time, robot.image(), odometry.pose, odometry.twist))
        v, w = driver.next()
        if frame >= WARM_FRAMES and (frame - WARM_FRAMES) % BETWEEN_FRAMES == 0:
            found.append(_moment(bundle, robot, estimator, imagination, rng))
        estimator.commanded(robot.time, v, w)
        robot.command(v, w)
        robot.step(bundle.spec.step_period_s)
    robot.close()
    return found


def _moment(bundle: Bundle, robot: Simulator, estimator: Estimator, imagination: Imagination,
            rng: np.random.Generator, steps: int = 10) -> Moment:
    low, high, turn = bundle.spec.action_limits
    limits = RobotLimits(low, high, turn)
    actions = np.concatenate([arcs(limits, steps, 0.0), _wandering(limits, steps, rng)])
    estimate = estimator.latest
    assert estimate is not None
    future = imagination(estimate.state, actions, None, imagination.draw(steps))
    paths = _true_paths(robot, actions, bundle.spec.step_period_s)
    cells = robot.room.grid.cells(paths[..., :2].reshape(-1, 2))
    clearance = robot.room.grid.clearance[cells[:, 0], cells[:, 1]].reshape(len(paths), -1).min(1)
    bearings = np.asarray(bundle.spec.clearance_bearings)
    seen = bundle.model.clearance(estimate.state)[0, 1].double().numpy()
    points = seen[:, None] * np.stack([np.cos(bearings), np.sin(bearings)], -1)
    carried = np.hypot(*np.moveaxis(
        future.poses.numpy()[:, 1:, None, :2] - points, -1, 0)).min((1, 2))
    imagined = future.nearest.mean(0).amin(1).numpy()
    return Moment(clearance, clearance < robot.robot.radius, {
        'imagined': imagined,
        'seen now, carried along': carried,
        'the lesser of both': np.minimum(imagined, carried),
        'floor: slower is safer': -np.abs(actions[..., 0]).mean(1),
        'floor: at random': rng.random(len(actions)),
    })


def _wandering(limits: RobotLimits, steps: int, rng: np.random.Generator) -> Floats:
    """Draw smooth action sequences (N, T, 2) that nobody would have executed."""
    ends = rng.uniform([limits.min_v, -limits.max_w], [limits.max_v, limits.max_w],
                       (2, RANDOM_CANDIDATES, 2))
    share = np.linspace(0, 1, steps)[None, :, None]
    return np.asarray((1 - share) * ends[0][:, None] + share * ends[1][:, None])


def _true_paths(robot: Simulator, actions: Floats, period_s: float) -> Floats:
    """Poses (N, T * SUBSTEPS, 3) in the room of a base with delay and lag, as if nothing stood."""
    pose = np.tile(robot.pose, (len(actions), 1))
    twist = np.tile(robot.twist, (len(actions), 1))
    dt, path = period_s / SUBSTEPS, []
    for i in range(actions.shape[1] * SUBSTEPS):
        wanted_at = max(0.0, i * dt - DELAY_S)
        wanted = actions[:, int(wanted_at / period_s)]
        twist = twist + (wanted - twist) * (1 - np.exp(-dt / LAG_S))
        pose = compose(pose, integrate(np.zeros_like(pose), twist[:, 0], twist[:, 1], dt))
        path.append(pose)
    return np.stack(path, 1)


def _auc(scores: Floats, touches: np.ndarray[Any, np.dtype[np.bool_]]) -> float:
    statistic = mannwhitneyu(scores[~touches], scores[touches]).statistic
    return float(statistic / (touches.sum() * (~touches).sum()))
