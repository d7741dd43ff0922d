# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
How much of a model trained on commands one recovers that was trained on video.

All models predict the same latents, the slow components of one encoder's, so that their errors
can be compared. They are trained for equal processor time, and differ in what they know of
commands: all, a share and nothing else, a share beside the rest as video with latent actions, or
nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
import tempfile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wm_controller.data.dataset import Dataset, open_all
from wm_controller.data.windows import Windows
from wm_controller.errors import InputError
from wm_controller.evaluation.imagined import Futures, imagine_futures, INFERRED, NO_COMMANDS
from wm_controller.evaluation.transfer import measure_transfer
from wm_controller.training import frozen, labels
from wm_controller.training.loop import train, TrainingOptions
from wm_controller.training.statistics import describe
from wm_controller.world_model.bundle import load_bundle
from wm_controller.world_model.model import WorldModel
from wm_controller.world_model.spec import Architecture, ModelSpec

STEPS = (1, 4, 8)
LENGTH = 18  # 8 frames seen, 2 s imagined
HELD_OUT = 0.08  # what `wm train` holds out
SMALL = Architecture(encoder_channels=(16, 48, 80), latent=96, state=128, predictor_hidden=128,
                     head_hidden=64)
DYNAMICS = Architecture(encoder_channels=(8, 8, 8), state=96, predictor_hidden=128,
                        head_hidden=64)
RESAMPLES = 1000
BLOCK = 40  # windows that are resampled together where there are few episodes

Progress = Callable[..., None]


@dataclass(frozen=True)
class Study:
    """What to compare; `seconds` of processor time for each model."""

    data: Path
    evaluate: Path | None = None
    encoder: str | None = None
    encoder_steps: int = 1200
    seconds: float = 30.0
    shares: tuple[float, ...] = (0.01, 0.1)
    seeds: int = 2
    width: int = 4
    components: int = 16
    bottleneck: float = 0.08


@dataclass(frozen=True)
class Row:
    """One way to train: the share of steps with commands, and whether the rest is video."""

    name: str
    share: float
    video: bool
    driven_by: str = 'commands'


def rows_of(study: Study) -> list[Row]:
    """All rows of the table, the references first."""
    shares = sorted(study.shares, reverse=True)
    return [
        Row('commands, 100 %', 1.0, False),
        Row('no actions', 0.0, False, NO_COMMANDS),
        *(Row(f'commands, {share:.2g} of the steps alone'.replace(f'{share:.2g}',
              f'{100 * share:g} %'), share, False) for share in shares),
        *(Row(f'video, commands for {100 * share:g} %', share, True) for share in shares),
        Row('video alone, actions inferred from the future', 0.0, True, INFERRED),
    ]


def run_study(study: Study, progress: Progress) -> dict[str, Any]:
    """Train and score every row for every seed; see the module for what is compared."""
    rows = rows_of(study)
    progress(0, total=2 + study.seeds * len(rows), description='encoder from video')
    encoder = _encoder(study)
    progress(1, description='encoding')
    datasets = open_all([study.data, *([study.evaluate] if study.evaluate else [])])
    try:
        training, held_out = _windows(study, datasets, encoder)
        progress(1, description='training')
        components = frozen.slow_components(training, study.components)
        training, held_out = (frozen.project(each, components) for each in (training, held_out))
        spec = describe(datasets[:1], training, replace(DYNAMICS, latent=study.components))
        found: dict[str, list[Futures]] = {row.name: [] for row in rows}
        transfers = []
        for seed in range(study.seeds):
            for row in rows:
                model = _train(study, row, seed, spec, training)
                found[row.name].append(imagine_futures(model, held_out, row.driven_by))
                if row.video:
                    transfers.append({'row': row.name, 'seed': seed, **measure_transfer(
                        model, training, held_out, seed)})
                progress(1, description=row.name)
        return {
            'data': study.data.name, 'data_digest': datasets[0].digest,
            'evaluated_on': datasets[-1].path.name, 'held_out': study.evaluate is None,
            'training_steps': int(training.used_rows().sum()),
            'windows': len(held_out), 'episodes': int(len(np.unique(held_out.episode))),
            'encoder': study.encoder or 'trained on the video alone',
            'seconds_each': study.seconds, 'seeds': study.seeds, 'latent_action': study.width,
            'components': study.components,
            'rows': _table(rows, found, held_out), 'transfer': transfers,
        }
    finally:
        for data in datasets:
            data.close()


def _encoder(study: Study) -> WorldModel:
    """The encoder that all share: a bundle's, or one trained on the video without labels."""
    if study.encoder is not None:
        return load_bundle(study.encoder).model
    with tempfile.TemporaryDirectory() as folder:
        options = TrainingOptions(
            Path(folder) / 'encoder.safetensors', steps=study.encoder_steps, batch=16, threads=1,
            labels=0.0, architecture=replace(SMALL, latent_action=study.width))
        train([study.data], options, lambda *_: None)
        return load_bundle(options.output).model


def _windows(study: Study, datasets: list[Dataset],
             encoder: WorldModel) -> tuple[Windows, Windows]:
    width, height = datasets[0].image_size
    if (height, width) != tuple(encoder.spec.image_size):
        raise InputError(f'{study.data}: its images are {width}x{height}, the encoder takes '
                         '{}x{}; ingest the recording at that size'.format(
                             *encoder.spec.image_size[::-1]))
    parts = []
    for data in datasets:
        windows = Windows([data], LENGTH)
        mirror = data is datasets[0]  # what is only scored is not turned about
        parts.append(windows.with_columns(frozen.encode_rows(encoder, windows, mirror)))
    return (parts[0], parts[1]) if len(parts) == 2 else parts[0].split(HELD_OUT, seed=0)


def _train(study: Study, row: Row, seed: int, spec: ModelSpec,
           training: Windows) -> WorldModel:
    known = labels.keep(training, row.share, seed, row.video)
    options = frozen.DynamicsOptions(seconds=study.seconds, seed=seed)
    options = replace(options, weights=replace(options.weights,
                                               latent_bottleneck=study.bottleneck))
    architecture = replace(spec.architecture, latent_action=study.width if row.video else 0)
    return frozen.train_dynamics(replace(spec, architecture=architecture), known, options)


def _table(rows: list[Row], found: dict[str, list[Futures]],
           held_out: Windows) -> list[dict[str, Any]]:
    """Persistence ratios with intervals, and what each row recovers of the labelled model."""
    groups = _groups(held_out)
    full, none = (_mean(found[row.name]) for row in rows[:2])
    weights = _resamples(len(np.unique(groups)))
    table = []
    for row in rows:
        each = found[row.name]
        mean = _mean(each)
        entry: dict[str, Any] = {'row': row.name, 'persistence_ratio': {}, 'ci95': {},
                                 'seeds': {}, 'recovered': {}, 'recovered_ci95': {}}
        for step in STEPS:
            i, key = step - 1, str(step)
            ratio, samples = _ratios(mean, i, groups, weights)
            entry['persistence_ratio'][key] = round(ratio, 4)
            entry['ci95'][key] = _interval(samples)
            entry['seeds'][key] = [round(_ratios(one, i, groups, weights[:1])[0], 4)
                                   for one in each]
            top, top_samples = _ratios(full, i, groups, weights)
            floor, floor_samples = _ratios(none, i, groups, weights)
            gap = floor_samples - top_samples
            # Where commands win nothing for certain, there is nothing to recover a share of.
            certain = bool(np.quantile(gap, 0.025) > 0)
            entry['recovered'][key] = (
                round((floor - ratio) / (floor - top), 3) if certain else None)
            entry['recovered_ci95'][key] = (
                _interval((floor_samples - samples) / gap) if certain else None)
        entry['pose_error_m'] = _rounded(np.mean([one.pose_error_m for one in each]))
        entry['yaw_error_rad'] = _rounded(np.mean([one.yaw_error_rad for one in each]))
        table.append(entry)
    return table


def _mean(each: list[Futures]) -> Futures:
    """Errors (W, T) averaged over the seeds."""
    return replace(each[0], error=np.mean([one.error for one in each], 0))


def _groups(windows: Windows) -> NDArray[np.int64]:
    """What is resampled together (W,): episodes, or blocks of time where they are few."""
    episodes = np.unique(windows.episode, return_inverse=True)[1]
    if episodes.max() >= 7:
        return np.asarray(episodes)
    return np.asarray(np.arange(len(windows)) // BLOCK)


def _resamples(groups: int) -> NDArray[np.float64]:
    """How often (R, G) each group is drawn in each resample; the first is the sample itself."""
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(groups, np.full(groups, 1 / groups), size=RESAMPLES)
    return np.vstack([np.ones(groups), drawn])


def _ratios(futures: Futures, i: int, groups: NDArray[np.int64],
            weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    error = np.bincount(groups, futures.error[:, i])
    still = np.bincount(groups, futures.still[:, i])
    samples = (weights @ error) / (weights @ still)
    return float(samples[0]), samples[1:]


def _interval(samples: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.quantile(samples, (0.025, 0.975)) if len(samples) else (np.nan, np.nan)
    return round(float(low), 4), round(float(high), 4)


def _rounded(value: Any) -> float:
    return round(float(value), 4)
