# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The upper level: what it learns, that adding it changes nothing else, and what it refuses."""

from dataclasses import replace
import json

import pytest
import torch

from drawn_world import write_dataset
from tiny_training import equal, part_weights, quiet, stop_part_at, TINY
from wm_controller.cli.main import run as wm
from wm_controller.data.dataset import open_all
from wm_controller.data.windows import Windows
from wm_controller.errors import InputError
from wm_controller.training import batches
from wm_controller.training.abstract import AbstractOptions, AbstractPart, CHUNK, CHUNKS
from wm_controller.training.part import NoData, part_checkpoint, train_part
from wm_controller.world_model.abstract import AbstractLevel, PARTS
from wm_controller.world_model.bundle import load_bundle
from wm_controller.world_model.spec import Architecture, ModelSpec

SPEC = ModelSpec(architecture=replace(TINY, abstract_state=16, macro_action=4))


def options(plain, output, **changes):
    defaults = {'source': plain, 'output': output, 'steps': 6, 'batch': 4, 'threads': 1,
                'abstract_state': 16, 'macro_action': 4}
    return AbstractOptions(**{**defaults, **changes})


def weights(path, own):
    return part_weights(path, 'abstract.', own)


def test_shapes_are_those_of_any_number_of_futures():
    torch.manual_seed(0)
    level = AbstractLevel(SPEC)
    state = level.encode(torch.randn(3, 5, TINY.state))
    macro = level.macro(torch.randn(3, 5, 8, 2))
    assert state.shape == (3, 5, 16) and macro.shape == (3, 5, 4)
    assert level.predict(state, macro).shape == state.shape
    assert level.imagine(state[:, 0], macro).shape == (3, 6, 16)
    assert level.way(state, macro).shape == (3, 5, PARTS, 3)
    gap = level.gap(state, macro)
    assert gap.shape == (3, 5, 2) and (gap[..., 0] <= gap[..., 1]).all() and (gap > 0).all()
    assert level.actions(state, macro).shape == (3, 5, 8, 2)
    goal = torch.tensor([3.0, -4.0])
    assert (level.time_to_reach(state, goal.expand(3, 5, 2)) >= 5.0 / 0.5).all()


@pytest.mark.parametrize('change, line', [
    ({'chunk_steps': 6}, 'multiple of 4'), ({'macro_action': 0}, 'sizes outside'),
    ({'abstract_state': 5000}, 'sizes outside')])
def test_what_cannot_be_built_is_refused(change, line):
    described = SPEC.to_json()
    described['architecture'].update(change)
    with pytest.raises(InputError, match=line):
        AbstractLevel(ModelSpec.from_json(described))


def test_the_one_of_the_default_model_is_small():
    level = AbstractLevel(ModelSpec(architecture=replace(Architecture(), abstract_state=64)))
    assert 2 * sum(p.numel() for p in level.parameters()) < 0.9e6  # bytes in the bundle


def test_adding_it_changes_no_other_weight_and_no_other_gate(data, plain, tmp_path):
    output = tmp_path / 'with.safetensors'
    record = train_part([data], options(plain, output), AbstractPart, quiet)
    assert equal(weights(plain, False), weights(output, False))
    before, after = load_bundle(plain), load_bundle(output)
    assert {k: v for k, v in after.gates.items() if k != 'abstract'} == before.gates
    assert after.training == {**before.training, 'abstract': record}
    figures = after.gates['abstract']
    assert list(figures['persistence_ratio']) == ['1.6 s', '3.2 s', '4.8 s', '6.4 s']
    assert all(value > 0 for name in ('place_error_m', 'place_no_change_m', 'gap_error_m')
               for value in figures[name].values())


def test_a_stopped_run_resumes_to_exactly_the_same(data, plain, tmp_path, monkeypatch):
    train_part([data], options(plain, tmp_path / 'through.safetensors'), AbstractPart, quiet)
    broken = options(plain, tmp_path / 'broken.safetensors', checkpoint_every_s=0.0)
    stop_part_at(4, monkeypatch, lambda stop: train_part([data], broken, AbstractPart, stop))
    train_part([data], broken, AbstractPart, quiet)
    assert equal(weights(tmp_path / 'through.safetensors', True), weights(broken.output, True))


def test_it_learns_where_chunks_lead(data, plain):
    """In less than a hundred steps: nearer than no change, in places and in abstract states."""
    bundle, opened = load_bundle(plain), open_all([data])
    torch.manual_seed(0)
    part = AbstractPart(bundle, options(plain, plain))
    windows = Windows(opened, AbstractPart.window)
    sampler = batches.Sampler(windows, 0, 60)
    optimizer = torch.optim.AdamW(part.module.parameters(), 6e-3)
    for iteration in range(80):
        loss, _ = part.loss(sampler.sample(8, iteration % 20),
                            torch.Generator().manual_seed(iteration))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    figures = part.gates(windows)['abstract']
    for seconds, still in figures['place_no_change_m'].items():
        assert figures['place_error_m'][seconds] < 0.75 * still
        assert figures['persistence_ratio'][seconds] < 0.9
    assert figures['action_error'] < 0.5
    assert all(p.grad is None for p in bundle.model.parameters())
    level = part.level
    assert (level.macro_low < level.macro_high).all()
    assert (level.macro_high - level.macro_low).max() < 12  # about as wide as unit Gaussians are
    opened[0].close()


def test_drives_that_are_too_short_or_without_commands_are_left_out_of_a_whole_training(
        tmp_path, plain, capsys):
    short = write_dataset(tmp_path / 'short.h5', episodes=8, steps=CHUNK * CHUNKS)
    output = tmp_path / 'out.safetensors'
    with pytest.raises(NoData, match='for its abstract'):
        train_part([short], options(plain, output), AbstractPart, quiet)
    assert not output.exists() and not part_checkpoint(output, 'abstract').exists()
    assert wm(['train', str(short), '-o', str(output), '--steps', '4', '--batch', '4', '--threads',
               '1', '--goal-picture-minutes', '0', '--decoder-minutes', '0', '--json']) in (0, 1)
    result = json.loads(capsys.readouterr().out)
    assert 'longest has 32' in result['abstract']['skipped']
    assert load_bundle(output).model.abstract is None
    video = write_dataset(tmp_path / 'video.h5', episodes=4, commands=False)
    with pytest.raises(NoData, match='no drive has commands'):
        train_part([video], options(plain, output), AbstractPart, quiet)


def test_the_command_adds_it(data, plain, tmp_path, capsys):
    output = tmp_path / 'out.safetensors'
    arguments = ['train', str(data), '-o', str(output), '--abstract-of', str(plain), '--steps',
                 '20', '--threads', '1']
    assert wm([*arguments, '--json']) == 0
    result = json.loads(capsys.readouterr().out)
    assert result['abstract']['iterations'] == 3  # 15 % of 20
    assert equal(weights(plain, False), weights(output, False))
    assert load_bundle(output).model.abstract is not None
    assert wm([*arguments, '--abstract-minutes', '0']) == 2
    assert 'nothing to do' in capsys.readouterr().err
