# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
A node that sends commands and times when they come out of the guardrail and of a bare relay.

The guardrail publishes at a fixed rate also when nothing comes in. So the probe holds a speed
until it comes out unchanged, then asks for a slightly different one: the first output that moves
is the answer. Both paths take turns, so that they meet the same load of the machine. With
`--braking` it times the guardrail alone: from a scan that shows an obstacle, or from a command to
stand, to the first output that is slower.
"""

import argparse
from collections.abc import Sequence
import json
import random
import time

from geometry_msgs.msg import TwistStamped
import numpy as np
import rclpy
from rclpy.node import Node
from sensor_msgs.msg import LaserScan

from wm_controller.nodes import qos
from wm_controller.nodes.conversions import to_scan

BASE, STEP = 0.1, 0.004  # m/s; the step is small enough for every acceleration limit
SETTLED, MOVED = 1e-6, 1e-7  # m/s
START_TIMEOUT_S, ANSWER_TIMEOUT_S = 20.0, 1.0
KEEP_ALIVE_S = 0.1  # commands time out after half a second
NEAR = 0.21  # m: within the margin round the robot
CALM_S = 0.1
PHASE_S = 0.02  # one period of the guardrail: samples fall anywhere in it


class Path:
    """One way through a process: a topic in, a topic out, the newest speed that came out."""

    def __init__(self, node: Node, topic_in: str, topic_out: str) -> None:
        self._node = node
        self._publisher = node.create_publisher(TwistStamped, topic_in, qos.COMMAND)
        node.create_subscription(TwistStamped, topic_out, self._on_output, qos.COMMAND)
        self.name = topic_out
        self.target = BASE
        self.output = float('nan')
        self.output_at = 0.0

    def _on_output(self, message: TwistStamped) -> None:
        self.output, self.output_at = message.twist.linear.x, time.monotonic()

    def send(self) -> float:
        """Send the target now and return when, on the monotonic clock."""
        message = TwistStamped()
        message.header.frame_id = 'base_link'
        message.twist.linear.x = self.target
        message.header.stamp = self._node.get_clock().now().to_msg()
        sent = time.monotonic()
        self._publisher.publish(message)
        return sent

    def settle(self, timeout_s: float) -> None:
        """Send the target until it comes out."""
        until = time.monotonic() + timeout_s
        sent = 0.0
        while not abs(self.output - self.target) <= SETTLED:
            now = time.monotonic()
            if now > until:
                raise TimeoutError(
                    f'{self.name}: {self.target} m/s did not come out in {timeout_s:g} s, but '
                    f'{self.output}'
                )
            if now - sent > KEEP_ALIVE_S:
                sent = self.send()
            rclpy.spin_once(self._node, timeout_sec=0.02)

    def sample(self) -> float:
        """Measure once: seconds from a command to the first output that shows it."""
        self.settle(ANSWER_TIMEOUT_S)
        pause_until = time.monotonic() + random.uniform(0.0, PHASE_S)
        while (left := pause_until - time.monotonic()) > 0.0:
            rclpy.spin_once(self._node, timeout_sec=left)
        before = self.output
        self.target = BASE + STEP if self.target == BASE else BASE
        sent = self.send()
        while abs(self.output - before) <= MOVED:
            if time.monotonic() - sent > ANSWER_TIMEOUT_S:
                raise TimeoutError(f'{self.name}: no answer in {ANSWER_TIMEOUT_S:g} s')
            rclpy.spin_once(self._node, timeout_sec=0.1)
        return self.output_at - sent


class Braking:
    """Makes the guardrail brake, by what it sees and by what it is told, and times it."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._path = Path(node, 'cmd_vel_auto', 'cmd_vel')
        self._scans = node.create_publisher(LaserScan, 'scan', qos.SENSOR)

    def _look(self, distance: float) -> float:
        now = self._node.get_clock().now().nanoseconds * 1e-9
        message = to_scan(now, 'laser', -np.pi, np.pi / 180.0, 0.05, 12.0, np.full(360, distance))
        sent = time.monotonic()
        self._scans.publish(message)
        return sent

    def sample(self, cause: str) -> float:
        """Measure once: seconds from 'scan' or 'command' to the first slower output."""
        path = self._path
        path.target = BASE
        self._look(np.inf)
        path.settle(ANSWER_TIMEOUT_S if path.output_at else START_TIMEOUT_S)
        # Where acceleration ends, jerk makes the speed dip a little: that is no braking.
        calm_until = time.monotonic() + CALM_S + random.uniform(0.0, PHASE_S)
        while (left := calm_until - time.monotonic()) > 0.0:
            rclpy.spin_once(self._node, timeout_sec=left)
            if abs(path.output - BASE) > SETTLED:
                path.settle(ANSWER_TIMEOUT_S)
                calm_until = time.monotonic() + CALM_S + random.uniform(0.0, PHASE_S)
        path.target = 0.0
        sent = self._look(NEAR) if cause == 'scan' else path.send()
        while not path.output < BASE - MOVED:
            if time.monotonic() - sent > ANSWER_TIMEOUT_S:
                raise TimeoutError(f'no braking in {ANSWER_TIMEOUT_S:g} s after a {cause}')
            rclpy.spin_once(self._node, timeout_sec=0.1)
        return path.output_at - sent


def measure_braking(samples: int) -> dict[str, list[float]]:
    """Return the times (s) from a scan and from a command to the first slower output."""
    node = rclpy.create_node('latency_probe')
    braking = Braking(node)
    found: dict[str, list[float]] = {'scan': [], 'command': []}
    try:
        for _ in range(samples):
            for cause, times in found.items():
                times.append(braking.sample(cause))
    finally:
        node.destroy_node()
    return found


def measure(samples: int) -> dict[str, list[float]]:
    """Return the latencies (s) of `guardrail` and `relay`, both running already."""
    node = rclpy.create_node('latency_probe')
    paths = {
        'guardrail': Path(node, 'cmd_vel_auto', 'cmd_vel'),
        'relay': Path(node, 'relay_in', 'relay_out'),
    }
    for path in paths.values():
        path.settle(START_TIMEOUT_S)
    found: dict[str, list[float]] = {name: [] for name in paths}
    try:
        for _ in range(samples):
            for name, path in paths.items():
                found[name].append(path.sample())
    finally:
        node.destroy_node()
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the latencies as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--samples', type=int, default=300)
    parser.add_argument('--braking', action='store_true')
    options = parser.parse_args(arguments)
    rclpy.init()
    try:
        found = (measure_braking if options.braking else measure)(options.samples)
        print(json.dumps(found), flush=True)
    finally:
        rclpy.try_shutdown()


if __name__ == '__main__':
    main()
