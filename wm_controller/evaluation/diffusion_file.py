# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""A diffusion policy with its eyes in one `.safetensors` file: nothing else is needed to drive."""

from dataclasses import asdict, dataclass
import json
from pathlib import Path
from typing import Any

from safetensors.torch import save
import torch
from torch import nn

from wm_controller.errors import InputError
from wm_controller.evaluation.diffusion import DiffusionPolicy, Eyes, PolicyShape
from wm_controller.files import write_whole
from wm_controller.world_model.bundle import METADATA_KEY, read_weights, stored
from wm_controller.world_model.spec import ModelSpec

RIVAL_KEY = 'wm_controller_rival'
SCHEMA = 'wm_controller_rival/1'


@dataclass(frozen=True)
class Rival:
    """A loaded policy with what it sees with, and what was said and measured of its training."""

    eyes: Eyes
    policy: DiffusionPolicy
    spec: ModelSpec
    training: dict[str, Any]
    digest: str
    path: Path


def save_rival(path: Path, eyes: Eyes, policy: DiffusionPolicy, spec: ModelSpec,
               training: dict[str, Any]) -> None:
    """Write it whole, weights in half precision; raises InputError where that cannot be."""
    description = {'schema': SCHEMA, 'shape': asdict(policy.shape), 'spec': spec.to_json(),
                   'training': training}
    weights = {f'{prefix}.{name}': stored(value).cpu().contiguous()
               for prefix, module in (('eyes', eyes), ('policy', policy))
               for name, value in module.state_dict().items()}
    write_whole(path, save(weights, {RIVAL_KEY: json.dumps(description)}), make_folder=True)


def load_rival(path: str | Path) -> Rival:
    """Load what `save_rival` wrote; raises InputError, one line, for anything else."""
    path = Path(path).expanduser()
    if not path.is_file():
        raise InputError(f'{path}: no such file; make a diffusion policy with '
                         '`wm benchmark rival DATA -o FILE`')
    metadata, weights, digest = read_weights(path)
    if RIVAL_KEY not in metadata:
        what = 'a world model' if METADATA_KEY in metadata else 'a .safetensors file'
        raise InputError(f'{path}: {what}, not a diffusion policy; make one with '
                         '`wm benchmark rival DATA -o FILE`, or choose another --planner')
    try:
        description = json.loads(metadata[RIVAL_KEY])
        if description['schema'] != SCHEMA:
            raise InputError(f'{path}: schema {description["schema"]!r}, this version reads '
                             f'{SCHEMA!r}')
        spec = ModelSpec.from_json(description['spec'])
        eyes = Eyes(spec)
        policy = DiffusionPolicy(spec, PolicyShape(**description['shape']), eyes.compared)
        for prefix, module in (('eyes.', eyes), ('policy.', policy)):
            _fill(module, {name.removeprefix(prefix): value for name, value in weights.items()
                           if name.startswith(prefix)})
        training = dict(description['training'])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f'{path}: its description is damaged; train or copy it anew') from error
    except RuntimeError as error:
        raise InputError(f'{path}: its weights do not fit its description '
                         f'({str(error).splitlines()[0]})') from error
    if not all(torch.isfinite(value).all() for value in weights.values()):
        raise InputError(f'{path}: holds weights that are not finite; train it anew')
    return Rival(eyes, policy, spec, training, digest, path)


def _fill(module: nn.Module, weights: dict[str, torch.Tensor]) -> None:
    module.load_state_dict(weights)
    module.eval().requires_grad_(False)
