# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E402
"""`wm doctor` on running graphs, over real DDS."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

pytest.importorskip('rclpy')

from geometry_msgs.msg import Twist, TwistStamped
from nav_msgs.msg import Odometry
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image, LaserScan

from wm_controller.evaluation.doctor_table import (
    as_markdown,
    BEGIN,
    END,
    HEALTHY,
    PLANTS,
    with_table,
)
from wm_controller.nodes import qos
from wm_controller.nodes.conversions import to_odometry, to_scan, to_stamp
from wm_controller.nodes.doctor import clock_at
from wm_controller.nodes.fault_injector import ALL
from wm_controller.nodes.miswired import MISWIRED


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, '-m', 'wm_controller.cli.main', 'doctor', '--json', *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(doctor, timeout_s=60.0):
    out, err = doctor.communicate(timeout=timeout_s)
    rows = json.loads(out)['findings'] if out else []
    return doctor.returncode, {row['check']: row for row in rows}, err


def test_what_does_not_meet_is_named(probe):
    """Two sources of odometry, a silent camera, a base that hears nobody, a deaf listener."""
    node = probe.node
    odometry = [node.create_publisher(Odometry, 'odom', qos.STATE) for _ in range(2)]
    node.create_publisher(Image, 'image', qos.IMAGE)
    scan = node.create_publisher(LaserScan, 'scan', qos.SENSOR)
    node.create_subscription(LaserScan, 'scan', lambda m: None, QoSProfile(depth=1))
    command = node.create_publisher(TwistStamped, 'cmd_vel', qos.COMMAND)
    node.create_subscription(Twist, 'base/cmd_vel', lambda m: None, qos.COMMAND)
    doctor = start('--seconds', '3', '--cmd-vel', 'base/cmd_vel')
    while doctor.poll() is None:
        now = time.time()
        for publisher in odometry:
            publisher.publish(to_odometry(now, np.zeros(3), np.zeros(2), 'odom', 'base_link'))
        scan.publish(to_scan(now, 'base_link', -3.14, 0.02, 0.1, 8.0, np.full(314, 2.0)))
        message = TwistStamped()
        message.header.stamp = to_stamp(now)
        command.publish(message)
        probe.spin(0.05)
    code, found, err = ended(doctor)
    assert code == 1 and err.startswith('wm doctor: ') and err.count('\n') == 1
    fixes = {check for check, row in found.items() if row['verdict'] == 'fix'}
    assert fixes >= {'odom_topic', 'image_topic', 'qos'}
    assert '2 publish' in found['odom_topic']['seen']
    assert 'nothing comes' in found['image_topic']['seen']
    assert '/scan' in found['qos']['seen'] and '/probe' in found['qos']['seen']
    assert found['cmd_vel_topic']['verdict'] == 'not seen'
    assert 'enable_stamped_cmd_vel: false' in found['base_listens']['advice']


def test_an_empty_graph_and_a_drive_without_guardrail_are_refused(probe):
    empty = start('--seconds', '1')
    assert ended(empty)[0::2] == (2, empty_line(os.environ['ROS_DOMAIN_ID']))
    odometry = probe.node.create_publisher(Odometry, 'odom', qos.STATE)
    heard = probe.listen(TwistStamped, 'cmd_vel_teleop')
    refused = start('--seconds', '1', '--drive', '--yes')
    while refused.poll() is None:
        odometry.publish(to_odometry(time.time(), np.zeros(3), np.zeros(2), 'odom', 'base_link'))
        probe.spin(0.05)
    code, found, err = ended(refused)
    assert code == 2 and not found and 'start guardrail_node' in err and not heard


def empty_line(domain):
    return ('wm doctor: no camera, odometry, laser or command on the graph (ROS_DOMAIN_ID is '
            f'{domain}): start the robot, or look at domain and network\n')


def test_a_healthy_robot_that_it_drives_itself_has_nothing_to_fix(spawn_node, probe):
    """Simulated base, camera and laser, our guardrail, and the doctor at the dead-man."""
    from wm_controller.evaluation.doctor_table import FREE_M
    from wm_controller.simulation.rooms import make_room
    place = make_room(1, 'evaluation', people=0).sample_free_pose(np.random.default_rng(1), FREE_M)
    spawn_node('wm_controller.nodes.simulator', '--ros-args', '-p', 'room_seed:=1', '-p',
               'people:=0', '-p', f'start_pose:={[float(v) for v in place]}', '-p',
               'image_width:=160', '-p', 'image_height:=120', '-p', 'camera_rate:=15.0')
    spawn_node('wm_controller.nodes.guardrail', '--ros-args', '-p', 'use_sim_time:=true')
    probe.until(lambda: probe.node.count_publishers('scan') > 0 and probe.node.count_publishers(
        'guardrail/status') > 0, 30.0, 'the graph')
    code, found, err = ended(start('--seconds', '18', '--drive', '--yes', '--imu', ''), 120.0)
    wrong = {check: row['seen'] for check, row in found.items() if row['verdict'] == 'fix'}
    assert (code, wrong, err) == (0, {}, '')
    for check in ('turn_sign', 'command_turning', 'command_ahead', 'odom_twist', 'scan_body',
                  'base_listens', 'qos'):
        assert found[check]['verdict'] == 'ok', found[check]


def test_ctrl_c_ends_the_listening_and_tells_what_was_heard(probe):
    odometry = probe.node.create_publisher(Odometry, 'odom', qos.STATE)
    doctor = start('--seconds', '500')
    heard_since = None
    while doctor.poll() is None:
        odometry.publish(to_odometry(time.time(), np.zeros(3), np.zeros(2), 'map', 'base_link'))
        probe.spin(0.02)
        if odometry.get_subscription_count() > 0:
            heard_since = heard_since or time.monotonic()
            if time.monotonic() - heard_since > 2.0:
                doctor.send_signal(signal.SIGINT)
                break
    code, found, _ = ended(doctor)
    assert code == 1 and found['odom_frames']['verdict'] == 'fix'


def test_receipts_are_told_in_the_time_that_the_clock_had():
    ticks = np.array([(10.0, 1.0), (11.0, 2.0), (12.0, 2.5)])
    assert clock_at(ticks, np.array([9.5, 10.5, 11.5, 13.0])) == pytest.approx(
        [0.5, 1.5, 2.25, 3.5])


# The table of planted faults

def test_every_plant_is_one_that_the_man_in_the_middle_knows():
    names = [plant.name for plant in PLANTS]
    assert len(set(names)) == len(names) > 12 and names[0] == HEALTHY
    assert {plant.middle for plant in PLANTS} - {'none'} <= set(ALL)
    assert set(MISWIRED) <= {plant.middle for plant in PLANTS}


def test_the_table_goes_between_its_marks():
    row = {'fault': 'odom_nan', 'planted': 'x', 'check': 'odom_numbers', 'verdicts': ['fix', 'ok'],
           'said': ['seen: do', ''], 'others': [[], ['qos']], 'passed': False}
    page = with_table(f'before\n{BEGIN}\nold\n{END}\nafter\n', as_markdown([row], 'so'))
    assert page.startswith('before\n') and page.endswith('\nafter\n') and 'old' not in page
    assert '| `odom_nan` | x | `odom_numbers` | fix, ok | seen: do | FAILED qos |' in page
