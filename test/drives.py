# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Invented rooms and drives for the tests of metrics, reports and videos: no physics."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from wm_controller.evaluation.floor import Floor
from wm_controller.evaluation.metrics import path_efficiency, path_length
from wm_controller.evaluation.records import Episode, PlanTrace, Task, Trace


class BoxRoom:
    """A walled room of 9 x 7 m with one inner wall and some boxes (centre, half sizes)."""

    bounds = (0.0, 0.0, 9.0, 7.0)
    furniture: tuple = ()
    boxes = (
        (4.5, 0.05, 4.5, 0.05), (4.5, 6.95, 4.5, 0.05), (0.05, 3.5, 0.05, 3.5),
        (8.95, 3.5, 0.05, 3.5), (4.5, 2.3, 0.06, 2.3), (2.0, 5.0, 0.5, 0.3),
        (6.8, 2.2, 0.35, 0.6), (3.0, 1.2, 0.3, 0.3),
    )  # fmt: skip

    def distance(self, points: np.ndarray) -> np.ndarray:
        """Signed distance (N,) m to the nearest box."""
        distances = []
        for x, y, half_x, half_y in self.boxes:
            q = np.abs(points - [x, y]) - [half_x, half_y]
            outside = np.linalg.norm(np.maximum(q, 0), axis=1)
            distances.append(outside + np.minimum(q.max(axis=1), 0))
        return np.min(distances, axis=0)


def floor() -> Floor:
    """Return the room as a raster."""
    return Floor.of(BoxRoom())  # type: ignore[arg-type]


def camera_frame(at: float) -> bytes:
    """A JPEG of something that changes with time."""
    image = np.zeros((240, 320, 3), np.uint8)
    image[:120] = (205, 200, 190)
    image[120:] = (110, 130, 150)
    column = int(40 + 220 * (at % 10) / 10)
    cv2.rectangle(image, (column, 70), (column + 50, 190), (60, 90, 160), -1)
    return bytes(cv2.imencode('.jpg', image)[1])


def make_episode(
    index: int = 0,
    *,
    arrive: float = 1.0,
    collisions: int = 0,
    planner: str = 'flat',
    with_trace: bool = True,
    frame_rate_hz: float = 10.0,
    seed: int = 0,
) -> Episode:
    """One drive around the inner wall, of which the share `arrive` is driven."""
    rng = np.random.default_rng([seed, index])
    corners = np.array([[1.5, 2.0], [2.6, 3.6], [4.0, 5.4], [5.3, 5.2], [6.4, 4.0], [7.8, 4.2]])
    corners = corners + rng.normal(0, 0.12, corners.shape)
    dense = np.linspace(0, 5, 400)
    path = np.stack([np.interp(dense, range(6), corners[:, i]) for i in (0, 1)], axis=1)
    path = np.stack(
        [np.convolve(np.pad(c, 20, 'edge'), np.ones(41) / 41, 'valid') for c in path.T], axis=1
    )
    shortest = path_length(path) * 0.95
    driven = path[: max(2, int(len(path) * arrive))]
    duration = path_length(driven) / 0.35
    t = np.arange(0, duration, 0.1)
    at = np.linspace(0, len(driven) - 1, len(t))
    xy = np.stack([np.interp(at, range(len(driven)), driven[:, i]) for i in (0, 1)], axis=1)
    heading = np.unwrap(np.arctan2(*np.gradient(xy, axis=0).T[::-1]))
    pose = np.column_stack([xy, heading])
    goal = (float(path[-1, 0]), float(path[-1, 1]), 0.0)
    left = float(np.hypot(*(xy[-1] - goal[:2])))
    wanted = np.column_stack([np.full(len(t), 0.45), np.gradient(heading, t)])
    limit = np.clip(0.8 + 0.4 * np.sin(t / 2), 0, 1)
    reasons = tuple(
        (() if x > 0.97 else ('scan',)) + (('acceleration',) if now < 1 else ())
        for x, now in zip(limit, t)
    )
    bumps = np.array([[t[-1] * 0.6, *xy[int(len(xy) * 0.6)]]] * collisions).reshape(-1, 3)
    task = Task(
        index=index,
        room_seed=7,
        family='evaluation',
        start=(*(float(v) for v in path[0]), float(heading[0])),
        goal=goal,
        goal_kind='pose',
        shortest_m=shortest,
        hidden=index % 2 == 0,
        timeout_s=60.0,
        seed=seed,
    )
    reached = left <= 0.4
    success = reached and not collisions
    trace = Trace(
        t=t,
        pose=pose,
        wanted=wanted,
        admitted=wanted * limit[:, None],
        limit=limit,
        reasons=reasons,
        plans=tuple(_plan(now, p, rng, fan=i % 4 == 0) for i, (now, p) in enumerate(zip(t, pose))),
        frames=tuple((float(x), camera_frame(x)) for x in t[:: round(10 / frame_rate_hz)]),
        bumps=bumps,
    )
    length = path_length(xy)
    return Episode(
        task=task,
        planner=planner,
        success=success,
        reached=reached,
        claimed=reached,
        timed_out=not reached,
        collisions=collisions,
        final_distance_m=left,
        distance_m=length,
        duration_s=float(t[-1]),
        spl=path_efficiency(success, shortest, length),
        commands=len(t),
        plans=len(t),
        deadline_misses=index % 3,
        interventions=index % 2,
        guard_share={'scan': float(np.mean(limit < 0.97)), 'acceleration': 1.0 / float(t[-1])},
        latencies_s=tuple(rng.gamma(30, 0.0025, len(t))),
        plan_s=tuple(rng.gamma(25, 0.0025, len(t))),
        cpu_s=duration,
        end_state='reached' if reached else 'planning',
        trace=trace if with_trace else None,
    )


def _plan(now: float, pose: np.ndarray, rng: np.random.Generator, fan: bool) -> PlanTrace:
    def arc(turn: float) -> np.ndarray:
        headings = pose[2] + turn * np.arange(10) * 0.2
        steps = 0.08 * np.stack([np.cos(headings), np.sin(headings)], axis=1)
        return np.concatenate([[pose[:2]], pose[:2] + np.cumsum(steps, axis=0)])

    arcs = np.stack([arc(turn) for turn in rng.normal(0, 0.8, 16)]) if fan else None
    return PlanTrace(t=float(now), path=arc(float(rng.normal(0, 0.15))), fan=arcs)


def small_bundle(path: Path) -> Path:
    """Write a bundle with random weights whose gates say that it passed."""
    import torch

    from wm_controller.data.schema import CLEARANCE_BEARINGS
    from wm_controller.world_model.bundle import save_bundle
    from wm_controller.world_model.model import WorldModel
    from wm_controller.world_model.spec import Architecture, ModelSpec

    torch.manual_seed(0)
    bearings = tuple(CLEARANCE_BEARINGS.tolist())
    spec = ModelSpec(
        clearance_bearings=bearings,
        architecture=Architecture(
            encoder_channels=(8, 16, 16), latent=24, state=32, predictor_hidden=32,
            head_hidden=16, goal_channels=(8, 8, 8), abstract_state=16, macro_action=4
        ),
    )
    save_bundle(
        path,
        WorldModel(spec),
        gates={'passed': True},
        training={},
        energy_quantiles=tuple(np.linspace(0, 1e6, 101)),  # nothing surprises it
    )
    return path
