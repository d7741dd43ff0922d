# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The closed loop of the evaluation: its timing, its tasks, its baselines, its command line."""

from dataclasses import replace
import json
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest

from drives import small_bundle
from wm_controller.cli.main import run as wm
from wm_controller.data.dataset import Dataset, DatasetWriter
from wm_controller.data.schema import CLEARANCE_BEARINGS
from wm_controller.errors import InputError
from wm_controller.evaluation.episodes import LoopSettings, run_episode
from wm_controller.evaluation.open_loop import score
from wm_controller.evaluation.recorder import Keep
from wm_controller.evaluation.runner import Job, make_guard, policy_factory
from wm_controller.evaluation.study import run_study, Study
from wm_controller.evaluation.tasks import BANDS, IMAGE_BAND, make_task, next_goal, TaskSpec
from wm_controller.planning.contract import Plan
from wm_controller.safety.geometry import integrate, relative
from wm_controller.simulation.paths import DistanceField
from wm_controller.simulation.rooms import make_room

SPEC = TaskSpec(seed=1, people=0)
FIXED = LoopSettings(fixed_plan_s=0.04)
BLIND = Keep(frame_period_s=None)


def drive(planner, task, settings=FIXED, policy=None):
    make_policy = policy_factory(Job(SPEC, planner), settings) if policy is None else policy
    return run_episode(
        task, make_policy, lambda: make_guard(settings), planner=planner, settings=settings,
        keep=BLIND)  # fmt: skip


class Forward:
    """Drives ahead and notes what it was given."""

    uses_camera = False

    def __init__(self, v=0.3, state='planning'):
        self.v, self.state = v, state
        self.stamps, self.times = [], []

    def reset(self):
        pass

    def set_goal(self, goal):
        self.goal = goal

    def observe(self, observation):
        self.stamps.append(observation.stamp)

    def plan(self, now, deadline_s):
        self.times.append(now)
        return Plan(stamp=self.stamps[-1], v=self.v, state=self.state)


@pytest.fixture(scope='module')
def task():
    return make_task(1, SPEC)


def test_tasks_are_in_their_band_and_reachable():
    for band in ('default', 'near', 'mid', 'far'):
        low, high = BANDS[band]
        found = make_task(0, replace(SPEC, band_m=(low, high)))
        room = make_room(found.room_seed, found.family, people=0)
        assert low <= found.shortest_m <= high
        assert room.distance(np.array([found.goal[:2]]))[0] >= 0.3
        assert DistanceField(room, found.goal[:2]).distance(np.array(found.start[:2])) == (
            pytest.approx(found.shortest_m)
        )


def test_at_least_every_other_pose_goal_is_behind_something():
    tasks = [make_task(index, SPEC) for index in range(10)]
    assert all(task.hidden for task in tasks[::2])


def test_image_goals_are_in_sight_from_the_start():
    for index in range(6):
        found = make_task(index, replace(SPEC, goal_kind='image', band_m=IMAGE_BAND))
        x, y, yaw = found.start
        direction = np.arctan2(found.goal[1] - y, found.goal[0] - x)
        assert not found.hidden and found.shortest_m <= 3.0
        assert abs(np.angle(np.exp(1j * (direction - yaw)))) <= np.radians(35) + 1e-9
        assert abs(np.angle(np.exp(1j * (found.goal[2] - direction)))) <= np.radians(30) + 1e-9


def test_the_same_seed_makes_the_same_tasks_and_another_makes_others():
    assert make_task(3, SPEC) == make_task(3, SPEC)
    assert make_task(3, SPEC).start != make_task(3, replace(SPEC, seed=2)).start


def test_goals_of_a_tour_start_where_the_robot_is(task):
    room = make_room(7, 'evaluation', people=0)
    start = room.sample_free_pose(np.random.default_rng(0))
    found = next_goal(room, np.random.default_rng(1), SPEC, start, 0, 7)
    assert found.start == tuple(start)
    assert 3.0 <= found.shortest_m <= 8.0


def test_a_band_that_no_room_has_is_refused_in_one_line(monkeypatch):
    monkeypatch.setattr('wm_controller.evaluation.tasks.ROOM_TRIES', 2)
    with pytest.raises(InputError, match='nearer --band') as refusal:
        make_task(0, replace(SPEC, band_m=(60.0, 90.0)))
    assert '\n' not in str(refusal.value)


def test_the_oracle_arrives_and_straight_stays_behind_what_is_in_the_way():
    hidden = make_task(0, SPEC)
    ceiling = drive('oracle', hidden)
    assert ceiling.success and ceiling.spl > 0.9 and ceiling.collisions == 0
    floor = drive('straight', hidden)
    assert not floor.success and floor.timed_out
    assert floor.duration_s == pytest.approx(hidden.timeout_s, abs=0.05)


def test_a_drive_is_the_same_when_its_plans_take_the_same_time(task):
    short = replace(task, timeout_s=15.0)
    first, second = drive('random', short), drive('random', short)
    assert np.array_equal(first.trace.pose, second.trace.pose)
    assert first.guard_share == second.guard_share


def test_latency_is_plan_time_and_transport(task):
    short = replace(task, timeout_s=3.0)
    episode = drive('x', short, policy=lambda *_: Forward())
    assert np.allclose(episode.latencies_s, 0.055)
    assert episode.commands == pytest.approx(30, abs=1) and episode.deadline_misses == 0


def test_a_slow_planner_takes_the_newest_frame_and_is_late(task):
    policy = Forward()
    slow = replace(FIXED, fixed_plan_s=0.23)
    episode = drive('x', replace(task, timeout_s=4.0), slow, lambda *_: policy)
    assert episode.deadline_misses == episode.plans
    gaps = np.diff(policy.stamps)
    assert np.all(gaps >= 0.2 - 1e-6)  # frames in between were overwritten, not queued
    # A frame that waited is as old as its wait; the next one is at most a period old.
    assert np.all(np.array(policy.times) - np.array(policy.stamps) <= 0.1 + 1e-6)
    assert max(episode.latencies_s) <= 0.1 + 0.23 + 0.015 + 1e-6


def test_a_planner_slower_than_the_guards_patience_stands_still(task):
    stuck = replace(FIXED, fixed_plan_s=0.6)  # every command is older than auto_timeout_s
    episode = drive('x', replace(task, timeout_s=4.0), stuck, lambda *_: Forward())
    assert episode.distance_m < 0.05


def test_claiming_to_have_arrived_is_not_arriving(task):
    episode = drive('x', task, policy=lambda *_: Forward(v=0.0, state='reached'))
    assert episode.claimed and not episode.reached and not episode.success
    assert episode.outcome == 'wrong place'
    assert episode.duration_s < 3.0


def test_a_bump_spoils_an_arrival():
    # Without the laser and straight into whatever is ahead, from many starts: some bump.
    blind = replace(FIXED, scan=False)
    for index in range(6):
        ahead = replace(make_task(index, SPEC), timeout_s=20.0)
        episode = drive('x', ahead, blind, lambda *_: Forward(v=0.5))
        if episode.collisions:
            assert not episode.success
            assert len(episode.trace.bumps) == episode.collisions
            return
    pytest.fail('nobody bumped: bumps are not counted')


def test_with_the_laser_the_guard_prevents_those_bumps():
    for index in range(3):
        ahead = replace(make_task(index, SPEC), timeout_s=12.0)
        episode = drive('x', ahead, policy=lambda *_: Forward(v=0.5))
        assert episode.collisions == 0
        assert episode.guard_share['obstacle'] > 0.2 and episode.interventions >= 1


def test_a_study_writes_what_the_contract_promises(tmp_path):
    done = []
    study = Study(replace(SPEC, band_m=BANDS['near']), 'oracle', 1, with_oracle=True, floors=True,
                  video=True, out=tmp_path)
    directory, summary = run_study(study, lambda: done.append(1))
    assert {path.name for path in directory.iterdir()} == {
        'summary.json',
        'episodes.csv',
        'report.html',
        'drive.mp4',
    }
    assert len(done) == 3 == study.drives
    assert summary['success_rate'] == 1.0 and summary['baselines'].keys() == {'straight', 'random'}
    assert json.loads((directory / 'summary.json').read_text())['episodes'] == 1


def test_recorded_drives_are_a_data_set_of_what_was_let_through(tmp_path, capsys):
    drives = tmp_path / 'drives.h5'
    assert wm(['evaluate', '--planner', 'oracle', '--episodes', '2', '--workers', '1', '--people',
               '0', '--band', 'near', '--record', str(drives), '--out', str(tmp_path),
               '--json']) == 0
    summary = json.loads(capsys.readouterr().out)
    with Dataset.open(drives) as data:
        assert data.n_episodes == 2 and data.n_steps == summary['recorded_steps'] > 20
        pose, proprio = data.column('pose'), data.column('proprio')
        action, stamp = data.column('action'), data.column('stamp')
        assert len(set(data.column('ep_room'))) == 2
        for episode in range(2):
            rows = data.steps(episode)
            assert np.diff(stamp[rows]) == pytest.approx(0.2, abs=1e-6)
            moved = relative(pose[rows][:-1], pose[rows][1:])
            assert proprio[rows][1:, :3] == pytest.approx(moved, abs=1e-5)
            # What was let through is what the wheels then did, but for their lag.
            driven = moved[:, 0].sum() / 0.2
            assert driven == pytest.approx(action[rows][:-1, 0].sum(), rel=0.15)
        assert np.isfinite(data.column('clearance')).all()
        assert data.pixels[0:2].std() > 5
    assert wm(['evaluate', '--planner', 'oracle', '--episodes', '1', '--record',
               str(tmp_path / 'no' / 'x.h5')]) == 2
    assert 'no such directory' in capsys.readouterr().err


def test_a_model_drives_by_camera_alone_to_an_image(tmp_path, capsys):
    model = small_bundle(tmp_path / 'small.safetensors')
    code = wm(
        [
            'evaluate',
            str(model),
            '--episodes',
            '1',
            '--goal',
            'image',
            '--band',
            'near',
            '--no-scan',
            '--out',
            str(tmp_path / 'runs'),
            '--json',
            '--workers',
            '1',
            '--require',
            '0',
        ]
    )
    summary = json.loads(capsys.readouterr().out)
    assert code == 0
    assert summary['scan'] is False and summary['goal'] == 'image'
    assert len(summary['model_digest']) == 64
    assert summary['latency_ms']['p50'] > 15.0  # processor time of the plan, and transport


@pytest.mark.parametrize(('arguments', 'line'), [
    (['no_such.safetensors'], 'no_such.safetensors'),
    ([], 'needs a model'),
    (['--planner', 'straight', '--band', 'close'], 'near, mid or far'),
    (['--planner', 'straight', '--goal', 'smell'], 'none of pose, image, route'),
    (['x', '--planner', 'hierarchical', '--changed'], 'must be taught'),
    (['x', '--planner', 'flat', '--goal', 'route'], "set planner to 'hierarchical'"),
    (['--planner', 'psychic'], 'unknown'),
    (['--planner', 'clever', 'x'], "planner 'clever' is unknown"),
    (['x', '--without', 'luck'], '--without luck: use ensemble'),
    (['--planner', 'straight', '--without', 'latency'], 'no parts to be left out'),
    (['--planner', 'straight', '--family', 'mine'], 'mine'),
    (['--planner', 'straight', '--episodes', '0'], '--episodes'),
    (['one', 'two'], 'two'),
])  # fmt: skip
def test_wrong_input_is_one_line_and_exit_code_2(arguments, line, capsys, tmp_path):
    code = wm(['evaluate', *arguments, '--out', str(tmp_path), '--workers', '1'])
    printed = capsys.readouterr()
    assert code == 2
    assert printed.err.count('\n') == 1 and line in printed.err and 'Traceback' not in printed.err


@pytest.mark.parametrize('end', [signal.SIGINT, signal.SIGKILL])
def test_ctrl_c_leaves_neither_a_process_nor_an_empty_folder_and_a_kill_no_process(tmp_path, end):
    runs = tmp_path / 'runs'
    process = subprocess.Popen(
        [sys.executable, '-m', 'wm_controller.cli.main', 'evaluate', '--planner', 'random',
         '--episodes', '400', '--workers', '2', '--out', str(runs)],
        stderr=subprocess.PIPE, text=True)  # fmt: skip
    try:
        latest = time.monotonic() + 60
        while len(psutil.Process(process.pid).children(recursive=True)) < 2:
            assert time.monotonic() < latest and process.poll() is None
            time.sleep(0.1)
        workers = psutil.Process(process.pid).children(recursive=True)
        time.sleep(1.0)
        process.send_signal(end)
        if end == signal.SIGKILL:  # workers may hold its output open
            process.wait(5)
        _, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode in (130, -signal.SIGKILL) and 'Traceback' not in err, err
    _, alive = psutil.wait_procs(workers, timeout=5)
    assert not alive
    assert end == signal.SIGKILL or list(runs.iterdir()) == []


def make_recording(path, rate_hz=5.0, episodes=3, odometry=True, ramp=np.nan):
    """Arcs that were driven exactly as commanded, under pictures of noise."""
    rng = np.random.default_rng(0)
    steps = 40
    with DatasetWriter(path, rate_hz=rate_hz, bearings=CLEARANCE_BEARINGS) as writer:
        for _ in range(episodes):
            action = np.column_stack([rng.uniform(0.1, 0.4, steps), rng.uniform(-1, 1, steps)])
            pose = np.zeros((steps, 3))
            for t in range(steps - 1):
                pose[t + 1] = integrate(pose[t], *action[t], 1 / rate_hz)
            proprio = np.full((steps, 5), np.nan)
            writer.append_episode(
                pixels=rng.integers(0, 255, (steps, 72, 96, 3), dtype=np.uint8),
                action=action.astype(np.float32),
                proprio=proprio.astype(np.float32),
                pose=pose if odometry else np.full((steps, 3), np.nan),
                stamp=np.arange(steps) / rate_hz,
                clearance=np.tile(1.0 + ramp * np.arange(steps)[:, None], (
                    1, len(CLEARANCE_BEARINGS))).astype(np.float32),
            )
    return path


def test_open_loop_stands_beside_floors_that_are_right(tmp_path):
    model = small_bundle(tmp_path / 'small.safetensors')
    result = score(model, make_recording(tmp_path / 'data.h5'), lambda *_, **__: None)
    paths = result['trajectory']
    assert paths['commands at their word']['ate_m'] < 1e-4  # it was driven so
    assert paths['no change']['ate_m'] > paths['always forward']['ate_m'] > 0.02
    assert set(result['persistence_ratio']) == {'1', '2', '4', '8'}
    # Of pictures of noise the average is the best guess, at half the error of no change.
    assert all(value == pytest.approx(0.5, abs=0.1) for value in result['mean_ratio'].values())
    assert result['horizon_s'] == pytest.approx(2.0) and not result['held_out_only']


def test_open_loop_without_odometry_scores_what_is_seen(tmp_path, capsys):
    model = small_bundle(tmp_path / 'small.safetensors')
    data = make_recording(tmp_path / 'data.h5', odometry=False)
    assert wm(['evaluate', str(model), '--open-loop', str(data), '--json']) == 0
    result = json.loads(capsys.readouterr().out)
    assert result['trajectory'] == {} and result['windows'] > 30


def test_open_loop_scores_clearance_beside_no_change(tmp_path, capsys):
    model = small_bundle(tmp_path / 'small.safetensors')
    data = make_recording(tmp_path / 'data.h5', ramp=0.05)
    assert wm(['evaluate', str(model), '--open-loop', str(data), '--seen', '3', '--json']) == 0
    result = json.loads(capsys.readouterr().out)
    assert result['seen_frames'] == 3
    for steps, row in result['clearance'].items():
        assert row['no_change_m'] == pytest.approx(0.05 * int(steps), abs=1e-4)
        low, high = row['ratio_ci95']
        assert low <= row['ratio'] == pytest.approx(row['error_m'] / row['no_change_m'], rel=0.01)
        assert row['ratio'] <= high
    without = make_recording(tmp_path / 'blind.h5')
    assert score(model, without, lambda *_, **__: None)['clearance'] == {}
    assert wm(['evaluate', str(model), '--open-loop', str(data), '--seen', '0']) == 2


def test_open_loop_refuses_another_step_period(tmp_path, capsys):
    model = small_bundle(tmp_path / 'small.safetensors')
    data = make_recording(tmp_path / 'data.h5', rate_hz=4.0)
    assert wm(['evaluate', str(model), '--open-loop', str(data)]) == 2
    line = capsys.readouterr().err
    assert '0.25 s' in line and '0.2 s' in line and line.count('\n') == 1


def test_too_little_success_is_exit_code_1(capsys, tmp_path):
    code = wm(
        [
            'evaluate',
            '--planner',
            'random',
            '--episodes',
            '1',
            '--seed',
            '1',
            '--band',
            'near',
            '--people',
            '0',
            '--out',
            str(tmp_path),
            '--workers',
            '1',
            '--require',
            '1.0',
        ]
    )
    assert code == 1
    assert 'below the 100' in capsys.readouterr().err
