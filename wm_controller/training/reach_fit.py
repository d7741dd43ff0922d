# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""A last part of training for the time to pictures alone: many pairs, on states kept in memory.

Encoding pictures takes nearly all of training's time; once they are encoded, a thousand pairs of
a state and a goal cost what a few pictures do. Pairs of any two drives are learned as far, so that
what no drive connects, as the two sides of a wall, gets far apart (Eysenbach et al., C-Learning,
2021, learn from the same contrast), and what drives connect keeps their times.
"""

import numpy as np
from numpy.typing import NDArray
import torch
from torch import Tensor

from wm_controller.data.windows import Windows
from wm_controller.training import losses
from wm_controller.world_model.model import WorldModel
from wm_controller.world_model.reach import REACH_MAX_STEPS

PAIRS = 1024
ELSEWHERE = 1 / 3  # share of goals from anywhere in the data
QUANTILE = 0.25    # below the share that a goal nearby has of its own drive's times
IMAGINED_STEPS = 8
LEARNING_RATE = 2e-3
ENCODED_AT_ONCE = 512


def fit_image_reach(model: WorldModel, windows: Windows, steps: int, seed: int) -> None:
    """Train `model.image_reach` for `steps` of PAIRS pairs; nothing else of the model changes.

    States are those seen, and imagined up to IMAGINED_STEPS on under the actions that were taken;
    they and the pictures' latents are kept in memory, float32.
    """
    episodes = np.unique(windows.episode)
    first, stop = windows.episode_rows[episodes].T
    rows = np.concatenate([np.arange(a, b) for a, b in zip(first, stop)])
    behind = np.repeat(stop, stop - first)  # of each row's episode
    latents, states = _remember(model, windows, rows, first, stop)
    at = np.full(int(stop.max()) + 1, -1)   # where a row lies among those kept
    at[rows] = np.arange(len(rows))
    action = torch.from_numpy(windows.column('action')[rows])
    optimizer = torch.optim.AdamW(model.image_reach.parameters(), lr=LEARNING_RATE,
                                  weight_decay=1e-3)
    rng = np.random.default_rng([seed, 31])
    for step in range(steps):
        for group in optimizer.param_groups:
            group['lr'] = LEARNING_RATE * (0.5 * (1 + np.cos(np.pi * step / steps)) + 0.005)
        start = rng.integers(0, len(rows), PAIRS)
        left = behind[start] - 1 - rows[start]
        ahead = np.exp(rng.uniform(0, np.log(REACH_MAX_STEPS), PAIRS)).astype(np.int64)
        ahead = np.minimum(ahead - rng.integers(0, 2, PAIRS), left)
        imagined = np.minimum(rng.integers(0, IMAGINED_STEPS + 1, PAIRS), ahead)
        goal, time = at[rows[start] + ahead], np.log1p(ahead - imagined)
        anywhere = rng.random(PAIRS) < ELSEWHERE
        goal[anywhere] = rng.integers(0, len(rows), int(anywhere.sum()))
        time[anywhere] = np.log1p(REACH_MAX_STEPS)
        seen = _imagined(model, states[start], action, start, imagined)
        guess = model.image_reach(seen, latents[goal])
        loss = losses.pinball(guess, torch.from_numpy(time.astype(np.float32)), QUANTILE)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


@torch.no_grad()
def _remember(model: WorldModel, windows: Windows, rows: NDArray[np.int64],
              first: NDArray[np.int64], stop: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
    """Latents (N, E) and states (N, S) of the rows; all episodes are filtered side by side."""
    latents = torch.cat([
        model.encode(torch.from_numpy(windows.images(rows[i:i + ENCODED_AT_ONCE])))
        for i in range(0, len(rows), ENCODED_AT_ONCE)])
    action = torch.from_numpy(windows.column('action'))
    proprio = torch.from_numpy(windows.column('proprio'))
    begins = np.concatenate([[0], np.cumsum(stop - first)[:-1]])
    states = latents.new_zeros(len(rows), model.spec.architecture.state)
    now, before = model.initial_state(len(first)), action.new_zeros(len(first), action.shape[1])
    for step in range(int((stop - first).max())):
        live = np.flatnonzero(stop - first > step)
        row, kept = first[live] + step, begins[live] + step
        now[live] = model.observe(now[live], latents[kept], before[live], proprio[row])
        states[kept] = now[live]
        before[live] = action[row]
    return latents, states


@torch.no_grad()
def _imagined(model: WorldModel, states: Tensor, action: Tensor, start: NDArray[np.int64],
              steps: NDArray[np.int64]) -> Tensor:
    """Carry states (P, S) on by `steps` (P,) of what was done from the kept rows `start` (P,)."""
    states = states.clone()
    for step in range(IMAGINED_STEPS):
        going = np.flatnonzero(steps > step)
        states[going] = model.predict(states[going], action[start[going] + step])
    return states
