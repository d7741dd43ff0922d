# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Batches for the objective: sequences, and goals that the same drive reached later."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
import torch
from torch import Tensor

from wm_controller.data.windows import Windows
from wm_controller.safety.geometry import relative, wrap_angle
from wm_controller.training.counterfactual import draw_things
from wm_controller.training.image_reach import draw_goals

GOAL_PICTURE_MAX_M = 4.0    # a goal picture is taken no further away
GOAL_PICTURE_MAX_TURN = 1.3  # and turned by no more, rad: the views could share nothing
GOAL_PICTURE_DRAWS = 64
IN_SIGHT = 0.8  # rad: no further aside, and turned by no more, a picture shows what is seen
LABELLED_SHARE = 0.125  # of the windows drawn, at least, know their commands if any do
NEAR_M = 0.5  # nearer than this, surfaces fill the view and are hard to judge


class Sampler:
    """Draws batches; windows in which something is near come more often, as they matter more.

    So do windows with commands where most have none.
    """

    def __init__(self, windows: Windows, seed: int, reach_max_steps: int,
                 near_weight: float = 1.0, image_reach: bool = False,
                 things: bool = False) -> None:
        """`near_weight`: how many times as likely as others windows with things < NEAR_M are.

        `image_reach`: draw the goals of `image_reach.draw_goals` too; `things`: what
        `counterfactual.draw_things` gathers.
        """
        self._windows, self._seed, self._reach = windows, seed, reach_max_steps
        self._image_reach, self._things = image_reach, things
        clearance = windows.column('clearance')
        nearest = np.nan_to_num(clearance, nan=np.inf).min(-1, initial=np.inf)
        count = np.concatenate([[0], np.cumsum(nearest < NEAR_M)])
        near = count[windows.starts + windows.length] > count[windows.starts]
        weight = np.where(near, near_weight, 1.0)
        labelled = windows.complete('action')
        share = weight[labelled].sum() / weight.sum()
        if 0 < share < LABELLED_SHARE:
            weight[labelled] *= LABELLED_SHARE / (1 - LABELLED_SHARE) * (1 - share) / share
        self._cumulative = np.cumsum(weight)

    def sample(self, batch: int, iteration: int) -> dict[str, Tensor]:
        """Draw the batch of an iteration: the same numbers give the same batch on any machine."""
        rng = np.random.default_rng([self._seed, iteration])
        drawn = rng.random(batch) * self._cumulative[-1]
        indices = np.minimum(np.searchsorted(self._cumulative, drawn, side='right'),
                             len(self._windows) - 1)
        return assemble(self._windows, indices, rng, self._reach, self._image_reach,
                        self._things)


def assemble(windows: Windows, indices: NDArray[Any], rng: np.random.Generator,
             reach_max_steps: int, image_reach: bool = False,
             things: bool = False) -> dict[str, Tensor]:
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

    picture_row = _goal_pictures(pose, rows + length // 2, first, stop, rng)
    picture_pose = relative(pose[all_rows], pose[picture_row][:, None, :])
    picture_pose[~_comparable(picture_pose)] = np.nan

    arrays = {
        'pixels': columns['pixels'], 'action': columns['action'], 'previous_action': before,
        'proprio': columns['proprio'], 'clearance': columns['clearance'],
        'reach_goal': goal, 'reach_time': steps * period[:, None],
        'goal_pixels': windows.images(picture_row), 'goal_pose': picture_pose,
    }
    if image_reach:
        arrays.update(draw_goals(windows, indices, rng))
    if things:
        arrays.update(draw_things(windows, indices, rng))
    return {name: torch.from_numpy(np.ascontiguousarray(
        values if values.dtype == np.uint8 else values.astype(np.float32)))
        for name, values in arrays.items()}


def _comparable(relative_pose: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether a picture at this relative pose (..., 3) may share something with the view."""
    distance = np.hypot(relative_pose[..., 0], relative_pose[..., 1])
    return np.asarray((distance <= GOAL_PICTURE_MAX_M) & (
        np.abs(wrap_angle(relative_pose[..., 2])) <= GOAL_PICTURE_MAX_TURN))


def _goal_pictures(pose: NDArray[Any], middle: NDArray[Any], first: NDArray[Any],
                   stop: NDArray[Any], rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw a row (B,) of the same drive for each window: of any time, all distances alike.

    Half of them, where the drive has such, lie in sight: that is where people take goal pictures.
    """
    drawn = first[:, None] + (rng.random((len(middle), GOAL_PICTURE_DRAWS)) * (
        stop - first)[:, None]).astype(np.int64)
    seen_from = relative(pose[middle][:, None, :], pose[drawn])
    distance = np.hypot(seen_from[..., 0], seen_from[..., 1])
    wanted = rng.uniform(0, GOAL_PICTURE_MAX_M, (len(middle), 1))
    # A drive without odometry has distances that are NaN: any row does, none is scored.
    miss = np.nan_to_num(np.abs(distance - wanted), nan=0.0)
    miss[~_comparable(np.nan_to_num(seen_from))] += 100.0
    aside = np.abs(np.arctan2(seen_from[..., 1], seen_from[..., 0])) > IN_SIGHT
    turned = np.abs(wrap_angle(seen_from[..., 2])) > IN_SIGHT
    asked = rng.random((len(middle), 1)) < 0.5
    miss[asked & (aside | turned)] += 10.0
    return np.asarray(drawn[np.arange(len(middle)), miss.argmin(1)])
