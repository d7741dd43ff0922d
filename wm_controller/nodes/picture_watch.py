# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Whether a picture is one to drive by: of its usual size, showing something, not noise, and alive.

A frozen camera is the nastiest fault there is: every stamp is new, and the robot drives by what
was there a while ago. A live picture changes when the robot moves, and odometry says whether it
does. No ROS in here.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from wm_controller.nodes.conversions import MessageError
from wm_controller.safety.geometry import wrap_angle

FROZEN_M, FROZEN_RAD = 0.05, 0.1  # moved by so much, and every pixel is the same
JUMP_M = 0.3  # odometry that steps further was reset: no motion
DARK, BRIGHT = 16, 250  # grey levels; nearly every pixel is below, or above
SNOW = 40.0  # grey levels of noise, standard deviation; a camera in the dark has ten
PATCH = 120  # pixels: noise is estimated in a square of so many in the middle
_IMMERKAER = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
STRIDE = 7  # of the pixels, one in so many rows and columns tells whether there is light


class PictureWatch:
    """Looks at one picture after the other, in the order of their stamps."""

    def __init__(self, topic: str = 'image') -> None:
        self._topic = topic
        self._last: NDArray[np.uint8] | None = None
        self._pose: NDArray[np.float64] | None = None
        self._moved_m = self._turned_rad = 0.0

    def check(self, image: NDArray[np.uint8], pose: NDArray[np.float64] | None) -> None:
        """Take an image (H, W, 3) RGB and the pose (3,) it was taken at, None where not known.

        Raises MessageError, in one line, for one that must not be driven by.
        """
        self._check_size(image)
        self._check_light(image)
        self._check_noise(image)
        self._check_alive(image, pose)

    def _check_size(self, image: NDArray[np.uint8]) -> None:
        if self._last is not None and image.shape != self._last.shape:
            (was_h, was_w), (is_h, is_w) = self._last.shape[:2], image.shape[:2]
            raise MessageError(
                f'{self._topic}: the size changed from {was_w}x{was_h} to {is_w}x{is_h} while '
                'driving; if the camera was set so, deactivate and activate the controller')

    def _check_light(self, image: NDArray[np.uint8]) -> None:
        low, high = np.percentile(image[::STRIDE, ::STRIDE], (1, 99))
        if high < DARK or low > BRIGHT:
            raise MessageError(f'{self._topic}: the picture is blank, all '
                               f'{"black" if high < DARK else "white"}: look at lens and exposure')

    def _check_noise(self, image: NDArray[np.uint8]) -> None:
        noise = noise_of(image)
        if noise > SNOW:
            raise MessageError(f'{self._topic}: the picture is mostly noise, {noise:.0f} grey '
                               'levels: look at the cable of the camera')

    def _check_alive(self, image: NDArray[np.uint8], pose: NDArray[np.float64] | None) -> None:
        same = self._last is not None and np.array_equal(image, self._last)
        if not same:
            self._last, self._moved_m, self._turned_rad = image, 0.0, 0.0
        elif pose is not None and self._pose is not None:
            step = float(np.hypot(*(pose - self._pose)[:2]))
            if step < JUMP_M:
                self._moved_m += step
                self._turned_rad += abs(float(wrap_angle(pose[2] - self._pose[2])))
        self._pose = pose
        if self._moved_m > FROZEN_M or self._turned_rad > FROZEN_RAD:
            raise MessageError(f'{self._topic}: the camera is frozen: the robot has moved, the '
                               'picture has not changed at all')


def noise_of(image: NDArray[np.uint8]) -> float:
    """Standard deviation of the noise, grey levels, of an image (H, W, 3).

    Immerkaer's estimate (1996): what a difference of two Laplacians leaves of edges and slopes.
    """
    top, left = (max(0, (size - PATCH) // 2) for size in image.shape[:2])
    green = image[top:top + PATCH, left:left + PATCH, 1].astype(np.float32)
    if min(green.shape) < 3:
        return 0.0
    rest = cv2.filter2D(green, -1, _IMMERKAER)[1:-1, 1:-1]
    return float(np.sqrt(np.pi / 2.0) * np.abs(rest).mean() / 6.0)
