# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
A second source of commands that does everything wrong that a source can do.

It shares `cmd_vel_auto` with the controller, as a program does that somebody forgot to stop.
Remapped to `cmd_vel`, `survey` stands for somebody who drives by hand while a doctor listens.
"""

from __future__ import annotations

from collections.abc import Sequence
import math
import time
from typing import Any

from geometry_msgs.msg import TwistStamped
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile

from wm_controller.doctor.programme import command_at
from wm_controller.nodes import qos, runtime
from wm_controller.nodes.conversions import to_stamp

FRAME = 'base_footprint'  # taken for base_link; the controller says base_link: tells them apart
KINDS: dict[str, tuple[float, float, float]] = {  # v m/s, w rad/s, stamp ahead of now s
    'not_a_number': (math.nan, math.nan, 0.0),
    'infinite': (math.inf, -math.inf, 0.0),
    'huge': (1e300, 1e300, 0.0),
    'old': (0.5, 0.0, -5.0),
    'future': (0.5, 0.0, 5.0),
    'forward': (0.5, 0.0, 0.0),
    'still': (0.0, 0.0, 0.0),
}
SURVEY = 'survey'  # the doctor's programme, from when somebody listens

SPECS = (
    runtime.Spec('kind', 'forward', 'What it commands', choices=(*KINDS, SURVEY),
                 fixed=True),
    runtime.Spec('listeners', 1, 'Begin when so many listen', 1, 100, fixed=True),
    runtime.Spec('reliable', True, 'Quality of service of its publisher', fixed=True),
    runtime.Spec('rate', 20.0, 'How often', 1.0, 2000.0, unit='Hz', fixed=True),
)


class FaultCommanderNode(Node):
    """Commands one thing at one rate, for ever."""

    def __init__(self) -> None:
        super().__init__('fault_commander')
        values = runtime.declare(self, SPECS)
        v, w, self._ahead_s = KINDS.get(values['kind'], (0.0, 0.0, 0.0))
        self._survey, self._began_s = values['kind'] == SURVEY, 0.0
        self._listeners = values['listeners']
        self._message: Any = TwistStamped()
        self._message.header.frame_id = FRAME
        self._message.twist.linear.x, self._message.twist.angular.z = v, w
        profile = qos.COMMAND if values['reliable'] else QoSProfile(
            depth=1, reliability=qos.BEST_EFFORT)
        self._publisher = self.create_publisher(TwistStamped, 'cmd_vel_auto', profile)
        self.create_timer(1.0 / values['rate'], self._send, clock=Clock(
            clock_type=ClockType.STEADY_TIME))

    def _send(self) -> None:
        now_s = self.get_clock().now().nanoseconds * 1e-9
        if now_s <= 0.0 or self._publisher.get_subscription_count() < self._listeners:
            return
        self._message.header.stamp = to_stamp(now_s + self._ahead_s)
        if self._survey:
            self._began_s = self._began_s or time.monotonic()
            twist = self._message.twist
            twist.linear.x, twist.angular.z = command_at(time.monotonic() - self._began_s)
        self._publisher.publish(self._message)


def main(args: Sequence[str] | None = None) -> None:
    """Command until told to end."""
    runtime.run(FaultCommanderNode, args)


if __name__ == '__main__':
    main()
