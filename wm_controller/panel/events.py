# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The event log: mode changes, reasons that appear, states of the controller, operator actions."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Lock
import time

from wm_controller.panel.words import reasons_of

KEPT = 200
QUIET_S = 30.0
"""A reason that comes and goes is told once in this time."""
ALARMING = {'stopped': 'alarm', 'hold': 'warn', 'fault': 'alarm', 'lost': 'warn',
            'unreachable': 'warn'}


@dataclass(frozen=True)
class Event:
    """A line of the log: number, wall-clock time, kind (`info`, `warn`, `alarm`, `operator`)."""

    number: int
    at: str
    kind: str
    text: str


class EventLog:
    """The last events; calls from any thread."""

    def __init__(self, steady: Callable[[], float] = time.monotonic,
                 wall: Callable[[], str] = lambda: time.strftime('%H:%M:%S')) -> None:
        self._steady, self._wall = steady, wall
        self._lock = Lock()
        self._events: deque[Event] = deque(maxlen=KEPT)
        self._count = 0
        self._known: dict[str, str] = {}
        self._reasons: set[str] = set()
        self._told: dict[str, float] = {}

    def add(self, kind: str, text: str) -> None:
        """Append one line."""
        with self._lock:
            self._count += 1
            self._events.append(Event(self._count, self._wall(), kind, text))

    def since(self, number: int) -> list[Event]:
        """Events after the one of that number, oldest first."""
        with self._lock:
            return [event for event in self._events if event.number > number]

    def guardrail(self, values: Mapping[str, str]) -> None:
        """Take the values of `guardrail/status`."""
        mode = values.get('mode', '')
        self._changed('mode', mode, f'mode {mode}')
        reasons = set(reasons_of(values))
        for name in sorted(reasons - self._reasons):
            if self._steady() - self._told.get(name, -QUIET_S) >= QUIET_S:
                self._told[name] = self._steady()
                self.add('warn', f"guardrail in force: {name.replace('_', ' ')}")
        self._reasons = reasons

    def controller(self, values: Mapping[str, str]) -> None:
        """Take the values of `controller/status`."""
        state, goal = values.get('state', ''), values.get('goal', 'none')
        aim = f', goal {goal}' if goal not in ('', 'none') else ''
        self._changed('controller', state, f'controller {state}{aim}')

    def complaint(self, who: str, line: str) -> None:
        """Take what a node last complained of; an empty line is none."""
        if line:
            self._changed(f'complaint of {who}', line, f'{who}: {line}', 'warn')

    def _changed(self, what: str, now: str, text: str, kind: str = '') -> None:
        if now and self._known.get(what) != now:
            self._known[what] = now
            self.add(kind or ALARMING.get(now, 'info'), text)
