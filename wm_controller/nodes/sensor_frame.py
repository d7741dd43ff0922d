# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Where a sensor sits on the robot: from tf where there is tf, else from parameters."""

from __future__ import annotations

from dataclasses import dataclass
import math
from typing import Any

import numpy as np
from rclpy.time import Time

from wm_controller.nodes import frames
from wm_controller.nodes.conversions import frame_name, MessageError


@dataclass(frozen=True)
class Mount:
    """Where a sensor's plane lies in the base frame, seen from above: rotation and offset (m)."""

    rotation: np.ndarray  # (2, 2); a scanner that hangs upside down mirrors
    offset: np.ndarray  # (2,)

    @staticmethod
    def planar(x: float, y: float, yaw: float) -> Mount:
        """Mount at x, y (m), turned by yaw (rad), upright."""
        c, s = math.cos(yaw), math.sin(yaw)
        return Mount(np.array(((c, -s), (s, c))), np.array((x, y)))

    def to_base(self, points: np.ndarray) -> np.ndarray:
        """Points (N, 2) of the sensor's plane in the base frame, m."""
        return points @ self.rotation.T + self.offset


class SensorFrame:
    """Finds the mount of a sensor by the frame that its messages name."""

    def __init__(self, node: Any, base_frame: str, without_tf: Mount) -> None:
        self._base_frame, self._without_tf = base_frame, without_tf
        self._first = ''
        self._buffer: Any = None
        if frames.tf2_ros is not None:
            self._buffer = frames.tf2_ros.Buffer(node=node)
            self._listener = frames.tf2_ros.TransformListener(self._buffer, node)

    def place(self, without_tf: Mount) -> None:
        """Change the mount that counts where there is no tf2."""
        self._without_tf = without_tf

    def mount(self, frame_id: str) -> Mount:
        """Return the mount of the frame, or raise `MessageError`."""
        frame = frame_name(frame_id)
        if not frame:
            raise MessageError('scan: the frame_id is empty')
        if self._buffer is None:
            self._first = self._first or frame
            if frame != self._first:
                raise MessageError(
                    f"scan: frame '{frame}' after '{self._first}': without tf2 the parameters "
                    'scan_x, scan_y, scan_yaw place one scanner only')
            return self._without_tf
        if frame == self._base_frame:
            return Mount.planar(0.0, 0.0, 0.0)
        try:
            found = self._buffer.lookup_transform(self._base_frame, frame, Time()).transform
        except frames.tf2_ros.TransformException as error:
            reason = ' '.join(str(error).split())
            raise MessageError(
                f"scan: no transform from '{frame}' to '{self._base_frame}': {reason}") from error
        q, t = found.rotation, found.translation
        return Mount(np.array((
            (1 - 2 * (q.y ** 2 + q.z ** 2), 2 * (q.x * q.y - q.w * q.z)),
            (2 * (q.x * q.y + q.w * q.z), 1 - 2 * (q.x ** 2 + q.z ** 2)))), np.array((t.x, t.y)))
