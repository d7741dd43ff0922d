# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The simulator as a process: what it says, at which rate, and that it never stops by itself."""

import signal

from geometry_msgs.msg import Twist, TwistStamped
from nav_msgs.msg import Odometry
import numpy as np
import pytest
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, LaserScan
from std_msgs.msg import UInt32

from wm_controller.errors import InputError
from wm_controller.nodes import qos
from wm_controller.nodes.conversions import read_odometry, seconds
from wm_controller.nodes.images import read_compressed, read_image
from wm_controller.nodes.simulator import SimulatorNode

MODULE = 'wm_controller.nodes.simulator'


def stamped(v, w=0.0):
    message = TwistStamped()
    message.twist.linear.x, message.twist.angular.z = v, w
    return message


def header_times(heard):
    return np.array([seconds(message.header.stamp) for message in heard])


@pytest.fixture
def simulator(spawn_node):
    def start(*parameters):
        arguments = [part for p in ('people:=0', 'room_seed:=3', *parameters)
                     for part in ('-p', p)]
        return spawn_node(MODULE, '--ros-args', *arguments)
    return start


def test_every_sensor_speaks_at_its_rate_in_simulated_time(probe, simulator):
    simulator('speed_factor:=2.0', 'image_width:=64', 'image_height:=48')
    heard = {
        'image': probe.listen(Image, 'image', qos.IMAGE),
        'scan': probe.listen(LaserScan, 'scan', qos.SENSOR),
        'odom': probe.listen(Odometry, 'odom', qos.STATE),
        'ground_truth': probe.listen(Odometry, 'ground_truth'),
        'camera_info': probe.listen(CameraInfo, 'camera_info', qos.SENSOR)}
    clock = probe.listen(Clock, '/clock', qos.CLOCK, lambda m: seconds(m.clock))
    probe.until(lambda: len(heard['image']) > 20, 30.0, '20 images')
    for topic, hz in (('image', 10), ('scan', 10), ('odom', 50), ('ground_truth', 50)):
        steps = np.diff(header_times(heard[topic]))
        assert np.median(steps) == pytest.approx(1 / hz, abs=1e-6), topic
        assert (steps > 0).all(), topic
    last = header_times(heard['image'])[-1]
    probe.until(lambda: max(clock) >= last, 5.0, 'the clock to have been there')
    image, info = heard['image'][-1], heard['camera_info'][-1]
    assert read_image(image).shape == (48, 64, 3)
    assert (info.width, info.height, info.k[0]) == (64, 48, pytest.approx(32.0))
    scan = heard['scan'][-1]
    assert len(scan.ranges) == 360
    assert 0.1 < min(scan.ranges) < 8.0


def test_the_base_keeps_the_last_command_for_ever(probe, simulator):
    simulator('speed_factor:=4.0', 'camera_muted:=true')
    truth = probe.listen(Odometry, 'ground_truth', keep=lambda m: (
        seconds(m.header.stamp), m.twist.twist.angular.z))
    command = probe.publisher(TwistStamped, 'cmd_vel')
    probe.until(lambda: truth, what='the truth')
    command.publish(stamped(0.0, 0.8))
    began = truth[-1][0]
    probe.until(lambda: truth[-1][0] > began + 5.0, 30.0, '5 simulated seconds')
    assert truth[-1][1] == pytest.approx(0.8, abs=0.2)
    command.publish(stamped(float('nan')))
    probe.until(lambda: truth[-1][0] > began + 6.0, 30.0, 'another second')
    assert truth[-1][1] == pytest.approx(0.8, abs=0.2), 'a bad command changes nothing'


def test_truth_and_odometry_begin_at_the_origin_of_odom(probe, simulator):
    simulator()
    odom = probe.listen(Odometry, 'odom', qos.STATE)
    truth = probe.listen(Odometry, 'ground_truth')
    probe.until(lambda: odom and truth, what='odometry and truth')
    for message in (odom[0], truth[0]):
        reading = read_odometry(message, 'odom', 'base_link')
        np.testing.assert_allclose(reading.pose, np.zeros(3), atol=0.02)


def test_time_goes_on_over_a_reset_and_bumps_start_anew(probe, simulator):
    simulator('speed_factor:=8.0', 'camera_muted:=true')
    bumps = probe.listen(UInt32, 'collisions', qos.STATUS, lambda m: m.data)
    truth = probe.listen(Odometry, 'ground_truth')
    command = probe.publisher(TwistStamped, 'cmd_vel')
    command.publish(stamped(0.5))
    probe.until(lambda: bumps and bumps[-1] > 0, 30.0, 'a bump: nothing stops it')
    command.publish(stamped(0.0))
    assert probe.call('/simulator/reset').success
    probe.until(lambda: bumps[-1] == 0, 10.0, 'no bumps')
    assert (np.diff(header_times(truth)) >= 0).all()


def test_reset_takes_over_another_room_and_refuses_a_bad_start(probe, simulator):
    simulator('camera_muted:=true')
    probe.set_parameter('simulator', 'room_seed', 5)
    answer = probe.call('/simulator/reset')
    assert (answer.success, answer.message) == (True, 'room evaluation/5')
    probe.set_parameter('simulator', 'start_pose', [99.0, 0.0, 0.0])
    answer = probe.call('/simulator/reset')
    assert not answer.success
    assert 'start pose' in answer.message


def test_camera_can_be_unplugged_and_plugged_in_again(probe, simulator):
    simulator('image_width:=64', 'image_height:=48')
    images = probe.listen(Image, 'image', qos.IMAGE)
    probe.until(lambda: images, what='an image')
    assert probe.set_parameter('simulator', 'camera_muted', True).successful
    probe.spin(0.2)
    silent = len(images)
    probe.spin(0.5)
    assert len(images) == silent
    assert probe.set_parameter('simulator', 'camera_muted', False).successful
    probe.until(lambda: len(images) > silent, what='an image again')


def test_compressed_images_show_the_same_as_raw_ones(probe, simulator):
    simulator('image_width:=64', 'image_height:=48')
    raw = probe.listen(Image, 'image', qos.IMAGE)
    compressed = probe.listen(CompressedImage, 'image/compressed', qos.IMAGE)

    def pairs():
        by_time = {seconds(m.header.stamp): m for m in raw}
        return [(by_time[t], m) for m in compressed if (t := seconds(m.header.stamp)) in by_time]
    probe.until(pairs, what='an image on both topics')
    one, other = pairs()[0]
    difference = read_image(one).astype(int) - read_compressed(other)
    assert np.abs(difference).mean() < 8


def test_twist_on_a_stamped_topic_is_named(probe, simulator):
    process = simulator('camera_muted:=true')
    probe.node.create_publisher(Twist, 'cmd_vel', qos.COMMAND)
    line = b'probe publishes Twist, expected TwistStamped'
    probe.until(lambda: line in process.log.read_bytes(), 20.0, 'the line')


def test_plain_twist_drives_when_it_is_told_so(probe, simulator):
    simulator('enable_stamped_cmd_vel:=false', 'camera_muted:=true')
    truth = probe.listen(Odometry, 'ground_truth')
    command = probe.publisher(Twist, 'cmd_vel')
    message = Twist()
    message.angular.z = 1.0
    command.publish(message)
    probe.until(lambda: truth and truth[-1].twist.twist.angular.z > 0.5, what='the turn')


@pytest.mark.parametrize(('name', 'value', 'line'), [
    ('speed_factor', -1.0, r'parameter speed_factor = -1.0: must be in \[0, 50\]'),
    ('family', 'mars', "parameter family = 'mars': must be one of training, evaluation"),
    ('room_seed', 'many', "parameter room_seed = 'many'"),
    ('start_pose', [1.0], 'start pose'),
    ('headless', False, 'there is no screen')])
def test_bad_parameter_is_refused_in_one_line(probe, monkeypatch, name, value, line):
    monkeypatch.delenv('DISPLAY', raising=False)
    monkeypatch.delenv('WAYLAND_DISPLAY', raising=False)
    with pytest.raises(InputError, match=line):
        SimulatorNode(context=probe.context,
                      parameter_overrides=[Parameter(name, value=value)])


def test_refusal_is_one_line_on_stderr_and_exit_code_2(spawn_node):
    process = spawn_node(MODULE, '--ros-args', '-p', 'camera_rate:=1000.0')
    assert process.wait(timeout=30) == 2
    text = process.log.read_text().strip()
    assert text == 'simulator: parameter camera_rate = 1000.0: must be in [0.5, 60] Hz'


def test_sigint_ends_it_quickly_and_cleanly(probe, simulator):
    process = simulator()
    images = probe.listen(Image, 'image', qos.IMAGE)
    probe.until(lambda: images, what='an image')
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=10) == 0
    assert 'Traceback' not in process.log.read_text()
