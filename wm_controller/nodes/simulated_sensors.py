# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
What the simulated robot tells ROS: clock, camera, laser, odometry, truth and bumps.

Each has its rate in simulated time; images are drawn only while somebody listens.
"""

from __future__ import annotations

from dataclasses import dataclass
import math

from geometry_msgs.msg import Quaternion
from nav_msgs.msg import Odometry
from rclpy.node import Node
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, LaserScan
from std_msgs.msg import UInt32

from wm_controller.nodes import qos
from wm_controller.nodes.conversions import to_odometry, to_quaternion, to_scan, to_stamp
from wm_controller.nodes.frames import FrameOutlet, to_transform
from wm_controller.nodes.images import to_camera_info, to_compressed, to_image
from wm_controller.nodes.pace import Every
from wm_controller.simulation.world import World

TRUTH_HZ = 50.0
BUMPS_HZ = 10.0
LASER_NEAREST = 0.02  # m
ODOMETRY_VARIANCES = (0.01, 0.02)  # m^2, rad^2


@dataclass(frozen=True)
class Frames:
    """Names of the frames; `camera` looks along x, `optical` is the same in REP-103's axes."""

    odom: str = 'odom'
    base: str = 'base_link'
    camera: str = 'camera_link'
    optical: str = 'camera_optical_frame'


@dataclass(frozen=True)
class Mute:
    """Sensors that are unplugged: they exist on the graph and say nothing."""

    camera: bool = False
    scan: bool = False
    odom: bool = False


class SimulatedSensors:
    """Publishes what is due at the simulator's time; `time_s` is the node's, which never jumps."""

    def __init__(self, node: Node, frames: Frames, camera_hz: float, scan_hz: float) -> None:
        self.mute = Mute()
        self.images = 0
        self._frames = frames
        self._camera_due, self._scan_due = Every(camera_hz), Every(scan_hz)
        self._truth_due, self._bumps_due = Every(TRUTH_HZ), Every(BUMPS_HZ)
        self._odometry_stamp = -1.0
        self._bumps = -1
        publish = node.create_publisher
        self._clock = publish(Clock, '/clock', qos.CLOCK)
        self._image = publish(Image, 'image', qos.IMAGE)
        self._compressed = publish(CompressedImage, 'image/compressed', qos.IMAGE)
        self._camera_info = publish(CameraInfo, 'camera_info', qos.STATE)
        # reliable publishers are heard by every subscriber, best-effort ones by some
        self._scan = publish(LaserScan, 'scan', qos.STATE)
        self._odom = publish(Odometry, 'odom', qos.STATE)
        self._truth = publish(Odometry, 'ground_truth', qos.STATE)
        self._collisions = publish(UInt32, 'collisions', qos.STATUS)
        self._transforms = FrameOutlet(node)
        if not self._transforms.available:
            node.get_logger().info('no tf2 here: tf is not published')

    def begin(self, world: World) -> None:
        """Announce what does not change, at the start and after a reset."""
        self._bumps = self._odometry_stamp = -1
        camera = world.camera
        half = camera.pitch / 2
        self._transforms.send_fixed([
            to_transform(0.0, self._frames.base, self._frames.camera, (camera.x, 0.0, camera.z),
                         Quaternion(y=math.sin(half), w=math.cos(half))),
            to_transform(0.0, self._frames.camera, self._frames.optical, (0.0, 0.0, 0.0),
                         Quaternion(x=-0.5, y=0.5, z=-0.5, w=0.5))])

    def publish(self, world: World, time_s: float) -> None:
        """Publish the clock, and every sensor that is due."""
        self._clock.publish(Clock(clock=to_stamp(time_s)))
        self._publish_odometry(world, time_s)
        if self._truth_due.due(time_s):
            pose = world.world_to_odom(world.pose)
            self._truth.publish(to_odometry(
                time_s, pose, world.twist, self._frames.odom, self._frames.base))
        bumped = world.collisions != self._bumps
        if self._bumps_due.due(time_s) or bumped:
            self._bumps = world.collisions
            self._collisions.publish(UInt32(data=self._bumps))
        if self._scan_due.due(time_s) and not self.mute.scan:
            self._publish_scan(world, time_s)
        if self._camera_due.due(time_s) and not self.mute.camera:
            self._publish_image(world, time_s)

    def _publish_odometry(self, world: World, time_s: float) -> None:
        odometry = world.odometry
        if odometry.stamp == self._odometry_stamp:
            return
        self._odometry_stamp = odometry.stamp
        if self.mute.odom:
            return
        stamp = time_s - (world.time - odometry.stamp)
        self._odom.publish(to_odometry(
            stamp, odometry.pose, odometry.twist, self._frames.odom, self._frames.base,
            ODOMETRY_VARIANCES))
        x, y, yaw = odometry.pose
        self._transforms.send(to_transform(
            stamp, self._frames.odom, self._frames.base, (x, y, 0.0), to_quaternion(yaw)))

    def _publish_scan(self, world: World, time_s: float) -> None:
        if self._scan.get_subscription_count() == 0:
            return
        scan = world.scan()
        self._scan.publish(to_scan(
            time_s, self._frames.base, scan.angle_min, scan.angle_increment, LASER_NEAREST,
            scan.range_max, scan.ranges))

    def _publish_image(self, world: World, time_s: float) -> None:
        raw = self._image.get_subscription_count() > 0
        compressed = self._compressed.get_subscription_count() > 0
        camera = world.camera
        if self._camera_info.get_subscription_count() > 0:
            self._camera_info.publish(to_camera_info(
                time_s, self._frames.optical, camera.width, camera.height, camera.hfov))
        if not (raw or compressed):
            return
        pixels = world.image()
        self.images += 1
        if raw:
            self._image.publish(to_image(pixels, time_s, self._frames.optical))
        if compressed:
            self._compressed.publish(to_compressed(pixels, time_s, self._frames.optical))
