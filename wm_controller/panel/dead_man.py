# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
The dead-man of the stick on the page: it drives only while fresh beats of one finger arrive.

A browser that holds the stick sends beats, numbered. A press that has ended, by a release, by
silence, or by anything that was wrong, never comes back: the finger has to be lifted and put down
again. Times are steady seconds of this machine unless they say otherwise; calls from any thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
import math
from threading import Lock
from typing import Any

from wm_controller.errors import InputError

TIMEOUT_S = 0.3
"""Silence after which the stick counts as let go."""
AT_REST = 0.25
"""Deflection up to which a press may begin: a stick that is already pushed must not jump."""
DEAD_ZONE = 0.08
MOST = 1e12
"""No number of a beat is larger."""
DRIFT = 1e-3
"""Seconds a second by which a browser's clock may differ from ours."""
OTHER_HOLDS = 'another browser holds the stick'
LIFT = 'let go, then touch again'


@dataclass(frozen=True)
class Stick:
    """What full deflection means, m/s (backwards: negative), rad/s; slow is a share of it."""

    max_linear_velocity: float
    min_linear_velocity: float
    max_angular_velocity: float
    slow_share: float = 0.4

    def demand(self, x: float, y: float, fast: bool) -> tuple[float, float]:
        """Velocity (v m/s, w rad/s) of a deflection x to the right, y ahead, in a unit circle."""
        length = math.hypot(x, y)
        if length <= DEAD_ZONE:
            return 0.0, 0.0
        share = (min(length, 1.0) - DEAD_ZONE) / (1.0 - DEAD_ZONE)
        share *= (1.0 if fast else self.slow_share) / length
        fastest = self.max_linear_velocity if y > 0.0 else -self.min_linear_velocity
        return y * share * fastest, -x * share * self.max_angular_velocity


@dataclass(frozen=True)
class Beat:
    """One beat: `press` counts touches and `sequence` beats; `sent_s` is the browser's clock."""

    press: int
    sequence: int
    sent_s: float
    x: float
    y: float
    fast: bool = False

    @classmethod
    def parse(cls, fields: Mapping[str, Any]) -> Beat:
        """Read what a browser sent; raises InputError."""
        counts: list[Any] = [fields.get(name) for name in ('press', 'sequence')]
        numbers: list[Any] = [fields.get(name) for name in ('sent_s', 'x', 'y')]
        if not all(type(each) is int and 0 <= each < 2**53 for each in counts) or not all(
                type(each) in (int, float) and abs(each) < MOST for each in numbers):
            raise InputError('a beat of the stick must have finite numbers')
        press, sequence = counts
        sent_s, x, y = map(float, numbers)
        return cls(press, sequence, sent_s, x, y, fields.get('fast') is True)


@dataclass
class _Line:
    """What is known of one browser: the least delay ever seen, and its presses."""

    offset_s: float
    measured_s: float
    ended: int = -1
    sequence: int = -1

    def lateness(self, sent_s: float, now_s: float) -> float:
        """Seconds by which a message took longer than the quickest one lately."""
        offset = now_s - sent_s
        allowed = self.offset_s + DRIFT * (now_s - self.measured_s)
        if offset < allowed:
            self.offset_s, self.measured_s = offset, now_s
        return max(0.0, offset - allowed)


class DeadMan:
    """One stick for all browsers; whoever touches first holds it."""

    def __init__(self, stick: Stick, timeout_s: float = TIMEOUT_S) -> None:
        self._stick, self._timeout_s = stick, timeout_s
        self._lock = Lock()
        self._lines: dict[str, _Line] = {}
        self._holder, self._press = '', -1
        self._fast = False
        self._beat_s = -math.inf
        self._demand = (0.0, 0.0)
        self._zero_due = False

    def greet(self, browser: str, sent_s: float, now_s: float) -> None:
        """Measure the delay of a browser's line while nobody drives."""
        with self._lock:
            self._line(browser, sent_s, now_s).lateness(sent_s, now_s)

    def beat(self, browser: str, beat: Beat, now_s: float) -> str:
        """Take a beat; return why it counts for nothing, or an empty text."""
        with self._lock:
            self._expire(now_s)
            line = self._line(browser, beat.sent_s, now_s)
            late = line.lateness(beat.sent_s, now_s) > self._timeout_s
            if beat.press <= line.ended:
                return LIFT
            if (browser, beat.press) != (self._holder, self._press):
                refusal = self._refusal(browser, beat, late)
                if refusal:
                    line.ended = beat.press
                    return refusal
                self._holder, self._press, self._fast = browser, beat.press, beat.fast
                line.sequence = -1
            if beat.sequence <= line.sequence or late:
                return 'a beat that came too late'
            line.sequence = beat.sequence
            self._beat_s = now_s
            self._demand = self._stick.demand(beat.x, beat.y, self._fast)
            return ''

    def release(self, browser: str) -> None:
        """End the press of a browser, if it has one."""
        with self._lock:
            if browser == self._holder:
                self._end()

    def leave(self, browser: str) -> None:
        """Forget a browser whose line is closed: that lets go of the stick."""
        with self._lock:
            if browser == self._holder:
                self._end()
            self._lines.pop(browser, None)

    def end(self) -> None:
        """End whatever press there is."""
        with self._lock:
            if self._holder:
                self._end()

    def held(self, now_s: float) -> bool:
        """Say whether somebody drives."""
        with self._lock:
            self._expire(now_s)
            return bool(self._holder)

    def command(self, now_s: float) -> tuple[float, float] | None:
        """What to command now, (v m/s, w rad/s): one zero after a press, then None: silence."""
        with self._lock:
            self._expire(now_s)
            if self._holder:
                return self._demand
            due, self._zero_due = self._zero_due, False
            return (0.0, 0.0) if due else None

    def _line(self, browser: str, sent_s: float, now_s: float) -> _Line:
        return self._lines.setdefault(browser, _Line(now_s - sent_s, now_s))

    def _refusal(self, browser: str, beat: Beat, late: bool) -> str:
        if self._holder and browser != self._holder:
            return OTHER_HOLDS
        if self._holder:  # a second finger of the same browser
            return LIFT
        if late:
            return 'the connection is too slow to drive'
        return LIFT if math.hypot(beat.x, beat.y) > AT_REST else ''

    def _expire(self, now_s: float) -> None:
        if self._holder and now_s - self._beat_s > self._timeout_s:
            self._end()

    def _end(self) -> None:
        line = self._lines.get(self._holder)
        if line is not None:
            line.ended = max(line.ended, self._press)
        self._holder, self._press, self._demand = '', -1, (0.0, 0.0)
        self._zero_due = True
