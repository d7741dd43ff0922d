# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The decoder: what it draws, that adding one changes nothing else, and that runs resume."""

from dataclasses import replace
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from drawn_world import write_dataset
from tiny_training import equal, part_weights, quiet, stop_part_at, TINY
from wm_controller.cli.main import run as wm
from wm_controller.data.dataset import open_all
from wm_controller.data.windows import Windows
from wm_controller.errors import InputError
from wm_controller.evaluation.open_loop import score
from wm_controller.training import batches
from wm_controller.training.decoder import CHANNELS, DecoderOptions, DecoderPart
from wm_controller.training.part import part_checkpoint, train_part
from wm_controller.world_model.attach import decoder_of, new_decoder
from wm_controller.world_model.bundle import load_bundle
from wm_controller.world_model.decoder import Decoder
from wm_controller.world_model.model import WorldModel
from wm_controller.world_model.spec import Architecture, ModelSpec

SHIPPED = Path(__file__).parents[1] / 'models' / 'indoor.safetensors'
CHANNELS_TINY = (4, 16, 8)


def options(plain, output, **changes):
    defaults = {'source': plain, 'output': output, 'steps': 6, 'batch': 4, 'threads': 1,
                'channels': CHANNELS_TINY}
    return DecoderOptions(**{**defaults, **changes})


def train_decoder(data, options, report):
    return train_part(data, options, DecoderPart, report)


def weights(path, decoders=False):
    return part_weights(path, 'decoder.', decoders)


def test_default_decoder_of_the_default_model_is_small():
    decoder = Decoder(ModelSpec(architecture=replace(Architecture(), decoder_channels=CHANNELS)))
    assert 4 * sum(p.numel() for p in decoder.parameters()) < 1.5e6


@pytest.mark.parametrize('size', [(72, 96), (50, 61)])
def test_pictures_have_the_models_size_whatever_it_is(size):
    decoder = Decoder(ModelSpec(image_size=size, architecture=replace(
        TINY, decoder_channels=CHANNELS_TINY)))
    frames = torch.randint(0, 256, (2, *size, 3), dtype=torch.uint8)
    pictures = decoder.pictures(torch.randn(2, 3, TINY.state), frames)
    assert pictures.shape == (2, 3, *size, 3) and pictures.dtype == torch.uint8
    target = torch.randint(0, 256, (4, *size, 3), dtype=torch.uint8)
    restored = decoder.pixel_scale.undo(decoder.normalised(target))
    torch.testing.assert_close(restored.permute(0, 2, 3, 1), target.float(), atol=1e-3, rtol=0)


@pytest.mark.parametrize(('channels', 'line'), [
    ((8,), 'decoder_channels'), ((8, 12), 'multiples of 8'), ((8, 0), 'sizes outside 1..4096')])
def test_channels_that_cannot_be_built_are_refused(channels, line):
    plain = ModelSpec().to_json()
    described = {**plain, 'architecture': {
        **plain['architecture'], 'decoder_channels': list(channels)}}
    with pytest.raises(InputError, match=line):
        WorldModel(ModelSpec.from_json(described))


@pytest.mark.skipif(not SHIPPED.is_file(), reason=f'no model at {SHIPPED}')
def test_the_shipped_model_still_loads():
    assert load_bundle(SHIPPED).spec.image_size == (72, 96)


def test_adding_a_decoder_changes_no_other_weight_and_no_figure(data, plain, tmp_path):
    output = tmp_path / 'with.safetensors'
    record = train_decoder([data], options(plain, output), quiet)
    assert equal(weights(plain), weights(output))
    before, after = load_bundle(plain), load_bundle(output)
    assert before.gates == after.gates and before.energy_quantiles == after.energy_quantiles
    assert after.training == {**before.training, 'decoder': record}
    assert replace(after.spec, architecture=TINY) == before.spec
    again = tmp_path / 'again.safetensors'
    train_decoder([data], options(output, again, seed=5), quiet)  # in place of the one it has
    assert equal(weights(plain), weights(again))
    assert not equal(weights(output, True), weights(again, True))


def test_a_bundle_without_one_says_how_to_add_it(plain):
    with pytest.raises(InputError, match=r'plain.safetensors: this bundle has no decoder.*--dec'):
        decoder_of(load_bundle(plain))


def test_a_stopped_run_resumes_to_exactly_the_decoder_of_one_that_ran_through(
        data, plain, tmp_path, monkeypatch):
    train_decoder([data], options(plain, tmp_path / 'through.safetensors'), quiet)
    broken = options(plain, tmp_path / 'broken.safetensors', checkpoint_every_s=0.0)
    stop_part_at(4, monkeypatch, lambda stop: train_decoder([data], broken, stop))
    assert part_checkpoint(broken.output, 'decoder').exists() and not broken.output.exists()
    with pytest.raises(InputError, match='--restart'):
        train_decoder([data], replace(broken, gradient=0.1), quiet)
    train_decoder([data], broken, quiet)
    assert not part_checkpoint(broken.output, 'decoder').exists()
    assert equal(weights(tmp_path / 'through.safetensors', True), weights(broken.output, True))


def test_it_learns_to_draw_seen_and_imagined_states(data, plain):
    """One batch over and over: nearer than its mean image, at every step."""
    bundle, opened = load_bundle(plain), open_all([data])
    torch.manual_seed(0)
    objective = DecoderPart(bundle, options(plain, plain))
    decoder = objective.decoder
    batch = batches.Sampler(Windows(opened, 14), 0, 1).sample(4, 0)
    optimizer = torch.optim.AdamW(decoder.parameters(), 1e-2)
    for iteration in range(120):
        loss, _ = objective.loss(batch, torch.Generator().manual_seed(iteration % 3))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    states, palette, frames = objective.states(batch, torch.Generator().manual_seed(0))
    target = decoder.normalised(frames)
    with torch.no_grad():
        error = (decoder(states, palette) - target).abs().mean((1, 2, 3))
    floor = (target.mean(0) - target).abs().mean((1, 2, 3))
    # of each window 3 seen states, then 3 imagined
    drawn, mean = (part.unflatten(0, (4, 6)).mean(0) for part in (error, floor))
    assert (drawn < 0.9 * mean).all()
    assert all(p.grad is None for p in bundle.model.parameters())
    opened[0].close()


def test_open_loop_scores_pictures_beside_the_floors_only_where_there_is_a_decoder(
        data, plain, tmp_path):
    output = tmp_path / 'with.safetensors'
    train_decoder([data], options(plain, output, steps=1), quiet)
    held_out = write_dataset(tmp_path / 'other.h5', episodes=2, steps=30, seed=4)
    steps = score(output, held_out, lambda *_, **__: None)['pictures']['steps']
    assert list(steps) == ['0', '1', '4', '8']
    for name in ('decoded', 'mean image', 'bands of the last frame', 'last seen frame'):
        low, high = steps['8'][name]['psnr_db_ci95']
        assert low <= steps['8'][name]['psnr_db'] <= high
    assert score(plain, held_out, lambda *_, **__: None)['pictures'] is None


def test_the_command_adds_one_to_a_finished_bundle(data, plain, tmp_path, capsys):
    output = tmp_path / 'out.safetensors'
    arguments = ['train', str(data), '-o', str(output), '--decoder-of', str(plain), '--steps',
                 '20', '--threads', '1']
    assert wm([*arguments, '--json']) == 0
    result = json.loads(capsys.readouterr().out)
    assert result['decoder']['iterations'] == 3  # 15 % of 20
    assert equal(weights(plain), weights(output))
    assert wm([*arguments, '--decoder-minutes', '0']) == 2
    assert 'nothing to do' in capsys.readouterr().err


def test_the_command_trains_model_and_decoder_and_resumes_in_the_second(
        data, tmp_path, capsys, monkeypatch):
    import wm_controller.training.part as module

    output = tmp_path / 'model.safetensors'
    arguments = ['train', str(data), '-o', str(output), '--steps', '4', '--batch', '4',
                 '--threads', '1', '--goal-picture-minutes', '0', '--abstract-minutes', '0',
                 '--proposal-minutes', '0', '--json']

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, 'iterate', stop)
        assert wm(arguments) == 130
    model = weights(output)
    assert load_bundle(output).model.decoder is None
    capsys.readouterr()
    assert wm(arguments) == 1  # so short a training fails its gates
    result = json.loads(capsys.readouterr().out)
    assert result['decoder']['iterations'] == 1 and not result['passed']
    assert equal(model, weights(output)) and load_bundle(output).model.decoder is not None
    assert not part_checkpoint(output, 'decoder').exists()


def test_data_of_another_rate_is_refused(plain, tmp_path):
    slow = write_dataset(tmp_path / 'slow.h5', episodes=2, rate_hz=2.0)
    with pytest.raises(InputError, match='its step is 0.5 s'):
        train_decoder([slow], options(plain, tmp_path / 'x.safetensors'), quiet)


def test_the_mean_image_and_the_last_frame_are_scored_as_they_are(plain, data, tmp_path):
    """In a world that stands still the last frame is perfect, whatever is drawn."""
    from wm_controller.evaluation.pictures import PictureScore, summarise_pictures

    torch.manual_seed(0)
    bundle = load_bundle(plain)
    bundle.model.decoder = new_decoder(bundle, CHANNELS_TINY)
    frames = np.random.default_rng(0).integers(0, 256, (4, 1, 72, 96, 3), dtype=np.uint8)
    frames = np.repeat(frames, 9, axis=1)
    latents = bundle.model.encode(torch.from_numpy(frames).flatten(0, 1)).unflatten(0, (4, 9))
    mean = frames[:, 0].mean(0)
    rows = PictureScore(bundle.model, mean).rows(torch.randn(4, 9, TINY.state), frames, latents)
    result = summarise_pictures(rows, np.array([0, 0, 1, 1]))['steps']['8']
    assert result['last seen frame']['l1'] == 0.0
    expected = 10 * np.log10(255 ** 2 / ((frames[:, 0] - mean) ** 2).mean())
    assert result['mean image']['psnr_db'] == pytest.approx(expected, abs=0.01)
