# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Whether a recording is one that a model can read."""

from wm_controller.data.dataset import Dataset
from wm_controller.errors import InputError
from wm_controller.world_model.spec import ModelSpec

PERIOD_TOLERANCE = 0.05


def check_fit(spec: ModelSpec, dataset: Dataset) -> None:
    """Raise InputError where step or image size of the data set are not those of the model."""
    expected = spec.step_period_s
    if abs(dataset.step_period_s - expected) > PERIOD_TOLERANCE * expected:
        raise InputError(
            f'{dataset.path}: its step is {dataset.step_period_s:g} s, the model has learned '
            f'{expected:g} s: ingest the recording with --rate {1 / expected:g}'
        )
    width, height = dataset.image_size
    if (height, width) != tuple(spec.image_size):
        wide, high = spec.image_size[::-1]
        raise InputError(
            f'{dataset.path}: its images are {width}x{height}, those of the model {wide}x{high}: '
            'ingest the recording at that size'
        )
