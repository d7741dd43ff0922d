# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
import math

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from drives import make_episode
from wm_controller.evaluation import metrics


def test_wilson_interval_agrees_with_the_published_example():
    # Newcombe 1998, table I: 81 of 263, Wilson without continuity correction.
    low, high = metrics.wilson_interval(81, 263)
    assert (low, high) == pytest.approx((0.2553, 0.3662), abs=5e-5)


def test_wilson_interval_never_claims_certainty():
    assert metrics.wilson_interval(0, 0) == (0.0, 1.0)
    assert metrics.wilson_interval(10, 10)[0] == pytest.approx(0.7225, abs=1e-4)
    assert metrics.wilson_interval(0, 10)[1] == pytest.approx(0.2775, abs=1e-4)
    with pytest.raises(ValueError, match='3 successes of 2'):
        metrics.wilson_interval(3, 2)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_interval_holds_the_rate(case):
    wins, trials = case
    low, high = metrics.wilson_interval(wins, trials)
    assert 0.0 <= low <= wins / trials + 1e-12
    assert wins / trials - 1e-12 <= high <= 1.0


def test_path_efficiency_is_success_times_shortest_over_driven():
    assert metrics.path_efficiency(True, 4.0, 5.0) == pytest.approx(0.8)
    assert metrics.path_efficiency(True, 4.0, 3.7) == 1.0  # it may stop within the tolerance
    assert metrics.path_efficiency(False, 4.0, 4.0) == 0.0


def test_a_rate_over_no_distance_is_unknown_not_zero():
    assert metrics.per_100m(0, 0.0) is None
    assert metrics.per_100m(3, 150.0) == pytest.approx(2.0)


def test_percentiles_are_in_milliseconds_and_leave_out_what_is_not_finite():
    found = metrics.percentiles_ms([0.01] * 98 + [0.1, math.nan, 0.2])
    assert found == {'p50': 10.0, 'p95': 10.0, 'p99': pytest.approx(101.0, abs=1.0)}
    assert metrics.percentiles_ms([]) == {'p50': None, 'p95': None, 'p99': None}


def test_path_length_of_corners():
    assert metrics.path_length(np.array([[0, 0], [3, 4], [3, 5]])) == pytest.approx(6.0)
    assert metrics.path_length(np.zeros((1, 2))) == 0.0


def test_summary_has_every_key_of_the_contract_and_adds_up():
    episodes = [make_episode(0), make_episode(1, arrive=0.5), make_episode(2, collisions=2)]
    summary = metrics.summarise(episodes, seed=7, model_digest='abc', planner='flat')
    promised = {
        'success_rate', 'success_ci95', 'spl', 'collisions', 'collisions_per_100m', 'distance_m',
        'episodes', 'seed', 'model_digest', 'control_rate_hz', 'latency_ms', 'deadline_misses',
        'interventions', 'cpu_seconds',
    }  # fmt: skip
    assert promised <= summary.keys()
    assert summary['success_rate'] == pytest.approx(1 / 3)
    assert summary['collisions'] == 2 and summary['bumped_episodes'] == 1
    assert summary['timeouts'] == 1
    driven = sum(e.distance_m for e in episodes)
    assert summary['collisions_per_100m'] == pytest.approx(200 / driven, abs=1e-3)
    assert summary['control_rate_hz'] == pytest.approx(10.0, rel=0.02)
    assert set(summary['latency_ms']) == {'p50', 'p95', 'p99'}


def test_guard_shares_weigh_drives_by_their_duration():
    episodes = [make_episode(0), make_episode(1, arrive=0.3)]
    shares = metrics.guard_shares(episodes)
    limited = sum(e.guard_share['scan'] * e.duration_s for e in episodes)
    assert shares['scan'] == pytest.approx(limited / sum(e.duration_s for e in episodes), abs=1e-4)
    assert list(shares.values()) == sorted(shares.values(), reverse=True)


def test_success_by_distance_puts_each_drive_in_one_bin():
    episodes = [make_episode(i, arrive=1.0 if i else 0.4) for i in range(6)]
    rows = metrics.success_by_distance(episodes, [0.0, 7.5, 20.0])
    assert sum(row['episodes'] for row in rows) == 6
    assert sum(row['successes'] for row in rows) == 5


def test_trajectory_errors_of_a_known_offset():
    t = np.arange(11) * 0.2
    actual = np.stack([0.4 * t, 0 * t, 0 * t], axis=-1)[None]
    slower = actual.copy()
    slower[..., 0] *= 0.5
    expected = math.sqrt(np.mean((0.2 * t) ** 2))
    assert metrics.absolute_trajectory_error(slower, actual) == pytest.approx(expected)
    assert metrics.relative_pose_error(slower, actual) == (pytest.approx(0.04), pytest.approx(0.0))


def test_relative_pose_error_does_not_depend_on_where_the_path_points():
    rng = np.random.default_rng(0)
    path = np.cumsum(rng.normal(0, 0.1, (1, 8, 3)), axis=1)
    turn = 2.1
    c, s = math.cos(turn), math.sin(turn)
    turned = path @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]]) + [1.0, -2.0, turn]
    assert metrics.relative_pose_error(turned, path) == pytest.approx((0.0, 0.0), abs=1e-12)
