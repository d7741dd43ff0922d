# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Messages between our environment and that of `stable-worldmodel`: JSON, then raw arrays.

Imported on both sides, so it needs numpy and OpenCV alone. Nothing is pickled.
"""

import json
from typing import Any, IO

import cv2
import numpy as np
from numpy.typing import NDArray

IMAGE_PX = 48
"""Side of the pictures that our model sees; the benchmark draws them at 224."""

Arrays = dict[str, NDArray[Any]]


def send(stream: IO[bytes], message: dict[str, Any], arrays: Arrays | None = None) -> None:
    """Write one message (plain JSON) and the arrays that belong to it."""
    parts = {name: np.ascontiguousarray(value) for name, value in (arrays or {}).items()}
    layout = {name: [value.dtype.str, list(value.shape)] for name, value in parts.items()}
    stream.write(json.dumps({'message': message, 'arrays': layout}).encode() + b'\n')
    for value in parts.values():
        stream.write(value.tobytes())
    stream.flush()


def receive(stream: IO[bytes]) -> tuple[dict[str, Any], Arrays]:
    """Read what `send` wrote; raises EOFError where the other side has ended."""
    line = stream.readline()
    if not line:
        raise EOFError('the other side has ended')
    header = json.loads(line)
    arrays = {}
    for name, (kind, shape) in header['arrays'].items():
        dtype = np.dtype(kind)
        data = stream.read(dtype.itemsize * int(np.prod(shape)))
        arrays[name] = np.frombuffer(data, dtype).reshape(shape)
    return header['message'], arrays


def shrink(frames: NDArray[np.uint8], side: int = IMAGE_PX) -> NDArray[np.uint8]:
    """Average frames (N, H, W, 3) down to (N, side, side, 3)."""
    found = [cv2.resize(frame, (side, side), interpolation=cv2.INTER_AREA) for frame in frames]
    return np.asarray(found, dtype=np.uint8)
