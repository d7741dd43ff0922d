# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Surprise: debounce and hysteresis, conformal quantiles, tails."""

from dataclasses import replace
import math
import subprocess
import sys

from hypothesis import example, given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from wm_controller.errors import InputError
from wm_controller.world_model.surprise import fit_tail, Quantiles, Steady, tail_score

scores = st.lists(st.floats(-50, 50), min_size=1, max_size=60)


def run(values, period_s=0.1, **settings_of):
    steady = Steady(**settings_of)
    return [steady.update(period_s * i, value) for i, value in enumerate(values)]


def test_a_single_odd_frame_surprises_nobody():
    assert np.nanmax(run([0.0] * 5 + [9.0] + [0.0] * 5, debounce_s=0.1)) == 0.0


def test_what_lasts_is_believed_after_the_debounce_and_held_on():
    out = run([0.0] * 5 + [9.0] * 2 + [0.0] * 10, debounce_s=0.1, hold_s=0.5)
    assert out[5] == 0.0 and out[6] == 9.0
    assert out[6:12] == [9.0] * 6 and out[12] == 0.0


@pytest.mark.parametrize('period_s', [0.05, 0.1, 0.2])
def test_the_debounce_is_a_time_at_any_camera_rate(period_s):
    steady = Steady(debounce_s=0.2, hold_s=0.3)
    begun = [period_s * i for i in range(40) if steady.update(
        period_s * i, 5.0 if period_s * i >= 1.0 - 1e-9 else 0.0) == 5.0][0]
    assert begun == pytest.approx(1.2)


@given(scores, st.floats(-50, 50))
def test_every_level_is_a_debounced_and_held_alarm_of_its_own(values, level):
    alarms = run([float(value > level) for value in values])
    whole = run(values)
    assert [math.nan if math.isnan(w) else float(w > level) for w in whole] == pytest.approx(
        alarms, nan_ok=True)


@given(scores)
def test_it_invents_no_score_and_commutes_with_rising_functions(values):
    out = run(values)
    assert set(np.array(out)[~np.isnan(out)]) <= set(values)
    squeezed = run([value * 0.5 + 3 for value in values])
    assert squeezed == pytest.approx([value * 0.5 + 3 for value in out], nan_ok=True)


@given(scores, scores)
def test_a_higher_score_never_gives_a_lower_result(values, more):
    raised = [v + abs(m) for v, m in zip(values, more)]
    low, high = run(values[:len(raised)]), run(raised)
    assert all(math.isnan(a) or a <= b for a, b in zip(low, high))


def test_what_is_not_known_breaks_off_but_holds_on():
    steady = Steady(debounce_s=0.1, hold_s=0.3)
    out = [steady.update(0.1 * i, v) for i, v in enumerate([5, 5, math.nan, 5, 5])]
    assert math.isnan(out[0]) and out[1] == out[2] == out[3] == out[4] == 5
    assert math.isnan(steady.update(9.0, math.nan))


def test_time_that_goes_back_begins_anew():
    steady = Steady()
    for i in range(5):
        steady.update(10 + 0.1 * i, 7.0)
    assert math.isnan(steady.update(1.0, 0.0))


def test_times_that_are_none_are_refused():
    with pytest.raises(InputError, match='debounce'):
        Steady(debounce_s=math.nan)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 400), st.integers(0, 2 ** 32 - 1))
@example(2, 1)
def test_false_alarms_stay_below_what_is_stated_for_any_number_of_scores(count, seed):
    """The finite-sample promise: averaged over calibrations, at each level."""
    rng = np.random.default_rng(seed)
    level = 0.9
    alarms = []
    for _ in range(300):
        drawn = rng.standard_exponential(count + 1)
        alarms.append(Quantiles.of(drawn[:-1]).surprise(drawn[-1]) >= level)
    rate, spread = np.mean(alarms), math.sqrt(0.1 * 0.9 / 300)
    assert rate <= 1 - level + 5 * spread


def test_surprise_rises_from_nought_to_the_highest_level_that_can_be_shown():
    calibrated = Quantiles.of(np.arange(1000.0))
    table = replace(calibrated, tail=0.0)
    assert table.surprise(-1.0) == 0.0 and table.surprise(1e9) == pytest.approx(0.999)
    found = [table.surprise(x) for x in np.linspace(-10, 1010, 200)]
    assert found == sorted(found)
    assert math.isnan(table.surprise(math.nan))
    assert table.surprise(table.threshold(0.99) + 1e-9) >= 0.99 > table.surprise(
        table.threshold(0.99) - 1.1)
    assert table.threshold(0.99999) == math.inf


def test_beyond_what_was_calibrated_the_tail_goes_on():
    rng = np.random.default_rng(0)
    table = Quantiles.of(rng.exponential(2.0, 2000))
    assert table.tail == pytest.approx(2.0, rel=0.4)
    for level in (0.9999, 0.99999, 0.999999):
        threshold = table.threshold(level)
        assert threshold == pytest.approx(-2.0 * math.log(1 - level), rel=0.35)
        assert table.surprise(threshold) == pytest.approx(level, rel=1e-9)
    scores = np.linspace(0, 60, 400)
    found = [table.surprise(score) for score in scores]
    assert found == sorted(found) and found[-1] <= 1.0
    assert table.threshold(1.0) == math.inf
    constant = Quantiles.of(np.ones(200))
    assert constant.tail == 0.0 and constant.surprise(5.0) == constant.levels[-1]


def test_calibration_without_scores_is_refused():
    with pytest.raises(InputError, match='finite scores'):
        Quantiles.of([])
    with pytest.raises(InputError, match='two finite values'):
        fit_tail([math.nan])


def test_a_tail_score_is_minus_the_log_of_the_share_above_and_goes_on_beyond_the_data():
    values = np.random.default_rng(0).standard_exponential(20_000)
    grid, tail = fit_tail(values)
    assert tail_score([1.0, 3.0, 5.0], grid, tail) == pytest.approx([1.0, 3.0, 5.0], abs=0.15)
    assert tail_score(20.0, grid, tail) == pytest.approx(20.0, rel=0.15)


def test_it_needs_no_torch():
    done = subprocess.run([sys.executable, '-c', (
        'import sys, wm_controller.world_model.surprise; print("torch" in sys.modules)')],
        capture_output=True, text=True, check=True)
    assert done.stdout.strip() == 'False'
