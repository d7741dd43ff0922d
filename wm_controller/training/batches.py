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
from wm_controller.training.counterfactual import draw_things
from wm_controller.training.crew import Share, WHOLE
from wm_controller.training.image_reach import draw_goals

LABELLED_SHARE = 0.125  # of the windows drawn, at least, know their commands if any do
NEAR_M = 0.5  # nearer than this, surfaces fill the view and are hard to judge


class Sampler:
    """Draws batches; windows in which something is near come more often, as they matter more.

    So do windows with commands where most have none.
    """

    def __init__(self, windows: Windows, seed: int, reach_max_steps: int,
                 near_weight: float = 1.0, image_reach: bool = False,
                 things: bool = False, share: Share = WHOLE) -> None:
        """`near_weight`: how many times as likely as others windows with things < NEAR_M are.

        `image_reach`: draw the goals of `image_reach.draw_goals` too; `things`: what
        `counterfactual.draw_things` gathers. `share`: of each batch, what is read and returned.
        """
        self._share = share
        self._windows, self._seed, self._reach = windows, seed, reach_max_steps
        self._image_reach, self._things = image_reach, things
        clearance = windows.column('clearance')
        nearest = np.nan_to_num(clearance, nan=np.inf).min(-1, initial=np.inf)
        count = np.concatenate([[0], np.cumsum(nearest < NEAR_M)])
        near = count[windows.starts + windows.length] > count[windows.starts]
        weight = np.where(near, near_weight, 1.0)
        labelled = windows.complete('action')
        known = weight[labelled].sum() / weight.sum()
        if 0 < known < LABELLED_SHARE:
            weight[labelled] *= LABELLED_SHARE / (1 - LABELLED_SHARE) * (1 - known) / known
        self._cumulative = np.cumsum(weight)

    def sample(self, batch: int, iteration: int) -> dict[str, Tensor]:
        """Draw the batch of an iteration: the same numbers give the same batch on any machine."""
        rng = np.random.default_rng([self._seed, iteration])
        drawn = rng.random(batch) * self._cumulative[-1]
        indices = np.minimum(np.searchsorted(self._cumulative, drawn, side='right'),
                             len(self._windows) - 1)
        return assemble(self._windows, indices, rng, self._reach, self._image_reach,
                        self._things, self._share)


def assemble(windows: Windows, indices: NDArray[Any], rng: np.random.Generator,
             reach_max_steps: int, image_reach: bool = False,
             things: bool = False, share: Share = WHOLE) -> dict[str, Tensor]:
    """Gather windows and add goals; see `objective.Objective` for names and shapes.

    What is random is drawn for the whole batch, what is read is the share alone: so all shares
    together are the batch of one process.
    """
    mine = share.of(indices)
    columns = windows.batch(mine)
    rows = windows.starts[mine]
    first, stop = windows.episode_rows[windows.episode[mine]].T
    pose, length = windows.column('pose'), windows.length
    all_rows = rows[:, None] + np.arange(length)

    before = windows.column('action')[np.maximum(all_rows - 1, first[:, None])].copy()
    before[all_rows - 1 < first[:, None]] = 0.0  # nothing was commanded before an episode began

    # One goal position per sequence, at least one step after each frame that is asked about it.
    ahead = share.of(rng.integers(1, reach_max_steps + 1, size=len(indices)))
    goal_row = np.minimum(rows + ahead, stop - 1)
    steps = goal_row[:, None] - all_rows
    goal = relative(pose[all_rows], pose[goal_row][:, None, :])[..., :2]
    goal[steps < 1] = np.nan
    period = columns['stamp'][:, 1] - columns['stamp'][:, 0]

    arrays = {
        'pixels': columns['pixels'], 'action': columns['action'], 'previous_action': before,
        'proprio': columns['proprio'], 'clearance': columns['clearance'],
        'reach_goal': goal, 'reach_time': steps * period[:, None],
    }
    if image_reach:
        arrays.update(draw_goals(windows, indices, rng, share))
    if things:
        arrays.update(draw_things(windows, indices, rng, share))
    return {name: torch.from_numpy(np.ascontiguousarray(
        values if values.dtype == np.uint8 else values.astype(np.float32)))
        for name, values in arrays.items()}
