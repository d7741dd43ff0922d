# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Where plans become messages.

`cmd_vel_auto`, `plan`, `plan_far` (of the upper level), `surprise`, `imagination`, `memory`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from geometry_msgs.msg import TwistStamped
from nav_msgs.msg import Path
import numpy as np
from rclpy.duration import Duration
from std_msgs.msg import Float32

from wm_controller.nodes import qos
from wm_controller.nodes.conversions import to_path, to_stamp
from wm_controller.nodes.imagination_outlet import ImaginationOutlet
from wm_controller.nodes.memory_outlet import MemoryOutlet
from wm_controller.planning.contract import Plan

HEARD_TIMEOUT_S = 0.2


class PlanOutlet:
    """
    Publishes through lifecycle publishers of the node, so nothing goes out unless it is active.

    Called from the worker's thread and the executor's; publishing is safe from both.
    """

    def __init__(self, node: Any, clock: Callable[[], float],
                 complain: Callable[[str, str], None]) -> None:
        self._clock, self._complain = clock, complain
        self.odom_frame, self.base_frame, self.step_s = 'odom', 'base_link', 0.0
        publisher = node.create_lifecycle_publisher
        self._command = publisher(TwistStamped, 'cmd_vel_auto', qos.COMMAND)
        self._path = publisher(Path, 'plan', qos.COMMAND)
        self._far_path = publisher(Path, 'plan_far', qos.COMMAND)
        self._surprise = publisher(Float32, 'surprise', qos.COMMAND)
        self.imagination = ImaginationOutlet(node, complain)
        self.memory = MemoryOutlet(node)

    def send(self, plan: Plan) -> None:
        """Send the command of a plan, stamped as its image, then what it imagined."""
        self._publish_command(plan.stamp, plan.v, plan.w)
        if len(plan.path) and self._path.get_subscription_count():
            self._path.publish(to_path(plan.stamp, plan.path, self.odom_frame, self.step_s))
        if plan.far_path is not None and self._far_path.get_subscription_count():
            self._far_path.publish(to_path(plan.stamp, plan.far_path, self.odom_frame, 0.0))
        if np.isfinite(plan.surprise):
            self._surprise.publish(Float32(data=float(plan.surprise)))
        self.imagination.planned(plan)
        if len(plan.path):
            self.memory.show(plan.stamp, plan.path[0])

    def halt(self) -> None:
        """Command zero, stamped now: it is no view of the world that asks for it."""
        self._publish_command(self._clock(), 0.0, 0.0)

    def last_word(self) -> None:
        """Command zero and wait until it has been heard: the publisher may go after this."""
        self.halt()
        self._command.wait_for_all_acked(Duration(seconds=HEARD_TIMEOUT_S))

    def complain(self, line: str) -> None:
        """Tell what the loop found wrong."""
        self._complain('loop', line)

    def _publish_command(self, stamp: float, v: float, w: float) -> None:
        message = TwistStamped()
        message.header.stamp = to_stamp(stamp)
        message.header.frame_id = self.base_frame
        message.twist.linear.x, message.twist.angular.z = float(v), float(w)
        self._command.publish(message)
