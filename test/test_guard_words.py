# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""What the guard says to people, the table it is described by, and where its edges are."""

from dataclasses import fields, replace
import math

import pytest

from timelines import LIMITS, PERIOD, Timeline
from wm_controller.safety.guardrails import as_markdown, GUARDRAILS, State
from wm_controller.safety.limits import InvalidLimit, Limits
from wm_controller.safety.modes import CAUSES
from wm_controller.safety.tracking import Command

# Parameters and documentation.

@pytest.mark.parametrize('changes, message', [
    ({'auto_timeout_s': 0.0}, 'auto_timeout_s = 0 s is out of range [0.05, 2]'),
    ({'teleop_timeout_s': math.inf}, 'teleop_timeout_s = inf s'),
    ({'sensor_timeout_s': math.nan}, 'sensor_timeout_s = nan s'),
    ({'min_linear_velocity': 0.1}, 'min_linear_velocity = 0.1 m/s is out of range [-5, 0]'),
    ({'surprise_slow': 0.9, 'surprise_hold': 0.5}, 'surprise_slow = 0.9 exceeds'),
    ({'footprint': (1.0, 2.0)}, 'footprint: '), ({'keep_out': (1.0, 2.0)}, 'keep_out: '),
    ({'geofence': (0.0, 0.0, 1.0, 1.0, 2.0, 2.0)}, 'geofence: ')])
def test_a_limit_out_of_range_is_refused_with_name_value_and_range(changes, message):
    with pytest.raises(InvalidLimit) as error:
        replace(LIMITS, **changes)
    assert message in str(error.value) and '\n' not in str(error.value)


def test_the_table_names_every_guardrail_in_order():
    rows = as_markdown().splitlines()[2:]
    assert [row.split('`')[1] for row in rows] == [g.name for g in GUARDRAILS]


# What is said, and where the edges are.

def test_the_operator_is_answered_in_words():
    line = Timeline()
    guard = line.guard
    assert guard.enable(False, line.ros, line.steady) == (True, 'autonomy off')
    assert line.step().mode == 'hold' and 'autonomy was switched off' in line.verdict.because
    assert guard.enable(True, line.ros, line.steady) == (True, 'autonomy on')
    assert guard.reset(line.steady) == (True, 'reset')
    line.command(0.3, source='teleop')
    line.step()
    assert guard.enable(True, line.ros, line.steady) == (
        False, 'refused: teleop is in command; let go first')
    guard.on_emergency_stop(True)
    assert guard.enable(True, line.ros, line.steady) == (
        False, 'refused: the emergency stop is latched; ~/reset first')
    assert guard.reset(line.steady) == (False, 'refused: teleop commands motion; let go first')
    assert not guard.reset()[0], 'by the time of the last step'
    line.run(0.6)
    assert guard.reset() == (True, 'reset; autonomy waits for ~/enable')


def test_a_source_counts_as_pressed_to_the_end_of_its_own_timeout():
    line = Timeline(replace(LIMITS, auto_timeout_s=1.0, teleop_timeout_s=0.2))
    line.command(0.3, source='teleop')
    line.guard.on_emergency_stop(True)
    pressed = line.steady
    assert not line.guard.reset(pressed + 0.2)[0]
    assert line.guard.reset(pressed + 0.201)[0]
    line.command(0.3)
    line.guard.on_emergency_stop(True)
    assert not line.guard.reset(pressed + 0.9)[0]


def test_each_source_is_heard_for_its_own_timeout():
    line = Timeline(replace(LIMITS, auto_timeout_s=1.0, teleop_timeout_s=0.2))
    line.run(1.0, 0.3)
    line.run(0.8)
    assert line.verdict.v == pytest.approx(0.3)
    line.run(1.0, 0.3, source='teleop')
    assert line.verdict.v == pytest.approx(0.3)
    line.run(0.3)
    assert line.verdict.v < 0.3


def test_a_surprise_of_long_ago_slows_nothing():
    line = Timeline(replace(LIMITS, surprise_slow=0.5, surprise_hold=0.99))
    line.guard.on_surprise(0.95, line.steady)
    slowed = line.run(0.4, 0.5)
    assert slowed.v < 0.3 and 'surprise' in slowed.reasons
    free = line.run(2.0, 0.5)
    assert free.v == pytest.approx(0.5) and 'surprise' not in free.reasons


def test_levels_are_checked_named_and_counted():
    guard = Timeline().guard
    assert [guard.on_surprise(value, 0.0) for value in (0.0, 1.0)] == [None, None]
    assert [guard.on_speed_scale(value) for value in (0.0, 1.0)] == [None, None]
    assert guard.on_surprise(1.01, 0.0) == guard.on_surprise(-0.1, 0.0) == 'out_of_range'
    assert guard.on_surprise(math.nan, 0.0) == 'not_finite'
    assert guard.on_speed_scale(1.01) == 'out_of_range'
    assert guard.dropped == {('surprise', 'out_of_range'): 2, ('surprise', 'not_finite'): 1,
                             ('speed_scale', 'out_of_range'): 1}


def test_surprise_right_at_the_limit_does_not_hold():
    line = Timeline(replace(LIMITS, surprise_slow=0.5, surprise_hold=0.9))
    for _ in range(50):
        line.guard.on_surprise(0.9, line.steady)
        line.command(0.4)
        line.step()
    assert line.verdict.mode == 'auto' and line.verdict.v == pytest.approx(0.3 * 0.4)


def test_figures_for_people_name_the_base_only_where_it_was_measured():
    guard = Timeline().guard
    assert guard.measure() == {'reaction_s': LIMITS.reaction_time_s, 'scan_s': 0.0}
    guard._heard.reaction.base_s = 0.1
    assert guard.measure()['base_delay_s'] == 0.1


def test_a_guard_that_ends_stops_and_says_so():
    line = Timeline()
    line.run(1.0, 0.5)
    line.guard.end()
    first = line.run(PERIOD, 0.5)
    assert (first.mode, first.because) == ('stopped', 'the guardrail ends') and first.v < 0.5


def test_every_limit_has_a_description_and_every_number_a_range_and_a_unit():
    for each in fields(Limits):
        assert each.metadata['text']
        if not isinstance(each.default, (bool, tuple)):
            low, high = each.metadata['low'], each.metadata['high']
            assert low <= each.default <= high and each.metadata['unit']
            with pytest.raises(InvalidLimit, match=f'^{each.name} = '):
                replace(LIMITS, **{each.name: high + 1})
        elif isinstance(each.default, tuple):
            assert each.metadata['unit'] == 'm' and each.default == ()
        else:
            assert set(each.metadata) == {'text'}


def test_the_table_is_what_the_guardrails_say():
    rows = as_markdown().splitlines()
    assert rows[:2] == ['| | guardrail | limits | clears |', '|---|---|---|---|']
    for number, (row, each) in enumerate(zip(rows[2:], GUARDRAILS), 1):
        assert row == f'| {number} | `{each.name}` | {each.limits} | {each.clears} |'
    assert as_markdown().endswith('|\n')


@pytest.mark.parametrize('name, state', [
    ('emergency_stop', {'emergency_stop': True}), ('clock', {'clock_lost': True}),
    ('command_timeout', {'command_stale': True}), ('autonomy_off', {'autonomy_off': True}),
    ('odom_timeout', {'odom_stale': True}), ('scan_timeout', {'scan_stale': True}),
    ('sensor_range', {'sight_too_short': True}), ('stuck', {'stuck': True}),
    ('slip', {'slipping': True}), *((cause, {'asks': cause}) for cause in CAUSES)])
def test_what_stops_stops_and_is_named_also_at_standstill(name, state):
    each, = (each for each in GUARDRAILS if each.name == name)
    command = Command(0.2, -0.4)
    assert each(State(LIMITS), command) == command and not each.stops(State(LIMITS))
    assert each(State(LIMITS, **state), command) == Command()
    assert each.stops(State(LIMITS, **state))
    assert each.limits and each.clears


@pytest.mark.parametrize('cause', CAUSES)
def test_what_holds_autonomy_leaves_the_operator_the_stick(cause):
    each, = (each for each in GUARDRAILS if each.name == cause)
    others = [State(LIMITS, asks=other) for other in CAUSES if other != cause]
    for state in (State(LIMITS, asks=cause, source='teleop'), *others):
        assert not each.stops(state) and each(state, Command(0.1, 0.0)) == Command(0.1, 0.0)
