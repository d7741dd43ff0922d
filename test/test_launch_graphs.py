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
from wm_controller.nodes.launching import TOPICS
from wm_controller.resources import dds_environment, find_config

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

READY_S = 180.0  # a model is loaded, on a machine that does other things beside
# Simulated seconds per second, and how old a command may be: plans are in time on such a machine.
PACE, AUTO_TIMEOUT_S = 0.5, 0.5
ROOM = {'room_seed': '1', 'family': 'evaluation', 'start_pose': '[-1.75, 0.85, 0.0]',
        'speed_factor': str(PACE), 'people': '0'}
CAMERA = {'image_width': 128, 'image_height': 96}
DEADMAN = 4
EVERY_NODES = {'/rosout', '/parameter_events', '/controller/transition_event'}
BOTH = """
from launch import LaunchDescription
from launch.actions import GroupAction, IncludeLaunchDescription
from launch.substitutions import PathJoinSubstitution
from launch_ros.substitutions import FindPackageShare


def generate_launch_description():
    demo = PathJoinSubstitution([FindPackageShare('wm_controller'), 'launch', 'demo_launch.py'])
    return LaunchDescription([
        GroupAction([IncludeLaunchDescription(demo, launch_arguments={
            'namespace': name, **ROOM}.items())]) for name in ('red', 'blue')])
""".replace('ROOM', str(ROOM))


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
    return f'params_file:={edited("robot", tmp_path, auto_timeout_s=AUTO_TIMEOUT_S)}'


@pytest.fixture
def light(tmp_path):
    """Those of the simulator, with a small camera."""
    return f'simulator_params_file:={edited("simulator", tmp_path, **CAMERA)}'


def edited(name, folder, **parameters):
    """A shipped parameter file with other values."""
    text = find_config(name).read_text()
    for key, value in parameters.items():
        text, count = re.subn(fr'(?m)^( +{key}): \S+', fr'\1: {value}', text)
        assert count == 1, key
    path = folder / f'{name}.yaml'
    path.write_text(text)
    return path


@pytest.fixture
def base(spawn_node):
    """Start our simulator as somebody's base, with topics of its own."""
    def start(names=()):
        pairs = [f'{topic}:={names[topic]}' for topic in names]
        parameters = [f'{name}:={value}' for name, value in {**ROOM, **CAMERA}.items()]
        return spawn_node('wm_controller.nodes.simulator', '--ros-args',
                          *(word for pair in pairs for word in ('-r', pair)),
                          *(word for each in parameters for word in ('-p', each)))
    return start


class Robot:
    """What a robot is told and does, by its topics."""

    def __init__(self, launched, probe, namespace='', names=None, kind=TwistStamped):
        self.launched, self.probe, self.space = launched, probe, namespace
        self._names = names or {}
        twist = (lambda m: m.twist) if kind is TwistStamped else (lambda m: m)
        self.commands = probe.listen(
            kind, self.topic('cmd_vel'),
            keep=lambda m: (twist(m).linear.x, twist(m).angular.z))
        self.odometry = probe.listen(
            Odometry, self.topic('odom'),
            keep=lambda m: (m.header.stamp, m.pose.pose.position.x, m.pose.pose.position.y))
        self.states = probe.listen(
            DiagnosticStatus, self.topic('controller/status'), qos.STATUS,
            keep=lambda m: m.message)  # the state only while it is active

    def topic(self, name):
        return self._names.get(name, f'{self.space}/{name}')

    def until(self, condition, what):
        def holds():
            assert not self.launched.ended, self.launched.output
            return condition()
        self.probe.until(holds, READY_S, f'{self.space} {what}; nodes {self.nodes()}, '
                         f'{len(self.odometry)} odometry, {len(self.commands)} commands')

    def nodes(self):
        return {name for name, space in self.probe.node.get_node_names_and_namespaces()
                if space == (self.space or '/')}

    def topics_of(self, node):
        ours = self.probe.node
        for ask in (ours.get_publisher_names_and_types_by_node,
                    ours.get_subscriber_names_and_types_by_node):
            yield from (topic for topic, _ in ask(node, self.space or '/'))

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
        self.probe.publisher(PoseStamped, self.topic('goal_pose')).publish(pose_goal(x, y))
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
        pad = self.probe.publisher(Joy, self.topic('joy'), wait_s=READY_S)
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


def test_demo_drives_to_a_goal_and_stops(workspace, probe, patient, light):
    with Launched(workspace, launch_file(workspace, 'demo'), patient, light,
                  *(f'{name}:={value}' for name, value in ROOM.items())) as launched:
        robot = Robot(launched, probe)
        robot.wait_for('controller', 'guardrail', 'simulator')
        robot.go_to(3.0, 0.0)
        stop(launched, 3, robot)


def test_bringup_drives_a_base_with_topics_of_its_own(
        workspace, probe, base, patient, tmp_path):
    names = {topic: f'/mine/{argument.name}' for topic, argument in TOPICS.items()}
    base(names)
    with Launched(workspace, launch_file(workspace, 'bringup'), patient, 'use_sim_time:=true',
                  *(f'{argument.name}:={names[topic]}' for topic, argument in TOPICS.items()),
                  'use_panel:=true', f'panel_port:={free_port()}', 'use_joystick:=true',
                  'joystick_device:=joy', 'use_recorder:=true',
                  f'record_folder:={tmp_path / "bags"}') as launched:
        robot = Robot(launched, probe, names=names)
        robot.wait_for('controller', 'guardrail', 'panel', 'joystick', 'recorder')
        robot.go_to(2.0, 0.0)
        for node in 'controller', 'guardrail', 'panel', 'joystick', 'recorder':
            assert {topic for topic in robot.topics_of(node)
                    if not topic.startswith('/mine/')} <= EVERY_NODES, node
        stop(launched, 5, robot)


def test_an_argument_wins_wherever_the_file_has_the_parameter(workspace, probe, tmp_path):
    mine = tmp_path / 'mine.yaml'
    mine.write_text('/**:\n  ros__parameters:\n    base_frame: base_link\n'
                    '/**/guardrail:\n  ros__parameters:\n    enable_stamped_cmd_vel: true\n')
    with Launched(workspace, launch_file(workspace, 'bringup'), 'namespace:=robot',
                  f'params_file:={mine}', 'cmd_vel:=base/cmd_vel', 'autostart:=false',
                  'enable_stamped_cmd_vel:=false') as launched:
        robot = Robot(launched, probe, '/robot', {'cmd_vel': '/robot/base/cmd_vel'}, Twist)
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
    drive, = (tmp_path / 'drives').glob('*-drive')
    report, data = wm(drive)
    assert report['steps'] == data.n_steps > 3
    assert data.action[:, 0].max() > 0.05


def test_two_robots_in_one_graph_do_not_hear_each_other(
        workspace, probe, patient, light, tmp_path):
    both = tmp_path / 'both_launch.py'
    both.write_text(BOTH)
    with Launched(workspace, both, patient, light) as launched:
        red, blue = Robot(launched, probe, '/red'), Robot(launched, probe, '/blue')
        for robot in red, blue:
            robot.wait_for('controller', 'guardrail', 'simulator')
        blue.be_ready()
        red.go_to(3.0, 0.0)
        assert blue.way() < 0.01 and set(blue.commands) == {(0.0, 0.0)}
        blue.go_to(3.0, 0.0)
        red.until(lambda: red.drives() and blue.drives(), 'both to drive')
        stop(launched, 6, red, blue)
