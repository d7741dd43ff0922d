# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""A model's parts as ONNX or TorchScript, in memory; and a folder of them, with a description."""

from collections.abc import Iterable, Mapping
import hashlib
import inspect
import io
import json
from pathlib import Path
from typing import Any
import warnings

import numpy as np
from numpy.typing import NDArray
import torch

from wm_controller.errors import InputError
from wm_controller.files import write_whole
from wm_controller.world_model.bundle import Bundle
from wm_controller.world_model.graphs import Graph

SCHEMA = 'wm_controller_export/1'
DESCRIPTION = 'model.json'
SUFFIX = {'onnx': '.onnx', 'torchscript': '.pt'}
METADATA_KEY = 'wm_controller'
OPSET = 17
PARITY = 1e-4  # the most by which any number may differ from the model's own
TRACED_ROWS = 3
INSTALL = "pip install 'wm_controller[export]'"


def to_onnx(graph: Graph) -> bytes:
    """Return a part as an ONNX model; raises InputError where this PyTorch cannot make one.

    By tracing: the graph that torch.export makes is the same, and takes twenty times as long.
    """
    if 'dynamo' not in inspect.signature(torch.onnx.export).parameters:
        raise InputError(f'PyTorch {torch.__version__} exports to ONNX by another way: use 2.5 '
                         'or newer')
    stream: Any = io.BytesIO()  # which the exporter takes, whatever its types say
    names = [*graph.inputs, *graph.outputs]
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter('ignore')
        try:
            torch.onnx.export(
                graph.module.eval(), graph.example(TRACED_ROWS), stream, dynamo=False,
                opset_version=OPSET, input_names=list(graph.inputs),
                output_names=list(graph.outputs), dynamic_axes={n: {0: 'rows'} for n in names})
        except (RuntimeError, ModuleNotFoundError, torch.onnx.errors.OnnxExporterError) as error:
            reason = str(error).strip().splitlines()[0]
            raise InputError(f'{graph.name} cannot be exported to ONNX ({reason}); {INSTALL}, or '
                             'use --format torchscript') from error
    return stream.getvalue()


def to_torchscript(graph: Graph) -> bytes:
    """Return a part as traced TorchScript, which `torch.jit.load` reads."""
    stream = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter('ignore')
        traced = torch.jit.trace(graph.module.eval(), graph.example(TRACED_ROWS),
                                 check_trace=False)
        torch.jit.save(torch.jit.freeze(traced), stream)  # with no weights of other parts
    return stream.getvalue()


def difference(graph: Graph, inputs: tuple[torch.Tensor, ...],
               outputs: Iterable[NDArray[np.float32]]) -> dict[str, float]:
    """Largest absolute difference of each output from what the model itself says.

    Infinite where one of the two is not finite.
    """
    with torch.no_grad():
        expected = graph.module(*inputs)
    expected = expected if isinstance(expected, tuple) else (expected,)
    found = {}
    for name, mine, other in zip(graph.outputs, expected, outputs):
        off = np.abs(mine.numpy() - np.asarray(other))
        found[name] = float(off.max()) if np.isfinite(off).all() else float('inf')
    return found


def described(bundle: Bundle, steps: int) -> dict[str, Any]:
    """What a program needs to know beside the graphs, as JSON: the bundle's own description."""
    return {'schema': SCHEMA, 'model': bundle.path.stem, 'model_digest': bundle.digest,
            'steps': steps, 'passed_gates': bundle.passed, 'spec': bundle.spec.to_json()}


def with_metadata(data: bytes, description: Mapping[str, Any]) -> bytes:
    """Put the description into an ONNX model."""
    import onnx

    model = onnx.load_from_string(data)
    entry = model.metadata_props.add()
    entry.key, entry.value = METADATA_KEY, json.dumps(description)
    return bytes(model.SerializeToString())


def write_folder(folder: Path, kind: str, parts: Mapping[str, bytes],
                 description: Mapping[str, Any]) -> None:
    """Write whole files, the description with their SHA-256 last; raises InputError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f'{folder}: cannot be made: {error.strerror}; choose another folder'
                         ) from error
    # A folder that is overwritten has no description until it is whole again.
    (folder / DESCRIPTION).unlink(missing_ok=True)
    files = {}
    for name, data in parts.items():
        path = folder / f'{name}{SUFFIX[kind]}'
        write_whole(path, data)
        files[name] = {'file': path.name, 'sha256': hashlib.sha256(data).hexdigest()}
    text = json.dumps({**description, 'format': kind, 'files': files}, indent=1)
    write_whole(folder / DESCRIPTION, text.encode())


def read_folder(folder: Path, bundle: Bundle, steps: int) -> dict[str, bytes]:
    """Read the ONNX parts that `wm export` wrote of this bundle, by name.

    Raises InputError for a folder that is not whole, or of another model or format.
    """
    remedy = f'make it anew with `wm export {bundle.path} -o {folder}`'
    try:
        found = json.loads((folder / DESCRIPTION).read_bytes())
        facts = [found[key] for key in ('schema', 'format', 'model_digest', 'steps')]
        parts = {}
        for name, entry in found['files'].items():
            # a file of this folder, whatever the description says
            data = (folder / Path(entry['file']).name).read_bytes()
            if hashlib.sha256(data).hexdigest() != entry['sha256']:
                raise InputError(f"{folder / entry['file']}: not the file that was exported; "
                                 f'{remedy}')
            parts[str(name)] = data
    except OSError as error:
        raise InputError(f'{error.filename}: cannot be read ({error.strerror}); {remedy}'
                         ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f'{folder / DESCRIPTION}: not what `wm export` writes; {remedy}'
                         ) from error
    wanted = [SCHEMA, 'onnx', bundle.digest, steps]
    for what, is_, should in zip(('schema', 'format', 'model digest', 'steps'), facts, wanted):
        if is_ != should:
            raise InputError(f'{folder}: its {what} is {is_}, wanted is {should}; {remedy}')
    return parts
