# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""What a model must know of its data: normalisation, limits, camera bearings."""

from typing import Any

import numpy as np

from wm_controller.data.dataset import Dataset
from wm_controller.data.windows import Windows
from wm_controller.errors import InputError
from wm_controller.world_model.spec import Architecture, ModelSpec, Normalisation

PIXEL_SAMPLE = 2000
REACH_MAX_S = 12.0


def describe(datasets: list[Dataset], windows: Windows, architecture: Architecture) -> ModelSpec:
    """Measure the training windows and return the description of a model for them."""
    rng = np.random.default_rng(0)
    sample = windows.images(windows.starts[rng.integers(len(windows), size=PIXEL_SAMPLE)])
    pixel_mean, pixel_deviation = _mean_and_deviation(sample.reshape(-1, 3))
    used = windows.used_rows()
    action, proprio = windows.column('action')[used], windows.column('proprio')[used]
    known = np.isfinite(action).all(-1)
    if not known.all() and not architecture.latent_action:
        raise InputError(f'{datasets[0].path}: {(~known).sum()} of {len(known)} steps have no '
                         'command: train with --latent-actions, which learns them from the video')
    action = action[known] if known.any() else np.zeros((1, 2))
    first = datasets[0]
    width, height = first.image_size
    normalisation = Normalisation(
        pixel_mean=_floats(pixel_mean), pixel_scale=_floats(np.maximum(pixel_deviation, 1.0)),
        action_scale=_floats(np.maximum(np.abs(action).max(0), 0.05)),
        proprio_scale=_floats(_scale(proprio, (0.02, 0.005, 0.02, 0.1, 0.1))),
        pose_change_scale=_floats(_scale(proprio[:, :3], (0.02, 0.005, 0.02))))
    limits = (float(min(action[:, 0].min(), 0.0)), float(max(action[:, 0].max(), 0.05)),
              float(np.abs(action[:, 1]).max()))
    fov = first.attributes.get('horizontal_fov')
    return ModelSpec(
        image_size=(height, width), step_period_s=first.step_period_s,
        action_limits=limits, clearance_bearings=_floats(first.bearings),
        reach_max_s=REACH_MAX_S, horizontal_fov=None if fov is None else float(fov),
        architecture=architecture, normalisation=normalisation)


def _mean_and_deviation(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each channel of pixels (N, C) uint8, from histograms."""
    share = np.stack([np.bincount(channel, minlength=256) for channel in pixels.T]) / len(pixels)
    grey = np.arange(256)
    mean = share @ grey
    return mean, np.sqrt((share * (grey - mean[:, None]) ** 2).sum(-1))


def _scale(values: np.ndarray, floor: tuple[float, ...]) -> np.ndarray:
    """Root mean square of the finite rows, not below a floor; the floor where none is finite."""
    finite = values[np.isfinite(values).all(-1)]
    if len(finite) == 0:
        return np.asarray(floor)
    return np.maximum(np.sqrt(np.square(finite, dtype=np.float64).mean(0)), floor)


def _floats(values: np.ndarray) -> Any:
    return tuple(round(float(x), 6) for x in values)
