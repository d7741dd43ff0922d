# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Models and training runs of seconds, for tests: small, few steps, nothing said."""

from wm_controller.training.loop import train
from wm_controller.training.options import TrainingOptions
from wm_controller.world_model.spec import Architecture

TINY = Architecture(encoder_channels=(8, 16, 16), latent=24, state=32, predictor_hidden=32,
                    head_hidden=16)


def quiet(*_):
    pass


def tiny_options(tmp_path, architecture, steps, **changes):
    defaults = {'output': tmp_path / 'model.safetensors', 'steps': steps, 'batch': 8, 'threads': 1,
                'architecture': architecture, 'half_precision': False}
    return TrainingOptions(**{**defaults, **changes})


def tiny_bundle(path, data):
    """Train TINY for a few steps, without goal pictures and decoder; returns the path."""
    train([data], tiny_options(path.parent, TINY, 20, output=path), quiet)
    return path
