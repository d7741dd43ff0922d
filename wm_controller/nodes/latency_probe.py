# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
A node that sends commands and times when they come out of the guardrail and of a bare relay.

The guardrail publishes at a fixed rate also when nothing comes in. So the probe holds a speed
until it comes out unchanged, then asks for a slightly different one: the first output that moves
is the answer. Both paths take turns, so that they meet the same load of the machine.
"""

import argparse
from collections.abc import Sequence
import json
import random
import time

from geometry_msgs.msg import TwistStamped
import rclpy
from rclpy.node import Node

from wm_controller.nodes import qos

BASE, STEP = 0.1, 0.004  # m/s; the step is small enough for every acceleration limit
SETTLED, MOVED = 1e-6, 1e-7  # m/s
START_TIMEOUT_S, ANSWER_TIMEOUT_S = 20.0, 1.0
KEEP_ALIVE_S = 0.1  # commands time out after half a second
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
    samples = parser.parse_args(arguments).samples
    rclpy.init()
    try:
        print(json.dumps(measure(samples)), flush=True)
    finally:
        rclpy.try_shutdown()


if __name__ == '__main__':
    main()
