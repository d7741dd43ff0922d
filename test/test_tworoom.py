# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Goals given as pictures: the learned time to them, and the public benchmark that uses it."""

from dataclasses import replace
import io
import json
from pathlib import Path
import sys

import h5py
import numpy as np
import pytest
import torch

from drawn_world import write_dataset
from tiny_training import TINY as PLAIN
from wm_controller.cli.main import run as wm
from wm_controller.data.dataset import Dataset, open_all
from wm_controller.data.windows import Windows
from wm_controller.errors import InputError
from wm_controller.evaluation.tworoom import TASKS
from wm_controller.evaluation.tworoom_data import convert
from wm_controller.evaluation.tworoom_pipe import IMAGE_PX, receive, send
from wm_controller.evaluation.tworoom_planner import HORIZON_STEPS, REPLAN_STEPS, TwoRoomPlanner
from wm_controller.evaluation.tworoom_program import choose_starts
from wm_controller.evaluation.tworoom_table import below_aim, summarise
from wm_controller.training.image_reach import draw_goals, image_reach_loss
from wm_controller.training.loop import train, TrainingOptions
from wm_controller.training.reach_fit import fit_image_reach
from wm_controller.world_model.bundle import load_bundle
from wm_controller.world_model.model import WorldModel
from wm_controller.world_model.reach import REACH_MAX_STEPS
from wm_controller.world_model.spec import Architecture, ModelSpec

TINY = replace(PLAIN, image_reach=True)


def test_only_a_model_that_asks_for_it_has_the_head_and_the_shipped_one_does():
    plain = WorldModel(ModelSpec(architecture=Architecture()))
    assert not [name for name in plain.state_dict() if name.startswith('image_reach')]
    assert load_bundle('indoor').spec.architecture.image_reach


def test_time_to_a_picture_is_in_seconds_and_broadcasts_over_goals():
    model = WorldModel(ModelSpec(image_size=(32, 32), step_period_s=0.5, architecture=TINY))
    states, goal = torch.randn(5, 7, 32), torch.randn(24)
    seconds = model.time_to_image(states, goal)
    assert seconds.shape == (5, 7) and bool((seconds >= 0).all())
    steps = torch.expm1(model.image_reach(states, goal))
    assert torch.allclose(seconds, 0.5 * steps)


def test_times_are_learned_from_hindsight_and_other_rooms_count_as_far():
    torch.manual_seed(0)
    model = WorldModel(ModelSpec(image_size=(32, 32), architecture=replace(TINY, head_hidden=64)))
    optimizer = torch.optim.Adam(model.image_reach.parameters(), lr=3e-3)
    place = torch.arange(64).remainder(2).float()  # neighbours in a batch: different rooms
    room = place[:, None] * 2 - 1

    def drawn():
        """A line in each of two rooms: a place is one number, a step is 0.1 of it."""
        start, end = torch.rand(64, 4), torch.rand(64, 1)
        states, goals = torch.zeros(64, 4, 32), torch.zeros(64, 1, 24)
        states[..., :2] = torch.stack([4 * start - 2, room.expand(-1, 4)], -1)
        goals[..., :2] = torch.stack([4 * end - 2, room], -1)
        return states, goals, ((start[:, None] - end[..., None]).abs() * 10).round()

    for _ in range(400):
        states, goals, steps = drawn()
        loss = image_reach_loss(model, states, goals, steps, place)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    states, goals, steps = drawn()
    with torch.no_grad():
        guess = torch.expm1(model.image_reach(states[:, None], goals[:, :, None]))
        elsewhere = torch.expm1(model.image_reach(states[:, None], goals.roll(1, 0)[:, :, None]))
    assert np.corrcoef(guess.flatten(), steps.flatten())[0, 1] > 0.8
    assert elsewhere.median() > 0.5 * REACH_MAX_STEPS > 5 * guess.median()


def test_goals_are_pictures_that_the_same_drive_saw_later(tmp_path):
    data = open_all([write_dataset(tmp_path / 'drawn.h5', episodes=4)])
    windows = Windows(data, 8)
    rng = np.random.default_rng(0)
    indices = rng.permutation(len(windows))[:40]
    goals = draw_goals(windows, indices, rng)
    offset = 0
    for i, index in enumerate(indices):
        stop = windows.episode_rows[windows.episode[index]][1]
        for pixels, steps in zip(goals['reach_pixels'][i], goals['reach_steps'][i]):
            known = np.flatnonzero(np.isfinite(steps))
            assert len(known) and known[0] == 0 and (np.diff(steps[known]) == -1).all()
            row = int(windows.starts[index] + steps[0])
            assert row < stop
            np.testing.assert_array_equal(pixels, windows.images([row])[0])
            offset = max(offset, int(steps[0]))
    assert offset > 8  # beyond the window too


def test_training_with_the_head_gives_a_bundle_that_has_it(tmp_path):
    data = write_dataset(tmp_path / 'drawn.h5', episodes=6)
    path = tmp_path / 'model.safetensors'
    options = TrainingOptions(output=path, steps=4, batch=8, threads=1, architecture=TINY,
                              half_precision=False, image_reach_fit=3)
    gates = train([data], options, lambda *_: None)
    assert -1 <= gates['image_reach_correlation_imagined'] <= 1
    model = load_bundle(path).model
    assert model.time_to_image(model.initial_state(3), torch.zeros(24)).shape == (3,)


def test_the_fit_changes_nothing_but_the_head_and_ranks_goals_by_their_time(tmp_path):
    windows = Windows(open_all([write_dataset(tmp_path / 'drawn.h5', episodes=6)]), 16)
    torch.manual_seed(0)
    model = WorldModel(ModelSpec(image_size=windows.images([0]).shape[1:3], architecture=TINY))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    fit_image_reach(model, windows, steps=60, seed=0)
    changed = {name.partition('.')[0] for name, value in model.state_dict().items()
               if not torch.equal(value, before[name])}
    assert changed == {'image_reach'}
    latents = model.encode(torch.from_numpy(windows.images(range(30))))
    state = model.observe(model.initial_state(1), latents[:1], torch.zeros(1, 2),
                          torch.from_numpy(windows.column('proprio')[:1]))
    times = model.time_to_image(state, latents).detach()
    assert times[1:4].mean() < times[20:].mean()


def test_messages_survive_the_pipe():
    stream = io.BytesIO()
    frames = np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3)
    send(stream, {'step': 3}, {'pixels': frames, 'done': np.array([True, False])})
    send(stream, {'result': 1})
    stream.seek(0)
    message, arrays = receive(stream)
    assert message == {'step': 3}
    np.testing.assert_array_equal(arrays['pixels'], frames)
    assert receive(stream) == ({'result': 1}, {})
    with pytest.raises(EOFError):
        receive(stream)


def test_every_start_has_its_goal_in_the_same_episode_and_none_is_drawn_twice():
    lengths = [30, 10, 26, 60]
    episode, start = choose_starts(lengths, 25, 20, seed=3)
    assert all(start[i] + 25 < lengths[e] for i, e in enumerate(episode))
    assert len(set(zip(episode.tolist(), start.tolist()))) == 20
    assert set(episode.tolist()) <= {0, 2, 3}
    again = choose_starts(lengths, 25, 20, seed=3)
    assert again[0].tolist() == episode.tolist() and again[1].tolist() == start.tolist()
    with pytest.raises(ValueError, match='41 steps'):
        choose_starts(lengths, 25, 42, seed=3)


def write_recording(path):
    """A recording as the package writes it: a dot that its actions move."""
    rng = np.random.default_rng(0)
    action = rng.uniform(-1, 1, (60, 2)).astype(np.float32)
    state = (100 + np.concatenate([np.zeros((1, 2)), 5 * np.cumsum(action, 0)[:-1]])).astype('f4')
    pixels = np.full((60, 224, 224, 3), 255, np.uint8)
    for frame, (x, y) in zip(pixels, state.astype(int)):
        frame[y - 7:y + 7, x - 7:x + 7] = (255, 0, 0)
    with h5py.File(path, 'w') as file:
        for name, values in {'pixels': pixels, 'state': state, 'action': action,
                             'ep_len': [40, 20], 'ep_offset': [0, 40]}.items():
            file[name] = values
    return state, action


def test_a_recording_becomes_a_data_set_with_and_without_odometry(tmp_path):
    state, action = write_recording(tmp_path / 'recording.h5')
    for odometry in (False, True):
        target = tmp_path / f'{odometry}.h5'
        convert(tmp_path / 'recording.h5', target, odometry)
        with Dataset.open(target) as data:
            assert data.n_episodes == 2 and data.image_size == (IMAGE_PX, IMAGE_PX)
            np.testing.assert_allclose(data.column('action'), action * 0.5, atol=1e-6)
            pose, proprio = data.column('pose'), data.column('proprio')
            assert np.isnan(pose).all() == np.isnan(proprio).all() == (not odometry)
    # An action held over a step is the velocity that odometry measures after it.
    np.testing.assert_allclose(proprio[1:40, 3:], data_action(target)[:39], atol=1e-5)
    np.testing.assert_allclose(pose[:, :2], state * 0.01, atol=1e-6)


def data_action(path):
    with Dataset.open(path) as data:
        return data.column('action')


def test_what_is_no_recording_is_refused_by_name(tmp_path):
    (tmp_path / 'x.h5').write_bytes(b'nothing')
    with pytest.raises(InputError, match=r'x\.h5: not a recording of TwoRoom'):
        convert(tmp_path / 'x.h5', tmp_path / 'y.h5', odometry=False)
    assert not (tmp_path / 'y.h5').exists()


class Line:
    """A world that is one dot on a plane: pictures are positions, time is distance."""

    def encode(self, pixels):
        return pixels[:, 0, 0, :2].float()

    def initial_state(self, count):
        return torch.zeros(count, 2)

    def observe(self, state, latent, action, proprio):
        self.proprio = proprio
        return latent

    def imagine(self, state, actions):
        moved = 10 * torch.cumsum(actions, 1)
        return torch.cat([state[:, None], state[:, None] + moved], 1), None

    def time_to_image(self, state, goal):
        return (state - goal).norm(dim=-1)


def test_the_planner_reaches_goals_and_leaves_alone_who_is_there():
    def seen(position):
        return np.broadcast_to(np.round(position)[:, None, None, :], (3, 2, 2, 2)).astype(np.uint8)

    model = Line()
    planner = TwoRoomPlanner(model, odometry=True, seed=0)
    position = np.array([[100.0, 100.0], [50.0, 60.0], [10.0, 10.0]])
    goal = np.array([[140.0, 60.0], [50.0, 110.0], [200.0, 200.0]])
    done = np.array([False, False, True])
    moved = np.zeros((3, 2))
    planner.begin(seen(goal))
    for _ in range(15):
        action = planner.act(seen(position), position, done)
        assert (np.abs(action) <= 1 + 1e-6).all() and not action[2].any()
        # What the last action did is what odometry shows.
        np.testing.assert_allclose(model.proprio[:, 0].numpy(), 0.05 * moved[:2, 0], atol=1e-4)
        moved = action
        position = position + 5 * action
    assert np.linalg.norm(position[:2] - goal[:2], axis=1).max() < 8
    assert len(planner.plan_cpu_s) == 2 * -(-15 // REPLAN_STEPS) and HORIZON_STEPS >= REPLAN_STEPS


def test_seeds_are_pooled_and_what_is_below_its_aim_is_named():
    def result(rate):
        return {'successes': [i < rate for i in range(100)], 'plan_cpu_s': [0.1],
                'training': {'cpu_s': 60.0, 'steps': 10, 'parameters': 5}}

    near = summarise('ours', TASKS[0], [result(99), result(97)])
    far = summarise('ours', TASKS[1], [result(80), result(90)])
    assert near['success_rate'] == 0.98 and near['episodes'] == 200
    low, high = near['success_ci95']
    assert 0.9 < low < 0.98 < high < 1.0
    assert far['success_rate_per_seed'] == [0.8, 0.9] and far['training_cpu_s'] == 60.0
    assert below_aim([near], TASKS) == []
    assert below_aim([near, far], TASKS) == ['100 away: 85.0%, aim 90%']


@pytest.mark.parametrize('arguments, named', [
    (['benchmark', 'chess'], "No such command 'chess'"),
    (['benchmark', 'tworoom', '--rows', 'ours,theirs'], 'no such row: theirs'),
    (['benchmark', 'tworoom', '--goals', '30'], 'no such distance: 30'),
    (['benchmark', 'tworoom', '--environment', '/nowhere'], 'make tworoom-env'),
])
def test_wrong_input_is_one_line(arguments, named, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert wm(arguments) == 2
    error = capsys.readouterr().err
    assert named in error and error.count('\n') == 1


def test_the_verb_drives_every_row_through_the_program(tmp_path, capsys, monkeypatch):
    """With a program that answers as the package's does, where that is not installed."""
    monkeypatch.chdir(tmp_path)
    python = tmp_path / 'environment' / 'bin' / 'python'
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} {Path(__file__).parent}'
                      '/tworoom_stand_in.py "$@"\n')
    python.chmod(0o755)
    arguments = ['benchmark', 'tworoom', '--environment', str(tmp_path / 'environment'),
                 '--rows', 'straight,random', '--goals', '100', '--seeds', '2', '--episodes', '70',
                 '--json']
    assert wm(arguments) == 0
    report = json.loads(capsys.readouterr().out)
    assert [row['success_rate'] for row in report['rows']] == [1.0, 0.0]
    assert report['rows'][0]['episodes'] == 140
    lines = (Path(report['report']) / 'episodes.csv').read_text().splitlines()
    assert len(lines) == 1 + 2 * 140 and lines[70] == 'straight,0,100,0,69,1'  # of the second part
    assert json.loads((Path(report['report']) / 'summary.json').read_text())['rows']
