# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""What the page may ask of the robot (`panel/robot.py`), by topics and services."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
import contextlib
import math
import time
from typing import Any

from geometry_msgs.msg import PoseStamped
import numpy as np
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Bool
from std_srvs.srv import SetBool, Trigger

from wm_controller.nodes import qos
from wm_controller.nodes.conversions import MessageError, to_quaternion
from wm_controller.nodes.images import read_compressed, read_image, to_image
from wm_controller.panel.latest import Latest
from wm_controller.panel.robot import Answer
from wm_controller.panel.snapshot import FRESH_S
from wm_controller.panel.words import plain

FORGOTTEN_S = 5.0
STOPS = 3


class PanelRobot:
    """Publishes and calls for the page; from the web server's thread, while the node spins."""

    def __init__(self, node: Node, latest: Latest, odom_frame: str, base_frame: str) -> None:
        self._latest, self._odom_frame, self._base_frame = latest, odom_frame, base_frame
        self._clock = node.get_clock()
        self._stops = node.create_publisher(Bool, 'emergency_stop', qos.STATE)
        self._goals = node.create_publisher(PoseStamped, 'goal_pose', qos.COMMAND)
        self._goal_images = node.create_publisher(Image, 'goal_image', qos.COMMAND)
        self._stop_service: Any = node.create_client(Trigger, 'guardrail/emergency_stop')
        self._reset_service: Any = node.create_client(Trigger, 'guardrail/reset')
        self._enable_service: Any = node.create_client(SetBool, 'guardrail/enable')
        self._cancel_service: Any = node.create_client(Trigger, 'controller/cancel')
        self._asked: deque[tuple[float, Any, Any]] = deque()

    def stop(self) -> Future[Answer]:
        """Stop: by topic, then by service, which also answers."""
        for _ in range(STOPS):
            self._stops.publish(Bool(data=True))
        return self._call(self._stop_service, Trigger.Request(), 'guardrail')

    def reset(self) -> Future[Answer]:
        """Clear the emergency stop."""
        return self._call(self._reset_service, Trigger.Request(), 'guardrail')

    def enable(self, allowed: bool) -> Future[Answer]:
        """Allow or forbid autonomy."""
        return self._call(self._enable_service, SetBool.Request(data=allowed), 'guardrail')

    def cancel(self) -> Future[Answer]:
        """Give up the goal."""
        return self._call(self._cancel_service, Trigger.Request(), 'controller')

    def go_to(self, x: float, y: float, yaw: float | None) -> Answer:
        """Send a goal pose in odom, m and rad."""
        if not self._goals.get_subscription_count():
            return Answer(False, 'the controller is not running: nobody takes a goal')
        message = PoseStamped()
        message.header.stamp = self._clock.now().to_msg()
        message.header.frame_id = self._odom_frame
        message.pose.position.x, message.pose.position.y = x, y
        message.pose.orientation = to_quaternion(yaw or 0.0)
        self._latest.put('goal', [round(x, 3), round(y, 3), yaw])
        self._goals.publish(message)
        heading = '' if yaw is None else f', heading {math.degrees(yaw):.0f}°'
        return Answer(True, f'goal sent: {x:.2f}, {y:.2f} m{heading}')

    def go_to_picture(self, rgb: np.ndarray) -> Answer:
        """Send a goal picture, (H, W, 3) uint8 RGB."""
        if not self._goal_images.get_subscription_count():
            return Answer(False, 'the controller is not running: nobody takes a goal')
        stamp = self._clock.now().nanoseconds * 1e-9
        self._goal_images.publish(to_image(rgb, stamp, self._base_frame))
        return Answer(True, f'goal picture sent, {rgb.shape[1]}x{rgb.shape[0]}')

    def camera_image(self) -> np.ndarray | None:
        """Newest camera image, RGB; None if it is old or cannot be read."""
        message = self._latest.value('camera', time.monotonic(), FRESH_S['camera'])
        try:
            return None if message is None else pixels(message)
        except MessageError:
            return None

    def _call(self, client: Any, request: Any, who: str) -> Future[Answer]:
        answer: Future[Answer] = Future()
        if not client.service_is_ready():
            answer.set_result(Answer(False, f'the {who} is not running'))
            return answer

        def take(done: Any) -> None:
            with contextlib.suppress(InvalidStateError):  # nobody waits any more
                response = done.result()
                answer.set_result(Answer(response.success, plain(response.message)))

        self.ask(client, request, take)
        return answer

    def ask(self, client: Any, request: Any, take: Callable[[Any], None]) -> None:
        """Call a service; `take` gets the future that is done, in the executor's thread."""
        future = client.call_async(request)
        future.add_done_callback(take)
        self._asked.append((time.monotonic(), client, future))

    def give_up(self, now_s: float) -> None:
        """Forget what was asked and is not answered."""
        for _ in range(len(self._asked)):  # the web server's thread may append meanwhile
            asked_s, client, future = self._asked.popleft()
            if not future.done() and now_s - asked_s < FORGOTTEN_S:
                self._asked.append((asked_s, client, future))
            elif not future.done():
                client.remove_pending_request(future)


def pixels(message: Any) -> np.ndarray:
    """(H, W, 3) uint8 RGB of an image message, compressed or not; raises MessageError."""
    return (read_compressed if isinstance(message, CompressedImage) else read_image)(message)
