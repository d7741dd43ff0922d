# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Notice being held up, and choose what to do where no candidate is left."""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from wm_controller.memory.free_space import CostToGo, FreeSpace
from wm_controller.planning.candidates import shifted
from wm_controller.planning.config import PilotConfig
from wm_controller.safety.geometry import integrate

Floats = NDArray[np.float64]
NEAR_M = 0.4  # what is seen nearer than this beyond the footprint may be what stopped it
SEEN_HALF_WIDTH_M = 0.1
MOVED_SHARE = 0.15  # of the commanded way; less is being held up


class StuckDetector:
    """Compares the way that was commanded with the way that was made."""

    def __init__(self, after_s: float) -> None:
        self._after_s = after_s
        self._track: deque[tuple[float, Floats, float]] = deque(maxlen=200)

    def reset(self) -> None:
        """Begin anew."""
        self._track.clear()

    def update(self, stamp: float, pose: Floats, v: float) -> int:
        """Note pose (3,) and the speed commanded there; +1 or -1: held up that way, 0: not."""
        self._track.append((stamp, pose, v))
        while self._track and stamp - self._track[0][0] > self._after_s + 0.05:
            self._track.popleft()
        first_stamp, first_pose, _ = self._track[0]
        duration = stamp - first_stamp
        if duration < 0.9 * self._after_s:
            return 0
        speeds = np.array([entry[2] for entry in self._track])
        commanded = float(speeds.mean()) * duration
        moved = float(np.hypot(*(pose - first_pose)[:2]))
        one_way = (speeds > 0.03).all() or (speeds < -0.03).all()
        if one_way and abs(commanded) > 0.1 and moved < MOVED_SHARE * abs(commanded):
            self._track.clear()
            return 1 if commanded > 0 else -1
        return 0


class StallDetector:
    """Notices going nowhere: commanded or not, the base stays within a small circle."""

    def __init__(self, after_s: float, within_m: float) -> None:
        self._after_s, self._within_m = after_s, within_m
        self._since, self._place = np.inf, np.zeros(2)

    def reset(self) -> None:
        """Begin anew."""
        self._since = np.inf

    def update(self, now: float, pose: Floats) -> bool:
        """Note where the base is; True once it has stayed there for too long, then anew."""
        moved = np.isinf(self._since) or np.hypot(*(pose[:2] - self._place)) > self._within_m
        if moved:
            self._since, self._place = now, pose[:2].copy()
        if now - self._since < self._after_s:
            return False
        self._since = np.inf
        return True


def held_up_by(way: int, bearings: Floats, clearance: Floats, reach: float
               ) -> tuple[float, float | None]:
    """Guess the direction (rad) and half width (m, None: the robot's) of what stopped the robot.

    Forwards it is what the camera sees nearest, the jamb of a door perhaps; something unseen is
    assumed right ahead, or behind.
    """
    if way < 0:
        return np.pi, None
    nearest = int(np.argmin(clearance))
    if clearance[nearest] > reach + NEAR_M:
        return 0.0, None
    return float(bearings[nearest]), SEEN_HALF_WIDTH_M


def leads_from(way: CostToGo, pose: Floats) -> bool:
    """Whether a way is known from a pose (3,), or from right beside it."""
    about = 0.2 * np.array([[0, 0], [1, 0], [-1, 0], [0, 1], [0, -1]], float)
    return bool(np.isfinite(way(pose[:2] + about)).any())


def brake_along(plan: Floats, elapsed_steps: float, v: float, config: PilotConfig) -> Floats:
    """Return the action (2,) that slows from v m/s along the curve of a plan (T, 2).

    The plan is the last one that kept every constraint: it was clear as far as it takes to stop.
    """
    planned_v, planned_w = shifted(plan, elapsed_steps)[0]
    slower = max(abs(v) - config.limits.deceleration * config.period_s, 0.0)
    if planned_v * v <= 0.0 or slower == 0.0:
        return np.zeros(2)
    action = np.copysign(slower, v) * np.array([1.0, planned_w / planned_v])
    # Where the plan turns sharply, slower still, but on its curve.
    return np.asarray(action * min(1.0, config.limits.max_w / max(abs(action[1]), 1e-9)))


def back_off(pose: Floats, memory: FreeSpace, config: PilotConfig) -> Floats:
    """Return the action (2,) that leaves a tight place over ground seen free, or turns, or stops.

    Arcs backwards are tried for the longest known-free way; where there is none, the robot turns
    on the spot towards the most room if its outline is round, else it stands.
    """
    limits = config.limits
    times = np.arange(1, 9) * 0.15
    reach = config.footprint.reach
    best, best_length = np.zeros(2), 0.0
    if limits.min_v < 0:
        for w in (0.0, 0.5, -0.5, 1.0, -1.0):
            poses = integrate(pose, 0.6 * limits.min_v, w * limits.max_w * 0.5, times)
            rear = poses[:, :2] - reach * np.stack(
                [np.cos(poses[:, 2]), np.sin(poses[:, 2])], -1)
            open_ = memory.known_free(rear) & (
                memory.clearance_at(poses[:, :2]) > reach - 0.02)
            length = float(len(open_) if open_.all() else np.argmin(open_))
            if length > best_length + 0.5:
                best = np.array([0.6 * limits.min_v, w * limits.max_w * 0.5])
                best_length = length
    if best_length >= 4 or len(config.footprint.vertices) > 1:
        return best
    angles = pose[2] + np.deg2rad(np.arange(-180, 180, 15))
    ahead = pose[:2] + 0.5 * np.stack([np.cos(angles), np.sin(angles)], -1)
    room = memory.clearance_at(ahead)
    turn = float(np.deg2rad(-180 + 15 * int(np.argmax(room))))
    return np.array([0.0, np.copysign(0.5 * limits.max_w, turn if turn else 1.0)])
