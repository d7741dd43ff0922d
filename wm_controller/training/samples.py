# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""A few held-out futures, imagined and true, for people to look at."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
import torch

from wm_controller.data.windows import Windows
from wm_controller.safety.geometry import chained
from wm_controller.training.batches import assemble
from wm_controller.training.objective import Objective

STEPS = 8


@dataclass(frozen=True)
class Sample:
    """One future of T steps from one frame.

    `frames` (T + 1, H, W, 3) uint8 as seen; `states` (T + 1, S) as imagined, the first as
    estimated; `clearance` (T + 1, K) m as measured, `imagined_clearance` (T + 1, 3, K) m as
    quantiles; `path` and `imagined_path` (T + 1, 3) poses from the first frame. NaN: not in the
    data.
    """

    frames: NDArray[np.uint8]
    states: NDArray[np.float32]
    clearance: NDArray[np.float64]
    imagined_clearance: NDArray[np.float64]
    path: NDArray[np.float64]
    imagined_path: NDArray[np.float64]


@torch.no_grad()
def sample_futures(objective: Objective, held_out: Windows, count: int = 6) -> list[Sample]:
    """Imagine from windows spread over the held-out ones, the livelier of each neighbourhood."""
    model = objective.model
    training = model.training
    model.eval()
    device = next(model.parameters()).device
    chosen = _lively(held_out, count)
    data = {name: value.to(device) for name, value in assemble(
        held_out, chosen, np.random.default_rng(0), 1).items()}
    latents, _ = objective.encode(data['pixels'])
    states = objective.filter(latents, data)
    now = latents.shape[1] - 1 - STEPS
    imagined, changes = model.imagine(states[:, now], data['action'][:, now:now + STEPS])
    clearance = model.clearance(imagined)
    model.train(training)
    moved = data['proprio'][:, now + 1:, :3].double().cpu().numpy()
    return [Sample(
        data['pixels'][i, now:].cpu().numpy(), imagined[i].float().cpu().numpy(),
        data['clearance'][i, now:].double().cpu().numpy(), clearance[i].double().cpu().numpy(),
        chained(moved[i]), chained(changes[i].double().cpu().numpy())) for i in range(len(chosen))]


def _lively(windows: Windows, count: int) -> NDArray[np.int64]:
    """Of each of `count` stretches of windows, the one in which the robot moves most."""
    action = np.abs(windows.column('action'))
    rows = windows.starts[:, None] + np.arange(windows.length)
    effort = action[rows].mean(1) @ (1.0 / np.maximum(action.mean(0), 1e-6))
    edges = np.linspace(0, len(windows), min(count, len(windows)) + 1).astype(int)
    return np.array([a + int(effort[a:b].argmax()) for a, b in zip(edges[:-1], edges[1:])])
