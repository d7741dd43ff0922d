# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Records the seconds around every takeover, hold and stop, for `wm ingest`; and whole drives, for
`wm report`.

It is thin: `teleop/recorder.py` decides. Messages are taken as bytes and written as they came;
only camera images are read, to be kept as JPEG. It commands nothing, and nothing waits for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import os
from pathlib import Path
import time
from typing import Any

import cv2
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseStamped, Twist, TwistStamped
from nav_msgs.msg import Odometry
import numpy as np
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, LaserScan
from std_msgs.msg import Bool, Float32
from std_srvs.srv import Trigger

from wm_controller.data.images import decode_raw, UnreadableImage
from wm_controller.nodes import qos, runtime
from wm_controller.nodes.conversions import MessageError, planar_pose
from wm_controller.nodes.report import Complaints, ERROR, OK, to_diagnostics, to_status, WARN
from wm_controller.teleop.bag_file import leftovers, Raw, STORE
from wm_controller.teleop.interventions import Event, kind_of, MARK, Status
from wm_controller.teleop.recorder import Recorder, Settings

REPORT_S = 1.0
DEPTH = 50
COMPRESSED = 'sensor_msgs/msg/CompressedImage'

SPECS = (
    runtime.Spec('folder', '', 'where bags are written; empty: wm_recordings in $ROS_HOME or '
                 '~/.ros', fixed=True),
    runtime.Spec('before_s', 10.0, 'recorded before each intervention', 0.0, 120.0, unit='s',
                 fixed=True),
    runtime.Spec('after_s', 10.0, 'recorded after it', 0.0, 600.0, unit='s', fixed=True),
    runtime.Spec('record_all', False, 'write the whole drive too, for `wm report`', fixed=True),
    runtime.Spec('split_mb', 1000, 'a drive goes on in a new bag at this size', 1, 100_000,
                 unit='MB', fixed=True),
    runtime.Spec('min_free_mb', 500, 'left free on the disk; below it nothing is written', 0,
                 10_000_000, unit='MB', fixed=True),
    runtime.Spec('ring_mb', 64, 'memory for the seconds before; the oldest go first', 1, 4000,
                 unit='MB', fixed=True),
    runtime.Spec('image_transport', 'raw', 'topic image, kept as JPEG, or image/compressed',
                 choices=('raw', 'compressed'), fixed=True),
    runtime.Spec('image_rate', 10.0, 'at most so many images', 0.5, 60.0, unit='Hz', fixed=True),
    runtime.Spec('jpeg_quality', 85, 'of images that come raw', 30, 100, unit='%', fixed=True),
    runtime.Spec('enable_stamped_cmd_vel', True, 'cmd_vel is TwistStamped; false: Twist',
                 fixed=True),
)

LASTING = ('guardrail/status', 'controller/status', 'goal_pose', 'camera_info', '/tf_static')


class RecorderNode(Node):
    """Listens to everything, writes when something happens."""

    def __init__(self) -> None:
        super().__init__('recorder')
        values = runtime.declare(self, SPECS)
        self._complaints = Complaints(self.get_logger().warning)
        self._quality = [cv2.IMWRITE_JPEG_QUALITY, values['jpeg_quality']]
        self._image_period = 1.0 / values['image_rate']
        self._next_image = -float('inf')
        self._mode: str | None = None
        self._odometry = b''
        self._status_at = -float('inf')
        self._types: dict[str, str] = {}
        self._recorder = Recorder(
            Settings(_folder(values['folder']), values['before_s'], values['after_s'],
                     values['ring_mb'] * 1_000_000, values['record_all'],
                     values['split_mb'] * 1_000_000, values['min_free_mb'] * 1_000_000),
            self._types, frozenset(map(self.resolve_topic_name, LASTING)), self._say)
        self._listen(values)
        self.create_service(Trigger, '~/mark', self._serve_mark)
        self._diagnostics = self.create_publisher(DiagnosticArray, '/diagnostics', qos.STATE)
        self.create_timer(REPORT_S, self._report, clock=Clock(clock_type=ClockType.STEADY_TIME))
        folder = self._recorder.settings.folder
        self.get_logger().info(
            f'{"the drive and " if values["record_all"] else ""}interventions go to {folder}')
        for path in leftovers(folder):
            self.get_logger().warning(
                f'{path}: left by a recorder that was killed; try `mcap recover`, or delete it')

    def _listen(self, values: dict[str, Any]) -> None:
        command = TwistStamped if values['enable_stamped_cmd_vel'] else Twist
        if values['image_transport'] == 'raw':
            self._subscribe(Image, 'image', qos.IMAGE, self._on_image, 'image/compressed')
        else:
            self._subscribe(CompressedImage, 'image/compressed', qos.IMAGE, self._on_compressed)
        for kind, topic in ((Odometry, 'odom'), (LaserScan, 'scan'), (CameraInfo, 'camera_info')):
            self._subscribe(kind, topic, QoSProfile(depth=DEPTH, reliability=qos.BEST_EFFORT))
        for kind, topic in ((command, 'cmd_vel'), (TwistStamped, 'cmd_vel_auto'),
                            (TwistStamped, 'cmd_vel_teleop'), (PoseStamped, 'goal_pose'),
                            (Bool, 'emergency_stop'), (Float32, 'surprise')):
            self._subscribe(kind, topic, QoSProfile(depth=DEPTH))
        lasting = QoSProfile(depth=DEPTH, durability=DurabilityPolicy.TRANSIENT_LOCAL,
                             reliability=ReliabilityPolicy.RELIABLE)
        for topic in ('guardrail/status', 'controller/status'):
            self._subscribe(DiagnosticStatus, topic, lasting)
        try:
            from tf2_msgs.msg import TFMessage
        except ImportError:  # the wheels have none: `wm ingest --scan-offset` says what it would
            return
        self._subscribe(TFMessage, '/tf_static', lasting)

    def _subscribe(self, kind: Any, topic: str, profile: QoSProfile,
                   callback: Callable[[str, bytes], None] | None = None,
                   written_as: str = '') -> None:
        name = self.resolve_topic_name(written_as or topic)
        self._types[name] = (COMPRESSED if written_as else
                             f'{kind.__module__.split(".")[0]}/msg/{kind.__name__}')
        special = {'odom': self._on_odometry, 'guardrail/status': self._on_status}
        take = callback or special.get(topic, self._add)

        def call(data: bytes) -> None:
            try:
                take(name, bytes(data))
            except Exception as error:  # of a message, or of the disk: none ends the node
                self._complaints(topic, f'{topic}: {type(error).__name__}: {error}')

        self.create_subscription(kind, topic, call, profile, raw=True)

    def _now_ns(self) -> int:
        return int(self.get_clock().now().nanoseconds)

    def _add(self, topic: str, data: bytes) -> None:
        self._recorder.add(Raw(topic, self._now_ns(), data), time.monotonic())

    # Inputs that are more than bytes

    def _due(self) -> bool:
        """Whether the next image is wanted; half a period early is in time."""
        now = time.monotonic()
        if now < self._next_image - 0.5 * self._image_period:
            return False
        self._next_image = max(self._next_image + self._image_period, now)
        return True

    def _on_image(self, topic: str, data: bytes) -> None:
        if not self._due():
            return
        message: Any = STORE.deserialize_cdr(data, 'sensor_msgs/msg/Image')
        try:
            pixels = decode_raw(message)
        except UnreadableImage as error:
            self._complaints('image', f'image: {error}')
            return
        done, jpeg = cv2.imencode('.jpg', cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), self._quality)
        if not done:
            self._complaints('image', 'image: OpenCV could not compress it')
            return
        packed = STORE.types[COMPRESSED](message.header, 'rgb8; jpeg compressed bgr8',
                                         np.asarray(jpeg, np.uint8).reshape(-1))
        self._add(topic, bytes(STORE.serialize_cdr(packed, COMPRESSED)))

    def _on_compressed(self, topic: str, data: bytes) -> None:
        if self._due():
            self._add(topic, data)

    def _on_odometry(self, topic: str, data: bytes) -> None:
        self._odometry = data
        self._add(topic, data)

    def _on_status(self, topic: str, data: bytes) -> None:
        self._add(topic, data)
        status = Status.of(STORE.deserialize_cdr(data, 'diagnostic_msgs/msg/DiagnosticStatus'))
        if status is None:
            self._complaints(topic, f'{topic}: names no mode')
            return
        self._status_at = time.monotonic()
        before, self._mode = self._mode, status.mode
        kind = kind_of(before, status.mode, status.because)
        if kind is not None:
            self._on_event(kind, before or '', status.why)

    def _on_event(self, kind: str, before: str, reason: str) -> None:
        event = Event(kind, 1e-9 * self._now_ns(), before, self._mode or '', reason, self._pose())
        self.get_logger().info(f'{kind}{": " if reason else ""}{reason}')
        self._recorder.on_event(event, time.monotonic())

    def _pose(self) -> tuple[float, float, float] | None:
        if not self._odometry:
            return None
        try:
            message: Any = STORE.deserialize_cdr(self._odometry, 'nav_msgs/msg/Odometry')
            x, y, yaw = map(float, planar_pose(message.pose.pose, 'odom'))
        except MessageError:
            return None
        return x, y, yaw

    def _serve_mark(self, _: Any, response: Any) -> Any:
        self._on_event(MARK, self._mode or '', 'marked by the operator')
        trouble = self._recorder.trouble
        response.success = not trouble
        response.message = f'not recorded: {trouble}' if trouble else 'recording'
        return response

    # What is said

    def _say(self, level: str, line: str) -> None:
        if level == 'error':  # rclpy wants one severity for each line of code that logs
            self.get_logger().error(line)
        else:
            self.get_logger().info(line)

    def _report(self) -> None:
        recorder = self._recorder
        try:
            recorder.tick(time.monotonic())
        except Exception as error:
            self._complaints('recorder', f'recorder: {type(error).__name__}: {error}')
        level, text = OK, f'recording {recorder.recording}'
        if recorder.trouble:
            level, text = ERROR, f'trouble, recording {recorder.recording}: {recorder.trouble}'
        elif time.monotonic() - self._status_at > 5.0:
            level, text = WARN, 'no guardrail/status: interventions are not seen'
        elif recorder.ring.cut:
            level, text = WARN, 'ring_mb is too little for before_s'
        self._diagnostics.publish(to_diagnostics(1e-9 * self._now_ns(), to_status(
            f'{self.get_fully_qualified_name()}: recorder', level, text, {
                'recording': recorder.recording,
                'ring_mb': recorder.ring.bytes / 1e6, 'lost': recorder.lost,
                'folder': recorder.settings.folder,
                **{f'recorded.{kind}': n for kind, n in recorder.recorded.items()},
                'last_complaint': self._complaints.last})))

    def last_word(self) -> None:
        """Complete what is open."""
        self._recorder.close(time.monotonic())


def _folder(given: str) -> Path:
    home = os.environ.get('ROS_HOME') or '~/.ros'
    return Path(given or f'{home}/wm_recordings').expanduser().absolute()


def main(args: Sequence[str] | None = None) -> None:
    """Run the recorder until it is told to end."""
    runtime.run(RecorderNode, args)


if __name__ == '__main__':
    main()
