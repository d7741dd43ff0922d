# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The one place that knows tf2, which ROS installations have and the wheels from PyPI have not."""

from __future__ import annotations

from dataclasses import replace
import math
from typing import Any

from geometry_msgs.msg import Quaternion, TransformStamped
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.time import Time

from wm_controller.nodes.conversions import (
    frame_name,
    GoalReading,
    MessageError,
    to_stamp,
    yaw_of,
)

try:
    import tf2_ros
except ImportError:
    tf2_ros = None
try:
    from tf2_msgs.msg import TFMessage
except ImportError:
    TFMessage = None


class FrameError(MessageError):
    """Nothing leads from the frame of a message to ours."""


class GoalFrames:
    """Brings goals into `odom_frame`; refuses frames that nothing connects to it."""

    def __init__(self, node: Any, odom_frame: str) -> None:
        self._odom_frame = odom_frame
        self._buffer: Any = None
        if tf2_ros is not None:
            self._buffer = tf2_ros.Buffer(node=node)
            self._listener = tf2_ros.TransformListener(self._buffer, node)

    def to_odom(self, goal: GoalReading) -> GoalReading:
        """Return the goal in the odometry frame, or raise `FrameError`."""
        if goal.frame_id == self._odom_frame:
            return goal
        if self._buffer is None:
            raise FrameError(
                f"goal_pose: frame '{goal.frame_id}' cannot be transformed, as tf2 is not "
                f"installed; send the goal in '{self._odom_frame}'")
        try:
            found = self._buffer.lookup_transform(self._odom_frame, goal.frame_id, Time())
        except tf2_ros.TransformException as error:
            reason = ' '.join(str(error).split())
            raise FrameError(
                f"goal_pose: no transform from '{goal.frame_id}' to '{self._odom_frame}': "
                f'{reason}') from error
        return transformed(goal, found.transform, self._odom_frame)


class FrameOutlet:
    """Publishes transforms on `tf` and `tf_static`; does nothing where ROS has no tf2."""

    def __init__(self, node: Any) -> None:
        self.available = TFMessage is not None
        if self.available:
            latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
            self._moving = node.create_publisher(TFMessage, 'tf', 10)
            self._fixed = node.create_publisher(TFMessage, 'tf_static', latched)

    def send(self, transform: TransformStamped) -> None:
        """Publish where a frame is now."""
        if self.available:
            self._moving.publish(TFMessage(transforms=[transform]))

    def send_fixed(self, transforms: list[TransformStamped]) -> None:
        """Publish all transforms that never change."""
        if self.available:
            self._fixed.publish(TFMessage(transforms=transforms))


def to_transform(stamp: float, parent: str, child: str, xyz: tuple[float, float, float],
                 rotation: Quaternion) -> TransformStamped:
    """Transform message: where `child` is in `parent`, metres."""
    message = TransformStamped()
    message.header.stamp = to_stamp(stamp)
    message.header.frame_id, message.child_frame_id = parent, child
    translation = message.transform.translation
    translation.x, translation.y, translation.z = map(float, xyz)
    message.transform.rotation = rotation
    return message


def transformed(goal: GoalReading, transform: Any, frame_id: str) -> GoalReading:
    """Goal moved by a planar `geometry_msgs/Transform` into the frame named."""
    turn = yaw_of(transform.rotation, 'tf')
    c, s = math.cos(turn), math.sin(turn)
    return replace(
        goal,
        x=transform.translation.x + c * goal.x - s * goal.y,
        y=transform.translation.y + s * goal.x + c * goal.y,
        yaw=math.remainder(goal.yaw + turn, 2 * math.pi),
        frame_id=frame_name(frame_id))
