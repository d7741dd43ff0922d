# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Goals in other frames than odom: the one place that knows tf2, where ROS has it."""

from __future__ import annotations

from dataclasses import replace
import math
from typing import Any

from wm_controller.nodes.conversions import frame_name, GoalReading, MessageError, yaw_of

try:
    import tf2_ros
except ImportError:  # the wheels from PyPI have no tf2
    tf2_ros = None


class GoalFrames:
    """Brings goals into `odom_frame`; refuses frames that nothing connects to it."""

    def __init__(self, node: Any, odom_frame: str) -> None:
        self._odom_frame = odom_frame
        self._buffer: Any = None
        if tf2_ros is not None:
            self._buffer = tf2_ros.Buffer(node=node)
            self._listener = tf2_ros.TransformListener(self._buffer, node)

    def to_odom(self, goal: GoalReading) -> GoalReading:
        """Return the goal in the odometry frame, or raise `MessageError`."""
        if goal.frame_id == self._odom_frame:
            return goal
        if self._buffer is None:
            raise MessageError(
                f"goal_pose: frame '{goal.frame_id}' cannot be transformed, as tf2 is not "
                f"installed; send the goal in '{self._odom_frame}'")
        try:
            import rclpy.time
            found = self._buffer.lookup_transform(
                self._odom_frame, goal.frame_id, rclpy.time.Time())
        except tf2_ros.TransformException as error:
            reason = ' '.join(str(error).split())
            raise MessageError(
                f"goal_pose: no transform from '{goal.frame_id}' to '{self._odom_frame}': "
                f'{reason}') from error
        return transformed(goal, found.transform, self._odom_frame)


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
