# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The time from a thing appearing to the wheels slowing, measured instead of believed.

It has three parts: until a scan shows the thing (its interval, and its age when it comes), until
the guard decides (at once: it decides on every scan), and until the base follows. The last is the
shift of the commands that fits the measured speeds best.
"""

from __future__ import annotations

from collections import deque
import math

import numpy as np

from wm_controller.safety.tracking import Command

SCANS = 20
KEPT_S = 15.0
SAMPLE_S = 0.02
LONGEST_S = 0.6
"""The longest delay of a base that is looked for."""
LEAST_SAMPLES = 100
LEAST_CHANGE = 0.05
"""Standard deviation of commands, m/s or rad/s, below which they tell nothing."""
LEAST_GAIN = 0.5
"""Share of the difference to no motion that the shifted commands must explain."""


class ReactionTime:
    """Measures on ROS time, s. It says what it has seen; nothing is made shorter by it."""

    def __init__(self) -> None:
        self._intervals: deque[float] = deque(maxlen=SCANS)
        self._ages: deque[float] = deque(maxlen=SCANS)
        self._scan_stamp = -np.inf
        self._sent: deque[tuple[float, float, float]] = deque()
        self._measured: deque[tuple[float, float, float]] = deque()
        self.scan_s = 0.0  # until a scan shows what has just appeared, most of the time
        self.base_s: float | None = None  # until the base follows a command

    def on_scan(self, stamp: float, now: float) -> None:
        """Note a scan's stamp, and when it came."""
        if stamp > self._scan_stamp:
            if np.isfinite(self._scan_stamp):
                self._intervals.append(stamp - self._scan_stamp)
            self._ages.append(max(0.0, now - stamp))
            self._scan_stamp = stamp
            # Not the longest: one scan that was lost is what `sensor_timeout_s` is for.
            self.scan_s = _most(self._ages) + (_most(self._intervals) if self._intervals else 0.0)

    def on_command(self, now: float, command: Command) -> None:
        """Note what goes to the wheels."""
        if not self._sent or now - self._sent[-1][0] >= SAMPLE_S:
            _keep(self._sent, (now, command.v, command.w))

    def on_odometry(self, stamp: float, twist: tuple[float, float]) -> None:
        """Note a measured twist (v, w)."""
        if not self._measured or stamp - self._measured[-1][0] >= SAMPLE_S / 2:
            _keep(self._measured, (stamp, *twist))

    @property
    def total_s(self) -> float:
        """From a thing appearing to the wheels slowing, as far as it was measured; else 0."""
        return self.scan_s + (self.base_s or 0.0)

    def measure_base(self) -> float | None:
        """Find how long after the commands the base follows; None where they tell too little.

        Costs about a millisecond: once a second is often enough.
        """
        if len(self._measured) < LEAST_SAMPLES or len(self._sent) < LEAST_SAMPLES:
            return self.base_s
        sent, seen = np.array(self._sent), np.array(self._measured)
        seen = seen[seen[:, 0] > sent[0, 0] + LONGEST_S]
        weights = np.array((1.0, 0.3))  # a metre a second is as much as three radians a second
        if len(seen) < LEAST_SAMPLES or (sent[:, 1:] * weights).std(0).max() < LEAST_CHANGE:
            return self.base_s
        delays = np.arange(0.0, LONGEST_S + SAMPLE_S / 2, SAMPLE_S)
        misfit = []
        for delay in delays:
            # Held, not interpolated: a command is in force until the next one.
            index = np.searchsorted(sent[:, 0], seen[:, 0] - delay, side='right') - 1
            misfit.append((((seen[:, 1:] - sent[index, 1:]) * weights) ** 2).sum(-1).mean())
        variance = (((seen[:, 1:] - seen[:, 1:].mean(0)) * weights) ** 2).sum(-1).mean()
        best = int(np.argmin(misfit))
        if misfit[best] < (1.0 - LEAST_GAIN) * variance:
            self.base_s = float(delays[best])
        return self.base_s


def _most(values: deque[float]) -> float:
    """The 0.9 quantile, from above."""
    return sorted(values)[math.ceil(0.9 * (len(values) - 1))]


def _keep(samples: deque[tuple[float, float, float]], sample: tuple[float, float, float]) -> None:
    samples.append(sample)
    while sample[0] - samples[0][0] > KEPT_S:
        samples.popleft()
