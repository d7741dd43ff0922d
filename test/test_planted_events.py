# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Planted events: what is planted, and how detections are counted."""

import json
import math

import numpy as np
import pytest

from drives import small_bundle
from wm_controller.cli.main import run as wm
from wm_controller.evaluation.detection import (
    alarm_threshold,
    alarms_per_hour,
    auroc,
    score_events,
    Window,
)
from wm_controller.evaluation.planted_drives import DriveSpec, record_drive
from wm_controller.evaluation.planted_events import CAMERA_EVENTS, HARMLESS_CHANGES
from wm_controller.simulation.rooms import make_room
from wm_controller.simulation.simulator import CameraSpec, RobotSpec, Simulator


def window(event, scores, room=0):
    scores = np.array(scores, float)
    return Window(event, room, 0.1 * np.arange(len(scores)), scores)


def test_auroc_is_the_chance_to_score_higher_with_ties_half():
    assert auroc(np.array([2.0, 3]), np.array([0.0, 1])) == 1.0
    assert auroc(np.array([1.0]), np.array([0.0, 1, 1, 2])) == 0.5
    assert math.isnan(auroc(np.array([]), np.array([1.0])))


def test_the_threshold_lets_at_most_the_stated_share_alarm():
    peaks = np.random.default_rng(0).permutation(1000.0 * np.arange(250))
    for share in (0.0, 0.01, 0.1):
        threshold = alarm_threshold(peaks, share)
        assert (peaks > threshold).sum() == math.floor(share * 250)


def test_detections_count_within_half_a_second_and_delays_to_the_first_alarm():
    windows = [window('light', [0, 0, 0, 0, 0, 0, 9], r) for r in range(5)] + [
        window('quiet', [0] * 7, r) for r in range(5)] + [
        window('slip', [0, 0, 3, 0, 0, 0, 0], 1), window('slip', [0, 0, 0, 0, 0, 0, 3], 2),
        window('slip', [math.nan] * 7, 3)]
    row = score_events(windows, ('slip', 'freeze'), ('light',), 'quiet')['events']['slip']
    assert row['windows'] == 3 and row['detected'] == pytest.approx(1 / 3, abs=1e-3)
    assert row['delay_median_s'] == pytest.approx(0.4) and row['never'] == pytest.approx(0.3333)
    assert row['auroc'] == pytest.approx((1 + 0.5 + 0) / 3, abs=1e-3)
    assert row['detected_ci95'][0] <= row['detected'] <= row['detected_ci95'][1]


def test_alarms_are_counted_where_they_begin_in_ordinary_driving():
    stamps = 0.1 * np.arange(10)
    scores = np.array([0, 1, 1, 0, 1, 0, 0, 0, 1, 1.0])
    ordinary = np.array([True] * 8 + [False] * 2)
    count, hours = alarms_per_hour(stamps, scores, 0.5, ordinary)
    assert count == 2 and hours == pytest.approx(0.8 / 3600)


def test_alterations_do_what_they_are_named_for():
    rng = np.random.default_rng(0)
    before, image = rng.integers(60, 180, (2, 72, 96, 3), dtype=np.uint8)
    altered = {name: make(rng, before)(0.9, image)
               for name, make in {**CAMERA_EVENTS, **HARMLESS_CHANGES}.items()}
    assert (altered['freeze'] == before).all()
    assert (altered['mirror'][:, ::-1] == image).all()
    share = (altered['occlude'] == altered['occlude'][0, 0]).all(-1).mean(), (
        altered['occlude'] == altered['occlude'][-1, -1]).all(-1).mean()
    assert 0.28 < max(share) < 0.82
    for name in HARMLESS_CHANGES:  # a scale of what was there: no edges move
        ratio = altered[name].mean((0, 2)) / image.mean((0, 2))
        assert ratio.min() > 0.3 and ratio.max() < 1.8
    assert all(a.shape == image.shape and a.dtype == np.uint8 for a in altered.values())


def test_a_wheel_that_slips_is_counted_by_odometry_and_does_not_move_the_robot():
    exact = RobotSpec(slip=0.0, slip_noise=0.0, odom_scale=0.0, odom_yaw_walk=0.0)
    simulator = Simulator(make_room(3), CameraSpec(32, 24), exact, seed=1)
    simulator.reset(pose=simulator.room.sample_free_pose(np.random.default_rng(0), 0.8))
    start = simulator.pose
    simulator.set_grip(0.3, 1.0)
    simulator.command(0.3, 0.0)
    simulator.step(1.0)
    assert simulator.odometry.pose[0] > 0.2 and abs(simulator.odometry.pose[2]) < 0.02
    assert math.remainder(simulator.pose[2] - start[2], 2 * math.pi) > 0.3  # round the left wheel
    simulator.close()


@pytest.fixture(scope='module')
def drive():
    drive = record_drive(DriveSpec(900_000_123, seconds=12.0))
    yield drive
    drive.close()


def test_a_drive_branches_only_where_the_robot_moves_and_repeats_with_its_seed(drive):
    branches = list(drive.branches())
    assert {b.event for b in branches} & {'quiet'} and len({b.event for b in branches}) >= 5
    assert all(drive.moving(b.start) for b in branches)
    for b in branches:
        assert len(b.frames) == 10 and b.frames[0].stamp == drive.frames[b.start].stamp
        same = all((f.image == g.image).all() for f, g in zip(
            b.frames, drive.frames[b.start:b.start + 10]))
        assert same == (b.event in ('quiet', 'slip', 'people', 'vanish'))
    again = record_drive(drive.spec)
    assert all((f.image == g.image).all() for f, g in zip(again.frames, drive.frames))
    again.close()


def test_the_command_reports_every_detector_and_refuses_what_it_cannot_do(tmp_path, capsys):
    bundle = small_bundle(tmp_path / 'small.safetensors')
    code = wm(['benchmark', 'surprise', str(bundle), '--rooms', '1', '--seconds', '12', '--json'])
    result = json.loads(capsys.readouterr().out)
    assert code == 0 and not result['calibrated']
    assert set(result['detectors']) == {'surprise', 'one_step_energy', 'pixel_difference',
                                        'random'}
    assert result['detectors']['random']['events']['all']['windows'] > 5
    assert wm(['benchmark', 'surprise', str(bundle), '--camera-rate', '1']) == 2
    assert '5 to 50' in capsys.readouterr().err
