# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
import json
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest

from wm_controller.cli.main import run
from wm_controller.data.dataset import Dataset
from wm_controller.safety.geometry import compose, relative
from wm_controller.simulation.collecting import episode_lengths
from wm_controller.simulation.driving import Driver, STYLES
from wm_controller.simulation.rooms import make_room
from wm_controller.simulation.simulator import CameraSpec, Simulator


@pytest.fixture(scope='module')
def recorded(tmp_path_factory):
    path = tmp_path_factory.mktemp('collect') / 'data.h5'
    assert run(['collect', '--rooms', '3', '--steps', '260', '-o', str(path), '--seed', '4',
                '--workers', '1']) == 0
    with h5py.File(path) as file:
        return path, {name: file[name][:] for name in file}, dict(file.attrs)


def test_the_file_follows_the_contract(recorded):
    path, columns, attributes = recorded
    assert attributes['schema'] == 'wm_controller/1' and attributes['rate_hz'] == 5.0
    assert columns['pixels'].shape == (780, 72, 96, 3)
    assert columns['clearance'].shape == (780, 15)
    assert columns['ep_len'].sum() == 780 and len(columns['ep_len']) == 6
    assert len(set(columns['ep_room'])) == 3
    data = Dataset.open(path)
    assert data.n_steps == 780 and data.rate_hz == 5.0


def test_steps_are_a_fifth_of_a_second_apart_and_poses_start_at_zero(recorded):
    _, columns, _ = recorded
    for first, count in zip(columns['ep_offset'], columns['ep_len']):
        rows = slice(first, first + count)
        assert columns['stamp'][rows] == pytest.approx(0.2 * np.arange(count), abs=1e-6)
        assert (columns['pose'][first] == 0).all()
        assert (columns['proprio'][first, :3] == 0).all()


def test_proprio_is_the_motion_since_the_previous_step_in_its_frame(recorded):
    _, columns, _ = recorded
    first, count = columns['ep_offset'][1], columns['ep_len'][1]
    pose = columns['pose'][first:first + count]
    moved = columns['proprio'][first + 1:first + count, :3]
    assert moved == pytest.approx(relative(pose[:-1], pose[1:]), abs=1e-5)
    # odometry drifts, but slowly: one step of it agrees with the truth
    world = columns['world_pose'][first:first + count]
    assert np.abs(relative(world[:-1], world[1:]) - moved)[:, :2].max() < 0.03


def test_the_action_of_a_row_is_what_moves_the_robot_from_that_row_on(recorded):
    """Motion follows from the commands before it; delay, ramp and lag spread each over steps."""
    _, columns, _ = recorded
    turned, commanded = [], []
    for first, count in zip(columns['ep_offset'], columns['ep_len']):
        w = columns['action'][first:first + count, 1]
        turned.append(columns['proprio'][first + 4:first + count, 2])
        commanded.append(np.stack([w[4:], w[3:-1], w[2:-2], w[1:-3], w[:-4]], 1))
    turned, commanded = np.concatenate(turned), np.concatenate(commanded)
    weights = np.linalg.lstsq(commanded, turned, rcond=None)[0]
    residual = turned - commanded @ weights
    assert residual.std() < 0.35 * turned.std()
    assert abs(weights[0]) < 0.012  # the command of the row itself acts only after its frame
    assert weights[2] > 0.04 and weights.sum() == pytest.approx(0.2, abs=0.03)


def test_commands_keep_the_limits_and_clearance_is_true(recorded):
    _, columns, _ = recorded
    action = columns['action']
    assert action[:, 0].min() >= -0.25 and action[:, 0].max() <= 0.5
    assert np.abs(action[:, 1]).max() <= 1.5
    row = 20
    room = make_room(int(columns['ep_room'][0]), people=0)
    x, y, yaw = columns['world_pose'][row]
    ahead = room.rays((x, y), np.array([yaw]), 5.0)[0]
    assert columns['clearance'][row, 7] <= ahead + 1e-4


def test_any_number_of_workers_gives_the_same_data(tmp_path, capsys):
    digests = []
    for workers in ('1', '2'):
        path = tmp_path / f'{workers}.h5'
        assert run(['collect', '--rooms', '2', '--steps', '20', '-o', str(path), '--workers',
                    workers, '--json']) == 0
        result = json.loads(capsys.readouterr().out)
        assert result['steps'] == 40 and result['workers'] == int(workers)
        digests.append(Dataset.open(path).digest)
    assert digests[0] == digests[1]


@pytest.mark.parametrize('arguments, words', [
    (['--rooms', '0'], '--rooms'), (['--steps', '1'], '--steps'),
    (['--family', 'kitchen'], 'training or evaluation'), (['--rate', '100'], '--rate'),
    (['--rate', 'nan'], '--rate'), (['--workers', '-1'], '--workers'),
    (['--seed', '-1'], '--seed'),
])
def test_wrong_options_end_with_one_line_and_code_2(tmp_path, capfd, arguments, words):
    path = tmp_path / 'data.h5'
    assert run(['collect', '-o', str(path), *arguments]) == 2
    error = capfd.readouterr().err
    assert words in error and error.count('\n') == 1 and error.startswith('wm collect: ')
    assert not path.exists()


def test_ctrl_c_leaves_nothing_behind(tmp_path):
    path = tmp_path / 'data.h5'
    process = subprocess.Popen(
        [sys.executable, '-m', 'wm_controller.cli.main', 'collect', '--rooms', '500', '--steps',
         '50', '-o', str(path), '--workers', '1'], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not any(p.stat().st_size > 100_000 for p in tmp_path.iterdir()):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    error = process.communicate(timeout=30)[1]
    assert process.returncode == 130 and error == 'wm collect: interrupted\n'
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there_is_named(tmp_path, capfd):
    path = tmp_path / 'nowhere' / 'data.h5'
    assert run(['collect', '--rooms', '1', '--steps', '5', '-o', str(path)]) == 2
    assert 'nowhere' in capfd.readouterr().err


@pytest.mark.parametrize('steps', [2, 119, 250, 251, 400, 1000])
def test_episodes_add_up_and_are_neither_long_nor_needlessly_short(steps):
    for seed in range(20):
        lengths = episode_lengths(np.random.default_rng(seed), steps)
        assert sum(lengths) == steps and max(lengths) <= 250
        assert min(lengths) >= min(steps, 120)


@pytest.mark.parametrize('style', STYLES)
def test_every_style_keeps_the_limits_and_gets_about(style):
    way, reverse, count = 0.0, 0, 0
    for seed in range(3):
        room = make_room(seed, people=0)
        simulator = Simulator(room, CameraSpec(width=32, height=24), seed=seed)
        driver = Driver(simulator, np.random.default_rng(seed), 0.2, style)
        last = simulator.pose
        for _ in range(150):
            v, w = driver.next()
            assert -0.25 <= v <= 0.5 and abs(w) <= 1.5
            simulator.command(v, w)
            simulator.step(0.2)
            pose = simulator.pose
            assert simulator.room.distance(pose[None, :2])[0] > 0.15  # never through a wall
            way += np.hypot(*relative(last, pose)[:2])
            assert np.allclose(compose(last, relative(last, pose))[:2], pose[:2])
            last = pose
            reverse, count = reverse + (v < 0), count + 1
    assert way > {'press': 4.0}.get(style, 8.0)
    assert 0.0 < reverse / count < 0.45


def test_drives_to_goals_pass_through_doors():
    crossed = 0
    for seed in range(30, 36):
        room = make_room(seed, people=0)
        simulator = Simulator(room, CameraSpec(width=32, height=24), seed=seed)
        driver = Driver(simulator, np.random.default_rng(seed), 0.2, 'goal')
        near = np.zeros(len(room.doors), bool)
        for _ in range(200):
            simulator.command(*driver.next())
            simulator.step(0.2)
            near |= np.array([
                np.hypot(*(simulator.pose[:2] - (door.x, door.y))) < 0.4 for door in room.doors
            ], bool)
        crossed += int(near.sum())
    assert crossed >= 5
