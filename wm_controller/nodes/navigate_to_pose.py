# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
The one place that knows nav2_msgs: the action `navigate_to_pose`, for Nav2's tools.

RViz's *Nav2 Goal*, nav2_simple_commander, waypoint follower and behaviour trees send their goals
so. ROS installations with Nav2 have nav2_msgs, the wheels from PyPI have not.
"""

from __future__ import annotations

from collections.abc import Callable
import time
from typing import Any

from geometry_msgs.msg import PoseStamped
from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.duration import Duration

from wm_controller.nodes.conversions import MessageError
from wm_controller.nodes.frames import FrameError

try:
    from nav2_msgs.action import NavigateToPose
except ImportError:
    NavigateToPose = None

ACTION = 'navigate_to_pose'
GIVEN_UP = ('lost', 'unreachable')
GIVE_UP_S = 5.0  # in such a state; it may yet find a way. In `fault` it waits for the sensors
MOVING_M_S = 0.01  # below, nothing is said of the time that is left
UNKNOWN, TF_ERROR = 'UNKNOWN', 'TF_ERROR'


class NavigateToPoseServer:
    """
    Serves one goal at a time; the newest wins, from wherever it comes.

    `drive` takes a goal pose, and raises MessageError where it cannot; `stop` gives the goal up,
    for a reason; `refusal` says why no goal is taken now, or nothing. Each lets the server know by
    `overtaken`. All in the executor's thread.
    """

    def __init__(self, node: Any, drive: Callable[[PoseStamped], None],
                 stop: Callable[[str], None], refusal: Callable[[], str]) -> None:
        self._node, self._drive, self._stop, self._refusal = node, drive, stop, refusal
        self._goal: Any = None  # the handle of what is driven to
        if NavigateToPose is not None:
            self._server = _Server(node, NavigateToPose, ACTION, lambda _: None,
                                   goal_callback=self._on_goal,
                                   handle_accepted_callback=self._on_accepted,
                                   cancel_callback=self._on_cancel)

    def overtaken(self, by: str) -> None:
        """The controller drives to something else, or nowhere: `by` says what or why."""
        if self._goal is not None:
            goal, self._goal = self._goal, None
            self._finish(goal, goal.abort, f'given up: {by}')

    def follow(self, state: str, distance_m: float, pose: PoseStamped, speed: float) -> None:
        """
        Tell the client how far it is, or how it ended; to be called several times a second.

        `state` of the controller; `distance_m` to the goal, NaN until it is known; `pose` of the
        robot; `speed` in m/s.
        """
        goal, now_s = self._goal, time.monotonic()
        if goal is None:
            return
        if state not in GIVEN_UP:
            self._able_s = now_s
        if goal.is_cancel_requested:
            self._goal = None
            self._finish(goal, goal.canceled)
        elif state == 'reached':
            self._goal = None
            self._finish(goal, goal.succeed)
        elif now_s - self._able_s > GIVE_UP_S:
            self._stop(f'the goal is {state}')
        elif distance_m == distance_m:
            feedback = NavigateToPose.Feedback(current_pose=pose)
            feedback.distance_remaining = float(distance_m)
            feedback.navigation_time = (self._node.get_clock().now() - self._begun).to_msg()
            if abs(speed) > MOVING_M_S:
                feedback.estimated_time_remaining = Duration(
                    seconds=distance_m / abs(speed)).to_msg()
            goal.publish_feedback(feedback)

    def _on_goal(self, goal: Any) -> GoalResponse:
        refusal = self._refusal()
        if not refusal and goal.behavior_tree:
            refusal = f'there are no behaviour trees here: send it without {goal.behavior_tree}'
        if refusal:
            self._node.get_logger().warning(f'{ACTION}: goal refused: {refusal}')
        return GoalResponse.REJECT if refusal else GoalResponse.ACCEPT

    def _on_accepted(self, goal: Any) -> None:
        goal.execute()
        try:
            self._drive(goal.request.pose)  # overtakes the goal before
        except MessageError as error:
            self._node.get_logger().warning(f'{ACTION}: {error}')
            code = 'TF_ERROR' if isinstance(error, FrameError) else 'UNKNOWN'
            self._finish(goal, goal.abort, str(error), code)
            return
        self._goal = goal
        self._begun, self._able_s = self._node.get_clock().now(), time.monotonic()

    def _on_cancel(self, goal: Any) -> CancelResponse:
        if goal is self._goal:
            self._goal = None     # so that it is not overtaken
            self._stop('cancelled')  # at once; the client hears of it in `follow`
            self._goal = goal
        return CancelResponse.ACCEPT

    def _finish(self, goal: Any, outcome: Callable[[], None], message: str = '',
                code: str = 'UNKNOWN') -> None:
        outcome()
        result = NavigateToPose.Result()
        # Fields and codes differ between releases of Nav2.
        if message and hasattr(result, 'error_code'):
            result.error_code = getattr(NavigateToPose.Result, code, 0)
        if hasattr(result, 'error_msg'):
            result.error_msg = message
        self._server.finish(goal, result)


class _Server(ActionServer):  # type: ignore[misc]
    """
    An action server whose goals are under way until `finish`.

    rclpy's own runs a callback for as long as the goal lasts: a plain one would keep the executor
    from everything else, and a coroutine is polled without a pause.
    """

    def notify_execute(self, goal_handle: Any, execute_callback: Any) -> None:
        """Nothing is to be run: it is driven already."""

    def finish(self, goal_handle: Any, result: Any) -> None:
        """Send the result of a goal that has its final state."""
        super().notify_execute(goal_handle, lambda _: result)
