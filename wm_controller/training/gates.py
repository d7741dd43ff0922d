# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Gates: what a model must show on held-out data before a robot may drive with it."""

import math
from typing import Any

import numpy as np
from scipy.stats import spearmanr
import torch
from torch import Tensor

from wm_controller.data.windows import Windows
from wm_controller.training import coverage, image_reach, losses
from wm_controller.training.batches import assemble
from wm_controller.training.objective import Objective

STEPS = (1, 2, 4, 8)
MAX_PERSISTENCE = {1: 1.0, 2: 1.0, 4: 0.8, 8: 0.8}
MIN_EFFECTIVE_RANK = 16.0
MIN_REACH_CORRELATION = 0.5
SURPRISE_FALSE_ALARMS = 0.01  # share of ordinary steps that the surprise threshold lets alarm
QUANTILES = 101


def measure(objective: Objective, windows: Windows, *, seed: int = 0, sequences: int = 2048,
            batch: int = 64) -> tuple[dict[str, Any], tuple[float, ...]]:
    """Score the model on held-out windows.

    Returns the gates (figures, limits, `passed`, `failed`: names) and the energy's quantiles.
    """
    return judge(score(objective, windows, seed=seed, sequences=sequences, batch=batch))


@torch.no_grad()
def score(objective: Objective, windows: Windows, *, seed: int = 0, sequences: int = 2048,
          batch: int = 64) -> dict[str, Tensor]:
    """Errors of W windows drawn without repetition, by name; `window`: which they were, (W,)."""
    model = objective.model
    device = next(model.parameters()).device
    training = model.training
    model.eval()
    rng = np.random.default_rng([seed, 7])
    chosen = rng.permutation(len(windows))[:sequences]
    reach_steps = max(1, round(model.spec.reach_max_s / model.spec.step_period_s))
    rows: list[dict[str, Tensor]] = []
    for part in np.array_split(chosen, max(1, len(chosen) // batch)):
        drawn = assemble(windows, part, rng, reach_steps, model.spec.architecture.image_reach)
        data = {k: v.to(device) for k, v in drawn.items()}
        rows.append({**_score(objective, data), 'episode': torch.from_numpy(
            windows.episode[part])})
    model.train(training)
    scores = {key: torch.cat([row[key] for row in rows]).cpu() for key in rows[0]}
    return {**scores, 'window': torch.from_numpy(chosen)}


def predicted(objective: Objective, latents: Tensor, states: Tensor, imagined: Tensor,
              clearance: Tensor, now: int) -> dict[str, Tensor]:
    """Errors of futures (B, T + 1, S) imagined from frame `now`, beside those of no change.

    Of latents (B, L, E): `error` and `still` (B, T); of clearance (B, L, K) m: `clearance_now`,
    and `clearance_later` (B, K), of the last step.
    """
    model, steps = objective.model, imagined.shape[1] - 1
    seen = latents[:, now + 1:now + 1 + steps]
    return {
        'error': (model.latent_of(imagined[:, 1:]) - seen).pow(2).mean(-1),
        'still': (latents[:, now:now + 1] - seen).pow(2).mean(-1),
        'clearance_now': (model.clearance(states[:, now])[:, 1] - clearance[:, now]).abs(),
        'clearance_later': (model.clearance(imagined[:, -1])[:, 1]
                            - clearance[:, now + steps]).abs()}


def _score(objective: Objective, data: dict[str, Tensor]) -> dict[str, Tensor]:
    model = objective.model
    now = data['pixels'].shape[1] - 1 - max(STEPS)  # all that a window has may be remembered
    latents, _ = objective.encode(data['pixels'])
    states = objective.filter(latents, data)
    steps = max(STEPS)
    imagined, changes = model.imagine(states[:, now], data['action'][:, now:now + steps])
    errors = predicted(objective, latents, states, imagined, data['clearance'], now)
    true_now, true_later = data['clearance'][:, now], data['clearance'][:, now + steps]
    ahead = model.clearance(imagined[:, 1:])[..., 1, :]
    true_ahead = data['clearance'][:, now + 1:now + 1 + steps]
    moved = (changes - data['proprio'][:, now + 1:now + 1 + steps, :3])[..., :2].norm(dim=-1)
    goal = data['reach_goal'][:, now]
    return {
        **coverage.spreads(objective, data, states[:, now], latents, now, steps),
        'commanded': torch.isfinite(data['action'][:, now:now + steps]).all(-1).all(-1),
        **errors, 'energy': errors['error'][:, 0],
        'latents': latents[:, now],
        'clearance_ahead': (ahead - true_ahead).abs().nanmean(-1),
        'clearance_ahead_still': (true_now.unsqueeze(1) - true_ahead).abs().nanmean(-1),
        'clearance_still': (true_now - true_later).abs(),
        'move_error': moved[:, 0], 'move_error_later': moved[:, -1],
        'reach_distance': goal.norm(dim=-1),
        'reach_guess': model.time_to_reach(states[:, now], torch.nan_to_num(goal)),
        'reach_time': data['reach_time'][:, now],
        **image_reach.score(objective, states[:, now], imagined[:, -1], data, now, steps),
    }


def judge(scores: dict[str, Tensor]) -> tuple[dict[str, Any], tuple[float, ...]]:
    """What `measure` returns, of the errors that `score` found."""
    quantiles = np.quantile(scores['energy'].numpy(), np.linspace(0, 1, QUANTILES))
    return _gates(scores, quantiles), tuple(float(q) for q in quantiles)


def _gates(scores: dict[str, Tensor], quantiles: np.ndarray) -> dict[str, Any]:
    # A video has no commands to predict under: nothing of it says whether they are understood.
    commanded = scores['commanded']
    ratio = (scores['error'][commanded].mean(0) / scores['still'][commanded].mean(0)).tolist()
    persistence = {str(k): None if math.isnan(ratio[k - 1]) else round(ratio[k - 1], 4)
                   for k in STEPS}
    rank = losses.effective_rank(scores['latents'])
    correlation = _reach_correlation(scores)
    failed = [f'persistence_{k}' for k in STEPS if not ratio[k - 1] <= MAX_PERSISTENCE[k]]
    if not rank >= MIN_EFFECTIVE_RANK:
        failed.append('effective_rank')
    if correlation is not None and not correlation >= MIN_REACH_CORRELATION:
        failed.append('reach_correlation')
    return {
        'passed': not failed, 'failed': failed,
        'persistence_ratio': persistence,
        'effective_rank': round(rank, 1),
        'reach_correlation': correlation,
        'surprise_threshold': float(np.interp(1 - SURPRISE_FALSE_ALARMS,
                                              np.linspace(0, 1, len(quantiles)), quantiles)),
        'surprise_false_alarm_rate': SURPRISE_FALSE_ALARMS,
        'clearance_error_m': mean_of_known(scores['clearance_now']),
        'clearance_error_8_steps_m': mean_of_known(scores['clearance_later']),
        'clearance_no_change_8_steps_m': mean_of_known(scores['clearance_still']),
        'pose_error_per_step_m': mean_of_known(scores['move_error'], digits=5),
        'uncertainty': coverage.judge(scores, scores['episode'].numpy()),
        **image_reach.correlations(scores),
        'sequences': int(scores['error'].shape[0]),
        'limits': {'persistence_ratio': {str(k): v for k, v in MAX_PERSISTENCE.items()},
                   'effective_rank': MIN_EFFECTIVE_RANK,
                   'reach_correlation': MIN_REACH_CORRELATION},
    }


def _reach_correlation(scores: dict[str, Tensor]) -> float | None:
    """Rank correlation of the guessed with the travelled time, on goals that were not at hand."""
    known = torch.isfinite(scores['reach_distance']) & (scores['reach_distance'] > 0.1)
    if int(known.sum()) < 20:
        return None
    result = spearmanr(scores['reach_guess'][known].numpy(), scores['reach_time'][known].numpy())
    return round(float(result.statistic), 4)


def mean_of_known(values: Tensor, digits: int = 4) -> float | None:
    """Return the mean of what is finite, None where nothing is."""
    finite = values[torch.isfinite(values)]
    return round(float(finite.mean()), digits) if finite.numel() else None
