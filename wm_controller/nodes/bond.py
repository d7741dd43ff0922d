# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
The one place that knows bond: heartbeats by which Nav2's lifecycle manager sees that a node lives.

The protocol is that of bond_core. A sister that falls silent breaks the bond at the manager; one
that goes says so once, and is answered once. They come from the node's executor: who is stuck is
silent. ROS installations have bond, the wheels from PyPI have not.
"""

from __future__ import annotations

from typing import Any
import uuid

from rclpy.clock import Clock, ClockType

from wm_controller.nodes import qos

try:
    from bond.msg import Status
except ImportError:
    Status = None

HEARTBEAT_TIMEOUT_S = 4.0
"""After which a bond counts as broken; said to the sister, who goes by her own."""


class Bond:
    """A node's end of the bond on topic `bond`; does nothing with `period_s` 0 or without bond."""

    def __init__(self, node: Any, period_s: float) -> None:
        self._node, self._period_s = node, period_s
        self._beating = False
        if Status is None or period_s <= 0.0:
            return
        self._instance = str(uuid.uuid4())
        self._out = node.create_publisher(Status, 'bond', qos.STATE)
        node.create_subscription(Status, 'bond', self._on_status, qos.STATE)
        node.create_timer(period_s, self._beat, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def form(self) -> None:
        """Begin to beat: the node is active."""
        if Status is not None and self._period_s > 0.0:
            self._beating = True
            self._beat()

    def break_(self) -> None:
        """Say once that it ends."""
        if self._beating:
            self._beating = False
            self._say(alive=False)

    def _beat(self) -> None:
        if self._beating:
            self._say(alive=True)

    def _on_status(self, status: Any) -> None:
        ours = status.id == self._node.get_name() and status.instance_id != self._instance
        if ours and not status.active:
            self.break_()  # the sister went first, and waits for this answer

    def _say(self, alive: bool) -> None:
        status = Status(id=self._node.get_name(), instance_id=self._instance, active=alive,
                        heartbeat_timeout=HEARTBEAT_TIMEOUT_S, heartbeat_period=self._period_s)
        status.header.stamp = self._node.get_clock().now().to_msg()
        self._out.publish(status)
