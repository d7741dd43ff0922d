# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Raw images of 640x480 arrive between processes with the profile that launch files set."""

import os
import subprocess
import sys
from xml.etree import ElementTree

import pytest

from wm_controller.resources import dds_environment, share_directory

pytest.importorskip('rclpy', reason='needs rclpy')

FRAMES = 40
PUBLISHER = f"""
import sys, time
import rclpy
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image
rclpy.init()
node = rclpy.create_node('sender')
publisher = node.create_publisher(Image, 'image', qos_profile_sensor_data)
image = Image(height=480, width=640, encoding='rgb8', step=1920, data=bytes(480 * 1920))
until = time.monotonic() + 20
while not publisher.get_subscription_count() and time.monotonic() < until:
    time.sleep(0.05)
time.sleep(0.5)
for number in range({FRAMES}):
    image.header.stamp.sec = number + 1
    publisher.publish(image)
    time.sleep(0.05)
sys.stdin.readline()
"""
SUBSCRIBER = """
import time
import rclpy
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image
rclpy.init()
node = rclpy.create_node('receiver')
seen = []
node.create_subscription(Image, 'image', lambda m: seen.append(m.header.stamp.sec),
                         qos_profile_sensor_data)
until = time.monotonic() + 25
quiet = None
while time.monotonic() < until and (quiet is None or time.monotonic() < quiet):
    before = len(seen)
    rclpy.spin_once(node, timeout_sec=0.1)
    if len(seen) > before:
        quiet = time.monotonic() + 2
print(len(seen))
"""


def frames_that_arrive(environment):
    """Send FRAMES images of 640x480 at 20 Hz between two processes; count what arrives."""
    publisher = subprocess.Popen(
        [sys.executable, '-c', PUBLISHER], stdin=subprocess.PIPE, env=environment
    )
    try:
        received = subprocess.run(
            [sys.executable, '-c', SUBSCRIBER],
            env=environment, capture_output=True, text=True, timeout=60, check=True,
        )
    finally:
        publisher.stdin.close()
        publisher.wait(timeout=30)
    return int(received.stdout)


def test_images_of_640x480_arrive_with_the_shipped_profile(ros_domain):
    environment = {**os.environ, **dds_environment({})}
    # Sensor data is best effort: on a busy machine a frame may be lost, with the default segment
    # not one arrives.
    assert frames_that_arrive(environment) >= 0.8 * FRAMES


def test_a_profile_of_the_user_is_left_alone():
    assert dds_environment({'FASTDDS_DEFAULT_PROFILES_FILE': '/mine.xml'}) == {}
    assert dds_environment({'FASTRTPS_DEFAULT_PROFILES_FILE': '/mine.xml'}) == {}


def test_the_profiles_are_what_their_middleware_reads():
    """Well-formed, in the namespace and with the elements that each documents."""
    fast = ElementTree.parse(share_directory() / 'config' / 'fastdds.xml').getroot()
    fast_ns = {'d': 'http://www.eprosima.com'}
    sizes = [int(e.text) for e in fast.iterfind('.//d:segment_size', fast_ns)]
    assert sizes and min(sizes) > 1920 * 1080 * 3
    cyclone = ElementTree.parse(share_directory() / 'config' / 'cyclonedds.xml').getroot()
    ns = {'d': 'https://cdds.io/config'}
    assert cyclone.tag == '{https://cdds.io/config}CycloneDDS'
    assert cyclone.find('d:Domain/d:General/d:MaxMessageSize', ns).text == '65500B'
    assert cyclone.find('d:Domain/d:Internal/d:SocketReceiveBufferSize', ns).get('min') == '10MB'
