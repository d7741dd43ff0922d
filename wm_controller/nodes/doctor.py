# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Listens to a running graph for `wm doctor`, and drives only when it was asked to.

It is thin: what is heard goes into a `Record`, which is examined without ROS.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
import os
from pathlib import Path
import time
from typing import Any

from geometry_msgs.msg import Twist, TwistStamped
from nav_msgs.msg import Odometry
import numpy as np
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, qos_check_compatible, QoSCompatibility, QoSProfile
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, Imu, LaserScan

from wm_controller.data.topics import camera_info_topic, choose_one
from wm_controller.doctor.bag import USUAL
from wm_controller.doctor.programme import command_at
from wm_controller.doctor.record import Deaf, End, Record, ROLES
from wm_controller.errors import InputError
from wm_controller.nodes import qos
from wm_controller.nodes.conversions import to_stamp
from wm_controller.nodes.runtime import joined

KINDS = {'sensor_msgs/msg/Image': Image, 'sensor_msgs/msg/CompressedImage': CompressedImage,
         'nav_msgs/msg/Odometry': Odometry, 'sensor_msgs/msg/LaserScan': LaserScan,
         'geometry_msgs/msg/Twist': Twist, 'geometry_msgs/msg/TwistStamped': TwistStamped,
         'sensor_msgs/msg/Imu': Imu}
DISCOVERY_S, PATIENCE_S, CLOCK_S, LOOK_S, SEND_S = 2.0, 4.0, 2.0, 1.0, 0.05
DEPTHS = {'image': 5}
MANY = 200  # depth of the other queues: what is lost here must not count as lost by the robot
GUARDRAIL = 'guardrail (when it runs)'


class DoctorNode(Node):
    """Hears the topics of the roles; `topics`: names by role, None: find them, '': none."""

    def __init__(self, topics: Mapping[str, str | None], namespace: str) -> None:
        super().__init__('doctor', namespace=namespace)
        self._wanted = topics
        self._clock_s: float | None = None
        self._ticks: list[tuple[float, float]] = []  # wall and /clock, s
        self._heard: dict[str, Any] = {}
        self._info: Any = None
        self._moving: Any = None
        self.record = Record({}, live=True)
        self.create_subscription(Clock, '/clock', self._on_clock, qos.CLOCK)
        try:
            from tf2_msgs.msg import TFMessage
        except ImportError:  # the wheels have none: parameters say where the laser sits
            self.record.notes.append('no tf2 here: parameters say where the laser sits')
        else:
            self.create_subscription(
                TFMessage, 'tf_static', lambda m: self.record.frames.add(m.transforms), qos.STATUS)

    def settle(self) -> None:
        """Decide which topics to hear, of those that are there; raises InputError."""
        there = self._topics()
        chosen = {role: self._choose(role, there) for role in ROLES}
        names = {role: name for role, name in chosen.items() if name}
        if not names:
            domain = os.environ.get('ROS_DOMAIN_ID', '0')
            raise InputError(f'no camera, odometry, laser or command on the graph (ROS_DOMAIN_ID '
                             f'is {domain}): start the robot, or look at domain and network')
        for role in ('image', 'odom', 'scan', 'cmd_vel'):  # a gyroscope is nobody's need
            if role not in names and self._wanted.get(role) != '':
                names[role] = self.resolve_topic_name(self._wanted.get(role) or role)
        fresh = Record(names, live=True)
        fresh.frames, fresh.notes = self.record.frames, self.record.notes
        self.record = fresh
        self.look()

    def _topics(self) -> dict[str, str]:
        space = self.get_namespace().rstrip('/') + '/'
        return {name: kinds[0] for name, kinds in self.get_topic_names_and_types()
                if name.startswith(space)}

    def _choose(self, role: str, there: Mapping[str, str]) -> str | None:
        wanted = self._wanted.get(role)
        if wanted is not None:
            return self.resolve_topic_name(wanted) if wanted else None
        usual = self.resolve_topic_name(role)
        if there.get(usual) in ROLES[role]:
            return usual
        return choose_one(there, None, ROLES[role], f'--{role.replace("_", "-")}', USUAL[role],
                          Path('the graph'))

    def look(self) -> None:
        """Note who is there, and subscribe to what has appeared."""
        ends: list[End] = []
        deaf: list[Deaf] = []
        for role, stream in self.record.streams.items():
            speak = self._others(self.get_publishers_info_by_topic(stream.topic))
            listen = self._others(self.get_subscriptions_info_by_topic(stream.topic))
            ends += [End(stream.topic, _who(end), end.topic_type, told)
                     for told, group in ((True, speak), (False, listen)) for end in group]
            deaf += _deaf(stream.topic, speak, listen)
            if role == 'cmd_vel':
                deaf += _deaf_to_guardrail(stream.topic, speak, listen)
            self._hear(role, stream.topic, speak or listen)
        told = {end.topic for end in ends if end.publishes}
        silent = {s.topic for s in self.record.streams.values() if len(s)} - told
        if not silent or not self.record.ends:  # nobody has left in the meantime
            self.record.ends, self.record.deaf = ends, deaf
        self.record.clock_publishers = self.count_publishers('/clock')
        self.record.clock_heard = self._clock_s is not None
        image = self.record.streams.get('image')
        if image is not None and self._info is None:
            name = camera_info_topic(self._topics(), image.topic)
            if name is not None:
                self._info = self.create_subscription(
                    CameraInfo, name, self._on_info, QoSProfile(
                        depth=1, reliability=qos.BEST_EFFORT))

    def _others(self, ends: list[Any]) -> list[Any]:
        return [end for end in ends if (end.node_name, end.node_namespace) != (
            self.get_name(), self.get_namespace())]

    def _hear(self, role: str, topic: str, ends: list[Any]) -> None:
        kinds = [end.topic_type for end in ends if end.topic_type in ROLES[role]]
        if role in self._heard or not kinds:
            return
        profile = QoSProfile(depth=DEPTHS.get(role, MANY), reliability=qos.BEST_EFFORT)

        def take(message: Any, info: Any) -> None:
            wall = _received(info)
            self.record.add(role, message, wall, wall)
        self._heard[role] = self.create_subscription(KINDS[kinds[0]], topic, take, profile)

    def _on_clock(self, message: Clock, info: Any) -> None:
        self._clock_s = message.clock.sec + message.clock.nanosec * 1e-9
        self._ticks.append((_received(info), self._clock_s))

    def finished(self) -> Record:
        """The record, its times of receipt in the clock that the robot's nodes use."""
        if self._ticks:
            for stream in self.record.streams.values():
                stream.receipt = clock_at(np.array(self._ticks), np.array(stream.wall)).tolist()
        return self.record

    def _on_info(self, message: CameraInfo) -> None:
        self.record.add_camera_info(message)

    @property
    def waits_for_clock(self) -> bool:
        """Whether somebody gives the time and has not yet."""
        return self.count_publishers('/clock') > 0 and self._clock_s is None

    @property
    def sees_a_robot(self) -> bool:
        """Whether there is a topic that a robot may have."""
        kinds = {kind for role in ROLES.values() for kind in role}
        return any(kind in kinds for kind in self._topics().values())

    @property
    def sees_the_guardrail(self) -> bool:
        return self.count_publishers('guardrail/status') > 0

    def drive(self) -> None:
        """Begin the gentle drive, through the guardrail; raises InputError where none runs."""
        if not self.sees_the_guardrail:
            raise InputError('--drive goes through the guardrail, which does not run: start '
                             'guardrail_node, or drive by hand')
        publisher = self.create_publisher(TwistStamped, 'cmd_vel_teleop', qos.COMMAND)
        began = time.monotonic()

        def send() -> None:
            message: Any = TwistStamped()
            now = time.time() if self._clock_s is None else self._clock_s
            message.header.stamp, message.header.frame_id = to_stamp(now), 'base_link'
            message.twist.linear.x, message.twist.angular.z = command_at(
                time.monotonic() - began)
            publisher.publish(message)
        self._moving = (self.create_timer(SEND_S, send), publisher)

    def stop(self) -> None:
        """End the drive: the guardrail brakes."""
        if self._moving is not None:
            timer, publisher = self._moving
            timer.cancel()
            for _ in range(3):
                publisher.publish(TwistStamped())


def listen(topics: Mapping[str, str | None], namespace: str, seconds: float, drive: bool,
           progress: Callable[[float], Any]) -> Record:
    """
    Join the graph, listen, and return what was heard; Ctrl-C ends it early.

    `topics`: names by role; None: found by usual name or type, an empty text: not looked at.
    """
    with joined():
        node = DoctorNode(topics, namespace)
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        try:
            _listen(node, executor, seconds, drive, progress)
        finally:
            node.stop()
            executor.shutdown(timeout_sec=1.0)
            record = node.finished()
            node.destroy_node()
        return record


def _listen(node: DoctorNode, executor: Any, seconds: float, drive: bool,
            progress: Callable[[float], Any]) -> None:
    def spin(duration_s: float, until: Callable[[], bool] = lambda: False) -> None:
        end = time.monotonic() + duration_s
        while time.monotonic() < end and not until():
            executor.spin_once(timeout_sec=0.05)
    spin(DISCOVERY_S)
    spin(PATIENCE_S, lambda: node.sees_a_robot)
    spin(CLOCK_S, lambda: not node.waits_for_clock)
    node.settle()
    if drive:
        spin(PATIENCE_S, lambda: node.sees_the_guardrail)
        node.drive()
    end = time.monotonic() + seconds
    try:
        while time.monotonic() < end:
            spin(min(LOOK_S, max(end - time.monotonic(), 0.01)))
            node.look()
            progress(min(LOOK_S, seconds))
    except KeyboardInterrupt:
        return  # what was heard until now is examined


def _received(info: Any) -> float:
    """Wall time, s, at which DDS took a message; the doctor itself may come to it later."""
    return info['received_timestamp'] * 1e-9 or time.time()


def clock_at(ticks: np.ndarray, wall: np.ndarray) -> np.ndarray:
    """(N,) s of /clock at times of the wall, by pairs (T, 2) of wall and clock that were heard."""
    ticks = ticks[np.argsort(ticks[:, 0], kind='stable')]
    inside = np.interp(wall, ticks[:, 0], ticks[:, 1])
    return np.asarray(inside + np.maximum(wall - ticks[-1, 0], 0.0)
                      - np.maximum(ticks[0, 0] - wall, 0.0))


def _who(end: Any) -> str:
    return f'{end.node_namespace.rstrip("/")}/{end.node_name}'


def _deaf(topic: str, speak: list[Any], listen_: list[Any]) -> list[Deaf]:
    found = []
    for end in speak:
        for other in listen_:
            if end.topic_type == other.topic_type:
                result, reason = qos_check_compatible(end.qos_profile, other.qos_profile)
                if result == QoSCompatibility.ERROR:
                    found.append(Deaf(topic, _who(end), _who(other), _plain(reason)))
    return found


def _deaf_to_guardrail(topic: str, speak: list[Any], listen_: list[Any]) -> list[Deaf]:
    """Find listeners that want what was sent before they came, which the guardrail never keeps."""
    if any(end.node_name == 'guardrail' for end in speak):
        return []
    return [Deaf(topic, GUARDRAIL, _who(other), 'it wants a publisher that is transient local')
            for other in listen_
            if other.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL]


def _plain(reason: str) -> str:
    return ' '.join(reason.removeprefix('ERROR: ').rstrip(';').split())
