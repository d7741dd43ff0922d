# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Training runs of seconds, for tests: few steps, one thread, nothing said."""

from wm_controller.training.options import TrainingOptions


def quiet(*_):
    pass


def tiny_options(tmp_path, architecture, steps, **changes):
    defaults = {'output': tmp_path / 'model.safetensors', 'steps': steps, 'batch': 8, 'threads': 1,
                'architecture': architecture, 'half_precision': False}
    return TrainingOptions(**{**defaults, **changes})
