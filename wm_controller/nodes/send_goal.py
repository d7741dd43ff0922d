# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Sends one goal to the controller and tells what became of it.

python -m wm_controller.nodes.send_goal 3.0 1.0 --frame odom --wait 60
"""

import argparse
from collections.abc import Sequence
import sys
import time

from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import PoseStamped
import rclpy
from rclpy.node import Node

from wm_controller.nodes import qos

ENDS = ('reached', 'lost', 'unreachable', 'fault')
# What the status says before it listens, when panel and recorder may hear goals already.
NOT_YET = ('unconfigured', 'configuring', 'inactive', 'activating')
CONTROLLER_TIMEOUT_S = 40.0  # loading a model included


class GoalSender(Node):
    """Publishes on `goal_pose` and follows `controller/status`."""

    def __init__(self) -> None:
        super().__init__('goal_sender')
        self.state, self._active = '', False
        self._publisher = self.create_publisher(PoseStamped, 'goal_pose', qos.COMMAND)
        self.create_subscription(
            DiagnosticStatus, 'controller/status', self._on_status, qos.STATUS
        )

    def _on_status(self, message: DiagnosticStatus) -> None:
        self.state = {pair.key: pair.value for pair in message.values}.get('state', '')
        self._active = message.message not in NOT_YET

    def wait_until_listening(self, timeout_s: float) -> bool:
        """Wait for a controller that takes goals; say whether there is one."""
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            rclpy.spin_once(self, timeout_sec=0.1)
            if self._active and self.state in ('idle', *ENDS[:3]) and (
                    self._publisher.get_subscription_count()):
                return True
        return False

    def send(self, x: float, y: float, frame: str) -> None:
        """Publish the goal: metres in the frame, any heading."""
        message = PoseStamped()
        message.header.frame_id = frame
        message.header.stamp = self.get_clock().now().to_msg()
        message.pose.position.x, message.pose.position.y = x, y
        message.pose.orientation.w = 1.0
        self._publisher.publish(message)

    def follow(self, timeout_s: float) -> str:
        """Spin until the drive has ended or time is up, and return the state."""
        until = time.monotonic() + timeout_s
        moving = False
        while time.monotonic() < until:
            rclpy.spin_once(self, timeout_sec=0.1)
            moving = moving or self.state == 'planning'
            if moving and self.state in ENDS:
                break
        return self.state


def main(arguments: Sequence[str] | None = None) -> None:
    """Send a goal; exit with 0 if it was reached."""
    parser = argparse.ArgumentParser(description='Send the controller to a place.')
    parser.add_argument('x', type=float, help='m')
    parser.add_argument('y', type=float, help='m')
    parser.add_argument('--frame', default='odom')
    parser.add_argument('--wait', type=float, default=120.0, help='seconds to follow the drive')
    given = parser.parse_args(arguments)
    rclpy.init()
    try:
        node = GoalSender()
        if not node.wait_until_listening(CONTROLLER_TIMEOUT_S):
            sys.exit(f'send_goal: no active controller after {CONTROLLER_TIMEOUT_S:g} s')
        node.send(given.x, given.y, given.frame)
        state = node.follow(given.wait)
    finally:
        rclpy.try_shutdown()
    print(state)
    sys.exit(0 if state == 'reached' else 1)


if __name__ == '__main__':
    main()
