# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""`wm ingest` through its command line, on bags of every kind whose truth is known."""

import hashlib
import json
import shutil

import numpy as np
import pytest

from bag_maker import Drive, drive_bag, Messages, STORE1
from wm_controller.cli.main import run
from wm_controller.data.resample import cut
from wm_controller.data.static_frames import planar
from wm_controller.data.tracks import clearance, make_commands


def digest_of(wm, bag):
    return wm(bag)[1].digest


# Every kind of bag

def test_every_kind_of_bag_gives_the_same_data_set(tmp_path, wm):
    expected = digest_of(wm, drive_bag(tmp_path / 'mcap', plugin='mcap'))
    db3 = drive_bag(tmp_path / 'db3', plugin='sqlite3')
    packed = drive_bag(tmp_path / 'packed', plugin='sqlite3', compression='file')
    bags = [
        db3, packed, db3 / 'db3.db3', tmp_path / 'mcap' / 'mcap.mcap',
        packed / next(packed.glob('*.zstd')).name,
        drive_bag(tmp_path / 'messages', compression='message'),
        drive_bag(tmp_path / 'storage', compression='storage'),
        drive_bag(tmp_path / 'one.bag', store=STORE1)]
    for bag in bags:
        assert digest_of(wm, bag) == expected, bag


def test_a_part_with_packed_messages_is_read_without_its_metadata(tmp_path, wm):
    bag = drive_bag(tmp_path / 'messages', compression='message')
    assert digest_of(wm, bag / 'messages.mcap') == digest_of(wm, bag)


def test_a_folder_whose_recorder_was_killed_is_read_and_said(tmp_path, wm):
    bag = drive_bag(tmp_path / 'bag', plugin='sqlite3')
    expected = digest_of(wm, bag)
    (bag / 'metadata.yaml').unlink()
    report, data = wm(bag)
    assert data.digest == expected
    assert any('no metadata.yaml' in note for note in report['bags'][0]['notes'])


def test_several_bags_become_one_file_that_names_them(tmp_path, wm):
    bags = [drive_bag(tmp_path / 'a', Drive(seed=1)), drive_bag(tmp_path / 'b', Drive(seed=2))]
    report, data = wm(*bags)
    assert (data.n_episodes, data.column('ep_source').tolist()) == (2, [0, 1])
    sources = json.loads(data.attributes['sources'])
    for bag, source in zip(bags, sources):
        content = (bag / f'{bag.name}.mcap').read_bytes()
        assert source == {'path': str(bag), 'sha256': hashlib.sha256(content).hexdigest()}
    assert data.attributes['command'] and report['digest'] == data.computed_digest()


# What the columns hold

def test_the_rows_are_what_the_robot_saw_and_did(tmp_path, wm):
    drive = Drive()
    _, data = wm(drive_bag(tmp_path / 'bag', drive), '--no-align-lag')
    start, stop = data.stamp, np.append(data.stamp[1:], data.stamp[-1] + 0.2)
    assert np.allclose(np.diff(data.stamp), 0.2, atol=1e-6)
    # What was executed, not the 0.5 m/s that were commanded.
    assert np.allclose(data.action[:, 0], drive.speed, atol=1e-5)
    assert np.allclose(data.action[:, 1], (drive.yaw(stop) - drive.yaw(start)) / 0.2, atol=0.01)
    assert np.allclose(data.column('command')[:, 0], 0.5, atol=1e-6)
    assert np.allclose(data.pose, drive.pose(start), atol=5e-3)
    assert np.allclose(data.proprio[:, 2], drive.yaw(start) - drive.yaw(start - 0.2), atol=5e-3)
    assert np.allclose(np.hypot(*data.proprio[:, :2].T), drive.speed * 0.2, atol=2e-3)
    assert np.allclose(data.proprio[:, 4], drive.yaw_rate(start), atol=5e-3)
    assert np.isnan(data.clearance).all()
    for row in (0, 30, data.n_steps - 1):
        assert np.array_equal(data.pixels[row], drive.image(data.stamp[row]))


def test_messages_are_aligned_by_stamp_however_late_they_arrive(tmp_path, wm):
    rng = np.random.default_rng(5)
    late = drive_bag(tmp_path / 'late', receipt_delay=lambda n: rng.uniform(0.0, 0.6, n))
    prompt = drive_bag(tmp_path / 'prompt')
    (late_report, late_data), (_, data) = (
        wm(late, '--no-align-lag', output='late.h5'), wm(prompt, '--no-align-lag'))
    assert any('sorted by stamp' in note for note in late_report['bags'][0]['notes'])
    for name in ('pixels', 'stamp', 'action', 'proprio', 'pose'):
        assert np.array_equal(late_data.column(name), data.column(name)), name


def test_without_odometry_the_command_is_the_action_and_the_rest_is_nan(tmp_path, wm):
    drive = Drive()
    report, data = wm(drive_bag(tmp_path / 'bag', drive, odometry=False), '--no-align-lag')
    bag = report['bags'][0]
    assert (bag['action_source'], bag['aligned_by']['command']) == ('command', 'receipt')
    stop = np.append(data.stamp[1:], data.stamp[-1] + 0.2)
    turned = (drive.yaw(stop) - drive.yaw(data.stamp)) / 0.2
    assert np.allclose(data.action, np.stack([np.full(turned.size, 0.5), turned], 1), atol=0.02)
    assert np.isnan(data.proprio).all() and np.isnan(data.pose).all()


def test_servo_commands_are_scaled_on_request(tmp_path, wm):
    bag = drive_bag(tmp_path / 'bag', odometry=False)
    # A negative factor turns the sign of the lag's correlation, so neither may be shifted by it.
    plain = wm(bag, '--no-align-lag', output='c.h5')[1]
    scaled = wm(bag, '--no-align-lag', '--action-scale', 2.0, -0.5, output='d.h5')[1]
    assert np.allclose(scaled.action, plain.action * [2.0, -0.5], atol=1e-6)


def test_simulated_time_brings_unstamped_commands_into_the_clock_of_the_stamps(tmp_path, wm):
    """Receipt in wall time, headers from /clock: the Twists would lie years off the images."""
    drive, messages = Drive(start_s=3.0), Messages()
    for time in drive.frame_times():
        messages.add_image(time, drive.image(time), receipt=1.7e9 + time)
        messages.add_command(1.7e9 + time, 0.5, drive.yaw_rate(time))
    report, data = wm(messages.write(tmp_path / 'bag'), '--no-align-lag')
    assert np.allclose(data.action[:-1, 1], drive.yaw_rate(data.stamp[:-1] + 0.075), atol=0.05)
    assert any('differs from the image stamps' in note for note in report['bags'][0]['notes'])


def test_odometry_without_twist_is_derived_from_its_poses(tmp_path, wm):
    drive, messages = Drive(), Messages()
    for time in drive.frame_times():
        messages.add_image(time, drive.image(time))
    for time, pose in zip(drive.frame_times(), drive.pose(drive.frame_times())):
        messages.add_odometry(time, pose, 0.0, 0.0)
    report, data = wm(messages.write(tmp_path / 'bag'), '--no-align-lag')
    assert np.allclose(data.action[:, 0], drive.speed, atol=0.02)
    assert np.allclose(data.action[5:-5, 1], drive.yaw_rate(data.stamp[5:-5] + 0.1), atol=0.05)
    assert any('no twist' in note for note in report['bags'][0]['notes'])


def test_a_scan_becomes_clearance_in_the_bearings_of_the_camera(tmp_path, wm):
    """A laser turned by 90 degrees, 0.1 m ahead, sees a post 2 m straight ahead of the robot."""
    drive, messages = Drive(), Messages()
    angle = -np.pi + 2 * np.pi / 360 * np.arange(360)
    ranges = np.where(np.abs(angle + np.pi / 2) < 0.02, 1.9, np.inf)
    messages.add_static_transform(drive.start_s - 1, 'laser', 0.1, 0.0, np.pi / 2)
    for time in drive.frame_times():
        messages.add_image(time, drive.image(time))
        messages.add_command(time, 0.5, drive.yaw_rate(time))
        messages.add_scan(time, ranges)
    bag = messages.write(tmp_path / 'bag')
    report, data = wm(bag)
    ahead = data.clearance[:, 7]
    assert np.allclose(ahead, 2.0, atol=0.02)
    assert np.allclose(np.delete(data.clearance, 7, axis=1), 5.0, atol=1e-4)
    assert report['bags'][0]['scan_mount']['x_m'] == pytest.approx(0.1)
    _, moved = wm(bag, '--scan-offset', 0.3, 0.0, np.pi / 2, output='moved.h5')
    assert np.allclose(moved.clearance[:, 7], 2.2, atol=0.02)
    _, without = wm(bag, '--scan-topic', '', output='without.h5')
    assert np.isnan(without.clearance).all()


def test_invalid_beams_say_nothing_and_missing_returns_say_free():
    bearings = np.deg2rad([30.0, 0.0, -30.0])
    ranges = np.full(360, np.inf)
    ranges[205:216] = np.nan  # left
    ranges[:206] = np.where(np.arange(206) < 165, 0.0, ranges[:206])
    found = clearance(ranges, -np.pi, np.deg2rad(1.0), 0.1, 10.0, planar(0, 0, 0), bearings)
    assert np.allclose(found, 5.0) and not np.isnan(found).any()
    ranges[:] = np.nan
    found = clearance(ranges, -np.pi, np.deg2rad(1.0), 0.1, 10.0, planar(0, 0, 0), bearings)
    assert np.isnan(found).all()


def test_a_command_is_held_until_the_next_and_ends_with_its_time_out():
    held = make_commands(np.array([0.0, 1.0]), np.array([[1.0, 0.0], [3.0, 0.0]]), None)
    assert held.mean([0.5, 5.0], [1.5, 6.0])[:, 0].tolist() == [2.0, 3.0]
    assert np.isnan(held.mean([-0.5], [0.5])).all()
    timed = make_commands(np.array([0.0, 1.0]), np.array([[1.0, 0.0], [3.0, 0.0]]), 0.5)
    assert timed.mean([0.25, 1.0, 5.0], [0.75, 2.0, 6.0])[:, 0].tolist() == [0.5, 1.5, 0.0]


# Gaps, jumps, repeats

def test_a_pause_of_the_recorder_ends_the_episode(tmp_path, wm):
    pause = lambda t: (t < 1005.0) | (t > 1005.4)  # noqa: E731
    report, data = wm(drive_bag(tmp_path / 'bag', keep=pause))
    assert data.n_episodes == 2
    assert report['bags'][0]['ended_by'] == {'gap': 1, 'end of recording': 1}
    assert data.stamp[data.steps(0)][-1] < 1005.0 < 1005.4 < data.stamp[data.steps(1)][0]


def test_single_lost_frames_do_not_end_an_episode(tmp_path, wm):
    lost = lambda t: np.arange(t.size) % 7 != 3  # noqa: E731
    report, data = wm(drive_bag(tmp_path / 'bag', keep=lost))
    assert data.n_episodes == 1 and report['bags'][0]['gap_limit_s'] == pytest.approx(0.15)


def test_repeated_frames_are_dropped_counted_and_never_stored(tmp_path, wm):
    drive, messages = Drive(), Messages()
    for i, time in enumerate(drive.frame_times()):
        shown = drive.frame_times()[i - 1] if i % 10 == 4 else time
        messages.add_image(time, drive.image(shown))
        messages.add_command(time, 0.5, drive.yaw_rate(time))
    report, data = wm(messages.write(tmp_path / 'bag'))
    assert report['bags'][0]['dropped']['repeated frames'] == 24
    assert data.n_episodes == 1
    for row in range(data.n_steps):
        assert np.array_equal(data.pixels[row], drive.image(data.stamp[row]))


def test_a_camera_that_hangs_ends_the_episode(tmp_path, wm):
    drive, messages = Drive(), Messages()
    for time in drive.frame_times():
        messages.add_image(time, drive.image(1005.0 if 1005.0 <= time < 1007.0 else time))
        messages.add_command(time, 0.5, drive.yaw_rate(time))
    report, data = wm(messages.write(tmp_path / 'bag'))
    assert report['bags'][0]['ended_by']['no fresh frame'] == 1 and data.n_episodes == 2
    assert report['bags'][0]['dropped']['repeated frames'] == 39


def test_a_jump_of_the_odometry_ends_the_episode(tmp_path, wm):
    drive, messages = Drive(), Messages()
    times = drive.frame_times()
    for time, pose in zip(times, drive.pose(times)):
        messages.add_image(time, drive.image(time))
        moved = pose + [3.0, -1.0, 0.0] if time >= 1006.0 else pose
        messages.add_odometry(time, moved, drive.speed, drive.yaw_rate(time))
    report, data = wm(messages.write(tmp_path / 'bag'), '--no-align-lag')
    assert report['bags'][0]['ended_by']['jump of the odometry'] == 1 and data.n_episodes == 2
    assert np.hypot(*data.proprio[:, :2].T).max() < 0.2  # the jump is in no row


def test_a_clock_that_was_set_back_ends_the_episode(tmp_path, wm):
    drive, messages = Drive(), Messages()
    for time in drive.frame_times():
        stamp = time - 4.0 if time >= 1006.0 else time
        messages.add_image(stamp, drive.image(time), receipt=time)
        messages.add_command(stamp, 0.5, drive.yaw_rate(time), stamped=True, receipt=time)
    report, data = wm(messages.write(tmp_path / 'bag'), '--no-align-lag')
    assert report['bags'][0]['ended_by']['clock set back'] == 1 and data.n_episodes == 2
    second = data.steps(1)
    assert np.allclose(data.action[second][:-1, 1],
                       drive.yaw_rate(data.stamp[second][:-1] + 4.075), atol=0.05)


def test_short_episodes_are_dropped_and_counted(tmp_path, wm):
    pause = lambda t: (t < 1001.5) | (t > 1002.0)  # noqa: E731
    report, data = wm(drive_bag(tmp_path / 'bag', keep=pause), '--no-align-lag')
    assert data.n_episodes == 1
    assert report['bags'][0]['dropped']['short episodes'] == 1
    assert report['bags'][0]['dropped']['steps in short episodes'] == 8


@pytest.mark.parametrize('camera_hz, rate', [(14.0, 5.0), (30.0, 4.0), (10.0, 10.0), (7.3, 2.0)])
def test_steps_keep_their_period_whatever_the_camera_does(camera_hz, rate):
    stamp = np.arange(0, 60, 1 / camera_hz)
    stamp = stamp + np.random.default_rng(0).uniform(-0.005, 0.005, stamp.size)
    pieces = cut(stamp, np.ones(stamp.size, bool), np.empty(0), 1 / rate, 1.0)
    assert len(pieces.episodes) == 1
    taken = stamp[pieces.episodes[0]]
    assert taken.size == pytest.approx(60 * rate, abs=2)
    ideal = taken[0] + np.arange(taken.size) / rate
    assert np.abs(taken - ideal).max() <= 0.5 / camera_hz + 0.01  # no drift


# The lag of the picture

@pytest.mark.parametrize('lag_s', [0.0, 0.16, 0.4])
@pytest.mark.parametrize('odometry', [True, False])
def test_the_lag_of_the_camera_is_found_and_taken_out(tmp_path, wm, lag_s, odometry):
    drive = Drive(camera_lag_s=lag_s)
    report, data = wm(drive_bag(tmp_path / 'bag', drive, odometry=odometry))
    lag = report['bags'][0]['lag']
    assert lag['lag_s'] == pytest.approx(lag_s, abs=0.03)
    assert lag['aligned'] and lag['correlation'] > 0.9
    assert lag['against'] == ('odometry' if odometry else 'command')
    shown = data.stamp - lag_s  # the moment that the picture shows
    assert np.allclose(data.action[:-1, 1], (drive.yaw(shown[1:]) - drive.yaw(shown[:-1])) / 0.2,
                       atol=0.06)


def test_the_lag_is_reported_but_not_used_where_that_is_asked(tmp_path, wm):
    report, data = wm(drive_bag(tmp_path / 'bag', Drive(camera_lag_s=0.3)), '--no-align-lag')
    lag = report['bags'][0]['lag']
    assert lag['lag_s'] == pytest.approx(0.3, abs=0.03) and not lag['aligned']
    assert np.allclose(data.pose, Drive().pose(data.stamp), atol=5e-3)


def test_a_picture_that_does_not_follow_the_commands_is_not_aligned(tmp_path, wm):
    drive, messages = Drive(), Messages()
    rng = np.random.default_rng(1)
    for time in drive.frame_times():
        messages.add_image(time, drive.image(time))
        messages.add_command(time, 0.5, rng.normal())
    report, _ = wm(messages.write(tmp_path / 'bag'))
    lag = report['bags'][0]['lag']
    assert not lag['convincing'] and not lag['aligned'] and 'correlation' in lag['reason']


# Topics

def test_two_cameras_are_not_guessed_between(tmp_path, wm, refusal):
    drive, messages = Drive(duration_s=4.0), Messages()
    for time in drive.frame_times():
        for topic in ('/left/image_raw', '/right/image_raw', '/right/depth/image_raw'):
            messages.add_image(time, drive.image(time), topic=topic)
        messages.add_compressed(time, drive.image(time), topic='/right/image_raw/compressed')
        messages.add_command(time, 0.5, 0.1)
    bag = messages.write(tmp_path / 'bag')
    line = refusal(bag)
    assert '/left/image_raw, /right/image_raw;' in line and '--image-topic' in line
    report, _ = wm(bag, '--image-topic', '/right/image_raw/compressed')
    assert report['bags'][0]['topics']['image'] == '/right/image_raw/compressed'


def test_without_json_it_prints_a_table_of_what_was_dropped(tmp_path, capsys):
    bag = drive_bag(tmp_path / 'bag', keep=lambda t: (t < 1005.0) | (t > 1006.0))
    assert run(['ingest', str(bag), '-o', str(tmp_path / 'a.h5')]) == 0
    out = capsys.readouterr().out
    for text in ('2 episodes', 'dropped: frames between', 'ended by: gap', '/odom', 'digest'):
        assert text in out, text
    shutil.rmtree(bag)
