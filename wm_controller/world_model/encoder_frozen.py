# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""A frozen backbone's features, kept in their places, and a small trained adapter behind."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn, Tensor

from wm_controller.world_model.backbones import load_backbone
from wm_controller.world_model.encoder import ResidualBlock, SpatialEncoder
from wm_controller.world_model.spec import ModelSpec

PLACE = 8  # pixels of the image to a place of the map


class FrozenEncoder(SpatialEncoder):
    """Patch features of a network trained elsewhere, as in DINO-WM (Zhou et al., 2024).

    The backbone is no submodule: it has no weights in the bundle, the optimiser does not see it,
    and it stays in evaluation mode whatever the model does. Its features are resampled to the
    map that our own encoder has; the adapter (1x1 convolution, residual block) is trained.
    """

    backbone: nn.Module

    def __init__(self, spec: ModelSpec) -> None:
        """Raise InputError where the backbone's weights are missing or others."""
        a = spec.architecture
        height, width = spec.image_size
        grid = max(1, height // PLACE), max(1, width // PLACE)
        backbone = load_backbone(a.encoder, a.backbone_sha256, grid)
        with torch.no_grad():
            example = backbone(torch.zeros(1, 3, height, width))
        middle = a.encoder_channels[1]
        super().__init__(spec, nn.Sequential(
            nn.Conv2d(example.shape[1], middle, 1), nn.GroupNorm(8, middle), nn.SiLU(),
            ResidualBlock(middle)), example)
        object.__setattr__(self, 'backbone', backbone)

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> 'FrozenEncoder':
        """Move the backbone along to another device, though it is no submodule."""
        self.backbone._apply(fn)
        return super()._apply(fn, recurse)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Encode (B, 3, H, W), values 0..255, to latents (B, E) and features (B, C, h, w)."""
        with torch.no_grad():
            found = self.backbone(pixels.to(self.pixel_scale.mean.dtype))
        return self.read(found)
