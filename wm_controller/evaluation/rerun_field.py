# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""A recorded drive as a file for the Rerun viewer: the bag is read once more, for all it holds."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from wm_controller.data.bags import Bag, Message
from wm_controller.data.images import decode, UnreadableImage
from wm_controller.data.static_frames import planar, read_static_frames, Transform
from wm_controller.evaluation import palette
from wm_controller.evaluation.encoded import jpeg
from wm_controller.evaluation.field_reading import Drive, GUARDRAIL, PICTURE_PX
from wm_controller.evaluation.rerun_log import ADMITTED, MEASURED, rerun_log, RerunLog, WANTED
from wm_controller.safety.geometry import compose

BAG_TIME = 'bag_time'  # s since the first message
FRAME_PERIOD_S = 0.2  # of pictures: an hour of drive is to fit in a file
STATE_PERIOD_S = 0.05  # of odometry and commands
# What is drawn besides the topics of the report, by name below the namespace.
DRAWN = {'plan': 'nav_msgs/msg/Path', 'plan_far': 'nav_msgs/msg/Path',
         'goal_pose': 'geometry_msgs/msg/PoseStamped', 'imagination': 'sensor_msgs/msg/Image'}
PATHS = {'plan': ('world/plan/chosen', palette.IMAGINED),
         'plan_far': ('world/plan/far', palette.PURPLE)}
PICTURES = {'image': 'camera/image', 'imagination': 'camera/imagined'}
SPEEDS = {'auto': WANTED, 'cmd_vel': ADMITTED}


def log_drive(path: Path, drive: Drive) -> list[str]:
    """Write the log of a drive; what could not be drawn as it was, in words."""
    with Bag(drive.path) as bag, rerun_log(path, drive.path.name, BAG_TIME) as log:
        roles = {topic: role for role, topic in drive.topics.items()}
        prefix = drive.topics.get('guardrail', '/' + GUARDRAIL).removesuffix(GUARDRAIL)
        roles |= {f'{prefix}{name}': name for name, kind in DRAWN.items()
                  if bag.topics.get(f'{prefix}{name}') == kind}
        writer = _Writer(log, drive, bag)
        for topic, message in bag.messages(list(roles)):
            writer.take(roles[topic], message)
        writer.finish()
    return writer.notes


class _Writer:
    """Takes messages in the order of receipt; poses are in the frame of odometry."""

    def __init__(self, log: RerunLog, drive: Drive, bag: Bag) -> None:
        self.notes: list[str] = []
        self._log, self._drive, self._frames = log, drive, read_static_frames(bag)
        self._mounts: dict[str, Transform] = {}
        self._curves: dict[str, list[tuple[float, float]]] = {}
        self._due: dict[str, float] = {}

    def take(self, role: str, message: Message) -> None:
        t, content = message.receipt_s - self._drive.begin_s, message.content
        if role in PATHS:
            entity, colour = PATHS[role]
            line = np.array([[each.pose.position.x, each.pose.position.y]
                             for each in content.poses]).reshape(-1, 2)
            self._log.lines(t, entity, [line], colour, height_m=0.05)
        elif role in PICTURES and self._is_due(role, t, FRAME_PERIOD_S):
            self._picture(t, role, content)
        elif role in SPEEDS and self._is_due(role, t, STATE_PERIOD_S):
            twist = getattr(content, 'twist', content)
            self._curve(f'speed/{SPEEDS[role]}', t, twist.linear.x)
            self._curve(f'turn/{SPEEDS[role]}', t, twist.angular.z)
        elif role == 'scan':
            self._scan(t, content)
        elif role == 'goal_pose':
            at = content.pose.position
            self._log.points(t, 'world/goal', np.array([[at.x, at.y]]), palette.GOAL, 0.1)
        elif role == 'surprise':
            self._curve('surprise', t, content.data)
        elif role in ('controller', 'guardrail'):
            self._status(role, t, {pair.key: pair.value for pair in content.values})

    def _is_due(self, role: str, t: float, period_s: float) -> bool:
        if t < self._due.get(role, 0.0):
            return False
        self._due[role] = t + period_s
        return True

    def _curve(self, entity: str, t: float, value: float) -> None:
        self._curves.setdefault(entity, []).append((t, float(value)))

    def _picture(self, t: float, role: str, content: Any) -> None:
        try:
            pixels = decode(content)
        except UnreadableImage:
            return  # the report says how many
        width = PICTURE_PX if role == 'image' else pixels.shape[1]
        self._log.picture(t, PICTURES[role], jpeg(pixels, width))

    def _scan(self, t: float, content: Any) -> None:
        track = self._drive.odometry
        if track is None:
            return
        ranges = np.asarray(content.ranges, float)
        angle = content.angle_min + content.angle_increment * np.arange(ranges.size)
        hit = np.isfinite(ranges) & (ranges >= content.range_min) & (ranges <= content.range_max)
        beams = ranges[hit] * np.stack([np.cos(angle[hit]), np.sin(angle[hit])])
        mount = self._mount(content.header.frame_id)
        x, y = mount[:2, :2] @ beams + mount[:2, 3:4]
        # The last pose before it: odometry is quicker than a laser.
        now = max(0, int(np.searchsorted(track.stamp, t + self._drive.begin_s)) - 1)
        places = compose(track.pose[now], np.column_stack([x, y, np.zeros_like(x)]))
        self._log.points(t, 'world/scan', places, palette.BUMP)

    def _mount(self, frame: str) -> Transform:
        if frame not in self._mounts:
            found = self._frames.to_base(frame)
            if found is None:
                self.notes.append(f'{self._drive.path.name}: where the laser {frame} sits on the '
                                  'robot is not in the bag: the log draws it at base_link')
            self._mounts[frame] = planar(0.0, 0.0, 0.0) if found is None else found
        return self._mounts[frame]

    def _status(self, role: str, t: float, values: dict[str, str]) -> None:
        key, curve = {'controller': ('plan_ms', 'plan_ms'),
                      'guardrail': ('limit', 'guardrail/limit')}[role]
        with suppress(KeyError, ValueError):  # a status that does not say it
            self._curve(curve, t, float(values[key]))
        if role == 'guardrail':
            self._log.words(t, 'guardrail/reasons', ': '.join(
                text for text in (values.get('mode'), values.get('reasons')) if text))

    def finish(self) -> None:
        """Write what is quicker written at once."""
        track = self._drive.odometry
        if track is not None:
            t = track.stamp - self._drive.begin_s
            keep = np.unique(np.searchsorted(t, np.arange(t[0], t[-1], STATE_PERIOD_S)))
            self._log.way(track.pose[keep])
            self._log.poses(t[keep], track.pose[keep])
            for column, entity in ((0, 'speed'), (1, 'turn')):
                self._log.curve(f'{entity}/{MEASURED}', t[keep], track.twist[keep, column])
        for entity, rows in self._curves.items():
            times, values = np.array(rows).T
            self._log.curve(entity, times, values)
