# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The parts that the guard remembers with: the track, what follows from what, who moves."""

from dataclasses import replace
import math

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from test_moving import somebody, watch
from timelines import LIMITS, Timeline
from wm_controller.safety.envelope import can_still_stop
from wm_controller.safety.geometry import compose, integrate, relative
from wm_controller.safety.heard import Heard
from wm_controller.safety.inputs import (
    AGREEING,
    Continuity,
    LONGEST_GAP_S,
    Seen,
    SLACK_M,
    SLACK_RAD,
)
from wm_controller.safety.monitors import LAG_S, Slip, Stuck
from wm_controller.safety.motion import AHEAD_S, KEPT_S, Track
from wm_controller.safety.moving import LASTING_S, MovingPoints
from wm_controller.safety.tracking import Command

ANGLES = st.floats(-math.pi, math.pi)
PLACES = st.floats(-5.0, 5.0)


# The track.

def track(*samples, twist=(0.0, 0.0)):
    made = Track()
    for stamp, *pose in samples:
        made.add(stamp, np.array(pose), twist)
    return made


@given(PLACES, PLACES, ANGLES, st.floats(-1.0, 1.0), st.floats(-1.0, 1.0), st.floats(-3.0, 3.0),
       st.floats(0.0, 1.0))
def test_between_two_poses_it_is_on_the_way_from_one_to_the_other(x, y, yaw, dx, dy, turn, share):
    """By the shorter way round, also across the turn of the compass."""
    made = track((1.0, x, y, yaw), (1.5, x + dx, y + dy, yaw + turn))
    found = made.at(1.0 + 0.5 * share)
    assert found[:2] == pytest.approx([x + share * dx, y + share * dy], abs=1e-9)
    off = math.remainder(found[2] - yaw - share * turn, 2.0 * math.pi)
    assert off == pytest.approx(0.0, abs=1e-9)


def test_beyond_the_last_pose_it_drives_on_for_a_while_and_before_the_first_it_stands():
    made = track((1.0, 0.0, 0.0, 0.5), (2.0, 1.0, 0.0, 0.5), twist=(0.4, 0.6))
    assert made.at(0.0).tolist() == [0.0, 0.0, 0.5]
    assert made.at(2.2) == pytest.approx(integrate((1.0, 0.0, 0.5), 0.4, 0.6, 0.2))
    assert made.at(9.0) == pytest.approx(made.at(2.0 + AHEAD_S))
    assert track((1.0, 2.0, 3.0, 0.1)).at(1.4) == pytest.approx(
        np.array((2.0, 3.0, 0.1))), 'no twist, no motion'


@given(st.tuples(PLACES, PLACES, ANGLES), st.tuples(PLACES, PLACES, ANGLES))
def test_what_it_moved_leads_from_the_one_pose_to_the_other(before, after):
    moved = track((1.0, *before), (2.0, *after)).moved(1.0, 2.0)
    reached = compose(np.array(before), moved)
    assert reached[:2] == pytest.approx(after[:2], abs=1e-9)
    assert math.cos(reached[2] - after[2]) == pytest.approx(1.0)
    assert Track().moved(1.0, 2.0).tolist() == [0.0, 0.0, 0.0]


def test_it_keeps_seconds_and_the_last_word_at_a_time():
    made = track(*((0.1 * k, float(k), 0.0, 0.0) for k in range(100)))
    assert made.at(0.0)[0] == pytest.approx(99 - KEPT_S / 0.1, abs=1.0)
    assert len(made) == pytest.approx(KEPT_S / 0.1 + 1, abs=1)
    made.add(9.9, np.array((7.0, 8.0, 0.0)), (0.0, 0.0))
    assert made.latest.tolist() == [7.0, 8.0, 0.0] and len(made) <= KEPT_S / 0.1 + 2
    made.clear()
    assert made.latest is None and not len(made)


# What follows from what.

def poses(*xs, y=0.0, yaw=0.0):
    return [np.array((x, y, yaw)) for x in xs]


def told(continuity, sequence, begin=0.0):
    return [continuity.check(begin + 0.05 * k, pose, LIMITS)
            for k, pose in enumerate(sequence)]


@pytest.mark.parametrize('jump', [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, -1.0, 0.0),
                                  (0.0, 0.0, 1.5), (0.0, 0.0, -1.5)])
def test_a_jump_counts_when_several_agree_and_is_said_once(jump):
    continuity = Continuity()
    assert told(continuity, poses(0.0, 0.01, 0.02)) == [(True, False)] * 3
    there = np.array((0.02, 0.0, 0.0)) + jump
    found = told(continuity, [there] * (AGREEING + 2), 0.15)
    assert found == [(False, False)] * (AGREEING - 1) + [(True, True)] + [(True, False)] * 2


def test_an_outlier_is_dropped_and_the_old_truth_counts_again_after_three():
    continuity = Continuity()
    told(continuity, poses(0.0, 0.01))
    found = told(continuity, poses(3.0, 0.02, 0.03, 0.04, 0.05), 0.1)
    assert found == [(False, False)] * 3 + [(True, False)] * 2
    # That one is forgotten: the next outlier begins to be counted anew.
    again = told(continuity, poses(*[3.0] * AGREEING), 0.35)
    assert again == [(False, False)] * (AGREEING - 1) + [(True, True)]


def test_jumps_that_do_not_agree_among_themselves_never_count():
    continuity = Continuity()
    told(continuity, poses(0.0))
    assert told(continuity, poses(3.0, -3.0, 3.0, -3.0, 3.0, -3.0, 3.0), 0.05) == [
        (False, False)] * 7


@pytest.mark.parametrize('ahead, back', [(0.7, -0.2), (0.3, -0.9)])
@pytest.mark.parametrize('elapsed', [0.05, 0.3, LONGEST_GAP_S, 9.0])
def test_a_pose_follows_that_twice_the_limits_can_reach_with_some_slack(ahead, back, elapsed):
    limits = replace(LIMITS, max_linear_velocity=ahead, min_linear_velocity=back,
                     max_angular_velocity=1.3)
    driven = min(elapsed, LONGEST_GAP_S)
    way, turn = 2.0 * max(ahead, -back) * driven + SLACK_M, 2.0 * 1.3 * driven + SLACK_RAD

    def follows(*there):
        continuity = Continuity()
        assert continuity.check(5.0, np.array((1.0, 2.0, 3.0)), limits) == (True, False)
        return continuity.check(5.0 + elapsed, (1.0, 2.0, 3.0) + np.array(there), limits)[0]

    for share, expected in ((0.99, True), (1.01, False)):
        assert follows(share * way, 0.0, 0.0) is follows(0.0, -share * way, 0.0) is expected
        if share * turn < math.pi:
            for turned in (share * turn, -share * turn, share * turn - 2.0 * math.pi):
                assert follows(0.0, 0.0, turned) is expected


def test_the_same_stamp_is_not_newer_whenever_it_came():
    seen = Seen(5.0, 1.0)
    assert seen.then(5.0, 2.0) is seen and seen.then(5.1, 2.0) == Seen(5.1, 2.0)
    heard = Heard()
    for received in (1.0, 2.0):
        heard.take_odometry(5.0, received, np.zeros(3), (0.0, 0.0), 0.0, LIMITS)
        heard.take_scan(5.0, 5.0, received, np.zeros((0, 2)), 8.0, None, 1.0)
    assert heard.odom_seen == heard.scan_seen == Seen(5.0, 1.0)
    line = Timeline(replace(LIMITS, scan_required=True, odom_required=True))
    stamp = line.ros
    for _ in range(100):  # a driver that repeats its last messages
        line.command(0.3)
        line.guard.on_scan([[3.0, 0.0]], stamp, line.ros, line.steady)
        line.guard.on_odometry((0.0, 0.0, 0.0), (0.0, 0.0), stamp, line.ros, line.steady)
        line.step()
    assert {'odom_timeout', 'scan_timeout'} <= set(line.verdict.reasons)


# Does it do what it is told.

@pytest.mark.parametrize('yaw', [0.0, 2.0, -3.1])
def test_who_stands_is_stuck_whichever_way_it_looks(yaw):
    stuck, pose = Stuck(), np.array((1.0, -2.0, yaw))
    for k in range(50):
        assert stuck.update(0.1 * k, Command(0.0, 0.5), pose) == pytest.approx(0.1 * k)
    assert stuck.update(5.0, Command(0.0, 0.5), pose + (0.0, 0.0, 0.12)) == 0.0, 'it turned'
    assert stuck.update(6.0, Command(0.0, 0.5), pose + (0.0, 0.04, 0.12)) == 0.0, 'it went aside'
    assert stuck.update(7.0, Command(0.0, 0.5), pose + (0.0, 0.04, 0.12)) == 1.0


def test_what_was_commanded_a_moment_ago_excuses_motion_and_no_longer():
    slip = Slip()
    slip.update(0.0, Command(0.4, 0.0), Command(0.0, 0.0), 0.1, 0.3)
    assert slip.update(0.5 * LAG_S, Command(), Command(0.4, 0.0), 0.1, 0.3) == 0.0
    assert slip.update(2.0, Command(), Command(0.4, 0.0), 0.1, 0.3) == 0.0, 'it begins'
    assert slip.update(2.5, Command(), Command(0.4, 0.0), 0.1, 0.3) == pytest.approx(0.5)
    assert slip.update(2.6, Command(), None, 0.1, 0.3) == 0.0, 'nothing is known'


def test_odometry_of_long_ago_is_not_held_against_the_robot():
    line = Timeline()
    for k in range(50):
        line.command(0.4)
        line.odometry((0.008 * k, 0.0, 0.0), (line.verdict.v, 0.0))
        line.step()
    line.run(4.0, 0.0)  # odometry fell silent while it drove; it stands since
    assert line.verdict.mode == 'auto' and 'slip' not in line.verdict.reasons


# Who moves.

@pytest.mark.parametrize('yaw', [0.0, 1.0, -2.5])
def test_who_moves_is_told_in_the_robots_own_directions(yaw):
    """Somebody walks towards the robot, wherever that stands and looks."""
    heard, pose = Heard(), np.array((2.0, -1.0, yaw))
    for k in range(6):
        now = 10.0 + 0.1 * k
        heard.take_odometry(now, now, pose, (0.0, 0.0), 0.0, LIMITS)
        heard.take_scan(now, now, now, somebody(2.0 - 0.1 * k, 0.0), 8.0, None, 1.0)
    points, velocities = heard.moving_at(10.5)
    assert points.mean(0) == pytest.approx([1.3, 0.0], abs=0.1)
    assert velocities.mean(0) == pytest.approx([-1.0, 0.0], abs=0.2)
    later, _ = heard.moving_at(10.7)
    assert (later - points).mean(0) == pytest.approx([-0.2, 0.0], abs=0.05)


def test_who_stops_is_still_taken_to_come_for_a_moment():
    walked = [(2.0 - 0.1 * step, 0.0) for step in range(6)]
    for still_s, expected in ((0.2, True), (LASTING_S + 0.7, False)):
        found = watch(walked + [walked[-1]] * round(still_s / 0.1))
        assert bool(len(found.points)) is expected, still_s


def test_who_has_gone_is_not_taken_to_come():
    walked = [(2.0 - 0.1 * step, 0.0) for step in range(6)]
    found = watch([*walked, None], background=np.array([[2.5, 2.0], [2.5, 2.1]]))
    assert not len(found.points)


def test_beyond_three_metres_nobody_is_looked_for():
    near, far = ([(reach - 0.1 * step, 0.0) for step in range(6)] for reach in (3.2, 4.2))
    assert len(watch(near).points) and not len(watch(far).points)


def test_a_scanner_that_begins_to_turn_shears_what_it_sees():
    """A wall 2 m away, seen from a robot that turns: a turn that changes shifts its points."""
    def found(turning):
        moving = MovingPoints()
        wall = np.column_stack((np.full(60, 2.0), np.linspace(-0.6, 0.6, 60)))
        for k in range(5):
            moving.see(0.1 * k, wall, np.zeros(2), 0.0)
        shifted = wall - (0.22, 0.0)  # by more than the slack of a robot that does not turn
        moving.see(0.5, shifted, np.zeros(2), turning)
        return len(moving.found.points)

    assert found(0.0) > 0 and found(1.5) == 0


# Braking from what is measured.

@given(st.floats(0.05, 0.5), st.floats(0.0, 0.5))
def test_it_can_still_stop_where_braking_ends_before_the_margin(v, gap):
    needed = v ** 2 / (2.0 * LIMITS.max_linear_deceleration)
    ahead = [[LIMITS.footprint_radius + LIMITS.margin + gap, 0.0]]
    if abs(gap - needed) > 1e-4:
        assert can_still_stop(LIMITS, Command(v, 0.0), ahead) is bool(gap > needed)
        assert can_still_stop(LIMITS, Command(-v, 0.0), ahead), 'it drives away'


def test_on_an_arc_braking_ends_before_the_margin_as_fine_sampling_says():
    """v and w end together, so the way is the arc, for half of the time that braking takes."""
    points = np.random.default_rng(2).uniform(-0.5, 0.5, (300, 2))
    judged = []
    for v, w in ((0.5, 1.5), (0.3, -1.5), (-0.25, 1.0)):
        braking = LIMITS.braking_time(v, w)
        way = integrate(np.zeros(3), v, w, np.linspace(0.0, 0.5 * braking, 300))
        for point in points:
            gaps = LIMITS.outline.distance(relative(way, [*point, 0.0])[:, :2]) - LIMITS.margin
            if gaps[0] > 1e-3 < abs(gaps.min()):
                judged.append(bool(gaps.min() > 0.0))
                assert can_still_stop(LIMITS, Command(v, w), [point]) is judged[-1]
    assert 10 < sum(judged) < len(judged) - 10
