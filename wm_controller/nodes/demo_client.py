# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
The demonstration's view of the graph: it sends goals and watches, and commands nothing.

Everything it knows comes over topics, the truth included, so what it measures is what a user's
own program would see.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import PoseStamped, TwistStamped
from nav_msgs.msg import Odometry, Path
import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import Image
from std_msgs.msg import UInt32
from std_srvs.srv import Trigger

from wm_controller.errors import InputError
from wm_controller.evaluation.recorder import DriveRecorder
from wm_controller.evaluation.records import Task
from wm_controller.nodes import qos
from wm_controller.nodes.conversions import planar_pose, seconds, to_quaternion, to_stamp
from wm_controller.nodes.demo_detail import DetailEars
from wm_controller.nodes.images import read_image
from wm_controller.safety.geometry import compose, relative

SPIN_S = 0.05
GOAL_REPEAT_S = 1.0  # a goal that nobody acknowledged is sent again
SILENCE_S = 10.0  # without a word from the simulator: it hangs
CLOCK_WINDOW_S = 2.0
SETTLE_S = 2.0
WARM_S, WARM_COMMANDS = 3.0, 3
STANDING_M_S = 0.02
NO_GOAL = ('idle', 'reached', 'fault')


class RosClock:
    """
    ROS time now, from stamps and when they came; finer than the steps of /clock.

    Each stamp, extrapolated at the simulation's pace, is a lower bound: the quickest message of
    the last seconds is the nearest to the truth.
    """

    def __init__(self, pace: float) -> None:
        self._pace = pace
        self._heard: deque[tuple[float, float]] = deque()

    def heard(self, stamp: float, steady: float) -> None:
        """Take in that a message of this stamp came at a steady time."""
        self._heard.append((stamp, steady))
        while steady - self._heard[0][1] > CLOCK_WINDOW_S:
            self._heard.popleft()

    def now(self, steady: float) -> float:
        """ROS time at a steady time, s."""
        return max(stamp + self._pace * (steady - at) for stamp, at in self._heard)


@dataclass
class Status:
    """The last status of a node."""

    values: Mapping[str, str]
    message: str = ''

    def get(self, key: str, default: str = '') -> str:
        """Return a value's text."""
        return self.values.get(key, default)

    def number(self, key: str) -> float:
        """Return a value as a number, NaN if it is none."""
        try:
            return float(self.values.get(key, 'nan'))
        except ValueError:
            return float('nan')


class DemoClient(Node):
    """Sends one goal after another and records each drive; poses of tasks are in the world."""

    def __init__(self, start: np.ndarray, pace: float, check: Callable[[], None],
                 detail: bool = False) -> None:
        super().__init__('demo_client')
        self._origin, self._check = np.asarray(start, dtype=np.float64), check
        self._ros_time = RosClock(pace)
        self._spinner = SingleThreadedExecutor()
        self._spinner.add_node(self)
        self._recorder: DriveRecorder | None = None
        self._began = 0.0
        self._truth: np.ndarray | None = None  # in odom, without drift
        self._believed: np.ndarray | None = None  # in odom, as the odometry has it
        self._speed = 0.0
        self._stamp, self._heard_at = 0.0, time.monotonic()
        self._bumps = 0
        self._wanted = self._admitted = (0.0, 0.0)
        self._commands_heard = 0  # that an image asked for
        self._image_stamps: deque[float] = deque(maxlen=50)
        self.controller: Status | None = None
        self.guardrail: Status | None = None
        subscribe = self.create_subscription
        subscribe(Odometry, 'ground_truth', self._on_truth, qos.STATE)
        subscribe(Odometry, 'odom', self._on_odometry, qos.SENSOR)
        subscribe(UInt32, 'collisions', self._on_collisions, qos.STATUS)
        subscribe(Image, 'image', self._on_image, qos.IMAGE)
        subscribe(TwistStamped, 'cmd_vel_auto', self._on_wanted, qos.COMMAND)
        subscribe(TwistStamped, 'cmd_vel', self._on_admitted, qos.COMMAND)
        subscribe(Path, 'plan', self._on_plan, qos.COMMAND)
        subscribe(DiagnosticStatus, 'controller/status', self._on_controller, qos.STATUS)
        subscribe(DiagnosticStatus, 'guardrail/status', self._on_guardrail, qos.STATUS)
        if detail:
            DetailEars(self, self._watched, lambda poses: compose(self.pose, poses),
                       self._to_world)
        self._goal = self.create_publisher(PoseStamped, 'goal_pose', qos.COMMAND)
        self._cancel: Any = self.create_client(Trigger, 'controller/cancel')

    @property
    def pose(self) -> np.ndarray:
        """True pose of the robot in the world."""
        assert self._truth is not None, 'wait_until_ready was not called'
        return compose(self._origin, self._truth)

    def spin(self, duration_s: float = SPIN_S) -> None:
        """Hear what has come, and see that all nodes are alive and the simulator speaks."""
        end = time.monotonic() + duration_s
        while (left_s := end - time.monotonic()) > 0:
            self._spinner.spin_once(timeout_sec=left_s)
        self._check()

    def wait_until_ready(self, timeout_s: float) -> None:
        """Wait for the truth, the camera, the guard and a controller that can take goals."""
        end = time.monotonic() + timeout_s
        while missing := self._missing():
            if time.monotonic() > end:
                raise InputError(f'after {timeout_s:g} s there is still no {missing}')
            self.spin()
        # The controller has heard of us; until it has heard odometry too, a goal is a guess.
        warm = time.monotonic() + WARM_S
        while time.monotonic() < warm and self._commands_heard < WARM_COMMANDS:
            self.spin()

    def _missing(self) -> str:
        if self._truth is None or self._believed is None:
            return 'odometry from the simulator'
        if self.guardrail is None:
            return 'status from the guardrail'
        if self.controller is None or self.controller.get('state') == 'fault':
            told = f' ({self.controller.message})' if self.controller else ''
            return f'controller that is ready{told}'
        if not self._goal.get_subscription_count():
            return 'controller that listens to goal_pose'
        return '' if self._image_stamps else 'image from the camera'

    def drive(self, task: Task, recorder: DriveRecorder) -> tuple[float, str]:
        """Send the task's goal and watch until it ends; duration in s and the last state."""
        misses = self._number('deadline_misses')
        self._recorder, self._began = recorder, self._stamp
        self._send_goal(task)
        sent_at, taken, state = time.monotonic(), False, ''
        try:
            while self._stamp - self._began < task.timeout_s:
                self.spin()
                state = self.controller.get('state') if self.controller else ''
                taken = taken or state not in NO_GOAL
                if not taken and time.monotonic() - sent_at > GOAL_REPEAT_S:
                    self._send_goal(task)
                    sent_at = time.monotonic()
                if taken and state == 'reached':
                    self._settle()
                    break
                if time.monotonic() - self._heard_at > SILENCE_S:
                    raise InputError(f'the simulator has said nothing for {SILENCE_S:g} s')
            else:
                self._give_up()
            self.spin(0.3)  # the status with the last figures
        finally:
            self._recorder = None
        recorder.deadline_misses += int(max(0.0, self._number('deadline_misses') - misses))
        return self._stamp - self._began, state if taken else 'ignored'

    def _send_goal(self, task: Task) -> None:
        """
        Name the goal's place relative to where the robot is now.

        Odometry has drifted since the start; somebody who points at a place means it as seen
        from here.
        """
        assert self._believed is not None, 'wait_until_ready was not called'
        there = compose(self._believed, relative(self.pose, np.array(task.goal)))
        message = PoseStamped()
        message.header.stamp = to_stamp(self._stamp)
        message.header.frame_id = 'odom'
        message.pose.position.x, message.pose.position.y = float(there[0]), float(there[1])
        message.pose.orientation = to_quaternion(float(there[2]))
        self._goal.publish(message)

    def _settle(self) -> None:
        end = time.monotonic() + SETTLE_S
        while time.monotonic() < end and abs(self._speed) > STANDING_M_S:
            self.spin()

    def _give_up(self) -> None:
        if self._cancel.service_is_ready():
            self._cancel.call_async(Trigger.Request())
        self._settle()

    def _number(self, key: str) -> float:
        value = self.controller.number(key) if self.controller else 0.0
        return value if np.isfinite(value) else 0.0

    def _on_truth(self, message: Odometry) -> None:
        self._heard_at = time.monotonic()
        self._stamp = seconds(message.header.stamp)
        self._ros_time.heard(self._stamp, self._heard_at)
        self._truth = planar_pose(message.pose.pose, 'ground_truth')
        self._speed = message.twist.twist.linear.x
        if self._recorder is None:
            return
        status = self.guardrail
        limit = status.number('limit') if status else 1.0
        reasons = tuple(r for r in (status.get('reasons') if status else '').split(',') if r)
        self._recorder.sample(
            self._stamp - self._began, self.pose, self._wanted, self._admitted, limit, reasons
        )

    def _on_odometry(self, message: Odometry) -> None:
        self._believed = planar_pose(message.pose.pose, 'odom')

    def _on_collisions(self, message: UInt32) -> None:
        if self._recorder is not None:
            for _ in range(message.data - self._bumps):
                self._recorder.bump(self._stamp - self._began)
        self._bumps = message.data

    def _on_image(self, message: Image) -> None:
        stamp = seconds(message.header.stamp)
        self._image_stamps.append(stamp)
        recorder = self._recorder
        if recorder is not None and recorder.wants_frame(stamp - self._began):
            recorder.frame(stamp - self._began, read_image(message))

    def _on_wanted(self, message: TwistStamped) -> None:
        self._wanted = (message.twist.linear.x, message.twist.angular.z)
        stamp = seconds(message.header.stamp)
        # A stop that no image asked for carries the time it was sent at, and no latency.
        halt = self._wanted == (0.0, 0.0) and stamp not in self._image_stamps
        self._commands_heard += not halt
        if self._recorder is None or halt:
            return
        self._recorder.commands += 1
        self._recorder.plans += 1
        self._recorder.latencies_s.append(self._ros_time.now(time.monotonic()) - stamp)

    def _on_admitted(self, message: TwistStamped) -> None:
        self._admitted = (message.twist.linear.x, message.twist.angular.z)

    def _on_plan(self, message: Path) -> None:
        if self._recorder is None or self._believed is None or len(message.poses) < 2:
            return
        poses = np.array([planar_pose(each.pose, 'plan') for each in message.poses])
        self._recorder.plan(self._stamp - self._began, self._to_world(poses), None)

    def _watched(self) -> tuple[DriveRecorder, float] | None:
        return None if self._recorder is None else (self._recorder, self._stamp - self._began)

    def _to_world(self, poses: np.ndarray) -> np.ndarray:
        assert self._believed is not None, 'wait_until_ready was not called'
        return compose(self.pose, relative(self._believed, poses))

    def _on_controller(self, message: DiagnosticStatus) -> None:
        self.controller = _status(message)
        if self._recorder is not None and self.controller.get('state') == 'planning':
            self._recorder.plan_s.append(self.controller.number('plan_ms') / 1e3)

    def _on_guardrail(self, message: DiagnosticStatus) -> None:
        self.guardrail = _status(message)

    def close(self) -> None:
        """Leave the graph."""
        self._spinner.shutdown(timeout_sec=1.0)
        self.destroy_node()


def _status(message: Any) -> Status:
    return Status({pair.key: pair.value for pair in message.values}, message.message)


def connect(start: np.ndarray, pace: float, check: Callable[[], None],
            detail: bool = False) -> DemoClient:
    """
    Join the graph that the environment names; Ctrl-C stays Python's.

    `start` is the world pose where odometry began, `check` raises when a node has died; `detail`
    listens to all that a recorder with a `Detail` keeps.
    """
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    return DemoClient(start, pace, check, detail)


def disconnect(client: DemoClient | None) -> None:
    """Leave the graph, whatever came before."""
    if client is not None:
        client.close()
    rclpy.try_shutdown()
