# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
ROS messages <-> plain numbers: stamps, poses, odometry, goals, scans.

Every reader validates at the edge and raises `MessageError` with one line that names what is
wrong; nothing that is not finite, normalised and in a known frame goes any further.
Images are in `images.py`, which needs OpenCV; this file needs numpy alone.
"""

from __future__ import annotations

from dataclasses import dataclass
import math
from typing import Any

from builtin_interfaces.msg import Time
from geometry_msgs.msg import PoseStamped, Quaternion
from nav_msgs.msg import Odometry, Path
import numpy as np
from sensor_msgs.msg import LaserScan

QUATERNION_TOLERANCE = 0.01
NANOSECONDS = 1_000_000_000
BASE_FRAMES = ('base_link', 'base_footprint')


class MessageError(ValueError):
    """A message that cannot be used; the text is one line that says why."""


@dataclass(frozen=True)
class OdometryReading:
    """
    One odometry message: stamp s, pose (x m, y m, yaw rad) in odom, twist (v m/s, w rad/s).

    `tilt` (rad) is the angle between the base's vertical and odom's.
    """

    stamp: float
    pose: np.ndarray
    twist: np.ndarray
    tilt: float = 0.0


@dataclass(frozen=True)
class GoalReading:
    """A goal pose, metres and radians, in the frame it was sent in."""

    x: float
    y: float
    yaw: float
    frame_id: str
    stamp: float


def seconds(stamp: Any, what: str = 'stamp') -> float:
    """Seconds of a `Time` message; refuses nanoseconds out of range."""
    if not 0 <= stamp.nanosec < NANOSECONDS:
        raise MessageError(f'{what}: {stamp.nanosec} nanoseconds is out of range 0..999999999')
    return float(stamp.sec + stamp.nanosec * 1e-9)


def measured_at(header: Any, what: str) -> float:
    """Seconds of a sensor's header stamp, which may not be zero: its age must be known."""
    stamp = seconds(header.stamp, what)
    if stamp <= 0.0:
        raise MessageError(f'{what}: the stamp is zero, so the age of the data is unknown')
    return stamp


def to_stamp(time_s: float) -> Time:
    """`Time` message of non-negative seconds, to the nearest nanosecond."""
    nanoseconds = round(max(time_s, 0.0) * NANOSECONDS)
    return Time(sec=nanoseconds // NANOSECONDS, nanosec=nanoseconds % NANOSECONDS)


def frame_name(frame_id: str) -> str:
    """A frame's name as tf2 spells it: without the leading slash that ROS 1 wrote."""
    return frame_id.lstrip('/')


def to_quaternion(yaw: float) -> Quaternion:
    """Quaternion of a turn by yaw (rad) about z."""
    return Quaternion(x=0.0, y=0.0, z=math.sin(yaw / 2.0), w=math.cos(yaw / 2.0))


def yaw_of(quaternion: Any, what: str) -> float:
    """Yaw (rad) of a quaternion message that must be finite and of length one."""
    x, y, z, w = quaternion.x, quaternion.y, quaternion.z, quaternion.w
    norm = math.sqrt(x * x + y * y + z * z + w * w)
    if not math.isfinite(norm):
        raise MessageError(f'{what}: the orientation is not finite')
    if abs(norm - 1.0) > QUATERNION_TOLERANCE:
        raise MessageError(f'{what}: the orientation quaternion has length {norm:.3g}, not 1')
    return math.atan2(2.0 * (w * z + x * y), w * w + x * x - y * y - z * z)


def tilt_of(quaternion: Any) -> float:
    """Angle (rad, 0..pi) by which a unit quaternion message leans the vertical."""
    upright = 1.0 - 2.0 * (quaternion.x ** 2 + quaternion.y ** 2)
    return math.acos(min(1.0, max(-1.0, upright)))


def planar_pose(pose: Any, what: str) -> np.ndarray:
    """(x m, y m, yaw rad) of a `Pose` message."""
    x, y = pose.position.x, pose.position.y
    if not (math.isfinite(x) and math.isfinite(y)):
        raise MessageError(f'{what}: the position is not finite ({x}, {y})')
    return np.array([x, y, yaw_of(pose.orientation, what)])


def read_odometry(message: Odometry, odom_frame: str, base_frame: str) -> OdometryReading:
    """Pose in `odom_frame` and twist in `base_frame`; refuses every other frame."""
    frame, child = frame_name(message.header.frame_id), frame_name(message.child_frame_id)
    if frame != odom_frame:
        raise MessageError(f"odom: frame_id is '{frame}', the parameter odom_frame '{odom_frame}'")
    if child != base_frame and not (base_frame in BASE_FRAMES and child in BASE_FRAMES):
        raise MessageError(
            f"odom: child_frame_id is '{child}', the parameter base_frame '{base_frame}'")
    twist = np.array([message.twist.twist.linear.x, message.twist.twist.angular.z])
    if not np.isfinite(twist).all():
        raise MessageError(f'odom: the twist is not finite ({twist[0]}, {twist[1]})')
    return OdometryReading(
        measured_at(message.header, 'odom'), planar_pose(message.pose.pose, 'odom'), twist,
        tilt_of(message.pose.pose.orientation))


def to_odometry(stamp: float, pose: np.ndarray, twist: np.ndarray, odom_frame: str,
                base_frame: str, variances: tuple[float, float] = (0.0, 0.0)) -> Odometry:
    """Odometry message; variances are those of position (m^2) and of yaw (rad^2)."""
    message = Odometry()
    message.header.stamp = to_stamp(stamp)
    message.header.frame_id = odom_frame
    message.child_frame_id = base_frame
    message.pose.pose.position.x = float(pose[0])
    message.pose.pose.position.y = float(pose[1])
    message.pose.pose.orientation = to_quaternion(float(pose[2]))
    message.twist.twist.linear.x = float(twist[0])
    message.twist.twist.angular.z = float(twist[1])
    for diagonal, variance in ((0, variances[0]), (7, variances[0]), (35, variances[1])):
        message.pose.covariance[diagonal] = variance
        message.twist.covariance[diagonal] = variance
    return message


def read_goal(message: PoseStamped) -> GoalReading:
    """A goal pose that is finite and says which frame it is in."""
    frame = frame_name(message.header.frame_id)
    if not frame:
        raise MessageError('goal_pose: the frame_id is empty; send the goal in odom')
    x, y, yaw = planar_pose(message.pose, 'goal_pose')
    return GoalReading(float(x), float(y), float(yaw), frame,
                       seconds(message.header.stamp, 'goal_pose'))


def to_path(stamp: float, poses: np.ndarray, frame_id: str, step_s: float = 0.0) -> Path:
    """Path message of poses (T, 3); pose k carries the stamp plus k steps."""
    message = Path()
    message.header.stamp = to_stamp(stamp)
    message.header.frame_id = frame_id
    for k, pose in enumerate(poses):
        message.poses.append(to_pose(stamp + k * step_s, pose, frame_id))
    return message


def to_pose(stamp: float, pose: np.ndarray, frame_id: str) -> PoseStamped:
    """Pose message of a pose (x m, y m, yaw rad)."""
    message = PoseStamped()
    message.header.frame_id, message.header.stamp = frame_id, to_stamp(stamp)
    message.pose.position.x, message.pose.position.y = map(float, pose[:2])
    message.pose.orientation = to_quaternion(float(pose[2]))
    return message


def scan_points(message: LaserScan) -> np.ndarray:
    """
    Points (N, 2), metres, in the scan's own frame, of the beams that hit something.

    REP-117: +inf is "nothing in range", -inf "too near to measure" and NaN "invalid". Too near
    is kept, at range_min: it is the one return a robot must not ignore.
    """
    count = len(message.ranges)
    if count == 0:
        raise MessageError('scan: no ranges')
    if not (math.isfinite(message.angle_min) and math.isfinite(message.angle_increment)):
        raise MessageError('scan: angle_min or angle_increment is not finite')
    if not (math.isfinite(message.range_min) and message.range_max > message.range_min >= 0.0):
        raise MessageError(
            f'scan: range_min {message.range_min} and range_max {message.range_max} fit no laser')
    ranges = np.asarray(message.ranges, dtype=np.float64)
    if np.isnan(ranges).all():  # not "nothing there", but nothing measured
        raise MessageError(f'scan: not one of {count} beams is valid')
    ranges = np.where(ranges == -np.inf, message.range_min, ranges)
    hit = np.isfinite(ranges) & (ranges >= message.range_min) & (ranges <= message.range_max)
    angles = message.angle_min + message.angle_increment * np.flatnonzero(hit)
    return ranges[hit, None] * np.stack([np.cos(angles), np.sin(angles)], axis=-1)


def scan_beams(message: LaserScan) -> np.ndarray:
    """
    Directions (K, 2), unit vectors in the scan's own frame, of the beams that measured.

    Also "nothing in range" is measured; NaN is not, nor a finite range below range_min, with which
    drivers mark what the robot itself hides. Of a message that `scan_points` has taken.
    """
    ranges = np.asarray(message.ranges, dtype=np.float64)
    measured = (ranges >= message.range_min) | (ranges == -np.inf)
    angles = message.angle_min + message.angle_increment * np.flatnonzero(measured)
    return np.stack([np.cos(angles), np.sin(angles)], axis=-1)


def to_scan(stamp: float, frame_id: str, angle_min: float, angle_increment: float,
            range_min: float, range_max: float, ranges: np.ndarray,
            scan_time_s: float = 0.0) -> LaserScan:
    """LaserScan message; ranges (K,) in metres, +inf where nothing was hit."""
    ranges = np.asarray(ranges, dtype=np.float32)
    message = LaserScan()
    message.header.stamp = to_stamp(stamp)
    message.header.frame_id = frame_id
    message.angle_min = float(angle_min)
    message.angle_increment = float(angle_increment)
    message.angle_max = float(angle_min + angle_increment * (len(ranges) - 1))
    message.scan_time = float(scan_time_s)
    message.range_min, message.range_max = float(range_min), float(range_max)
    message.ranges = ranges.tolist()
    return message
