# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Matrices of an exported part in 8 bits, their inputs scaled as they come."""

import contextlib
import io
from pathlib import Path
import tempfile

from wm_controller.errors import InputError
from wm_controller.world_model.export import INSTALL

PARTS = ('rollout', 'step')  # where the time goes; the encoder's convolutions gain little


def to_int8(data: bytes) -> bytes:
    """Return an ONNX model with its matrix products in int8, a scale for each column.

    Raises InputError where ONNX Runtime's tools are missing.
    """
    try:
        from onnxruntime.quantization import quantize_dynamic, QuantType
        from onnxruntime.quantization.shape_inference import quant_pre_process
    except ImportError as error:
        raise InputError(f'int8 needs onnx and onnxruntime: {INSTALL}') from error
    with tempfile.TemporaryDirectory(prefix='wm_export_') as folder:
        given, ready, made = (Path(folder) / f'{name}.onnx' for name in ('f32', 'ready', 'int8'))
        given.write_bytes(data)
        with contextlib.redirect_stdout(io.StringIO()):
            quant_pre_process(given, ready, skip_symbolic_shape=True)
            quantize_dynamic(ready, made, weight_type=QuantType.QInt8, per_channel=True,
                             op_types_to_quantize=['MatMul', 'Gemm'])
        return made.read_bytes()
