# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Calibrate the energy of a model on held-out drives, without touching a weight.

Rooms are split in three: the first whiten the residuals, the second measure each channel's tail
for each prediction step, the third give the conformal quantiles of the score that is published.
The first two are seen a second time in changing light, so that light is nothing strange.
"""

from collections.abc import Callable, Iterator, Sequence
import copy
from dataclasses import fields, replace
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
import torch
from torch import Tensor

from wm_controller.data.dataset import open_all
from wm_controller.data.windows import Windows
from wm_controller.errors import InputError
from wm_controller.training.nuisance import change_light
from wm_controller.world_model.bundle import load_bundle, save_bundle
from wm_controller.world_model.energy import EnergyTables, Evidence, STEPS, Watch, whitening
from wm_controller.world_model.model import WorldModel
from wm_controller.world_model.recordings import check_fit
from wm_controller.world_model.surprise import fit_tail, Floats, HOLD_S, Quantiles, Steady

SEGMENT = 68     # frames of a drive that are followed in one go
WARM = STEPS     # of them that only give the chain its past
BATCH = 8        # segments
MOST_FRAMES = 8_000
MEMORY_GB = 2.5    # of frames; more lie in a temporary file
LEAST_FRAMES = 100  # in each of the three parts: 0.99 needs 99
SHARES = (0.4, 0.2, 0.4)  # of the rooms
SHRINK = 0.2     # of the covariances towards a round one: few frames against many dimensions
TURNING = 0.1    # rad a step from which the compass's gain shows
PLAUSIBLE_GAIN = (0.5, 2.0)

Report = Callable[[float], Any]
Segment = NDArray[np.int64]


def calibrate(model: WorldModel, windows: Windows, *, seed: int = 0,
              most_frames: int = MOST_FRAMES, report: Report = lambda share: None
              ) -> EnergyTables:
    """Measure the tables on the episodes of held-out windows.

    `report(share)` is called with the share done, 0..1. Raises InputError where the data are too
    few.
    """
    model = copy.deepcopy(model).cpu().eval()
    parts = _split(windows, most_frames, seed)
    follower = _Follower(model, windows, parts, torch.Generator().manual_seed(seed), report)
    follower.measure_gain(parts[0])
    tables = _whitened(follower.twice(parts[0]), follower.gain)
    tables = replace(tables, tails=_tails(tables, follower.twice(parts[1])))
    scores = []
    for segments in _batches(parts[2]):
        evidence = follower.evidence(segments)
        scores.append(_published(tables, evidence, follower.stamps(segments)))
    found = np.concatenate(scores)
    return replace(tables, published=Quantiles.of(found), made_of={
        'frames': [sum(map(len, part)) for part in parts[:2]] + [len(found)],
        'rooms': [len({windows.keys[_episode(windows, rows)] for rows in part})
                  for part in parts]})


def calibrate_if_enough(model: WorldModel, windows: Windows
                        ) -> tuple[EnergyTables | None, dict[str, Any]]:
    """As `calibrate`, for the end of training: the tables and what they were made of.

    None with the reason where the held-out data are too few: surprise is then the first, simple
    one.
    """
    try:
        tables = calibrate(model, windows)
    except InputError as error:
        return None, {'skipped': str(error)}
    return tables, tables.made_of


def recalibrate(paths: Sequence[Path], bundle_path: str | Path, output: Path,
                report: Report = lambda share: None) -> dict[str, Any]:
    """Calibrate a finished bundle on all of some data sets and write it, its weights unchanged.

    Raises InputError where the data do not fit the model, are too few, or are what the model was
    trained on: it predicts those too well. Returns what the tables were made of.
    """
    bundle = load_bundle(bundle_path)
    learned = {str(each.get('digest')) for each in bundle.training.get('data', [])}
    datasets = open_all(list(paths))
    try:
        for data in datasets:
            check_fit(bundle.spec, data)
            if data.digest in learned:
                raise InputError(f'{data.path}: the model was trained on it; calibrate on drives '
                                 'that it has not seen')
        windows = Windows(datasets, WARM + 2, max_memory_gb=MEMORY_GB)
        tables = calibrate(bundle.model, windows, report=report)
        tables.made_of['data'] = [{'name': data.path.name, 'digest': data.digest}
                                  for data in datasets]
        save_bundle(output, bundle.model, gates=bundle.gates, training=bundle.training,
                    energy_quantiles=bundle.energy_quantiles, energy=tables)
    finally:
        for data in datasets:
            data.close()
    return tables.made_of


def _episode(windows: Windows, rows: Segment) -> int:
    first = windows.episode_rows[:, 0]
    return int(np.searchsorted(first, rows[0], side='right')) - 1


def _split(windows: Windows, most_frames: int, seed: int) -> list[list[Segment]]:
    """Cut episodes into segments; whole rooms go to one of three parts, drawn by their names."""
    of_room: dict[str, list[Segment]] = {}
    for episode in np.unique(windows.episode):
        first, stop = windows.episode_rows[episode]
        cuts = np.arange(first, stop, SEGMENT)
        of_room.setdefault(windows.keys[episode], []).extend(
            np.arange(cut, min(cut + SEGMENT, stop)) for cut in cuts
            if min(cut + SEGMENT, stop) - cut > WARM + 2)
    rooms = sorted(of_room, key=lambda key: hashlib.sha256(f'{seed}:{key}'.encode()).digest())
    ordered = [segment for room in rooms for segment in of_room[room]]
    frames = np.cumsum([len(segment) for segment in ordered])
    if not len(frames) or frames[-1] < 3 * (LEAST_FRAMES + WARM):
        total = int(frames[-1]) if len(frames) else 0
        raise InputError(f'calibration has {total} held-out frames in drives of more than '
                         f'{WARM + 2} steps: it needs {3 * (LEAST_FRAMES + WARM)}, better 5000')
    ordered = ordered[:int(np.searchsorted(frames, most_frames)) + 1]
    share = np.cumsum([len(s) for s in ordered]) / sum(len(s) for s in ordered)
    part = np.searchsorted(np.cumsum(SHARES)[:2], share - 1e-9, side='left')
    if len(rooms) >= 3:  # a room lies in the part in which it begins
        keys = [windows.keys[_episode(windows, s)] for s in ordered]
        begun: dict[str, int] = {}
        part = np.array([begun.setdefault(key, int(p)) for key, p in zip(keys, part)])
    parts = [[s for s, p in zip(ordered, part) if p == k] for k in range(3)]
    for rows in parts:
        if sum(len(s) - WARM for s in rows) < LEAST_FRAMES:
            raise InputError('calibration: the rooms or drives are too few or too uneven to be '
                             'split in three; give more data')
    return parts


def _batches(segments: list[Segment]) -> Iterator[list[Segment]]:
    """Segments of one length together."""
    by_length = sorted(segments, key=len)
    begin = 0
    for i in range(1, len(by_length) + 1):
        if i == len(by_length) or i - begin == BATCH or len(by_length[i]) != len(by_length[begin]):
            yield by_length[begin:i]
            begin = i


class _Follower:
    """Follows segments with the model, as the robot would, and gathers the evidence."""

    def __init__(self, model: WorldModel, windows: Windows, parts: list[list[Segment]],
                 generator: torch.Generator, report: Report) -> None:
        self._model, self._windows = model, windows
        self._generator, self._report = generator, report
        frames = [sum(map(len, part)) for part in parts]
        self._total = 2 * frames[0] + 2 * frames[1] + frames[2]
        self._done = 0
        self.gain = 1.0

    def stamps(self, segments: list[Segment]) -> Floats:
        """Return the stamps (B, T) of the frames that have evidence."""
        return np.stack([self._windows.column('stamp')[rows[WARM:]] for rows in segments])

    def measure_gain(self, segments: list[Segment]) -> None:
        """How much further the compass sees the robot turn than odometry does: a median."""
        watch, ratios = Watch(self._model), []
        if watch.compass is None:
            return
        for rows in segments[::4]:
            view = watch.compass.signature(self._pixels([rows])[0])
            seen = watch.turn_seen(view[:-1], view[1:]).numpy()
            driven = self._windows.column('proprio')[rows[1:], 2]
            turning = np.abs(driven) > TURNING
            ratios.append(seen[turning] / driven[turning])
        found = np.concatenate(ratios)
        if len(found) >= 20:
            self.gain = float(np.clip(np.median(found), *PLAUSIBLE_GAIN))

    def twice(self, segments: list[Segment]) -> Evidence:
        """Evidence (n, ...) of all frames, as they were and in changing light."""
        found = []
        for light in (False, True):
            for batch in _batches(segments):
                evidence = self.evidence(batch, light)
                found.append(_mapped(lambda value: value.flatten(0, 1), evidence))
        return _mapped(lambda *values: torch.cat(values), *found)

    @torch.no_grad()
    def evidence(self, segments: list[Segment], light: bool = False) -> Evidence:
        """Evidence (B, T - WARM, ...) of segments of one length."""
        pixels = self._pixels(segments)
        if light:
            pixels = change_light(pixels, self._generator)
        rows = np.stack(segments)
        action, proprio = (torch.from_numpy(self._windows.column(name)[rows].astype(np.float32))
                           for name in ('action', 'proprio'))
        latents = torch.stack([self._model.encode(each) for each in pixels])
        watch = Watch(self._model, self.gain)
        still = torch.zeros_like(action[:, 0])
        state = self._model.observe(self._model.initial_state(len(rows)), latents[:, 0], still,
                                    proprio[:, 0])
        trace = watch.begin(pixels[:, 0], state, latents[:, 0])
        found = []
        for t in range(1, rows.shape[1]):
            trace, evidence = watch.follow(trace, pixels[:, t], latents[:, t], action[:, t - 1],
                                           proprio[:, t])
            if t >= WARM:
                found.append(evidence)
        self._done += rows.size
        self._report(self._done / self._total)
        return _mapped(lambda *values: torch.stack(values, 1), *found)

    def _pixels(self, segments: list[Segment]) -> Tensor:
        rows = np.concatenate(segments)
        return torch.from_numpy(self._windows.images(rows)).unflatten(0, (len(segments), -1))


def _mapped(function: Callable[..., Tensor], *evidence: Evidence) -> Evidence:
    return Evidence(*(function(*(getattr(each, field.name) for each in evidence))
                      for field in fields(Evidence)))


def _whitened(evidence: Evidence, gain: float) -> EnergyTables:
    """Whitening of the residuals; no tails and no quantiles yet."""
    residuals = evidence.prediction
    near = residuals[:, :2].flatten(0, 1)
    white = whitening(near, 0.0)
    basis = white / white.norm(dim=0, keepdim=True)
    variance = (residuals @ basis).pow(2).mean(0)
    scale = ((1 - SHRINK) * variance + SHRINK * variance.mean(-1, keepdim=True)).sqrt()
    known = torch.isfinite(evidence.inverse_dynamics).all(-1)
    motion = (whitening(evidence.inverse_dynamics[known], SHRINK) if int(known.sum()) > 1
              else torch.eye(2))
    return EnergyTables(
        basis, scale.clamp(min=1e-6), whitening(evidence.clearance, SHRINK), motion, gain,
        tails={}, published=Quantiles((), ()), made_of={})


def _tails(tables: EnergyTables, evidence: Evidence) -> dict[str, tuple[Floats, float]]:
    """Tails of each channel, then of what speaks for itself, which is made of them."""
    energies = tables.channels(evidence)
    tails = {name: fit_tail(values) for name, values in energies.items()
             if np.isfinite(values).sum() >= LEAST_FRAMES}
    view = replace(tables, tails=tails).speakers(energies)['view']
    return {**tails, 'view': fit_tail(view)}


def _published(tables: EnergyTables, evidence: Evidence, stamps: Floats) -> Floats:
    """Scores (n,) as they would be published along segments, once the filter is full."""
    flat = _mapped(lambda value: value.flatten(0, 1), evidence)
    scores = tables.score(flat).reshape(stamps.shape)
    found = []
    for row, times in zip(scores, stamps):
        steady = Steady()
        scored = [steady.update(float(t), float(s)) for t, s in zip(times, row)]
        found += [s for t, s in zip(times, scored) if t - times[0] >= HOLD_S]
    published = np.array(found)
    return np.asarray(published[np.isfinite(published)])
