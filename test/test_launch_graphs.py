# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E402
"""
Every launch file starts its graph, drives, and stops on Ctrl-C with zero velocity last.

They run where ROS's launch can be imported; our simulator stands for the base.
"""

import contextlib
import math
import re
import socket
import time

import pytest

pytest.importorskip('rclpy', reason='needs rclpy')

from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import PoseStamped, Twist, TwistStamped
from nav_msgs.msg import Odometry
from sensor_msgs.msg import Joy

from launched import launch_file, Launched, make_workspace
from ros_probe import pose_goal
from wm_controller.nodes import qos
from wm_controller.resources import dds_environment, find_config

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

READY_S = 180.0  # a model is loaded, on a machine that does other things beside
# Simulated seconds per second, and how old a command may be: plans are in time on such a machine.
PACE, AUTO_TIMEOUT_S = 0.5, 0.5
ROOM = {'room_seed': '1', 'family': 'evaluation', 'start_pose': '[-1.75, 0.85, 0.0]',
        'speed_factor': PACE, 'people': '0'}
DEADMAN = 4
BOTH = """
from launch import LaunchDescription
from launch.actions import GroupAction, IncludeLaunchDescription
from launch.substitutions import PathJoinSubstitution
from launch_ros.substitutions import FindPackageShare


def generate_launch_description():
    demo = PathJoinSubstitution([FindPackageShare('wm_controller'), 'launch', 'demo_launch.py'])
    return LaunchDescription([
        GroupAction([IncludeLaunchDescription(demo, launch_arguments={
            'namespace': name, 'room_seed': seed, 'speed_factor': 'PACE'}.items())])
        for name, seed in (('red', '1'), ('blue', '2'))])
""".replace('PACE', str(PACE))


@pytest.fixture(scope='module')
def workspace(tmp_path_factory):
    return make_workspace(tmp_path_factory.mktemp('workspace'))


@pytest.fixture(autouse=True)
def raw_images(monkeypatch):
    for name, value in dds_environment().items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def patient(tmp_path):
    """The shipped parameters, with a guardrail that waits longer for a plan."""
    text = find_config('robot').read_text()
    path = tmp_path / 'patient.yaml'
    path.write_text(re.sub(r'auto_timeout_s: [.0-9]+', f'auto_timeout_s: {AUTO_TIMEOUT_S}', text))
    assert path.read_text() != text
    return f'params_file:={path}'


@pytest.fixture
def base(spawn_node):
    """Start our simulator as somebody's base, with topics of its own."""
    def start(**remapped):
        pairs = [f'{topic}:={name}' for topic, name in remapped.items()]
        parameters = [f'{name}:={value}' for name, value in ROOM.items()]
        return spawn_node('wm_controller.nodes.simulator', '--ros-args',
                          *(word for pair in pairs for word in ('-r', pair)),
                          *(word for each in parameters for word in ('-p', each)))
    return start


class Robot:
    """What a robot is told and does, by its topics."""

    def __init__(self, launched, probe, namespace='', odom='odom', cmd_vel='cmd_vel',
                 kind=TwistStamped):
        self.launched, self.probe, self.space = launched, probe, namespace
        twist = (lambda m: m.twist) if kind is TwistStamped else (lambda m: m)
        self.commands = probe.listen(
            kind, f'{namespace}/{cmd_vel}',
            keep=lambda m: (twist(m).linear.x, twist(m).angular.z))
        self.odometry = probe.listen(
            Odometry, f'{namespace}/{odom}',
            keep=lambda m: (m.header.stamp, m.pose.pose.position.x, m.pose.pose.position.y))

        self.states = probe.listen(
            DiagnosticStatus, f'{namespace}/controller/status', qos.STATUS,
            keep=lambda m: m.message)  # the state only while it is active

    def until(self, condition, what):
        def holds():
            assert not self.launched.ended, self.launched.output
            return condition()
        self.probe.until(holds, READY_S, f'{self.space} {what}; nodes {self.nodes()}, '
                         f'{len(self.odometry)} odometry, {len(self.commands)} commands')

    def nodes(self):
        return {name for name, space in self.probe.node.get_node_names_and_namespaces()
                if space == (self.space or '/')}

    def wait_for(self, *names):
        self.until(lambda: set(names) <= self.nodes() and self.commands, f'nodes {names}')

    def way(self):
        """Metres between the first odometry and the last."""
        (_, x0, y0), (_, x1, y1) = self.odometry[0], self.odometry[-1]
        return math.hypot(x1 - x0, y1 - y0)

    def drives(self):
        return bool(self.commands) and abs(self.commands[-1][0]) > 0.05

    def be_ready(self):
        """Wait until the controller takes goals."""
        self.until(lambda: self.states[-1:] == ['idle'] and self.odometry, 'to be ready')

    def go_to(self, x, y, metres=0.2):
        """Send a goal, and wait until the robot is on its way."""
        self.be_ready()
        self.probe.publisher(PoseStamped, f'{self.space}/goal_pose').publish(pose_goal(x, y))
        self.until(lambda: self.way() > metres and self.drives(), 'to drive')

    def hold_stick(self, pad, forward, *buttons):
        """One message of a pad, stamped now by the robot's clock."""
        message = Joy(axes=[0.0, forward, 0.0, 0.0, 0.0, 0.0],
                      buttons=[int(button in buttons) for button in range(11)])
        message.header.stamp = self.odometry[-1][0]
        pad.publish(message)
        self.probe.spin(0.05)

    def drive_by_pad(self, metres):
        """Hold the dead-man, push the stick, until the robot has come so far."""
        pad = self.probe.publisher(Joy, f'{self.space}/joy', wait_s=READY_S)
        self.until(lambda: self.odometry, 'odometry')
        end = time.monotonic() + READY_S
        while True:
            assert time.monotonic() < end, f'drove {self.way():.2f} m; {self.commands[-1:]}'
            for _ in range(10):
                self.hold_stick(pad, 0.0)
            for step in range(100):
                self.hold_stick(pad, min(0.1 * step, 0.8), DEADMAN)
                if self.way() > metres and self.drives():
                    return pad


def stop(launched, processes, *robots, meanwhile=None):
    """Press Ctrl-C on robots that drive; every last word must be zero."""
    assert all(robot.drives() for robot in robots)
    launched.press_ctrl_c(meanwhile or (lambda: robots[0].probe.spin(0.05)))
    robots[0].probe.spin(0.5)
    for robot in robots:
        assert robot.commands[-1] == (0.0, 0.0)
    launched.assert_all_ended_well(processes)


def free_port():
    with contextlib.closing(socket.socket()) as made:
        made.bind(('127.0.0.1', 0))
        return made.getsockname()[1]


def test_demo_drives_to_a_goal_and_stops(workspace, probe, patient):
    with Launched(workspace, launch_file(workspace, 'demo'), patient,
                  *(f'{name}:={value}' for name, value in ROOM.items())) as launched:
        robot = Robot(launched, probe)
        robot.wait_for('controller', 'guardrail', 'simulator')
        robot.go_to(3.0, 0.0)
        stop(launched, 3, robot)


def test_bringup_drives_a_base_with_topics_of_its_own(
        workspace, probe, base, patient, tmp_path):
    base(image='/camera/image_raw', odom='/base/odom', scan='/lidar', cmd_vel='/base/cmd_vel')
    with Launched(workspace, launch_file(workspace, 'bringup'), patient, 'use_sim_time:=true',
                  'image:=/camera/image_raw', 'odom:=/base/odom', 'scan:=/lidar',
                  'cmd_vel:=/base/cmd_vel', 'use_panel:=true', f'panel_port:={free_port()}',
                  'use_joystick:=true', 'joystick_device:=joy', 'use_recorder:=true',
                  f'record_folder:={tmp_path / "bags"}') as launched:
        robot = Robot(launched, probe, odom='base/odom', cmd_vel='base/cmd_vel')
        robot.wait_for('controller', 'guardrail', 'panel', 'joystick', 'recorder')
        robot.go_to(2.0, 0.0)
        stop(launched, 5, robot)


def test_an_argument_wins_wherever_the_file_has_the_parameter(workspace, probe, tmp_path):
    mine = tmp_path / 'mine.yaml'
    mine.write_text('/**:\n  ros__parameters:\n    base_frame: base_link\n'
                    '/**/guardrail:\n  ros__parameters:\n    enable_stamped_cmd_vel: true\n')
    with Launched(workspace, launch_file(workspace, 'bringup'), 'namespace:=robot',
                  f'params_file:={mine}', 'cmd_vel:=base/cmd_vel', 'autostart:=false',
                  'enable_stamped_cmd_vel:=false') as launched:
        robot = Robot(launched, probe, '/robot', cmd_vel='base/cmd_vel', kind=Twist)
        robot.wait_for('controller', 'guardrail')
        launched.press_ctrl_c(lambda: probe.spin(0.05))
        launched.assert_all_ended_well(2)


def test_a_route_is_taught_by_hand_and_saved(workspace, probe, base, tmp_path):
    base()
    places = tmp_path / 'places.h5'
    with Launched(workspace, launch_file(workspace, 'teach'), f'map_file:={places}',
                  'use_sim_time:=true', f'panel_port:={free_port()}',
                  'joystick_device:=joy') as launched:
        robot = Robot(launched, probe)
        robot.wait_for('controller', 'guardrail', 'panel', 'joystick')
        robot.be_ready()
        robot.drive_by_pad(1.0)
        answer = probe.call('controller/remember')
        assert answer.success and places.is_file(), answer.message
        pad = robot.drive_by_pad(1.1)
        stop(launched, 4, robot, meanwhile=lambda: robot.hold_stick(pad, 0.8, DEADMAN))
        assert 'remember std_srvs/srv/Trigger' in launched.output


def test_what_is_recorded_by_hand_can_be_learned_from(workspace, probe, base, wm, tmp_path):
    base()
    with Launched(workspace, launch_file(workspace, 'record'), 'use_sim_time:=true',
                  f'record_folder:={tmp_path / "drives"}', f'panel_port:={free_port()}',
                  'joystick_device:=joy') as launched:
        robot = Robot(launched, probe)
        robot.wait_for('guardrail', 'panel', 'joystick', 'recorder')
        assert 'controller' not in robot.nodes()
        pad = robot.drive_by_pad(1.0)
        stop(launched, 4, robot, meanwhile=lambda: robot.hold_stick(pad, 0.8, DEADMAN))
    report, data = wm(*sorted((tmp_path / 'drives').glob('drive*')))
    assert report and data.attributes['rate_hz'] > 0


def test_two_robots_in_one_graph_do_not_hear_each_other(
        workspace, probe, patient, tmp_path):
    both = tmp_path / 'both_launch.py'
    both.write_text(BOTH)
    with Launched(workspace, both, patient) as launched:
        red, blue = Robot(launched, probe, '/red'), Robot(launched, probe, '/blue')
        for robot in red, blue:
            robot.wait_for('controller', 'guardrail', 'simulator')
        red.go_to(3.0, 0.0)
        probe.spin(1.0)
        assert blue.way() < 0.05 and not blue.drives()
        blue.go_to(3.0, 0.0)
        red.until(lambda: red.drives() and blue.drives(), 'both to drive')
        stop(launched, 6, red, blue)
