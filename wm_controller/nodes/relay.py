# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""A node that hands commands on and nothing else: what `wm bench` holds the guardrail against."""

from geometry_msgs.msg import TwistStamped
from rclpy.node import Node

from wm_controller.nodes import qos, runtime


class Relay(Node):
    """Publishes on `relay_out` what comes on `relay_in`."""

    def __init__(self) -> None:
        super().__init__('relay')
        publisher = self.create_publisher(TwistStamped, 'relay_out', qos.COMMAND)
        self.create_subscription(TwistStamped, 'relay_in', publisher.publish, qos.COMMAND)


def main() -> None:
    """Run the node."""
    runtime.run(Relay)


if __name__ == '__main__':
    main()
