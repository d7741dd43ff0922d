# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
A long drive with random faults: nothing may crash, grow, or break a promise.

Between two faults the robot drives on from goal to goal, people about it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
import threading
import time
from typing import Any

import numpy as np
import psutil

from wm_controller.evaluation.faults.promises import broken
from wm_controller.evaluation.faults.row import Fault
from wm_controller.evaluation.faults.scene import Scene, Unexpected
from wm_controller.evaluation.faults.stage import Stage
from wm_controller.evaluation.faults.table import FAULTS, Stages, try_fault

SAMPLE_S = 2.0
QUIET_S = (4.0, 12.0)  # of driving between two faults
WARM_UP_SHARE = 0.25  # of each process's time: caches and maps fill
GROWTH_MIB, GROWTH_SHARE = 12.0, 0.05  # after warm-up: less than both together is no growth
SHORTEST_S = 60.0  # of a process's life, to be judged

# A process that is killed and started again has no memory to watch.
SOAKED: tuple[Fault, ...] = tuple(
    fault for fault in FAULTS if isinstance(fault, Fault)
    and not fault.name.endswith(('killed', 'restarted')))


@dataclass
class Memory:
    """Resident memory of each process: (s since the start of the soak, MiB), by node and pid."""

    series: dict[tuple[str, int], list[tuple[float, float]]] = field(default_factory=dict)

    def take(self, scene: Scene, now_s: float) -> None:
        """Sample every node that runs."""
        for node, pid in scene.graph.pids().items():
            with suppress(psutil.Error):  # it has just ended
                mib = psutil.Process(pid).memory_info().rss / 2**20
                self.series.setdefault((node, pid), []).append((now_s, mib))

    def growth(self) -> list[dict[str, Any]]:
        """What each process's memory did after warm-up: MiB at first and at last, MiB per hour."""
        found = []
        for (node, pid), samples in self.series.items():
            at, mib = np.array(samples).T
            settled = at >= at[0] + WARM_UP_SHARE * (at[-1] - at[0])
            at, mib = at[settled], mib[settled]
            if len(at) < 10 or at[-1] - at[0] < SHORTEST_S:
                continue
            slope, base = np.polyfit(at - at[0], mib, 1)
            grown = float(slope * (at[-1] - at[0]))
            found.append({
                'node': node, 'pid': pid, 'watched_s': float(at[-1] - at[0]),
                'first_mib': float(base), 'last_mib': float(base + grown), 'grown_mib': grown,
                'mib_per_hour': float(3600.0 * slope),
                'grows': grown > GROWTH_MIB + GROWTH_SHARE * float(base)})
        return found


def soak(stage: Stage, observe: Callable[[], Any], folder: Path, minutes: float, seed: int,
         on_fault: Callable[[str, float], None] = lambda name, share: None,
         on_failure: Callable[[str], None] = lambda line: None,
         faults: Sequence[Fault] = SOAKED) -> tuple[dict[str, Any], Memory]:
    """Soak for so long and return the summary and the memory.

    `on_fault` hears of each fault, `on_failure` a line of what went wrong, as it does.
    Interrupted, it returns what it has seen, not passed.
    """
    rng, memory = np.random.default_rng(seed), Memory()
    injected: Counter[str] = Counter()
    failures: list[dict[str, Any]] = []
    began = driven_until = time.monotonic()
    metres = 0.0

    def note(what: str, lines: Sequence[str]) -> None:
        if lines:
            failures.append({'at_s': round(time.monotonic() - began, 1), 'during': what,
                             'wrong': list(lines)})
            on_failure(as_line(failures[-1]))

    def one_fault(stages: Stages, share: float) -> None:
        nonlocal metres, driven_until
        fresh = stages.now is None
        quiet_from, scene = time.monotonic(), stages.scene()
        try:
            scene.drive()
            if fresh:  # until here its nodes were starting
                quiet_from = time.monotonic()
            pause = time.monotonic() + rng.uniform(*QUIET_S)
            while time.monotonic() < pause:
                scene.drive()
                time.sleep(0.2)
        except Unexpected as failure:
            note('driving', [str(failure)])
            stages.clear()
            return
        note('driving', broken(scene.record, quiet_from, scene.caught_up(), scene.limits))
        fault = faults[int(rng.integers(len(faults)))]
        now = time.monotonic()
        metres += _driven(scene, driven_until, now)
        driven_until = now
        on_fault(fault.name, share)
        injected[fault.name] += 1
        note(fault.name, try_fault(fault, stages).wrong)

    whole = True
    with Stages(stage, observe, folder) as stages, _Sampling(stages, memory, began):
        try:
            while (share := (time.monotonic() - began) / (60.0 * minutes)) < 1.0:
                one_fault(stages, share)
        except KeyboardInterrupt:  # what was seen until then counts
            whole = False
    growth = memory.growth()
    return {
        'minutes': (time.monotonic() - began) / 60.0, 'seed': seed, 'people': stage.people,
        'graphs': stages.count, 'distance_m': metres, 'faults': sum(injected.values()),
        'by_fault': dict(sorted(injected.items())), 'failures': failures, 'memory': growth,
        'whole': whole,
        'passed': whole and not failures and not any(row['grows'] for row in growth),
    }, memory


def _driven(scene: Scene, since: float, until: float) -> float:
    """Metres driven, of what is on record; a fault forgets what was before it."""
    truth = np.array([t.pose[:2] for t in list(scene.record.truth) if since < t.at <= until])
    return float(np.hypot(*np.diff(truth, axis=0).T).sum()) if len(truth) > 1 else 0.0


class _Sampling:
    """Sample memory in a thread while the block lasts."""

    def __init__(self, stages: Stages, memory: Memory, began: float) -> None:
        self._stages, self._memory, self._began = stages, memory, began
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self._end.wait(SAMPLE_S):
            scene = self._stages.now
            if scene is not None:
                self._memory.take(scene, time.monotonic() - self._began)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()


def memory_figure(memory: Memory) -> str:
    """Draw resident memory over time, a panel for each node; SVG."""
    import matplotlib
    from matplotlib.figure import Figure

    from wm_controller.evaluation import palette
    from wm_controller.evaluation.figures import STYLE, svg

    nodes = sorted({node for node, _ in memory.series})
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9.0, 1.6 * max(1, len(nodes))), facecolor=palette.PAPER)
        panels = figure.subplots(max(1, len(nodes)), 1, sharex=True, squeeze=False)[:, 0]
        for axes, node in zip(panels, nodes):
            for (name, _), samples in memory.series.items():
                if name == node:
                    at, mib = np.array(samples).T
                    axes.plot(at / 60.0, mib, color=palette.DRIVEN, lw=1.2)
            axes.set_ylim(bottom=0.0)
            axes.set_title(f'{node}, MiB', loc='left', fontsize=9)
        panels[-1].set_xlabel('minutes')
        figure.tight_layout()
        return svg(figure, transparent=False)


def as_line(failure: Mapping[str, Any]) -> str:
    """A failure for people."""
    return f'{failure["at_s"]:.0f} s, {failure["during"]}: {"; ".join(failure["wrong"])}'


def as_rows(result: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Rows of a table for people: one for each process."""
    return [(row['node'], f'{row["first_mib"]:.0f}', f'{row["last_mib"]:.0f}',
             f'{row["mib_per_hour"]:+.1f}', 'grows' if row['grows'] else '')
            for row in result['memory']]
