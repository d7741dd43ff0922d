# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Enc: one camera image -> one latent vector, and the map of features it was made from."""

from abc import ABC, abstractmethod

import torch
from torch import nn, Tensor

from wm_controller.world_model.pixels import PixelScale
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


class Encoder(nn.Module, ABC):
    """What every encoder is: pixels (B, 3, H, W), 0..255, to latents (B, E) and a map of features.

    `feature_shape` is (C, h, w) of the features.
    """

    feature_shape: tuple[int, int, int]

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.pixel_scale = PixelScale(spec)

    @abstractmethod
    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Encode (B, 3, H, W), values 0..255, to latents (B, E) and features (B, C, h, w)."""


class SpatialEncoder(Encoder):
    """A map of features, flattened so that bearing is kept, never pooled.

    The output is layer-normalised without gain: BatchNorm here made evaluation errors up to 300
    times those of training in published work, and a gain would let the latent space shrink.
    """

    def __init__(self, spec: ModelSpec, features: nn.Sequential, example: Tensor) -> None:
        """`features` makes the map (B, middle, h, w) from inputs such as `example`."""
        super().__init__(spec)
        _, middle, last = spec.architecture.encoder_channels
        self.features = features
        self.gather = nn.Sequential(
            nn.Conv2d(middle, last, 3, 2, 1), nn.GroupNorm(8, last), nn.SiLU(),
            nn.Flatten())
        with torch.no_grad():
            found = self.features(example)
            flat = self.gather(found).shape[1]
        self.feature_shape = tuple(found.shape[1:])
        self.project = nn.Linear(flat, spec.architecture.latent)
        self.norm = nn.LayerNorm(spec.architecture.latent, elementwise_affine=False)

    def read(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Latents (B, E) and features (B, C, h, w) of inputs to `features`."""
        features = self.features(inputs)
        return self.norm(self.project(self.gather(features)).float()), features


class ConvEncoder(SpatialEncoder):
    """Convolutions with a stride-4 stem, trained with the rest."""

    def __init__(self, spec: ModelSpec) -> None:
        stem, middle, _ = spec.architecture.encoder_channels
        super().__init__(spec, nn.Sequential(
            nn.Conv2d(3, stem, 6, 4, 1), nn.GroupNorm(8, stem), nn.SiLU(),
            nn.Conv2d(stem, middle, 3, 2, 1), nn.GroupNorm(8, middle), nn.SiLU(),
            ResidualBlock(middle)), torch.zeros(1, 3, *spec.image_size))

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Encode (B, 3, H, W), values 0..255, to latents (B, E) and features (B, C, h, w)."""
        return self.read(self.pixel_scale(pixels))
