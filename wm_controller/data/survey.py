# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""First pass over a recording: all that is small, and what each frame is worth. No pixels kept."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wm_controller.data.bags import Bag, Message
from wm_controller.data.images import decode, UnreadableImage
from wm_controller.data.lag import ShiftMeter
from wm_controller.data.static_frames import (
    describe,
    planar,
    read_static_frames,
    StaticFrames,
    Transform,
    yaw_of,
)
from wm_controller.data.topics import camera_info_topic, Chosen
from wm_controller.data.tracks import clearance
from wm_controller.errors import InputError

Floats = NDArray[np.float64]
Progress = Callable[[float], Any]

CLOCKS_DIFFER_S = 1.0
"""Receipt this much off the stamps: two clocks (simulated time), not transport."""


@dataclass
class Series:
    """Rows of one topic in order of receipt."""

    stamp: list[float] = field(default_factory=list)
    receipt: list[float] = field(default_factory=list)
    value: list[Any] = field(default_factory=list)

    def add(self, stamp: float, receipt: float, value: Any) -> None:
        self.stamp.append(stamp)
        self.receipt.append(receipt)
        self.value.append(value)

    def arrays(self) -> tuple[Floats, Floats, Floats]:
        return (np.asarray(self.stamp, dtype=np.float64),
                np.asarray(self.receipt, dtype=np.float64),
                np.asarray(self.value, dtype=np.float64))


@dataclass
class Survey:
    """What the first pass found; `number` counts the messages of the image topic."""

    frames: Series = field(default_factory=Series)  # value: (number, shift, repeated)
    odometry: Series = field(default_factory=Series)  # value: (x, y, yaw, v, w)
    commands: Series = field(default_factory=Series)  # value: (v, w)
    scans: Series = field(default_factory=Series)  # value: clearances (K,)
    images: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    stamped: dict[str, str] = field(default_factory=dict)
    image_sizes: Counter[str] = field(default_factory=Counter)
    scan_mount: dict[str, float] = field(default_factory=dict)
    camera: Any = None  # the first CameraInfo


def survey(bag: Bag, chosen: Chosen, bearings: Floats, scan_mount: Transform | None,
           progress: Progress | None = None) -> Survey:
    """Read a bag once. `scan_mount`: laser to base_link, None: ask the bag's /tf_static."""
    result = Survey()
    frames = read_static_frames(bag) if chosen.scan and scan_mount is None else StaticFrames()
    info = camera_info_topic(bag.topics, chosen.image)
    if info is not None:
        result.camera = next((message.content for _, message in bag.messages([info])), None)
    meter, previous = ShiftMeter(), b''
    for topic, message in bag.messages(chosen.names):
        content = message.content
        if topic == chosen.image:
            previous = _add_frame(result, message, meter, previous)
        elif topic == chosen.odometry:
            _add(result, result.odometry, message, 'odometry', odometry_row(content))
        elif topic == chosen.command:
            twist = getattr(content, 'twist', content)
            _add(result, result.commands, message, 'command', [twist.linear.x, twist.angular.z])
        elif topic == chosen.scan:
            if scan_mount is None:
                scan_mount = _mount(result, frames, content.header.frame_id)
            result.scan_mount = dict(describe(scan_mount))
            _add(result, result.scans, message, 'scan', clearance(
                content.ranges, content.angle_min, content.angle_increment, content.range_min,
                content.range_max, scan_mount, bearings), finite=False)
        if progress is not None:
            progress(1)
    if not result.frames.stamp:
        reasons = ', '.join(f'{text} ({n})' for text, n in result.dropped.most_common(3))
        raise InputError(f'{bag.path}: none of the {result.images} images on {chosen.image} can '
                         f'be read: {reasons}')
    _align_clocks(result)
    return result


def _add_frame(result: Survey, message: Message, meter: ShiftMeter, previous: bytes) -> bytes:
    """Add one image; returns the hash of its bytes."""
    number = result.images
    result.images += 1
    data = message.content.data
    digest = hashlib.blake2b(data.tobytes() if hasattr(data, 'tobytes') else bytes(data),
                             digest_size=16).digest()
    try:
        pixels = decode(message.content)
    except UnreadableImage as error:
        result.dropped[f'unreadable image: {error}'] += 1
        return previous
    repeated = digest == previous
    shift = float('nan') if repeated else meter.add(pixels)
    result.image_sizes['{1}x{0}'.format(*pixels.shape[:2])] += 1
    _add(result, result.frames, message, 'image', [number, shift, repeated], finite=False)
    return digest


def _add(result: Survey, series: Series, message: Message, what: str, row: Any,
         finite: bool = True) -> None:
    if finite and not np.isfinite(row).all():
        result.dropped[f'{what} not finite'] += 1
        return
    clock = 'header' if message.stamp_s is not None else 'receipt'
    if result.stamped.setdefault(what, clock) != clock:
        # One topic keeps one clock, or its messages would change places.
        result.dropped[f'{what} without stamp'] += 1
        return
    stamp = message.stamp_s if message.stamp_s is not None else message.receipt_s
    series.add(stamp, message.receipt_s, row)


def odometry_row(content: Any) -> list[float]:
    """[x, y, yaw, v, w] of a nav_msgs/Odometry."""
    position, q = content.pose.pose.position, content.pose.pose.orientation
    twist = content.twist.twist
    return [position.x, position.y, yaw_of(q.x, q.y, q.z, q.w), twist.linear.x, twist.angular.z]


def _mount(result: Survey, frames: StaticFrames, frame: str) -> Transform:
    found = frames.to_base(frame)
    if found is None:
        result.notes.append(f'where the laser {frame} sits on the robot is not in the bag: taken '
                            'as base_link; give it with --scan-offset')
        return planar(0.0, 0.0, 0.0)
    return found


def _align_clocks(result: Survey) -> None:
    """Bring topics stamped by receipt into the clock of the camera's header stamps."""
    by_receipt = [what for what, clock in result.stamped.items() if clock == 'receipt']
    if result.stamped['image'] == 'receipt':
        result.notes.append('the images carry no stamp: aligned by their time of receipt')
        return
    if not by_receipt:
        return
    stamp, receipt, _ = result.frames.arrays()
    offset = float(np.median(receipt - stamp))
    differ = abs(offset) > CLOCKS_DIFFER_S
    for what, series in (('odometry', result.odometry), ('command', result.commands),
                         ('scan', result.scans)):
        if what in by_receipt:
            result.notes.append(
                f'{what} carries no stamp: placed by its time of receipt'
                + (f', less the {offset:.2f} s by which receipt differs from the image stamps'
                   if differ else ''))
            if differ:
                series.stamp = [time - offset for time in series.receipt]
