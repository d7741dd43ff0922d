# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""A rival that learned nothing: a map from the laser, the way over it, and a dynamic window.

What a classical stack does: obstacles of the scans in a rolling grid, the shortest way through
it, and a local planner that tries commands (Fox, Burgard and Thrun, The dynamic window approach,
1997). Laser and odometry are all it has.
"""

from __future__ import annotations

from collections.abc import Callable
import math

import numpy as np

from wm_controller.evaluation.baselines import Baseline
from wm_controller.memory.free_space import CostToGo, FreeSpace
from wm_controller.planning.contract import Observation
from wm_controller.safety.geometry import compose

HORIZON_S, STEPS = 1.8, 9
SPEEDS, TURNS = 9, 21  # commands tried: speeds by turn rates
MARGIN_M = 0.08
CLEAR_M = 0.6  # more clearance than this is no better
PROGRESS, HEADING, CLEARANCE, SPEED = 1.0, 0.5, 0.4, 0.1  # weights of what is wanted
ACCELERATION, TURN_ACCELERATION = 1.0, 3.0  # m/s^2, rad/s^2
BRAKING = 1.5  # m/s^2
WINDOW_S = 0.3  # within which a command is reached
ESCAPE_S = 1.5  # of turning on the spot where nothing is admissible, or nothing moves
STUCK_S, STUCK_M = 3.0, 0.1
MAPPED_EVERY_S = 0.3

EDGES = np.linspace(-np.pi, np.pi, 121)
BEARINGS = (EDGES[1:] + EDGES[:-1]) / 2


class DynamicWindow(Baseline):
    """Tries the commands that can be reached soon, keeps those that can stop in time.

    Of them it takes the one that gets on along the way, has room, and is fast.
    """

    def __init__(self, scan: Callable[[], np.ndarray], radius: float, max_speed: float = 0.5,
                 max_turn: float = 1.5) -> None:
        """`scan` returns what the laser sees (N, 2), m in the base frame; `radius` in m."""
        self._scan, self._radius = scan, radius
        self._map = FreeSpace(radius)
        super().__init__(max_speed, max_turn)

    def reset(self) -> None:
        """Forget the goal and the motion."""
        super().reset()
        self._twist = np.zeros(2)
        self._escape_until, self._escape_turn = -math.inf, 1.0
        self._map.clear()
        self._way: CostToGo | None = None
        self._mapped_at = -math.inf
        self._moved: tuple[float, np.ndarray] | None = None

    def observe(self, observation: Observation) -> None:
        """Remember odometry."""
        super().observe(observation)
        if observation.twist is not None:
            self._twist = np.asarray(observation.twist, float)

    def _command(self) -> tuple[float, float]:
        assert self._goal is not None and self._pose is not None
        points = self._scan()
        way = self._mapped(points)
        if self._stamp < self._escape_until:
            return 0.0, 0.6 * self._max_turn * self._escape_turn
        tried = self._window(float(np.hypot(self._goal.x - self._pose[0],
                                            self._goal.y - self._pose[1])))
        value = self._value(tried, way, points)
        best = int(np.argmax(value))
        if not np.isfinite(value[best]) or self._stuck():
            self._escape_until, self._moved = self._stamp + ESCAPE_S, None
            lead = float(way.heading(self._pose[None, :2])[0]) - self._pose[2]
            self._escape_turn = 1.0 if math.sin(lead) >= 0 else -1.0  # NaN: to the right
            return 0.0, 0.6 * self._max_turn * self._escape_turn
        v, w = tried[best].tolist()
        return v, w

    def _mapped(self, points: np.ndarray) -> CostToGo:
        """Take in a scan; the way to the goal over all that was seen."""
        assert self._goal is not None and self._pose is not None
        if self._way is None or self._stamp - self._mapped_at > MAPPED_EVERY_S:
            self._mapped_at = self._stamp
            ranges = np.full(len(BEARINGS), self._map.parameters.view_range + 1.0)
            nearest = np.digitize(np.arctan2(points[:, 1], points[:, 0]), EDGES) - 1
            np.minimum.at(ranges, np.clip(nearest, 0, len(BEARINGS) - 1), np.hypot(*points.T))
            self._map.see(self._stamp, self._pose, BEARINGS, np.tile(ranges, (3, 1)))
            self._map.occupy_track(self._stamp, self._pose)
            self._way = self._map.cost_to_go(np.array([self._goal.x, self._goal.y]))
        return self._way

    def _stuck(self) -> bool:
        assert self._pose is not None
        if self._moved is None or np.abs(self._pose - self._moved[1]).max() > STUCK_M:
            self._moved = (self._stamp, self._pose)
        return self._stamp - self._moved[0] > STUCK_S

    def _window(self, left_m: float) -> np.ndarray:
        """Commands (K, 2) that can be reached within the window, slow enough for the goal."""
        v, w = self._twist
        fastest = min(self._max_speed, 0.1 + left_m)
        high = float(np.clip(v + ACCELERATION * WINDOW_S, 0.0, fastest))
        low = float(np.clip(v - BRAKING * WINDOW_S, 0.0, high))
        reach = TURN_ACCELERATION * WINDOW_S
        turns = np.linspace(max(-self._max_turn, w - reach), min(self._max_turn, w + reach), TURNS)
        return np.stack(np.meshgrid(np.linspace(low, high, SPEEDS), turns), -1).reshape(-1, 2)

    def _value(self, tried: np.ndarray, way: CostToGo, points: np.ndarray) -> np.ndarray:
        """Value (K,) of commands (K, 2), -inf where the robot could not stop in time."""
        v, w = tried[:, :1], tried[:, 1:]
        t = np.linspace(HORIZON_S / STEPS, HORIZON_S, STEPS)
        middle = 0.5 * w * t
        chord = v * t * np.sinc(middle / np.pi)
        arc = np.stack([chord * np.cos(middle), chord * np.sin(middle)], -1)  # (K, T, 2)
        near = points[np.hypot(*points.T) < self._max_speed * HORIZON_S + 1.0]
        gap = np.full(arc.shape[:2], np.inf)
        for step in range(STEPS if len(near) else 0):
            off = arc[:, step, None] - near[None]
            gap[:, step] = np.sqrt((off ** 2).sum(-1).min(1)) - self._radius
        # Already closer than that, it may leave, or turn where it stands.
        here = float(np.hypot(*near.T).min()) - self._radius if len(near) else np.inf
        touching = gap < min(MARGIN_M, here - 0.01)
        # How far it gets before it touches: it must be able to stop by then.
        first = np.where(touching.any(1), touching.argmax(1), STEPS)
        free_m = v[:, 0] * np.append(t, t[-1] + 1.0)[first] - v[:, 0] * t[0]
        admissible = (v[:, 0] ** 2 <= 2 * BRAKING * np.maximum(free_m, 0.0)) | (first == STEPS)
        assert self._pose is not None
        ends = compose(self._pose, np.concatenate([arc[:, -1], w * HORIZON_S], -1))
        here = float(way(self._pose[None, :2])[0])
        got_on = np.nan_to_num(here - way(ends[:, :2]), neginf=-1.0, posinf=0.0)
        lead = way.heading(ends[:, :2]) - ends[:, 2]
        aside = np.nan_to_num(np.abs(np.arctan2(np.sin(lead), np.cos(lead))), nan=np.pi)
        value = (PROGRESS * got_on / (self._max_speed * HORIZON_S) - HEADING * aside / np.pi
                 + CLEARANCE * np.clip(gap.min(1), 0.0, CLEAR_M) / CLEAR_M
                 + SPEED * v[:, 0] / self._max_speed)
        # Standing and hardly turning is not driving.
        idle = (v[:, 0] < 0.02) & (np.abs(w[:, 0]) < 0.1)
        return np.where(admissible & ~idle, value, -np.inf)
