# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Camera messages to RGB arrays, and to the size the model sees. Uses fields only, no ROS."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


class UnreadableImage(Exception):
    """The message is not an image we can read; the text says why, without topic or time."""


# Encoding: bytes per pixel, OpenCV's conversion to RGB (None: it is RGB already).
ENCODINGS: dict[str, tuple[int, int | None]] = {
    'rgb8': (3, None),
    '8UC3': (3, cv2.COLOR_BGR2RGB),  # OpenCV's own order, which is what writers of 8UC3 mean
    'bgr8': (3, cv2.COLOR_BGR2RGB),
    'rgba8': (4, cv2.COLOR_RGBA2RGB),
    'bgra8': (4, cv2.COLOR_BGRA2RGB),
    'mono8': (1, cv2.COLOR_GRAY2RGB),
    '8UC1': (1, cv2.COLOR_GRAY2RGB),
    'uyvy': (2, cv2.COLOR_YUV2RGB_UYVY),
    'yuv422': (2, cv2.COLOR_YUV2RGB_UYVY),
    'yuyv': (2, cv2.COLOR_YUV2RGB_YUY2),
    'yuv422_yuy2': (2, cv2.COLOR_YUV2RGB_YUY2),
    # OpenCV names a Bayer pattern after its second row, ROS after its first.
    'bayer_rggb8': (1, cv2.COLOR_BayerBG2RGB),
    'bayer_bggr8': (1, cv2.COLOR_BayerRG2RGB),
    'bayer_gbrg8': (1, cv2.COLOR_BayerGR2RGB),
    'bayer_grbg8': (1, cv2.COLOR_BayerGB2RGB),
}


def decode(message: Any) -> Pixels:
    """(H, W, 3) RGB of a sensor_msgs Image or CompressedImage; raises `UnreadableImage`."""
    return decode_compressed(message) if hasattr(message, 'format') else decode_raw(message)


def decode_raw(message: Any) -> Pixels:
    """Read sensor_msgs/Image, honouring `step` and `encoding`."""
    height, width, step = int(message.height), int(message.width), int(message.step)
    if height == 0 or width == 0:
        raise UnreadableImage(f'zero size ({width}x{height})')
    if message.encoding not in ENCODINGS:
        raise UnreadableImage(f'unknown encoding {message.encoding!r}')
    depth, conversion = ENCODINGS[message.encoding]
    data = np.frombuffer(message.data, dtype=np.uint8)
    if step < width * depth or data.size < step * (height - 1) + width * depth:
        raise UnreadableImage(f'{data.size} bytes do not hold {width}x{height} {message.encoding} '
                              f'with step {step}')
    rows = np.lib.stride_tricks.as_strided(
        data, (height, width * depth), (step, 1), writeable=False)
    if conversion is None:
        return rows.reshape(height, width, 3)
    if depth == 2 and width % 2:
        raise UnreadableImage(f'{message.encoding} with odd width {width}')
    pixels = rows.reshape(height, width, depth) if depth > 1 else np.ascontiguousarray(rows)
    try:
        return np.asarray(cv2.cvtColor(pixels, conversion), dtype=np.uint8)
    except cv2.error as error:
        raise UnreadableImage(f'{width}x{height} {message.encoding} cannot be '
                              'converted') from error


def decode_compressed(message: Any) -> Pixels:
    """Read sensor_msgs/CompressedImage: JPEG, PNG and what else OpenCV knows."""
    data = np.frombuffer(message.data, dtype=np.uint8)
    if data.size == 0:
        raise UnreadableImage('zero size (no data)')
    jpeg = data.size > 2 and data[0] == 0xff and data[1] == 0xd8
    if jpeg and b'\xff\xd9' not in data[-4096:].tobytes():
        # OpenCV fills what is missing with grey, which a model would take for a wall.
        raise UnreadableImage('cut off JPEG')
    try:
        pixels = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        pixels = None
    if pixels is None or 0 in pixels.shape:
        raise UnreadableImage(f'not an image OpenCV can read (format {message.format!r})')
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def fitted_view(info: Any, size: tuple[int, int]) -> float | None:
    """Horizontal field of view, rad, of what `fit` keeps of a camera with this CameraInfo.

    None where the camera is not calibrated, or no pinhole, so that the angle would be wrong.
    """
    matrix = getattr(info, 'k', None) if hasattr(info, 'k') else getattr(info, 'K', None)
    width, height = int(info.width), int(info.height)
    focal = float(matrix[0]) if matrix is not None else 0.0
    if focal <= 0 or width <= 0 or height <= 0:
        return None
    if info.distortion_model in ('equidistant', 'fisheye', 'double_sphere'):
        return None
    kept = min(width, height * size[0] / size[1])
    return float(2 * np.arctan(0.5 * kept / focal))


def fit(image: Pixels, size: tuple[int, int]) -> Pixels:
    """Scale to `size` (width, height), cutting what exceeds its aspect ratio equally at both ends.

    Cutting, not stretching: a stretched picture shows other angles than the one trained on.
    """
    width, height = size
    have_h, have_w = image.shape[:2]
    if have_w * height > have_h * width:
        keep = max(round(have_h * width / height), 1)
        first = (have_w - keep) // 2
        image = image[:, first:first + keep]
    elif have_w * height < have_h * width:
        keep = max(round(have_w * height / width), 1)
        first = (have_h - keep) // 2
        image = image[first:first + keep]
    if image.shape[:2] == (height, width):
        return np.ascontiguousarray(image)
    shrinks = image.shape[0] >= height and image.shape[1] >= width
    return np.asarray(cv2.resize(np.ascontiguousarray(image), (width, height),
                                 interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR),
                      dtype=np.uint8)
