# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""How far simulated time may run against the wall's; clocks are arguments."""

from __future__ import annotations

import math

ROUND_S = 0.02  # steady time worth of ticks that one round may hold: messages are heard between
FREE_RUNNING_TICKS = 4


class Pace:
    """
    Simulated time follows steady time times `speed_factor`; 0 means as fast as possible.

    Small delays (a rendered image) are caught up. A debt over `max_debt_s` of steady time is
    forgotten, so that a slow machine runs slowly instead of spiralling; `lap` says how fast.
    """

    def __init__(self, speed_factor: float, tick_s: float, max_debt_s: float = 0.2) -> None:
        self._tick_s, self._max_debt_s = tick_s, max_debt_s
        self._total = 0
        self.restart(speed_factor)

    def restart(self, speed_factor: float) -> None:
        """Go on from here, at this speed."""
        self._speed_factor = speed_factor
        self._start_s: float | None = None
        self._lap: tuple[float, int] | None = None

    def due(self, now_s: float) -> int:
        """Ticks to run now, at steady time `now_s`; the caller runs them all."""
        if self._start_s is None or self._lap is None:
            self._start_s, self._ran = now_s, 0
            self._lap = (now_s, self._total)
        if self._speed_factor <= 0:
            count = FREE_RUNNING_TICKS
        else:
            wall_tick_s = self._tick_s / self._speed_factor
            debt_s = now_s - self._start_s - self._ran * wall_tick_s
            if debt_s > self._max_debt_s:
                self._start_s, self._ran, debt_s = now_s - wall_tick_s, 0, wall_tick_s
            # the small number keeps rounding from costing a tick
            count = min(math.floor(debt_s / wall_tick_s + 1e-6),
                        math.ceil(ROUND_S / wall_tick_s))
        self._ran += count
        self._total += count
        return count

    def lap(self, now_s: float) -> float:
        """Return simulated seconds per steady second since the last lap."""
        if self._lap is None or now_s <= self._lap[0]:
            return self._speed_factor
        elapsed_s, ticks = now_s - self._lap[0], self._total - self._lap[1]
        self._lap = (now_s, self._total)
        return ticks * self._tick_s / elapsed_s


class Every:
    """Says when something of a fixed rate is due, in simulated time, without drifting."""

    def __init__(self, rate_hz: float) -> None:
        self._period_s = 1.0 / rate_hz
        self._next_s: float | None = None

    def due(self, time_s: float) -> bool:
        """Whether the next one is due at `time_s`; counts it if so."""
        if self._next_s is None or abs(time_s - self._next_s) > 2 * self._period_s:
            self._next_s = time_s
        if time_s < self._next_s - 1e-6:
            return False
        self._next_s += self._period_s
        return True
