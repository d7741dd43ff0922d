# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The upper level: abstract states, and macro-actions that stand for chunks of actions.

One step of it is a chunk of the lower level's steps, so that ten seconds are a handful of steps.
It reads the lower level's states and shares nothing else with it (the hierarchy of LeCun's "A Path
Towards Autonomous Machine Intelligence", 4.6; HWM for what worked).
"""

import torch
from torch import nn, Tensor

from wm_controller.errors import InputError
from wm_controller.world_model.heads import GAP_MAX, GAP_MIN
from wm_controller.world_model.spec import COMMAND, ModelSpec

HIDDEN = 256
PARTS = 4  # of a chunk, at whose ends it is known where the base is
WAY_SCALE = (0.5, 0.2, 0.7)  # m, m, rad: what a chunk moves by, roughly


class AbstractLevel(nn.Module):
    """u = Enc(s), m = Macro(a), u' = Pred(u, m), and what a chunk leads through.

    Shapes: S state of the lower level, U abstract state, M macro-action, K steps of a chunk.
    Actions are in m/s and rad/s at the methods.
    """

    action_scale: Tensor
    way_scale: Tensor
    macro_low: Tensor
    macro_high: Tensor

    def __init__(self, spec: ModelSpec) -> None:
        """Raise InputError where the architecture has no abstract level that can be built."""
        super().__init__()
        a = spec.architecture
        if min(a.abstract_state, a.macro_action, a.chunk_steps) < 1 or a.chunk_steps % PARTS:
            raise InputError(f'abstract_state {a.abstract_state}, macro_action {a.macro_action} '
                             f'and chunk_steps {a.chunk_steps} must be positive, the last a '
                             f'multiple of {PARTS}')
        self.chunk = a.chunk_steps
        self.spec = spec
        step = a.abstract_state + a.macro_action
        self.encoder = nn.Sequential(
            nn.Linear(a.state, HIDDEN), nn.LayerNorm(HIDDEN), nn.SiLU(),
            nn.Linear(HIDDEN, a.abstract_state))
        self.macro_encoder = nn.Sequential(
            nn.Linear(COMMAND * a.chunk_steps, HIDDEN // 2), nn.SiLU(),
            nn.Linear(HIDDEN // 2, a.macro_action))
        self.predictor = nn.Sequential(
            nn.Linear(step, HIDDEN), nn.LayerNorm(HIDDEN), nn.SiLU(),
            nn.Linear(HIDDEN, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, a.abstract_state))
        self.way_head = _head(step, 3 * PARTS)
        self.gap_head = _head(step, 2)
        self.policy = _head(step, COMMAND * a.chunk_steps)
        self.reach_head = _head(a.abstract_state + 4, 1)
        self.register_buffer('action_scale', torch.tensor(spec.normalisation.action_scale),
                             persistent=False)
        self.register_buffer('way_scale', torch.tensor(WAY_SCALE), persistent=False)
        # What macro-actions of the data lie between: nothing else was ever learned.
        self.register_buffer('macro_low', -2 * torch.ones(a.macro_action))
        self.register_buffer('macro_high', 2 * torch.ones(a.macro_action))

    def encode(self, state: Tensor) -> Tensor:
        """Abstract states (..., U) of states (..., S)."""
        encoded: Tensor = self.encoder(state)
        return encoded

    def macro(self, actions: Tensor) -> Tensor:
        """Macro-actions (..., M) that stand for chunks of actions (..., K, 2)."""
        found: Tensor = self.macro_encoder((actions / self.action_scale).flatten(-2))
        return found

    def predict(self, abstract: Tensor, macro: Tensor) -> Tensor:
        """Carry abstract states (..., U) one chunk forward under macro-actions (..., M)."""
        change: Tensor = self.predictor(torch.cat([abstract, macro], -1))
        return abstract + change

    def imagine(self, abstract: Tensor, macros: Tensor) -> Tensor:
        """Roll abstract states (..., U) out under (..., T, M): (..., T + 1, U) with the given."""
        states = [abstract]
        for macro in macros.unbind(-2):
            states.append(self.predict(states[-1], macro))
        return torch.stack(states, -2)

    def way(self, abstract: Tensor, macro: Tensor) -> Tensor:
        """Poses (..., PARTS, 3) at the ends of a chunk's parts, from where it begins."""
        raw: Tensor = self.way_head(torch.cat([abstract, macro], -1))
        return raw.unflatten(-1, (PARTS, 3)) * self.way_scale

    def gap_log(self, abstract: Tensor, macro: Tensor) -> Tensor:
        """Log metres (..., 2) to the nearest thing all round, least over a chunk: low, median."""
        low, median = self.gap_head(torch.cat([abstract, macro], -1)).unbind(-1)
        return torch.stack([median - nn.functional.softplus(low), median], -1)

    def gap(self, abstract: Tensor, macro: Tensor) -> Tensor:
        """As `gap_log`, in metres."""
        return self.gap_log(abstract, macro).exp().clamp(GAP_MIN, GAP_MAX)

    def actions(self, abstract: Tensor, macro: Tensor) -> Tensor:
        """Return the chunk of actions (..., K, 2) that a macro-action stands for."""
        raw = self.policy(torch.cat([abstract, macro], -1)).unflatten(-1, (self.chunk, COMMAND))
        return raw * self.action_scale

    def time_to_reach(self, abstract: Tensor, goal: Tensor) -> Tensor:
        """Seconds (...,) until the base can be at goals (..., 2) m in the base frame.

        Never less than the straight line takes.
        """
        distance = goal.norm(dim=-1, keepdim=True)
        seen = torch.cat([goal / 4, distance / 4, torch.log(distance + 0.05)], -1)
        excess = nn.functional.softplus(self.reach_head(torch.cat([abstract, seen], -1)))
        return (distance / max(self.spec.action_limits[1], 1e-3) + excess).squeeze(-1)


def _head(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, HIDDEN // 2), nn.LayerNorm(HIDDEN // 2), nn.SiLU(),
                         nn.Linear(HIDDEN // 2, outputs))
