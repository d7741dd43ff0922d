# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""What an observer heard of a drive; times are steady seconds, of the sender where it says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Command:
    """A twist, m/s and rad/s, in a frame; `sent` says when, `stamp` is its ROS time.

    `number`: which of its sender's messages it is, from 1; 0 where that is not known.
    """

    sent: float
    stamp: float
    v: float
    w: float
    frame: str = ''
    number: int = 0

    @property
    def is_zero(self) -> bool:
        """Whether it commands to stand."""
        return self.v == 0.0 and self.w == 0.0


@dataclass(frozen=True)
class Said:
    """A status or a part of the diagnostics: its name, its line, its values."""

    at: float
    name: str
    message: str
    values: Mapping[str, str]


@dataclass(frozen=True)
class Truth:
    """Where the robot really is (x m, y m, yaw rad, from its start) and its speed m/s, rad/s."""

    at: float
    pose: tuple[float, float, float]
    v: float
    w: float


@dataclass
class Record:
    """Everything heard, in the order it came; one thread appends, another one reads."""

    commands: list[Command] = field(default_factory=list)
    wanted: list[Command] = field(default_factory=list)
    guardrail: list[Said] = field(default_factory=list)
    controller: list[Said] = field(default_factory=list)
    diagnostics: list[Said] = field(default_factory=list)
    truth: list[Truth] = field(default_factory=list)
    bumps: list[tuple[float, int]] = field(default_factory=list)

    def forget(self, before: float) -> None:
        """Drop what is older, but keep the last of each: a soak is long."""
        for heard in (self.commands, self.wanted, self.guardrail, self.controller,
                      self.diagnostics, self.truth, self.bumps):
            old = sum(_time_of(item) < before for item in heard[:-1])
            del heard[:old]


def _time_of(item: object) -> float:
    if isinstance(item, Command):
        return item.sent
    return item[0] if isinstance(item, tuple) else item.at  # type: ignore[attr-defined]
