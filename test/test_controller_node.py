# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The controller node over topics, with a driver of a few lines in place of the pilot."""

import array
import math
import threading

from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import Twist, TwistStamped
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from nav_msgs.msg import Odometry
import numpy as np
import pytest
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, Image

from controller_rig import PICTURE, SPEED
from ros_probe import pose_goal, values_of
from wm_controller.errors import InputError
from wm_controller.nodes import qos
from wm_controller.nodes.conversions import seconds, to_odometry, to_stamp
from wm_controller.nodes.images import to_compressed, to_image


@pytest.mark.parametrize('stamped', [True, False])
def test_it_hears_what_the_guardrail_lets_through(rig, probe, stamped):
    rig = rig(enable_stamped_cmd_vel=stamped).ready()
    publisher = probe.node.create_publisher(
        TwistStamped if stamped else Twist, 'cmd_vel', qos.COMMAND)
    probe.until(publisher.get_subscription_count, what='the controller on cmd_vel')
    message = TwistStamped() if stamped else Twist()
    if stamped:
        message.header.stamp = to_stamp(rig.now() + 5.0)
        message.twist.linear.x = 0.3
        publisher.publish(message)  # of another clock: not believed
        message.header.stamp = to_stamp(rig.now())
    (message.twist if stamped else message).linear.x = 0.125
    publisher.publish(message)
    rig.show(100, stop=lambda: rig.driver.heard)
    assert rig.driver.heard == [(0.125, 0.0)]


def test_goal_and_images_become_commands_with_the_stamps_of_the_images(rig):
    rig = rig().ready()
    rig.drive()
    command = rig.commands[-1]
    assert command.header.frame_id == 'base_link'
    assert seconds(command.header.stamp) == pytest.approx(rig.driver.observation.stamp, abs=1e-6)
    np.testing.assert_allclose(rig.driver.observation.pose, [1.0, 2.0, 0.0])
    assert (rig.driver.goal.x, rig.driver.goal.y, rig.driver.goal.yaw) == (3.0, 1.0, None)
    rig.probe.until(lambda: rig.paths and rig.surprises, what='plan and surprise')
    assert rig.paths[-1].header.frame_id == 'odom'
    assert [pose.pose.position.x for pose in rig.far_paths[-1].poses] == [0.0, 0.8, 1.6]
    assert rig.surprises[-1].data == pytest.approx(0.3)
    rig.probe.until(lambda: rig.state() == 'planning', what='the state')
    values = values_of(rig.statuses[-1])
    assert values['goal'] == 'pose 3.00 1.00'
    assert values['model'] == 'double'
    assert {'plan_ms', 'deadline_misses'} <= set(values)


def test_image_goal_is_taken(rig):
    rig = rig().ready()
    rig.goal_images.publish(to_image(PICTURE, rig.now(), 'camera'))
    rig.show(200, stop=lambda: rig.driver.goal is not None)
    assert rig.driver.goal.image.shape == (24, 32, 3)


def test_a_model_that_cannot_place_pictures_refuses_them_and_keeps_its_goal(rig):
    rig = rig().ready()
    rig.drive()
    goal, rig.driver.takes_pictures = rig.driver.goal, False
    rig.goal_images.publish(to_image(PICTURE, rig.now(), 'camera'))
    line = 'goal_image: double cannot tell where a picture was taken'
    rig.show(200, stop=lambda: line in rig.complaint())
    assert line in rig.complaint() and '--goal-pictures-of' in rig.complaint()
    assert rig.driver.goal is goal


def test_compressed_images_drive_too(rig):
    rig = rig(image_transport='compressed')
    rig.images = rig.probe.node.create_publisher(CompressedImage, 'image/compressed', qos.IMAGE)
    rig.ready()
    rig.goals.publish(pose_goal(3.0, 1.0))
    rig.show(200, to_compressed(PICTURE, 1.0, 'camera'), lambda: SPEED in rig.speeds())
    assert SPEED in rig.speeds()


def test_drives_without_odometry(rig):
    rig = rig().ready()
    rig.odometry = rig.probe.node.create_publisher(Odometry, 'elsewhere', qos.SENSOR)
    rig.drive()
    assert rig.driver.observation.pose is None


def test_nothing_is_commanded_before_active_and_a_stop_is_last(rig):
    rig = rig(autostart=False)
    assert rig.node.state_label == 'unconfigured'
    rig.node.trigger_configure()
    rig.ready()
    rig.goals.publish(pose_goal(1.0, 0.0))
    rig.show(6)
    assert rig.commands == []
    rig.node.trigger_activate()
    rig.drive()
    rig.node.trigger_deactivate()
    rig.probe.until(lambda: rig.speeds()[-1] == 0.0, what='the stop')
    count = len(rig.commands)
    rig.show(6)
    assert len(rig.commands) == count
    assert rig.state() == 'idle'
    rig.node.trigger_activate()
    rig.drive()


def test_cancel_stops_at_once(rig):
    rig = rig().ready()
    rig.drive()
    answer = rig.probe.call('/controller/cancel')
    assert (answer.success, answer.message) == (True, 'cancelled goal: pose 3.00 1.00')
    rig.probe.until(lambda: rig.speeds()[-1] == 0.0, what='the stop')
    rig.show(6)
    assert rig.speeds()[-1] == 0.0
    assert rig.state() == 'idle'


BAD_ENCODING = Image(height=4, width=4, step=4, encoding='16UC1', data=array.array('B', bytes(16)))


@pytest.mark.parametrize(('image', 'line'), [
    (Image(encoding='rgb8'), 'the image has zero size (0x0)'),
    (BAD_ENCODING, "unknown encoding '16UC1'")])
def test_bad_image_is_named_and_the_node_goes_on(rig, image, line):
    rig = rig().ready()
    rig.show(200, image, lambda: line in rig.complaint())
    assert f'/image: {line}' in rig.complaint()
    rig.drive()


@pytest.mark.parametrize(('goal', 'line'), [
    (pose_goal(math.nan, 0.0), 'goal_pose: the position is not finite'),
    (pose_goal(1.0, 0.0, w=0.0), 'goal_pose: the orientation quaternion has length 0'),
    (pose_goal(1.0, 0.0, frame=''), 'goal_pose: the frame_id is empty'),
    (pose_goal(1.0, 0.0, frame='mars'), "goal_pose: frame 'mars' cannot be transformed")])
def test_bad_goal_is_refused_and_the_old_one_kept(rig, goal, line):
    rig = rig().ready()
    rig.drive()
    rig.goals.publish(goal)
    rig.probe.until(lambda: line in rig.complaint(), what=line)
    rig.show(4)
    assert values_of(rig.statuses[-1])['goal'] == 'pose 3.00 1.00'
    assert rig.speeds()[-1] == SPEED


def test_odometry_of_another_frame_is_named(rig):
    rig = rig().ready()
    rig.odometry.publish(to_odometry(rig.now(), np.zeros(3), np.zeros(2), 'map', 'base_link'))
    rig.probe.until(lambda: "frame_id is 'map'" in rig.complaint(), what='the complaint')


def test_odometry_from_the_future_is_refused_and_does_not_shut_out_the_rest(rig):
    rig = rig().ready()
    ahead = to_odometry(rig.now() + 60.0, np.zeros(3), np.zeros(2), 'odom', 'base_link')
    rig.odometry.publish(ahead)
    rig.probe.until(lambda: 's in the future' in rig.complaint(), what='the complaint')
    rig.drive()
    assert rig.driver.observation.pose is not None


def test_unplugged_camera_stops_the_robot_and_a_plugged_one_lets_it_go_on(rig):
    rig = rig().ready()
    rig.drive()
    rig.probe.until(lambda: rig.speeds()[-1] == 0.0, 2.0, 'the stop')
    rig.probe.until(lambda: rig.state() == 'fault', 2.0, 'the fault')
    assert 'no image on /image for' in rig.statuses[-1].message
    rig.show(100, stop=lambda: rig.speeds()[-1] == SPEED)
    rig.probe.until(lambda: rig.state() == 'planning', 2.0, 'the drive')


def test_camera_that_is_announced_but_silent_is_named_with_the_remedy(rig):
    rig = rig().ready()
    rig.probe.until(lambda: rig.statuses[-1:] and 'FASTDDS_DEFAULT_PROFILES_FILE'
                    in rig.statuses[-1].message, 10.0, 'the advice')
    assert rig.statuses[-1].level == DiagnosticStatus.WARN


def test_clock_that_does_not_run_is_named(rig):
    rig = rig(use_sim_time=True).ready()
    rig.show(3)
    rig.probe.until(lambda: rig.statuses[-1:] and 'waiting for /clock' in rig.statuses[-1].message,
                    what='the advice')
    assert rig.commands == []


def test_transport_that_nobody_uses_is_named_with_the_one_to_use(rig):
    rig = rig(image_transport='compressed')
    rig.probe.until(lambda: rig.statuses[-1:] and 'set image_transport to raw'
                    in rig.statuses[-1].message, what='the advice')
    assert 'nobody publishes /image/compressed' in rig.statuses[-1].message


def test_lifecycle_answers_over_its_services(rig):
    rig = rig().ready()
    assert rig.probe.call('/controller/get_state', GetState).current_state.label == 'active'
    for transition, state in ((Transition.TRANSITION_DEACTIVATE, 'inactive'),
                              (Transition.TRANSITION_CLEANUP, 'unconfigured'),
                              (Transition.TRANSITION_CONFIGURE, 'inactive'),
                              (Transition.TRANSITION_ACTIVATE, 'active')):
        request = ChangeState.Request(transition=Transition(id=transition))
        assert rig.probe.call('/controller/change_state', ChangeState, request).success
        assert rig.probe.call('/controller/get_state', GetState).current_state.label == state
    rig.ready().drive()


def test_image_of_another_clock_is_named(rig):
    rig = rig().ready()
    for _ in range(3):
        image = to_image(PICTURE, 5.0, 'camera')
        rig.images.publish(image)
        rig.probe.spin(0.1)
    rig.probe.until(lambda: 'use_sim_time' in rig.complaint(), what='the hint')


def test_fault_of_the_planner_stops_the_robot_and_is_told(rig):
    rig = rig().ready()
    rig.drive()
    rig.driver.error = ValueError('no such tensor')
    rig.show(100, stop=lambda: rig.state() == 'fault')
    assert rig.speeds()[-1] == 0.0
    assert 'no such tensor' in rig.statuses[-1].message
    rig.driver.error = None
    rig.show(100, stop=lambda: rig.speeds()[-1] == SPEED)


def test_refused_model_leaves_the_node_unconfigured_and_says_why(rig):
    def refuse(settings):
        raise InputError(f'{settings.model}: no such model file')
    rig = rig(refuse, model='missing.safetensors')
    rig.probe.until(lambda: rig.state() == 'fault', what='the fault')
    assert rig.node.state_label == 'unconfigured'
    assert rig.statuses[-1].message == 'missing.safetensors: no such model file'
    rig.node._make_driver = lambda settings: (rig.driver, 'double', 0.2)
    assert rig.node.bring_up()
    rig.ready().drive()


def test_exception_in_a_transition_is_told_and_leaves_the_node_unconfigured(rig):
    def crash(settings):
        raise RuntimeError('out of memory')
    rig = rig(crash)
    rig.probe.until(lambda: rig.state() == 'fault', what='the fault')
    assert rig.node.state_label == 'unconfigured'
    assert rig.statuses[-1].message == 'RuntimeError: out of memory'


def test_clock_that_goes_back_resets_goal_and_memory_and_stops(rig):
    rig = rig(use_sim_time=True)
    clock = rig.probe.publisher(Clock, '/clock', qos.CLOCK)
    time_s = [50.0]
    rig.now = lambda: time_s[0]

    def tick(duration_s):
        for _ in range(int(duration_s / 0.01)):
            time_s[0] += 0.01
            clock.publish(Clock(clock=to_stamp(time_s[0])))
            spin(0.01)
    spin, rig.probe.spin = rig.probe.spin, tick
    rig.ready()
    tick(0.1)
    rig.drive()
    time_s[0] = 2.0
    tick(0.1)
    rig.probe.until(lambda: rig.speeds()[-1] == 0.0, what='the stop')
    rig.show(6)
    assert rig.driver.goal is None
    assert rig.speeds()[-1] == 0.0


@pytest.mark.parametrize(('name', 'value', 'line'), [
    ('rate', 100.0, r'parameter rate = 100.0: must be in \[1, 30\] Hz'),
    ('image_timeout_s', 0.0, 'parameter image_timeout_s = 0.0'),
    ('planner', 'magic', 'must be one of hierarchical, flat'),
    ('goal_tolerance', 'near', 'parameter goal_tolerance = .near.')])
def test_parameter_out_of_range_is_refused_with_name_value_and_range(rig, name, value, line):
    with pytest.raises(InputError, match=line):
        rig(**{name: value})


def test_planning_never_blocks_the_executor(rig):
    rig = rig().ready()
    release = threading.Event()
    plan = rig.driver.plan

    def slow(now, deadline_s):
        release.wait(1.0)
        return plan(now, deadline_s)
    rig.driver.plan = slow
    rig.goals.publish(pose_goal(3.0, 1.0))
    rig.show(3)
    began = rig.now()
    rig.probe.call('/controller/cancel')
    assert rig.now() - began < 0.5
    release.set()
