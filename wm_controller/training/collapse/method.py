# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""What a way to train without collapse may decide: what is predicted, and what is paid besides."""

import torch
from torch import nn, Tensor

from wm_controller.training.crew import everywhere
from wm_controller.world_model.model import WorldModel
from wm_controller.world_model.spec import Architecture


class Method(nn.Module):
    """Prediction alone: nothing is done against collapse. The floor of every comparison.

    Shapes: B sequences of L frames, N imagined futures of T steps, E latent. State that must
    survive a resumed run (a target network, a counter) is a buffer or parameter of the method.
    """

    def __init__(self, model: WorldModel) -> None:
        """`model` is the one to be trained; the method must not register it as its own part."""
        super().__init__()

    @classmethod
    def architecture(cls, wanted: Architecture) -> Architecture:
        """Return the architecture that this method trains; most take the one that is wanted."""
        return wanted

    def targets(self, pixels: Tensor, latents: Tensor, model: WorldModel) -> Tensor:
        """What is to be predicted, (B, L, E), of pixels (B, L, H, W, 3) and their latents."""
        return latents

    def terms(self, latents: Tensor, predicted: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Loss terms, each weighed by the field of that name in `objective.Weights`.

        `latents` (B, L, E) of the whole batch; `predicted` and `target` (N, T, E).
        """
        error = (predicted - target).pow(2).mean((0, 2))
        return {'prediction': (shares(latents, len(error)) * error).mean()}


@torch.no_grad()
def shares(latents: Tensor, steps: int) -> Tensor:
    """Weight (T,) of each predicted step, 1 on average: one over the error of no change.

    Alike, the steps far ahead, where most is to be lost, leave the first one worse than no
    change: on `office_car`, 2.3 times its error after five minutes against 1.2.
    """
    changed = torch.stack([(latents[:, k:] - latents[:, :-k]).pow(2).mean()
                           for k in range(1, steps + 1)])
    changed = everywhere(changed[None]).mean(0)
    share = 1 / changed.clamp_min(1e-3 * changed.max().clamp_min(1e-9))
    return share / share.mean()
