# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Give a finished bundle a decoder: every other weight and figure in it stays, bit for bit."""

from dataclasses import replace
import json
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save

from wm_controller.errors import InputError
from wm_controller.files import write_whole
from wm_controller.world_model.bundle import Bundle, METADATA_KEY
from wm_controller.world_model.decoder import Decoder

PREFIX = 'decoder.'


def new_decoder(bundle: Bundle, channels: tuple[int, ...]) -> Decoder:
    """Make an untrained decoder for the states of this bundle's model."""
    architecture = replace(bundle.spec.architecture, decoder_channels=channels)
    return Decoder(replace(bundle.spec, architecture=architecture))


def save_with_decoder(source: Path, target: Path, decoder: Decoder, channels: tuple[int, ...],
                      record: dict[str, Any]) -> None:
    """Write `source` with this decoder in place of the one it may have; raises InputError.

    The file is copied, not made anew from a loaded model, so that nothing else can change.
    `record` becomes the entry `decoder` of what the bundle says of its training.
    """
    try:
        with safe_open(source, framework='pt') as file:
            description = json.loads((file.metadata() or {})[METADATA_KEY])
            weights = {name: file.get_tensor(name) for name in file.keys()  # noqa: SIM118
                       if not name.startswith(PREFIX)}
    except (OSError, KeyError, ValueError) as error:
        raise InputError(f'{source}: cannot be read again ({error})') from error
    description['architecture']['decoder_channels'] = list(channels)
    description['training'] = {**description.get('training', {}), 'decoder': record}
    weights.update({PREFIX + name: value.detach().cpu().float().contiguous()
                    for name, value in decoder.state_dict().items()})
    write_whole(target, save(weights, {METADATA_KEY: json.dumps(description)}), make_folder=True)


def decoder_of(bundle: Bundle) -> Decoder:
    """Return the bundle's decoder; raises InputError with the remedy where it has none."""
    if bundle.model.decoder is None:
        raise InputError(f'{bundle.path}: this bundle has no decoder: add one with `wm train DATA '
                         f'-o OUT --decoder-of {bundle.path}`')
    return bundle.model.decoder
