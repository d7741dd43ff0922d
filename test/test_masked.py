# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import torch

from drawn_world import write_dataset
from tiny_training import TINY
from wm_controller.data.dataset import open_all
from wm_controller.data.windows import Windows
from wm_controller.training.loop import train, TrainingOptions
from wm_controller.training.masked import hide_blocks, MaskedOptions, MaskedPrediction, pretrain
from wm_controller.training.statistics import describe
from wm_controller.world_model.bundle import load_bundle
from wm_controller.world_model.encoder import ConvEncoder
from wm_controller.world_model.spec import ModelSpec


@pytest.fixture
def windows(tmp_path):
    data = write_dataset(tmp_path / 'video.h5', episodes=4, commands=False, odometry=False)
    datasets = open_all([data])
    yield Windows(datasets, 8)
    datasets[0].close()


def encoder(seed=0):
    torch.manual_seed(seed)
    return ConvEncoder(ModelSpec(architecture=TINY))


def test_blocks_of_space_time_are_hidden_and_something_stays_visible():
    for share in (0.3, 0.6, 0.99):
        hidden = hide_blocks(np.random.default_rng(0), 20, (8, 3, 4), share, (8, 2, 2))
        assert hidden.shape == (20, 8, 3, 4)
        assert (hidden.mean((1, 2, 3)) >= min(share, 95 / 96)).all()
        assert (~hidden).any(axis=(1, 2, 3)).all()
    few = hide_blocks(np.random.default_rng(1), 200, (8, 3, 4), 0.01, (8, 2, 2))
    steps = few.any(axis=(2, 3)).sum(1)
    assert steps.min() >= 4 and steps.max() <= 8  # a block lasts, so that it is not just copied


def test_hidden_pixels_do_not_reach_the_encoder():
    task = MaskedPrediction(encoder(), 2).eval()
    hidden = torch.zeros(1, 2, 3, 4, dtype=torch.bool)
    hidden[:, :, 1, 2] = True
    pixels = torch.randn(1, 2, 3, 72, 96)
    other = pixels.clone()
    other[..., 24:48, 48:72] = torch.randn(1, 2, 3, 24, 24)
    seen = []
    task.encoder.register_forward_hook(lambda module, args, output: seen.append(output))
    task(pixels, hidden)
    task(other, hidden)
    torch.testing.assert_close(seen[0], seen[1])


def test_prediction_of_hidden_places_is_learned_without_collapse(windows):
    options = MaskedOptions(steps=60, batch=8, learning_rate=2e-3)
    net, losses = encoder(), []
    before = {name: value.clone() for name, value in net.state_dict().items()}
    result = pretrain(net, windows, options, lambda fraction, loss: losses.append(loss))
    assert result['steps'] == len(losses) == 60
    assert np.mean(losses[-10:]) < 0.85 * np.mean(losses[:5])
    assert result['target_deviation'] > 0.2
    changed = {n for n, v in net.state_dict().items() if not torch.equal(v, before[n])}
    assert changed and all(name.startswith('features') for name in changed)


def test_the_same_seed_pretrains_the_same_encoder(windows):
    weights = []
    for seed in (1, 1, 2):
        net = encoder()
        pretrain(net, windows, MaskedOptions(steps=3, batch=4, seed=seed))
        weights.append(net.features[0].weight)
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


def test_training_takes_the_minutes_of_pretraining_from_its_own(tmp_path):
    data = write_dataset(tmp_path / 'drawn.h5', episodes=4)
    output = tmp_path / 'm.safetensors'
    train([data], TrainingOptions(output, minutes=0.04, pretrain_minutes=0.03, batch=4, threads=1,
                                  architecture=TINY, half_precision=False), lambda *_: None)
    record = load_bundle(output).training
    assert record['pretrain_minutes'] == 0.03
    assert 0.03 <= record['minutes'] < 0.2


def test_a_place_that_is_not_whole_is_left_out():
    spec = ModelSpec(image_size=(80, 96), architecture=TINY)
    torch.manual_seed(0)
    net = ConvEncoder(spec)
    assert net.feature_shape[1] % 3
    task = MaskedPrediction(net, 2)
    hidden = torch.ones(1, 2, *task.grid[1:], dtype=torch.bool)
    loss, _ = task(torch.randn(1, 2, 3, 80, 96), hidden)
    assert torch.isfinite(loss)


def test_statistics_of_a_video_need_latent_actions(windows):
    from wm_controller.errors import InputError
    with pytest.raises(InputError, match='--latent-actions'):
        describe(windows._rows.datasets, windows, TINY)
