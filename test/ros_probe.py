# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""A node in the test's own process that listens, sends and calls; spins only when told to."""

from __future__ import annotations

import os
import time

from geometry_msgs.msg import PoseStamped
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.parameter_client import AsyncParameterClient
from std_srvs.srv import Trigger

from wm_controller.nodes import qos


class Probe:
    """Context manager; uses the ROS_DOMAIN_ID that the fixture `ros_domain` has set."""

    def __enter__(self):
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=int(os.environ['ROS_DOMAIN_ID']))
        self.node = Node('probe', context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        return self

    def __exit__(self, *_):
        self.executor.remove_node(self.node)  # in this order: the other one crashed in rcl
        self.node.destroy_node()
        self.executor.shutdown()
        rclpy.shutdown(context=self.context)

    def listen(self, kind, topic, profile=qos.STATE, keep=lambda message: message):
        """Collect messages of a topic from now on, as `keep` makes them."""
        heard = []
        self.node.create_subscription(
            kind, topic, lambda message: heard.append(keep(message)), profile)
        return heard

    def publisher(self, kind, topic, profile=qos.COMMAND, wait_s=20.0):
        """Publisher that somebody already listens to."""
        made = self.node.create_publisher(kind, topic, profile)
        self.until(lambda: made.get_subscription_count() > 0, wait_s, f'a listener on {topic}')
        return made

    def spin(self, duration_s):
        end = time.monotonic() + duration_s
        while time.monotonic() < end:
            self.executor.spin_once(timeout_sec=0.01)

    def until(self, condition, timeout_s=20.0, what='the condition'):
        """Spin until the condition holds; fails with what was waited for."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            if condition():
                return
            self.executor.spin_once(timeout_sec=0.01)
        raise AssertionError(f'waited {timeout_s} s in vain for {what}')

    def call(self, service, kind=Trigger, request=None, timeout_s=20.0):
        client = self.node.create_client(kind, service)
        self.until(client.service_is_ready, timeout_s, service)
        future = client.call_async(request or kind.Request())
        self.until(future.done, timeout_s, f'the answer of {service}')
        return future.result()

    def set_parameter(self, node, name, value, timeout_s=20.0):
        client = AsyncParameterClient(self.node, node)
        self.until(client.services_are_ready, timeout_s, f'parameters of {node}')
        future = client.set_parameters([Parameter(name, value=value)])
        self.until(future.done, timeout_s, f'{node} to take {name}')
        return future.result().results[0]


def values_of(status):
    """Values of a DiagnosticStatus as a dictionary."""
    return {pair.key: pair.value for pair in status.values}


def pose_goal(x, y, frame='odom', w=1.0):
    message = PoseStamped()
    message.header.frame_id = frame
    message.pose.position.x, message.pose.position.y = float(x), float(y)
    message.pose.orientation.w = w
    return message
