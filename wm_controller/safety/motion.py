# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Where the robot has been lately, to know where an older scan's points are now."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque

import numpy as np

from wm_controller.safety.geometry import Floats, integrate, relative, wrap_angle

KEPT_S = 3.0
AHEAD_S = 0.5
"""A twist is trusted for so long (s) beyond the last pose."""


class Track:
    """Poses (x, y, yaw) by time, s; between them it interpolates, beyond it drives on."""

    def __init__(self) -> None:
        self._stamps: deque[float] = deque()
        self._poses: deque[Floats] = deque()
        self.twist = (0.0, 0.0)

    def add(self, stamp: float, pose: Floats, twist: tuple[float, float]) -> None:
        """Append the pose (3,) at a time not before the last one."""
        if self._stamps and stamp <= self._stamps[-1]:
            self._stamps.pop()
            self._poses.pop()
        self._stamps.append(stamp)
        self._poses.append(np.asarray(pose, float))
        self.twist = twist
        while stamp - self._stamps[0] > KEPT_S:
            self._stamps.popleft()
            self._poses.popleft()

    def clear(self) -> None:
        """Forget everything: the clock has jumped."""
        self._stamps.clear()
        self._poses.clear()

    @property
    def latest(self) -> Floats | None:
        """The last pose (3,) that was told."""
        return self._poses[-1] if self._poses else None

    def __len__(self) -> int:
        return len(self._stamps)

    def at(self, stamp: float) -> Floats:
        """Pose (3,) at a time; the oldest one for times before it."""
        after = bisect_right(self._stamps, stamp)
        if after == len(self._stamps):
            ahead = min(stamp - self._stamps[-1], AHEAD_S)
            return integrate(self._poses[-1], *self.twist, ahead)
        if after == 0:
            return self._poses[0]
        first, second = self._stamps[after - 1], self._stamps[after]
        start, end = self._poses[after - 1], self._poses[after]
        share = (stamp - first) / (second - first)
        change = end - start
        change[2] = wrap_angle(change[2])
        return np.asarray(start + share * change)

    def moved(self, since: float, now: float) -> Floats:
        """Pose (3,) now in the base frame at the time `since`."""
        if not self._stamps:
            return np.zeros(3)
        return relative(self.at(since), self.at(now))
