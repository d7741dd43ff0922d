# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Odometry of the last seconds, asked for the moment an image was taken."""

from __future__ import annotations

from collections import deque
import threading

from wm_controller.nodes.conversions import OdometryReading
from wm_controller.safety.geometry import integrate, wrap_angle


class OdometryBuffer:
    """
    Interpolates pose and twist at a stamp between the readings around it.

    Filled by the executor, read by the worker thread. `gap_s` is the longest gap that is bridged,
    `ahead_s` how far beyond the newest reading its twist is trusted.
    """

    def __init__(self, length_s: float = 3.0, gap_s: float = 0.5, ahead_s: float = 0.15) -> None:
        self._length_s, self._gap_s, self._ahead_s = length_s, gap_s, ahead_s
        self._readings: deque[OdometryReading] = deque()
        self._lock = threading.Lock()

    def add(self, reading: OdometryReading) -> bool:
        """Keep a reading; false if it is not newer than the last one, and is dropped."""
        with self._lock:
            if self._readings and reading.stamp <= self._readings[-1].stamp:
                return False
            self._readings.append(reading)
            while self._readings[0].stamp < reading.stamp - self._length_s:
                self._readings.popleft()
            return True

    def clear(self) -> None:
        """Forget everything, after a jump of the clock."""
        with self._lock:
            self._readings.clear()

    @property
    def newest(self) -> OdometryReading | None:
        """The last reading."""
        with self._lock:
            return self._readings[-1] if self._readings else None

    def at(self, stamp: float) -> OdometryReading | None:
        """Pose (3,) and twist (2,) at `stamp`; None if no reading is near enough."""
        with self._lock:
            readings = list(self._readings)
        after = next((k for k, r in enumerate(readings) if r.stamp >= stamp), len(readings))
        if after == len(readings):
            return self._ahead(readings[-1], stamp) if readings else None
        later = readings[after]
        if later.stamp == stamp:
            return later
        if after == 0 or later.stamp - readings[after - 1].stamp > self._gap_s:
            return None
        earlier = readings[after - 1]
        share = (stamp - earlier.stamp) / (later.stamp - earlier.stamp)
        step = later.pose - earlier.pose
        step[2] = wrap_angle(step[2])
        pose = earlier.pose + share * step
        pose[2] = wrap_angle(pose[2])
        return OdometryReading(stamp, pose, (1 - share) * earlier.twist + share * later.twist)

    def _ahead(self, last: OdometryReading, stamp: float) -> OdometryReading | None:
        ahead = stamp - last.stamp
        if ahead > self._ahead_s:
            return None
        return OdometryReading(
            stamp, integrate(last.pose, last.twist[0], last.twist[1], ahead), last.twist)
