# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Image messages <-> (H, W, 3) uint8 RGB arrays, honouring `step` and `encoding`.

Works on rclpy's messages and on the ones `rosbags` reads: only fields are used. An `rgb8` image
is not copied, whatever its step; the array then shares the message's memory.
"""

from __future__ import annotations

import array
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from wm_controller.nodes.conversions import MessageError, to_stamp

JPEG_START, JPEG_END = b'\xff\xd8', b'\xff\xd9'


@dataclass(frozen=True)
class Encoding:
    """Bytes per pixel in a row, and OpenCV's conversion to RGB (None: it is RGB)."""

    bytes_per_pixel: int
    to_rgb: int | None


ENCODINGS = {
    'rgb8': Encoding(3, None),
    'bgr8': Encoding(3, cv2.COLOR_BGR2RGB),
    'rgba8': Encoding(4, cv2.COLOR_RGBA2RGB),
    'bgra8': Encoding(4, cv2.COLOR_BGRA2RGB),
    'mono8': Encoding(1, cv2.COLOR_GRAY2RGB),
    '8UC1': Encoding(1, cv2.COLOR_GRAY2RGB),
    'uyvy': Encoding(2, cv2.COLOR_YUV2RGB_UYVY),
    'yuv422': Encoding(2, cv2.COLOR_YUV2RGB_UYVY),
    'yuyv': Encoding(2, cv2.COLOR_YUV2RGB_YUY2),
    'yuv422_yuy2': Encoding(2, cv2.COLOR_YUV2RGB_YUY2),
    # OpenCV names a Bayer pattern after its second row, ROS after its first
    'bayer_rggb8': Encoding(1, cv2.COLOR_BayerBG2RGB),
    'bayer_bggr8': Encoding(1, cv2.COLOR_BayerRG2RGB),
    'bayer_gbrg8': Encoding(1, cv2.COLOR_BayerGR2RGB),
    'bayer_grbg8': Encoding(1, cv2.COLOR_BayerGB2RGB),
}


def read_image(message: Any, what: str = 'image') -> np.ndarray:
    """(H, W, 3) uint8 RGB of a `sensor_msgs/Image`; `what` is the topic, for the error."""
    height, width, step = int(message.height), int(message.width), int(message.step)
    if height == 0 or width == 0:
        raise MessageError(f'{what}: the image has zero size ({width}x{height})')
    encoding = ENCODINGS.get(message.encoding)
    if encoding is None:
        raise MessageError(
            f"{what}: unknown encoding '{message.encoding}'; known are {', '.join(ENCODINGS)}")
    row_bytes = width * encoding.bytes_per_pixel
    if step < row_bytes:
        raise MessageError(
            f'{what}: step {step} is less than the {row_bytes} bytes of a row '
            f'({width} pixels, {message.encoding})')
    if len(message.data) != step * height:
        raise MessageError(
            f'{what}: {len(message.data)} bytes of data, but step {step} x height {height} '
            f'are {step * height}')
    rows = np.frombuffer(message.data, dtype=np.uint8).reshape(height, step)[:, :row_bytes]
    if encoding.to_rgb is None:
        return rows.reshape(height, width, 3)
    if encoding.bytes_per_pixel == 2 and width % 2:
        raise MessageError(f'{what}: {message.encoding} needs an even width, not {width}')
    if encoding.bytes_per_pixel > 1:
        rows = rows.reshape(height, width, encoding.bytes_per_pixel)
    return _convert(rows, encoding.to_rgb, what)


def read_compressed(message: Any, what: str = 'image/compressed') -> np.ndarray:
    """(H, W, 3) uint8 RGB of a `sensor_msgs/CompressedImage` (JPEG, PNG, what OpenCV reads)."""
    data = np.frombuffer(message.data, dtype=np.uint8)
    if data.size == 0:
        raise MessageError(f'{what}: the image has zero size (no data)')
    head, tail = data[:2].tobytes(), data[-4096:].tobytes()
    if head == JPEG_START and JPEG_END not in tail:
        # OpenCV would decode it with a grey lower part, which a model would take for a wall
        raise MessageError(f'{what}: the JPEG of {data.size} bytes is cut off')
    try:
        bgr = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        bgr = None
    if bgr is None:
        raise MessageError(
            f"{what}: {data.size} bytes of format '{message.format}' are no readable image")
    return _convert(bgr, cv2.COLOR_BGR2RGB, what)


def to_image(rgb: np.ndarray, stamp: float, frame_id: str) -> Image:
    """`sensor_msgs/Image` (rgb8) of an (H, W, 3) uint8 array."""
    message = Image()
    message.header.stamp = to_stamp(stamp)
    message.header.frame_id = frame_id
    message.height, message.width = rgb.shape[:2]
    message.encoding = 'rgb8'
    message.step = 3 * message.width
    message.data = _bytes(np.ascontiguousarray(rgb))
    return message


def to_compressed(rgb: np.ndarray, stamp: float, frame_id: str,
                  quality: int = 90) -> CompressedImage:
    """`sensor_msgs/CompressedImage` (JPEG) of an (H, W, 3) uint8 array; quality in percent."""
    done, encoded = cv2.imencode(
        '.jpg', cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise MessageError('image/compressed: OpenCV could not encode the image')
    message = CompressedImage()
    message.header.stamp = to_stamp(stamp)
    message.header.frame_id = frame_id
    message.format = 'rgb8; jpeg compressed bgr8'
    message.data = _bytes(encoded)
    return message


def to_camera_info(stamp: float, frame_id: str, width: int, height: int,
                   hfov_rad: float) -> CameraInfo:
    """CameraInfo of an ideal pinhole camera with square pixels."""
    focal = 0.5 * width / np.tan(0.5 * hfov_rad)
    cx, cy = width / 2.0, height / 2.0
    message = CameraInfo()
    message.header.stamp = to_stamp(stamp)
    message.header.frame_id = frame_id
    message.width, message.height = width, height
    message.distortion_model = 'plumb_bob'
    message.d = [0.0] * 5
    message.k = [focal, 0.0, cx, 0.0, focal, cy, 0.0, 0.0, 1.0]
    message.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    message.p = [focal, 0.0, cx, 0.0, 0.0, focal, cy, 0.0, 0.0, 0.0, 1.0, 0.0]
    return message


def _convert(pixels: np.ndarray, code: int, what: str) -> np.ndarray:
    try:
        return np.asarray(cv2.cvtColor(pixels, code))
    except cv2.error as error:
        reason = str(error).strip().splitlines()[-1]
        raise MessageError(f'{what}: OpenCV could not convert the image: {reason}') from error


def _bytes(pixels: np.ndarray) -> array.array[int]:
    # rclpy takes an array('B') as it is and checks any other sequence item by item
    data = array.array('B')
    data.frombytes(pixels.data)
    return data
