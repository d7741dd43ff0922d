# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Where a sensor sits on the robot, from the transforms recorded in the bag."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wm_controller.data.bags import Bag

Transform = NDArray[np.float64]
"""(4, 4) homogeneous: takes points of the child frame to the parent frame, m."""

BASE_FRAMES = ('base_link', 'base_footprint')


class StaticFrames:
    """The tree of /tf_static; frame names are compared without a leading slash."""

    def __init__(self) -> None:
        self._parent: dict[str, tuple[str, Transform]] = {}

    def add(self, transforms: Iterable[Any]) -> None:
        """Add geometry_msgs/TransformStamped."""
        for item in transforms:
            translation, rotation = item.transform.translation, item.transform.rotation
            self._parent[item.child_frame_id.lstrip('/')] = (
                item.header.frame_id.lstrip('/'),
                _matrix([translation.x, translation.y, translation.z],
                        [rotation.x, rotation.y, rotation.z, rotation.w]))

    def to_base(self, frame: str) -> Transform | None:
        """Points of `frame` to base_link or base_footprint; None if the tree does not say."""
        result, frame = np.eye(4), frame.lstrip('/')
        seen = set()
        while frame not in BASE_FRAMES:
            if frame in seen or frame not in self._parent:
                return None
            seen.add(frame)
            frame, step = self._parent[frame]
            result = step @ result
        return result


def read_static_frames(bag: Bag) -> StaticFrames:
    """Return the tree that a bag tells of: empty where it tells of none."""
    frames = StaticFrames()
    for _, message in bag.messages([t for t in ('/tf_static', 'tf_static') if t in bag.topics]):
        frames.add(message.content.transforms)
    return frames


def planar(x_m: float, y_m: float, yaw_rad: float) -> Transform:
    """Build the transform of a sensor mounted level."""
    cos, sin = np.cos(yaw_rad), np.sin(yaw_rad)
    return np.array([[cos, -sin, 0, x_m], [sin, cos, 0, y_m], [0, 0, 1, 0], [0, 0, 0, 1.0]])


def describe(transform: Transform) -> Mapping[str, float]:
    """x, y (m) and yaw (rad) for a report."""
    return {'x_m': float(transform[0, 3]), 'y_m': float(transform[1, 3]),
            'yaw_rad': float(np.arctan2(transform[1, 0], transform[0, 0]))}


def yaw_of(x: float, y: float, z: float, w: float) -> float:
    """Heading of a quaternion, rad."""
    return float(np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z)))


def _matrix(translation: list[float], quaternion: list[float]) -> Transform:
    x, y, z, w = np.asarray(quaternion) / max(float(np.linalg.norm(quaternion)), 1e-12)
    result = np.eye(4)
    result[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)]]
    result[:3, 3] = translation
    return result
