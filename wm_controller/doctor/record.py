# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
What was heard of a robot: one stream for each role, and who speaks and listens on its topics.

Messages are used by their fields only, so those of rclpy and those read from bags serve alike.
All times are s; `receipt` is in the clock that the robot's nodes use, `wall` in the machine's.
"""

from collections import Counter
from dataclasses import dataclass, field
import hashlib
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from wm_controller.data.images import decode, fitted_view, UnreadableImage
from wm_controller.data.lag import ShiftMeter
from wm_controller.data.static_frames import StaticFrames
from wm_controller.data.survey import odometry_row
from wm_controller.data.topics import (
    COMMAND_TYPES,
    IMAGE_TYPES,
    ODOMETRY_TYPES,
    SCAN_TYPES,
)

Floats = NDArray[np.float64]

IMU_TYPES = ('sensor_msgs/msg/Imu',)
ROLES = {'image': IMAGE_TYPES, 'odom': ODOMETRY_TYPES, 'scan': SCAN_TYPES,
         'cmd_vel': COMMAND_TYPES, 'imu': IMU_TYPES}
"""Role, which is also the topic's usual name, and the types of message that can play it."""
STAMPED = COMMAND_TYPES[1]
PREVIEW = (32, 24)  # pixels, to tell a picture that stands still from one that moves


@dataclass(frozen=True)
class End:
    """One publisher or subscriber: topic, node, type of message."""

    topic: str
    who: str
    kind: str
    publishes: bool


@dataclass(frozen=True)
class Deaf:
    """A subscriber that never hears a publisher, because their qualities of service differ."""

    topic: str
    publisher: str
    subscriber: str
    reason: str


@dataclass
class Stream:
    """Messages of one topic in the order they came; `stamp` is 0 where a message carries none."""

    topic: str
    stamp: list[float] = field(default_factory=list)
    receipt: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)
    value: list[Any] = field(default_factory=list)
    frames: Counter[str] = field(default_factory=Counter)
    children: Counter[str] = field(default_factory=Counter)
    unusable: Counter[str] = field(default_factory=Counter)
    forms: Counter[str] = field(default_factory=Counter)  # of images: size and encoding
    largest: int = 0  # bytes of an image
    stamped: bool = True  # whether its type has a header

    def __len__(self) -> int:
        return len(self.receipt)

    def times(self) -> Floats:
        """(N,) stamps where every message carries one, else times of receipt."""
        stamps = np.asarray(self.stamp)
        return stamps if self.stamped and (stamps > 0).all() else np.asarray(self.receipt)


@dataclass(frozen=True)
class Frame:
    """
    What is kept of an image.

    `shift` since the image before, in picture widths to the right (NaN: not known); whether its
    bytes are those of the one before; grey levels: mean, deviation, mean change since then.
    """

    shift: float
    repeated: bool
    mean: float
    deviation: float
    change: float


@dataclass(frozen=True)
class Beams:
    """A scan as it came: ranges (K,) m at `first + k step` rad, valid from `low` to `high` m."""

    ranges: Floats
    first: float
    step: float
    last: float
    low: float
    high: float

    @property
    def angles(self) -> Floats:
        """(K,) rad, in the scanner's own frame."""
        return np.asarray(self.first + self.step * np.arange(self.ranges.size), dtype=np.float64)

    @property
    def measured(self) -> NDArray[np.bool_]:
        """(K,): beams that hit something within the limits."""
        with np.errstate(invalid='ignore'):
            return np.isfinite(self.ranges) & (self.ranges >= max(self.low, 1e-3)) & (
                self.ranges <= self.high)

    def points(self) -> Floats:
        """(M, 2) m, in the scanner's frame, of the beams that hit something."""
        hit = self.measured
        angles = self.angles[hit]
        return np.asarray(self.ranges[hit, None] * np.stack(
            [np.cos(angles), np.sin(angles)], axis=1), dtype=np.float64)


class Record:
    """Everything heard; `live`: of a running graph, whose ends are known, not of a bag."""

    def __init__(self, topics: dict[str, str], live: bool) -> None:
        """Topics by role."""
        self.live = live
        self.streams = {role: Stream(topic) for role, topic in topics.items()}
        self.ends: list[End] = []
        self.deaf: list[Deaf] = []
        self.clock_publishers = 0
        self.clock_heard = False
        self.frames = StaticFrames()
        self.view: float | None = None  # rad, horizontal, by CameraInfo
        self.notes: list[str] = []
        self._meter = ShiftMeter()
        self._digest = b''
        self._preview: Any = None

    def stream(self, role: str) -> Stream | None:
        """The stream of a role, None where its topic is not looked at or silent."""
        found = self.streams.get(role)
        return found if found is not None and len(found) else None

    def add(self, role: str, message: Any, receipt: float, wall: float) -> None:
        """Take one message."""
        stream = self.streams[role]
        header = getattr(message, 'header', None)
        stream.stamped = header is not None
        stamp = 0.0 if header is None else header.stamp.sec + header.stamp.nanosec * 1e-9
        if header is not None:
            stream.frames[header.frame_id.lstrip('/')] += 1
        if role == 'odom':
            stream.children[message.child_frame_id.lstrip('/')] += 1
        row = getattr(self, f'_{role}')(stream, message)
        stream.stamp.append(float(stamp))
        stream.receipt.append(receipt)
        stream.wall.append(wall)
        stream.value.append(row)

    def add_camera_info(self, message: Any) -> None:
        """Take what the camera says of itself."""
        self.view = fitted_view(message, (int(message.width) or 1, int(message.height) or 1))

    def _image(self, stream: Stream, message: Any) -> Frame:
        data = np.frombuffer(message.data, dtype=np.uint8)
        stream.largest = max(stream.largest, data.size)
        digest = hashlib.blake2b(data.tobytes(), digest_size=16).digest()
        repeated, self._digest = digest == self._digest, digest
        try:
            pixels = decode(message)
        except UnreadableImage as error:
            stream.unusable[str(error)] += 1
            return Frame(np.nan, repeated, np.nan, np.nan, np.nan)
        name = getattr(message, 'encoding', '') or getattr(message, 'format', '')
        stream.forms['{1}x{0}'.format(*pixels.shape[:2]) + f' {name}'.rstrip()] += 1
        small = cv2.resize(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), PREVIEW,
                           interpolation=cv2.INTER_AREA).astype(np.float64)
        change = np.nan if self._preview is None else float(np.abs(small - self._preview).mean())
        self._preview = small
        return Frame(np.nan if repeated else self._meter.add(pixels), repeated,
                     float(small.mean()), float(small.std()), change)

    def _odom(self, stream: Stream, message: Any) -> list[float]:
        row = [*odometry_row(message), float(message.twist.twist.linear.y)]
        if not np.isfinite(row).all():
            stream.unusable['not finite'] += 1
        return row

    def _cmd_vel(self, stream: Stream, message: Any) -> list[float]:
        twist = getattr(message, 'twist', message)
        row = [float(twist.linear.x), float(twist.angular.z)]
        if not np.isfinite(row).all():
            stream.unusable['not finite'] += 1
        return row

    def _imu(self, stream: Stream, message: Any) -> float:
        return float(message.angular_velocity.z)

    def _scan(self, stream: Stream, message: Any) -> Beams:
        return Beams(np.asarray(message.ranges, dtype=np.float64), float(message.angle_min),
                     float(message.angle_increment), float(message.angle_max),
                     float(message.range_min), float(message.range_max))
