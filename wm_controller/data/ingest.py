# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Recordings of real robots -> one data set file, and a report of what was kept and what not."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
import json
from pathlib import Path
import tempfile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wm_controller.data import schema
from wm_controller.data.bags import Bag
from wm_controller.data.dataset import DatasetWriter
from wm_controller.data.episodes import EpisodePlan, Plan, plan_episodes
from wm_controller.data.images import decode, fit, fitted_view
from wm_controller.data.static_frames import planar
from wm_controller.data.survey import survey
from wm_controller.data.topics import choose, Chosen, Wanted
from wm_controller.data.writer import check_output
from wm_controller.errors import InputError
from wm_controller.spread import spread, Workers

SAME_VIEW_RAD = 0.05

Report = dict[str, Any]
Progress = Callable[[float], Any]
Planned = tuple[Plan, Chosen, Report]
Frames = NDArray[np.uint8]


@dataclass(frozen=True)
class Options:
    """How to ingest; every field is an option of `wm ingest`."""

    rate_hz: float = 5.0
    image_size: tuple[int, int] = schema.IMAGE_SIZE
    topics: Wanted = field(default_factory=Wanted)
    action_scale: tuple[float, float] = (1.0, 1.0)
    """Commands are multiplied by this: [m/s, rad/s] per unit of a servo command."""
    align_lag: bool | None = None
    """True: always shift by the estimated lag, False: never, None: when it is convincing."""
    max_gap_s: float | None = None
    min_steps: int = 10
    command_timeout_s: float | None = None
    horizontal_fov_deg: float | None = None
    """Of the stored picture; None: from the CameraInfo in the bag, if there is one."""
    scan_offset: tuple[float, float, float] | None = None
    """Laser in base_link: x m, y m, yaw rad."""

    def __post_init__(self) -> None:
        width, height = self.image_size
        limits = (('--rate', self.rate_hz, 0.1, 100.0), ('--size width', width, 8, 4096),
                  ('--size height', height, 8, 4096), ('--min-steps', self.min_steps, 2, 1e6),
                  ('--fov', self.horizontal_fov_deg, 5.0, 175.0),
                  ('--max-gap', self.max_gap_s, 1e-3, 3600.0),
                  ('--command-timeout', self.command_timeout_s, 1e-3, 3600.0))
        for name, value, low, high in limits:
            if value is not None and not low <= value <= high:
                raise InputError(f'{name} is {value:g}, allowed is {low:g} to {high:g}')
        for scale in self.action_scale:
            if not np.isfinite(scale) or scale == 0:
                raise InputError(f'--action-scale is {scale:g}, it must be finite and not zero')


def ingest(paths: Sequence[str | Path], output: str | Path, options: Options | None = None, *,
           command: str = '', progress: Callable[[str, float], Progress] | None = None,
           workers: Workers = Workers(1, here=True)) -> Report:
    """Read bags and write one data set; returns the report. `InputError` if a bag is refused.

    `progress(description, total)` returns what is called with the work done. With several
    `workers` each bag is read apart; the data set is the same.
    """
    options = options or Options()
    if not paths:
        raise InputError('no bag given')
    check_output(output)
    bags = [Path(path) for path in paths]
    if workers.ray is None and workers.for_calls(len(bags)) == 1:
        planned = [_plan(path, options, progress) for path in bags]

        def episodes(number: int) -> Iterator[tuple[int, Frames]]:
            plan, chosen, _ = planned[number]
            advance = progress(f'writing {bags[number].name}', plan.n_steps) if progress else None
            return _decoded(bags[number], chosen, plan, options, advance)

        return _gathered(output, options, command, planned, episodes)
    # Frames lie unpacked beside the data set, where all workers see them, until they are in it.
    with tempfile.TemporaryDirectory(dir=Path(output).parent, prefix='.ingest_') as folder:
        files = [Path(folder).resolve() / f'{number}.npy' for number in range(len(bags))]
        calls = [(path.resolve(), path, options, file) for path, file in zip(bags, files)]
        advance = progress('reading bags', len(bags)) if progress else None
        apart = []
        for _, found in spread(_read_apart, calls, workers, in_order=True):
            apart.append(found)
            if advance is not None:
                advance(1)

        def unpacked(number: int) -> Iterator[tuple[int, Frames]]:
            if not apart[number][1]:
                return
            frames, first = np.load(files[number], mmap_mode='r'), 0
            for e in apart[number][1]:
                length = len(apart[number][0][0].episodes[e])
                yield e, frames[first:first + length]
                first += length

        return _gathered(output, options, command, [found for found, _ in apart], unpacked)


def _read_apart(path: Path, named: Path, options: Options, file: Path
                ) -> tuple[Planned, list[int]]:
    """Plan a bag, write its frames to `file`; runs in a worker. The episodes' order besides."""
    plan, chosen, report = _plan(path, options, None)
    report['path'] = str(named)
    if not plan.episodes:
        return (plan, chosen, report), []
    width, height = options.image_size
    frames = np.lib.format.open_memmap(file, 'w+', np.uint8, (plan.n_steps, height, width, 3))
    order, first = [], 0
    for e, pixels in _decoded(path, chosen, plan, options, None):
        frames[first:first + len(pixels)] = pixels
        order.append(e)
        first += len(pixels)
    frames.flush()
    return (plan, chosen, report), order


def _gathered(output: str | Path, options: Options, command: str, planned: Sequence[Planned],
              episodes: Callable[[int], Iterator[tuple[int, Frames]]]) -> Report:
    """Write the data set of planned bags, whose frames `episodes(number)` yields."""
    reports = [report for _, _, report in planned]
    if not any(plan.episodes for plan, _, _ in planned):
        raise InputError(_nothing_left(reports, options))
    sources = [{'path': r['path'], 'sha256': r['sha256']} for r in reports]
    with DatasetWriter(output, options.rate_hz, sources=sources, command=command, attributes={
            'action_source': ','.join(sorted({r['action_source'] for r in reports})),
            'ingest_report': json.dumps(reports), **_view(reports)}) as writer:
        for number, (plan, _, _) in enumerate(planned):
            for e, pixels in episodes(number):
                _append(writer, pixels, plan.episodes[e], number)
        digest = writer.digest()
    return {
        'output': str(output), 'rate_hz': options.rate_hz, 'image_size': list(options.image_size),
        'episodes': writer.n_episodes, 'steps': writer.n_steps,
        'duration_s': writer.n_steps / options.rate_hz, 'digest': digest, 'bags': reports}


def _plan(path: Path, options: Options, progress: Callable[[str, float], Progress] | None
          ) -> Planned:
    bearings = schema.CLEARANCE_BEARINGS
    mount = planar(*options.scan_offset) if options.scan_offset else None
    with Bag(path) as bag:
        strays = bag.stray_files()
        hint = f'; not listed in metadata.yaml: {", ".join(strays)}' if strays else ''
        chosen = choose(bag.topics, options.topics, path, hint)
        counts = bag.counts()
        total = sum(counts.get(name, 0) for name in chosen.names)
        advance = progress(f'reading {path.name}', total) if progress else None
        found = survey(bag, chosen, bearings, mount, advance)
        digest = bag.sha256()
        if bag.missing_metadata:
            found.notes.append('the folder has no metadata.yaml: its files were read as they are')
        if strays:
            found.notes.append(f'not listed in metadata.yaml, not read: {", ".join(strays)}')
    plan = plan_episodes(found, path, options.rate_hz, options.action_scale, options.align_lag,
                         options.max_gap_s, options.min_steps, options.command_timeout_s)
    fov = fitted_view(found.camera, options.image_size) if found.camera is not None else None
    if options.horizontal_fov_deg is not None:
        fov = float(np.deg2rad(options.horizontal_fov_deg))
    report: Report = {
        'path': str(path), 'sha256': digest,
        'topics': {'image': chosen.image, 'odometry': chosen.odometry, 'command': chosen.command,
                   'scan': chosen.scan},
        'messages': {name: counts.get(name, 0) for name in chosen.names},
        'aligned_by': dict(found.stamped), 'image_sizes': dict(found.image_sizes),
        'horizontal_fov_rad': fov, 'frames': found.images,
        'scan_mount': found.scan_mount or None, **plan.report}
    return plan, chosen, report


def _decoded(path: Path, chosen: Chosen, plan: Plan, options: Options,
             progress: Progress | None) -> Iterator[tuple[int, Frames]]:
    """Second pass: decode the frames that were chosen; yields whole episodes by number."""
    place = {int(number): (e, i) for e, episode in enumerate(plan.episodes)
             for i, number in enumerate(episode.number)}
    buffers: dict[int, Frames] = {}
    left = Counter(e for e, _ in place.values())
    width, height = options.image_size
    with Bag(path) as bag:
        for number, (_, message) in enumerate(bag.messages([chosen.image])):
            if number not in place:
                continue
            e, i = place[number]
            episode = plan.episodes[e]
            if e not in buffers:
                buffers[e] = np.empty((len(episode), height, width, 3), dtype=np.uint8)
            buffers[e][i] = fit(decode(message.content), options.image_size)
            left[e] -= 1
            if left[e] == 0:
                yield e, buffers.pop(e)
            if progress is not None:
                progress(1)
    if buffers:
        raise InputError(f'{path}: changed while it was read; is it still being recorded?')


def _append(writer: DatasetWriter, pixels: Frames, episode: EpisodePlan,
            bag_number: int) -> None:
    writer.append_episode(
        pixels, episode.action, episode.proprio, episode.pose, episode.stamp, episode.clearance,
        extras={'command': episode.command}, episode_extras={'ep_source': bag_number})


def _view(reports: Sequence[Report]) -> dict[str, float]:
    """Field of view as a file attribute, where all recordings have the same."""
    views = [report['horizontal_fov_rad'] for report in reports]
    if None in views or np.ptp(views) > SAME_VIEW_RAD:
        return {}
    return {'horizontal_fov': float(np.mean(views))}


def _nothing_left(reports: Sequence[Mapping[str, Any]], options: Options) -> str:
    parts = []
    for report in reports:
        dropped = ', '.join(f'{n} {what}' for what, n in report['dropped'].items() if n)
        parts.append(f'{report["path"]}: no episode of at least {options.min_steps} steps at '
                     f'{options.rate_hz:g} Hz is left of {report["frames"]} images '
                     f'({dropped or "none dropped"})')
    return '; '.join(parts) + '; see --min-steps and --max-gap'
