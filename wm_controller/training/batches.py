# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Batches for the objective: sequences, and goals that the same drive reached later."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
import torch
from torch import Tensor

from wm_controller.data.windows import Windows
from wm_controller.safety.geometry import relative

GOAL_PICTURE_STEPS = 40   # how far away in time a goal picture may be, either way
GOAL_PICTURE_MAX_M = 4.0  # and in space
NEAR_M = 0.5  # nearer than this, surfaces fill the view and are hard to judge


class Sampler:
    """Draws batches; windows in which something is near come more often, as they matter more."""

    def __init__(self, windows: Windows, seed: int, reach_max_steps: int,
                 near_weight: float = 1.0) -> None:
        """`near_weight`: how many times as likely as others windows with things < NEAR_M are."""
        self._windows, self._seed, self._reach = windows, seed, reach_max_steps
        clearance = windows.column('clearance')
        nearest = np.nan_to_num(clearance, nan=np.inf).min(-1, initial=np.inf)
        count = np.concatenate([[0], np.cumsum(nearest < NEAR_M)])
        near = count[windows.starts + windows.length] > count[windows.starts]
        self._cumulative = np.cumsum(np.where(near, near_weight, 1.0))

    def sample(self, batch: int, iteration: int) -> dict[str, Tensor]:
        """Draw the batch of an iteration: the same numbers give the same batch on any machine."""
        rng = np.random.default_rng([self._seed, iteration])
        drawn = rng.random(batch) * self._cumulative[-1]
        indices = np.minimum(np.searchsorted(self._cumulative, drawn, side='right'),
                             len(self._windows) - 1)
        return assemble(self._windows, indices, rng, self._reach)


def assemble(windows: Windows, indices: NDArray[Any], rng: np.random.Generator,
             reach_max_steps: int) -> dict[str, Tensor]:
    """Gather windows and add goals; see `objective.Objective` for names and shapes."""
    columns = windows.batch(indices)
    rows = windows.starts[indices]
    first, stop = windows.episode_rows[windows.episode[indices]].T
    pose, length = windows.column('pose'), windows.length
    all_rows = rows[:, None] + np.arange(length)

    before = windows.column('action')[np.maximum(all_rows - 1, first[:, None])].copy()
    before[all_rows - 1 < first[:, None]] = 0.0  # nothing was commanded before an episode began

    # One goal position per sequence, at least one step after each frame that is asked about it.
    ahead = rng.integers(1, reach_max_steps + 1, size=len(rows))
    goal_row = np.minimum(rows + ahead, stop - 1)
    steps = goal_row[:, None] - all_rows
    goal = relative(pose[all_rows], pose[goal_row][:, None, :])[..., :2]
    goal[steps < 1] = np.nan
    period = columns['stamp'][:, 1] - columns['stamp'][:, 0]

    picture_row = np.clip(rows + length // 2 + rng.integers(
        -GOAL_PICTURE_STEPS, GOAL_PICTURE_STEPS + 1, size=len(rows)), first, stop - 1)
    picture_pose = relative(pose[all_rows], pose[picture_row][:, None, :])
    too_far = np.hypot(picture_pose[..., 0], picture_pose[..., 1]) > GOAL_PICTURE_MAX_M
    picture_pose[too_far] = np.nan

    arrays = {
        'pixels': columns['pixels'], 'action': columns['action'], 'previous_action': before,
        'proprio': columns['proprio'], 'clearance': columns['clearance'],
        'reach_goal': goal, 'reach_time': steps * period[:, None],
        'goal_pixels': windows.images(picture_row), 'goal_pose': picture_pose,
    }
    return {name: torch.from_numpy(np.ascontiguousarray(
        values if values.dtype == np.uint8 else values.astype(np.float32)))
        for name, values in arrays.items()}
