# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""How fast a command may follow another."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
import pytest

from timelines import LIMITS
from wm_controller.safety.tracking import Command, throttle_after, toward

SLOW = replace(LIMITS, max_linear_acceleration=0.6, max_linear_deceleration=1.0,
               max_angular_acceleration=2.0, max_linear_jerk=8.0)
SPEEDS, TURNS = st.floats(-0.5, 0.5), st.floats(-1.5, 1.5)


@given(SPEEDS, TURNS, SPEEDS, TURNS, st.floats(0.0, 0.6), st.floats(0.005, 0.1), st.booleans())
def test_it_changes_no_faster_than_the_limits_whatever_is_wanted(v, w, to_v, to_w, throttle, dt,
                                                                taper):
    last, target = Command(v, w), Command(to_v, to_w)
    after = toward(last, target, throttle, dt, SLOW, taper)
    assert abs(after.w - w) <= SLOW.max_angular_acceleration * dt * (1 + 1e-6)
    rise = abs(after.v) - abs(v)
    assert rise <= min(SLOW.max_linear_acceleration, throttle + 8.0 * dt) * dt * (1 + 1e-6)
    assert -rise <= SLOW.max_linear_deceleration * dt * (1 + 1e-6)
    assert after.v * v >= 0.0, 'it stands before it goes back'
    assert min(w, to_w) - 1e-9 <= after.w <= max(w, to_w) + 1e-9


@pytest.mark.parametrize('w, to_w, found', [
    (0.0, 1.5, 0.04), (0.0, -1.5, -0.04), (1.0, 0.0, 0.96), (0.5, 0.53, 0.53)])
def test_a_turn_begins_and_ends_at_the_angular_acceleration(w, to_w, found):
    assert toward(Command(0.0, w), Command(0.0, to_w), 0.0, 0.02, SLOW).w == pytest.approx(found)


@pytest.mark.parametrize('throttle, rise', [
    (0.0, 0.16 * 0.02), (0.3, 0.46 * 0.02), (0.6, 0.6 * 0.02)])
def test_speeding_up_begins_by_the_jerk_and_goes_on_at_the_acceleration(throttle, rise):
    for sign in (1.0, -1.0):
        after = toward(Command(sign * 0.1), Command(sign * 0.5), throttle, 0.02, SLOW)
        assert after.v == pytest.approx(sign * (0.1 + rise))


def test_whoever_turns_back_stands_for_a_moment_and_turns_on_by_the_same_share():
    quick = replace(SLOW, max_linear_deceleration=10.0, max_angular_acceleration=50.0)
    last, target = Command(0.1, 1.0), Command(-0.3, 0.0)
    assert toward(last, target, 0.0, 0.02, quick) == Command(0.0, 0.75)
    slow = toward(last, target, 0.0, 0.02, replace(quick, max_linear_deceleration=1.0))
    assert (slow.v, slow.w) == pytest.approx((0.08, 0.95))
    assert toward(Command(0.1), Command(0.3), 0.0, 0.0, quick) == Command(0.1)


@pytest.mark.parametrize('before, after, dt, found', [
    (0.1, 0.2, 0.02, 5.0), (-0.1, -0.2, 0.02, 5.0), (0.2, 0.1, 0.02, 0.0), (0.2, 0.2, 0.02, 0.0),
    (0.1, -0.3, 0.02, 0.0), (0.0, 0.3, 0.1, 3.0), (0.1, 0.2, 0.0, 0.0)])
def test_the_throttle_is_the_acceleration_of_what_speeds_up(before, after, dt, found):
    assert throttle_after(Command(before), Command(after), dt) == pytest.approx(found)
