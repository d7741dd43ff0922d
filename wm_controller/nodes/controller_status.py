# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""What the controller says of itself, worked out from what it knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus

from wm_controller.nodes.drive_loop import Condition
from wm_controller.nodes.report import ERROR, OK, to_status, WARN

WARN_STATES = ('lost', 'unreachable')


@dataclass(frozen=True)
class Snapshot:
    """
    What is known now: `loop` is None unless active, `refusal` why it could not be configured.

    `advice` says what is wrong with the camera, `stale` that its last image is too old.
    """

    lifecycle: str
    refusal: str = ''
    goal: str = 'none'
    model: str = ''
    advice: str = ''
    stale: str = ''
    loop: Condition | None = None
    deadline_misses: int = 0

    @property
    def state(self) -> str:
        """One of idle, planning, reached, lost, unreachable, fault."""
        if self.loop is None:
            return 'fault' if self.refusal else 'idle'
        return 'fault' if self.stale else self.loop.state

    @property
    def key(self) -> tuple[str, ...]:
        """Changes when people should hear of it at once."""
        return self.state, self.goal, self.lifecycle, self.model

    @property
    def verdict(self) -> tuple[bytes, str]:
        """Level and one line."""
        if self.loop is None:
            return (ERROR, self.refusal) if self.refusal else (OK, self.lifecycle)
        if self.state == 'fault':
            return ERROR, self.stale or self.loop.error
        if self.advice:
            return WARN, self.advice
        if self.state in WARN_STATES:
            return WARN, f'{self.state}: {self.goal}'
        return OK, self.state

    def status(self, name: str, more: dict[str, Any] | None = None) -> DiagnosticStatus:
        """Return the message for `controller/status`, or with more figures for the diagnostics."""
        loop = self.loop or Condition()
        return to_status(name, *self.verdict, {
            'state': self.state,
            'goal': self.goal,
            'plan_ms': loop.plan_ms,
            'deadline_misses': self.deadline_misses,
            'model': self.model,
            'goal_distance': loop.goal_distance,
            **(more or {}),
        })
