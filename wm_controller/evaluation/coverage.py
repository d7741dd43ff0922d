# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""How much of a floor is seen when nobody says where to drive: exploring, straight on, at random.

What counts is what truly came into the camera's view within a few metres, not what is remembered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
import math
from pathlib import Path
from typing import Any

import numpy as np

from wm_controller.evaluation.baselines import Baseline, Random
from wm_controller.evaluation.episodes import LoopSettings, run_episode
from wm_controller.evaluation.explore_report import write_explore_report
from wm_controller.evaluation.metrics import mean_interval, per_100m
from wm_controller.evaluation.policy import Policy
from wm_controller.evaluation.recorder import Keep
from wm_controller.evaluation.records import Episode, Task
from wm_controller.evaluation.runner import make_guard, make_pilot
from wm_controller.evaluation.tasks import ROOMS_PER_SEED, START_CLEARANCE_M
from wm_controller.simulation.paths import DistanceField
from wm_controller.simulation.rooms import make_room, Room
from wm_controller.simulation.simulator import Simulator

WAYS = ('explore', 'straight', 'random')
RANGE_M = 3.5  # the camera counts as seeing the floor no further away
RAYS = 61
LOOK_S = 0.5  # between the looks that count
CELL_M = 0.1


class Bouncing(Baseline):
    """Drives straight on until something is in the way, and turns away by chance."""

    STUCK_S, STUCK_M = 1.0, 0.05

    def __init__(self, seed: int, max_speed: float = 0.5, max_turn: float = 1.5) -> None:
        self._rng = np.random.default_rng(seed)
        super().__init__(max_speed, max_turn)

    def reset(self) -> None:
        """Forget where it was stopped."""
        super().reset()
        self._moved: tuple[float, np.ndarray] | None = None
        self._turn_until, self._turn = -math.inf, 0.0

    def _command(self) -> tuple[float, float]:
        assert self._pose is not None
        if self._stamp < self._turn_until:
            return 0.0, self._turn
        if self._moved is None or np.hypot(*(self._pose - self._moved[1])[:2]) > self.STUCK_M:
            self._moved = (self._stamp, self._pose)
        elif self._stamp - self._moved[0] > self.STUCK_S:
            self._turn = float(self._rng.choice([-1.0, 1.0])) * self._max_turn
            angle = self._rng.uniform(math.pi / 3, math.pi)
            self._turn_until, self._moved = self._stamp + angle / self._max_turn, None
        return self._max_speed, 0.0


class Floor:
    """Cells of a room's floor that a robot could come to, and which of them were seen."""

    def __init__(self, room: Room, start: np.ndarray, hfov: float) -> None:
        low_x, low_y, high_x, high_y = (float(value) for value in room.bounds)
        x, y = np.meshgrid(np.arange(low_x + CELL_M / 2, high_x, CELL_M),
                           np.arange(low_y + CELL_M / 2, high_y, CELL_M))
        self._room, self._low, self._shape = room, np.array([low_x, low_y]), x.shape
        way = DistanceField(room, start[:2]).distance(np.stack([x, y], -1).reshape(-1, 2))
        self._reachable = np.isfinite(way).reshape(x.shape)
        self._seen = np.zeros(x.shape, bool)
        self._bearings = np.linspace(-hfov / 2, hfov / 2, RAYS)

    def look(self, pose: np.ndarray) -> None:
        """Mark what is seen from a true pose (3,)."""
        angles = pose[2] + self._bearings
        clear = np.minimum(self._room.rays(np.asarray(pose[:2]), angles, RANGE_M), RANGE_M)
        along = np.arange(0.0, RANGE_M, CELL_M / 2)
        points = pose[:2] + along[:, None, None] * np.stack([np.cos(angles), np.sin(angles)], -1)
        cells = ((points[along[:, None] <= clear] - self._low) / CELL_M).astype(int)
        inside = (cells >= 0).all(-1) & (cells < np.array(self._shape[::-1])).all(-1)
        self._seen[cells[inside, 1], cells[inside, 0]] = True

    @property
    def area_m2(self) -> float:
        """Reachable floor that was seen, m^2."""
        return float((self._seen & self._reachable).sum()) * CELL_M ** 2

    @property
    def share(self) -> float:
        """Share of the reachable floor that was seen."""
        return float((self._seen & self._reachable).sum() / max(1, self._reachable.sum()))


@dataclass(frozen=True)
class Comparison:
    """What to compare: so many rooms, so many minutes in each."""

    model: Path
    rooms: int = 8
    minutes: float = 2.0
    seed: int = 0
    planner: str = 'flat'
    scan: bool = True
    out: Path | None = None  # folder for a page of the exploring drives
    command: str = ''


def compare(wanted: Comparison, on_done: Callable[[], None]) -> dict[str, Any]:
    """Explore rooms of the evaluation family in every way; area per minute and share seen."""
    rows: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    explored = []
    for index in range(wanted.rooms):
        task = _task(wanted, index)
        for way in WAYS:
            episode, seen = _explored(wanted, task, way)
            rows[way].append(seen)
            if way == 'explore':
                explored.append((episode, seen))
            on_done()
    report = {} if wanted.out is None else {'report': str(write_explore_report(
        wanted.out, explored, wanted.command))}
    return {'rooms': wanted.rooms, 'minutes': wanted.minutes, 'seed': wanted.seed,
            'planner': wanted.planner, 'scan': wanted.scan, **report,
            'rows': {way: _row(found) for way, found in rows.items()}}


def _task(wanted: Comparison, index: int) -> Task:
    seed = ROOMS_PER_SEED * wanted.seed + index
    room = make_room(seed, 'evaluation', people=0)
    start = room.sample_free_pose(np.random.default_rng([wanted.seed, index]), START_CLEARANCE_M)
    x, y, yaw = (float(value) for value in start)
    return Task(index=index, room_seed=seed, family='evaluation', start=(x, y, yaw),
                goal=(x, y, yaw), goal_kind='explore', shortest_m=0.0, hidden=False,
                timeout_s=60.0 * wanted.minutes, seed=seed, people=0)


def _explored(wanted: Comparison, task: Task, way: str) -> tuple[Episode, dict[str, float]]:
    settings = LoopSettings(scan=wanted.scan)
    limits = settings.robot.max_linear, settings.robot.max_angular

    def build(simulator: Simulator, task: Task) -> Policy:
        if way == 'random':
            return Random(task.seed, *limits)
        if way == 'straight':
            return Bouncing(task.seed, *limits)
        return make_pilot(wanted.model, wanted.planner, settings.robot, settings.scan)

    episode = run_episode(task, build, lambda: make_guard(settings), planner=way,
                          settings=settings, keep=Keep(frame_period_s=None))
    return episode, seen_by(episode, settings.camera.hfov)


def seen_by(episode: Episode, hfov: float) -> dict[str, float]:
    """What came into view on a drive: m^2 a minute, share of the floor, bumps, m driven."""
    task, trace = episode.task, episode.trace
    assert trace is not None
    room = make_room(task.room_seed, task.family, people=task.people)
    floor = Floor(room, np.array(task.start), hfov)
    due = 0.0
    for t, pose in zip(trace.t, trace.pose):
        if t >= due:
            floor.look(pose)
            due = t + LOOK_S
    return {'area_m2': floor.area_m2, 'share': floor.share,
            'm2_per_minute': 60.0 * floor.area_m2 / max(episode.duration_s, 1e-9),
            'bumps': float(episode.collisions), 'distance_m': episode.distance_m,
            'duration_s': episode.duration_s}


def _row(found: Sequence[dict[str, float]]) -> dict[str, Any]:
    driven, rng = sum(each['distance_m'] for each in found), np.random.default_rng(0)
    return {
        **{name: mean_interval([each[name] for each in found], rng)
           for name in ('m2_per_minute', 'share')},
        'collisions_per_100m': per_100m(round(sum(each['bumps'] for each in found)), driven),
        'distance_m': round(driven, 1)}
