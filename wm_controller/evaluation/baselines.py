# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Floors and ceilings to judge a planner by: straight at the goal, random, and an oracle."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
import math

import numpy as np

from wm_controller.planning.contract import Goal, Observation, Plan, PoseGoal
from wm_controller.simulation.paths import DistanceField
from wm_controller.simulation.rooms import Room
from wm_controller.simulation.shapes import cylinder

ARRIVED_M = 0.25  # by the policy's own reckoning; success is judged at 0.4 m of the true pose
HORIZON_S = 2.0  # of the path that is shown as imagined
HORIZON_STEPS = 10


class Baseline(ABC):
    """Common part of the baselines: remembers goal and odometry, plans in no time."""

    uses_camera = False

    def __init__(self, max_speed: float = 0.5, max_turn: float = 1.5) -> None:
        self._max_speed, self._max_turn = max_speed, max_turn  # m/s, rad/s
        self.reset()

    def reset(self) -> None:
        """Forget the goal and where the robot is."""
        self._goal: PoseGoal | None = None
        self._pose: np.ndarray | None = None
        self._stamp = 0.0

    def set_goal(self, goal: Goal | None) -> None:
        """Head for a pose; a baseline cannot follow an image and is given the image's pose."""
        if goal is not None and not isinstance(goal, PoseGoal):
            raise TypeError('baselines take the pose of an image goal')
        self._goal = goal

    def observe(self, observation: Observation) -> None:
        """Remember the odometry; the camera is not looked at."""
        self._stamp = observation.stamp
        if observation.pose is not None:
            self._pose = np.asarray(observation.pose, dtype=np.float64)

    def plan(self, now: float, deadline_s: float) -> Plan:
        """Command by the rule of the subclass until the goal is reached."""
        if self._goal is None or self._pose is None:
            return self._plan(0.0, 0.0, 'idle', math.nan)
        left = math.hypot(self._goal.x - self._pose[0], self._goal.y - self._pose[1])
        if self._arrived(left):
            return self._plan(0.0, 0.0, 'reached', left)
        v, w = self._command()
        return self._plan(v, w, 'planning', left)

    def _arrived(self, left_m: float) -> bool:
        return left_m <= ARRIVED_M

    @abstractmethod
    def _command(self) -> tuple[float, float]:
        """Speed (m/s) and turn rate (rad/s): what a baseline is."""

    def _plan(self, v: float, w: float, state: str, left_m: float) -> Plan:
        pose = np.zeros(3) if self._pose is None else self._pose
        return Plan(
            stamp=self._stamp,
            v=v,
            w=w,
            path=_arc(pose, v, w),
            state=state,
            goal_distance=left_m,
        )

    def _turn_and_drive(self, bearing: float) -> tuple[float, float]:
        """Turn towards a bearing (rad) and drive, slower the more it is to one side."""
        w = float(np.clip(2.5 * bearing, -self._max_turn, self._max_turn))
        v = self._max_speed * max(0.0, math.cos(bearing)) ** 3 if abs(bearing) < 1.0 else 0.0
        return v, w


class Straight(Baseline):
    """Turns towards the goal and drives, by odometry; only the guard keeps it off things."""

    def _command(self) -> tuple[float, float]:
        assert self._goal is not None and self._pose is not None
        x, y, yaw = self._pose
        return self._turn_and_drive(_wrap(math.atan2(self._goal.y - y, self._goal.x - x) - yaw))


class Random(Baseline):
    """Drives smoothly at random: what arrives by luck."""

    def __init__(self, seed: int, max_speed: float = 0.5, max_turn: float = 1.5) -> None:
        self._rng = np.random.default_rng(seed)
        self._noise = np.zeros(2)
        super().__init__(max_speed, max_turn)

    def _command(self) -> tuple[float, float]:
        # An Ornstein-Uhlenbeck process with a memory of one second at 10 Hz.
        self._noise = 0.9 * self._noise + math.sqrt(1 - 0.9**2) * self._rng.normal(size=2)
        v = self._max_speed * float(np.clip(0.6 + 0.4 * self._noise[0], -0.3, 1.0))
        return v, self._max_turn * float(np.clip(0.5 * self._noise[1], -1.0, 1.0))


class Oracle(Baseline):
    """
    Follows the shortest path on the true map from the true pose: the ceiling of what can be done.

    Where somebody stands in the way it backs off and goes round them. Poses are in the world:
    `true_pose` returns the robot's, `people` (P,3) x, y and radius of everybody, m.
    """

    LOOKAHEAD_M = 0.35
    RADII_M = (0.30, 0.26, 0.22)  # the widest berth that still finds a path
    BLOCKED_S = 1.0  # without moving: somebody is in the way
    BACK_OFF_S = 0.8
    AROUND_S = 6.0  # for so long the way round is kept to

    def __init__(
        self,
        room: Room,
        goal: tuple[float, float, float],
        true_pose: Callable[[], np.ndarray],
        people: Callable[[], np.ndarray],
        max_speed: float = 0.5,
        max_turn: float = 1.5,
    ) -> None:
        self._room, self._true_pose, self._people = room, true_pose, people
        self._target = np.array(goal[:2])
        self._on_map = self._fields(room)
        super().__init__(max_speed, max_turn)

    def reset(self) -> None:
        """Forget the goal and whoever was in the way."""
        super().reset()
        self._ways = self._on_map
        self._moved: tuple[float, np.ndarray] | None = None
        self._back_until = self._around_until = -math.inf

    def _fields(self, room: Room) -> list[DistanceField]:
        return [DistanceField(room, self._target, radius=radius) for radius in self.RADII_M]

    def _arrived(self, left_m: float) -> bool:
        return bool(np.hypot(*(self._true_pose()[:2] - self._target)) <= ARRIVED_M)

    def _command(self) -> tuple[float, float]:
        pose = self._true_pose()
        self._watch(pose)
        if self._stamp < self._back_until:
            return -0.2, 0.0
        path = self._path(pose[:2])
        if len(path) < 2:
            return 0.0, 0.0
        aim = _along(path, self.LOOKAHEAD_M)
        bearing = _wrap(math.atan2(aim[1] - pose[1], aim[0] - pose[0]) - pose[2])
        v, w = self._turn_and_drive(bearing)
        return min(v, 0.15 + 0.8 * float(np.hypot(*(pose[:2] - self._target)))), w

    def _watch(self, pose: np.ndarray) -> None:
        """Notice that the robot does not get on, and plan round whoever is there."""
        if self._stamp > self._around_until:
            self._ways = self._on_map
        if self._moved is None or np.abs(pose - self._moved[1]).max() > 0.05:
            self._moved = (self._stamp, pose)
        elif self._stamp - self._moved[0] > self.BLOCKED_S:
            there = tuple(cylinder(x, y, 0.9, r + 0.05, 0.9) for x, y, r in self._people())
            blocked = replace(self._room, furniture=self._room.furniture + there)
            self._ways = self._fields(blocked)
            self._moved = (self._stamp, pose)
            self._back_until = self._stamp + self.BACK_OFF_S
            self._around_until = self._stamp + self.AROUND_S

    def _path(self, xy: np.ndarray) -> np.ndarray:
        for field in (*self._ways, *self._on_map):
            path = field.path(xy)
            if len(path) >= 2:
                return path
        return np.zeros((0, 2))


def _along(path: np.ndarray, distance_m: float) -> np.ndarray:
    """Point (2,) at a distance along a polyline (M,2), or its end."""
    steps = np.linalg.norm(np.diff(path, axis=0), axis=1)
    travelled = np.concatenate([[0.0], np.cumsum(steps)])
    return np.array([np.interp(distance_m, travelled, path[:, i]) for i in (0, 1)])


def _arc(pose: np.ndarray, v: float, w: float) -> np.ndarray:
    """Poses (T+1,3) of holding v (m/s) and w (rad/s) for the horizon."""
    t = np.linspace(0.0, HORIZON_S, HORIZON_STEPS + 1)
    yaw = pose[2] + w * t
    middle = pose[2] + 0.5 * w * t
    chord = v * t * np.sinc(0.5 * w * t / np.pi)
    return np.stack([pose[0] + chord * np.cos(middle), pose[1] + chord * np.sin(middle), yaw], 1)


def _wrap(angle: float) -> float:
    return (angle + math.pi) % (2 * math.pi) - math.pi
