# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Where a picture was taken, seen from here: two views are matched, then their shift is read."""

import torch
from torch import nn, Tensor

from wm_controller.world_model.spec import ModelSpec

HEADS = 4      # matches looked for at once, each by features of its own
HEAD_WIDTH = 16


class GoalPoseHead(nn.Module):
    """Relative pose of a goal picture, and how far it may be wrong.

    Each place of this view attends to all places of the other (soft correspondence, as in
    Sarlin et al., SuperGlue, 2020); where its matches lie, and how sure they are, is flattened
    with the bearing kept, and a small network reads the pose from it.
    """

    grid: Tensor

    def __init__(self, spec: ModelSpec, feature_shape: tuple[int, int, int]) -> None:
        super().__init__()
        channels, height, width = feature_shape
        inner = HEADS * HEAD_WIDTH
        self.query = nn.Linear(channels, inner)
        self.key = nn.Linear(channels, inner)
        self.value = nn.Linear(channels, inner)
        # Left to right and top to bottom, -1..1: where in the picture a place is.
        y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width),
                              indexing='ij')
        self.register_buffer('grid', torch.stack([x, y], -1).reshape(1, 1, -1, 2),
                             persistent=False)
        per_place = 24
        self.place = nn.Sequential(nn.Linear(2 * inner + 3 * HEADS, 2 * per_place), nn.SiLU(),
                                   nn.Linear(2 * per_place, per_place), nn.SiLU())
        hidden = spec.architecture.head_hidden
        self.body = nn.Sequential(
            nn.Linear(per_place * height * width, hidden), nn.LayerNorm(hidden), nn.SiLU(),
            nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, 5))

    def forward(self, here: Tensor, goal: Tensor) -> Tensor:
        """Map two views' features (B, C, h, w) to (B, 5): x m, y m, cos yaw, sin yaw, log scale m.

        The scale is that of a Laplace distribution of the position's error.
        """
        mine, other = here.flatten(2).transpose(1, 2), goal.flatten(2).transpose(1, 2)

        def split(x: Tensor) -> Tensor:
            return x.unflatten(-1, (HEADS, HEAD_WIDTH)).transpose(1, 2)

        query, key, value = split(self.query(mine)), split(self.key(other)), split(
            self.value(other))
        match = torch.softmax(query @ key.transpose(-1, -2) / HEAD_WIDTH ** 0.5, -1)
        shift = match @ self.grid.to(match.dtype) - self.grid.to(match.dtype)  # (B, heads, P, 2)
        sure = match.amax(-1, keepdim=True)
        found = torch.cat([query, match @ value, shift, sure], -1)
        places = self.place(found.transpose(1, 2).flatten(2))
        return self.body(places.flatten(1)).float()
