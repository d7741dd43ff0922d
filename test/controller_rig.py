# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The controller node with a driver of a few lines, and a probe that plays all else."""

import contextlib

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseStamped, TwistStamped
from nav_msgs.msg import Odometry, Path
import numpy as np
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image
from std_msgs.msg import Float32

from ros_probe import pose_goal, values_of
from wm_controller.nodes import qos
from wm_controller.nodes.controller import ControllerNode
from wm_controller.nodes.conversions import to_odometry, to_stamp
from wm_controller.nodes.images import to_image
from wm_controller.planning.contract import Plan

PICTURE = np.full((24, 32, 3), 90, np.uint8)
SPEED = 0.25


class Driver:
    """Drives forward as long as there is a goal."""

    def __init__(self):
        self.goal, self.observation, self.error = None, None, None
        self.heard = []

    def set_goal(self, goal):
        self.goal = goal

    def observe(self, observation):
        self.observation = observation

    def plan(self, now, deadline_s):
        if self.error is not None:
            raise self.error
        stamp = self.observation.stamp
        if self.goal is None:
            return Plan(stamp)
        return Plan(stamp, v=SPEED, path=np.array([[0.0, 0.0, 0.0], [0.1, 0.0, 0.0]]),
                    far_path=np.array([[0.0, 0.0, 0.0], [0.8, 0.1, 0.0], [1.6, 0.3, 0.0]]),
                    state='planning', goal_distance=1.5, surprise=0.3)

    def admitted(self, stamp, v, w):
        self.heard.append((v, w))

    def reset(self):
        self.goal = None


class Rig:
    """A controller with the driver, and a probe that plays camera, odometry and operator."""

    def __init__(self, probe, make=None, **parameters):
        self.probe, self.driver = probe, Driver()
        self.commands = probe.listen(TwistStamped, 'cmd_vel_auto')
        self.statuses = probe.listen(DiagnosticStatus, 'controller/status', qos.STATUS)
        self.figures = probe.listen(
            DiagnosticArray, '/diagnostics', keep=lambda m: values_of(m.status[0]))
        self.paths = probe.listen(Path, 'plan')
        self.far_paths = probe.listen(Path, 'plan_far')
        self.surprises = probe.listen(Float32, 'surprise')
        self.node = ControllerNode(
            make or (lambda settings: (self.driver, 'double', 0.2)), context=probe.context,
            parameter_overrides=[Parameter(name, value=value)
                                 for name, value in parameters.items()])
        probe.executor.add_node(self.node)
        self.images = probe.node.create_publisher(Image, 'image', qos.IMAGE)
        self.odometry = probe.node.create_publisher(Odometry, 'odom', qos.SENSOR)
        self.goals = probe.node.create_publisher(PoseStamped, 'goal_pose', qos.COMMAND)
        self.goal_images = probe.node.create_publisher(Image, 'goal_image', qos.COMMAND)

    def close(self):
        self.node.bring_down()
        self.probe.executor.remove_node(self.node)
        self.node.destroy_node()

    def now(self):
        return self.probe.node.get_clock().now().nanoseconds * 1e-9

    def ready(self):
        self.probe.until(lambda: self.images.get_subscription_count()
                         and self.goals.get_subscription_count()
                         and self.odometry.get_subscription_count(), what='the controller')
        return self

    def show(self, count=1, message=None, stop=lambda: False):
        """Publish images at 20 Hz, with odometry."""
        for _ in range(count):
            stamp = self.now()
            self.odometry.publish(to_odometry(
                stamp, np.array([1.0, 2.0, 0.0]), np.zeros(2), 'odom', 'base_link'))
            image = message or to_image(PICTURE, stamp, 'camera')
            image.header.stamp = to_stamp(stamp)
            self.images.publish(image)
            self.probe.spin(0.05)
            if stop():
                return

    def drive(self):
        """Give a goal and show images until it drives."""
        self.goals.publish(pose_goal(3.0, 1.0))
        self.show(200, stop=lambda: bool(self.commands) and self.speeds()[-1] == SPEED)
        assert self.speeds()[-1] == SPEED

    def speeds(self):
        return [message.twist.linear.x for message in self.commands]

    def state(self):
        return values_of(self.statuses[-1])['state'] if self.statuses else None

    def complaint(self):
        return self.figures[-1].get('last_complaint', '') if self.figures else ''


@contextlib.contextmanager
def rigs(probe):
    """Give what makes rigs on a probe; they are closed at the end."""
    made = []

    def make(*args, **parameters):
        made.append(Rig(probe, *args, **parameters))
        return made[-1]
    yield make
    for rig in made:
        rig.close()
