# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The stick's dead-man with a clock of our own: timelines, and what holds for every sequence."""

import math

from hypothesis import given
from hypothesis import strategies as st
import pytest

from wm_controller.errors import InputError
from wm_controller.panel.dead_man import Beat, DeadMan, LIFT, OTHER_HOLDS, Stick, TIMEOUT_S

STICK = Stick(0.5, -0.25, 1.5, slow_share=0.4)
FULL = (0.0, 1.0)


class Browser:
    """Touches the stick; `skew_s` is how far its clock is off."""

    def __init__(self, dead_man, name='phone', skew_s=1234.5):
        self.dead_man, self.name, self.skew_s = dead_man, name, skew_s
        self.press, self.sequence = 0, 0

    def touch(self, now, x=0.0, y=0.0, fast=False):
        self.press, self.sequence = self.press + 1, 0
        return self.beat(now, x, y, fast)

    def beat(self, now, x=0.0, y=1.0, fast=False, sent=None):
        self.sequence += 1
        sent = (now if sent is None else sent) + self.skew_s
        return self.dead_man.beat(
            self.name, Beat(self.press, self.sequence, sent, x, y, fast), now)


@pytest.fixture
def dead_man():
    return DeadMan(STICK)


def test_nobody_holds_it_and_nothing_is_said(dead_man):
    assert dead_man.command(0.0) is None


def test_held_it_drives_and_released_it_says_zero_once(dead_man):
    phone = Browser(dead_man)
    assert phone.touch(0.0) == ''
    assert dead_man.command(0.01) == (0.0, 0.0)
    assert phone.beat(0.05) == ''
    assert dead_man.command(0.06) == pytest.approx((0.4 * 0.5, 0.0))
    dead_man.release('phone')
    assert [dead_man.command(t) for t in (0.07, 0.12, 0.17)] == [(0.0, 0.0), None, None]


def test_silence_lets_go_and_the_same_touch_never_drives_again(dead_man):
    phone = Browser(dead_man)
    phone.touch(0.0)
    phone.beat(0.05)
    assert dead_man.command(0.05 + TIMEOUT_S - 1e-3) != (0.0, 0.0)
    assert dead_man.command(0.05 + TIMEOUT_S + 1e-3) == (0.0, 0.0)
    assert phone.beat(0.5) == LIFT and dead_man.command(0.5) is None
    assert phone.touch(0.6) == '' and dead_man.command(0.6) == (0.0, 0.0)


def test_a_second_browser_is_told_and_does_not_take_over_when_the_first_lets_go(dead_man):
    phone, laptop = Browser(dead_man), Browser(dead_man, 'laptop', -7.0)
    phone.touch(0.0)
    assert laptop.touch(0.01) == OTHER_HOLDS
    dead_man.release('phone')
    assert laptop.beat(0.05) == LIFT
    assert dead_man.command(0.05) == (0.0, 0.0)
    assert laptop.touch(0.1) == ''


def test_a_stick_that_is_already_pushed_does_not_begin_to_drive(dead_man):
    phone = Browser(dead_man)
    assert phone.touch(0.0, *FULL) == LIFT
    assert phone.beat(0.05, 0.0, 0.0) == LIFT and dead_man.command(0.05) is None


def test_beats_kept_back_by_the_line_do_not_count_as_fresh(dead_man):
    phone = Browser(dead_man)
    dead_man.greet('phone', phone.skew_s - 1.0, -1.0)
    phone.touch(0.0)
    phone.beat(0.1)
    # The line stalls for 0.25 s and then delivers, late, what was sent meanwhile: enough to hold
    # on for a moment, not a push of half a second ago.
    assert phone.beat(0.35, sent=0.15) == ''
    assert 'late' in phone.beat(0.6, sent=0.2)
    assert dead_man.command(0.66) == (0.0, 0.0)


def test_beats_out_of_order_are_not_taken(dead_man):
    phone = Browser(dead_man)
    phone.touch(0.0)
    phone.beat(0.05)
    phone.beat(0.10, 0.0, -1.0)
    phone.sequence = 1
    assert phone.beat(0.11) != ''
    assert dead_man.command(0.11) == pytest.approx((-0.4 * 0.25, 0.0))


@pytest.mark.parametrize('rate', [1 + 5e-5, 1 - 5e-5])
def test_a_clock_that_runs_a_little_fast_or_slow_drives_on_after_hours(dead_man, rate):
    phone = Browser(dead_man)
    for second in range(3 * 3600):  # half a second apart at the end, more than the time-out
        dead_man.greet('phone', phone.skew_s + second * rate, second)
    now = 3 * 3600.0
    phone.sequence, phone.press = 0, 1
    assert phone.beat(now, 0.0, 0.0, sent=now * rate) == ''
    assert phone.beat(now + 0.05, sent=(now + 0.05) * rate) == ''


def test_a_closed_line_lets_go(dead_man):
    phone = Browser(dead_man)
    phone.touch(0.0)
    phone.beat(0.05)
    dead_man.leave('phone')
    assert [dead_man.command(0.06), dead_man.command(0.1)] == [(0.0, 0.0), None]


def test_a_stop_takes_the_stick_out_of_the_hand(dead_man):
    phone = Browser(dead_man)
    phone.touch(0.0)
    phone.beat(0.05)
    dead_man.end()
    assert phone.beat(0.1) == LIFT
    assert [dead_man.command(0.1), dead_man.command(0.15)] == [(0.0, 0.0), None]


def test_full_speed_is_chosen_at_the_touch_not_under_way(dead_man):
    phone = Browser(dead_man)
    phone.touch(0.0)
    phone.beat(0.05, fast=True)
    assert dead_man.command(0.06) == pytest.approx((0.2, 0.0))
    dead_man.release('phone')
    phone.touch(0.1, fast=True)
    phone.beat(0.15)
    assert dead_man.command(0.16) == pytest.approx((0.5, 0.0))


@pytest.mark.parametrize('wrong', [
    {}, {'press': True}, {'press': -1}, {'press': 1.5}, {'sequence': '1'}, {'x': math.nan},
    {'y': math.inf}, {'sent_s': None}, {'y': 10**400}, {'x': '0'}, {'press': 2**60}])
def test_a_beat_that_is_none_is_refused(wrong):
    whole = {'press': 1, 'sequence': 1, 'sent_s': 1.0, 'x': 0.0, 'y': 0.0}
    assert Beat.parse(whole)
    with pytest.raises(InputError):
        Beat.parse({**whole, **wrong} if wrong else {})


@given(x=st.floats(-1e6, 1e6), y=st.floats(-1e6, 1e6), fast=st.booleans())
def test_no_deflection_demands_more_than_the_limits(x, y, fast):
    v, w = STICK.demand(x, y, fast)
    share = 1.0 if fast else STICK.slow_share
    assert -0.25 * share - 1e-9 <= v <= 0.5 * share + 1e-9 and abs(w) <= 1.5 * share + 1e-9
    assert math.copysign(1, v) == math.copysign(1, y) or v == 0.0
    assert w * x <= 0.0


EVENTS = st.one_of(
    st.tuples(st.just('beat'), st.sampled_from(['a', 'b']), st.integers(0, 3), st.integers(0, 6),
              st.floats(0.0, 1.0), st.floats(-1.0, 1.0)),
    st.tuples(st.sampled_from(['release', 'leave', 'end', 'wait']), st.sampled_from(['a', 'b'])))


@given(st.lists(st.tuples(st.floats(0.0, 0.4), EVENTS), max_size=60))
def test_for_every_sequence_it_drives_only_on_fresh_beats_and_ends_with_one_zero(steps):
    dead_man, now = DeadMan(STICK), 0.0
    accepted_s, said = -math.inf, []
    for pause_s, (what, browser, *fields) in steps:
        now += pause_s
        if what == 'beat':
            press, sequence, delay_s, y = fields
            if not dead_man.beat(browser, Beat(press, sequence, now - delay_s, 0.0, y), now):
                accepted_s = now
        elif what != 'wait':
            getattr(dead_man, what)(*([] if what == 'end' else [browser]))
        said.append(dead_man.command(now))
        if said[-1] not in (None, (0.0, 0.0)):
            assert now - accepted_s <= TIMEOUT_S
    now += 1.0
    said += [dead_man.command(now), dead_man.command(now), dead_man.command(now)]
    assert said[-1] is None
    for before, after in zip(said, said[1:]):  # never silent without a zero before
        assert not (after is None and before not in (None, (0.0, 0.0)))
