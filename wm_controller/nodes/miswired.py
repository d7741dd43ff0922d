# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Sensors as somebody may have set them up wrongly, for the man in the middle.

They last until somebody mends them, where a misbehaviour of `fault_injector` comes and goes.
`wm doctor` finds them.
"""

from __future__ import annotations

from collections.abc import Iterator
import math
import time
from typing import Any

from nav_msgs.msg import Odometry
import numpy as np
from sensor_msgs.msg import Image, LaserScan

from wm_controller.nodes.conversions import seconds, to_quaternion, to_stamp, yaw_of
from wm_controller.nodes.images import to_image

LAG_S, AHEAD_S = 0.35, 3.0
SHORT = 0.5
BODY_M, BODY_DEGREES = 0.25, (150.0, 165.0)


def _turns_wrong(middle: Any, message: Odometry) -> Iterator[Odometry]:
    """Count every turn to the other side, as with a gyroscope upside down."""
    pose, twist = message.pose.pose, message.twist.twist
    pose.position.y = -pose.position.y
    pose.orientation = to_quaternion(-yaw_of(pose.orientation, 'odom'))
    twist.angular.z = -twist.angular.z
    yield message


def _twist_in_odom(middle: Any, message: Odometry) -> Iterator[Odometry]:
    yaw, twist = yaw_of(message.pose.pose.orientation, 'odom'), message.twist.twist
    v = twist.linear.x
    twist.linear.x, twist.linear.y = v * math.cos(yaw), v * math.sin(yaw)
    yield message


def _twist_empty(middle: Any, message: Odometry) -> Iterator[Odometry]:
    message.twist.twist.linear.x = message.twist.twist.angular.z = 0.0
    yield message


def _short(middle: Any, message: Odometry) -> Iterator[Odometry]:
    """Count half of the way, as with a wheel radius that is a diameter."""
    message.pose.pose.position.x *= SHORT
    message.pose.pose.position.y *= SHORT
    message.twist.twist.linear.x *= SHORT
    yield message


def _unstamped(middle: Any, message: Any) -> Iterator[Any]:
    message.header.stamp = to_stamp(0.0)
    yield message


def _ahead(middle: Any, message: Any) -> Iterator[Any]:
    message.header.stamp = to_stamp(seconds(message.header.stamp) + AHEAD_S)
    yield message


def _mirrored(middle: Any, message: Image) -> Iterator[Image]:
    pixels = np.frombuffer(message.data, np.uint8).reshape(message.height, -1, 3)
    yield to_image(pixels[:, ::-1], seconds(message.header.stamp), message.header.frame_id)


def _lagging(middle: Any, message: Image) -> Iterator[Image]:
    """Keep each picture back and stamp it when it is sent."""
    message.header.stamp = to_stamp(seconds(message.header.stamp) + LAG_S)
    middle.late.append((time.monotonic() + LAG_S, message))
    yield from ()


def _upside_down(middle: Any, message: LaserScan) -> Iterator[LaserScan]:
    message.ranges = np.asarray(message.ranges)[::-1].tolist()
    yield message


def _body(middle: Any, message: LaserScan) -> Iterator[LaserScan]:
    """Let a mast of the robot stand before the scanner."""
    ranges = np.asarray(message.ranges)
    degrees = np.degrees(message.angle_min + message.angle_increment * np.arange(len(ranges)))
    hidden = (degrees > BODY_DEGREES[0]) & (degrees < BODY_DEGREES[1])
    noise = middle.noise.normal(0.0, 0.005, len(ranges))
    message.ranges = np.where(hidden, BODY_M + noise, ranges).tolist()
    yield message


MISWIRED: dict[str, tuple[str, Any]] = {
    'odom_turns_wrong': ('odom', _turns_wrong),
    'odom_twist_in_odom_frame': ('odom', _twist_in_odom),
    'odom_twist_empty': ('odom', _twist_empty),
    'odom_half': ('odom', _short),
    'odom_unstamped': ('odom', _unstamped),
    'odom_ahead': ('odom', _ahead),
    'camera_mirrored': ('image', _mirrored),
    'camera_lagging': ('image', _lagging),
    'scan_upside_down': ('scan', _upside_down),
    'scan_body': ('scan', _body),
}
