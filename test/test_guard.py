# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Who may command, for how long, and how fast: properties and timelines."""

from dataclasses import replace
import math

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from timelines import examples, LIMITS, PERIOD, play, SEQUENCES, Timeline, wall
from wm_controller.safety.guard import Guard

# Promise 1: finite, inside the limits, no faster than acceleration, braking and jerk allow.

OTHER_LIMITS = st.builds(
    replace, st.just(LIMITS), max_linear_jerk=st.sampled_from((0.5, 5.0, 1000.0)),
    max_linear_acceleration=st.floats(0.1, 3.0), max_linear_deceleration=st.floats(0.5, 3.0),
    max_angular_acceleration=st.floats(0.5, 8.0), min_linear_velocity=st.floats(-0.5, 0.0))


def check_follows(before, after, throttle, dt, limits):
    """Check what promise 1 says of two commands in a row; return the new throttle."""
    assert math.isfinite(after.v) and math.isfinite(after.w)
    slack = 1e-9
    assert limits.min_linear_velocity - slack <= after.v <= limits.max_linear_velocity + slack
    assert abs(after.w) <= limits.max_angular_velocity + slack
    dt = min(dt, 0.25)
    assert abs(after.w - before.w) <= limits.max_angular_acceleration * dt + 1e-7
    assert before.v * after.v >= 0.0, 'a change of direction passes through zero'
    rise = abs(after.v) - abs(before.v)
    assert -rise <= limits.max_linear_deceleration * dt + 1e-7
    if dt == 0.0:
        assert (after.v, after.w) == (before.v, before.w)
        return throttle
    assert rise <= limits.max_linear_acceleration * dt + 1e-7
    if rise < 0.0:
        return 0.0
    assert abs(rise / dt - throttle) <= limits.max_linear_jerk * dt * (1 + 1e-6) + 1e-6
    return rise / dt


@examples(300)
@given(SEQUENCES, OTHER_LIMITS)
def test_the_output_is_finite_limited_and_smooth_for_every_sequence(sequence, limits):
    line = Timeline(limits)
    before, throttle = line.verdict, 0.0
    for events, dt, repeats in sequence:
        for event in events:
            play(line, event)
        for _ in range(repeats):
            after = line.step(dt)
            throttle = check_follows(before, after, throttle, dt, limits)
            assert 0.0 <= after.limit <= 1.0
            assert after.mode in ('auto', 'teleop', 'hold', 'stopped')
            before = after


@given(st.floats(-2.0, 2.0), st.floats(-5.0, 5.0))
def test_from_rest_and_to_rest_the_curve_stays_the_curve(v, w):
    line = Timeline()
    seen = [line.run(PERIOD, v, w) for _ in range(60)] + [line.run(PERIOD, 0.0) for _ in range(60)]
    for verdict in seen:
        assert verdict.v * w == pytest.approx(verdict.w * v, abs=1e-9)
    assert (verdict.v, verdict.w) == (0.0, 0.0)


def test_speed_comes_to_the_limit_and_stays_there():
    line = Timeline()
    assert line.run(1.5, 3.0).v == pytest.approx(LIMITS.max_linear_velocity, abs=1e-9)
    assert line.run(1.0, -3.0).v == pytest.approx(LIMITS.min_linear_velocity, abs=1e-9)
    assert 'velocity' in line.verdict.reasons
    assert line.verdict.limit == pytest.approx(0.25 / 3.0)


def test_a_robot_that_may_not_reverse_stands_still():
    line = Timeline(replace(LIMITS, min_linear_velocity=0.0))
    assert (line.run(0.5, -0.2, 1.0).v, line.verdict.w) == (0.0, 0.0)


def test_speeding_up_is_no_slower_than_jerk_and_acceleration_say():
    line = Timeline()
    ideal = 0.5 / 1.0 + 1.0 / 10.0
    assert line.run(ideal + 0.06, 0.5).v > 0.49


# Promise 2: a source older than its timeout commands nothing.

@given(st.floats(0.05, 2.0), st.sampled_from(('auto', 'teleop')))
def test_a_silent_source_is_braked_at_the_braking_limit(timeout, source):
    line = Timeline(replace(LIMITS, auto_timeout_s=timeout, teleop_timeout_s=timeout))
    speed = line.run(1.5, 0.5, 0.5, source).v
    line.run(timeout - 2 * PERIOD)
    assert line.verdict.v == speed
    line.run(3 * PERIOD)
    for _ in range(40):
        before = line.verdict
        after = line.step()
        braked = max((before.v - after.v) / LIMITS.max_linear_deceleration,
                     (before.w - after.w) / LIMITS.max_angular_acceleration)
        assert braked == pytest.approx(PERIOD) or after.v == after.w == 0.0
    assert (line.verdict.v, line.verdict.w, line.verdict.source) == (0.0, 0.0, 'none')
    assert 'command_timeout' in line.verdict.reasons


def test_the_age_counts_from_the_stamp_where_that_is_older():
    line = Timeline()
    for _ in range(50):
        line.command(0.5, age=0.4)
        line.step()
    speed = line.verdict.v
    assert speed > 0.4
    line.run(0.14)
    assert line.verdict.v < speed, 'it came 0.16 s ago, but tells of 0.54 s ago'
    assert 'command_timeout' in line.verdict.reasons


def test_the_same_stamp_again_and_again_is_not_fresh():
    line = Timeline()
    line.run(1.0, 0.5)
    frozen = line.ros
    for _ in range(60):
        line.guard.on_command('auto', 0.5, 0.0, frozen, frozen, line.steady)
        line.steady += PERIOD
        verdict = line.guard.step(frozen, line.steady)
    assert verdict.v == 0.0, '/clock stands still while the planner keeps talking'


def test_simulated_time_that_stops_does_not_stop_the_brakes():
    line = Timeline(simulated_time=True)
    line.run(1.0, 0.5)
    for _ in range(60):
        line.steady += PERIOD
        verdict = line.guard.step(line.ros, line.steady)
    assert verdict.v == 0.0


def test_in_faster_simulated_time_the_brakes_are_paced_by_it():
    line = Timeline(simulated_time=True)
    line.run(1.0, 0.5)
    line.command(0.0)
    line.ros += 4 * PERIOD
    line.steady += PERIOD
    verdict = line.guard.step(line.ros, line.steady)
    assert verdict.v == pytest.approx(0.5 - 4 * PERIOD * LIMITS.max_linear_deceleration)


# Promise 3: required sensors.

@pytest.mark.parametrize('sensor', ['scan', 'odom'])
def test_a_required_sensor_that_goes_silent_brakes_and_comes_back(sensor):
    line = Timeline(replace(LIMITS, **{f'{sensor}_required': True}))

    def run(seconds, alive):
        for _ in range(round(seconds / PERIOD)):
            line.command(0.3)
            if alive and sensor == 'scan':
                line.scan(np.zeros((0, 2)))
            elif alive:
                line.odometry(np.zeros(3), (line.verdict.v, 0.0))
            line.step()
        return line.verdict

    assert run(0.5, False).v == 0.0, 'nothing moves before it was ever heard'
    assert run(0.8, True).v == pytest.approx(0.3)
    assert run(0.46, False).v == pytest.approx(0.3)
    assert run(0.3, False).v == 0.0
    assert f'{sensor}_timeout' in line.verdict.reasons
    assert run(0.8, True).v == pytest.approx(0.3)


def test_a_scan_that_is_not_required_may_be_silent():
    line = Timeline()
    line.run(0.5, 0.5, points=wall(0.4))
    assert line.run(1.5, 0.5).v == pytest.approx(0.5)


# Promise 6: the emergency stop.

@given(SEQUENCES)
def test_nothing_but_a_reset_clears_the_emergency_stop(sequence):
    line = Timeline()
    line.guard.on_emergency_stop(True)
    for events, dt, repeats in sequence:
        for event in events:
            if event[0] != 'reset':
                play(line, event)
        for _ in range(repeats):
            before = line.verdict
            after = line.step(dt)
            assert abs(after.v) <= abs(before.v) and after.mode == 'stopped'
            assert after.limit == 0.0 and 'emergency_stop' in after.reasons


def test_a_reset_is_refused_while_a_stick_is_held():
    line = Timeline()
    line.run(0.5, 0.5, source='teleop')
    line.guard.on_emergency_stop(True)
    assert line.run(1.0, 0.5, source='teleop').v == 0.0
    assert not line.reset()
    line.guard.on_emergency_stop(False)
    assert line.run(0.2, 0.5, source='teleop').mode == 'stopped', 'a release clears nothing'
    line.run(0.2, 0.0, source='teleop')
    assert line.reset()
    assert line.run(0.1, 0.3, source='teleop').v > 0.0


def test_a_stick_held_with_stamps_that_do_not_count_is_held_all_the_same():
    line = Timeline()
    line.guard.on_emergency_stop(True)
    line.step()
    assert line.command(0.5, source='teleop', age=-1.0) == 'future_stamp'
    assert not line.reset()
    line.run(0.6)
    assert line.reset()


def test_after_a_stop_autonomy_waits_to_be_enabled():
    line = Timeline()
    line.run(0.5, 0.5)
    line.guard.on_emergency_stop(True)
    assert not line.enable()
    line.run(1.0, 0.0)
    assert line.reset()
    assert line.run(0.5, 0.5).v == 0.0
    assert line.verdict.mode == 'hold' and line.verdict.reasons == ('autonomy_off',)
    assert line.enable()
    assert line.run(0.5, 0.5).v > 0.0


# Promise 7: who commands.

def test_teleop_outranks_autonomy_which_does_not_come_back_by_itself():
    line = Timeline()
    assert line.run(1.0, 0.5).source == 'auto'
    for _ in range(60):
        line.command(0.5)
        line.command(-0.1, source='teleop')
        line.step()
    assert (line.verdict.mode, line.verdict.source) == ('teleop', 'teleop')
    assert line.verdict.v == pytest.approx(-0.1)
    assert not line.enable(), 'not while the operator drives'
    line.run(1.0, 0.5)
    assert line.verdict.mode == 'hold' and line.verdict.v == 0.0
    assert line.enable()
    assert line.run(1.0, 0.5).v == pytest.approx(0.5)


def test_teleop_that_expires_while_moving_brakes_on_its_curve():
    line = Timeline()
    line.run(1.0, 0.4, 0.8, source='teleop')
    line.run(0.54)
    assert 0.0 < line.verdict.v < 0.4
    assert line.verdict.w == pytest.approx(2.0 * line.verdict.v)
    assert line.run(1.0).v == 0.0


def test_autonomy_off_on_start_waits():
    line = Timeline(replace(LIMITS, autonomy_on_start=False))
    assert line.run(0.5, 0.5).v == 0.0
    assert line.enable()
    assert line.run(0.5, 0.5).v > 0.0


# Promise 8: what does not count is dropped, counted and named.

@pytest.mark.parametrize('v, age, cause', [
    (math.nan, 0.0, 'not_finite'), (math.inf, 0.0, 'not_finite'), (0.1, 100.02, 'zero_stamp'),
    (0.1, -0.11, 'future_stamp'), (0.1, 0.2, 'out_of_order'), (0.1, math.nan, 'not_finite')])
def test_a_message_that_does_not_count_is_dropped_and_named(v, age, cause):
    line = Timeline()
    assert line.command(0.5) is None
    line.step()
    assert line.command(v, age=age) == cause
    assert line.guard.dropped['cmd_vel_auto', cause] == 1
    assert line.run(0.2).v > 0.1, 'the last good command still holds until it times out'


def test_at_first_nothing_is_surprising_slowed_or_dropped():
    guard = Timeline().guard
    assert (guard.surprise, guard.speed_scale, guard.dropped) == (0.0, 1.0, {})


def test_stamps_a_little_ahead_are_taken():
    line = Timeline()
    assert line.command(0.5, age=-0.09) is None


def test_scans_and_odometry_are_checked_alike():
    line = Timeline()
    assert line.scan([[math.nan, 0.0]]) == 'not_finite'
    assert line.odometry((0.0, 0.0, math.inf)) == 'not_finite'
    assert line.odometry(np.zeros(3)) is None
    assert line.odometry(np.zeros(3), age=0.1) == 'out_of_order'
    assert line.scan([[2.0, 0.0]]) is None
    assert line.scan([[2.0, 0.0]], age=0.1) == 'out_of_order'
    assert line.scan([[2.0, 0.0]], age=-0.2) == 'future_stamp'
    assert line.guard.dropped == {
        ('scan', 'not_finite'): 1, ('odom', 'not_finite'): 1, ('odom', 'out_of_order'): 1,
        ('scan', 'out_of_order'): 1, ('scan', 'future_stamp'): 1}


def test_a_scan_with_too_few_returns_does_not_count_where_some_are_sure():
    line = Timeline(replace(LIMITS, scan_min_returns=1, scan_required=True))
    assert line.scan(np.zeros((0, 2))) == 'too_few_returns'
    assert line.guard.dropped == {('scan', 'too_few_returns'): 1}
    assert line.run(0.5, 0.3).v == 0.0 and 'scan_timeout' in line.verdict.reasons
    assert line.scan([[2.0, 0.0]]) is None
    assert Timeline().scan(np.zeros((0, 2))) is None


def test_a_clock_that_jumps_back_stops_the_robot_until_it_is_told_anew():
    line = Timeline()
    line.run(1.0, 0.5)
    line.ros -= 50.0
    first = line.step()
    assert first.v < 0.5 and first.reasons[0] == 'clock'
    assert line.run(1.0).v == 0.0
    assert line.run(1.0, 0.5).v == pytest.approx(0.5)


def test_simulated_time_that_jumps_back_brakes_before_it_runs_on():
    line = Timeline(simulated_time=True)
    line.run(1.0, 0.5)
    line.ros -= 50.0
    line.steady += PERIOD
    verdict = line.guard.step(line.ros, line.steady)
    assert verdict.v == pytest.approx(0.5 - PERIOD * LIMITS.max_linear_deceleration)


def test_before_the_clock_runs_nothing_counts():
    guard = Guard(LIMITS, simulated_time=True)
    assert guard.on_command('auto', 0.5, 0.0, 1e9, 0.0, 1.0) == 'no_clock'
    assert guard.step(0.0, 1.0).reasons == ('clock',)


# Promise 9: surprise.

def test_surprise_slows_and_then_holds_until_the_operator_says_go():
    line = Timeline(replace(LIMITS, surprise_slow=0.5, surprise_hold=0.9))

    def run(seconds, surprise):
        for _ in range(round(seconds / PERIOD)):
            line.guard.on_surprise(surprise, line.steady)
            line.command(0.4)
            line.step()
        return line.verdict

    assert run(1.0, 0.4).v == pytest.approx(0.4)
    share = math.log(0.5 / 0.3) / math.log(0.5 / 0.1)  # of the way in rarity, not in level
    assert run(1.0, 0.7).v == pytest.approx(0.4 * (1 - 0.7 * share))
    assert line.verdict.reasons == ('surprise',)
    assert run(1.0, 0.95).v == 0.0
    assert run(1.0, 0.0).mode == 'hold', 'calm again, and still waiting'
    assert line.enable()
    assert run(1.0, 0.0).v == pytest.approx(0.4)


def test_one_surprising_moment_does_not_hold():
    line = Timeline()
    line.run(1.0, 0.4)
    line.guard.on_surprise(1.0, line.steady)
    line.run(0.2, 0.4)
    line.guard.on_surprise(0.1, line.steady)
    assert line.run(1.0, 0.4).v == pytest.approx(0.4)
