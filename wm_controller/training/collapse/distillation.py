# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Distillation: predict what a slowly following copy of the encoder sees."""

import copy

import torch
from torch import Tensor

from wm_controller.training.collapse.method import Method
from wm_controller.world_model.model import WorldModel

DECAY = 0.99  # of the target's weights, each batch


class Distillation(Method):
    """EMA target encoder with stopped gradient (Grill et al., BYOL, 2020; V-JEPA, 2024).

    What is predicted cannot be made easier by the gradient. The copy is the method's own part, so
    checkpoints hold it.
    """

    def __init__(self, model: WorldModel) -> None:
        super().__init__(model)
        self.target = copy.deepcopy(model.encoder).requires_grad_(False)

    @torch.no_grad()
    def targets(self, pixels: Tensor, latents: Tensor, model: WorldModel) -> Tensor:
        """Latents (B, L, E) by the copy, which follows the encoder first while it is trained."""
        if self.training:
            for mine, other in zip(self.target.parameters(), model.encoder.parameters()):
                mine.lerp_(other, 1 - DECAY)
        images = pixels.flatten(0, 1).permute(0, 3, 1, 2).contiguous()
        return self.target(images)[0].float().unflatten(0, pixels.shape[:2])
