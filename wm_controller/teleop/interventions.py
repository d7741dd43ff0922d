# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""What counts as an intervention: a change of the guardrail's mode that wants an explanation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wm_controller.safety.guardrails import SMOOTHING
from wm_controller.safety.modes import ENDING

KINDS = ('takeover', 'hold', 'stop')
"""The operator took over; the guardrail held autonomy and asks for one; an emergency stop."""
MARK = 'mark'
"""The operator marked a moment; no intervention."""
FILE = 'intervention.json'
"""What lies beside the bag of an intervention, and tells it from the bag of a drive."""


@dataclass(frozen=True)
class Status:
    """What `guardrail/status` says; `because` says in words why it holds or has stopped."""

    mode: str
    source: str = ''
    reasons: tuple[str, ...] = ()
    limit: float | None = None
    because: str = ''

    @classmethod
    def of(cls, message: Any) -> Status | None:
        """Read a diagnostic_msgs/DiagnosticStatus; None where it names no mode."""
        values: Mapping[str, str] = {pair.key: pair.value for pair in message.values}
        if not values.get('mode'):
            return None
        try:
            limit: float | None = float(values.get('limit', ''))
        except ValueError:
            limit = None
        reasons = tuple(name for name in values.get('reasons', '').split(',') if name)
        return cls(values['mode'], values.get('source', ''), reasons, limit,
                   message.message if values['mode'] in ('hold', 'stopped') else '')

    @property
    def limiting(self) -> tuple[str, ...]:
        """Guardrails that object to the command; ramps shape every change and object to none."""
        return tuple(name for name in self.reasons if name not in SMOOTHING)

    @property
    def why(self) -> str:
        """The reason in words, as well as the guardrail gives it."""
        return self.because or ', '.join(self.limiting).replace('_', ' ')


def kind_of(before: str | None, after: str, because: str = '') -> str | None:
    """
    Kind of intervention that a change of mode is, or None.

    Leaving `auto` is a takeover or a hold; whatever leads to `stopped` is a stop. A hold behind a
    takeover is the same intervention going on; the first mode of a guardrail is none, nor is the
    stop with which it ends.
    """
    if before is None or before == after or because == ENDING:
        return None
    if after == 'stopped':
        return 'stop'
    if before == 'auto':
        return {'teleop': 'takeover', 'hold': 'hold'}.get(after)
    return None


@dataclass(frozen=True)
class Event:
    """
    One intervention or mark.

    `time_s` is ROS time, `pose` (x m, y m, yaw rad) in `odom` where odometry was heard.
    """

    kind: str
    time_s: float
    mode_before: str
    mode_after: str
    reason: str = ''
    pose: tuple[float, float, float] | None = None
