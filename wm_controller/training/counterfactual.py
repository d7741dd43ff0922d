# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""What actions that were not taken would have come near to.

A head that learns of executed actions alone may be right on average and still rank the
alternatives of one moment at chance. What a drive saw before and after a moment says where things
stand; so the gap along any way from there is known, whether it was driven or not.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
import torch
from torch import Tensor

from wm_controller.data.windows import Windows
from wm_controller.safety.geometry import compose, relative
from wm_controller.training import losses
from wm_controller.training.crew import Share, WHOLE
from wm_controller.world_model.heads import GAP_MAX, GAP_MIN, GAP_QUANTILES
from wm_controller.world_model.model import WorldModel
from wm_controller.world_model.poses import chained, placed

FRAMES = 72         # of a drive, from which things are gathered,
WITHIN_FRAMES = 90  # no further away in time: odometry drifts, people walk
RANGE_M = 4.0       # what is seen further away is placed too coarsely

Batch = dict[str, Tensor]


def draw_things(windows: Windows, indices: NDArray[Any], rng: np.random.Generator,
                share: Share = WHOLE) -> dict[str, NDArray[Any]]:
    """Gather what the drive saw around each window, and the way it went.

    Returns `things` (B, P, 2) m and `trail` (B, L, 3), both in the base frame of the window's
    first frame; NaN where there is nothing or no odometry.
    """
    bearings = windows.bearings
    drawn, indices = share.of(rng.random((len(indices), FRAMES))), share.of(indices)
    rows, length = windows.starts[indices], windows.length
    first, stop = windows.episode_rows[windows.episode[indices]].T
    low = np.maximum(first, rows - WITHIN_FRAMES)
    high = np.minimum(stop, rows + length + WITHIN_FRAMES)
    looked = low[:, None] + (drawn * (high - low)[:, None]).astype(np.int64)
    pose = windows.column('pose')
    origin = pose[rows]
    trail = relative(origin[:, None], pose[rows[:, None] + np.arange(length)])
    if not len(bearings):
        return {'things': np.full((len(rows), 1, 2), np.nan), 'trail': trail}
    clearance = windows.column('clearance')[looked].astype(np.float64)
    seen = np.stack([np.cos(bearings), np.sin(bearings)], -1) * clearance[..., None]
    seen[clearance > RANGE_M] = np.nan
    there = relative(origin[:, None], pose[looked])
    flat = np.concatenate([seen, np.zeros_like(seen[..., :1])], -1)
    things = compose(there[:, :, None, :], flat)[..., :2]
    return {'things': things.reshape(len(rows), -1, 2), 'trail': trail}


def random_actions(model: WorldModel, count: int, steps: int, device: torch.device,
                   generator: torch.Generator | None = None) -> Tensor:
    """Draw smooth action sequences (N, T, 2) over all that the robot may be asked for."""
    low, high, turn = model.spec.action_limits
    scale = torch.tensor([high - low, 2 * turn], device=device)
    ends = torch.rand(2, count, 1, 2, generator=generator).to(device) * scale + torch.tensor(
        [low, -turn], device=device)
    share = torch.linspace(0, 1, steps, device=device).view(1, steps, 1)
    return torch.lerp(ends[0].expand(count, steps, 2), ends[1].expand(count, steps, 2), share)


def gaps(poses: Tensor, things: Tensor) -> Tensor:
    """Distance (B, T) m from poses (B, T, 3) to the nearest of things (B, P, 2), up to GAP_MAX.

    NaN where nothing was seen at all.
    """
    known = torch.isfinite(things).all(-1)
    far = torch.where(known[..., None], things, things.new_full((), 1e4))
    nearest = torch.cdist(poses[..., :2], far).amin(-1).clamp(GAP_MIN, GAP_MAX)
    return torch.where(known.any(-1, keepdim=True), nearest, torch.nan)


def gap_loss(model: WorldModel, states: Tensor, futures: Tensor, starts: list[int],
             batch: Batch) -> Tensor:
    """Quantile regression of gaps: of states (B, L, S) seen, futures (N, T, S) of what was done.

    And of futures of what was not: actions drawn at random, from the same `starts`.
    """
    steps = futures.shape[1]
    things, trail = batch['things'], batch['trail']
    loss = _quantiles(model, states, gaps(trail, things))
    driven = torch.cat([trail[:, t + 1:t + 1 + steps] for t in starts])
    around = things.repeat(len(starts), 1, 1)
    loss = loss + _quantiles(model, futures, gaps(driven, around))

    start = torch.cat([states[:, t] for t in starts])
    actions = random_actions(model, len(start), steps, start.device)
    other, changes = model.imagine(start, actions, shared_out=True)
    origin = torch.cat([trail[:, t] for t in starts])
    poses = placed(origin[:, None], chained(changes.detach())[:, 1:])
    return loss + _quantiles(model, other[:, 1:], gaps(poses, around))


def _quantiles(model: WorldModel, states: Tensor, gap: Tensor) -> Tensor:
    return losses.quantiles(model.gap_head(states), gap.log(), GAP_QUANTILES, -1)
