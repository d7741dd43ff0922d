# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Recordings of real robots: one small in the repository, the others beside it where they are."""

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from bag_maker import Messages
from wm_controller.cli.main import run
from wm_controller.data import schema
from wm_controller.data.bags import Bag
from wm_controller.data.dataset import Dataset
from wm_controller.data.static_frames import StaticFrames, yaw_of
from wm_controller.data.tracks import clearance, make_odometry
from wm_controller.data.windows import Windows
from wm_controller.safety.geometry import relative, wrap_angle

FIXTURE = Path(__file__).parent / 'fixtures' / 'openbot'
RECORDINGS = Path(__file__).parents[2] / 'shared' / 'recordings'


def recording(name):
    path = RECORDINGS / name
    if not path.exists():
        pytest.skip(f'the recording {path} is not on this machine')
    return path


@pytest.fixture
def wm(tmp_path, capsys):
    def ingest(bag, *arguments, code=0):
        path = tmp_path / 'out.h5'
        found = run(['ingest', str(bag), '-o', str(path), '--json', *map(str, arguments)])
        out, err = capsys.readouterr()
        assert found == code, err
        if code:
            assert err.count('\n') == 1 and not out and not path.exists()
            return err
        return json.loads(out)['bags'][0], Dataset.open(path)
    return ingest


def openbot_frames():
    """(time s, JPEG file) of each frame."""
    with (FIXTURE / 'rgbFrames.txt').open() as file:
        return [(int(r['timestamp[ns]']) * 1e-9, FIXTURE / 'images' / f'{r["frame"]}.jpeg')
                for r in csv.DictReader(file)]


def openbot_bag(path, plugin):
    """Wheel commands become (v, w) of a differential drive in wheel units."""
    with (FIXTURE / 'ctrlLog.txt').open() as file:
        controls = [(int(r['timestamp[ns]']) * 1e-9, float(r['leftCtrl']), float(r['rightCtrl']))
                    for r in csv.DictReader(file)]
    messages = Messages()
    for time, left, right in controls:
        messages.add_command(time, 0.5 * (left + right), right - left, stamped=True)
    for time, image in openbot_frames():
        jpeg = image.read_bytes()
        messages.add('/camera/image_raw/compressed', 'sensor_msgs/msg/CompressedImage', time,
                     messages.make('sensor_msgs/msg/CompressedImage',
                                   header=messages.header(time, 'camera'), format='jpeg',
                                   data=np.frombuffer(jpeg, np.uint8)))
    return messages.write(path, plugin)


@pytest.mark.parametrize('plugin', ['mcap', 'sqlite3'])
def test_a_real_differential_drive_robot_is_ingested(tmp_path, wm, plugin):
    bag, data = wm(openbot_bag(tmp_path / 'bag', plugin))
    assert bag['frames'] == 230 and 13.0 < bag['camera_hz'] < 16.0
    assert bag['aligned_by'] == {'image': 'header', 'command': 'header'}
    assert data.n_steps > 60 and data.image_size == (96, 72)
    assert np.isnan(data.proprio).all()
    # 256x96 is wider than 4:3: its sides are cut off, nothing is stretched.
    frames = openbot_frames()
    for row in (0, 30, data.n_steps - 1):
        time, file = min(frames, key=lambda frame: abs(frame[0] - data.stamp[row]))
        assert time == pytest.approx(data.stamp[row], abs=1e-5)
        whole = cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB)
        middle = cv2.resize(whole[:, 64:192], (96, 72), interpolation=cv2.INTER_AREA)
        assert np.array_equal(data.pixels[row], middle)


def test_office_car_is_what_its_readme_says(wm):
    bag, data = wm(recording('office_car'))
    assert bag['frames'] == 14135
    assert bag['dropped']['repeated frames'] == 212
    assert data.n_episodes == 6 and bag['ended_by']['gap'] == 5
    assert 0.15 <= bag['lag']['lag_s'] <= 0.25 and bag['lag']['correlation'] > 0.75
    assert bag['lag']['aligned']
    assert data.n_steps > 3500
    assert np.abs(data.action).max() <= 1.0  # servo units, as they are
    assert not any('unreadable' in what for what in bag['dropped'])
    training, held_out = Windows([data], 16).split(0.15, seed=0)
    assert set(training.episode).isdisjoint(held_out.episode) and len(held_out) > 100


def test_lab_car_is_cut_at_its_many_gaps(wm):
    bag, data = wm(recording('lab_car_imu'))
    assert bag['ended_by']['gap'] == 36 and bag['dropped']['short episodes'] > 10
    assert 0.15 <= bag['lag']['lag_s'] <= 0.25 and bag['lag']['convincing']
    assert (data.action[:, 0] < -0.02).mean() == pytest.approx(0.09, abs=0.08)
    for episode in range(data.n_episodes):
        assert np.diff(data.stamp[data.steps(episode)]).max() < 0.35


def test_a_bag_older_than_type_definitions_is_read_and_aligned_by_stamp():
    """TurtleBot 4: the yaw of its poses agrees with its twist by stamp, and not by receipt."""
    rows = []
    with Bag(recording('turtlebot4_corridor')) as bag:
        assert bag.topics['/odom'] == 'nav_msgs/msg/Odometry'
        for _, message in bag.messages(['/odom']):
            q = message.content.pose.pose.orientation
            position = message.content.pose.pose.position
            twist = message.content.twist.twist
            rows.append([message.stamp_s, message.receipt_s, position.x, position.y,
                         yaw_of(q.x, q.y, q.z, q.w), twist.linear.x, twist.angular.z])
    table = np.array(rows)
    assert len(table) == 920

    def agreement(time):
        order = np.argsort(time, kind='stable')
        dt = np.diff(time[order])
        usable = dt > 1e-4
        rate = wrap_angle(np.diff(table[order, 4]))[usable] / dt[usable]
        return np.corrcoef(rate, table[order, 6][1:][usable])[0, 1]

    assert agreement(table[:, 0]) > 0.95 > 0.5 > agreement(table[:, 1])
    odometry = make_odometry(table[:, 0], table[:, 2:5], table[:, 5:])
    assert odometry is not None and odometry.jumps.size == 0
    start = odometry.stamp[0] + 0.2 * np.arange(1, 200)
    driven = relative(odometry.pose_at(start), odometry.pose_at(start + 0.2)) / 0.2
    mean = odometry.mean_twist(start, start + 0.2)
    known = np.isfinite(mean).all(axis=1)
    assert known.mean() > 0.8
    assert np.corrcoef(driven[known, 2], mean[known, 1])[0, 1] > 0.98
    assert 0.2 < np.abs(mean[known, 0]).max() < 0.35  # 0.5 m/s was commanded


def test_the_laser_of_a_real_robot_is_placed_by_its_transforms():
    """The lidar of the TurtleBot 4 is turned by 90 degrees: its tf says so, and it matters."""
    frames = StaticFrames()
    with Bag(recording('turtlebot4_corridor')) as bag:
        for _, message in bag.messages(['/tf_static']):
            frames.add(message.content.transforms)
        scans = [message.content for _, message in bag.messages(['/scan'])]
    assert len(scans) == 357
    mount = frames.to_base(scans[0].header.frame_id)
    assert mount is not None
    assert abs(np.arctan2(mount[1, 0], mount[0, 0])) == pytest.approx(np.pi / 2, abs=0.02)
    found = np.array([clearance(s.ranges, s.angle_min, s.angle_increment, s.range_min,
                                s.range_max, mount, schema.CLEARANCE_BEARINGS) for s in scans])
    assert np.isfinite(found).mean() > 0.9 and np.nanmin(found) > 0.0
    assert np.nanmax(found) <= schema.CLEARANCE_MAX
    # Along a corridor it is freer ahead than to the sides.
    assert np.nanmedian(found[:, 7]) > np.nanmedian(found[:, [0, 14]])


def test_a_robot_without_camera_is_refused(wm):
    line = wm(recording('turtlebot4_corridor'), code=2)
    assert 'no image topic' in line and '/scan (LaserScan)' in line


def test_the_quadruped_without_camera_is_refused_with_what_is_missing(wm):
    line = wm(recording('broken/quadruped_no_camera'), code=2)
    assert 'no image topic' in line and '/imu/data (Imu)' in line and 'bag3.db3' in line


def test_the_split_bag_with_missing_parts_is_refused_with_their_names(wm):
    line = wm(recording('broken/split_bag_missing_parts'), code=2)
    assert '12 of 13 parts of the bag are missing' in line
    assert 'soccer_goal_0.mcap' in line and 'soccer_goal_11.mcap' in line


def test_the_part_that_is_left_is_refused_for_what_it_lacks(wm):
    part = recording('broken/split_bag_missing_parts') / 'soccer_goal_12.mcap'
    assert 'neither odometry nor a command' in wm(part, code=2)
