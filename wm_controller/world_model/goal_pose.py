# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Where a picture was taken, seen from here."""

import torch
from torch import nn, Tensor

from wm_controller.errors import InputError
from wm_controller.world_model.encoder import ResidualBlock
from wm_controller.world_model.pixels import PixelScale
from wm_controller.world_model.spec import ModelSpec

GRID = (5, 6)  # to which the last map is brought, whatever the size of the pictures
OUTPUTS = 5
GROUPS = 8


class GoalPoseHead(nn.Module):
    """Relative pose of a goal picture, and how far it may be wrong.

    Both pictures go in on top of one another, so that what moved between them shows in the
    first layers already, to parts of a pixel (as for optical flow: Dosovitskiy et al., FlowNet,
    2015). Maps of features compared afterwards, eight pixels apart, were half as exact at half a
    metre. It shares nothing with the rest of the model.
    """

    def __init__(self, spec: ModelSpec) -> None:
        """Raise InputError where the channels are none that can be built."""
        super().__init__()
        channels = spec.architecture.goal_channels
        if len(channels) != 3 or any(width % GROUPS for width in channels):
            raise InputError(f'goal_channels {channels} must be three multiples of {GROUPS}')
        self.pixel_scale = PixelScale(spec)
        stem, middle, last = channels

        def block(inputs: int, outputs: int, size: int, stride: int) -> nn.Sequential:
            return nn.Sequential(nn.Conv2d(inputs, outputs, size, stride, 1),
                                 nn.GroupNorm(GROUPS, outputs), nn.SiLU())

        self.compare = nn.Sequential(
            block(6, stem, 6, 4), ResidualBlock(stem),
            block(stem, middle, 3, 2), ResidualBlock(middle), ResidualBlock(middle),
            block(middle, last, 3, 2), ResidualBlock(last),
            nn.AdaptiveAvgPool2d(GRID), nn.Flatten())
        hidden = 2 * spec.architecture.head_hidden
        self.body = nn.Sequential(
            nn.Linear(last * GRID[0] * GRID[1], hidden), nn.LayerNorm(hidden), nn.SiLU(),
            nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, OUTPUTS))

    def features(self, here: Tensor, goal: Tensor) -> Tensor:
        """What two views (B, H, W, 3), RGB 0..255, have to do with each other: (B, F)."""
        both = torch.cat([self.pixel_scale(each.permute(0, 3, 1, 2).contiguous())
                          for each in (here, goal)], 1)
        return self.body[:-1](self.compare(both))

    def forward(self, here: Tensor, goal: Tensor) -> Tensor:
        """Map views (B, H, W, 3), RGB 0..255, to (B, 5): x m, y m, cos yaw, sin yaw, log scale.

        The scale, m, is that of a Laplace distribution of the position's error.
        """
        return self.body[-1](self.features(here, goal)).float()
