# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Every encoder there is, by the name that `Architecture.encoder` has."""

from dataclasses import replace

from wm_controller.errors import InputError
from wm_controller.world_model.backbones import BACKBONES, digest_of, TIMM
from wm_controller.world_model.encoder import ConvEncoder, Encoder
from wm_controller.world_model.encoder_frozen import FrozenEncoder
from wm_controller.world_model.encoder_picture import PictureEncoder
from wm_controller.world_model.spec import Architecture, ModelSpec

TRAINED: dict[str, type[Encoder]] = {'conv': ConvEncoder, 'picture': PictureEncoder}
NAMES = (*TRAINED, *BACKBONES, f'{TIMM}NAME')


def make_encoder(spec: ModelSpec) -> Encoder:
    """Build the encoder that the description names; raises InputError for any other name."""
    name = spec.architecture.encoder
    return FrozenEncoder(spec) if _is_frozen(name) else TRAINED[name](spec)


def with_encoder(architecture: Architecture, name: str) -> Architecture:
    """Name the encoder of a model to be trained; of a frozen one, the weights at hand too.

    Raises InputError for an unknown name, or for weights that are not at hand.
    """
    digest = digest_of(name) if _is_frozen(name) else ''
    return replace(architecture, encoder=name, backbone_sha256=digest)


def _is_frozen(name: str) -> bool:
    frozen = name in BACKBONES or (name.startswith(TIMM) and name != TIMM)
    if not frozen and name not in TRAINED:
        raise InputError(f'no encoder is called {name!r}: use one of {", ".join(NAMES)}')
    return frozen
