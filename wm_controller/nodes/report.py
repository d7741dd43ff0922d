# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""What a node says of itself: status and diagnostics messages, complaints that do not flood."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from wm_controller.nodes.conversions import MessageError, to_stamp

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR
REPEAT_S = 5.0


def to_status(name: str, level: bytes, message: str, values: Mapping[str, Any]
              ) -> DiagnosticStatus:
    """Status message; values are written as text, floats with four digits."""
    def text(value: Any) -> str:
        return f'{value:.4g}' if isinstance(value, float) else str(value)
    return DiagnosticStatus(
        name=name, level=level, message=message, hardware_id='wm_controller',
        values=[KeyValue(key=key, value=text(value)) for key, value in values.items()])


def to_diagnostics(stamp: float, *statuses: DiagnosticStatus) -> DiagnosticArray:
    """Diagnostics message of one node."""
    message = DiagnosticArray(status=list(statuses))
    message.header.stamp = to_stamp(stamp)
    return message


class Complaints:
    """
    Counts what is wrong by topic, and logs it: a new line at once, a repeated one every 5 s.

    Lines that differ in their figures only are the same line.
    """

    def __init__(self, log: Callable[[str], Any],
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._log, self._clock = log, clock
        self._said: dict[str, tuple[float, int]] = {}
        self.counts: Counter[str] = Counter()
        self.last = ''

    def guarded(self, topic: str, callback: Callable[[Any], None],
                dropped: Callable[[str, str], Any] | None = None) -> Callable[[Any], None]:
        """
        Make a callback that no message can bring down: what is wrong with it is a complaint.

        `dropped(topic, cause)` is told too.
        """
        def call(message: Any) -> None:
            try:
                callback(message)
            except MessageError as error:
                cause, line = 'invalid', str(error)
            except Exception as error:
                cause = type(error).__name__
                line = f'{topic}: {cause}: {error}'
            else:
                return
            if dropped is not None:
                dropped(topic, cause)
            self(topic, line)
        return call

    def __call__(self, topic: str, line: str) -> None:
        """Count one complaint about a topic, and log its line unless it was said just now."""
        self.counts[topic] += 1
        self.last = line
        kind = ''.join(c for c in line if not c.isdigit())
        now = self._clock()
        said_s, unsaid = self._said.get(kind, (-float('inf'), 0))
        if now - said_s < REPEAT_S:
            self._said[kind] = (said_s, unsaid + 1)
            return
        self._log(f'{line} (and {unsaid} more since)' if unsaid else line)
        if len(self._said) > 100:  # texts of strangers must not fill the memory
            self._said.clear()
        self._said[kind] = (now, 0)
