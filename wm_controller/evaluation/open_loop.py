# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Score predictions on recordings, without driving.

From states that have seen a while of a recording, the model imagines two seconds under the
actions that were taken. What it expects to see is compared with what was seen, beside *no
change* and the average view; where it expects to be with where odometry went, beside *no change*,
*always forward* and the commands taken at their word.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wm_controller.data.dataset import Dataset
from wm_controller.data.windows import Windows
from wm_controller.errors import InputError
from wm_controller.evaluation.metrics import absolute_trajectory_error, relative_pose_error
from wm_controller.evaluation.pictures import PictureScore, summarise_pictures
from wm_controller.safety.geometry import chained, integrate, relative
from wm_controller.world_model.bundle import Bundle, load_bundle
from wm_controller.world_model.model import WorldModel
from wm_controller.world_model.recordings import check_fit

STEPS = (1, 2, 4, 8)
OBSERVED = 8  # frames that are seen before anything is imagined, unless asked otherwise
RESAMPLES = 1000
HORIZON_S = 2.0
MOST_WINDOWS = 2048
BATCH = 32
HELD_OUT = 0.1  # the share that `wm train` holds out


def score(model: str | Path, data: Path, on_progress: Callable[..., None],
          seen_frames: int = OBSERVED) -> dict[str, Any]:
    """Score a bundle on a data set; on what training held out, where it was trained on it.

    `seen_frames` go before each prediction: the more, the more of the room has been seen.
    """
    if seen_frames < 1:
        raise InputError(f'{seen_frames} frames seen: at least 1, to begin from')
    return score_bundle(load_bundle(model), data, on_progress, seen_frames)


def score_bundle(bundle: Bundle, data: Path, on_progress: Callable[..., None],
                 seen_frames: int = OBSERVED, most: int = MOST_WINDOWS) -> dict[str, Any]:
    """As `score`, a bundle that is loaded, on at most so many windows."""
    with Dataset.open(data) as dataset:
        check_fit(bundle.spec, dataset)
        period_s = dataset.step_period_s
        horizon = max(1, round(HORIZON_S / period_s))
        length = seen_frames + max(horizon, *STEPS)
        windows = Windows([dataset], length, columns=('action', 'proprio', 'pose', 'clearance'))
        seen = _trained_on(bundle, dataset)
        if seen:
            windows = windows.split(HELD_OUT, seed=0)[1]
        chosen = _spread(len(windows), most)
        on_progress(0, total=len(chosen))
        pictures = PictureScore.of(bundle.model, windows, chosen)
        rows = []
        for part in np.array_split(chosen, max(1, len(chosen) // BATCH)):
            rows.append(_predict(bundle.model, windows, part, seen_frames, horizon, pictures))
            on_progress(len(part))
        scores = {key: np.concatenate([row[key] for row in rows]) for key in rows[0]}
        return {
            'data': dataset.path.name,
            'data_digest': dataset.digest,
            'model_digest': bundle.digest,
            'held_out_only': seen,
            'windows': len(chosen),
            'episodes': int(len(np.unique(windows.episode))),
            'step_period_s': period_s,
            'seen_frames': seen_frames,
            'horizon_s': horizon * period_s,
            'persistence_ratio': _over_no_change(scores, scores['error']),
            'mean_ratio': _over_no_change(scores, _error_of_the_mean(scores)),
            'trajectory': _trajectories(scores),
            'clearance': _clearance(scores, windows.episode[chosen]),
            'pictures': None if pictures is None else summarise_pictures(
                scores, windows.episode[chosen]
            ),
        }


def _trained_on(bundle: Bundle, dataset: Dataset) -> bool:
    """Whether this very data set, and it alone, was trained on: its split is known then."""
    used = [str(each.get('digest')) for each in bundle.training.get('data', [])]
    if dataset.digest in used and len(used) > 1:
        raise InputError(
            f'{dataset.path}: the model was trained on this data set among others, so what was '
            'held out is not known here: score it on data that it has not seen'
        )
    return dataset.digest in used


def _spread(count: int, most: int) -> np.ndarray:
    """Windows (W,) spread evenly over all there are."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(int))


@torch.no_grad()
def _predict(
    model: WorldModel,
    windows: Windows,
    chosen: np.ndarray,
    seen_frames: int,
    horizon: int,
    pictures: PictureScore | None,
) -> dict[str, np.ndarray]:
    """Imagine from the last observed frame of windows (B,); errors and paths (B,T+1,3)."""
    batch = windows.batch(chosen)
    now, steps = seen_frames - 1, windows.length - seen_frames
    action = torch.from_numpy(batch['action'].astype(np.float32))
    pixels = torch.from_numpy(batch['pixels'])
    latents = model.encode(pixels.flatten(0, 1)).unflatten(0, pixels.shape[:2])
    state = observed(model, latents, action, torch.from_numpy(batch['proprio']).float(), now)
    states, changes = model.imagine(state, action[:, now : now + steps])
    later = latents[:, now + 1 : now + 1 + steps]
    expected = model.latent_of(states[:, 1:])
    pose = batch['pose']
    drawn = {} if pictures is None else pictures.rows(
        states, batch['pixels'][:, now:], latents[:, now:]
    )
    true = np.minimum(batch['clearance'][:, now:now + 1 + steps], model.spec.clearance_max)
    read = model.clearance(states[:, 1:])[..., 1, :].numpy()
    return {
        **drawn,
        'clearance_error': np.abs(read - true[:, 1:]).mean(-1) if true.shape[-1] else (
            np.full(true.shape[:2], np.nan)[:, 1:]),
        'clearance_still': np.abs(true[:, :1] - true[:, 1:]).mean(-1) if true.shape[-1] else (
            np.full(true.shape[:2], np.nan)[:, 1:]),
        'error': (expected - later).pow(2).mean(-1).numpy(),
        'later': later.numpy(),
        'still': (latents[:, now : now + 1] - later).pow(2).mean(-1).numpy(),
        'imagined': chained(changes[:, :horizon].numpy().astype(np.float64)),
        'commanded': _dead_reckoned(
            batch['action'][:, now : now + horizon].astype(np.float64), model.spec.step_period_s
        ),
        'driven': relative(pose[:, now, None], pose[:, now : now + horizon + 1]),
    }


def observed(
    model: WorldModel, latents: Tensor, action: Tensor, proprio: Tensor, now: int
) -> Tensor:
    """State (B,S) after the frames up to `now`, each with the action that led to it."""
    before = torch.cat([torch.zeros_like(action[:, :1]), action[:, :now]], 1)
    seen = slice(now + 1)
    return model.follow(latents[:, seen], before, proprio[:, seen])[:, -1]


def _dead_reckoned(actions: np.ndarray, period_s: float) -> np.ndarray:
    """Poses (B,T+1,3) of a robot that does at once what actions (B,T,2) command."""
    still = np.zeros((len(actions), actions.shape[1], 3))
    return chained(integrate(still, actions[..., 0], actions[..., 1], period_s))


def _error_of_the_mean(scores: Mapping[str, np.ndarray]) -> np.ndarray:
    """Error (W,T) of always expecting the average view: what needs no prediction at all."""
    later = scores['later']
    return ((later - later.mean((0, 1))) ** 2).mean(-1)


def _over_no_change(scores: Mapping[str, np.ndarray], error: np.ndarray) -> dict[str, float]:
    ratio = error.mean(0) / np.maximum(scores['still'].mean(0), 1e-12)
    return {str(step): round(float(ratio[step - 1]), 4) for step in STEPS}


def _clearance(scores: Mapping[str, np.ndarray], episode: np.ndarray) -> dict[str, Any]:
    """Error of the clearance ahead, m, and over that of no change, by steps; {} without scans.

    Intervals of the ratio: 95 %, bootstrap over episodes.
    """
    known = np.isfinite(scores['clearance_error']).all(1) & np.isfinite(
        scores['clearance_still']).all(1)
    if not known.any():
        return {}
    numbers, rows = np.unique(episode[known], return_inverse=True)
    parts = np.zeros((2, len(numbers), scores['clearance_error'].shape[1]))
    for part, name in zip(parts, ('clearance_error', 'clearance_still')):
        np.add.at(part, rows, scores[name][known])
    drawn = np.random.default_rng(0).integers(len(numbers), size=(RESAMPLES, len(numbers)))
    resampled = parts[:, drawn].sum(2)
    found = {}
    for step in STEPS:
        error, still = parts[:, :, step - 1].sum(1) / known.sum()
        low, high = np.quantile(resampled[0, :, step - 1] / np.maximum(
            resampled[1, :, step - 1], 1e-12), [0.025, 0.975])
        found[str(step)] = {
            'error_m': round(float(error), 4), 'no_change_m': round(float(still), 4),
            'ratio': round(float(error / max(still, 1e-12)), 4),
            'ratio_ci95': [round(float(low), 4), round(float(high), 4)]}
    return found


def _trajectories(scores: Mapping[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """ATE and RPE of each prediction; empty where the recording has no odometry."""
    known = np.isfinite(scores['driven']).all(axis=(1, 2))
    if not known.any():
        return {}
    driven = scores['driven'][known]
    steps = driven.shape[1] - 1
    forward = np.zeros_like(driven)
    # As fast as this recording goes on average: the best that a constant can do.
    pace = float(np.hypot(driven[:, -1, 0], driven[:, -1, 1]).mean()) / steps
    forward[..., 0] = pace * np.arange(steps + 1)
    paths = {
        'model': scores['imagined'][known],
        'no change': np.zeros_like(driven),
        'always forward': forward,
        'commands at their word': scores['commanded'][known],
    }
    rows = {}
    for name, path in paths.items():
        metres, radians = relative_pose_error(path, driven)
        rows[name] = {
            'ate_m': round(absolute_trajectory_error(path, driven), 4),
            'rpe_m': round(metres, 4),
            'rpe_rad': round(radians, 4),
        }
    return rows
