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
    """s(t+1) = Pred(s(t), z(t), a(t)): a gated update, so that long imagined futures stay bounded.

    `ensemble` members share a trunk and differ in how they update the state: where there were
    data they agree. z says what state and action leave open; without it, what is expected.
    """

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        a = spec.architecture
        self.trunk = nn.Sequential(
            nn.Linear(a.state + a.control, a.predictor_hidden),
            nn.LayerNorm(a.predictor_hidden), nn.SiLU(),
            nn.Linear(a.predictor_hidden, a.predictor_hidden), nn.SiLU())
        self.update = nn.Linear(a.predictor_hidden, 2 * a.state)
        self.other_updates = nn.ModuleList(
            nn.Linear(a.predictor_hidden, 2 * a.state) for _ in range(a.ensemble - 1))
        self.variable = nn.Linear(a.latent_variable + 1, a.predictor_hidden, bias=False) if (
            a.latent_variable) else None
        with torch.no_grad():  # begin near "nothing changes", the floor that must be beaten
            for update in self.members:
                update.bias[:a.state].fill_(-1.0)
            if self.variable is not None:
                self.variable.weight.zero_()

    @property
    def members(self) -> list[nn.Linear]:
        """The members of the ensemble; the first is the one that speaks where one is enough."""
        return [self.update, *self.other_updates]  # type: ignore[list-item]

    def forward(self, state: Tensor, action: Tensor, variable: Tensor | None = None,
                shared_out: bool = False) -> Tensor:
        """Carry states (..., S) one step forward under controls (..., A).

        `variable` (..., Z + 1): z and a 1, or zeros where z is not known; None: nowhere.
        `shared_out`: what has index i in the first dimension is member i modulo their number's.
        """
        hidden = self._hidden(state, action, variable)
        if shared_out and self.other_updates:
            count = len(self.other_updates) + 1
            update = hidden.new_empty(*hidden.shape[:-1], 2 * state.shape[-1])
            for i, member in enumerate(self.members):
                update[i::count] = member(hidden[i::count])
        else:
            update = self.update(hidden)
        return _updated(state, update)

    def opinions(self, state: Tensor, action: Tensor) -> Tensor:
        """What each of the M members expects to follow: (M, ..., S)."""
        hidden = self._hidden(state, action, None)
        return torch.stack([_updated(state, member(hidden)) for member in self.members])

    def _hidden(self, state: Tensor, action: Tensor, variable: Tensor | None) -> Tensor:
        hidden: Tensor = self.trunk[0](torch.cat([state, action], -1))
        if variable is not None and self.variable is not None:
            hidden = hidden + self.variable(variable)
        for layer in list(self.trunk)[1:]:
            hidden = layer(hidden)
        return hidden


def _updated(state: Tensor, update: Tensor) -> Tensor:
    gate, value = update.to(state.dtype).chunk(2, -1)  # the state keeps full precision
    return torch.lerp(state, torch.tanh(value), torch.sigmoid(gate))


class VariableInference(nn.Module):
    """Which z led from one state to the next: a Gaussian, as in a variational autoencoder."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        a = spec.architecture
        self.body = nn.Sequential(
            nn.Linear(2 * a.state + a.control, a.head_hidden), nn.LayerNorm(a.head_hidden),
            nn.SiLU(), nn.Linear(a.head_hidden, 2 * a.latent_variable))

    def forward(self, state: Tensor, action: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
        """Map (..., S), controls (..., A), (..., S) to mean and log variance (..., Z)."""
        mean, log_variance = self.body(torch.cat([state, action, after], -1)).chunk(2, -1)
        return mean, log_variance.clamp(-8, 4)
