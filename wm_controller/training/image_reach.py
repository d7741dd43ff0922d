# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Goals given as pictures: which ones a sequence is asked about, and what is learned from them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr
import torch
from torch import Tensor

from wm_controller.data.windows import Windows
from wm_controller.training import losses
from wm_controller.training.crew import Share, WHOLE
from wm_controller.world_model.model import WorldModel
from wm_controller.world_model.reach import REACH_MAX_STEPS

GOALS = 2  # pictures per sequence
IMAGE_REACH_QUANTILE = 0.2  # of the times that drives took: near the shortest that is possible


def draw_goals(windows: Windows, indices: NDArray[Any],
               rng: np.random.Generator, share: Share = WHOLE) -> dict[str, NDArray[Any]]:
    """Draw pictures that the same drive saw later, near and far ones alike often.

    Returns `reach_pixels` (B, G, H, W, 3), `reach_steps` (B, G, L): steps from each frame to the
    picture, NaN behind it, and `place` (B,), a number of the room, NaN where none is known.
    """
    length, shape = windows.length, (len(indices), GOALS)
    offset = share.of(rng.integers(0, length, shape))
    ahead = share.of(np.exp(rng.uniform(0.0, np.log(REACH_MAX_STEPS), shape)).astype(np.int64))
    indices = share.of(indices)
    rows, shape = windows.starts[indices], (len(indices), GOALS)
    stop = windows.episode_rows[windows.episode[indices]][:, 1]
    goal = np.minimum(rows[:, None] + offset + ahead, stop[:, None] - 1)
    steps = goal[..., None] - (rows[:, None, None] + np.arange(length))
    pictures = windows.images(goal.reshape(-1))
    return {
        'reach_pixels': pictures.reshape(*shape, *pictures.shape[1:]),
        'reach_steps': np.where(steps < 0, np.nan, steps.astype(np.float64)),
        'place': _places(windows, windows.episode[indices]),
    }


def _places(windows: Windows, episode: NDArray[Any]) -> NDArray[np.float64]:
    """Number the rooms of episodes; NaN where the data do not tell rooms apart."""
    keys = [windows.keys[e] for e in episode]
    number = {key: i for i, key in enumerate(sorted(set(keys)))}
    return np.array([number[key] if key.startswith('room ') else np.nan for key in keys])


def image_reach_loss(model: WorldModel, states: Tensor, goals: Tensor, steps: Tensor,
                     place: Tensor | None = None) -> Tensor:
    """Quantile regression of log(1 + steps) from states (B, T, S) to goal latents (B, G, E).

    `steps` (B, G, T), NaN: not asked. With `place` (B,), pictures of other known rooms than a
    sequence's own are learned as REACH_MAX_STEPS away: no drive leads there.
    """
    guess = model.image_reach(states[:, None], goals[:, :, None])
    loss = losses.pinball(guess, torch.log1p(steps), IMAGE_REACH_QUANTILE)
    if place is None:
        return loss
    other = place.roll(1)
    elsewhere = torch.isfinite(place) & torch.isfinite(other) & (place != other)
    if not bool(elsewhere.any()):
        return loss
    guess = model.image_reach(states[:, None], goals.roll(1, 0)[:, :, None])
    far = torch.full_like(guess, float(np.log1p(REACH_MAX_STEPS)))
    far = torch.where(elsewhere[:, None, None], far, torch.nan)
    return loss + losses.pinball(guess, far, IMAGE_REACH_QUANTILE)


def score(objective: Any, state: Tensor, imagined: Tensor, batch: dict[str, Tensor], now: int,
          steps: int) -> dict[str, Tensor]:
    """Guess times from the states (B, S) seen at `now` and imagined `steps` later.

    Returns guesses and true steps, (B, G) each; nothing for a model without the head.
    """
    model: WorldModel = objective.model
    if not model.spec.architecture.image_reach:
        return {}
    goals, _ = objective.encode(batch['reach_pixels'])
    true = batch['reach_steps']
    return {'image_guess': model.time_to_image(state[:, None], goals),
            'image_steps': true[..., now],
            'image_guess_imagined': model.time_to_image(imagined[:, None], goals),
            'image_steps_imagined': true[..., now + steps]}


def correlations(scores: dict[str, Tensor]) -> dict[str, float | None]:
    """Rank correlation of the guessed with the true time, from seen and from imagined states."""
    found: dict[str, float | None] = {}
    for kind in ('', '_imagined'):
        if f'image_guess{kind}' not in scores:
            continue
        known = torch.isfinite(scores[f'image_steps{kind}'])
        result = spearmanr(scores[f'image_guess{kind}'][known].numpy(),
                           scores[f'image_steps{kind}'][known].numpy())
        value = float(result.statistic)
        found[f'image_reach_correlation{kind}'] = round(value, 4) if np.isfinite(value) else None
    return found
