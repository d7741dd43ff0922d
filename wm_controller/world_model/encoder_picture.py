# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The identity encoder: the latent is the picture itself, small and grey."""

import torch
from torch import nn, Tensor

from wm_controller.world_model.encoder import Encoder
from wm_controller.world_model.spec import ModelSpec

FEATURE_STRIDE = 8  # pixels to a place of the map of features, as in the other encoders


class PictureEncoder(Encoder):
    """Nothing is learned: predicting the latent is predicting pixels.

    The generative special case of a joint-embedding architecture (LeCun, A Path Towards
    Autonomous Machine Intelligence, 2022, section 4.4): it cannot collapse, and it must predict
    every detail. The window of past pixels is what the state filter keeps of them.
    """

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        height, width = spec.image_size
        self.shape = picture_shape(spec.architecture.latent, height / width)
        self.feature_shape = (3, max(1, height // FEATURE_STRIDE), max(1, width // FEATURE_STRIDE))

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Reduce (B, 3, H, W), values 0..255, to grey latents (B, E) and colours (B, 3, h, w)."""
        x = self.pixel_scale(pixels)
        grey = nn.functional.adaptive_avg_pool2d(x.mean(1, keepdim=True), self.shape)
        features = nn.functional.adaptive_avg_pool2d(x, self.feature_shape[1:])
        return grey.flatten(1).float(), features


def picture_shape(size: int, aspect: float) -> tuple[int, int]:
    """(height, width) of `size` pixels in all, of the proportion nearest to height / width."""
    heights = torch.tensor([h for h in range(1, size + 1) if size % h == 0])
    off = (heights.double().pow(2) / size / aspect).log().abs()
    height = int(heights[off.argmin()])
    return height, size // height
