# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""A map of places as one `.safetensors` file: whole or not at all, checked before it is believed.

Nothing in it is run or unpickled. What places look like is told in a model's latents, so a map
belongs to the model that made it.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open, SafetensorError
from safetensors.numpy import save

from wm_controller.errors import InputError
from wm_controller.files import write_whole
from wm_controller.memory.place_map import PlaceMap, PlaceMapParameters
from wm_controller.memory.places import Places
from wm_controller.memory.ways import Ways

SCHEMA = 'wm_controller_map/2'
METADATA_KEY = 'wm_controller_map'
MAX_BYTES = 2_000_000_000
Arrays = dict[str, NDArray[Any]]

# name: type, and the shape of a row; P rows are places, W rows are ways
_PLACES: dict[str, tuple[str, tuple[int, ...]]] = {
    'poses': ('float64', (3,)), 'headings': ('float64', (2,)), 'stamps': ('float64', ()),
    'picture_sizes': ('int64', ())}
_WAYS: dict[str, tuple[str, tuple[int, ...]]] = {
    'ends': ('int64', (2,)), 'times': ('float64', ()), 'changes': ('float64', (3,)),
    'sigmas': ('float64', (3,)), 'sighted': ('bool', ())}


def save_map(path: Path, place_map: PlaceMap, model_digest: str) -> None:
    """Write a map; a file that is there already is replaced when the new one is whole.

    Raises InputError where it cannot be written.
    """
    places, ways = place_map.places, place_map.ways
    arrays: Arrays = {
        'poses': places.poses, 'headings': places.headings, 'stamps': places.stamps,
        'descriptors': places.descriptors,
        'picture_sizes': np.array([len(each) for each in places.pictures], np.int64),
        'pictures': np.frombuffer(b''.join(places.pictures), np.uint8),
        'ends': ways.ends, 'times': ways.times, 'changes': ways.changes, 'sigmas': ways.sigmas,
        'sighted': ways.sighted, 'trail': np.array(place_map.trail, np.int64),
        'walls': np.array([np.nan if place_map.walls is None else place_map.walls])}
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    header = {'schema': SCHEMA, 'model_digest': model_digest, 'sha256': _digest(arrays)}
    write_whole(path, save(arrays, {METADATA_KEY: json.dumps(header)}), make_folder=True)


def load_map(path: Path, model_digest: str, parameters: PlaceMapParameters | None = None
             ) -> PlaceMap:
    """Read a map; where the robot is on it must be found out by what it sees.

    Ways that were blocked then are tried again.

    Raises InputError for a file that is damaged, too big, no map, or another model's.
    """
    arrays = _read(path, model_digest)
    place_map = PlaceMap(arrays['descriptors'].shape[1], parameters)
    places, ways = Places(place_map.places.width), Ways()
    at = np.concatenate([[0], np.cumsum(arrays['picture_sizes'])])
    pictures = arrays['pictures'].tobytes()
    for i, (pose, descriptor, stamp) in enumerate(zip(
            arrays['poses'], arrays['descriptors'], arrays['stamps'])):
        places.add(pose, descriptor, float(stamp), pictures[at[i]:at[i + 1]])
    places.headings[:] = arrays['headings']
    for i, (first, second) in enumerate(arrays['ends'].tolist()):
        ways.join(first, second, float(arrays['times'][i]), arrays['changes'][i],
                  arrays['sigmas'][i], bool(arrays['sighted'][i]))
    place_map.places, place_map.ways = places, ways
    place_map.trail, place_map.trail_ended = arrays['trail'].tolist(), len(arrays['trail']) > 1
    walls = float(arrays['walls'][0])
    place_map.walls = walls if np.isfinite(walls) else None
    place_map.restart()
    return place_map


def _read(path: Path, model_digest: str) -> Arrays:
    if not path.is_file():
        raise InputError(f'{path}: there is no such map')
    if path.stat().st_size > MAX_BYTES:
        raise InputError(f'{path}: {path.stat().st_size / 1e9:.1f} GB are too much for a map; '
                         f'{MAX_BYTES / 1e9:g} GB at most')
    try:
        with safe_open(path, framework='numpy') as file:
            header = json.loads((file.metadata() or {})[METADATA_KEY])
            arrays: Arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        schema, made_by, digest = (str(header[key]) for key in (
            'schema', 'model_digest', 'sha256'))
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise InputError(f'{path}: not a map that can be read ({error}); remember the places anew'
                         ) from error
    if schema != SCHEMA:
        raise InputError(f'{path}: is a map of schema {schema}, not of {SCHEMA}')
    if made_by != model_digest:
        raise InputError(f'{path}: was made with model {made_by[:12]}, not with '
                         f'{model_digest[:12]}: use that model, or remember the places anew')
    if not _is_sound(arrays) or _digest(arrays) != digest:
        raise InputError(f'{path}: is damaged; remember the places anew')
    return arrays


def _is_sound(arrays: Arrays) -> bool:
    """Whether every array is there, of its type and shape, and points at nothing outside."""
    if set(arrays) != {*_PLACES, *_WAYS, 'descriptors', 'pictures', 'trail', 'walls'}:
        return False
    places, ways = len(arrays['poses']), len(arrays['ends'])
    for columns, rows in ((_PLACES, places), (_WAYS, ways)):
        for name, (kind, shape) in columns.items():
            if arrays[name].dtype != np.dtype(kind) or arrays[name].shape != (rows, *shape):
                return False
    descriptors, sizes = arrays['descriptors'], arrays['picture_sizes']
    if descriptors.dtype != np.float32 or descriptors.ndim != 2 or len(descriptors) != places:
        return False
    if arrays['walls'].dtype != np.float64 or arrays['walls'].shape != (1,):
        return False
    trail = arrays['trail']
    if trail.dtype != np.int64 or trail.ndim != 1 or (trail < 0).any() or (trail >= places).any():
        return False
    if (sizes < 0).any() or sizes.sum() != arrays['pictures'].size:
        return False
    finite = all(np.isfinite(arrays[name]).all() for name in (
        'poses', 'descriptors', 'times', 'changes')) and not np.isnan(arrays['stamps']).any()
    ends = arrays['ends']
    return bool(finite and (ends >= 0).all() and (ends < max(places, 1)).all()
                and (ends[:, 0] != ends[:, 1]).all() and (arrays['times'] > 0).all()
                and (arrays['sigmas'] > 0).all() and (arrays['headings'][:, 1] > 0).all())


def _digest(arrays: Arrays) -> str:
    found = hashlib.sha256()
    for name in sorted(arrays):
        found.update(f'{name} {arrays[name].dtype} {arrays[name].shape}'.encode())
        found.update(np.ascontiguousarray(arrays[name]).tobytes())
    return found.hexdigest()
