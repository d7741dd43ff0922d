# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Does the robot do what it is told? Stuck: told to move, it does not. Slip: it moves otherwise.

Both compare what went to the wheels with odometry, on a clock that counts seconds of motion: it is
simulated time where the robot is simulated. Without fresh odometry nothing is known, nothing said.
"""

from __future__ import annotations

from collections import deque
import math

from wm_controller.safety.geometry import Floats, wrap_angle
from wm_controller.safety.tracking import Command

LEAST_V, LEAST_W = 0.05, 0.2
"""Commands below both (m/s, rad/s) may be too little to set a base in motion."""
MOVED_M, MOVED_RAD = 0.03, 0.1
"""Odometry that has changed by so much shows motion."""
LAG_S = 0.6
"""Within so long a base has surely followed a command."""
BIN_S = 0.05


class Stuck:
    """Commanded, not moving."""

    def __init__(self) -> None:
        self._anchor: tuple[float, Floats] | None = None

    def update(self, now: float, commanded: Command, pose: Floats | None) -> float:
        """Seconds for which commands to move have not moved it from where it is."""
        asked = abs(commanded.v) >= LEAST_V or abs(commanded.w) >= LEAST_W
        if pose is None or not asked:
            self._anchor = None
            return 0.0
        if self._anchor is None or self._moved(self._anchor[1], pose):
            self._anchor = (now, pose)
        return now - self._anchor[0]

    @staticmethod
    def _moved(before: Floats, pose: Floats) -> bool:
        return bool(math.hypot(*(pose[:2] - before[:2])) > MOVED_M
                    or abs(float(wrap_angle(pose[2] - before[2]))) > MOVED_RAD)


class Slip:
    """Moving, not commanded: measured motion outside of the commands of the last `LAG_S`."""

    def __init__(self) -> None:
        # Least and greatest v and w of each short while: a flood of commands costs no more.
        self._bins: deque[tuple[float, float, float, float, float]] = deque()
        self._since: float | None = None

    def update(self, now: float, commanded: Command, measured: Command | None,
               slack_v: float, slack_w: float) -> float:
        """Seconds for which it has moved otherwise, by more than `slack_v` m/s or `slack_w`."""
        self._note(now, commanded)
        if measured is None or self._within(measured, slack_v, slack_w):
            self._since = None
            return 0.0
        if self._since is None:
            self._since = now
        return now - self._since

    def _within(self, measured: Command, slack_v: float, slack_w: float) -> bool:
        v, w, bins = measured.v, measured.w, self._bins
        return (abs(v) <= slack_v or any(
            low - slack_v <= v <= high + slack_v for _, low, high, _, _ in bins)) and (
            abs(w) <= slack_w or any(
                low - slack_w <= w <= high + slack_w for _, _, _, low, high in bins))

    def _note(self, now: float, commanded: Command) -> None:
        v, w = commanded.v, commanded.w
        if self._bins and now - self._bins[-1][0] < BIN_S:
            begun, low_v, high_v, low_w, high_w = self._bins.pop()
            self._bins.append((begun, min(low_v, v), max(high_v, v), min(low_w, w),
                               max(high_w, w)))
        else:
            self._bins.append((now, v, v, w, w))
        while now - self._bins[0][0] > LAG_S + BIN_S:
            self._bins.popleft()
