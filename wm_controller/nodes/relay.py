# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""A node that hands commands on and nothing else: what `wm bench` holds the guardrail against."""

from geometry_msgs.msg import TwistStamped
from rclpy.node import Node

from wm_controller.nodes import qos, real_time, runtime
from wm_controller.nodes.guardrail_parameters import THREAD_PRIORITY


class Relay(Node):
    """Publishes on `relay_out` what comes on `relay_in`."""

    def __init__(self) -> None:
        super().__init__('relay')
        publisher = self.create_publisher(TwistStamped, 'relay_out', qos.COMMAND)
        self.create_subscription(TwistStamped, 'relay_in', publisher.publish, qos.COMMAND)


def _as_the_guardrail() -> Relay:
    """Make the node in a process with the guardrail's advantages: its work is compared."""
    real_time.lock_memory()
    real_time.raise_priority(THREAD_PRIORITY)
    return Relay()


def main() -> None:
    """Run the node."""
    runtime.run(_as_the_guardrail)


if __name__ == '__main__':
    main()
