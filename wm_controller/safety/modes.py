# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Who may command: four modes, and the one table of what leads from one to another.

What the table does not name changes nothing. No speed is decided here: at every change of mode the
wheels go on from their last command, within acceleration, braking and jerk, so none of them jumps.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Mode(str, Enum):
    """The values of `mode` in `guardrail/status`."""

    AUTO = 'auto'
    TELEOP = 'teleop'
    HOLD = 'hold'
    STOPPED = 'stopped'


@dataclass(frozen=True)
class Transition:
    """What happens in some modes, the mode it leads to, and why, in words for the operator."""

    event: str
    origins: tuple[Mode, ...]
    target: Mode
    because: str
    when: str


AUTO, TELEOP, HOLD, STOPPED = Mode
ENDING = 'the guardrail ends'
TRANSITIONS: tuple[Transition, ...] = (
    Transition('stop', (AUTO, TELEOP, HOLD), STOPPED,
               'the emergency stop was pressed; ~/reset clears it',
               '`emergency_stop`, or `~/emergency_stop`'),
    Transition('end', (AUTO, TELEOP, HOLD), STOPPED, ENDING, 'a signal to end'),
    Transition('reset', (STOPPED,), HOLD,
               'the emergency stop was reset; autonomy waits for ~/enable',
               '`~/reset`, while no source commands motion'),
    Transition('take_over', (AUTO, HOLD), TELEOP,
               'the operator drives',
               'a fresh `cmd_vel_teleop`: the dead-man is held'),
    Transition('let_go', (TELEOP,), HOLD,
               'the operator let go; autonomy waits for ~/enable',
               '`cmd_vel_teleop` older than `teleop_timeout_s`'),
    Transition('enable', (HOLD,), AUTO, 'autonomy is enabled', '`~/enable` true'),
    Transition('disable', (AUTO,), HOLD,
               'autonomy was switched off; it waits for ~/enable', '`~/enable` false'),
    Transition('surprise', (AUTO,), HOLD,
               'surprise: the world model did not foresee what it sees; look, then ~/enable',
               'surprise above `surprise_hold` for 0.3 s'),
    Transition('stuck', (AUTO,), HOLD,
               'stuck: it was commanded to move and did not; free it, then ~/enable',
               'no motion in `stuck_s` of commands to move'),
    Transition('slip', (AUTO,), HOLD,
               'slip: it moved as it was not commanded to; look, then ~/enable',
               'motion beyond the commands of late, for `slip_s`'),
    Transition('tilt', (AUTO,), HOLD,
               'tilt: it stands tilted; set it level, then ~/enable', 'tilt above `max_tilt`'),
)
CAUSES = ('surprise', 'stuck', 'slip', 'tilt')
"""Events by which the robot itself asks for the operator."""


class ModeMachine:
    """The mode in force, and why."""

    def __init__(self, autonomous: bool) -> None:
        self.mode = AUTO if autonomous else HOLD
        self.because = ('autonomy is enabled from the start' if autonomous
                        else 'autonomy waits for ~/enable from the start')
        self.event = 'start'

    def on(self, event: str) -> bool:
        """Take what has happened; whether the mode changed."""
        for each in TRANSITIONS:
            if each.event == event and self.mode in each.origins:
                self.mode, self.because, self.event = each.target, each.because, event
                return True
        return False

    @property
    def asks(self) -> str:
        """The cause for which the robot itself asks for the operator, or nothing."""
        return self.event if self.mode is HOLD and self.event in CAUSES else ''


def as_markdown() -> str:
    """The table of transitions, for people."""
    rows = [f'| `{"`, `".join(origin.value for origin in t.origins)}` | {t.when} | '
            f'`{t.target.value}` | {t.because} |' for t in TRANSITIONS]
    return '\n'.join(('| in | when | then | said |', '|---|---|---|---|', *rows)) + '\n'
