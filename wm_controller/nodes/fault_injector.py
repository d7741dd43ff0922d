# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
A man in the middle between a robot's sensors and who listens to them.

It passes camera, odometry, scan and clock on from `raw/...`, byte for byte, until its parameter
`fault` tells it to misbehave. Nothing of the product knows of it: remap the source's topics.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
import math
import time
from typing import Any

from nav_msgs.msg import Odometry
import numpy as np
from rclpy.clock import Clock as RosClock
from rclpy.clock import ClockType
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.serialization import deserialize_message
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image, LaserScan

from wm_controller.nodes import qos, runtime
from wm_controller.nodes.conversions import seconds, to_stamp
from wm_controller.nodes.images import to_image
from wm_controller.nodes.miswired import MISWIRED

LATE_S = 0.6  # steady seconds that a late image is kept back
APART_S = 0.04  # between two that are out of order
NOISE = 90.0  # grey levels, standard deviation
SHIFT_M = 1.0  # of odometry that jumps
CLOCK_BACK_S, CLOCK_PERIOD_S = 3.0, 0.5
RELEASE_S = 0.01
TOPICS: dict[str, tuple[type, str, Any, Any]] = {
    'image': (Image, 'image', qos.IMAGE, qos.IMAGE),
    'odom': (Odometry, 'odom', qos.STATE, qos.STATE),
    'scan': (LaserScan, 'scan', qos.STATE, qos.STATE),
    'clock': (Clock, '/clock', qos.CLOCK, qos.CLOCK),
}

Misbehaviour = Callable[['Middle', Any], Iterator[Any]]


class Middle:
    """What a fault remembers from one message to the next; made anew with each fault."""

    def __init__(self) -> None:
        self.count = 0
        self.kept: Any = None
        self.late: list[tuple[float, Any]] = []
        self.noise = np.random.default_rng(0)
        self.began_s = time.monotonic()


def _pixels(message: Image) -> np.ndarray:
    return np.frombuffer(message.data, np.uint8).reshape(message.height, -1, 3)


def _with_pixels(message: Image, pixels: np.ndarray) -> Image:
    return to_image(
        pixels.astype(np.uint8), seconds(message.header.stamp), message.header.frame_id)


def _lost(middle: Middle, message: Any) -> Iterator[Any]:
    yield from ()


def _frozen(middle: Middle, message: Image) -> Iterator[Image]:
    """Pass on the first picture for ever, each time with the new stamp."""
    middle.kept = middle.kept or message
    message.data = middle.kept.data
    yield message


def _black(middle: Middle, message: Image) -> Iterator[Image]:
    yield _with_pixels(message, np.zeros_like(_pixels(message)))


def _noisy(middle: Middle, message: Image) -> Iterator[Image]:
    pixels = _pixels(message)
    noise = middle.noise.normal(0.0, NOISE, pixels.shape)
    yield _with_pixels(message, np.clip(pixels + noise, 0, 255))


def _late(middle: Middle, message: Image) -> Iterator[Image]:
    middle.late.append((time.monotonic() + LATE_S, message))
    yield from ()


def _swapped(middle: Middle, message: Image) -> Iterator[Image]:
    """Of every two images, pass on the second one first; apart, so that both are heard."""
    if middle.kept is None:
        middle.kept = message
        return
    yield message
    middle.late.append((time.monotonic() + APART_S, middle.kept))
    middle.kept = None


def _resized(middle: Middle, message: Image) -> Iterator[Image]:
    """Pass on the left half of every image: a smaller picture, whole in itself."""
    pixels = _pixels(message)
    yield _with_pixels(message, pixels[:, :pixels.shape[1] // 2])


def _encoded(middle: Middle, message: Image) -> Iterator[Image]:
    message.encoding = '16UC1'
    yield message


def _shifted(middle: Middle, message: Odometry) -> Iterator[Odometry]:
    """Jump to and fro by a metre with every message."""
    message.pose.pose.position.x += SHIFT_M * (middle.count % 2)
    yield message


def _odometry_nan(middle: Middle, message: Odometry) -> Iterator[Odometry]:
    message.pose.pose.position.x = message.twist.twist.linear.x = math.nan
    yield message


def _odometry_frame(middle: Middle, message: Odometry) -> Iterator[Odometry]:
    message.header.frame_id = 'map'
    yield message


def _scan_of(value: float) -> Misbehaviour:
    def fill(middle: Middle, message: LaserScan) -> Iterator[LaserScan]:
        message.ranges = [value] * len(message.ranges)
        yield message
    return fill


def _scan_rotated(middle: Middle, message: LaserScan) -> Iterator[LaserScan]:
    """Turn the scan by a quarter to the left, as a scanner that came loose."""
    quarter = len(message.ranges) // 4
    message.ranges = np.roll(np.asarray(message.ranges), quarter).tolist()
    yield message


def _clock_jumping(middle: Middle, message: Clock) -> Iterator[Clock]:
    """Go back by some seconds, and forth again, for half a second each."""
    back = int((time.monotonic() - middle.began_s) / CLOCK_PERIOD_S) % 2 == 0
    now_s = seconds(message.clock) - CLOCK_BACK_S * back
    yield Clock(clock=to_stamp(max(now_s, 0.1)))


MISBEHAVIOURS: dict[str, tuple[str, Misbehaviour]] = {
    'camera_frozen': ('image', _frozen),
    'camera_black': ('image', _black),
    'camera_noisy': ('image', _noisy),
    'camera_late': ('image', _late),
    'camera_out_of_order': ('image', _swapped),
    'camera_wrong_size': ('image', _resized),
    'camera_wrong_encoding': ('image', _encoded),
    'odom_lost': ('odom', _lost),
    'odom_jumping': ('odom', _shifted),
    'odom_nan': ('odom', _odometry_nan),
    'odom_wrong_frame': ('odom', _odometry_frame),
    'scan_lost': ('scan', _lost),
    'scan_infinite': ('scan', _scan_of(math.inf)),
    'scan_nan': ('scan', _scan_of(math.nan)),
    'scan_rotated': ('scan', _scan_rotated),
    'clock_jumping': ('clock', _clock_jumping),
    'clock_stopped': ('clock', _lost),
}
ALL: dict[str, tuple[str, Misbehaviour]] = {**MISBEHAVIOURS, **MISWIRED}
NONE = 'none'
SPECS = (
    runtime.Spec('fault', NONE, 'What to do to the messages', choices=(
        NONE, *MISBEHAVIOURS, *MISWIRED)),
)


class FaultInjectorNode(Node):
    """Relays the sensors, and misbehaves when told to."""

    def __init__(self) -> None:
        super().__init__('fault_injector')
        self._fault = runtime.declare(self, SPECS)['fault']
        self._middle = Middle()
        self._out: dict[str, Any] = {}
        for name, (kind, topic, heard, told) in TOPICS.items():
            self._out[name] = self.create_publisher(kind, topic, told)
            self.create_subscription(
                kind, 'raw/' + topic.lstrip('/'), self._relay(name, kind), heard, raw=True)
        self.create_timer(RELEASE_S, self._release, clock=RosClock(
            clock_type=ClockType.STEADY_TIME))
        self.add_post_set_parameters_callback(self._take)

    def _take(self, parameters: list[Parameter[Any]]) -> None:
        for parameter in parameters:
            if parameter.name == 'fault':
                self._middle, self._fault = Middle(), parameter.value

    def _relay(self, name: str, kind: type) -> Callable[[bytes], None]:
        def pass_on(data: bytes) -> None:
            topic, misbehave = ALL.get(self._fault, ('', None))
            if topic != name or misbehave is None:
                self._out[name].publish(data)
                return
            message: Any = deserialize_message(data, kind)
            for result in misbehave(self._middle, message):
                self._out[name].publish(result)
            self._middle.count += 1
        return pass_on

    def _release(self) -> None:
        late = self._middle.late
        while late and late[0][0] <= time.monotonic():
            self._out['image'].publish(late.pop(0)[1])


def main(args: Sequence[str] | None = None) -> None:
    """Relay until told to end."""
    runtime.run(FaultInjectorNode, args)


if __name__ == '__main__':
    main()
