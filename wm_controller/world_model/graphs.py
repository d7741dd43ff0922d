# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The parts of a model that run without this package: what each takes, and what it gives.

Every input and output has rows first, as many as the caller likes. Units are those of
`WorldModel`'s public methods: m, s, rad, images RGB 0..255; all else is inside the graph.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn, Tensor

from wm_controller.world_model.dynamics import PROPRIO
from wm_controller.world_model.model import WorldModel
from wm_controller.world_model.spec import COMMAND
from wm_controller.world_model.uncertainty import disagreement

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Graph:
    """One part: `module` maps tensors (rows, *shape), in the order of `inputs`, to `outputs`."""

    name: str
    module: nn.Module
    inputs: Mapping[str, Shape]
    outputs: tuple[str, ...]

    def example(self, rows: int, seed: int = 0) -> tuple[Tensor, ...]:
        """Draw inputs of the kind and size that there are in driving; the first lacks odometry."""
        generator = torch.Generator().manual_seed(seed)
        drawn = []
        for name, shape in self.inputs.items():
            value = torch.randn(rows, *shape, generator=generator)
            if name == 'pixels':
                value = (128 + 64 * value).clamp(0, 255).to(torch.uint8)
            elif name == 'proprio':
                value = torch.cat([torch.full_like(value[:1], torch.nan), 0.1 * value[1:]])
            elif name in ('state', 'action', 'actions'):
                value = 0.4 * value
            drawn.append(value)
        return tuple(drawn)


def graphs(model: WorldModel, steps: int) -> tuple[Graph, ...]:
    """Return the parts of a model: encoder, observe, step, rollout over `steps`, and read-outs."""
    a = model.spec.architecture
    state: dict[str, Shape] = {'state': (a.state,)}
    action: dict[str, Shape] = {'action': (COMMAND,)}
    drawn = a.latent_variable + 1
    one: dict[str, Shape] = {'variable': (drawn,)} if a.latent_variable else {}
    many: dict[str, Shape] = {'variable': (steps, drawn)} if a.latent_variable else {}
    read = ('expected_latent', 'clearance', 'nearest', 'time_to_reach')
    found: tuple[Graph, ...] = (
        Graph('encoder', _Encoder(model), {'pixels': (*model.spec.image_size, 3)},
              ('latent', 'features')),
        Graph('observe', _Observe(model),
              {**state, 'latent': (a.latent,), **action, 'proprio': (PROPRIO,)}, ('next_state',)),
        Graph('step', _Step(model), {**state, **action, **one}, ('next_state', 'pose_change')),
        Graph('rollout', _Rollout(model),
              {**state, 'actions': (steps, COMMAND), **many}, ('states', 'pose_changes')),
        Graph('read', _Read(model), {**state, 'goal': (2,)}, read),
    )
    if a.ensemble > 1:
        found += (Graph('disagreement', _Disagreement(model), {**state, **action},
                        ('disagreement',)),)
    return found


class _Part(nn.Module):
    def __init__(self, model: WorldModel) -> None:
        super().__init__()
        self.model = model


class _Encoder(_Part):
    def forward(self, pixels: Tensor) -> Any:
        return self.model.encode_with_features(pixels)


class _Observe(_Part):
    def forward(self, state: Tensor, latent: Tensor, action: Tensor, proprio: Tensor) -> Any:
        return self.model.observe(state, latent, action, proprio)


class _Step(_Part):
    def forward(self, state: Tensor, action: Tensor, variable: Tensor | None = None) -> Any:
        drawn = None if variable is None else variable[:, None]
        states, changes = self.model.imagine(state, action[:, None], drawn)
        return states[:, 1], changes[:, 0]


class _Rollout(_Part):
    def forward(self, state: Tensor, actions: Tensor, variable: Tensor | None = None) -> Any:
        return self.model.imagine(state, actions, variable)


class _Read(_Part):
    def forward(self, state: Tensor, goal: Tensor) -> Any:
        model = self.model
        return (model.latent_of(state), model.clearance(state), model.nearest(state),
                model.time_to_reach(state, goal))


class _Disagreement(_Part):
    def forward(self, state: Tensor, action: Tensor) -> Any:
        return disagreement(self.model, state, action)
