# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""What the guard sees beyond commands: stuck, slip, tilt, jumps, the reaction time."""

from dataclasses import replace
import math

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from timelines import LIMITS, PERIOD, Timeline, wall
from wm_controller.safety.geometry import integrate
from wm_controller.safety.guardrails import CREEPING
from wm_controller.safety.reaction import ReactionTime
from wm_controller.safety.tracking import Command


def base(line, seconds, command, follows, source='auto', tilt=0.0):
    """Command a base whose measured twist is follows(what went to the wheels)."""
    pose = getattr(line, 'pose', np.zeros(3))
    for _ in range(round(seconds / PERIOD)):
        line.command(*command, source=source)
        twist = follows(line.verdict.v, line.verdict.w)
        pose = integrate(pose, *map(float, twist), PERIOD)
        line.odometry(pose, twist, tilt=tilt)
        line.step()
    line.pose = pose
    return line.verdict


def as_told(v, w):
    return v, w


def not_at_all(v, w):
    return 0.0, 0.0


# Stuck.

def test_a_robot_that_does_not_move_as_it_is_told_stops_trying_and_asks():
    line = Timeline()
    assert base(line, 2.9, (0.3, 0.0), not_at_all).v == pytest.approx(0.3)
    verdict = base(line, 1.0, (0.3, 0.0), not_at_all)
    assert (verdict.mode, verdict.v) == ('hold', 0.0) and 'stuck' in verdict.reasons
    assert 'did not' in verdict.because
    assert line.enable()
    assert base(line, 5.0, (0.3, 0.0), as_told).v == pytest.approx(0.3)


def test_the_operator_who_is_stuck_lets_go_and_tries_again():
    line = Timeline()
    verdict = base(line, 4.0, (0.0, 0.5), not_at_all, 'teleop')
    assert (verdict.mode, verdict.w) == ('teleop', 0.0) and 'stuck' in verdict.reasons
    assert base(line, 2.0, (0.0, 0.5), not_at_all, 'teleop').w == 0.0, 'it does not try by itself'
    base(line, 0.1, (0.0, 0.0), as_told, 'teleop')
    verdict = base(line, 1.0, (0.0, 0.5), as_told, 'teleop')
    assert verdict.w == pytest.approx(0.5) and 'stuck' not in verdict.reasons


@pytest.mark.parametrize('command, share', [
    ((0.3, 0.0), 0.1), ((0.0, 0.4), 0.2), ((0.04, 0.1), 0.0), ((0.0, 0.0), 0.0)])
def test_who_moves_a_little_or_is_told_little_is_not_stuck(command, share):
    line = Timeline()
    base(line, 6.0, command, lambda v, w: (share * v, share * w))
    assert line.verdict.mode == 'auto'


def test_without_odometry_nobody_says_stuck():
    line = Timeline()
    assert line.run(6.0, 0.3).v == pytest.approx(0.3)


# Slip.

@pytest.mark.parametrize('command, follows', [
    ((0.0, 0.0), lambda v, w: (0.3, 0.0)), ((0.0, 0.0), lambda v, w: (0.0, -0.9)),
    ((0.4, 0.0), lambda v, w: (-v, w)), ((0.0, 0.8), lambda v, w: (v, -w)),
    ((0.2, 0.0), lambda v, w: (0.5, 0.0))], ids=[
        'rolls away', 'spins', 'drives the other way', 'turns the other way', 'races'])
def test_a_robot_that_moves_otherwise_than_told_is_braked_and_asks(command, follows):
    line = Timeline()
    verdict = base(line, 2.5, command, follows)
    assert (verdict.mode, verdict.v, verdict.w) == ('hold', 0.0, 0.0)
    assert 'slip' in verdict.reasons or not any(follows(0.0, 0.0))
    assert 'not commanded' in verdict.because


def test_slip_is_said_while_it_lasts_and_the_operator_drives_on_after_it():
    line = Timeline()
    assert 'slip' in base(line, 1.5, (0.1, 0.0), lambda v, w: (0.4, 0.0), 'teleop').reasons
    assert line.verdict.v == 0.0
    verdict = base(line, 2.0, (0.1, 0.0), as_told, 'teleop')
    assert verdict.v == pytest.approx(0.1) and 'slip' not in verdict.reasons


@given(st.floats(0.0, 0.4), st.integers(0, 2**32 - 1))
def test_a_base_that_lags_within_reason_never_slips(lag, seed):
    rng = np.random.default_rng(seed)
    line, told = Timeline(), [(0.0, 0.0)] * round(lag / PERIOD + 1)

    def follows(v, w):
        told.append((v, w))
        return told[-1 - round(lag / PERIOD)]

    for _ in range(6):
        command = rng.uniform((-0.3, -1.6), (0.6, 1.6))
        base(line, float(rng.uniform(0.1, 1.0)), command.tolist(), follows)
    assert line.verdict.mode == 'auto'


# Tilt.

def test_a_tilted_robot_slows_then_asks_and_the_operator_may_creep_it_level():
    line = Timeline()
    base(line, 1.0, (0.5, 0.0), as_told)
    first = base(line, 2 * PERIOD, (0.5, 0.0), as_told, tilt=0.4)
    assert first.v < 0.5 and 'tilt' in first.reasons and first.mode == 'auto'
    verdict = base(line, 1.0, (0.5, 0.0), as_told, tilt=0.4)
    assert (verdict.mode, verdict.v) == ('hold', 0.0) and 'tilt' in verdict.reasons
    verdict = base(line, 1.0, (0.5, 0.0), as_told, 'teleop', tilt=0.4)
    assert verdict.v == pytest.approx(0.3 * LIMITS.max_linear_velocity)
    assert base(line, 1.0, (0.5, 0.0), as_told, 'teleop').v == pytest.approx(0.5)


def test_a_bump_of_a_moment_does_not_hold():
    line = Timeline()
    base(line, 1.0, (0.5, 0.0), as_told)
    base(line, 0.2, (0.5, 0.0), as_told, tilt=0.6)
    assert base(line, 1.0, (0.5, 0.0), as_told).v == pytest.approx(0.5)


# Odometry that jumps.

def test_a_pose_that_cannot_follow_is_dropped_until_several_agree():
    line = Timeline()
    assert line.odometry((0.0, 0.0, 0.0)) is None
    for _ in range(10):  # to and fro is neither
        for x in (2.0, 0.0):
            line.step()
            assert line.odometry((x, 0.0, 0.0)) == 'jump'
    for x in (2.0, 0.0, 0.0):
        line.step()
        assert line.odometry((x, 0.0, 0.0)) == 'jump'
    line.step()
    assert line.odometry((0.0, 0.0, 0.0)) is None, 'three in a row: that was a glitch'
    for _ in range(4):
        line.step()
        assert line.odometry((2.0, 0.0, 0.0)) == 'jump'
    line.step()
    assert line.odometry((2.0, 0.0, 0.0)) is None, 'that is where it is now'
    line.step()
    assert line.odometry((2.0, 0.0, 2.0)) == 'jump', 'so does a turn'
    assert set(line.guard.dropped) == {('odom', 'jump')}


def test_odometry_that_jumps_all_the_time_is_no_odometry():
    line = Timeline(replace(LIMITS, odom_required=True))
    rng = np.random.default_rng(0)
    for _ in range(100):
        line.command(0.3)
        line.odometry((*rng.uniform(-3.0, 3.0, 2), 0.0))
        line.step()
    assert line.verdict.v == 0.0 and 'odom_timeout' in line.verdict.reasons


# Speed scaling from outside.

@given(st.floats(0.0, 1.0), st.floats(-1.0, 1.0), st.floats(-3.0, 3.0))
def test_the_speed_scale_caps_the_speed_and_keeps_the_curve(share, v, w):
    line = Timeline()
    assert line.guard.on_speed_scale(share) is None
    verdict = line.run(2.0, v, w)
    assert verdict.v <= share * LIMITS.max_linear_velocity + 1e-9
    assert verdict.v >= share * LIMITS.min_linear_velocity - 1e-9
    assert abs(verdict.w) <= share * LIMITS.max_angular_velocity + 1e-9
    assert verdict.v * w == pytest.approx(verdict.w * v, abs=1e-9)


def test_a_speed_scale_out_of_range_is_dropped_and_the_last_one_holds():
    line = Timeline()
    line.guard.on_speed_scale(0.5)
    assert line.guard.on_speed_scale(math.nan) == 'not_finite'
    assert line.guard.on_speed_scale(1.5) == 'out_of_range'
    assert line.run(1.0, 0.5).v == pytest.approx(0.25)
    assert line.verdict.reasons == ('speed_scale',)


# Slower before it must stop.

def test_it_slows_gently_before_an_obstacle_and_stops_before_it():
    line, pose = Timeline(), 0.0
    speeds = []
    for _ in range(round(6.0 / PERIOD)):
        line.command(0.5)
        line.scan(wall(1.5 - pose))
        line.odometry((pose, 0.0, 0.0), (line.verdict.v, 0.0))
        line.step()
        pose += line.verdict.v * PERIOD
        speeds.append((line.verdict.v, line.verdict.reasons))
    braking = -np.diff([v for v, _ in speeds]) / PERIOD
    early = [b for b, (v, why) in zip(braking, speeds[1:]) if 'approach' in why and v > 0.1]
    assert early and max(early) < 1.0, 'no harder than asked for, but for the reaction time'
    assert 'obstacle' in line.verdict.reasons and line.verdict.v == 0.0
    assert 1.5 - pose - LIMITS.footprint_radius == pytest.approx(LIMITS.margin, abs=0.02)


def test_the_slowdown_leaves_a_creep_for_the_stop():
    line = Timeline()
    verdict = line.run(3.0, 0.5, points=wall(LIMITS.footprint_radius + LIMITS.margin + 0.008))
    assert 0.0 < verdict.v <= CREEPING * LIMITS.max_linear_velocity + 1e-9


# The reaction time.

def measured(delay, scan_period, scan_age, seed=0, quiet=False):
    rng, reaction = np.random.default_rng(seed), ReactionTime()
    commands = []
    for i in range(800):
        now = 50.0 + i * PERIOD
        v = 0.2 if quiet else 0.3 * math.sin(0.7 * now) + 0.2 * math.sin(2.1 * now)
        commands.append(v)
        reaction.on_command(now, Command(v, 0.0))
        late = commands[max(0, i - round(delay / PERIOD))]
        reaction.on_odometry(now, (late + float(rng.normal(0.0, 0.01)), 0.0))
        if i % round(scan_period / PERIOD) == 0:
            reaction.on_scan(now - scan_age, now)
    reaction.measure_base()
    return reaction


@pytest.mark.parametrize('delay', [0.0, 0.1, 0.3])
def test_the_delay_of_the_base_is_found(delay):
    reaction = measured(delay, 0.1, 0.04)
    assert reaction.base_s == pytest.approx(delay, abs=0.021)
    assert reaction.scan_s == pytest.approx(0.14, abs=1e-6)
    assert reaction.total_s == pytest.approx(delay + 0.14, abs=0.021)


def test_commands_that_never_change_tell_nothing():
    assert measured(0.3, 0.1, 0.0, quiet=True).base_s is None


def test_a_slow_scanner_makes_it_keep_further_off():
    def stopped_at(period, age):
        line, pose = Timeline(), 0.0
        for i in range(400):
            line.command(0.5)
            line.odometry((pose, 0.0, 0.0), (line.verdict.v, 0.0))
            if i % round(period / PERIOD) == 0:
                line.scan(wall(2.0 - pose + line.verdict.v * age), age=age)
            line.step()
            pose += line.verdict.v * PERIOD
            if line.verdict.v < 0.4 and i > 100:
                return pose, line.guard.measure()
        raise AssertionError('it never slowed')

    near, quick = stopped_at(0.1, 0.02)
    far, slow = stopped_at(0.2, 0.25)
    assert quick['reaction_s'] == LIMITS.reaction_time_s, 'nothing is made shorter'
    assert slow['reaction_s'] >= 0.45 and far < near - 0.05


def test_a_scan_shows_what_appeared_after_its_age_and_mostly_its_interval():
    reaction = ReactionTime()
    reaction.on_scan(10.0, 10.03)
    assert reaction.scan_s == pytest.approx(0.03), 'of the interval nothing is known yet'
    reaction.on_scan(10.1, 10.15)
    assert reaction.scan_s == pytest.approx(0.05 + 0.1)
    reaction.on_scan(10.1, 10.4)
    assert reaction.scan_s == pytest.approx(0.05 + 0.1), 'the same scan again'


def test_motion_without_a_command_tells_nothing():
    reaction = ReactionTime()
    for i in range(400):
        reaction.on_odometry(i * PERIOD, (0.4 * math.sin(i * PERIOD), 0.0))
    assert reaction.measure_base() is None


@pytest.mark.parametrize('v, w', [(0.5, 0.0), (0.0, 1.5), (0.3, 0.8)])
def test_the_delay_is_found_from_driving_and_from_turning(v, w):
    reaction, commands = ReactionTime(), []
    for i in range(800):
        now = 20.0 + i * PERIOD
        wave = math.sin(0.9 * now) + 0.4 * math.sin(3.1 * now)
        commands.append((v * wave, w * wave))
        reaction.on_command(now, Command(*commands[-1]))
        reaction.on_odometry(now, commands[max(0, i - 10)])
    assert reaction.measure_base() == pytest.approx(0.19, abs=0.011)


def test_motion_that_has_nothing_to_do_with_the_commands_tells_nothing():
    rng, reaction = np.random.default_rng(1), ReactionTime()
    for i in range(800):
        now = 20.0 + i * PERIOD
        reaction.on_command(now, Command(0.4 * math.sin(now), 0.0))
        reaction.on_odometry(now, (0.3 + float(rng.normal(0.0, 0.2)), 0.0))
    assert reaction.measure_base() is None


def base_delay(command, motion, delay_s=0.2, seconds=16.0):
    """What is measured where motion(t, v, w) follows command(t), both (v, w), so much later."""
    reaction = ReactionTime()
    for now in 20.0 + PERIOD * np.arange(round(seconds / PERIOD)):
        reaction.on_command(now, Command(*command(now)))
        reaction.on_odometry(now, motion(now, *command(now - delay_s)))
    return reaction.measure_base()


def exactly(now, v, w):
    return v, w


@pytest.mark.parametrize('v, w, enough', [
    (0.04, 0.0, False), (0.06, 0.0, True), (0.0, 0.1, False), (0.0, 0.25, True)])
def test_how_much_commands_must_change_to_tell_something(v, w, enough):
    """Standard deviations: 0.05 m/s, or three times as many rad/s and a little."""
    root = math.sqrt(2.0)
    found = base_delay(lambda t: (0.3 + v * root * math.sin(t), w * root * math.sin(t)), exactly)
    assert found == (pytest.approx(0.2, abs=0.021) if enough else None)


@pytest.mark.parametrize('noise_v, noise_w, change_v, change_w, enough', [
    (0.16, 0.0, 0.2, 0.0, True), (0.28, 0.0, 0.2, 0.0, False),
    (0.0, 0.3, 0.2, 0.0, True), (0.15, 0.0, 0.0, 0.3, False)])
def test_commands_must_explain_half_of_the_motion(noise_v, noise_w, change_v, change_w, enough):
    rng, root = np.random.default_rng(3), math.sqrt(2.0)

    def command(t):
        wave = root * math.sin(0.9 * t)
        return 0.3 + change_v * wave, change_w * wave

    found = base_delay(command, lambda t, v, w: (
        v + float(rng.normal(0.0, noise_v)), w + float(rng.normal(0.0, noise_w))))
    assert found == (pytest.approx(0.2, abs=0.1) if enough else None)


@pytest.mark.parametrize('delay', [0.61, 0.66])
def test_delays_are_looked_for_up_to_the_longest(delay):
    assert base_delay(lambda t: (0.3 * math.sin(2.0 * t), 0.0), exactly, delay) == pytest.approx(
        0.6, abs=1e-6)


def test_a_few_seconds_tell_nothing_yet():
    reaction = ReactionTime()
    for i in range(120):
        reaction.on_command(i * PERIOD, Command(0.4 * math.sin(i * PERIOD), 0.0))
        reaction.on_odometry(i * PERIOD, (0.4 * math.sin(i * PERIOD), 0.0))
    assert reaction.measure_base() is None
