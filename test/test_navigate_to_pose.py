# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E402
"""Goals by Nav2's action, and the bond with its lifecycle manager, where their messages are."""

import math
import os

import pytest

pytest.importorskip('rclpy', reason='needs rclpy')

from action_msgs.msg import GoalStatus
from geometry_msgs.msg import PoseStamped
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
import numpy as np
from rclpy.action import ActionClient
from std_srvs.srv import Trigger

from ros_probe import pose_goal
from test_chain import Chain
from wm_controller.nodes import qos

TESTS = os.pathsep.join([os.path.dirname(__file__), os.environ.get('PYTHONPATH', '')])


@pytest.fixture
def client(probe, spawn_node):
    """Nav2's end of the action, and the chain that it drives."""
    action = pytest.importorskip('nav2_msgs.action', reason="needs Nav2's messages, which are not "
                                 'on PyPI: run where ROS has them').NavigateToPose
    return Client(Chain(probe, spawn_node), action)


class Client:
    def __init__(self, chain, action):
        self.chain, self.probe, self.action = chain, chain.probe, action
        self._client = ActionClient(self.probe.node, action, 'navigate_to_pose')
        self.probe.until(self._client.server_is_ready, 20.0, 'the action')
        self.feedback = []

    def send(self, x, y=0.0, frame='odom', **fields):
        goal = self.action.Goal(pose=pose_goal(x, y, frame), **fields)
        future = self._client.send_goal_async(
            goal, lambda message: self.feedback.append(message.feedback))
        return self.wait(future, 'an answer')

    def wait(self, future, what, timeout_s=60.0):
        self.probe.until(future.done, timeout_s, what)
        return future.result()

    def end(self, handle):
        """Status, and what the result says."""
        found = self.wait(handle.get_result_async(), 'the result')
        return found.status, found.result


def test_a_goal_is_driven_to_with_feedback_and_the_end_is_told(client):
    handle = client.send(1.5)
    assert handle.accepted
    client.probe.until(lambda: handle.status == GoalStatus.STATUS_EXECUTING, 10.0, 'executing')
    status, result = client.end(handle)
    assert status == GoalStatus.STATUS_SUCCEEDED and result.error_code == result.NONE
    _, x, y, _, _ = client.chain.truth[-1]
    assert np.hypot(x - 1.5, y) < 0.4
    far, near = client.feedback[0], client.feedback[-1]
    assert far.distance_remaining > 1.0 > near.distance_remaining
    assert near.current_pose.header.frame_id == 'odom'
    assert near.current_pose.pose.position.x > 1.0
    assert near.navigation_time.sec >= 2
    assert any(each.estimated_time_remaining.sec > 0 for each in client.feedback)


def test_cancelled_it_stops_and_a_newer_goal_ends_the_one_before(client):
    first = client.send(3.0)
    second = client.send(3.0, 0.1)
    status, result = client.end(first)
    assert status == GoalStatus.STATUS_ABORTED and 'goal pose 3.00 0.10' in result.error_msg
    client.probe.until(lambda: client.chain.speed > 0.3, 20.0, 'driving')
    client.wait(second.cancel_goal_async(), 'an answer')
    assert client.end(second)[0] == GoalStatus.STATUS_CANCELED
    client.probe.until(lambda: abs(client.chain.speed) < 0.05, 5.0, 'standing')
    assert client.chain.state[-1]['goal'] == 'none'


def test_whatever_else_takes_the_goal_away_ends_it_with_the_reason(client):
    topic = client.probe.publisher(PoseStamped, 'goal_pose')
    handle = client.send(3.0)
    topic.publish(pose_goal(1.0, 0.5))
    status, result = client.end(handle)
    assert status == GoalStatus.STATUS_ABORTED and 'goal pose 1.00 0.50' in result.error_msg
    handle = client.send(3.0)
    assert client.probe.call('controller/cancel', Trigger).success
    assert 'cancel' in client.end(handle)[1].error_msg
    handle = client.send(3.0)
    change = ChangeState.Request(transition=Transition(id=Transition.TRANSITION_DEACTIVATE))
    assert client.probe.call('controller/change_state', ChangeState, change).success
    assert 'deactivated' in client.end(handle)[1].error_msg
    assert not client.send(3.0).accepted, 'it is inactive'


def test_a_goal_that_cannot_be_driven_to_is_refused_and_the_one_before_goes_on(client):
    driven = client.send(1.5)
    assert not client.send(1.0, behavior_tree='/mine.xml').accepted
    lost = client.send(1.0, frame='mars')
    status, result = client.end(lost)
    assert status == GoalStatus.STATUS_ABORTED and 'mars' in result.error_msg
    assert result.error_code == result.TF_ERROR
    nowhere = client.send(math.nan)
    assert client.end(nowhere)[1].error_code == result.UNKNOWN
    assert client.end(driven)[0] == GoalStatus.STATUS_SUCCEEDED


def test_a_manager_is_bonded_while_it_is_active_and_is_answered_when_it_goes(probe, spawn_node):
    Status = pytest.importorskip('bond.msg', reason="needs ROS's package bond, which is not on "
                                 'PyPI').Status
    heard = probe.listen(Status, 'bond')
    say = probe.node.create_publisher(Status, 'bond', qos.STATE)
    controller = spawn_node('steering_controller', '--ros-args', '-p',
                            'bond_heartbeat_period:=0.1', PYTHONPATH=TESTS)
    probe.until(lambda: len(heard) > 5, 60.0, 'heartbeats')
    assert {each.id for each in heard} == {'controller'} and all(each.active for each in heard)
    assert len({each.instance_id for each in heard}) == 1
    assert heard[-1].heartbeat_period == pytest.approx(0.1)

    def change(transition):
        request = ChangeState.Request(transition=Transition(id=transition))
        assert probe.call('controller/change_state', ChangeState, request).success

    change(Transition.TRANSITION_DEACTIVATE)
    probe.until(lambda: not heard[-1].active, 5.0, 'the end of the bond')
    before = len(heard)
    probe.spin(0.5)
    assert len(heard) == before, 'a bond that ended is silent'
    change(Transition.TRANSITION_ACTIVATE)
    probe.until(lambda: heard[-1].active, 5.0, 'heartbeats again')
    say.publish(Status(id='controller', instance_id='manager', active=False))
    probe.until(lambda: not heard[-1].active, 5.0, 'an answer to the sister that goes')
    assert controller.poll() is None
