# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""A bench for the guardrail: a node beside it that commands it and times what comes out."""

import time

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import Twist, TwistStamped
from nav_msgs.msg import Odometry
import numpy as np
import rclpy
from sensor_msgs.msg import LaserScan
from std_msgs.msg import Bool, Float32

from wm_controller.nodes import qos
from wm_controller.nodes.conversions import to_scan


class Bench:
    """A node beside the guardrail that commands it and notes what comes out, with times."""

    def __init__(self, stamped=True):
        self.context = rclpy.Context()
        self.context.init(args=[])
        self.node = rclpy.create_node('bench', context=self.context)
        self.executor = rclpy.executors.SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.out, self.statuses, self.diagnostics = [], [], []
        kind = TwistStamped if stamped else Twist
        self.node.create_subscription(kind, 'cmd_vel', self._on_command, 1000)  # miss nothing
        self.node.create_subscription(
            DiagnosticStatus, 'guardrail/status', self.statuses.append, qos.STATUS)
        self.node.create_subscription(
            DiagnosticArray, '/diagnostics', self.diagnostics.append, qos.STATE)
        create = self.node.create_publisher
        self.commands = {source: create(TwistStamped, f'cmd_vel_{source}', qos.COMMAND)
                         for source in ('auto', 'teleop')}
        self.scans = create(LaserScan, 'scan', qos.SENSOR)
        self.odometry = create(Odometry, 'odom', qos.SENSOR)
        self.stops = create(Bool, 'emergency_stop', qos.COMMAND)
        self.surprises = create(Float32, 'surprise', qos.COMMAND)

    def _on_command(self, message):
        twist = getattr(message, 'twist', message)
        self.out.append((time.monotonic(), twist.linear.x, twist.angular.z))

    def now(self):
        return self.node.get_clock().now().nanoseconds * 1e-9

    def send(self, v, w=0.0, source='auto', frame='base_link', age=0.0):
        message = TwistStamped()
        message.header.frame_id = frame
        stamp = int((self.now() - age) * 1e9) if age is not None else 0
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp, 10**9)
        message.twist.linear.x, message.twist.angular.z = float(v), float(w)
        self.commands[source].publish(message)

    def scan(self, distance=np.inf):
        self.scans.publish(to_scan(
            self.now(), 'laser', -np.pi, np.pi / 180, 0.05, 12.0, np.full(360, distance)))

    def spin(self, seconds, act=None, every=0.05):
        """Let time pass, doing something now and then."""
        end, due = time.monotonic() + seconds, 0.0
        while time.monotonic() < end:
            if act is not None and time.monotonic() >= due:
                act()
                due = time.monotonic() + every
            self.executor.spin_once(timeout_sec=0.005)

    def until(self, condition, what, act=None, timeout=15.0):
        """Wait for a condition, doing something meanwhile; return how long it took, s."""
        begin = time.monotonic()
        while not condition():
            assert time.monotonic() - begin < timeout, f'timed out waiting for {what}'
            self.spin(0.01, act)
        return time.monotonic() - begin

    def drive(self, v=0.5, **options):
        """Command until the guardrail lets it through in full."""
        self.until(lambda: self.out and abs(self.out[-1][1] - v) < 1e-6, f'{v} m/s',
                   lambda: self.send(v, **options))

    def first_slower(self, since, speed):
        """Seconds from a time until the first command that brakes."""
        self.until(lambda: any(t > since and v < speed - 1e-9 for t, v, _ in self.out), 'braking')
        return next(t for t, v, _ in self.out if t > since and v < speed - 1e-9) - since

    def until_stopped(self, since, act=None):
        """Seconds from a time until cmd_vel is zero."""
        self.until(lambda: self.out[-1][0] > since and self.out[-1][1:] == (0.0, 0.0), 'zero', act)
        return self.out[-1][0] - since

    def call(self, kind, name, **fields):
        client = self.node.create_client(kind, f'guardrail/{name}')
        assert client.wait_for_service(10.0)
        request = kind.Request(**fields)
        answer = client.call_async(request)
        self.until(answer.done, name)
        return answer.result()

    def status(self):
        return {pair.key: pair.value for pair in self.statuses[-1].values}

    def diagnosed(self):
        return {pair.key: pair.value for pair in self.diagnostics[-1].status[0].values}

    def close(self):
        self.executor.remove_node(self.node)  # in this order: the other one crashed in rcl
        self.node.destroy_node()
        self.executor.shutdown()
        self.context.try_shutdown()
