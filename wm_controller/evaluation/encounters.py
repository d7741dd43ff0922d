# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Meetings with somebody who walks, planted on the way of a drive, the same for every planner.

The walker starts out when the robot is near enough that both would be at the meeting place at
once: whether the robot is early or late, they meet.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from wm_controller.errors import InputError
from wm_controller.evaluation.metrics import path_length
from wm_controller.evaluation.records import Task
from wm_controller.evaluation.tasks import make_task, TaskSpec
from wm_controller.simulation.appearance import draw_person_colours
from wm_controller.simulation.description import HEEDLESS, Person, Room
from wm_controller.simulation.paths import DistanceField
from wm_controller.simulation.rooms import make_room

KINDS = ('crossing', 'oncoming', 'ahead')
SPEEDS = {'crossing': (0.3, 0.5, 0.8), 'oncoming': (0.4, 0.7), 'ahead': (0.15, 0.25)}  # m/s
TOWARDS_RAD = 0.9  # that who crosses at most comes towards the robot, rather than from its side
WALKER_RADIUS_M = 0.2
WALKER_ROOM_M = 0.27  # from the middle of a walker to what stands
GIVES_WAY_AT_M = 0.3
ROBOT_M_S = 0.42  # what the robot is expected to drive at
ASIDE_M = 0.8  # from the way: who stands there is in nobody's way
STEP_M = 0.1
FROM_START_M, FROM_GOAL_M = 1.6, 0.8  # no meeting nearer than that
TRIES = 60


@dataclass(frozen=True)
class Encounter:
    """A drive on whose way somebody walks; `alone` is the room without them.

    `meeting` (x, y) m: where both would be at once. `heedless`: the walker does not give way.
    """

    kind: str
    heedless: bool
    speed: float
    meeting: tuple[float, float]
    task: Task
    room: Room
    alone: Room


def make_encounter(index: int, seed: int = 0, family: str = 'evaluation') -> Encounter:
    """Make the encounter of an index: kinds take turns, and every other round is heedless.

    Raises InputError where no room of many has a place for it.
    """
    kind = KINDS[index % len(KINDS)]
    round_ = index // len(KINDS)
    heedless = round_ % 2 == 1
    speed = SPEEDS[kind][(round_ // 2) % len(SPEEDS[kind])]
    spec = TaskSpec(seed=seed, family=family, band_m=(4.0, 6.0), people=0)
    for attempt in range(TRIES):
        rng = np.random.default_rng([seed, index, attempt, 7])
        task = replace(make_task(index + 100 * attempt, spec), index=index)
        room = make_room(task.room_seed, family, people=0)
        walk = _walk(kind, speed, task, room, rng)
        if walk is None:
            continue
        points, cue = walk
        person = Person(
            waypoints=tuple((float(x), float(y)) for x, y in points), speed=speed, pause_s=0.0,
            gap=HEEDLESS if heedless else GIVES_WAY_AT_M, radius=WALKER_RADIUS_M, height=1.7,
            colours=draw_person_colours(rng), cue=cue)
        return Encounter(kind, heedless, speed, cue[:2], task, replace(room, people=(person,)),
                         room)
    raise InputError(f'no place for encounter {index} ({kind}) in {TRIES} rooms of the {family} '
                     'family: choose another --seed')


def _walk(kind: str, speed: float, task: Task, room: Room, rng: np.random.Generator
          ) -> tuple[np.ndarray, tuple[float, float, float]] | None:
    """Waypoints (M, 2) and the cue of a walker; None where the way has no place for them."""
    way = _resampled(DistanceField(room, np.array(task.goal[:2]), 0.25).path(
        np.array(task.start[:2])))
    last = len(way) - 1 - round(FROM_GOAL_M / STEP_M)
    first = round(FROM_START_M / STEP_M)
    if last - first < 5:
        return None
    if kind == 'ahead':
        return _slower(way, last, room, rng)
    for at in (int(i) for i in rng.permutation(np.arange(first, last + 1))):
        found = (_across if kind == 'crossing' else _against)(way, at, room, rng)
        if found is not None:
            points, until = found
            x, y = (float(value) for value in way[at])
            within = min(ROBOT_M_S * until / speed, float(np.hypot(*(way[0] - way[at]))))
            return points, (x, y, max(within, 0.5))
    return None


def _across(way: np.ndarray, at: int, room: Room, rng: np.random.Generator
            ) -> tuple[np.ndarray, float] | None:
    """Straight across the way at a point; and the m walked until there."""
    along = way[min(at + 3, len(way) - 1)] - way[at - 3]
    heading = np.arctan2(along[1], along[0]) + rng.choice([-1.0, 1.0]) * (
        np.pi / 2 + rng.uniform(0.0, TOWARDS_RAD))
    ahead = np.array([np.cos(heading), np.sin(heading)])
    reach = []
    for sense, wanted in ((-1.0, 2.2), (1.0, 1.6)):
        marks = np.arange(0.0, wanted + 1e-9, STEP_M)
        free = room.free(way[at] + sense * marks[:, None] * ahead, WALKER_ROOM_M)
        reach.append(float(marks[-1] if free.all() else marks[max(0, int(np.argmin(free)) - 1)]))
    ends = way[at] + np.array([[-reach[0]], [reach[1]]]) * ahead
    if reach[0] < 1.2 or _off(ends, way).min() < ASIDE_M:
        return None
    return ends, reach[0]


def _against(way: np.ndarray, at: int, room: Room, rng: np.random.Generator
             ) -> tuple[np.ndarray, float] | None:
    """Towards the robot along its own way; and the m walked until they meet."""
    far, near = min(at + 20, len(way) - 5), max(at - 25, 0)
    if far - at < 10 or not room.free(way[near:far], WALKER_ROOM_M - 0.03).all():
        return None
    begin, end = (_aside(way, i, room, rng) for i in (far, near))
    if begin is None or end is None:
        return None
    points = np.concatenate([begin[::-1], way[near:far + 1][::-1], end])
    return points, path_length(begin) + (far - at) * STEP_M


def _slower(way: np.ndarray, last: int, room: Room, rng: np.random.Generator
            ) -> tuple[np.ndarray, tuple[float, float, float]] | None:
    """Ahead of the robot, the same way, from the beginning; then out of it."""
    first = round(1.0 / STEP_M)
    end = _aside(way, last, room, rng)
    if end is None or not room.free(way[first:last], WALKER_ROOM_M - 0.03).all():
        return None
    x, y = (float(value) for value in way[first])
    return np.concatenate([way[first:last + 1], end]), (x, y, 0.9)


def _aside(way: np.ndarray, at: int, room: Room, rng: np.random.Generator) -> np.ndarray | None:
    """The shortest of some paths (M, 2) from a point of the way to where nobody is hindered."""
    field = DistanceField(room, way[at], WALKER_ROOM_M)
    poses = np.array([room.sample_free_pose(rng, WALKER_ROOM_M)[:2] for _ in range(30)])
    lengths = np.where(_off(poses, way) >= ASIDE_M, field.distance(poses), np.inf)
    best = int(np.argmin(lengths))
    if not lengths[best] < 2.5:
        return None
    return field.path(poses[best])[::-1]


def _off(points: np.ndarray, way: np.ndarray) -> np.ndarray:
    """Distance (N,) m of points (N, 2) from a way (M, 2)."""
    return np.hypot(*np.moveaxis(points[:, None] - way[None], -1, 0)).min(1)


def _resampled(points: np.ndarray) -> np.ndarray:
    """Points (M, 2) every STEP_M along a polyline (K, 2)."""
    if len(points) < 2:
        return np.zeros((0, 2))
    marks = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    at = np.arange(0.0, marks[-1], STEP_M)
    return np.stack([np.interp(at, marks, column) for column in points.T], -1)
