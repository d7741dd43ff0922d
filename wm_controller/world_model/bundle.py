# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""One `.safetensors` file with weights and, as JSON, everything needed to use them."""

from dataclasses import dataclass
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from safetensors import safe_open, SafetensorError
from safetensors.torch import save
import torch

from wm_controller.errors import InputError
from wm_controller.files import write_whole
from wm_controller.world_model.energy import EnergyTables
from wm_controller.world_model.model import WorldModel
from wm_controller.world_model.spec import ModelSpec, SCHEMA

METADATA_KEY = 'wm_controller'
ENERGY = 'energy.'  # begins the names of the tensors that calibrate the energy
MAX_BYTES = 512 * 2 ** 20
HALF_MAX = 65504.0


@dataclass(frozen=True)
class Bundle:
    """A loaded model with what was measured of it.

    `gates` holds the figures and the verdict (`passed`) of training, `energy_quantiles` the
    first calibration of surprise: 101 quantiles of the one-step prediction energy on held-out
    data. `energy` is the full one; bundles made before there was one lack it.
    """

    model: WorldModel
    gates: dict[str, Any]
    training: dict[str, Any]
    energy_quantiles: tuple[float, ...]
    digest: str
    path: Path
    energy: EnergyTables | None = None

    @property
    def spec(self) -> ModelSpec:
        """The description that came with the weights."""
        return self.model.spec

    @property
    def passed(self) -> bool:
        """Whether every gate was passed."""
        return bool(self.gates.get('passed', False))


def round_weights(model: WorldModel) -> None:
    """Round weights to what a bundle holds, so that what is measured is what is written.

    Half precision is half the file: 11 bits are more than training's noise leaves certain.
    """
    with torch.no_grad():
        for value in model.state_dict().values():
            value.copy_(stored(value))


def stored(value: torch.Tensor) -> torch.Tensor:
    """As a bundle holds it: in half precision."""
    return value.detach().clamp(-HALF_MAX, HALF_MAX).half()


def save_bundle(path: Path, model: WorldModel, *, gates: dict[str, Any], training: dict[str, Any],
                energy_quantiles: tuple[float, ...], energy: EnergyTables | None = None) -> None:
    """Write the bundle to a temporary name, then rename it; raises InputError if it cannot be.

    Weights are stored in half precision; `round_weights` gives a model that loses nothing by it.
    """
    path = Path(path)
    description = {'schema': SCHEMA, **model.spec.to_json(), 'gates': gates, 'training': training,
                   'energy_quantiles': list(energy_quantiles)}
    weights = {name: stored(value).cpu().contiguous()
               for name, value in model.state_dict().items()}
    if energy is not None:
        description['energy'] = energy.to_json()
        weights |= {ENERGY + name: value.detach().cpu().float().contiguous()
                    for name, value in energy.tensors().items()}
    data = save(weights, {METADATA_KEY: json.dumps(description)})
    write_whole(path, data, make_folder=True)


def load_bundle(path_or_name: str | Path, device: str = 'cpu') -> Bundle:
    """Load a bundle by path, or by the name of a shipped one; raises InputError in one line."""
    path = _resolve(path_or_name)
    found, weights, digest = read_weights(path)
    metadata = found.get(METADATA_KEY)
    if metadata is None:
        raise InputError(f'{path}: a .safetensors file, but not a model bundle of wm_controller; '
                         'make one with `wm train`')
    return _build(path, metadata, weights, digest, device)


def read_weights(path: Path) -> tuple[dict[str, str], dict[str, torch.Tensor], str]:
    """Metadata, float32 weights and SHA-256 of a .safetensors file; raises InputError."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f'{path}: larger than {MAX_BYTES >> 20} MiB, not a bundle of ours')
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        with safe_open(path, framework='pt') as file:
            # A bundle is small: read whole, so that a truncated file shows here and not later.
            return dict(file.metadata() or {}), {name: file.get_tensor(name).float()
                                                 for name in file.keys()}, digest  # noqa: SIM118
    except OSError as error:
        raise InputError(f'{path}: cannot be read ({error.strerror or error})') from error
    except SafetensorError as error:
        raise InputError(f'{path}: not a whole .safetensors file ({error}); '
                         'was it copied completely?') from error


def _build(path: Path, metadata: str, weights: dict[str, torch.Tensor], digest: str,
           device: str) -> Bundle:
    try:
        description = json.loads(metadata)
        schema = description.pop('schema')
    except (ValueError, KeyError, AttributeError) as error:
        raise InputError(f'{path}: its description is damaged; train or copy it anew') from error
    if schema != SCHEMA:
        raise InputError(f'{path}: bundle schema {schema!r}, this version reads {SCHEMA!r}')
    gates, training = description.pop('gates', {}), description.pop('training', {})
    quantiles = tuple(description.pop('energy_quantiles', ()))
    tables = description.pop('energy', None)
    tensors = {name.removeprefix(ENERGY): weights.pop(name)
               for name in list(weights) if name.startswith(ENERGY)}
    energy = None
    try:
        model = WorldModel(ModelSpec.from_json(description))
        model.load_state_dict(weights)
        if tables is not None:
            energy = EnergyTables.from_parts(tables, tensors, model)
    except InputError as error:
        raise InputError(f'{path}: {error}') from error
    except RuntimeError as error:
        raise InputError(f'{path}: its weights do not fit its description '
                         f'({str(error).splitlines()[0]})') from error
    if not all(torch.isfinite(value).all() for value in (*weights.values(), *tensors.values())):
        raise InputError(f'{path}: holds weights that are not finite; train it anew')
    model.to(device).eval().requires_grad_(False)
    return Bundle(model, gates, training, quantiles, digest, path, energy)


def _resolve(path_or_name: str | Path) -> Path:
    text = str(path_or_name)
    path = Path(text).expanduser()
    if path.is_file():
        return path
    if path.suffix or os.sep in text:
        raise InputError(f'{text}: no such model file')
    from wm_controller.resources import find_model  # here, so that files need no installation
    return find_model(text)
