# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""A teach drive before the drive that counts: somebody who knows the way drives it by hand.

The policy looks on. A route is driven once; to what a picture shows, there and back. What the
camera sees where the way ends is then the goal picture of the drive that follows, so that a goal
can lie out of sight, rooms away. The drive that counts may come another time: the room was
changed, the robot is set down somewhere on the way, and all that is left of the lesson is a file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
import math
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from wm_controller.errors import InputError
from wm_controller.evaluation.baselines import Oracle
from wm_controller.evaluation.policy import Policy
from wm_controller.evaluation.records import Task
from wm_controller.evaluation.tasks import Repeat, room_of, timeout_s
from wm_controller.planning.contract import Observation, PoseGoal
from wm_controller.safety.guard import Guard
from wm_controller.simulation.paths import DistanceField
from wm_controller.simulation.rooms import Room
from wm_controller.simulation.simulator import RobotSpec, Simulator

TRIES = 3  # of the time that a drive may take: people may stand in the way
DAYS = 20  # on one of which furniture leaves both ends of the way free
BY_HAND = (0.1, math.radians(10.0))  # m and rad that the robot is set down beside its place
PLACES = 40  # on the way that are tried, to set it down at
FREE_M = 0.06  # about the robot, where it is set down
WAY_LEFT_M = 1.5  # at least, from anywhere


@dataclass(frozen=True)
class Lesson:
    """The task as it then stands, the picture (H, W, 3) at the end of the way, the way (N, 3)."""

    task: Task
    picture: np.ndarray
    track: np.ndarray
    robot: RobotSpec


class Teacher:
    """Drives a simulated robot by hand, as it were: along the true map, behind the same guard."""

    def __init__(self, simulator: Simulator, policy: Policy, guard: Guard, *, tick_s: float,
                 camera_period_s: float, clock_start_s: float) -> None:
        self._simulator, self._policy, self._guard = simulator, policy, guard
        self._tick_s, self._clock_start_s = tick_s, clock_start_s
        self._every_camera = round(camera_period_s / tick_s)
        self._tell: Callable[[float, float, float], None] | None = getattr(
            policy, 'admitted', None)

    def show(self, task: Task) -> Lesson:
        """Drive to the goal, and back from what a picture shows.

        Where somebody stands in the way for good, the goal is where the drive got to.
        """
        track = self._drive(task.goal, task.timeout_s)
        goal, picture = self._simulator.pose.copy(), self._simulator.image()
        if task.goal_kind == 'image':
            self._drive(task.start, task.timeout_s)
        start = self._simulator.pose.copy() if task.goal_kind == 'image' else track[0]
        robot = self._simulator.robot
        return Lesson(_set(task, self._simulator.room, start, goal, robot), picture, track, robot)

    def _drive(self, goal: tuple[float, float, float], limit_s: float) -> np.ndarray:
        """Drive there; the way (N, 3)."""
        simulator, robot = self._simulator, self._simulator.robot
        driver = Oracle(simulator.room, goal, lambda: simulator.pose, lambda: simulator.people,
                        robot.max_linear, robot.max_angular)
        x, y, _ = simulator.world_to_odom(np.array(goal))
        driver.reset()
        driver.set_goal(PoseGoal(float(x), float(y)))
        until, tick = simulator.time + TRIES * limit_s, 0
        track = []
        while simulator.time < until:
            now = self._clock_start_s + simulator.time
            odometry = simulator.odometry
            self._guard.on_odometry(odometry.pose, tuple(odometry.twist),
                                    self._clock_start_s + odometry.stamp, now, now)
            if tick % self._every_camera == 0:
                scan = simulator.scan()
                self._guard.on_scan(scan.points(), now, now, now, sees_m=scan.range_max)
                seen = Observation(now, simulator.image(), odometry.pose, odometry.twist)
                self._policy.observe(seen)
                driver.observe(seen)
                track.append(simulator.pose)
                plan = driver.plan(now, self._tick_s)
                if plan.state == 'reached':
                    break
                self._guard.on_command('auto', plan.v, plan.w, now, now, now)
            verdict = self._guard.step(now, now)
            simulator.command(verdict.v, verdict.w)
            if self._tell:
                self._tell(now, verdict.v, verdict.w)
            simulator.step(self._tick_s)
            tick += 1
        return np.array(track)


def another_time(lesson: Lesson, repeat: Repeat) -> Task:
    """Make the task of driving what was taught another time: the same for the same lesson.

    The robot is set down by hand, a little beside where the way began. Raises InputError where
    furniture was moved so that it could not be set down.
    """
    rng = np.random.default_rng((lesson.task.seed, 0x7EAC))
    goal = lesson.track[0] if repeat.backwards else np.array(lesson.task.goal)
    for day in range(1, DAYS) if repeat.changed else (0,):
        task = replace(lesson.task, day=day)
        room = room_of(task)
        left = DistanceField(room, goal[:2])
        for _ in range(PLACES):
            start = _set_down(rng, lesson, repeat)
            away = float(left.distance(start[:2]))
            if room.free(np.stack([start, goal])[:, :2], lesson.robot.radius + FREE_M).all() and (
                    math.isfinite(away) and (away > WAY_LEFT_M or not repeat.anywhere)):
                return _set(task, room, start, goal, lesson.robot)
    raise InputError(f'room {task.room_seed} of the {task.family} family: no day on which the '
                     'robot could be set down on the way')


def _set_down(rng: np.random.Generator, lesson: Lesson, repeat: Repeat) -> np.ndarray:
    if repeat.anywhere:
        start = lesson.track[int(rng.integers(len(lesson.track)))].copy()
        start[2] = rng.uniform(-math.pi, math.pi)
    elif repeat.backwards:
        start = lesson.track[-1].copy()
    else:
        start = np.array(lesson.task.start)
    away, bearing = BY_HAND[0] * math.sqrt(rng.random()), rng.uniform(-math.pi, math.pi)
    return start + [away * math.cos(bearing), away * math.sin(bearing),
                    rng.uniform(-BY_HAND[1], BY_HAND[1])]


def hand_over(teacher: Policy, pupil: Policy) -> None:
    """Let a policy go on with the map that another one made, as a user does: by a file."""
    learned, begun = (getattr(each, 'wayfinder', None) for each in (teacher, pupil))
    if learned is None or begun is None:
        return
    with TemporaryDirectory() as folder:
        path = Path(folder) / 'places.safetensors'
        learned.save(path)
        begun.load(path)


def _set(task: Task, room: Room, start: np.ndarray, goal: np.ndarray, robot: RobotSpec) -> Task:
    shortest = float(DistanceField(room, goal[:2]).distance(start[:2]))
    return replace(task, start=_tuple(start), goal=_tuple(goal), shortest_m=shortest,
                   timeout_s=timeout_s(shortest, robot.max_linear, robot.max_angular))


def _tuple(pose: np.ndarray) -> tuple[float, float, float]:
    x, y, yaw = pose.tolist()
    return x, y, yaw
