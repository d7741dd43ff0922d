# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Hears everything that tells how a robot takes a fault, and acts for its operator.

It spins in a thread of its own, so that what it hears is timed when it comes; commands are timed
by their sender.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseStamped, TwistStamped
from nav_msgs.msg import Odometry
import numpy as np
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.parameter_client import AsyncParameterClient
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import Bool, UInt32
from std_srvs.srv import SetBool, Trigger

from wm_controller.errors import InputError
from wm_controller.evaluation.faults.record import Command, Record, Said, Truth
from wm_controller.nodes import qos
from wm_controller.nodes.conversions import MessageError, planar_pose, to_quaternion, to_stamp

EVERY_COMMAND = QoSProfile(depth=1000)
EVERY_STATUS = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
ANSWER_S = 5.0


class FaultObserver(Node):
    """Notes what comes in `record`; its orders return when they are taken."""

    def __init__(self) -> None:
        super().__init__('fault_observer')
        self.record = Record()
        self.ros_time = 0.0  # of the robot's own odometry, whatever /clock says
        self.believed: np.ndarray | None = None  # (3,) in odom
        # time.time() and time.monotonic() of one moment, to map one to the other
        self._epoch = time.time() - time.monotonic()
        record, subscribe = self.record, self.create_subscription
        for topic, heard in (('cmd_vel', record.commands), ('cmd_vel_auto', record.wanted)):
            self._hear_commands(topic, heard)
        for topic, said in (('guardrail/status', record.guardrail),
                            ('controller/status', record.controller)):
            self._hear_status(topic, said)
        subscribe(DiagnosticArray, '/diagnostics', self._on_diagnostics, qos.STATE)
        subscribe(Odometry, 'ground_truth', self._on_truth, qos.STATE)
        subscribe(Odometry, 'raw/odom', self._on_odometry, qos.SENSOR)
        subscribe(UInt32, 'collisions', lambda m: record.bumps.append(
            (time.monotonic(), m.data)), qos.STATUS)
        self._goal = self.create_publisher(PoseStamped, 'goal_pose', qos.COMMAND)
        self._teleop = self.create_publisher(TwistStamped, 'cmd_vel_teleop', qos.COMMAND)
        self._stop = self.create_publisher(Bool, 'emergency_stop', qos.STATE)
        self._triggers: dict[str, Any] = {name: self.create_client(Trigger, name) for name in (
            'controller/cancel', 'controller/remember', 'guardrail/reset', 'recorder/mark')}
        self._enable: Any = self.create_client(SetBool, 'guardrail/enable')
        self._injector = AsyncParameterClient(self, 'fault_injector')
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self)
        self._thread = threading.Thread(target=self._executor.spin, daemon=True)
        self._thread.start()

    def _hear_commands(self, topic: str, heard: list[Command]) -> None:
        def note(message: TwistStamped, info: Any) -> None:
            sent = info['source_timestamp'] * 1e-9 - self._epoch
            stamp = message.header.stamp.sec + message.header.stamp.nanosec * 1e-9
            heard.append(Command(sent, stamp, message.twist.linear.x, message.twist.angular.z,
                                 message.header.frame_id,
                                 info.get('publication_sequence_number') or 0))
        self.create_subscription(TwistStamped, topic, note, EVERY_COMMAND)

    def _hear_status(self, topic: str, said: list[Said]) -> None:
        self.create_subscription(
            DiagnosticStatus, topic, lambda message: said.append(_said(message)), EVERY_STATUS)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        self.record.diagnostics += map(_said, message.status)

    def _on_truth(self, message: Odometry) -> None:
        x, y, yaw = planar_pose(message.pose.pose, 'ground_truth')
        twist = message.twist.twist
        self.record.truth.append(Truth(
            time.monotonic(), (float(x), float(y), float(yaw)), twist.linear.x, twist.angular.z))

    def _on_odometry(self, message: Odometry) -> None:
        try:
            self.believed = planar_pose(message.pose.pose, 'raw/odom')
        except MessageError:
            return
        self.ros_time = message.header.stamp.sec + message.header.stamp.nanosec * 1e-9

    # Orders

    def send_goal(self, x: float, y: float) -> float:
        """Send a goal in odom, m; returns when."""
        message = PoseStamped()
        message.header.stamp = to_stamp(self.ros_time)
        message.header.frame_id = 'odom'
        message.pose.position.x, message.pose.position.y = x, y
        message.pose.orientation = to_quaternion(0.0)
        return _sent(self._goal, message)

    def hears_goals(self) -> bool:
        """Whether somebody listens for goals."""
        return self._goal.get_subscription_count() > 0

    def teleop(self, v: float, w: float = 0.0, stamp: float | None = None) -> float:
        """Command by hand, m/s and rad/s, with a ROS stamp of now unless another one is given."""
        message = TwistStamped()
        message.header.stamp = to_stamp(self.ros_time if stamp is None else stamp)
        message.header.frame_id = 'base_link'
        message.twist.linear.x, message.twist.angular.z = v, w
        return _sent(self._teleop, message)

    def emergency_stop(self) -> float:
        """Press the emergency stop; returns when."""
        return _sent(self._stop, Bool(data=True))

    def trigger(self, service: str) -> tuple[bool, str]:
        """Call a service of no arguments; whether it was done, and its line."""
        answer = self._answer(self._triggers[service], Trigger.Request(), service)
        return answer.success, answer.message

    def enable(self) -> tuple[bool, str]:
        """Allow autonomy."""
        answer = self._answer(self._enable, SetBool.Request(data=True), 'guardrail/enable')
        return answer.success, answer.message

    def inject(self, fault: str) -> float:
        """Let the man in the middle do this from now on; returns when it was told to."""
        began = time.monotonic()
        while not self._injector.services_are_ready():
            if time.monotonic() - began > ANSWER_S:
                raise InputError('the fault injector does not answer')
            time.sleep(0.01)
        told = time.monotonic()
        future = self._injector.set_parameters([Parameter('fault', value=fault)])
        result = _wait(future, 'fault_injector').results[0]
        if not result.successful:
            raise InputError(result.reason)
        return told

    def _answer(self, client: Any, request: Any, what: str) -> Any:
        if not client.wait_for_service(ANSWER_S):
            raise InputError(f'{what} is not there')
        return _wait(client.call_async(request), what)

    def close(self) -> None:
        """Leave the graph."""
        self._executor.shutdown(timeout_sec=1.0)
        self._thread.join(2.0)
        self.destroy_node()


def _sent(publisher: Any, message: Any) -> float:
    now = time.monotonic()
    publisher.publish(message)
    return now


def _wait(future: Any, what: str) -> Any:
    until = time.monotonic() + ANSWER_S
    while not future.done():
        if time.monotonic() > until:
            raise InputError(f'{what} has not answered for {ANSWER_S:g} s')
        time.sleep(0.005)
    return future.result()


def _said(message: Any) -> Said:
    return Said(time.monotonic(), message.name, message.message,
                {pair.key: pair.value for pair in message.values})
