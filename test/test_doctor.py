# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""`wm doctor` over recordings: faults planted into a drive are found, and nothing else is."""

import json

import numpy as np
import pytest

from bag_maker import Messages
from doctor_drive import drive, ROLES, START_S
from wm_controller.cli.main import run
from wm_controller.doctor.examine import examine
from wm_controller.doctor.expected import Expected, read_expected
from wm_controller.doctor.record import Record

KINDS = {'image': 'sensor_msgs/msg/Image', 'odom': 'nav_msgs/msg/Odometry',
         'scan': 'sensor_msgs/msg/LaserScan', 'cmd_vel': 'geometry_msgs/msg/TwistStamped'}


@pytest.fixture(scope='module')
def healthy():
    return drive(seed=1)


def findings(drive, expected=None, transforms=()):
    record = Record({role: ROLES[role] for role in drive.rows}, live=False)
    record.frames.add(transforms)
    for role, rows in drive.rows.items():
        for receipt, message in rows:
            record.add(role, message, receipt, receipt)
    return {each.check: each for each in examine(record, expected or Expected())}


def fixes(found):
    return {check for check, each in found.items() if each.verdict == 'fix'}


def pixels(message):
    return np.asarray(message.data).reshape(message.height, message.width, 3)


def at(message, seconds):
    message.header.stamp.sec = int(seconds)
    message.header.stamp.nanosec = round(seconds % 1 * 1e9)


def stamp(message):
    return message.header.stamp.sec + message.header.stamp.nanosec * 1e-9


# What is done to a message; numbered, as some depend on which one it is.

def turns_wrong(message, k):
    pose, twist = message.pose.pose, message.twist.twist
    pose.position.y *= -1
    pose.orientation.z *= -1
    twist.angular.z *= -1


def backwards(message, k):
    """Encoders the wrong way round: the way is counted backwards, turns come from a gyroscope."""
    message.pose.pose.position.x *= -1
    message.pose.pose.position.y *= -1
    message.twist.twist.linear.x *= -1


def in_odom_frame(message, k):
    q, twist = message.pose.pose.orientation, message.twist.twist
    yaw = 2 * np.arctan2(q.z, q.w)
    v = twist.linear.x
    twist.linear.x, twist.linear.y = v * np.cos(yaw), v * np.sin(yaw)


def twist_negated(message, k):
    message.twist.twist.angular.z *= -1


def twist_empty(message, k):
    message.twist.twist.linear.x = message.twist.twist.angular.z = 0.0


def half(message, k):
    message.pose.pose.position.x *= 0.5
    message.pose.pose.position.y *= 0.5
    message.twist.twist.linear.x *= 0.5


def jumping(message, k):
    message.pose.pose.position.x += 1.0 * (k % 200 > 100)


def unstamped(message, k):
    at(message, 0)


def ahead(message, k):
    at(message, stamp(message) + 3.0)


def other_clock(message, k):
    at(message, stamp(message) + 1.7e9)


def to_and_fro(message, k):
    at(message, stamp(message) - 0.5 * (k % 2))


def in_map(message, k):
    message.header.frame_id = 'map'


def of_another_base(message, k):
    message.child_frame_id = 'base'


def not_a_number(message, k):
    message.twist.twist.linear.x = np.nan


def seldom(message, k):
    return False if k % 10 else None


def mirrored(message, k):
    message.data = np.ascontiguousarray(pixels(message)[:, ::-1]).reshape(-1)


def upside_down(message, k):
    message.data = np.ascontiguousarray(pixels(message)[::-1, ::-1]).reshape(-1)


def lagging(message, k):
    """A picture that is stamped when it is sent, 0.35 s after it was taken."""
    at(message, stamp(message) + 0.35)
    return stamp(message)


def black(message, k):
    message.data = np.zeros_like(message.data)


def unreadable(message, k):
    message.encoding = '16UC1'


def reversed_beams(message, k):
    message.ranges = np.asarray(message.ranges)[::-1].copy()


def quarter_turned(message, k):
    message.ranges = np.roll(message.ranges, 90)


def looking_back(message, k):
    message.ranges = np.roll(message.ranges, 180)


def masted(message, k):
    message.ranges[330:345] = 0.25


def invalid_beams(message, k):
    message.ranges[:] = np.nan


def opposed(message, k):
    message.twist.angular.z *= -1


def doubled(message, k):
    message.twist.linear.x *= 2.5


PLANTED = [
    ('odom', turns_wrong, 'turn_sign', 'odometry counts turns the wrong way'),
    ('odom', backwards, 'drive_sign', 'odometry counts the way backwards'),
    ('odom', in_odom_frame, 'odom_twist', 'child_frame_id'),
    ('odom', twist_negated, 'odom_twist', 'opposite signs turning'),
    ('odom', twist_empty, 'odom_twist', 'fill twist'),
    ('odom', half, 'odom_scale', 'wheel radius'),
    ('odom', jumping, 'odom_pose', 'poses jump'),
    ('odom', unstamped, 'odom_stamps', 'stamp each message'),
    ('odom', ahead, 'odom_stamps', 'in the future'),
    ('odom', other_clock, 'odom_stamps', 'use_sim_time'),
    ('odom', to_and_fro, 'odom_stamps', 'go back in time'),
    ('odom', in_map, 'odom_frames', "set the parameter odom_frame to 'map'"),
    ('odom', of_another_base, 'odom_frames', "set the parameter base_frame to 'base'"),
    ('odom', not_a_number, 'odom_numbers', 'NaN'),
    ('odom', seldom, 'odom_rate', 'at least 10 Hz'),
    ('image', mirrored, 'turn_sign', 'mirrored or upside down'),
    ('image', upside_down, 'turn_sign', 'mirrored or upside down'),
    ('image', lagging, 'image_lag', 'image are 0.3'),
    ('image', black, 'image_alive', 'lens'),
    ('image', unreadable, 'image_encoding', 'rgb8'),
    ('image', seldom, 'image_rate', 'at least 5 Hz'),
    ('scan', reversed_beams, 'turn_sign', 'upside down or counts its beams clockwise'),
    ('scan', quarter_turned, 'scan_mount', 'rad to the yaw of the laser'),
    ('scan', looking_back, 'drive_sign', 'the laser looks backwards'),
    ('scan', masted, 'scan_body', 'cut these angles off'),
    ('scan', invalid_beams, 'scan_beams', 'NaN'),
    ('cmd_vel', opposed, 'turn_sign', 'exchange or reverse its motors'),
    ('cmd_vel', doubled, 'command_ahead', 'set max_linear_velocity'),
]


WITH_ALL = {'turn_sign', 'drive_sign', 'odom_scale', 'scan_mount', 'odom_twist'}


@pytest.mark.parametrize('role, plant, check, words', PLANTED, ids=lambda value: getattr(
    value, '__name__', None) or (value if value in ROLES else ''))
def test_a_planted_fault_is_found_and_nothing_else(healthy, role, plant, check, words):
    needless = () if check in WITH_ALL else {'image', 'scan'} - {role}  # to be quick
    found = findings(healthy.without(*needless).changed(role, plant))
    assert fixes(found) == {check}, {check: found[check].seen for check in fixes(found)}
    assert words in found[check].advice, found[check].advice


def test_a_frozen_camera_is_found(healthy):
    first = healthy.rows['image'][0][1].data

    def freeze(message, k):
        message.data = first
    found = findings(healthy.changed('image', freeze))
    assert fixes(found) == {'image_alive'} and 'frozen' in found['image_alive'].seen


@pytest.mark.parametrize('seed', [3, 4])
def test_a_healthy_robot_has_nothing_to_fix(seed):
    found = findings(drive(seed))
    assert not {check: each.seen for check, each in found.items()
                if each.verdict in ('fix', 'warn')}
    known = {check for check, each in found.items() if each.verdict == 'ok'}
    assert {'turn_sign', 'drive_sign', 'scan_mount', 'odom_scale', 'odom_twist'} <= known


def test_what_was_not_seen_is_not_judged(healthy):
    """A robot that stands still tells nothing of signs, lags and mounts."""
    still = drive(seed=1, seconds=3.0)
    for role in ('odom', 'image', 'scan'):
        messages = [still.rows[role][0][1]] * len(still.rows[role])
        still.rows[role] = [(receipt, message) for (receipt, _), message in zip(
            still.changed(role, lambda m, k: None).rows[role], messages)]
        still = still.changed(role, lambda m, k, times=still.times(role): at(m, times[k]))
    found = findings(still)
    assert not fixes(found)
    for check in ('image_lag', 'scan_body', 'scan_mount', 'turn_sign', 'drive_sign',
                  'odom_twist', 'command_ahead', 'command_turning'):
        assert found[check].verdict == 'not seen' and found[check].advice, found[check]


def test_where_only_two_can_be_compared_both_are_named(healthy):
    found = findings(healthy.without('scan', 'cmd_vel').changed('image', mirrored))
    assert 'one of the two is wrong' in found['turn_sign'].advice


def of_a_laser(message, k):
    message.header.frame_id = 'laser'


def test_a_laser_is_judged_by_where_the_parameters_put_it(healthy):
    laser = healthy.changed('scan', of_a_laser)
    turned = laser.changed('scan', quarter_turned)
    assert fixes(findings(turned, Expected(scan_yaw=-np.pi / 2))) == set()
    assert fixes(findings(laser, Expected(scan_yaw=-np.pi / 2))) == {'scan_mount'}


def test_a_laser_that_hangs_upside_down_may_do_so_where_tf_says_it(healthy):
    hanging = healthy.changed('scan', of_a_laser).changed('scan', reversed_beams)
    messages = Messages()
    messages.add_static_transform(START_S, 'laser', 0.0, 0.0, 0.0, upside_down=True)
    transforms = messages.rows[0][3].transforms
    found = findings(hanging, transforms=transforms)
    assert not fixes(found) and 'laser' in found['turn_sign'].seen
    assert fixes(findings(healthy.changed('scan', of_a_laser), transforms=transforms)) == {
        'turn_sign'}


# The command

def write(drive, path):
    messages = Messages()
    for role, rows in drive.rows.items():
        for receipt, message in rows:
            messages.add(ROLES[role], KINDS[role], receipt, message)
    return messages.write(path)


def test_a_bag_is_examined_and_its_faults_end_with_1(healthy, tmp_path, capsys):
    bag = write(healthy.without('image').changed('odom', in_map), tmp_path / 'bag')
    assert run(['doctor', str(bag), '--image', '', '--json']) == 1
    out, err = capsys.readouterr()
    rows = {row['check']: row for row in json.loads(out)['findings']}
    assert rows['odom_frames']['verdict'] == 'fix' and rows['turn_sign']['verdict'] == 'ok'
    assert err == 'wm doctor: 1 to fix: odom_frames\n'
    parameters = tmp_path / 'robot.yaml'
    parameters.write_text('/**:\n  ros__parameters:\n    odom_frame: map\n')
    assert run(['doctor', str(bag), '--image', '', '--params-file', str(parameters)]) == 0
    out, err = capsys.readouterr()
    assert 'odom_frames' in out and 'drive_sign' in out and err == ''


def test_wrong_input_is_one_line(tmp_path, capsys):
    broken = tmp_path / 'broken.yaml'
    broken.write_text('/**:\n  ros__parameters:\n    scan_yaw: left\n')
    for arguments, words in ((['no_such_bag'], 'no such file'),
                             (['--params-file', str(broken)], 'scan_yaw'),
                             (['--params-file', 'nowhere.yaml'], 'nowhere.yaml'),
                             (['--model', 'nothing'], 'nothing')):
        assert run(['doctor', *arguments]) == 2, arguments
        out, err = capsys.readouterr()
        assert out == '' and err.count('\n') == 1 and words in err


def test_what_a_model_needs_is_compared_with():
    assert read_expected(None, 'indoor').image_rate_hz == pytest.approx(5.0)
    assert read_expected(None, None).odom_frame == 'odom'
