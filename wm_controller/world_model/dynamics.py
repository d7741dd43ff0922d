# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The recurrent state: updated by what is seen, carried forward by actions."""

import torch
from torch import nn, Tensor

from wm_controller.world_model.spec import ModelSpec

PROPRIO = 5


class StateFilter(nn.Module):
    """s(t) from what was expected of it, the latent h(t), the action since t-1, and odometry.

    Controls (A) are normalised commands, or latent actions where the architecture has them.
    """

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        a = spec.architecture
        self.cell = nn.GRUCell(a.latent + a.control + PROPRIO + 1, a.state)

    def forward(self, state: Tensor, latent: Tensor, action: Tensor, proprio: Tensor) -> Tensor:
        """Correct expected (B, S) by latent (B, E), control (B, A), normalised proprio (B, 5).

        NaN in `proprio` means "no odometry": the row is replaced by zeros and flagged.
        """
        known = torch.isfinite(proprio).all(-1, keepdim=True)
        proprio = torch.where(known, proprio, torch.zeros_like(proprio))
        inputs = torch.cat([latent, action, proprio, known.to(latent.dtype)], -1)
        return self.cell(inputs, state)


class Predictor(nn.Module):
    """s(t+1) = Pred(s(t), a(t)): a gated update, so that long imagined futures stay bounded."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        a = spec.architecture
        self.trunk = nn.Sequential(
            nn.Linear(a.state + a.control, a.predictor_hidden), nn.LayerNorm(a.predictor_hidden),
            nn.SiLU(), nn.Linear(a.predictor_hidden, a.predictor_hidden), nn.SiLU())
        self.update = nn.Linear(a.predictor_hidden, 2 * a.state)
        with torch.no_grad():  # begin near "nothing changes", the floor that must be beaten
            self.update.bias[:a.state].fill_(-1.0)

    def forward(self, state: Tensor, action: Tensor) -> Tensor:
        """Carry states (..., S) one step forward under controls (..., A)."""
        update = self.update(self.trunk(torch.cat([state, action], -1)))
        gate, value = update.to(state.dtype).chunk(2, -1)  # the state keeps full precision
        return torch.lerp(state, torch.tanh(value), torch.sigmoid(gate))
