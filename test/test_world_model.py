# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
import dataclasses
import json

import numpy as np
import pytest
from safetensors.torch import save_file
import torch

from wm_controller.data.schema import CLEARANCE_BEARINGS
from wm_controller.errors import InputError
from wm_controller.world_model.bundle import load_bundle, METADATA_KEY, round_weights, save_bundle
from wm_controller.world_model.model import WorldModel
from wm_controller.world_model.spec import Architecture, ModelSpec

SMALL = ModelSpec(clearance_bearings=tuple(CLEARANCE_BEARINGS.tolist()), architecture=Architecture(
    encoder_channels=(8, 16, 16), latent=24, state=32, predictor_hidden=32, head_hidden=16))


@pytest.fixture
def model():
    torch.manual_seed(0)
    return WorldModel(SMALL).eval()


@pytest.fixture
def bundle_path(model, tmp_path):
    path = tmp_path / 'model.safetensors'
    save_bundle(path, model, gates={'passed': True}, training={'seed': 3},
                energy_quantiles=tuple(np.linspace(0, 1, 101)))
    return path


def test_imagination_is_the_predictor_step_by_step(model):
    state, actions = torch.randn(4, 32), torch.rand(4, 6, 2)
    states, changes = model.imagine(state, actions)
    assert states.shape == (4, 7, 32) and changes.shape == (4, 6, 3)
    again = state
    for t in range(6):
        again = model.predict(again, actions[:, t])
    torch.testing.assert_close(states[:, -1], again)


def test_imagined_states_stay_bounded_over_long_futures(model):
    states, _ = model.imagine(torch.zeros(2, 32), torch.full((2, 300, 2), 1.5))
    assert torch.isfinite(states).all() and states.abs().max() <= 1.0 + 1e-5


def test_missing_odometry_is_not_the_same_as_standing_still(model):
    state, latent, action = torch.zeros(1, 32), torch.randn(1, 24), torch.zeros(1, 2)
    blind = model.observe(state, latent, action, torch.full((1, 5), float('nan')))
    still = model.observe(state, latent, action, torch.zeros(1, 5))
    assert torch.isfinite(blind).all()
    assert not torch.allclose(blind, still)


def test_clearance_quantiles_are_ordered_and_bounded(model):
    low, median, high = model.clearance(torch.randn(50, 32)).unbind(-2)
    assert (low <= median).all() and (median <= high).all()
    assert low.min() > 0 and high.max() <= SMALL.clearance_max


def test_time_to_reach_is_never_less_than_the_straight_line(model):
    goal = torch.randn(200, 2) * 3
    time = model.time_to_reach(torch.randn(200, 32), goal)
    assert (time >= goal.norm(dim=-1) / SMALL.action_limits[1] - 1e-4).all()


def test_images_of_any_layout_give_the_same_latent(model):
    pixels = torch.randint(0, 256, (2, 72, 96, 3), dtype=torch.uint8)
    torch.testing.assert_close(model.encode(pixels), model.encode(pixels.float()))


def test_a_bundle_comes_back_as_it_was_saved(model, bundle_path):
    bundle = load_bundle(bundle_path)
    assert bundle.spec == SMALL and bundle.passed and bundle.training == {'seed': 3}
    assert len(bundle.energy_quantiles) == 101 and len(bundle.digest) == 64
    for name, value in model.state_dict().items():  # half precision: 11 bits
        torch.testing.assert_close(bundle.model.state_dict()[name], value, rtol=1e-3, atol=1e-6)
    round_weights(model)
    for name, value in model.state_dict().items():
        assert torch.equal(bundle.model.state_dict()[name], value)


def rewrite(path, weights, description):
    save_file(weights, path, {METADATA_KEY: json.dumps(description)})


def damaged(kind, path, model):
    description = {'schema': 'wm_controller_bundle/1', **model.spec.to_json()}
    weights = {k: v.contiguous() for k, v in model.state_dict().items()}
    if kind == 'truncated':
        path.write_bytes(path.read_bytes()[:-1000])
    elif kind == 'text':
        path.write_text('not a model')
    elif kind == 'empty':
        path.write_bytes(b'')
    elif kind == 'foreign':
        save_file({'weight': torch.zeros(3)}, path)
    elif kind == 'other schema':
        rewrite(path, weights, {**description, 'schema': 'somebody/9'})
    elif kind == 'other sizes':
        rewrite(path, weights, {**description, 'architecture': dataclasses.asdict(Architecture())})
    elif kind == 'huge sizes':
        rewrite(path, weights, {**description, 'image_size': [10 ** 9, 96]})
    elif kind == 'unknown entry':
        rewrite(path, weights, {**description, 'surprise': 1})
    elif kind == 'not finite':
        weights['readout.bias'] = weights['readout.bias'] * float('nan')
        rewrite(path, weights, description)
    elif kind == 'missing':
        path.unlink()


@pytest.mark.parametrize('kind', [
    'truncated', 'text', 'empty', 'foreign', 'other schema', 'other sizes', 'huge sizes',
    'unknown entry', 'not finite', 'missing'])
def test_what_is_not_a_bundle_is_refused_in_one_line_that_names_it(kind, bundle_path, model):
    damaged(kind, bundle_path, model)
    with pytest.raises(InputError) as caught:
        load_bundle(bundle_path)
    assert str(bundle_path) in str(caught.value)
    assert '\n' not in str(caught.value)


def test_a_bundle_that_cannot_be_written_leaves_nothing_behind(model, tmp_path):
    (tmp_path / 'file').write_text('in the way')
    with pytest.raises(InputError, match='cannot be written'):
        save_bundle(tmp_path / 'file' / 'model.safetensors', model, gates={}, training={},
                    energy_quantiles=())
    assert [p.name for p in tmp_path.iterdir()] == ['file']
