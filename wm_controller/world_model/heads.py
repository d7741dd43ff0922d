# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Read-outs of the state: pose change, clearance, time-to-reach; and inverse dynamics."""

import torch
from torch import nn, Tensor

from wm_controller.world_model.spec import COMMAND, ModelSpec

CLEARANCE_QUANTILES = (0.1, 0.5, 0.9)
CLEARANCE_MIN = 0.05  # m, so that the logarithm stays finite
GAP_QUANTILES = (0.2, 0.5)
GAP_MIN, GAP_MAX = 0.05, 1.5  # m: beyond that nothing is near


def _mlp(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.LayerNorm(hidden), nn.SiLU(),
                         nn.Linear(hidden, outputs))


class PoseChangeHead(nn.Module):
    """How the base moves over one step, in the frame it starts from."""

    scale: Tensor

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.body = _mlp(spec.architecture.state + spec.architecture.control,
                         spec.architecture.head_hidden, 3)
        self.register_buffer('scale', torch.tensor(spec.normalisation.pose_change_scale),
                             persistent=False)

    def forward(self, state: Tensor, action: Tensor) -> Tensor:
        """Map states (..., S), controls (..., A) to (..., 3): dx m, dy m, dyaw rad."""
        return self.body(torch.cat([state, action], -1)) * self.scale


class ClearanceHead(nn.Module):
    """Free distance in each direction the camera sees, as quantiles: small, median, large."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.directions = max(1, len(spec.clearance_bearings))
        self.body = _mlp(spec.architecture.state, spec.architecture.head_hidden,
                         self.directions * len(CLEARANCE_QUANTILES))

    def forward(self, state: Tensor) -> Tensor:
        """Map (..., S) to log metres (..., quantile, K), each quantile at or above the last."""
        raw = self.body(state).unflatten(-1, (len(CLEARANCE_QUANTILES), self.directions))
        low, middle, high = raw.unbind(-2)
        spread = nn.functional.softplus
        return torch.stack([middle - spread(low), middle, middle + spread(high)], -2)


class GapHead(nn.Module):
    """Distance from the base to the nearest thing all round, seen or remembered: low, median."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.body = _mlp(spec.architecture.state, spec.architecture.head_hidden, 2)

    def forward(self, state: Tensor) -> Tensor:
        """Map (..., S) to log metres (..., 2), the first at or below the second."""
        low, median = self.body(state).unbind(-1)
        return torch.stack([median - nn.functional.softplus(low), median], -1)


class TimeToReachHead(nn.Module):
    """Seconds until the base can be at a relative position; never less than the straight line.

    A quantile regression over the times that drives really took (hindsight): a low quantile
    comes near the shortest time that is possible.
    """

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.max_speed = max(spec.action_limits[1], 1e-3)
        self.body = _mlp(spec.architecture.state + 6, spec.architecture.head_hidden, 1)

    def forward(self, state: Tensor, goal: Tensor) -> Tensor:
        """Map states (..., S) and goals (..., 2) m in the base frame to (...,) s."""
        distance = goal.norm(dim=-1, keepdim=True)
        direction = goal / (distance + 0.05)
        features = torch.cat([goal / 4, distance / 4, torch.log(distance + 0.05), direction], -1)
        excess = nn.functional.softplus(self.body(torch.cat([state, features], -1)))
        return (distance / self.max_speed + excess).squeeze(-1)


class InverseDynamicsHead(nn.Module):
    """Which action led from one latent to the next: keeps latents about what can be changed."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.body = _mlp(2 * spec.architecture.latent, spec.architecture.head_hidden, COMMAND)

    def forward(self, before: Tensor, after: Tensor) -> Tensor:
        """Map (..., E), (..., E) to normalised actions (..., 2)."""
        return self.body(torch.cat([before, after], -1))
