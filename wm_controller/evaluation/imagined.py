# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Futures imagined from latents computed before, beside what then came."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
import torch
from torch import Tensor

from wm_controller.data.windows import Windows
from wm_controller.safety.geometry import chained, relative
from wm_controller.training import frozen, latent_actions
from wm_controller.world_model.model import WorldModel

OBSERVED = 8  # frames that are seen before anything is imagined
COMMANDS, NO_COMMANDS, INFERRED = 'commands', 'no commands', 'inferred'
LATENT_ACTIONS = 'latent actions'
Batch = dict[str, Tensor]


@dataclass(frozen=True)
class Futures:
    """Squared errors (W, T) of imagining and of expecting no change, per window and step.

    `pose_error_m`, `yaw_error_rad`: of the imagined pose at the last step, NaN without odometry.
    """

    error: NDArray[np.float64]
    still: NDArray[np.float64]
    pose_error_m: float
    yaw_error_rad: float


def imagine_futures(model: WorldModel, windows: Windows, driven_by: str) -> Futures:
    """Imagine each window's rest from its first frames, seen by camera alone."""
    batch = frozen.gather(windows, np.arange(len(windows)))
    states, changes = imagine(model, driven(model, batch, driven_by))
    latents = batch[frozen.LATENT]
    later, now = latents[:, OBSERVED:], latents[:, OBSERVED - 1:OBSERVED]
    error = (model.latent_of(states[:, 1:]) - later).pow(2).mean(-1)
    pose = windows.column('pose')[windows.starts[:, None] + np.arange(windows.length)]
    true = relative(pose[:, OBSERVED - 1], pose[:, -1])
    guess = chained(changes.double().numpy())[:, -1]
    miss = true - guess
    return Futures(
        error.double().numpy(), (now - later).pow(2).mean(-1).double().numpy(),
        float(np.hypot(miss[:, 0], miss[:, 1]).mean()),
        float(np.abs(np.angle(np.exp(1j * miss[:, 2]))).mean()))


def driven(model: WorldModel, batch: Batch, by: str) -> Batch:
    """The batch with its actions as they are, 0, or latent ones inferred from the frames."""
    if by == NO_COMMANDS:
        return {**batch, 'action': torch.zeros_like(batch['action']),
                'previous_action': torch.zeros_like(batch['previous_action'])}
    if by == INFERRED:
        with torch.no_grad():
            assert model.latent_actions is not None
            action = model.latent_actions.infer(batch[frozen.CUE])[0]
            unknown = torch.full_like(batch['previous_action'], torch.nan)
            replaced = latent_actions.as_actions(
                model, action, {**batch, 'previous_action': unknown})
            return {**replaced, LATENT_ACTIONS: action}
    return batch


def _given(model: WorldModel, batch: Batch) -> AbstractContextManager[None]:
    """Whether the batch's actions are latent ones is marked in it by `driven`."""
    if LATENT_ACTIONS in batch and model.latent_actions is not None:
        return model.latent_actions.as_given()
    return nullcontext()


@torch.no_grad()
def observe(model: WorldModel, batch: Batch) -> Tensor:
    """State (B, S) after the first frames of a batch whose actions are commands or latent."""
    with _given(model, batch):
        seen = slice(OBSERVED)
        return model.follow(batch[frozen.LATENT][:, seen], batch['previous_action'][:, seen],
                            batch['seen_proprio'][:, seen])[:, -1]


@torch.no_grad()
def imagine(model: WorldModel, batch: Batch, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """States (B, T + 1, S) and pose changes (B, T, 3) under the batch's actions.

    `state` (B, S): where to begin, else what the batch's own frames lead to.
    """
    state = observe(model, batch) if state is None else state
    with _given(model, batch):
        return model.imagine(state, batch['action'][:, OBSERVED - 1:-1])
