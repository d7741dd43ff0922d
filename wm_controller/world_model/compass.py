# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""How the robot is turned against the walls around it: a heading that does not drift."""

import torch
from torch import nn, Tensor

from wm_controller.errors import InputError
from wm_controller.world_model.spec import ModelSpec

GRID = (5, 6)  # to which the map of features is brought, whatever the size of the pictures
GROUPS = 8
LEAST, MOST = -3.0, 6.0  # of the log concentration


class CompassHead(nn.Module):
    """The heading against walls at right angles, but for quarter turns, read from features.

    A von Mises distribution of four times the heading: so all four walls of a room say the same
    (Coughlan and Yuille, Manhattan world, 1999). What sees no wall gives a low concentration.
    """

    def __init__(self, spec: ModelSpec, feature_shape: tuple[int, int, int]) -> None:
        """`feature_shape`: (C, h, w) of the encoder's. Raises InputError for an odd width."""
        super().__init__()
        width = spec.architecture.compass_width
        if width % GROUPS:
            raise InputError(f'compass_width {width} must be a multiple of {GROUPS}')
        self.body = nn.Sequential(
            nn.Conv2d(feature_shape[0], width, 3, 1, 1), nn.GroupNorm(GROUPS, width), nn.SiLU(),
            nn.Conv2d(width, width, 3, 2, 1), nn.GroupNorm(GROUPS, width), nn.SiLU(),
            nn.AdaptiveAvgPool2d(GRID), nn.Flatten(),
            nn.Linear(width * GRID[0] * GRID[1], 2 * width), nn.SiLU(), nn.Linear(2 * width, 3))

    def forward(self, features: Tensor) -> Tensor:
        """Map features (B, C, h, w) to (B, 3): cos and sin of 4 headings, log concentration."""
        found = self.body(features).float()
        direction = nn.functional.normalize(found[:, :2], dim=-1)
        return torch.cat([direction, found[:, 2:].clamp(LEAST, MOST)], -1)


def heading_of(told: Tensor) -> tuple[Tensor, Tensor]:
    """Return headings (B,) rad, within an eighth turn, and their standard deviations (B,) rad.

    `told` (B, 3) is what the head says; the deviations are those of a sharp von Mises.
    """
    heading = torch.atan2(told[:, 1], told[:, 0]) / 4
    return heading, (-0.5 * told[:, 2]).exp() / 4


def compass_loss(told: Tensor, heading: Tensor) -> Tensor:
    """Return the mean negative log likelihood of headings (B,) rad, less a constant."""
    return _divergence(told, torch.stack([(4 * heading).cos(), (4 * heading).sin()], -1))


def compass_distance(told: Tensor, before: Tensor) -> Tensor:
    """Return the mean cross entropy of what (B, 3) is told, given what was `before`, (B, 3).

    Where that was unsure, what is told shall be too.
    """
    concentration = before[:, 2:].exp()
    sure = torch.special.i1e(concentration) / torch.special.i0e(concentration)
    return _divergence(told, sure * before[:, :2])


def _divergence(told: Tensor, mean: Tensor) -> Tensor:
    """Negative log likelihood of directions whose mean is (B, 2), less a constant."""
    concentration = told[:, 2].exp()
    off = 1 - (told[:, :2] * mean).sum(-1)
    return (concentration * off + torch.special.i0e(concentration).log()).mean()
