# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""What a row of the fault table is, and what a run of it gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wm_controller.evaluation.faults.scene import Scene
from wm_controller.evaluation.faults.stage import Stage


@dataclass(frozen=True)
class Fault:
    """
    One fault: what is injected, what must come of it, and in what time.

    `act` injects it into a robot that drives, waits for what is expected and returns the seconds
    from injection to reaction; it raises Unexpected. `guarded`: the guardrail runs all the while.
    """

    name: str
    injected: str
    expected: str
    limit_s: float
    act: Callable[[Scene], float]
    guarded: bool = True


@dataclass(frozen=True)
class Ground:
    """Where processes may be started: stage, how to observe, a folder of one's own, variables."""

    stage: Stage
    observe: Callable[[], Any]
    folder: Path
    environment: Mapping[str, str]


@dataclass(frozen=True)
class StartFault:
    """A fault of what is there before a robot drives; `act` starts what it needs by itself."""

    name: str
    injected: str
    expected: str
    limit_s: float
    act: Callable[[Ground], float]


@dataclass(frozen=True)
class Run:
    """One run of a row: seconds until the reaction (None: it did not come), and what was wrong."""

    reaction_s: float | None
    wrong: tuple[str, ...] = ()


@dataclass
class Row:
    """All runs of one fault."""

    fault: Fault | StartFault
    runs: list[Run] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether every run reacted as expected, in time, and broke no promise."""
        return bool(self.runs) and not any(run.wrong for run in self.runs)

    @property
    def reaction_s(self) -> float | None:
        """The slowest reaction of all runs; None where one did not come."""
        times = [run.reaction_s for run in self.runs]
        return max(t for t in times if t is not None) if times and None not in times else None

    def as_dict(self) -> dict[str, Any]:
        """The row as `wm faults --json` gives it."""
        return {
            'fault': self.fault.name, 'injected': self.fault.injected,
            'expected': self.fault.expected, 'limit_s': self.fault.limit_s,
            'reaction_s': None if self.reaction_s is None else round(self.reaction_s, 3),
            'reactions_s': [None if run.reaction_s is None else round(run.reaction_s, 3)
                            for run in self.runs],
            'passed': self.passed, 'wrong': [line for run in self.runs for line in run.wrong]}
