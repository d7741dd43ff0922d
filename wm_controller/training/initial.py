# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Begin from the weights of a trained model: fine-tuning on one's own data, or new parts."""

from dataclasses import replace

import torch

from wm_controller.errors import InputError
from wm_controller.world_model.bundle import Bundle
from wm_controller.world_model.model import WorldModel
from wm_controller.world_model.spec import ModelSpec

MUST_AGREE = ('image_size', 'step_period_s', 'clearance_bearings')


def adopted_spec(own: ModelSpec, bundle: Bundle) -> ModelSpec:
    """Return the data's description with the bundle's normalisation, which its weights expect.

    Raises InputError where images, step or bearings differ: other weights would be needed.
    """
    for name in MUST_AGREE:
        mine, other = getattr(own, name), getattr(bundle.spec, name)
        if name == 'step_period_s':
            same = abs(mine - other) < 0.05 * other
        elif name == 'clearance_bearings':  # none: the data have no scans, the head stays as it is
            same = not mine or (len(mine) == len(other) and all(
                abs(a - b) < 1e-3 for a, b in zip(mine, other)))
        else:
            same = tuple(mine) == tuple(other)
        if not same:
            raise InputError(f'{bundle.path}: cannot begin from it: its {name} is {other}, '
                             f'that of the data {mine}')
    return replace(own, normalisation=bundle.spec.normalisation,
                   clearance_bearings=bundle.spec.clearance_bearings)


def adopt(model: WorldModel, bundle: Bundle) -> list[str]:
    """Copy every weight of the bundle that has a place of its shape; names of those begun anew."""
    given = bundle.model.state_dict()
    own = model.state_dict()
    taken = {name: value for name, value in given.items()
             if name in own and own[name].shape == value.shape}
    if not taken:
        raise InputError(f'{bundle.path}: cannot begin from it: no weight has the shape needed')
    with torch.no_grad():
        model.load_state_dict({**own, **taken})
    return sorted(set(own) - set(taken))

