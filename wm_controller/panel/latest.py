# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The newest of everything, between the thread that hears ROS and the one that serves the page."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
import time
from typing import Any

INTEREST_S = 5.0
"""How long something stays worth listening to after somebody last looked."""


@dataclass(frozen=True)
class Reading:
    """A value, when it was received (steady s), and its number: each name counts its own."""

    value: Any
    received_s: float
    sequence: int

    def age(self, now_s: float) -> float:
        """Seconds since it was received."""
        return max(0.0, now_s - self.received_s)


class Latest:
    """Newest reading by name, and who looks at what; calls from any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._readings: dict[str, Reading] = {}
        self._asked: dict[str, float] = {}

    def put(self, name: str, value: Any, now_s: float | None = None) -> None:
        """Take a value that nobody changes any more."""
        with self._lock:
            before = self._readings.get(name)
            self._readings[name] = Reading(
                value, time.monotonic() if now_s is None else now_s,
                1 + (before.sequence if before else 0))

    def get(self, name: str) -> Reading | None:
        """Newest reading, or None before the first."""
        with self._lock:
            return self._readings.get(name)

    def value(self, name: str, now_s: float, within_s: float) -> Any:
        """Newest value, or None if it is older than `within_s`."""
        reading = self.get(name)
        return None if reading is None or reading.age(now_s) > within_s else reading.value

    def ask(self, name: str, now_s: float) -> None:
        """Note that somebody looks at it."""
        with self._lock:
            self._asked[name] = now_s

    def wanted(self, name: str, now_s: float) -> bool:
        """Say whether somebody has looked at it lately."""
        with self._lock:
            return now_s - self._asked.get(name, -INTEREST_S) < INTEREST_S
