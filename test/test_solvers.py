# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Every solver keeps to the limits, the constraints and the deadline, and finds what is good."""

import dataclasses
import time

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from wm_controller.planning.candidates import arcs
from wm_controller.planning.config import METHODS, RobotLimits, SolverConfig
from wm_controller.planning.solvers import make_solver, Search
from wm_controller.planning.solvers.path_integral import spline_noise

LIMITS = RobotLimits()
STEPS = 12
TARGET = np.stack([0.25 + 0.1 * np.sin(np.arange(STEPS) / 4),
                   0.5 * np.cos(np.arange(STEPS) / 5)], -1)
FOUR_ROUNDS = SolverConfig(candidates=(200, 200, 200, 200))


def bowl(actions):
    return ((actions - TARGET) ** 2).sum((1, 2))


def bowl_with_slope(actions):
    return bowl(actions), 2 * (actions - TARGET)


def search(evaluate, config, *, seed=0, start=None, **more):
    return make_solver(config)(Search(
        evaluate, np.zeros((STEPS, 2)) if start is None else start, arcs(LIMITS, STEPS, 0.5),
        LIMITS.low, LIMITS.high, config.sigma, np.random.default_rng(seed), **more))


@pytest.fixture(params=METHODS)
def config(request):
    return dataclasses.replace(FOUR_ROUNDS, method=request.param)


def test_it_comes_near_an_optimum_that_no_proposal_has(config):
    solution = search(bowl, config)
    assert solution.cost < 0.35 * bowl(arcs(LIMITS, STEPS, 0.5)).min()
    assert solution.cost == pytest.approx(bowl(solution.actions[None])[0])


def test_the_same_seed_finds_the_same(config):
    once, again = (search(bowl, config, seed=3).actions for _ in range(2))
    assert (once == again).all()


def test_what_was_planned_before_is_never_given_up_for_worse(config):
    assert search(bowl, config, start=TARGET).cost < 1e-12


@settings(max_examples=30)
@given(st.integers(0, 10 ** 6), st.sampled_from(METHODS), st.booleans())
def test_every_candidate_is_within_the_limits_and_removed_ones_never_win(seed, method, refine):
    rng = np.random.default_rng(seed)
    seen = []

    def evaluate(actions):
        seen.append(actions)
        cost = rng.random(len(actions))
        cost[actions[:, 0, 0] > 0.2] = np.inf
        return cost

    def gradient(actions):
        return evaluate(actions), rng.standard_normal(actions.shape)
    solution = search(evaluate, SolverConfig(method=method, refine=refine), seed=seed,
                      gradient=gradient)
    every = np.concatenate(seen)
    assert (every[..., 0] >= LIMITS.min_v).all() and (every[..., 0] <= LIMITS.max_v).all()
    assert (np.abs(every[..., 1]) <= LIMITS.max_w).all()
    assert np.isfinite(solution.cost) and solution.actions[0, 0] <= 0.2


@pytest.mark.parametrize('refine', [False, True])
def test_with_every_candidate_removed_there_is_no_solution(config, refine):
    solution = search(lambda actions: np.full(len(actions), np.inf),
                      dataclasses.replace(config, refine=refine), gradient=bowl_with_slope)
    assert np.isinf(solution.cost)


def test_the_deadline_ends_it_after_the_first_round(config):
    def slow(actions):
        time.sleep(0.02)
        return bowl(actions)

    assert search(slow, config, deadline=time.perf_counter() + 0.005).rounds == 1
    assert search(slow, config).rounds == 4


def test_the_controls_of_path_integrals_are_smooth():
    noise = spline_noise(np.random.default_rng(0), 400, (STEPS, 2))
    assert noise.std() == pytest.approx(0.9, abs=0.2)
    jerk, white = (np.diff(each, 2, axis=1).std() / each.std()
                   for each in (noise, np.random.default_rng(0).standard_normal(noise.shape)))
    assert jerk < 0.4 * white


def test_the_gradient_improves_what_was_found_and_never_spoils_it(config):
    short = dataclasses.replace(config, candidates=(60,))
    rough = search(bowl, short)
    refined = search(bowl, dataclasses.replace(short, refine=True), gradient=bowl_with_slope)
    assert refined.cost < 0.7 * rough.cost
    for wrong in (lambda a: (bowl(a), -2 * (a - TARGET)), lambda a: (bowl(a), np.nan * a), None):
        misled = search(bowl, dataclasses.replace(short, refine=True), gradient=wrong)
        assert misled.cost == rough.cost


def test_the_gradient_is_left_out_where_there_is_no_time():
    asked = []

    def slow(actions):
        asked.append(len(actions))
        time.sleep(0.03)
        return bowl_with_slope(actions)
    config = SolverConfig(candidates=(60,), refine=True)
    begun = time.perf_counter()
    search(bowl, config, gradient=slow, deadline=begun + 0.02)
    assert len(asked) <= 1


def test_an_unknown_solver_is_refused_by_name():
    with pytest.raises(ValueError, match="'newton' is none of cem, icem, mppi"):
        SolverConfig(method='newton')
