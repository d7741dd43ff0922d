# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Where a goal picture was taken: its pairs, that it is learned, and what is refused."""

from dataclasses import replace
import json

import numpy as np
import pytest
import torch

from drawn_world import draw, write_dataset
from tiny_training import quiet, TINY, tiny_bundle
from wm_controller.cli.main import run as wm
from wm_controller.data.dataset import open_all
from wm_controller.data.windows import Windows
from wm_controller.errors import InputError
from wm_controller.planning.pilot import ImageGoal, Pilot, PoseGoal
from wm_controller.training import goal_pictures
from wm_controller.training.goal_pictures import draw_pairs, GoalPictureOptions, GoalPicturePart
from wm_controller.training.part import NoData, part_checkpoint, train_part
from wm_controller.world_model.bundle import load_bundle
from wm_controller.world_model.model import WorldModel
from wm_controller.world_model.spec import ModelSpec

CHANNELS = (16, 16, 16)


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp('data') / 'drawn.h5', episodes=8)


@pytest.fixture(scope='module')
def plain(data, tmp_path_factory):
    """A bundle that cannot tell where pictures were taken."""
    return tiny_bundle(tmp_path_factory.mktemp('model') / 'plain.safetensors', data)


def options(plain, output, **changes):
    defaults = {'source': plain, 'output': output, 'steps': 8, 'batch': 16, 'threads': 1,
                'channels': CHANNELS}
    return GoalPictureOptions(**{**defaults, **changes})


def test_pairs_are_of_one_drive_at_all_distances_and_most_of_them_in_sight(data):
    datasets = open_all([data])
    windows = Windows(datasets, 1)
    pairs = draw_pairs(windows, 512, np.random.default_rng(0))
    again = draw_pairs(windows, 512, np.random.default_rng(0))
    assert all(torch.equal(torch.nan_to_num(pairs[k]), torch.nan_to_num(again[k])) for k in pairs)
    pose = pairs['goal_pose']
    known = torch.isfinite(pose).all(-1)
    assert known.float().mean() > 0.8
    x, y, turn = pose[known].T
    distance = torch.hypot(x, y)
    assert distance.max() <= goal_pictures.MAX_M + 1e-5
    assert turn.abs().max() <= goal_pictures.MAX_TURN + 1e-5
    assert (distance < 1.0).any() and (distance > 1.5).any()
    sighted = (torch.atan2(y, x).abs() < goal_pictures.IN_SIGHT) & (
        turn.abs() < goal_pictures.IN_SIGHT)
    assert sighted.float().mean() > 0.5
    # The pose is that of the picture from here: at the same place the two are the same.
    same = known & (pose.abs().max(-1).values < 1e-6)
    assert same.any()
    assert torch.equal(pairs['pixels'][same, 0], pairs['pixels'][same, 1])
    for dataset in datasets:
        dataset.close()


def test_it_learns_the_turn_and_the_way_to_a_picture(data, plain, tmp_path):
    output = tmp_path / 'with.safetensors'
    record = train_part([data], options(plain, output, steps=300, batch=32, mirror=False,
                                       learning_rate=2e-3),
                        GoalPicturePart, quiet)
    assert record['pairs'] == 300 * 32
    bundle = load_bundle(output)
    headings = np.linspace(-1.0, 1.0, 32)

    def mean_turn_guessed(turn):
        here, there = (torch.from_numpy(np.stack([draw((0.0, 0.0, heading + more))
                                                  for heading in headings])) for more in (0, turn))
        with torch.no_grad():
            guess = bundle.model.goal_pose(here, there)
        return float(torch.atan2(guess[:, 3], guess[:, 2]).mean())

    # One picture tells little of so short a training; over all headings six seeds said 0.4 to 0.9.
    assert mean_turn_guessed(0.5) - mean_turn_guessed(-0.5) > 0.2
    errors = bundle.gates['goal_picture_errors_m']
    assert errors['0 to 0.3 m'] < 0.8 * errors['1 to 1.5 m']


def test_only_its_weights_and_its_gates_are_new(data, plain, tmp_path):
    output = tmp_path / 'with.safetensors'
    record = train_part([data], options(plain, output), GoalPicturePart, quiet)
    before, after = load_bundle(plain), load_bundle(output)
    old, new = before.model.state_dict(), after.model.state_dict()
    assert all(torch.equal(old[name], new[name]) for name in old)
    assert all(name.startswith('goal_pose.') for name in set(new) - set(old))
    assert after.training == {**before.training, 'goal_pictures': record}
    assert {name: after.gates[name] for name in before.gates} == before.gates
    assert set(after.gates) - set(before.gates) == {
        'goal_picture_error_m', 'goal_picture_constant_m', 'goal_picture_errors_m'}
    assert replace(after.spec, architecture=TINY) == before.spec


def test_one_that_is_there_is_trained_further_also_from_the_bundle_that_a_model_began_from(
        data, plain, tmp_path):
    first, second, third = (tmp_path / f'{name}.safetensors' for name in ('one', 'two', 'three'))
    train_part([data], options(plain, first), GoalPicturePart, quiet)
    still = {'learning_rate': 1e-9, 'steps': 1, 'seed': 5}
    train_part([data], options(first, second, **still), GoalPicturePart, quiet)
    record = train_part([data], options(plain, third, initial=str(first), **still),
                        GoalPicturePart, quiet)
    one, two, three = (load_bundle(path).model.goal_pose.state_dict()
                       for path in (first, second, third))
    assert all(torch.allclose(one[name], two[name], atol=1e-4) for name in one)
    assert all(torch.equal(two[name], three[name]) for name in two)
    assert record['begun_from'] == load_bundle(first).digest


def test_figures_are_by_distance_and_know_what_is_not_there():
    place = torch.tensor([[0.1, 0.0], [1.2, 0.0], [2.5, 0.0], [np.nan, np.nan]])
    found = goal_pictures.judge(torch.tensor([0.05, 0.2, 0.4, np.nan]), place)
    assert found['goal_picture_error_m'] == pytest.approx(0.3)
    assert found['goal_picture_constant_m'] == pytest.approx(0.65)
    assert found['goal_picture_errors_m']['0 to 0.3 m'] == pytest.approx(0.05)
    assert found['goal_picture_errors_m']['0.3 to 0.6 m'] is None
    nothing = goal_pictures.judge(torch.full((2,), np.nan), torch.full((2, 2), np.nan))
    assert nothing['goal_picture_error_m'] is None


def test_without_odometry_there_is_nothing_to_learn_from(plain, tmp_path, capsys):
    blind = write_dataset(tmp_path / 'blind.h5', episodes=4, odometry=False)
    output = tmp_path / 'out.safetensors'
    with pytest.raises(NoData, match='odometry'):
        train_part([blind], options(plain, output), GoalPicturePart, quiet)
    assert not output.exists() and not part_checkpoint(output, 'goal_pictures').exists()
    assert wm(['train', str(blind), '-o', str(output), '--goal-pictures-of', str(plain)]) == 2
    assert 'odometry' in capsys.readouterr().err
    # A whole training goes on without it.
    assert wm(['train', str(blind), '-o', str(output), '--steps', '4', '--batch', '4', '--threads',
               '1', '--decoder-minutes', '0', '--json']) == 1
    result = json.loads(capsys.readouterr().out)
    assert 'odometry' in result['goal_pictures']['skipped']
    assert load_bundle(output).model.goal_pose is None


def test_the_command_adds_it_and_takes_one_part_at_a_time(data, plain, tmp_path, capsys):
    output = tmp_path / 'out.safetensors'
    arguments = ['train', str(data), '-o', str(output), '--goal-pictures-of', str(plain),
                 '--steps', '8', '--threads', '1']
    assert wm([*arguments, '--json']) == 0
    result = json.loads(capsys.readouterr().out)
    assert result['goal_pictures']['iterations'] == 2  # 25 % of 8
    assert result['gates']['goal_picture_error_m'] > 0
    assert load_bundle(output).model.goal_pose is not None
    assert wm([*arguments, '--goal-picture-minutes', '0']) == 2
    assert 'nothing to do' in capsys.readouterr().err
    assert wm([*arguments, '--decoder-of', str(plain)]) == 2
    assert 'one after another' in capsys.readouterr().err


def test_a_model_without_it_refuses_pictures_and_stands(plain):
    pilot = Pilot(load_bundle(plain))
    assert not pilot.takes_pictures
    pilot.set_goal(PoseGoal(1.0, 0.0))
    with pytest.raises(InputError, match='--goal-pictures-of'):
        pilot.set_goal(ImageGoal(np.zeros((72, 96, 3), np.uint8)))
    assert pilot.plan(0.0, 0.1).state == 'idle'


@pytest.mark.parametrize('channels', [(8, 8), (8, 12, 8), (8, 0, 8)])
def test_channels_that_cannot_be_built_are_refused(channels):
    described = ModelSpec(architecture=TINY).to_json()
    described['architecture']['goal_channels'] = list(channels)
    with pytest.raises(InputError, match=r'goal_channels|sizes outside'):
        WorldModel(ModelSpec.from_json(described))


@pytest.mark.parametrize('size', [(72, 96), (50, 61), (224, 224)])
def test_pictures_of_any_size_are_compared(size):
    model = WorldModel(ModelSpec(image_size=size, architecture=replace(
        TINY, goal_channels=CHANNELS)))
    views = torch.randint(0, 256, (2, 3, *size, 3), dtype=torch.uint8)
    assert model.goal_pose(*views).shape == (3, 5)
