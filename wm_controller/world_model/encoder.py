# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Enc: one camera image -> one latent vector, and the map of features it was made from."""

import torch
from torch import nn, Tensor

from wm_controller.world_model.spec import ModelSpec


class ResidualBlock(nn.Module):
    """One 3x3 convolution beside a skip, at constant width: half of the usual cost."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, 1, 1), nn.GroupNorm(8, channels))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        return nn.functional.silu(x + self.body(x))


class ConvEncoder(nn.Module):
    """Convolutions with a stride-4 stem, flattened so that bearing is kept, never pooled.

    The output is layer-normalised without gain: BatchNorm here made evaluation errors up to 300
    times those of training in published work, and a gain would let the latent space shrink.
    """

    pixel_mean: Tensor
    pixel_scale: Tensor

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        stem, middle, last = spec.architecture.encoder_channels
        height, width = spec.image_size
        self.features = nn.Sequential(
            nn.Conv2d(3, stem, 6, 4, 1), nn.GroupNorm(8, stem), nn.SiLU(),
            nn.Conv2d(stem, middle, 3, 2, 1), nn.GroupNorm(8, middle), nn.SiLU(),
            ResidualBlock(middle))
        self.gather = nn.Sequential(
            nn.Conv2d(middle, last, 3, 2, 1), nn.GroupNorm(8, last), nn.SiLU(),
            nn.Flatten())
        with torch.no_grad():
            features = self.features(torch.zeros(1, 3, height, width))
            flat = self.gather(features).shape[1]
        self.feature_shape: tuple[int, int, int] = tuple(features.shape[1:])
        self.project = nn.Linear(flat, spec.architecture.latent)
        self.norm = nn.LayerNorm(spec.architecture.latent, elementwise_affine=False)
        mean = torch.tensor(spec.normalisation.pixel_mean).view(1, 3, 1, 1)
        scale = torch.tensor(spec.normalisation.pixel_scale).view(1, 3, 1, 1)
        self.register_buffer('pixel_mean', mean, persistent=False)
        self.register_buffer('pixel_scale', scale, persistent=False)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Encode (B, 3, H, W), values 0..255, to latents (B, latent) and features (B, C, h, w)."""
        x = (pixels.to(self.pixel_mean.dtype) - self.pixel_mean) / self.pixel_scale
        features = self.features(x)
        return self.norm(self.project(self.gather(features)).float()), features
