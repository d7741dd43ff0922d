# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Whether a trained model is a better beginning than none: fine-tuned and from scratch, side by side.

One recording is cut in time: the beginning is trained on, the end is predicted. Errors of latents
are in units of each model's own space. So that models compare, a linear map from each one's
latents to a coarse picture is fitted on the beginning; what it says will change is added to the
present picture, and the error is over that of *no change*, which is the same for all. Intervals:
95 %, bootstrapped over blocks of ten seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
import torch

from wm_controller.data.dataset import Dataset
from wm_controller.data.part import write_rows
from wm_controller.data.windows import Windows
from wm_controller.errors import InputError
from wm_controller.evaluation.bench_timing import machine
from wm_controller.evaluation.open_loop import OBSERVED, observed, STEPS
from wm_controller.files import write_whole
from wm_controller.training.loop import train, TrainingOptions
from wm_controller.world_model.bundle import Bundle, load_bundle
from wm_controller.world_model.recordings import check_fit

AHEAD = max(STEPS)
BLOCK_S = 10.0
RESAMPLED = 1000
BATCH = 64
CELL = 8  # pixels of a side that one pixel of a coarse picture is the mean of
RIDGE = 1e-2  # over the mean variance of the latents
OVERTIME_MINUTES = 0.5  # by which the last iteration may end late on a busy machine
SHIPPED, TUNED, SCRATCH = 'as it is', 'fine-tuned', 'from scratch'

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Extent:
    """How much: minutes of one thread's processor time for each model, and how many models."""

    minutes: float = 3.0
    steps: int | None = None
    seeds: tuple[int, ...] = (0, 1, 2)
    held_out: float = 0.2  # of the recording, at its end
    driving_minutes: tuple[float, ...] = ()  # trained on only so much, the last before the end
    batch: int = 32
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        if self.minutes <= 0 or not self.seeds or not 0 < self.held_out < 1:
            raise InputError('--minutes, --seeds and --held-out: above 0, the last below 1')


def run_fine_tuning(data: Path, initial: str, out: Path, extent: Extent,
                    say: Callable[[str], None] = lambda text: None) -> dict[str, Any]:
    """Cut the recording, train the arms, score all on its end.

    Models are kept in `out`, and what is there is not trained again. Returns a row an arm, see
    `_row`, and the paired differences of fine-tuning to scratch.
    """
    torch.set_num_threads(1)
    before = load_bundle(initial)
    out.mkdir(parents=True, exist_ok=True)
    with Dataset.open(data) as recording:
        check_fit(before.spec, recording)
        period_s = recording.step_period_s
        cut = round((1 - extent.held_out) * recording.n_steps)
        later = write_rows(recording, out / 'later.h5', range(cut, recording.n_steps))
        parts = [range(cut), *(range(max(0, cut - round(60 * m / period_s)), cut)
                               for m in extent.driving_minutes)]
        files = [write_rows(recording, out / f'earlier_{len(rows)}.h5', rows) for rows in parts]
    yardstick = Yardstick(files[0], later)
    say(f'scoring {initial}')
    rows = [_row(SHIPPED, None, [yardstick.errors(before)], yardstick)]
    differences = {}
    for rows_used, file in zip(parts, files):
        driven = len(rows_used) * period_s / 60
        found: dict[str, list[Mapping[str, Floats]]] = {TUNED: [], SCRATCH: []}
        for seed in extent.seeds:
            for name, begin in ((TUNED, initial), (SCRATCH, None)):
                options = TrainingOptions(
                    output=out / f'{name.replace(" ", "_")}_{len(rows_used)}_{seed}.safetensors',
                    initial=begin, minutes=extent.minutes, steps=extent.steps, seed=seed,
                    batch=extent.batch, learning_rate=extent.learning_rate, threads=1,
                    processor_time=True)
                if not _is_trained(options, file, before):
                    say(f'{name}, seed {seed}, {driven:.1f} minutes of driving')
                    train([file], options, lambda progress, fraction, terms: None)
                found[name].append(yardstick.errors(load_bundle(options.output)))
        rows += [_row(name, driven, errors, yardstick) for name, errors in found.items()]
        differences[f'{driven:.1f}'] = {
            kind: yardstick.difference(kind, found[TUNED], found[SCRATCH])
            for kind in ('latent', 'picture')}
    result = {
        'machine': machine(), 'data': data.name, 'initial': before.digest,
        'minutes': extent.minutes, 'seeds': list(extent.seeds), 'held_out_steps':
        recording_steps(later), 'windows': yardstick.windows, 'rows': rows,
        'difference': differences, 'mean_view': yardstick.mean_view()}
    write_whole(out / 'finetune.json', (json.dumps(result, indent=2) + '\n').encode())
    return result


def recording_steps(path: Path) -> int:
    with Dataset.open(path) as data:
        return data.n_steps


def _is_trained(options: TrainingOptions, file: Path, initial: Bundle) -> bool:
    """Whether a model of this data, beginning and time is there already."""
    if not options.output.is_file():
        return False
    record = load_bundle(options.output).training
    with Dataset.open(file) as data:
        same = [each['digest'] for each in record['data']] == [data.digest]
    spent = record['iterations'] == options.steps if options.steps is not None else (
        0 <= record['processor_minutes'] - options.minutes <= OVERTIME_MINUTES)
    return bool(same and spent and record['initial'] == (
        initial.digest if options.initial else None) and record['batch'] == options.batch
        and record['learning_rate'] == options.learning_rate)


class Yardstick:
    """The end of a recording, and errors of any model's predictions on it."""

    def __init__(self, earlier: Path, later: Path) -> None:
        columns = ('action', 'proprio')
        with Dataset.open(earlier) as data:
            self._fitted = Windows([data], 1, columns=columns)
            self._usual = np.nanmean(data.action, axis=0)
            pixels = self._fitted.images(self._fitted.starts)
        with Dataset.open(later) as data:
            ahead = Windows([data], OBSERVED + AHEAD, columns=columns)
            self.block = ahead.starts // max(1, round(BLOCK_S / data.step_period_s))
        self.windows = len(ahead)
        self._batch = ahead.batch(np.arange(self.windows))
        self._coarse_before = coarse(pixels)
        self._pixels_before = pixels
        self._coarse = coarse(self._batch['pixels'][:, OBSERVED - 1:])  # (W, T + 1, P)

    @torch.no_grad()
    def errors(self, bundle: Bundle) -> dict[str, Floats]:
        """Errors (W, T) of latents and pictures by what is expected; `..._still`: no change."""
        model = bundle.model
        fit = _ridge(_encoded(model, self._pixels_before), self._coarse_before)
        latents = _encoded(model, self._batch['pixels'])
        action = torch.from_numpy(self._batch['action']).float()
        proprio = torch.from_numpy(self._batch['proprio']).float()
        now = OBSERVED - 1
        state = observed(model, latents, action, proprio, now)
        later = latents[:, now + 1:]
        usual = torch.from_numpy(self._usual).float().expand(len(action), AHEAD, 2)
        found = {'latent_still': _squared(latents[:, now:now + 1] - later),
                 'picture_still': _squared(self._coarse[:, :1] - self._coarse[:, 1:])}
        base = self._coarse[:, :1] - fit(latents[:, now:now + 1])
        found['picture_read'] = _squared(base + fit(later) - self._coarse[:, 1:])
        for name, commands in (('', action[:, now:now + AHEAD]), ('_forward', usual)):
            expected = model.latent_of(model.imagine(state, commands)[0][:, 1:])
            found[f'latent{name}'] = _squared(expected - later)
            found[f'picture{name}'] = _squared(base + fit(expected) - self._coarse[:, 1:])
        return found

    def ratio(self, over: Floats, under: Floats) -> dict[str, list[float]]:
        """Ratio of summed errors (W, T) by steps, with its interval: [ratio, low, high]."""
        return self._by_steps(lambda sums: sums[0] / sums[1], over, under)

    def difference(self, kind: str, one: Sequence[Mapping[str, Floats]],
                   other: Sequence[Mapping[str, Floats]]) -> dict[str, list[float]]:
        """Difference of two arms' ratios on the same windows, with its interval."""
        sums = [np.mean([each[key] for each in arm], 0)
                for arm in (one, other) for key in (kind, f'{kind}_still')]
        return self._by_steps(lambda each: each[0] / each[1] - each[2] / each[3], *sums)

    def mean_view(self) -> dict[str, list[float]]:
        """Error of pictures of always expecting the average view, over that of no change."""
        mean = self._coarse_before.mean(0)
        return self.ratio(_squared(mean - self._coarse[:, 1:]),
                          _squared(self._coarse[:, :1] - self._coarse[:, 1:]))

    def _by_steps(self, figure: Callable[[list[Floats]], Floats], *errors: Floats
                  ) -> dict[str, list[float]]:
        """A figure of summed errors (W, T) by steps, with its interval."""
        names, of = np.unique(self.block, return_inverse=True)
        blocks = [np.zeros((len(names), AHEAD)) for _ in errors]
        for block, each in zip(blocks, errors):
            np.add.at(block, of, each)
        drawn = np.random.default_rng(0).integers(len(names), size=(RESAMPLED, len(names)))
        resampled = figure([block[drawn].sum(1) for block in blocks])
        rows = np.stack([figure([block.sum(0) for block in blocks]),
                         *np.quantile(resampled, [0.025, 0.975], axis=0)])
        return {str(k): [round(float(x), 4) for x in rows[:, k - 1]] for k in STEPS}


def _row(name: str, driven: float | None, errors: Sequence[Mapping[str, Floats]],
         yardstick: Yardstick) -> dict[str, Any]:
    """Ratios of an arm, of its seeds' mean errors; `forward`: under the usual command instead."""
    mean = {key: np.mean([each[key] for each in errors], 0) for key in errors[0]}
    row: dict[str, Any] = {'name': name, 'driving_minutes': driven, 'models': len(errors)}
    for kind in ('latent', 'picture'):
        still = mean[f'{kind}_still']
        row[kind] = yardstick.ratio(mean[kind], still)
        row[f'{kind}_forward'] = yardstick.ratio(mean[f'{kind}_forward'], still)
        row[f'{kind}_seeds'] = {str(k): [round(float(
            each[kind][:, k - 1].sum() / each[f'{kind}_still'][:, k - 1].sum()), 4)
            for each in errors] for k in STEPS}
    # Of latents that are known instead of predicted: no prediction can be read better.
    row['picture_read'] = yardstick.ratio(mean['picture_read'], mean['picture_still'])
    return row


def coarse(pixels: NDArray[np.uint8]) -> Floats:
    """Means of cells of pictures (..., H, W, 3), flat (..., P), 0..1."""
    *shape, height, width, _ = pixels.shape
    rows, columns = height // CELL, width // CELL
    cut = pixels[..., :rows * CELL, :columns * CELL, :].reshape(
        *shape, rows, CELL, columns, CELL, 3)
    return cut.mean((-4, -2)).reshape(*shape, -1) / 255.0


def _encoded(model: Any, pixels: NDArray[np.uint8]) -> torch.Tensor:
    flat = pixels.reshape(-1, *pixels.shape[-3:])
    with torch.no_grad():
        parts = [model.encode(torch.from_numpy(flat[i:i + BATCH]))
                 for i in range(0, len(flat), BATCH)]
    return torch.cat(parts).view(*pixels.shape[:-3], -1)


def _ridge(latents: torch.Tensor, target: Floats) -> Callable[[torch.Tensor], Floats]:
    """Fit target (N, P) linearly on latents (N, E); returns the map."""
    x = latents.double().numpy()
    centre, mean = x.mean(0), target.mean(0)
    x = x - centre
    gram = x.T @ x
    gram += RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram))
    weights = np.linalg.solve(gram, x.T @ (target - mean))
    return lambda values: (values.double().numpy() - centre) @ weights + mean


def _squared(error: torch.Tensor | Floats) -> Floats:
    return np.asarray((error ** 2).mean(-1), dtype=np.float64)
