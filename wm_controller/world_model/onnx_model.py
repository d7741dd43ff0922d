# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""A world model whose heavy parts ONNX Runtime runs; the small ones stay with torch."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
import torch
from torch import Tensor

from wm_controller.errors import InputError
from wm_controller.world_model.export import difference, INSTALL, PARITY, to_onnx
from wm_controller.world_model.graphs import Graph, graphs
from wm_controller.world_model.model import WorldModel
from wm_controller.world_model.spec import COMMAND

# By OnnxModel. Where each row is one step torch is as fast: the members' disagreement took 1.2 to
# 1.4 times as long by ONNX Runtime.
USED = ('encoder', 'observe', 'rollout')
CHECKED_ROWS = 5


class Sessions:
    """ONNX Runtime's sessions of a model's parts, on the processor, with so many threads.

    Raises InputError where onnxruntime is missing, or a part is no ONNX model.
    """

    def __init__(self, parts: Mapping[str, bytes], threads: int) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise InputError(f'onnxruntime is missing: {INSTALL}') from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3
        # Threads that spin while they wait take the core from the guardrail.
        options.add_session_config_entry('session.intra_op.allow_spinning', '0')
        self._sessions = {}
        for name, data in parts.items():
            try:
                self._sessions[name] = onnxruntime.InferenceSession(
                    data, options, providers=['CPUExecutionProvider'])
            except Exception as error:  # its exceptions share no base of their own
                reason = ' '.join(str(error).split())[:200]
                raise InputError(f'{name}: not a model for ONNX Runtime ({reason})') from error

    def __contains__(self, name: str) -> bool:
        return name in self._sessions

    def run(self, graph: Graph, *values: Tensor) -> list[NDArray[Any]]:
        """Run a part on inputs (rows, ...) in the order of `graph.inputs`."""
        fed = {name: np.ascontiguousarray(value.numpy())
               for name, value in zip(graph.inputs, values)}
        found: list[NDArray[Any]] = self._sessions[graph.name].run(None, fed)
        return found


class OnnxModel(WorldModel):
    """Shares all weights with the model it is made of, and answers as that does.

    Roll-outs that are longer than was exported, or under half as long, and whatever needs
    gradients, go to torch.
    """

    runtime = 'onnx'
    _graphs: dict[str, Graph]
    _sessions: Sessions

    @classmethod
    def of(cls, model: WorldModel, sessions: Sessions, steps: int) -> 'OnnxModel':
        """Run a model by sessions of its parts, roll-outs of `steps`; raises InputError."""
        made = object.__new__(cls)
        made.__dict__.update(model.__dict__)
        missing = [name for name in USED if name not in sessions]
        if missing:
            raise InputError(f'the exported model lacks {", ".join(missing)}')
        made.__dict__['_graphs'] = {g.name: g for g in graphs(model, steps) if g.name in USED}
        made.__dict__['_sessions'] = sessions
        return made

    def check(self) -> dict[str, float]:
        """Largest difference of each part from torch, on random inputs."""
        worst = {}
        for name, graph in self._graphs.items():
            values = graph.example(CHECKED_ROWS, seed=1)
            worst[name] = max(difference(graph, values, self._sessions.run(graph, *values)
                                         ).values())
        return worst

    def encode_with_features(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """As the model's; pixels (B, H, W, 3) uint8, else by torch."""
        if pixels.dtype is not torch.uint8 or torch.is_grad_enabled():
            return super().encode_with_features(pixels)
        latent, features = self._run('encoder', pixels)
        return latent, features

    def observe(self, state: Tensor, latent: Tensor, action: Tensor, proprio: Tensor) -> Tensor:
        """As the model's."""
        if torch.is_grad_enabled():
            return super().observe(state, latent, action, proprio)
        return self._run('observe', state, latent, action, proprio)[0]

    def imagine(self, state: Tensor, actions: Tensor, variable: Tensor | None = None,
                shared_out: bool = False) -> tuple[Tensor, Tensor]:
        """As the model's."""
        graph = self._graphs['rollout']
        steps, lead, length = graph.inputs['actions'][0], actions.shape[:-2], actions.shape[-2]
        # One that is a little shorter is cut from a whole one: later steps change no earlier one.
        if (torch.is_grad_enabled() or shared_out or state.shape[:-1] != lead
                or not steps / 2 < length <= steps or actions.shape[-1] != COMMAND):
            return super().imagine(state, actions, variable, shared_out)
        values = [state.reshape(-1, state.shape[-1]), _filled(actions.flatten(0, -3), steps)]
        if 'variable' in graph.inputs:
            width = graph.inputs['variable'][1]
            drawn = (state.new_zeros(*lead, length, width) if variable is None
                     else variable.expand(*lead, length, width))
            values.append(_filled(drawn.reshape(-1, length, width), steps))
        states, changes = self._run('rollout', *values)
        return (states[:, :length + 1].unflatten(0, lead), changes[:, :length].unflatten(0, lead))

    def _run(self, name: str, *values: Tensor) -> list[Tensor]:
        return [torch.from_numpy(value)
                for value in self._sessions.run(self._graphs[name], *values)]


def _filled(sequence: Tensor, steps: int) -> Tensor:
    """Lengthen (rows, T, ...) to `steps` by zeros."""
    return torch.nn.functional.pad(sequence, (0, 0, 0, steps - sequence.shape[1]))


def made_here(model: WorldModel, steps: int) -> dict[str, bytes]:
    """Export what an OnnxModel needs, in memory: takes about a second; raises InputError."""
    return {graph.name: to_onnx(graph) for graph in graphs(model, steps) if graph.name in USED}


def faithful(model: OnnxModel) -> OnnxModel:
    """Return the model; raises InputError where its parts differ from torch by over PARITY."""
    for name, off in model.check().items():
        if not off <= PARITY:
            raise InputError(f'{name} by ONNX Runtime differs from torch by {off:.2g}, more than '
                             f'{PARITY:g}: use runtime torch, and report this')
    return model
