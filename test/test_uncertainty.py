# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""z, the ensemble, their calibration, and what the planner makes of them."""

import dataclasses

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest
import torch

from futures import future_of
from wm_controller.data.schema import CLEARANCE_BEARINGS
from wm_controller.errors import InputError
from wm_controller.memory.free_space import FreeSpace
from wm_controller.planning.config import PilotConfig
from wm_controller.planning.imagination import Imagination
from wm_controller.planning.objectives import cost, Situation
from wm_controller.training import coverage, losses
from wm_controller.training.objective import Horizon, Objective, Weights
from wm_controller.world_model import uncertainty
from wm_controller.world_model.model import WorldModel
from wm_controller.world_model.spec import Architecture, ModelSpec

FULL = Architecture(encoder_channels=(8, 16, 16), latent=24, state=32, predictor_hidden=32,
                    head_hidden=16, ensemble=3, latent_variable=4)


@pytest.fixture
def model():
    torch.manual_seed(0)
    model = WorldModel(ModelSpec(clearance_bearings=tuple(CLEARANCE_BEARINGS.tolist()),
                                 architecture=FULL)).eval()
    torch.nn.init.normal_(model.predictor.variable.weight, std=0.5)
    return model


def test_members_and_drawn_variables_make_futures_differ_and_nothing_else_does(model):
    state, actions = torch.randn(3, 32), torch.rand(3, 5, 2)
    found = uncertainty.futures(model, state, actions, 2, torch.Generator().manual_seed(1))
    again = uncertainty.futures(model, state, actions, 2, torch.Generator().manual_seed(1))
    other = uncertainty.futures(model, state, actions, 2, torch.Generator().manual_seed(2))
    assert found.shape == (6, 3, 6, 32)
    assert torch.equal(found, again) and not torch.allclose(found, other)
    assert torch.equal(found[0, :, 0], state)
    # Sample p is of member p modulo their number: without z, samples 0 and 3 are the same.
    plain, _ = model.imagine(state.expand(6, 3, 32), actions.expand(6, 3, 5, 2), shared_out=True)
    assert torch.equal(plain[0], plain[3]) and not torch.allclose(plain[0], plain[1])
    assert torch.allclose(plain[0], model.imagine(state, actions)[0], atol=1e-6)


def test_members_that_are_the_same_do_not_disagree(model):
    model.requires_grad_(False)
    state, actions = torch.randn(8, 32), torch.rand(8, 2)
    assert float(uncertainty.disagreement(model, state, actions).min()) > 0
    for member in model.predictor.other_updates:
        member.load_state_dict(model.predictor.update.state_dict())
    assert float(uncertainty.disagreement(model, state, actions).max()) < 1e-6


def test_the_ensemble_agrees_where_it_was_taught_and_not_elsewhere():
    """Members taught one dynamics on some states agree there more than far from them."""
    torch.manual_seed(0)
    spec = ModelSpec(architecture=dataclasses.replace(FULL, latent_variable=0))
    model = WorldModel(spec)
    optimizer = torch.optim.Adam(model.predictor.parameters(), lr=3e-3)
    taught = 0.5 * torch.randn(512, 32).clamp(-1, 1)
    for step in range(400):
        rows = torch.randint(0, 512, (96,), generator=torch.Generator().manual_seed(step))
        action = torch.rand(96, 2)
        goal = torch.tanh(taught[rows].roll(1, -1) + action.sum(-1, keepdim=True))
        loss = (model.predictor(taught[rows], action, shared_out=True) - goal).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        action = torch.rand(256, 2) * model.action_scale
        known = uncertainty.disagreement(model, taught[:256], action)
        strange = uncertainty.disagreement(model, 4 * torch.randn(256, 32), action)
    assert float(strange.median()) > 2 * float(known.median())


@pytest.mark.parametrize('factor', [0.3, 1.0, 4.0])
def test_intervals_hold_what_they_promise_however_wrong_the_deviations_were(factor):
    rng = np.random.default_rng(3)
    deviation = np.exp(rng.normal(0, 0.7, (600, 8, 5)))
    error = np.abs(rng.normal(0, deviation * factor))
    table = coverage.judge({
        'latent_error': torch.from_numpy(error), 'latent_deviation': torch.from_numpy(deviation),
        'clearance_log_error': torch.full((600, 8, 5), torch.nan),
        'clearance_deviation': torch.ones(600, 8, 5),
        'disagreement': torch.rand(600, 8)}, np.repeat(np.arange(60), 10))
    assert 'clearance' not in table  # nothing known, nothing claimed
    assert all(0.87 < share < 0.93 for share in table['latent']['coverage'])
    assert np.allclose(table['latent']['factor'], 1.645 * factor, rtol=0.15)
    assert min(table['latent']['rank_correlation']) > 0.2
    raw = np.mean(table['latent']['coverage_raw'])
    assert raw == pytest.approx(0.9, abs=0.03) if factor == 1.0 else abs(raw - 0.9) > 0.05


def test_divergence_from_the_prior_costs_only_beyond_what_is_free():
    zero = torch.zeros(16, 4)
    assert float(losses.gaussian_kl(zero, zero, 0.1)) == pytest.approx(0.4)
    told = losses.gaussian_kl(zero + 2.0, zero, 0.1)
    assert float(told) == pytest.approx(4 * 2.0)


def test_what_came_tells_z_in_training_and_the_loss_reaches_every_member():
    torch.manual_seed(0)
    model = WorldModel(ModelSpec(clearance_bearings=tuple(CLEARANCE_BEARINGS.tolist()),
                                 architecture=FULL))
    batch, length = 6, 14
    def rows(*shape):
        return torch.rand(batch, *shape)

    def pictures(*shape):
        return torch.randint(0, 255, (batch, *shape, 72, 96, 3), dtype=torch.uint8)

    data = {'pixels': pictures(length), 'action': rows(length, 2), 'proprio': rows(length, 5),
            'previous_action': rows(length, 2), 'clearance': rows(length, 15) + 1,
            'reach_goal': rows(length, 2), 'reach_time': rows(length)}
    loss, terms = Objective(model, Horizon(), Weights())(data)
    loss.backward()
    assert float(terms['latent_variable']) > 0
    for name, parameter in model.named_parameters():
        if name.startswith(('predictor', 'infer_variable')):
            assert parameter.grad is not None and float(parameter.grad.abs().max()) > 0, name


def test_the_planner_draws_futures_that_all_candidates_of_a_plan_share(model):
    imagination = Imagination(model, [0.1] * 8, drawn=2, seed=4)
    state, actions = torch.randn(1, 32), np.zeros((5, 12, 2))
    goal = np.array([1.0, 0.0])
    future = imagination(state, actions, goal, imagination.draw(12))
    assert future.nearest.shape == (2, 5, 6) and future.time_to_reach.shape == (2, 5, 6)
    # The same actions for all candidates: any difference would be luck of the draw.
    assert np.allclose(future.nearest, future.nearest[:, :1], rtol=1e-2)
    assert not np.allclose(future.nearest[0], future.nearest[1])
    expected = imagination(state, actions, goal)
    assert len(expected.nearest) == 1
    assert not np.allclose(expected.nearest[0], future.nearest[0])
    differ = future.disagreement(torch.arange(5))
    assert differ.shape == (5,) and (differ > 0).all()
    assert torch.allclose(future.disagreement(torch.tensor([3, 1])), differ[[3, 1]], rtol=1e-2)
    assert not torch.equal(imagination.draw(12), imagination.draw(12))


def test_without_ensemble_and_variable_nothing_is_claimed_about_them():
    spec = ModelSpec(clearance_bearings=tuple(CLEARANCE_BEARINGS.tolist()),
                     architecture=dataclasses.replace(FULL, ensemble=1, latent_variable=0))
    imagination = Imagination(WorldModel(spec).eval())
    future = imagination(torch.randn(1, 32), np.zeros((4, 12, 2)), None, imagination.draw(12))
    assert len(future.nearest) == 1 and future.disagreement(torch.arange(3)).tolist() == [1, 1, 1]


@given(st.lists(st.floats(0, 60), min_size=1, max_size=40), st.integers(1, 12),
       st.integers(0, 1000))
def test_the_best_cost_as_if_the_ensemble_had_been_asked_about_all(doubts, ranked, seed):
    actions = np.random.default_rng(seed).uniform((0, -1), (0.5, 1), (len(doubts), 12, 2))
    future, asked = future_of(actions, disagreement=doubts), []
    state = Situation(np.zeros(3), np.array([3.0, 0.5]), np.array([[0.7, 0.3]]), None, np.zeros(2))
    whole = cost(future, state, FreeSpace(0.18), PilotConfig())

    def ask(which):
        asked.extend(which.tolist())
        return future.disagreement(which)

    some = cost(dataclasses.replace(future, disagreement=ask), state, FreeSpace(0.18),
                PilotConfig(), ranked)
    best = np.argsort(whole, kind='stable')[:ranked]
    assert (some[best] == whole[best]).all() and (some <= whole).all()
    others = np.delete(np.arange(len(doubts)), best)
    assert (some[others] >= whole[best].max()).all(), 'none looks better than the best are'
    assert len(set(asked)) == len(asked) and np.isfinite(whole[asked]).all()
    if max(doubts) <= 1.0:
        assert len(asked) == min(ranked, np.isfinite(whole).sum())


@pytest.mark.parametrize('changes', [{'ensemble': 0}, {'ensemble': 99}, {'latent_variable': -1}])
def test_a_description_out_of_range_is_refused(changes):
    data = ModelSpec().to_json()
    data['architecture'].update(changes)
    with pytest.raises(InputError, match='outside'):
        ModelSpec.from_json(data)
