# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""What a model bundle says of itself, read without torch and without loading the weights."""

import hashlib
import json
from pathlib import Path
from typing import Any

from safetensors import safe_open, SafetensorError

from wm_controller.errors import InputError

METADATA_KEY = 'wm_controller'
LONG = 24
"""Lists of numbers longer than this are told in short."""


def summarise_bundle(path: Path) -> dict[str, Any]:
    """Describe a `.safetensors` bundle; `InputError` if it is not one of ours."""
    try:
        with safe_open(path, framework='numpy') as file:
            text = (file.metadata() or {}).get(METADATA_KEY)
            shapes = {name: list(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise InputError(f'{path}: not a whole .safetensors file ({error}); was it copied '
                         'completely?') from error
    except OSError as error:
        raise InputError(f'{path}: cannot be read ({error.strerror or error})') from error
    if text is None:
        raise InputError(f'{path}: a .safetensors file, but not a model bundle of wm_controller: '
                         f'no metadata {METADATA_KEY!r}')
    try:
        description = json.loads(text)
        assert isinstance(description, dict)
    except (ValueError, AssertionError) as error:
        raise InputError(f'{path}: its description is damaged; train or copy it anew') from error
    gates = description.pop('gates', {})
    return {
        'kind': 'bundle', 'path': str(path), 'file_bytes': path.stat().st_size,
        'schema': str(description.pop('schema', '')),
        'digest': hashlib.sha256(path.read_bytes()).hexdigest(),
        'parameters': sum(_product(shape) for shape in shapes.values()),
        'tensors': len(shapes), 'parts': _parts(shapes),
        'passed': gates.get('passed') if isinstance(gates, dict) else None,
        'gates': gates, 'description': description}


def flatten(value: Any, prefix: str = '') -> dict[str, str]:
    """Nested JSON as dotted names and short texts, for a table."""
    if isinstance(value, dict):
        rows: dict[str, str] = {}
        for key, item in value.items():
            rows.update(flatten(item, f'{prefix}.{key}' if prefix else str(key)))
        return rows
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        return flatten({str(i): item for i, item in enumerate(value)}, prefix)
    return {prefix: _text(value)}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return 'yes' if value else 'no'
    if isinstance(value, float):
        return f'{value:.4g}'
    if isinstance(value, list):
        if len(value) > LONG and all(isinstance(v, (int, float)) for v in value):
            return f'{len(value)} values from {_text(value[0])} to {_text(value[-1])}'
        return ', '.join(_text(v) for v in value)
    return '' if value is None else str(value)


def _parts(shapes: dict[str, list[int]]) -> dict[str, int]:
    """Parameters of each top-level module."""
    parts: dict[str, int] = {}
    for name, shape in shapes.items():
        part = name.split('.')[0]
        parts[part] = parts.get(part, 0) + _product(shape)
    return dict(sorted(parts.items(), key=lambda item: -item[1]))


def _product(shape: list[int]) -> int:
    result = 1
    for n in shape:
        result *= n
    return result
