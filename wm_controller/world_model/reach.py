# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""How long it takes from a state to the view that a picture shows: a learned cost."""

import torch
from torch import nn, Tensor

from wm_controller.world_model.spec import ModelSpec

REACH_MAX_STEPS = 128  # goals in training lie no further ahead; pictures of other places count so


class ImageReachHead(nn.Module):
    """log(1 + steps) until the camera sees what a picture shows.

    Distances between latents say little beyond the nearest views; times that drives took
    (hindsight) go on growing with the way, also round a corner. A low quantile of them comes near
    the shortest time that is possible. The logarithm gives near and far goals the same say, and a
    quantile of the logarithm is the logarithm of the quantile.
    """

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        a = spec.architecture
        hidden = 2 * a.head_hidden  # two inputs to compare, where other heads read off one
        self.body = nn.Sequential(
            nn.Linear(a.state + a.latent, hidden), nn.LayerNorm(hidden), nn.SiLU(),
            nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, 1))

    def forward(self, state: Tensor, goal: Tensor) -> Tensor:
        """Map states (..., S) and goal latents (..., E), broadcast, to (...,), 0 or more."""
        shape = torch.broadcast_shapes(state.shape[:-1], goal.shape[:-1])
        both = [state.expand(*shape, -1), goal.expand(*shape, -1)]
        return nn.functional.softplus(self.body(torch.cat(both, -1)).squeeze(-1).float())
