# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The upper level looks further, and sets the lower one's subgoal; near the goal it is silent."""

from dataclasses import replace
import math
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from drawn_world import draw
from tiny_training import TINY
from wm_controller.data.schema import CLEARANCE_BEARINGS
from wm_controller.errors import InputError
from wm_controller.memory.free_space import FreeSpace
from wm_controller.planning import ablations
from wm_controller.planning.config import HierarchyConfig, PilotConfig
from wm_controller.planning.contract import RouteGoal
from wm_controller.planning.hierarchy import UpperLevel
from wm_controller.planning.objectives import Situation
from wm_controller.planning.pilot import Observation, Pilot, PoseGoal
from wm_controller.world_model.abstract import PARTS
from wm_controller.world_model.bundle import load_bundle, save_bundle
from wm_controller.world_model.model import WorldModel
from wm_controller.world_model.poses import chained
from wm_controller.world_model.spec import ModelSpec

CHUNK, STEP_S = 8, 0.2


class Perfect:
    """An upper level of a base that does as it is told; its state counts chunks."""

    chunk = CHUNK
    spec = SimpleNamespace(step_period_s=STEP_S)
    macro_low, macro_high = torch.tensor([-0.25, -1.0]), torch.tensor([0.5, 1.0])

    def encode(self, state):
        return torch.zeros(len(state), 1)

    def macro(self, actions):
        return actions.mean(-2)

    def imagine(self, abstract, macros):
        count = torch.arange(macros.shape[1] + 1.0)
        return (abstract[:, None] + count[:, None]).float()

    def way(self, abstract, macro):
        steps = CHUNK // PARTS
        step = torch.stack([macro[..., 0], 0 * macro[..., 0], macro[..., 1]], -1) * STEP_S
        return chained(step[..., None, :].expand(*step.shape[:-1], CHUNK, 3))[..., steps::steps, :]

    def gap(self, abstract, macro):
        return torch.full((*macro.shape[:-1], 2), 3.0)

    def actions(self, abstract, macro):
        return macro[..., None, :].expand(*macro.shape[:-1], CHUNK, 2)


def situation(goal, memory):
    goal = np.array(goal, float)
    memory.occupy_track(0.0, np.zeros(3))
    return Situation(np.zeros(3), goal, np.zeros((0, 2)), memory.cost_to_go(goal), np.zeros(2))


def plan(goal, memory=None, config=None, **how):
    memory = memory or FreeSpace(0.18)
    upper = UpperLevel(Perfect(), config or PilotConfig())
    return upper, upper.plan(10.0, torch.zeros(1, 4), situation(goal, memory), memory,
                             how.get('deadline', math.inf), time.perf_counter)


def test_it_looks_eight_seconds_ahead_and_heads_for_the_goal():
    _, found = plan([4.0, 1.0])
    assert found.poses.shape == (5 * PARTS + 1, 3) and found.actions.shape == (40, 2)
    assert np.hypot(*(found.poses[-1, :2] - [4.0, 1.0])) < 0.6
    assert found.subgoal.due == pytest.approx(10.0 + CHUNK * STEP_S)
    assert found.subgoal.pose == pytest.approx(found.poses[PARTS])
    assert float(found.subgoal.abstract[0, 0]) == 1.0
    assert 0.4 < found.subgoal.pose[0] < 0.85


def test_it_goes_round_what_memory_knows():
    memory = FreeSpace(0.18)
    memory.occupy_track(0.0, np.zeros(3))
    for y in np.arange(-1.0, 1.01, 0.1):
        memory.block(0.0, np.array([1.2, y, 0.0]), 0.0, 0.1)
    _, found = plan([3.0, 0.0], memory)
    clearance = memory.clearance_at(found.poses[:, :2])
    assert clearance.min() > 0.08
    assert np.abs(found.poses[:, 1]).max() > 0.8


def test_walled_in_it_sets_no_subgoal():
    memory = FreeSpace(0.18)
    memory.occupy_track(0.0, np.zeros(3))
    for angle in np.arange(-np.pi, np.pi, 0.1):
        memory.block(0.0, np.array([0.3 * np.cos(angle), 0.3 * np.sin(angle), angle]), 0.0)
    config = PilotConfig()
    _, found = plan([3.0, 0.0], memory, config)
    if found is not None:  # it may turn on the spot
        assert np.hypot(*found.poses[:, :2].T).max() < 0.6


def test_what_was_planned_is_where_the_next_search_begins():
    upper, first = plan([4.0, 0.0])
    start = upper._start(10.0 + CHUNK * STEP_S)
    assert start[:-1] == pytest.approx(first.macros[1:])
    upper.forget()
    assert upper._start(12.0) == pytest.approx(np.zeros((5, 2)))


def test_macro_actions_stay_within_what_the_data_had():
    upper, found = plan([-3.0, 0.5])
    assert (found.macros >= upper.low - 1e-9).all() and (found.macros <= upper.high + 1e-9).all()
    assert (np.abs(found.actions[:, 1]) <= 1.5).all()


def test_it_keeps_to_its_deadline():
    config = PilotConfig(hierarchy=HierarchyConfig())
    begun = time.perf_counter()
    plan([4.0, 0.0], config=config, deadline=begun)
    once = time.perf_counter() - begun
    assert once < 0.5


@pytest.fixture(scope='module')
def bundles(tmp_path_factory):
    """Untrained models with and without an upper level."""
    torch.manual_seed(1)
    torch.set_num_threads(1)
    folder, made = tmp_path_factory.mktemp('bundles'), []
    for width in (16, 0):
        spec = ModelSpec(clearance_bearings=tuple(CLEARANCE_BEARINGS.tolist()),
                         architecture=replace(TINY, abstract_state=width, compass_width=8,
                                              proposal_width=8))
        save_bundle(folder / f'{width}.safetensors', WorldModel(spec), gates={'passed': True},
                    training={}, energy_quantiles=())
        made.append(load_bundle(folder / f'{width}.safetensors'))
    return made


def see(pilot, stamp, x=0.0):
    pilot.observe(Observation(stamp, draw(np.array([x, 0.0, 0.0])), np.array([x, 0.0, 0.0]),
                              np.array([0.2, 0.0])))


def test_the_pilot_follows_subgoals_until_it_is_near_the_goal(bundles):
    pilot = Pilot(bundles[0], PilotConfig(hierarchical=True))
    pilot.set_goal(PoseGoal(6.0, 0.0))
    outlooks = []
    for i in range(12):
        see(pilot, 0.1 * i, 0.01 * i)
        found = pilot.plan(0.1 * i + 0.03, 10.0)
        assert found.state == 'planning' and np.isfinite([found.v, found.w]).all()
        outlooks.append(pilot._upper.outlook)
        assert found.far_path is outlooks[-1].poses
    # A new one every 0.8 s; in between the same one, due sooner and sooner.
    assert len({id(each) for each in outlooks}) == 2
    assert outlooks[0] is outlooks[7] and outlooks[8] is outlooks[11]
    pilot.set_goal(PoseGoal(1.0, 0.0))
    assert pilot.plan(1.2, 10.0).far_path is None
    assert pilot._upper.outlook is None


def test_a_route_is_refused_where_none_was_taught(bundles):
    pilot = Pilot(bundles[0], PilotConfig(hierarchical=True))
    flat = Pilot(bundles[0])
    for each, line in ((pilot, 'no route was taught'), (flat, "set planner to 'hierarchical'")):
        each.set_goal(PoseGoal(2.0, 0.0))
        see(each, 0.0)
        with pytest.raises(InputError, match=line):
            each.set_goal(RouteGoal())
        assert each.plan(0.05, 1.0).state == 'idle'


def test_a_route_is_followed_while_it_is_known_where_and_looked_for_while_it_is_not(bundles):
    pilot = Pilot(bundles[0], PilotConfig(hierarchical=True))
    for i in range(20):
        see(pilot, 0.1 * i, 0.1 * i)
    pilot.wayfinder.map.end_trail()
    pilot.set_goal(RouteGoal(backwards=True))
    found = pilot.plan(1.95, 10.0)
    assert found.state == 'planning' and found.goal_distance == pytest.approx(1.9, abs=0.05)
    assert pilot.wayfinder.route == pilot.wayfinder.map.route[::-1]
    pilot.reset()  # set down somewhere, with another odometry
    pilot.set_goal(RouteGoal())
    see(pilot, 0.0)
    found = pilot.plan(0.05, 10.0)
    assert found.state == 'planning' and found.v == 0.0 and abs(found.w) > 0.5


def test_warmed_up_it_remembers_nothing_of_that_and_maps_what_comes(bundles):
    pilot = Pilot(bundles[0], PilotConfig(hierarchical=True))
    pilot.warm_up()
    assert len(pilot.wayfinder.map.places) == 0
    for i in range(20):
        see(pilot, 0.1 * i, 0.1 * i)
    assert pilot.wayfinder.map.located and len(pilot.wayfinder.map.places) == 4


def test_the_same_seed_and_frames_give_the_same_commands(bundles):
    def drive():
        pilot = Pilot(bundles[0], PilotConfig(hierarchical=True), seed=4)
        pilot.set_goal(PoseGoal(5.0, 1.0))
        commands = []
        for i in range(10):
            see(pilot, 0.1 * i)
            found = pilot.plan(0.1 * i + 0.03, math.inf)
            commands.append((found.v, found.w))
        return commands
    assert drive() == drive()


def test_a_model_without_an_upper_level_is_refused_with_the_remedy(bundles):
    with pytest.raises(InputError, match='has no upper level.*--abstract-of'):
        Pilot(bundles[1], PilotConfig(hierarchical=True))
    assert Pilot(bundles[1]).plan(0.0, 1.0).state == 'idle'


@pytest.mark.parametrize('part', sorted(ablations.PARTS))
def test_leaving_a_part_out_changes_the_plan_or_what_it_is_made_of(bundles, part):
    """The same frames and seed: what is left out had a say."""
    def drive(config):
        pilot = Pilot(bundles[0], config, seed=4)
        pilot.set_goal(PoseGoal(5.0, 1.0))
        found = []
        for i in range(8):
            see(pilot, 0.1 * i, 0.02 * i)
            pilot.admitted(0.1 * i, 0.1, -0.4)
            found.append(pilot.plan(0.1 * i + 0.03, math.inf))
        return pilot, [(each.v, each.w, each.cost) for each in found]
    whole = PilotConfig(hierarchical=True)
    lesser = ablations.without(whole, [part])
    assert lesser != whole
    before, after = drive(whole), drive(lesser)
    if part == 'places':  # too short a drive to tell
        assert before[0].wayfinder is not None and after[0].wayfinder is None
    elif part == 'compass':  # likewise
        assert all(each[0].wayfinder.uses_compass == is_there
                   for each, is_there in ((before, True), (after, False)))
    elif part == 'latent-variable':
        assert after[0].imagination.draw(3) is None
    elif part == 'moving':  # nothing does here: it must not make a difference
        assert before[1] == after[1]
    elif part not in ('ensemble', 'imagined-gap'):  # of which this untrained model has none
        assert before[1] != after[1]
