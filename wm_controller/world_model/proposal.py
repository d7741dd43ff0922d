# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""What a planner that has no time would do: a few action sequences, read off the state."""

import numpy as np
import torch
from torch import nn, Tensor

from wm_controller.world_model.spec import COMMAND, ModelSpec

LOOK = 8         # numbers of the state that have a say
SEQUENCES = 4    # that are proposed
KNOTS = (0, 1, 3, 6, 11)  # steps at which a sequence is told; straight lines between them
DIRECTIONS = 8   # round the robot, in which memory is asked how much room there is,
RINGS = (0.35, 0.7)       # m from it, and where it stands
AHEAD = 4        # points of the way to the goal, of which its direction is told
# Direction and distance of the goal, way left and its directions, last command, room.
SITUATION = 3 + 1 + 2 * AHEAD + COMMAND + 1 + DIRECTIONS * len(RINGS)
RELAXED = 0.05   # of the loss goes to sequences that were not the nearest


class ProposalHead(nn.Module):
    """Proposes action sequences for a state and what is wanted there, each with a score.

    Where there are two ways round an obstacle, the mean of both leads into it; so there are
    several sequences, of which the nearest to what the planner found is taught (multiple choice
    learning: Guzman-Rivera et al., 2012).
    """

    scale: Tensor

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        width = spec.architecture.proposal_width
        self.look = nn.Linear(spec.architecture.state, LOOK)
        self.body = nn.Sequential(
            nn.Linear(LOOK + SITUATION, width), nn.LayerNorm(width), nn.SiLU(),
            nn.Linear(width, width), nn.SiLU(),
            nn.Linear(width, SEQUENCES * (COMMAND * len(KNOTS) + 1)))
        self.register_buffer('scale', torch.tensor(spec.normalisation.action_scale),
                             persistent=False)

    def forward(self, state: Tensor, situation: Tensor) -> tuple[Tensor, Tensor]:
        """Map states (B, S), situations (B, SITUATION) to knots (B, K, len(KNOTS), 2), scores.

        Knots are commands in m/s and rad/s, scores (B, K) log-probabilities but for a constant.
        """
        told = self.body(torch.cat([self.look(state), situation], -1)).float()
        told = told.unflatten(-1, (SEQUENCES, -1))
        return told[..., 1:].unflatten(-1, (len(KNOTS), COMMAND)) * self.scale, told[..., 0]


def sequences_of(knots: Tensor, steps: int) -> Tensor:
    """Draw action sequences (..., steps, 2) through knots (..., len(KNOTS), 2)."""
    share = np.stack([np.interp(np.arange(steps), KNOTS, unit) for unit in np.eye(len(KNOTS))], 1)
    return torch.from_numpy(share).to(knots) @ knots


def proposal_loss(knots: Tensor, scores: Tensor, wanted: Tensor, scale: Tensor
                  ) -> tuple[Tensor, Tensor]:
    """Return by how much the nearest sequence misses `wanted` (B, T, 2), and the scores' entropy.

    The first in units of `scale` (2,), the second the cross entropy of the nearest one: means.
    """
    off = (sequences_of(knots, wanted.shape[1]) - wanted[:, None]) / scale
    missed = nn.functional.smooth_l1_loss(off, torch.zeros_like(off), reduction='none',
                                          beta=0.2).mean((-2, -1))
    nearest = missed.argmin(-1)
    best = missed.gather(-1, nearest[:, None]).mean()
    return ((1 - RELAXED) * best + RELAXED * missed.mean(),
            nn.functional.cross_entropy(scores, nearest))
