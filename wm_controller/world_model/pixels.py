# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Pixels as networks take them: with the training data's mean and scale taken out."""

import torch
from torch import nn, Tensor

from wm_controller.world_model.spec import ModelSpec

GAIN = (0.5, 2.0)  # by which light may be made up for


def in_light_of(view: Tensor, pictures: Tensor) -> Tensor:
    """Return pictures (B, H, W, 3), RGB 0..255, as bright in each colour as a view (1, H, W, 3).

    A network that compares pictures taken within minutes never learned that light changes.
    """
    wanted, found = (each.float().mean((1, 2), keepdim=True) for each in (view, pictures))
    gain = (wanted / found.clamp_min(1.0)).clamp(*GAIN)
    return (pictures * gain).round().clamp(0, 255).to(pictures.dtype)


class PixelScale(nn.Module):
    """Mean and scale of red, green and blue; no part of a bundle's weights, but of its spec."""

    mean: Tensor
    scale: Tensor

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        for name, values in (('mean', spec.normalisation.pixel_mean),
                             ('scale', spec.normalisation.pixel_scale)):
            self.register_buffer(name, torch.tensor(values).view(3, 1, 1), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Normalise (..., 3, H, W), RGB 0..255."""
        return (pixels.to(self.mean.dtype) - self.mean) / self.scale

    def undo(self, normalised: Tensor) -> Tensor:
        """Map (..., 3, H, W) back to 0..255."""
        return normalised * self.scale + self.mean
