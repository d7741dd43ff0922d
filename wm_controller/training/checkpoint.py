# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints that a stopped run resumes from: safetensors, so that nothing is unpickled."""

import json
from pathlib import Path
from typing import Any

from safetensors import safe_open, SafetensorError
from safetensors.torch import save
import torch
from torch import nn

from wm_controller.errors import InputError
from wm_controller.files import write_whole

METADATA_KEY = 'wm_controller_checkpoint'


def save_checkpoint(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer,
                    progress: dict[str, Any]) -> None:
    """Write weights, optimiser moments and `progress` (JSON), whole or not at all."""
    tensors = {f'model.{name}': value for name, value in model.state_dict().items()}
    for index, moments in optimizer.state_dict()['state'].items():
        tensors.update({f'optimizer.{index}.{name}': torch.as_tensor(value)
                        for name, value in moments.items()})
    tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    data = save(tensors, {METADATA_KEY: json.dumps(progress)})
    write_whole(path, data, make_folder=True)


def read_progress(path: Path) -> dict[str, Any]:
    """Return what `save_checkpoint` was given as `progress`; raises InputError."""
    try:
        with safe_open(path, framework='pt') as file:
            return dict(json.loads((file.metadata() or {})[METADATA_KEY]))
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise InputError(f'{path}: not a checkpoint that can be resumed ({error}); delete it or '
                         'pass --restart') from error


def resume(path: Path, identity: dict[str, Any], model: nn.Module,
           optimizer: torch.optim.Optimizer, refusal: str) -> dict[str, Any]:
    """Restore what lies at `path` and return its progress, without the identity.

    Raises InputError with `refusal` where its identity is another than the one given.
    """
    saved = read_progress(path)
    if saved.pop('identity') != identity:
        raise InputError(f'{path}: {refusal}')
    restore(path, model, optimizer)
    return saved


def restore(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Load weights and moments into a model and optimiser of the same build; raises InputError."""
    state: dict[int, dict[str, torch.Tensor]] = {}
    weights: dict[str, torch.Tensor] = {}
    with safe_open(path, framework='pt') as file:
        for name in file.keys():  # noqa: SIM118
            kind, _, rest = name.partition('.')
            if kind == 'model':
                weights[rest] = file.get_tensor(name)
            else:
                index, _, moment = rest.partition('.')
                state.setdefault(int(index), {})[moment] = file.get_tensor(name)
    try:
        model.load_state_dict(weights)
        groups = optimizer.state_dict()['param_groups']
        optimizer.load_state_dict({'state': state, 'param_groups': groups})
    except (RuntimeError, ValueError) as error:
        raise InputError(f'{path}: the checkpoint is of another model; delete it or pass '
                         f'--restart ({str(error).splitlines()[0]})') from error
