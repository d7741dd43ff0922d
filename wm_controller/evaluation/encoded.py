# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Pictures as bytes, and as what a page shows without an address."""

from __future__ import annotations

import base64

import cv2
import numpy as np


def jpeg(image: np.ndarray, width: int) -> bytes:
    """Compress (H,W,3) RGB at a width in px."""
    if image.shape[1] > width:
        height = round(image.shape[0] * width / image.shape[1])
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    done, data = cv2.imencode('.jpg', image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])
    if not done:
        raise ValueError(f'cannot compress an image of shape {image.shape}')
    return bytes(data)


def png(image: np.ndarray) -> bytes:
    """Compress (H,W) or (H,W,4) BGRA uint8 without loss; nothing for an empty one."""
    if not image.size:
        return b''
    return bytes(cv2.imencode('.png', image, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1])


def data_uri(data: bytes, kind: str) -> str:
    """Return the data as what a page shows in place of an address."""
    return f'data:{kind};base64,{base64.b64encode(data).decode("ascii")}'
