# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Models and training runs of seconds, for tests: small, few steps, nothing said."""

import pytest
import torch

from wm_controller.training import part
from wm_controller.training.loop import train
from wm_controller.training.options import TrainingOptions
from wm_controller.world_model.bundle import load_bundle
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


def stop_part_at(iteration, monkeypatch, run):
    """Call `run(report)`, the training of a part, and stop it there as a session may be stopped.

    Its clock makes it say and keep where it stands at every iteration.
    """
    class Stopped(Exception):
        pass

    def stop(progress, fraction, terms):
        if progress.iteration == iteration:
            raise Stopped

    ticks = iter(range(10 ** 9))
    with monkeypatch.context() as patch:
        patch.setattr(part, 'time', type('Time', (), {
            'monotonic': staticmethod(lambda: 2.0 * next(ticks))}))
        with pytest.raises(Stopped):
            run(stop)


def part_weights(path, prefix, own):
    """Weights of a bundle: those of its part of this prefix (`own`), or all the others."""
    return {name: value for name, value in load_bundle(path).model.state_dict().items()
            if name.startswith(prefix) == own}


def equal(one, other):
    """Whether two sets of weights are the same, bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)
