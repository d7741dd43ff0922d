# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Whether the model knows how wrong it may be: predicted against true error, step by step.

One half of the held-out windows says by which factor predicted deviations must be stretched for an
interval to hold what it promises (split conformal prediction, Lei et al. 2018); the other half
says whether it does.
"""

import math
from typing import Any

import numpy as np
from scipy.stats import spearmanr
import torch
from torch import Tensor

from wm_controller.training.objective import Objective
from wm_controller.world_model import uncertainty
from wm_controller.world_model.heads import CLEARANCE_MIN

INTERVAL = 0.9
NORMAL_INTERVAL = 1.6449  # half width of that interval of a Gaussian, in standard deviations
PER_MEMBER = 6  # futures of each member of the ensemble
MIN_ROWS = 40


@torch.no_grad()
def spreads(objective: Objective, data: dict[str, Tensor], state: Tensor, latents: Tensor,
            now: int, steps: int) -> dict[str, Tensor]:
    """Deviations predicted and errors made from frame `now` on; rows (B, steps, E or K)."""
    model = objective.model
    actions = data['action'][:, now:now + steps]
    generator = torch.Generator(state.device).manual_seed(0)
    imagined = uncertainty.futures(model, state, actions, PER_MEMBER, generator)[..., 1:, :]
    mean, deviation = uncertainty.latent_spread(model, imagined)
    seen = slice(now + 1, now + 1 + steps)
    centre, width = uncertainty.clearance_spread(model, imagined)
    clearance = data['clearance'][:, seen].clamp(CLEARANCE_MIN, model.spec.clearance_max).log()
    expected = model.imagine(state, actions)[0][:, :-1]
    return {'latent_error': (mean - latents[:, seen]).abs(), 'latent_deviation': deviation,
            'clearance_log_error': (centre - clearance).abs(), 'clearance_deviation': width,
            'disagreement': uncertainty.disagreement(model, expected, actions)}


def judge(scores: dict[str, Tensor], groups: np.ndarray) -> dict[str, Any]:
    """Return the calibration of latent and clearance, and the usual disagreement per step.

    `groups` (B,): the episode of each row; whole episodes calibrate or test.
    """
    _, order = np.unique(groups, return_inverse=True)
    calibrate = torch.from_numpy(order % 2 == 0)
    table: dict[str, Any] = {'interval': INTERVAL}
    for name, error in (('latent', 'latent_error'), ('clearance', 'clearance_log_error')):
        found = _calibrate(scores[error], scores[f'{name}_deviation'], calibrate)
        if found is not None:
            table[name] = found
    usual = scores['disagreement'].median(0).values
    table['disagreement'] = [round(float(value), 6) for value in usual]
    return table


def _calibrate(error: Tensor, deviation: Tensor, calibrate: Tensor) -> dict[str, Any] | None:
    """Factor, coverage and rank correlation of each step from errors and deviations (B, T, D)."""
    rows: dict[str, list[float]] = {
        'coverage_raw': [], 'factor': [], 'coverage': [], 'rank_correlation': []}
    for step in range(error.shape[1]):
        e, d = error[:, step], deviation[:, step].clamp_min(1e-6)
        known = torch.isfinite(e).all(-1)
        one, other = known & calibrate, known & ~calibrate
        if min(int(one.sum()), int(other.sum())) < MIN_ROWS:
            return None
        ratio = (e / d).numpy()
        factor = float(np.quantile(ratio[one.numpy()], INTERVAL, method='higher'))
        rows['coverage_raw'].append(float((ratio[other.numpy()] <= NORMAL_INTERVAL).mean()))
        rows['factor'].append(factor)
        rows['coverage'].append(float((ratio[other.numpy()] <= factor).mean()))
        rows['rank_correlation'].append(_rank_correlation(e[other].mean(-1), d[other].mean(-1)))
    return {name: [round(value, 4) for value in values] for name, values in rows.items()}


def _rank_correlation(error: Tensor, deviation: Tensor) -> float:
    """NaN where one of the two does not vary: a head that was not trained, or one member alone."""
    if any(float(values.min()) == float(values.max()) for values in (error, deviation)):
        return math.nan
    return float(spearmanr(error.numpy(), deviation.numpy()).statistic)
