# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Choose what to drive: rooms, starts and goals from seeds, at a distance, often behind things."""

from __future__ import annotations

from dataclasses import dataclass
import math

import numpy as np

from wm_controller.errors import InputError
from wm_controller.evaluation.records import Task
from wm_controller.simulation.another_day import another_day
from wm_controller.simulation.paths import DistanceField
from wm_controller.simulation.rooms import FAMILIES, make_room, Room

# Shortest-path distance of the goal, m. Without a band: the distances of the project's target.
BANDS = {'near': (2.0, 4.0), 'mid': (4.0, 8.0), 'far': (8.0, 16.0), 'default': (3.0, 8.0)}
IMAGE_BAND = (1.0, 3.0)  # image goals are in sight from the start
DETOUR = 1.1  # a goal is behind something when the way is a tenth longer than the crow flies

START_CLEARANCE_M = 0.30
GOAL_CLEARANCE_M = 0.35
START_SAMPLES = 40
GOAL_TRIES = 12
ROOM_TRIES = 20
ROOMS_PER_SEED = 100_000
IMAGE_BEARING_RAD = math.radians(35.0)
IMAGE_YAW_RAD = math.radians(30.0)


@dataclass(frozen=True)
class Repeat:
    """How a way is driven another time than it was taught, with the map that was saved then.

    `changed`: furniture was moved a little and the light is another; `backwards`: from the end of
    the route to its start; `anywhere`: from somewhere on the way, turned at random.
    """

    changed: bool = False
    backwards: bool = False
    anywhere: bool = False


@dataclass(frozen=True)
class TaskSpec:
    """What kind of drives to make; the band is the shortest-path distance of the goal in m."""

    seed: int = 0
    family: str = 'evaluation'
    goal_kind: str = 'pose'
    band_m: tuple[float, float] = BANDS['default']
    people: int | None = None
    max_speed: float = 0.5  # m/s, for the time-out
    max_turn: float = 1.5  # rad/s
    taught: bool = False  # image goals out of sight, after a teach drive; routes always are
    repeat: Repeat | None = None  # another time than it was taught

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise InputError(f'family {self.family!r} is unknown: use {" or ".join(FAMILIES)}')
        if self.goal_kind not in ('pose', 'image', 'route'):
            raise InputError(f'goal {self.goal_kind!r} is none of pose, image, route')
        if self.taught and self.goal_kind == 'pose':
            raise InputError('a teach drive shows the way to pictures: it goes with image goals, '
                             'and with routes')
        if self.repeat and not self.lesson:
            raise InputError('what is repeated must be taught: goal route, or image with --teach')
        if self.repeat and self.repeat.backwards and self.goal_kind != 'route':
            raise InputError('only a route can be driven backwards: use goal route')
        if not 0.0 < self.band_m[0] < self.band_m[1]:
            raise InputError(f'band {self.band_m} m: the lower end must be positive and lower')

    @property
    def lesson(self) -> bool:
        """Whether somebody drives the way before."""
        return self.taught or self.goal_kind == 'route'

    @property
    def in_sight(self) -> bool:
        """Whether goals are seen from the start: pictures that nobody showed the way to."""
        return self.goal_kind == 'image' and not self.taught


def timeout_s(shortest_m: float, max_speed: float, max_turn: float) -> float:
    """Three times what a drive at full speed needs (with a half turn), and 20 s."""
    return 3.0 * (shortest_m / max_speed + math.pi / max_turn) + 20.0


def make_task(index: int, spec: TaskSpec) -> Task:
    """Make the drive of this index: the same for the same spec, on every machine."""
    for attempt in range(ROOM_TRIES):  # a small room may have no two places so far apart
        room_seed = ROOMS_PER_SEED * spec.seed + index + 10_000 * attempt
        rng = np.random.default_rng([spec.seed, index, attempt])
        room = make_room(room_seed, spec.family, people=spec.people)
        wish_hidden = not spec.in_sight and index % 2 == 0
        best: Task | None = None
        for _ in range(GOAL_TRIES):
            found = _from_goal(room, rng, spec, wish_hidden, index, room_seed)
            if found is not None and (found.hidden or not wish_hidden):
                return found
            best = best or found
        if best is not None:
            return best
    low, high = spec.band_m
    raise InputError(
        f'no start and goal {low:g} to {high:g} m apart in {ROOM_TRIES} rooms of the '
        f'{spec.family} family: choose a nearer --band'
    )


def room_of(task: Task) -> Room:
    """Make the room of a task as it is on the task's day."""
    return another_day(make_room(task.room_seed, task.family, people=task.people), task.day)


def make_tour(
    room: Room, room_seed: int, start: np.ndarray, goals: int, spec: TaskSpec
) -> list[Task]:
    """Make goals to drive to one after the other in one room, each from the one before."""
    rng = np.random.default_rng([spec.seed, room_seed])
    tasks: list[Task] = []
    here = np.asarray(start, dtype=np.float64)
    for index in range(goals):
        task = next_goal(room, rng, spec, here, index, room_seed)
        tasks.append(task)
        here = np.array(task.goal)
    return tasks


def next_goal(
    room: Room,
    rng: np.random.Generator,
    spec: TaskSpec,
    start: np.ndarray,
    index: int,
    room_seed: int,
) -> Task:
    """Choose a goal within the band of one start; the nearest to the band if none is within."""
    field = DistanceField(room, start[:2])
    low, high = spec.band_m
    poses = [room.sample_free_pose(rng, GOAL_CLEARANCE_M) for _ in range(4 * START_SAMPLES)]
    distances = field.distance(np.array(poses)[:, :2])
    reachable = np.flatnonzero(np.isfinite(distances) & (distances > 0.5))
    if not len(reachable):
        raise InputError(f'room {room_seed} of the {spec.family} family: nowhere to drive to')
    hidden = np.array([_hidden(room, start, pose, d) for pose, d in zip(poses, distances)])
    target = rng.uniform(low, high)
    miss = np.maximum(low - distances, 0) + np.maximum(distances - high, 0)
    # In the band before all, then behind something for every other goal, then near the target.
    wrong_side = (hidden != (index % 2 == 0)) & (miss == 0)
    cost = 100.0 * miss + 10.0 * wrong_side + np.abs(distances - target)
    choice = int(reachable[np.argmin(cost[reachable])])
    distance, behind = float(distances[choice]), bool(hidden[choice])
    return _task(index, room_seed, spec, start, poses[choice], distance, behind)


def _from_goal(
    room: Room,
    rng: np.random.Generator,
    spec: TaskSpec,
    wish_hidden: bool,
    index: int,
    room_seed: int,
) -> Task | None:
    """Draw a goal and many starts; keep the start nearest to a distance drawn from the band."""
    low, high = spec.band_m
    goal = np.asarray(room.sample_free_pose(rng, GOAL_CLEARANCE_M), dtype=np.float64)
    starts = [
        np.asarray(room.sample_free_pose(rng, START_CLEARANCE_M), dtype=np.float64)
        for _ in range(START_SAMPLES)
    ]
    target = rng.uniform(low, high)
    starts = [s for s in starts if np.hypot(*(s[:2] - goal[:2])) <= high]
    if not starts:
        return None
    field = DistanceField(room, goal[:2])
    chosen: tuple[tuple[bool, float], np.ndarray, float, bool] | None = None
    for start in starts:
        distance = float(field.distance(start[:2]))
        if not low <= distance <= high:
            continue
        hidden = _hidden(room, start, goal, distance)
        if spec.in_sight and hidden:
            continue
        rank = (wish_hidden and not hidden, abs(distance - target))
        if chosen is None or rank < chosen[0]:
            chosen = (rank, start, distance, hidden)
    if chosen is None:
        return None
    _, start, distance, hidden = chosen
    if spec.in_sight:
        start, goal = _face(rng, start, goal)
    return _task(index, room_seed, spec, start, goal, distance, hidden)


def _face(
    rng: np.random.Generator, start: np.ndarray, goal: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Turn the start so that it sees the goal's place, and the goal roughly the same way."""
    direction = math.atan2(goal[1] - start[1], goal[0] - start[0])
    bearing = rng.uniform(-IMAGE_BEARING_RAD, IMAGE_BEARING_RAD)
    turn = rng.uniform(-IMAGE_YAW_RAD, IMAGE_YAW_RAD)
    return (
        np.array([start[0], start[1], _wrap(direction - bearing)]),
        np.array([goal[0], goal[1], _wrap(direction + turn)]),
    )


def _hidden(room: Room, start: np.ndarray, goal: np.ndarray, shortest_m: float) -> bool:
    dx, dy = goal[0] - start[0], goal[1] - start[1]
    straight = math.hypot(dx, dy)
    if shortest_m > DETOUR * straight:
        return True
    seen = room.rays(np.asarray(start[:2]), np.array([math.atan2(dy, dx)]), straight + 0.1)
    return bool(seen[0] < straight)


def _task(
    index: int,
    room_seed: int,
    spec: TaskSpec,
    start: np.ndarray,
    goal: np.ndarray,
    shortest_m: float,
    hidden: bool,
) -> Task:
    return Task(
        index=index,
        room_seed=room_seed,
        family=spec.family,
        start=(float(start[0]), float(start[1]), float(start[2])),
        goal=(float(goal[0]), float(goal[1]), float(goal[2])),
        goal_kind=spec.goal_kind,
        shortest_m=shortest_m,
        hidden=hidden,
        timeout_s=timeout_s(shortest_m, spec.max_speed, spec.max_turn),
        seed=spec.seed * ROOMS_PER_SEED + index,
        people=spec.people,
    )


def _wrap(angle: float) -> float:
    return (angle + math.pi) % (2 * math.pi) - math.pi
