# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
How far a planner gets: goals near, mid and far, beside rivals in the same rooms, in one table.

Each block of drives is a file in a folder, so that a run that was stopped goes on, hours of drives
can be made in parts, and more be added. Blocks and seeds are pooled.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
import json
from pathlib import Path
from statistics import median
from typing import Any

from wm_controller.errors import InputError
from wm_controller.evaluation.diffusion_file import load_rival
from wm_controller.evaluation.metrics import per_100m, summarise, wilson_interval
from wm_controller.evaluation.recorder import Keep
from wm_controller.evaluation.runner import (
    BASELINES,
    check_pilot,
    DIFFUSION,
    Job,
    PILOTS,
    PLANNERS,
    run_jobs,
)
from wm_controller.evaluation.tasks import BANDS, IMAGE_BAND, TaskSpec
from wm_controller.files import write_whole
from wm_controller.planning.ablations import PARTS
from wm_controller.spread import Workers
from wm_controller.world_model.bundle import load_bundle

NAMES = ('near', 'mid', 'far')
BLOCK = 20  # drives
WITHOUT = '-'  # before a part of the planner that is left out
COUNTED = ('collisions', 'distance_m', 'plans', 'deadline_misses', 'timeouts', 'driven_s')


@dataclass(frozen=True)
class Row:
    """Who drives to what: a planner, pose or image goals, with or without the laser."""

    planner: str
    goal: str = 'pose'
    scan: bool = True
    without: tuple[str, ...] = ()

    @classmethod
    def named(cls, name: str) -> Row:
        """Read PLANNER[:image][:camera][:-PART...]; raises InputError."""
        planner, *rest = name.split(':')
        parts = tuple(each[1:] for each in rest if each.startswith(WITHOUT))
        others = [each for each in rest if not each.startswith(WITHOUT)]
        if planner not in PLANNERS or (
                set(others) - {'image', 'camera'} or set(parts) - set(PARTS)):
            raise InputError(f'row {name!r}: PLANNER, then any of :image, :camera and '
                             f':-PART, PART one of {", ".join(PARTS)}')
        if planner in BASELINES and (parts or 'camera' in others):
            raise InputError(f'row {name!r}: {planner} has no camera and no parts')
        if planner == DIFFUSION and parts:
            raise InputError(f'row {name!r}: {planner} has no parts')
        return cls(planner, 'image' if 'image' in others else 'pose', 'camera' not in others,
                   parts)

    def job(self, model: Path | None, band: str, seed: int) -> Job:
        """The drives of one cell; image goals in the near band are in sight, others taught."""
        taught = self.goal == 'image' and band != 'near'
        reach = IMAGE_BAND if self.goal == 'image' and not taught else BANDS[band]
        return Job(TaskSpec(seed, 'evaluation', self.goal, reach, taught=taught), self.planner,
                   None if self.planner in BASELINES else model,
                   settings={'scan': self.scan, 'teach': taught},
                   keep=Keep(trace=False, frame_period_s=None), without=self.without)


DEFAULT = ('straight', 'oracle', 'dynamic-window', 'flat', 'hierarchical', 'hierarchical:camera',
           'hierarchical:image')


@dataclass(frozen=True)
class Extent:
    """How many drives: episodes of each seed and band."""

    episodes: int = 100
    seeds: tuple[int, ...] = (0, 1, 2)
    bands: tuple[str, ...] = NAMES
    workers: Workers = Workers(1)

    @property
    def blocks(self) -> list[range]:
        """Numbers of the drives, a block each."""
        return [range(first, min(first + BLOCK, self.episodes))
                for first in range(0, self.episodes, BLOCK)]

    def __post_init__(self) -> None:
        unknown = [band for band in self.bands if band not in NAMES]
        if unknown or not self.bands or not self.seeds or self.episodes < 1:
            raise InputError(f'bands {", ".join(self.bands)}: of {", ".join(NAMES)}, with at '
                             'least one seed, one drive and one worker')


def run_bands_study(model: Path, names: Sequence[str], extent: Extent, out: Path,
                    on_done: Callable[[], None], rival: Path | None = None) -> dict[str, Any]:
    """Drive what is not in `out` yet; return a row for each name, a cell for each band.

    `rival`: file of the diffusion policy that rows of that name drive.
    """
    rows = [Row.named(name) for name in names]
    policy = None
    if any(row.planner == DIFFUSION for row in rows):
        if rival is None:
            raise InputError('a row diffusion needs its policy: --rival FILE, as `wm benchmark '
                             'rival` makes it')
        policy = load_rival(rival)
    bundle = load_bundle(model)
    for row in rows:
        if row.planner in PILOTS:
            check_pilot(row.planner, bundle, row.without)
    table: dict[str, dict[str, Any]] = {}
    for name, row in zip(names, rows):
        table[name] = {}
        driven = policy if policy and row.planner == DIFFUSION else bundle
        digest = None if row.planner in BASELINES else driven.digest
        for band in extent.bands:
            cells = []
            for seed in extent.seeds:
                for drives in extent.blocks:
                    path = out / f'{name.replace(":", "_")}-{band}-{seed}-{drives.start}.json'
                    cells.append(_cell(path, row.job(driven.path, band, seed), drives,
                                       extent.workers, digest, on_done))
            table[name][band] = pooled(cells)
    return {'model_digest': bundle.digest, 'episodes': extent.episodes,
            'seeds': list(extent.seeds), 'rows': table}


def _cell(path: Path, job: Job, drives: range, workers: Workers, digest: str | None,
          on_done: Callable[[], None]) -> dict[str, Any]:
    if path.exists():
        cell: dict[str, Any] = json.loads(path.read_text())
        if cell['model_digest'] == digest and cell['episodes'] == len(drives):
            for _ in drives:
                on_done()
            return cell
    [episodes] = run_jobs([(job, drives)], workers, on_done)
    cell = summarise(episodes, seed=job.spec.seed, model_digest=digest)
    write_whole(path, (json.dumps(cell, indent=2) + '\n').encode(), make_folder=True)
    return cell


def pooled(cells: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Join the summaries of several blocks, each with its own drives; medians by their median."""
    drives = sum(cell['episodes'] for cell in cells)
    wins = round(sum(cell['success_rate'] * cell['episodes'] for cell in cells))
    sums = {name: sum(cell[name] for cell in cells) for name in COUNTED}
    metres = sums['distance_m']
    medians = [cell['plan_ms']['p50'] for cell in cells if cell['plan_ms']['p50'] is not None]
    planned_s = sum((cell['plan_s_per_m'] or 0.0) * cell['distance_m'] for cell in cells)
    return {
        'drives': drives, 'success_rate': wins / drives,
        'success_ci95': [round(bound, 4) for bound in wilson_interval(wins, drives)],
        'spl': sum(cell['spl'] * cell['episodes'] for cell in cells) / drives,
        'collisions_per_100m': per_100m(sums['collisions'], metres),
        'plan_s_per_m': planned_s / metres if metres > 0 else None,
        'plan_ms_p50': median(medians) if medians else None,
        **sums}
