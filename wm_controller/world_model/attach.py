# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Give a finished bundle a part trained by itself: every other weight stays, bit for bit."""

from collections.abc import Mapping
from dataclasses import replace
import json
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save
from torch import nn

from wm_controller.errors import InputError
from wm_controller.files import write_whole
from wm_controller.world_model.abstract import AbstractLevel
from wm_controller.world_model.bundle import Bundle, METADATA_KEY, stored
from wm_controller.world_model.decoder import Decoder
from wm_controller.world_model.goal_pose import GoalPoseHead
from wm_controller.world_model.model import WorldModel


def new_decoder(bundle: Bundle, channels: tuple[int, ...]) -> Decoder:
    """Make an untrained decoder for the states of this bundle's model."""
    architecture = replace(bundle.spec.architecture, decoder_channels=channels)
    return Decoder(replace(bundle.spec, architecture=architecture))


def save_with_part(source: Path, target: Path, prefix: str, part: nn.Module,
                   architecture: Mapping[str, Any], record: Mapping[str, Any],
                   gates: Mapping[str, Any]) -> None:
    """Write `source` with this part in place of its weights of that prefix; raises InputError.

    The file is copied, not made anew from a loaded model, so that nothing else can change. Half
    precision keeps small bundles small. `architecture`, `record` and `gates` are put into what
    the bundle says of its architecture, its training and its gates.
    """
    try:
        with safe_open(source, framework='pt') as file:
            description = json.loads((file.metadata() or {})[METADATA_KEY])
            weights = {name: file.get_tensor(name) for name in file.keys()  # noqa: SIM118
                       if not name.startswith(prefix)}
    except (OSError, KeyError, ValueError) as error:
        raise InputError(f'{source}: cannot be read again ({error})') from error
    description['architecture'].update(architecture)
    description['training'] = {**description.get('training', {}), **record}
    description['gates'] = {**description.get('gates', {}), **gates}
    weights.update({prefix + name: stored(value).cpu().contiguous()
                    for name, value in part.state_dict().items()})
    write_whole(target, save(weights, {METADATA_KEY: json.dumps(description)}), make_folder=True)


def goal_pose_head(model: WorldModel) -> GoalPoseHead:
    """Return what compares goal pictures; raises InputError with the remedy if there is none."""
    if model.goal_pose is None:
        raise InputError('this model cannot tell where a goal picture was taken: add that with '
                         '`wm train DATA -o OUT --goal-pictures-of BUNDLE`')
    return model.goal_pose


def decoder_of(bundle: Bundle) -> Decoder:
    """Return the bundle's decoder; raises InputError with the remedy where it has none."""
    if bundle.model.decoder is None:
        raise InputError(f'{bundle.path}: this bundle has no decoder: add one with `wm train DATA '
                         f'-o OUT --decoder-of {bundle.path}`')
    return bundle.model.decoder


def upper_level(bundle: Bundle) -> AbstractLevel:
    """Return the bundle's upper level; raises InputError with the remedy where it has none."""
    if bundle.model.abstract is None:
        raise InputError(f'{bundle.path}: this bundle has no upper level for a hierarchical '
                         f'planner: add one with `wm train DATA -o OUT --abstract-of '
                         f'{bundle.path}`, or plan flat')
    return bundle.model.abstract
