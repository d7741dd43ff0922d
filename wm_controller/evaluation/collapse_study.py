# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Ways to train without collapse, and encoders, side by side: one data set, equal time, one table.

Errors of latents are in units of each latent space, so their ratio to *no change* compares
models only roughly. What compares them is in metres: clearance and motion of the base read from
imagined states, and drives. Intervals of errors are bootstrapped over episodes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
import json
from pathlib import Path
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
import torch

from wm_controller.data.dataset import Dataset
from wm_controller.data.windows import Windows
from wm_controller.errors import InputError
from wm_controller.evaluation.bench_timing import machine
from wm_controller.evaluation.study import run_study, Study
from wm_controller.evaluation.tasks import TaskSpec
from wm_controller.files import write_whole
from wm_controller.training.collapse.methods import method_class, METHODS
from wm_controller.training.gates import judge, score, STEPS
from wm_controller.training.loop import train, TrainingOptions
from wm_controller.training.objective import Horizon, Objective, Weights
from wm_controller.world_model.bundle import Bundle, load_bundle
from wm_controller.world_model.encoders import with_encoder
from wm_controller.world_model.precision import bfloat16_pays
from wm_controller.world_model.spec import Architecture

WINDOW = 16
SEQUENCES = 768
RESAMPLED = 1000
ENCODE_CALLS = 100
OVERTIME_MINUTES = 0.2  # by which the last iteration may end late
SEPARATOR = '+'  # between a regulariser and an encoder
DEFAULT = (*METHODS, f'vicreg{SEPARATOR}efficientnet_lite0')


@dataclass(frozen=True)
class Budget:
    """What each row may spend: minutes of one thread's processor time, or iterations."""

    minutes: float = 4.0
    steps: int | None = None
    batch: int = 32
    width: float = 1.0  # of every network, over the default; the latent keeps its size
    seed: int = 0
    episodes: int = 0  # drives of each model; 0: prediction alone


def run_collapse_study(
    data: Sequence[Path],
    held_out: Path,
    out: Path,
    budget: Budget,
    names: Sequence[str] = DEFAULT,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Train, score and drive each way; models and rows are kept in `out`, trained ones reused."""
    # What is wrong with the input shows before hours of work, not after.
    runs = [_options(name, out, budget) for name in names]
    digests = [_digest(path) for path in data]
    held_out_digest = _digest(held_out)
    if held_out_digest in digests:
        raise InputError(f'{held_out}: is trained on: name a data set of other rooms')
    torch.set_num_threads(1)
    rows = []
    for name, options in zip(names, runs):
        if not _is_trained(options, digests):
            say(f'{name}: training')
            train(list(data), options, lambda progress, fraction, terms: None)
        say(f'{name}: scoring')
        bundle = load_bundle(options.output)
        row = {'name': name, **_record(bundle), **predictions(bundle, held_out)}
        if budget.episodes:
            say(f'{name}: driving')
            row['driving'] = _drive(options.output, budget, out / 'runs')
        rows.append(row)
        write_whole(out / f'{_file(name)}.json', (json.dumps(row, indent=2) + '\n').encode())
    return {
        'machine': machine(),
        'budget': asdict(budget),
        'data': digests,
        'held_out': {'name': held_out.name, 'digest': held_out_digest},
        'rows': rows,
    }


def _digest(path: Path) -> str:
    with Dataset.open(path) as dataset:
        return dataset.digest


def _options(name: str, out: Path, budget: Budget) -> TrainingOptions:
    """How to train the row REGULARISER or REGULARISER+ENCODER; raises InputError."""
    regulariser, _, encoder = name.partition(SEPARATOR)
    architecture = with_encoder(scaled(budget.width), encoder or 'conv')
    return TrainingOptions(
        output=out / f'{_file(name)}.safetensors',
        minutes=budget.minutes,
        steps=budget.steps,
        batch=budget.batch,
        seed=budget.seed,
        threads=1,
        processor_time=True,
        regulariser=regulariser,
        architecture=method_class(regulariser).architecture(architecture),
    )


def _file(name: str) -> str:
    return name.replace('/', '-')  # of timm/MODEL


def scaled(width: float) -> Architecture:
    """The default architecture with every width scaled, to multiples of 8 as norms need them."""

    def of(size: int) -> int:
        return max(8, 8 * round(size * width / 8))

    a = Architecture()
    stem, middle, last = (of(channels) for channels in a.encoder_channels)
    return replace(
        a,
        encoder_channels=(stem, middle, last),
        state=of(a.state),
        predictor_hidden=of(a.predictor_hidden),
        head_hidden=of(a.head_hidden),
    )


def _is_trained(options: TrainingOptions, digests: Sequence[str]) -> bool:
    """Whether a model of this data, way and budget is there already."""
    if not options.output.is_file():
        return False
    bundle = load_bundle(options.output)
    record = bundle.training
    if options.steps is not None:
        spent = record['iterations'] == options.steps
    else:
        spent = 0 <= record['processor_minutes'] - options.minutes <= OVERTIME_MINUTES
    return bool(
        spent
        and [each['digest'] for each in record['data']] == list(digests)
        and all(record[key] == getattr(options, key) for key in ('regulariser', 'seed', 'batch'))
        and bundle.spec.architecture == options.architecture
    )


def _record(bundle: Bundle) -> dict[str, Any]:
    record = bundle.training
    return {
        'regulariser': record['regulariser'],
        'encoder': bundle.spec.architecture.encoder,
        'seed': record['seed'],
        'weights': sum(value.numel() for value in bundle.model.state_dict().values()),
        'frames': record['frames'],
        'iterations': record['iterations'],
        'minutes': record['minutes'],
        'processor_minutes': record['processor_minutes'],
        'encode_ms': round(_encode_ms(bundle), 2),
        'model_digest': bundle.digest,
    }


@torch.no_grad()
def _encode_ms(bundle: Bundle) -> float:
    """Processor time of encoding one image, ms: what others do on the machine hardly matters."""
    pixels = torch.zeros((1, *bundle.spec.image_size, 3), dtype=torch.uint8)
    bundle.model.encode(pixels)
    begun = time.process_time()
    for _ in range(ENCODE_CALLS):
        bundle.model.encode(pixels)
    return 1e3 * (time.process_time() - begun) / ENCODE_CALLS


def predictions(bundle: Bundle, held_out: Path) -> dict[str, Any]:
    """Errors on episodes never trained on, each with what needs no model beside it."""
    objective = Objective(bundle.model, Horizon(), Weights(), bfloat16_pays())
    with Dataset.open(held_out) as dataset:
        windows = Windows([dataset], WINDOW)
        scores = score(objective, windows, sequences=SEQUENCES)
        episode = windows.episode[scores['window'].numpy()]
    gates, _ = judge(scores)
    varied = scores['latents'].var(0, unbiased=False).mean()
    return {
        'persistence_ratio': _ratios(scores['error'], scores['still'], episode),
        'mean_ratio': {
            str(k): round(float(varied / scores['still'][:, k - 1].mean()), 4) for k in STEPS
        },
        'clearance_ratio': _ratios(
            scores['clearance_ahead'], scores['clearance_ahead_still'], episode
        ),
        'clearance_error_m': gates['clearance_error_m'],
        'clearance_error_8_steps_m': gates['clearance_error_8_steps_m'],
        'clearance_no_change_8_steps_m': gates['clearance_no_change_8_steps_m'],
        'pose_error_per_step_m': gates['pose_error_per_step_m'],
        'pose_error_8th_step_m': round(float(scores['move_error_later'].nanmean()), 5),
        'effective_rank': gates['effective_rank'],
        'reach_correlation': gates['reach_correlation'],
        'passed': gates['passed'],
    }


def _ratios(
    error: torch.Tensor, still: torch.Tensor, episode: NDArray[np.int64]
) -> dict[str, list[float]]:
    """Error over that of no change, by steps: [ratio, low, high], 95 % over episodes."""
    names, of = np.unique(episode, return_inverse=True)
    drawn = np.random.default_rng(0).integers(len(names), size=(RESAMPLED, len(names)))
    found = {}
    for steps in STEPS:
        over, under = (values[:, steps - 1].double().numpy() for values in (error, still))
        known = np.isfinite(over) & np.isfinite(under)
        sums = [np.bincount(of[known], each[known], len(names)) for each in (over, under)]
        if not known.any():
            continue
        resampled = sums[0][drawn].sum(1) / np.maximum(sums[1][drawn].sum(1), 1e-12)
        low, high = np.quantile(resampled, [0.025, 0.975])
        ratio = sums[0].sum() / max(sums[1].sum(), 1e-12)
        found[str(steps)] = [round(float(x), 4) for x in (ratio, low, high)]
    return found


def _drive(model: Path, budget: Budget, out: Path) -> Mapping[str, Any]:
    """Drive by camera alone: with a laser, the guardrail would make up for what is not seen."""
    study = Study(TaskSpec(), 'flat', budget.episodes, str(model), scan=False, out=out)
    summary = run_study(study, lambda: None)[1]
    kept = ('episodes', 'success_rate', 'success_ci95', 'reached_rate', 'spl',
            'collisions_per_100m', 'bumped_episodes', 'timeouts', 'deadline_misses')  # fmt: skip
    return {key: summary[key] for key in kept}
