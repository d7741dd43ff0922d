# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The table of faults, in one place: the command, the documentation and the tests share it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
import os
from pathlib import Path
import time
from typing import Any

from wm_controller.errors import InputError
from wm_controller.evaluation.faults.command_faults import COMMAND_FAULTS
from wm_controller.evaluation.faults.disk_faults import DISK_FAULTS, DISK_START_FAULTS
from wm_controller.evaluation.faults.process_faults import PROCESS_FAULTS
from wm_controller.evaluation.faults.promises import broken
from wm_controller.evaluation.faults.row import Fault, Ground, Row, Run, StartFault
from wm_controller.evaluation.faults.scene import opened, Scene, Unexpected
from wm_controller.evaluation.faults.sensor_faults import SENSOR_FAULTS
from wm_controller.evaluation.faults.stage import Stage
from wm_controller.evaluation.faults.start_faults import START_FAULTS

FAULTS: tuple[Fault | StartFault, ...] = (
    *SENSOR_FAULTS, *COMMAND_FAULTS, *DISK_FAULTS, *PROCESS_FAULTS, *DISK_START_FAULTS,
    *START_FAULTS)
RECOVERY_S = 120.0  # loading a model included, on a busy machine


def chosen(names: Sequence[str]) -> list[Fault | StartFault]:
    """The faults of these names, all without any; raises InputError."""
    by_name = {fault.name: fault for fault in FAULTS}
    for name in names:
        if name not in by_name:
            raise InputError(f'--only {name}: no such fault; there are {", ".join(by_name)}')
    return [fault for fault in FAULTS if not names or fault.name in names]


def run_table(faults: Sequence[Fault | StartFault], stage: Stage, observe: Callable[[], Any],
              folder: Path, runs: int = 1) -> Iterator[Row]:
    """Run the faults, each `runs` times, round after round; yields a row whenever it has grown.

    One graph serves as long as it stays whole: that a robot drives on afterwards is part of
    every row. Then another one is started.
    """
    rows = [Row(fault) for fault in faults]
    stages = Stages(stage, observe, folder)
    with stages:
        for number in range(runs):
            for row in rows:
                if isinstance(row.fault, StartFault):
                    stages.clear()
                    row.runs.append(_try_start(row.fault, stages.ground(number)))
                else:
                    row.runs.append(try_fault(row.fault, stages))
                yield row


class Stages:
    """The scene that runs `now`; None where the last one was left broken."""

    def __init__(self, stage: Stage, observe: Callable[[], Any], folder: Path) -> None:
        self._stage, self._observe, self._folder = stage, observe, folder
        self._stack = ExitStack()
        self.now: Scene | None = None
        self.count = 0  # of graphs that were started

    def __enter__(self) -> Stages:
        """Start nothing yet."""
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def scene(self) -> Scene:
        """The scene at hand, or a new one."""
        if self.now is None:
            self.count += 1
            self.now = self._stack.enter_context(opened(
                self._stage, self._observe, self._folder / f'graph{self.count}'))
        return self.now

    def ground(self, number: int) -> Ground:
        """A place for a fault that starts processes by itself."""
        folder = self._folder / f'start{number}'
        folder.mkdir(parents=True, exist_ok=True)
        return Ground(self._stage, self._observe, folder, os.environ)

    def clear(self) -> None:
        """Stop what runs."""
        self.now = None
        self._stack.close()


def try_fault(fault: Fault, stages: Stages) -> Run:
    """One run: drive, inject, wait for the reaction, lift the fault, drive again."""
    reaction: float | None = None
    wrong: list[str] = []
    scene = stages.scene()
    try:
        scene.drive()
    except Unexpected as failure:
        stages.clear()
        return Run(None, (f'before the fault: {failure}',))
    began = time.monotonic()
    scene.record.forget(began - 2.0)
    try:
        reaction = fault.act(scene)
        if reaction > fault.limit_s:
            wrong.append(f'{reaction:.2f} s, over {fault.limit_s:g} s')
    except (Unexpected, InputError) as failure:
        wrong.append(str(failure))
    wrong += broken(scene.record, began, scene.caught_up(), scene.limits, fault.guarded)
    try:
        scene.lift()
        scene.drive(RECOVERY_S)
    except (Unexpected, InputError) as failure:
        wrong.append(f'afterwards: {failure}')
        stages.clear()
    return Run(reaction, tuple(wrong))


def _try_start(fault: StartFault, ground: Ground) -> Run:
    try:
        reaction = fault.act(ground)
    except (Unexpected, InputError) as failure:
        return Run(None, (str(failure),))
    late = reaction > fault.limit_s
    return Run(reaction, (f'{reaction:.2f} s, over {fault.limit_s:g} s',) if late else ())
