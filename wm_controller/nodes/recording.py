# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""A recording as messages to publish: which topics, when, and with which stamp."""

from __future__ import annotations

import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nav_msgs.msg import Odometry
import numpy as np
from sensor_msgs.msg import CompressedImage, Image, LaserScan

from wm_controller.data.bags import Bag
from wm_controller.errors import InputError
from wm_controller.nodes.conversions import to_stamp

# what is played, under which name: the first topic of each type
PLAYED = {
    'sensor_msgs/msg/Image': (Image, 'image'),
    'sensor_msgs/msg/CompressedImage': (CompressedImage, 'image/compressed'),
    'nav_msgs/msg/Odometry': (Odometry, 'odom'),
    'sensor_msgs/msg/LaserScan': (LaserScan, 'scan'),
}
CLOCKS_AGREE_S = 5.0


@dataclass(frozen=True)
class Played:
    """One message: topic, when to publish it and when it was measured, s since the start."""

    topic: str
    due_s: float
    measured_s: float
    content: Any

    def message(self, time_s: float) -> Any:
        """The ROS message, stamped as measured at `time_s`."""
        kind, _ = PLAYED[self.content.__msgtype__]
        message = copied(self.content, kind())
        message.header.stamp = to_stamp(time_s)
        return message


def topics_of(bag: Bag) -> dict[str, str]:
    """Topic in the bag -> type, the first of each type that can be played."""
    found: dict[str, str] = {}
    for topic, kind in sorted(bag.topics.items()):
        if kind in PLAYED and kind not in found.values():
            found[topic] = kind
    if not found:
        raise InputError(f'{bag.path}: nothing to play: no image, odometry or scan')
    return found


def play(path: str | Path, start_s: float = 0.0, duration_s: float = float('inf')
         ) -> Iterator[Played]:
    """Messages of a recording in the order of receipt, from `start_s` for `duration_s`."""
    with Bag(path) as bag:
        names = {topic: PLAYED[kind][1] for topic, kind in topics_of(bag).items()}
        first: float | None = None
        for topic, message in bag.messages(list(names)):
            first = message.receipt_s if first is None else first
            due_s = message.receipt_s - first - start_s
            if due_s < 0.0:
                continue
            if due_s > duration_s:
                return
            measured_s = due_s
            if message.stamp_s is not None and (
                    abs(message.stamp_s - message.receipt_s) < CLOCKS_AGREE_S):
                measured_s = min(due_s, message.stamp_s - first - start_s)
            yield Played(names[topic], due_s, measured_s, message.content)


def copied(source: Any, target: Any) -> Any:
    """Fill a message of rclpy from the same of `rosbags`, field by field."""
    for field in target.get_fields_and_field_types():
        if not hasattr(source, field):  # a field that newer distributions added
            continue
        value, present = getattr(source, field), getattr(target, field)
        if hasattr(present, 'get_fields_and_field_types'):
            copied(value, present)
        elif isinstance(present, array.array):
            data = array.array(present.typecode)
            data.frombytes(np.asarray(value).tobytes())
            setattr(target, field, data)
        elif isinstance(present, np.ndarray):
            setattr(target, field, np.asarray(value, present.dtype))
        else:
            setattr(target, field, type(present)(value))
    return target
