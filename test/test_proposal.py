# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The proposal network: taught by the search, it begins it, and drives where there is no time."""

from dataclasses import replace
import json
import math

import numpy as np
import pytest
import torch

from drawn_world import draw, write_dataset
from futures import future_of
from tiny_training import equal, part_weights, quiet, stop_part_at
from wm_controller.cli.main import run as wm
from wm_controller.evaluation.distillation import ProposalOptions, ProposalPart
from wm_controller.memory.free_space import FreeSpace
from wm_controller.planning.config import PilotConfig
from wm_controller.planning.contract import Observation, PoseGoal
from wm_controller.planning.lower_level import LowerLevel, Pending
from wm_controller.planning.objectives import Situation
from wm_controller.planning.pilot import Pilot
from wm_controller.planning.proposals import Proposer, tell
from wm_controller.training.part import NoData, train_part
from wm_controller.world_model.bundle import load_bundle
from wm_controller.world_model.proposal import (
    KNOTS,
    proposal_loss,
    ProposalHead,
    SEQUENCES,
    sequences_of,
    SITUATION,
)
from wm_controller.world_model.spec import Architecture, ModelSpec

CONFIG = PilotConfig()
STEPS = CONFIG.horizon_steps
SPEC = ModelSpec(architecture=Architecture(state=32, proposal_width=32))


@pytest.fixture(scope='module', autouse=True)
def few_held_out():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('wm_controller.evaluation.distillation.HELD_OUT_WINDOWS', 1)
        yield


@pytest.fixture(scope='module')
def taught(data, plain, tmp_path_factory):
    output = tmp_path_factory.mktemp('model') / 'taught.safetensors'
    record = train_part([data], options(plain, output, steps=10), ProposalPart, quiet)
    return output, record


def options(plain, output, **changes):
    return ProposalOptions(**{'source': plain, 'output': output, 'steps': 4, 'batch': 8,
                              'threads': 1, 'width': 32, **changes})


def situation_at(pose, goal, memory, command=(0.2, 0.1)):
    memory.occupy_track(0.0, pose)
    return Situation(pose, goal, memory.obstacles_near(pose, 1.8), memory.cost_to_go(goal),
                     np.array(command))


def test_a_situation_is_told_as_the_robot_sees_it_wherever_it_stands():
    def told(pose, side):
        memory = FreeSpace(0.18)
        cos, sin = np.cos(pose[2]), np.sin(pose[2])
        turned = np.array([[cos, sin], [-sin, cos]])
        memory.occupy_track(0.0, pose)
        ahead = np.array([*(pose[:2] + np.array([0.3, side]) @ turned), pose[2]])
        memory.block(0.0, ahead, 0.0)
        return tell(situation_at(pose, pose[:2] + np.array([3.0, 1.0]) @ turned, memory), memory)
    here, there = told(np.zeros(3), 0.2), told(np.array([2.0, -3.0, math.pi / 2]), 0.2)
    assert here.shape == (SITUATION,)
    np.testing.assert_allclose(here, there, atol=0.25)  # memory has cells, which do not turn
    assert np.abs(here - told(np.zeros(3), -0.6)).max() > 0.5
    np.testing.assert_allclose(here[:3], [3 / math.sqrt(10), 1 / math.sqrt(10),
                                          math.log1p(math.sqrt(10))])
    np.testing.assert_allclose(here[12:14], [0.2, 0.1])


def test_without_a_way_the_goal_itself_is_headed_for():
    situation = Situation(np.zeros(3), np.array([0.0, 2.0]), np.zeros((0, 2)), None, np.zeros(2))
    told = tell(situation, FreeSpace(0.18))
    np.testing.assert_allclose(told[4:12].reshape(4, 2), [[0.0, 1.0]] * 4, atol=1e-9)


def test_sequences_lead_through_their_knots_in_straight_lines():
    knots = torch.randn(3, len(KNOTS), 2)
    drawn = sequences_of(knots, STEPS)
    torch.testing.assert_close(drawn[:, list(KNOTS)], knots)
    torch.testing.assert_close(drawn[:, 8], 0.6 * knots[:, 3] + 0.4 * knots[:, 4])


def test_two_ways_round_are_both_learned_and_not_their_mean():
    """The search goes left as often as right: one sequence each, none straight ahead."""
    torch.manual_seed(0)
    head = ProposalHead(SPEC)
    optimizer = torch.optim.AdamW(head.parameters(), lr=3e-3)
    side = torch.arange(64) % 2 * 2.0 - 1
    wanted = torch.stack([torch.full((64, STEPS), 0.4), side[:, None].expand(-1, STEPS)], -1)
    state, situation = torch.zeros(64, 32), torch.zeros(64, SITUATION)
    for _ in range(300):
        missed, choice = proposal_loss(*head(state, situation), wanted, head.scale)
        optimizer.zero_grad()
        (missed + 0.1 * choice).backward()
        optimizer.step()
    knots, scores = head(state[:1], situation[:1])
    turns = knots[0, scores[0].argsort(descending=True)[:2], :, 1].mean(-1).sort().values
    torch.testing.assert_close(turns, torch.tensor([-1.0, 1.0]), atol=0.15, rtol=0.0)
    assert missed.item() < 0.05


def test_it_is_taught_what_the_search_finds_and_nothing_else_changes(data, plain, taught):
    output, record = taught
    assert record['iterations'] == 10 and record['plans'] > 100
    assert equal(part_weights(plain, 'proposal.', False),
                 part_weights(output, 'proposal.', False))
    bundle = load_bundle(output)
    assert bundle.model.proposal is not None
    assert bundle.gates['proposal_floor_excess_m'] > 0
    assert not list(output.parent.glob('*.plans'))


def test_it_is_small_enough_to_be_shipped():
    head = ProposalHead(ModelSpec(architecture=Architecture(proposal_width=64)))
    assert 2 * sum(each.numel() for each in head.parameters()) < 30_000  # bytes, in half precision


def test_a_stopped_run_goes_on_with_what_the_teacher_had_said(data, plain, tmp_path, monkeypatch):
    whole, stopped = tmp_path / 'whole.safetensors', tmp_path / 'stopped.safetensors'
    train_part([data], options(plain, whole), ProposalPart, quiet)
    monkeypatch.setattr('wm_controller.evaluation.distillation.KEEP_EVERY_S', 0.0)
    stop_part_at(3, monkeypatch, lambda report: train_part(
        [data], options(plain, stopped), ProposalPart, report))
    kept = stopped.with_name('stopped.safetensors.proposal.plans')
    assert kept.exists() and not stopped.exists()
    train_part([data], options(plain, stopped), ProposalPart, quiet)
    assert not kept.exists()
    assert equal(part_weights(whole, 'proposal.', True), part_weights(stopped, 'proposal.', True))


def test_without_odometry_nothing_can_be_taught(plain, tmp_path):
    video = write_dataset(tmp_path / 'video.h5', episodes=4, odometry=False)
    with pytest.raises(NoData, match='odometry'):
        train_part([video], options(plain, tmp_path / 'out.safetensors'), ProposalPart, quiet)


def test_the_command_adds_it(data, plain, tmp_path, capsys):
    output = tmp_path / 'out.safetensors'
    assert wm(['train', str(data), '-o', str(output), '--proposal-of', str(plain), '--steps', '20',
               '--threads', '1', '--json']) == 0
    result = json.loads(capsys.readouterr().out)
    assert result['proposal']['iterations'] == 2  # 10 % of 20
    assert wm(['train', str(data), '-o', str(output), '--proposal-of', str(plain),
               '--proposal-minutes', '0']) == 2
    assert '--proposal-minutes' in capsys.readouterr().err


# Driving.

class Perfect:
    """The imagination of a base that does as it is told; notes what it is asked."""

    period_s = 0.2

    def __init__(self, pace_s=0.0):
        self.asked, self.now, self.pace_s = [], 0.0, pace_s

    def draw(self, steps):
        return None

    def __call__(self, state, actions, goal, variable, wanted):
        self.asked.append(actions)
        self.now += self.pace_s * len(actions)
        return future_of(actions)


def proposing(*sequences):
    """A proposer that says the same everywhere."""
    found = np.stack([np.tile(each, (STEPS, 1)) for each in sequences]).astype(float)
    return lambda state, situation, memory, steps: found


def level_of(imagined, proposer, **effort):
    config = replace(CONFIG, effort=replace(CONFIG.effort, **effort))
    return LowerLevel(imagined, config, 0, lambda: imagined.now, proposer)


def plan(level, imagined, memory, left_s=math.inf, goal=(4.0, 0.0)):
    situation = situation_at(np.zeros(3), np.array(goal), memory, (0.0, 0.0))
    return level.plan(torch.zeros(1, 4), situation, memory, Pending(np.zeros(2), 0.0), 0.0,
                      imagined.now + left_s)


def test_a_search_begins_with_what_is_proposed():
    imagined, odd = Perfect(), (0.37, 0.123)
    plan(level_of(imagined, proposing(odd)), imagined, FreeSpace(0.18))
    assert any((each[0] == odd).all() for each in imagined.asked[0])


def test_with_no_time_left_the_best_of_what_is_proposed_is_driven():
    imagined, memory = Perfect(pace_s=1e-3), FreeSpace(0.18)
    level = level_of(imagined, proposing((0.0, 1.0), (0.44, 0.0)), candidates=0)
    assert plan(level, imagined, memory).rounds > 0
    imagined.asked.clear()
    level.forget()
    course = plan(level, imagined, memory, left_s=0.05)  # a round of the search takes 0.096 s
    assert course.rounds == 0 and sum(map(len, imagined.asked)) < 8
    np.testing.assert_allclose(course.actions[0], [0.44, 0.0])
    assert imagined.now < 0.5


def test_with_no_time_left_what_is_forbidden_is_not_driven_either():
    imagined, memory = Perfect(pace_s=1e-3), FreeSpace(0.18)
    level = level_of(imagined, proposing((0.5, 0.0), (0.45, 0.02)), candidates=0)
    plan(level, imagined, memory)
    level.forget()
    for y in np.arange(-0.4, 0.5, 0.1):
        memory.block(0.0, np.array([0.15, y, 0.0]), 0.0)
    course = plan(level, imagined, memory, left_s=0.0)
    assert course.rounds == 0
    assert np.isinf(course.cost) or abs(course.actions[:, 0]).max() < 0.05


def test_one_slow_round_does_not_end_all_searching():
    imagined, memory = Perfect(pace_s=1e-2), FreeSpace(0.18)
    level = level_of(imagined, proposing((0.44, 0.0)), candidates=0)
    plan(level, imagined, memory)
    imagined.pace_s = 1e-4
    rounds = [plan(level, imagined, memory, left_s=0.5).rounds for _ in range(40)]
    assert rounds[0] == 0 and rounds[-1] > 0


def test_by_itself_it_never_searches():
    imagined, memory = Perfect(), FreeSpace(0.18)
    level = level_of(imagined, proposing((0.44, 0.0)), search=False)
    for _ in range(12):
        course = plan(level, imagined, memory)
        assert course.rounds == 0 and np.isfinite(course.cost) and course.actions[0, 0] > 0.3
    assert max(map(len, imagined.asked)) <= CONFIG.effort.candidates


def test_a_pilot_asks_the_network_of_its_model_unless_told_not_to(taught):
    bundle = load_bundle(taught[0])
    proposer = Proposer(bundle.model.proposal)
    found = proposer(torch.zeros(1, bundle.spec.architecture.state), situation_at(
        np.zeros(3), np.array([3.0, 0.0]), FreeSpace(0.18)), FreeSpace(0.18), STEPS)
    assert found.shape == (SEQUENCES, STEPS, 2) and np.isfinite(found).all()
    costs = []
    alone = replace(CONFIG, effort=replace(CONFIG.effort, search=False))
    for config in (alone, replace(alone, use_proposals=False)):
        pilot = Pilot(bundle, config)
        pilot.set_goal(PoseGoal(3.0, 0.5))
        pilot.observe(Observation(1.0, draw(np.zeros(3)), np.zeros(3), np.zeros(2)))
        costs.append(pilot.plan(1.0, math.inf).cost)
    assert costs[0] != costs[1]
