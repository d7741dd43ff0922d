# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Pictures: a stranger's file to pixels, bounded before it is read, and pixels to JPEG."""

from __future__ import annotations

import io

import cv2
import numpy as np
from PIL import Image, ImageOps

from wm_controller.errors import InputError

FORMATS = ('JPEG', 'PNG', 'WEBP')
MOST_BYTES = 12 * 2**20
MOST_PIXELS = 50_000_000
LONGEST_SIDE = 1280
JPEG_QUALITY = 75


def read_picture(data: bytes) -> np.ndarray:
    """(H, W, 3) uint8 RGB of a picture file, upright, at most 1280 a side; raises InputError."""
    if len(data) > MOST_BYTES:
        raise InputError(f'the file is larger than {MOST_BYTES >> 20} MB; send a smaller picture')
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
            width, height = picture.size  # of the header: nothing is decoded yet
            if width * height > MOST_PIXELS:
                raise InputError(f'the picture has {width}x{height} pixels; send a smaller one')
            picture.draft('RGB', (LONGEST_SIDE, LONGEST_SIDE))
            upright = ImageOps.exif_transpose(picture)
            upright.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
            return np.asarray(upright.convert('RGB'))
    except InputError:
        raise
    # A torn or hostile file raises whatever its reader happens to trip over.
    except Exception as error:
        raise InputError(
            f'this is no picture that can be read; send one of {", ".join(FORMATS)}') from error


def to_jpeg(rgb: np.ndarray, most_width: int) -> bytes:
    """JPEG of an (H, W, 3) uint8 RGB array, scaled down to `most_width` pixels."""
    height, width = rgb.shape[:2]
    if width > most_width:
        size = (most_width, max(1, round(height * most_width / width)))
        rgb = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    done, encoded = cv2.imencode('.jpg', cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR),
                                 [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not done:
        raise InputError('the image cannot be encoded')
    return bytes(encoded)
