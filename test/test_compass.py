# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The compass: the heading against walls, learned where simulation tells it."""

import json
import math

from hypothesis import given
from hypothesis import strategies as st
import pytest
import torch

from drawn_world import write_dataset
from tiny_training import equal, part_weights, quiet, tiny_bundle
from wm_controller.cli.main import run as wm
from wm_controller.errors import InputError
from wm_controller.training.compass import CompassOptions, CompassPart
from wm_controller.training.part import NoData, part_checkpoint, train_part
from wm_controller.world_model.bundle import load_bundle
from wm_controller.world_model.compass import compass_loss, heading_of, LEAST, MOST


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp('data') / 'drawn.h5', episodes=8, truth=True)


@pytest.fixture(scope='module')
def plain(data, tmp_path_factory):
    """A bundle without a compass."""
    return tiny_bundle(tmp_path_factory.mktemp('model') / 'plain.safetensors', data)


def options(plain, output, **changes):
    defaults = {'source': plain, 'output': output, 'steps': 6, 'batch': 16, 'threads': 1,
                'width': 16}
    return CompassOptions(**{**defaults, **changes})


def told(heading, log_concentration):
    return torch.tensor([[math.cos(4 * heading), math.sin(4 * heading), log_concentration]])


@given(st.floats(-math.pi, math.pi), st.integers(-3, 3), st.floats(LEAST, MOST))
def test_quarter_turns_are_all_the_same(heading, quarters, sharp):
    found, sigma = heading_of(told(heading + quarters * math.pi / 2, sharp))
    off = (float(found) - heading) / (math.pi / 2)
    assert abs(off - round(off)) < 1e-4
    assert abs(float(found)) <= math.pi / 4 + 1e-6
    assert float(sigma) == pytest.approx(0.25 * math.exp(-sharp / 2), rel=1e-4)


def test_the_loss_is_least_at_the_truth_and_pays_for_false_sureness():
    truth = torch.tensor([0.2])

    def loss(heading, sharp):
        return float(compass_loss(told(heading, sharp), truth))
    assert loss(0.2, 3.0) < loss(0.3, 3.0) < loss(0.6, 3.0)
    assert loss(0.2, 6.0) < loss(0.2, 0.0)
    assert loss(0.5, 6.0) > loss(0.5, 0.0)


def test_it_learns_the_heading_and_changes_nothing_else(data, plain, tmp_path):
    output = tmp_path / 'out.safetensors'
    record = train_part([data], options(plain, output, steps=150, batch=32, mirror=False),
                        CompassPart, quiet)
    assert record['iterations'] == 150
    assert equal(part_weights(plain, 'compass.', False), part_weights(output, 'compass.', False))
    bundle = load_bundle(output)
    assert bundle.model.compass is not None
    assert bundle.gates['compass_error_deg'] < 15.0  # 22.5 by chance
    assert bundle.gates['compass_error_surer_deg'] <= bundle.gates['compass_error_deg']


def test_without_true_poses_there_is_nothing_to_learn_from(plain, tmp_path, capsys):
    real = write_dataset(tmp_path / 'real.h5', episodes=4)
    output = tmp_path / 'out.safetensors'
    with pytest.raises(NoData, match='simulated'):
        train_part([real], options(plain, output), CompassPart, quiet)
    assert not output.exists() and not part_checkpoint(output, 'compass').exists()
    assert wm(['train', str(real), '-o', str(output), '--compass-of', str(plain)]) == 2
    assert 'simulated' in capsys.readouterr().err


def test_data_of_both_kinds_serve_as_far_as_they_tell(data, plain, tmp_path):
    real = write_dataset(tmp_path / 'real.h5', episodes=4, seed=5)
    output = tmp_path / 'out.safetensors'
    assert train_part([real, data], options(plain, output), CompassPart, quiet)['iterations'] == 6


def test_the_command_adds_it(data, plain, tmp_path, capsys):
    output = tmp_path / 'out.safetensors'
    assert wm(['train', str(data), '-o', str(output), '--compass-of', str(plain), '--steps', '20',
               '--threads', '1', '--json']) == 0
    result = json.loads(capsys.readouterr().out)
    assert result['compass']['iterations'] == 2  # 10 % of 20
    assert result['gates']['compass_error_deg'] > 0
    assert wm(['train', str(data), '-o', str(output), '--compass-of', str(plain),
               '--compass-minutes', '-1']) == 2
    assert '--compass-minutes' in capsys.readouterr().err


def test_a_width_that_cannot_be_built_is_named(plain, tmp_path):
    with pytest.raises(InputError, match='compass_width'):
        CompassPart(load_bundle(plain), options(plain, tmp_path / 'x.safetensors', width=20))
