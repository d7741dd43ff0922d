# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
What is planted into a drive: events that a world model must notice, and harmless changes.

An alteration changes the camera's frames from the moment of the event on; what needs the world
itself to change (teleports, objects, slip) is planted in `planted_drives`.
"""

from __future__ import annotations

from collections.abc import Callable
import math

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Alteration = Callable[[float, Image], Image]
"""(seconds since the event, frame (H, W, 3)) -> the frame that the robot is given instead."""

WORLD = ('teleport', 'vanish', 'appear', 'slip')
HARMLESS_WORLD = ('people',)


def freeze(rng: np.random.Generator, before: Image) -> Alteration:
    """The last frame again and again."""
    return lambda elapsed_s, image: before


def mirror(rng: np.random.Generator, before: Image) -> Alteration:
    """Left and right exchanged."""
    return lambda elapsed_s, image: np.ascontiguousarray(image[:, ::-1])


def shift(rng: np.random.Generator, before: Image) -> Alteration:
    """The camera knocked aside: by 10 to 30 % of the width, up to 15 % of the height."""
    height, width = before.shape[:2]
    right = rng.uniform(0.1, 0.3) * width * rng.choice((-1, 1))
    down = rng.uniform(-0.15, 0.15) * height
    move = np.array([[1, 0, right], [0, 1, down]], np.float32)
    return lambda elapsed_s, image: np.asarray(cv2.warpAffine(
        image, move, (width, height), borderMode=cv2.BORDER_REPLICATE), np.uint8)


def occlude(rng: np.random.Generator, before: Image) -> Alteration:
    """Something before the lens, from one side: 30 to 80 % of the frame, of one dull colour."""
    share, side = rng.uniform(0.3, 0.8), int(rng.integers(4))
    colour = rng.uniform(10, 120, 3)

    def alter(elapsed_s: float, image: Image) -> Image:
        out = np.rot90(image, side).copy()
        out[: round(share * len(out))] = colour
        return np.ascontiguousarray(np.rot90(out, -side))

    return alter


def light(rng: np.random.Generator, before: Image) -> Alteration:
    """Brighter or darker by a fifth to a half, at once or within half a second."""
    gain = math.exp(rng.uniform(0.2, 0.5) * rng.choice((-1, 1)))
    ramp_s = rng.uniform(0.0, 0.5)
    return lambda elapsed_s, image: _scaled(image, 1 + (gain - 1) * _reached(elapsed_s, ramp_s))


def colour(rng: np.random.Generator, before: Image) -> Alteration:
    """Another white balance: red, green and blue by up to a fifth each, at once or slowly."""
    gain, ramp_s = np.exp(rng.uniform(-0.2, 0.2, 3)), rng.uniform(0.0, 0.5)
    return lambda elapsed_s, image: _scaled(image, 1 + (gain - 1) * _reached(elapsed_s, ramp_s))


def shadow(rng: np.random.Generator, before: Image) -> Alteration:
    """A soft-edged shadow that crosses the view within 0.8 to 2 seconds."""
    width = before.shape[1]
    half, edge = rng.uniform(0.15, 0.35), rng.uniform(0.05, 0.15)  # in widths of the frame
    depth, speed = rng.uniform(0.25, 0.55), rng.choice((-1, 1)) / rng.uniform(0.8, 2.0)
    start = -half if speed > 0 else 1 + half
    x = (np.arange(width) + 0.5) / width

    def alter(elapsed_s: float, image: Image) -> Image:
        distance = np.abs(x - (start + speed * (1 + 2 * half) * elapsed_s)) - half
        dark = depth / (1 + np.exp(np.clip(distance / edge * 4, -30, 30)))
        return _scaled(image, (1 - dark)[None, :, None])

    return alter


def _reached(elapsed_s: float, ramp_s: float) -> float:
    return 1.0 if elapsed_s >= ramp_s else elapsed_s / ramp_s


def _scaled(image: Image, gain: float | NDArray[np.float64]) -> Image:
    return np.clip(image * gain, 0, 255).astype(np.uint8)


CAMERA_EVENTS = {'freeze': freeze, 'mirror': mirror, 'shift': shift, 'occlude': occlude}
HARMLESS_CHANGES = {'light': light, 'colour': colour, 'shadow': shadow}
EVENTS = (*WORLD, *CAMERA_EVENTS)
HARMLESS = (*HARMLESS_CHANGES, *HARMLESS_WORLD)
