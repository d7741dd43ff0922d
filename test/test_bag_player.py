# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Recordings come out as they went in: pixels, spacing and delays, stamped anew."""

import numpy as np
import pytest
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image, LaserScan

from bag_maker import drive_bag, Messages, STORE2
from ros_probe import Probe
from wm_controller.errors import InputError
from wm_controller.nodes import qos
from wm_controller.nodes.conversions import read_odometry, scan_points, seconds
from wm_controller.nodes.images import read_image
from wm_controller.nodes.recording import play

MODULE = 'wm_controller.nodes.bag_player'
START_S = 1000.0


@pytest.fixture
def bag(tmp_path):
    """Images at 10 Hz that arrive 30 ms late, odometry and scans; 2 s."""
    messages = Messages(STORE2)
    for k in range(20):
        stamp = START_S + 0.1 * k
        picture = np.full((4, 6, 3), 10 * k, np.uint8)
        messages.add_image(stamp, picture, receipt=stamp + 0.03, encoding='bgr8', pad=2)
        messages.add_odometry(stamp, (0.1 * k, 0.0, 0.5), 0.3, 0.1, receipt=stamp)
        messages.add_scan(stamp, np.full(360, 3.0), receipt=stamp)
    return messages.write(tmp_path / 'bag')


def test_messages_keep_content_spacing_and_delay(bag):
    played = list(play(bag))
    images = [p for p in played if p.topic == 'image']
    assert len(images) == 20
    np.testing.assert_allclose(np.diff([p.due_s for p in images]), 0.1, atol=1e-6)
    np.testing.assert_allclose([p.due_s - p.measured_s for p in images], 0.03, atol=1e-6)
    message = images[7].message(50.0)
    assert seconds(message.header.stamp) == 50.0
    np.testing.assert_array_equal(read_image(message), np.full((4, 6, 3), 70))
    odometry = next(p for p in played if p.topic == 'odom').message(50.0)
    np.testing.assert_allclose(
        read_odometry(odometry, 'odom', 'base_link').pose, [0.0, 0.0, 0.5], atol=1e-9)
    scan = next(p for p in played if p.topic == 'scan').message(50.0)
    np.testing.assert_allclose(np.hypot(*scan_points(scan).T), 3.0, rtol=1e-5)


def test_part_of_a_recording(bag):
    images = [p for p in play(bag, 1.0, 0.5) if p.topic == 'image']
    assert 4 <= len(images) <= 6
    assert images[0].message(9.0).data[0] >= 90


def test_compressed_recordings_play_too(tmp_path):
    folder = drive_bag(tmp_path / 'compressed', compressed=True, odometry=False)
    assert {p.topic for p in play(folder)} == {'image/compressed'}


def test_recording_without_anything_to_play_is_refused(tmp_path):
    messages = Messages(STORE2)
    messages.add_command(START_S, 0.1, 0.0)
    with pytest.raises(InputError, match='nothing to play: no image, odometry or scan'):
        next(play(messages.write(tmp_path / 'commands')))


def test_player_publishes_all_with_clock_faster_than_recorded_and_ends(
        ros_domain, spawn_node, bag):
    with Probe() as probe:
        images = probe.listen(Image, 'image', qos.IMAGE)
        scans = probe.listen(LaserScan, 'scan', qos.SENSOR)
        clock = probe.listen(Clock, '/clock', qos.CLOCK, lambda m: seconds(m.clock))
        player = spawn_node(MODULE, '--ros-args', '-p', f'bag:={bag}', '-p', 'clock:=true',
                            '-p', 'speed:=2.0')
        probe.until(lambda: player.poll() is not None, 30.0, 'the end')
        probe.spin(0.2)
    assert player.returncode == 0
    assert len(images) >= 15, 'best effort: some may be lost'
    assert len(scans) >= 18
    stamps = np.array([seconds(m.header.stamp) for m in images])
    steps = np.diff(stamps) / 0.1
    np.testing.assert_allclose(steps, steps.round(), atol=1e-3)
    assert stamps[-1] <= max(clock)
    assert (np.diff(clock) >= 0).all()


@pytest.mark.parametrize(('arguments', 'line'), [
    ((), 'parameter bag: name the recording to play'),
    (('-p', 'bag:=/nowhere'), '/nowhere: no such file or folder'),
    (('-p', 'bag:=/nowhere', '-p', 'speed:=2.0'), 'needs clock: true')])
def test_wrong_use_is_one_line_and_exit_code_2(spawn_node, arguments, line):
    process = spawn_node(MODULE, '--ros-args', *arguments)
    assert process.wait(timeout=30) == 2
    text = process.log.read_text().strip()
    assert '\n' not in text
    assert line in text
