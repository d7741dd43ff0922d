# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""How much is thought about a plan: a glance where it is easy, a search where it is not."""

from dataclasses import replace
import time

import numpy as np
import pytest
import torch

from futures import future_of
from wm_controller.memory.free_space import FreeSpace
from wm_controller.planning.config import PilotConfig
from wm_controller.planning.lower_level import LowerLevel, Pending
from wm_controller.planning.objectives import Situation
from wm_controller.safety.geometry import integrate

CONFIG = PilotConfig()
STATE = torch.zeros(1, 4)


class Perfect:
    """The imagination of a base that does as it is told; counts what it is asked."""

    period_s = 0.2

    def __init__(self):
        self.asked, self.disagreement, self.nearest = 0, 1.0, 3.0

    def draw(self, steps):
        return None

    def __call__(self, state, actions, goal, variable, wanted):
        self.asked += len(actions)
        return future_of(actions, clearance=self.nearest, disagreement=self.disagreement)


class Drive:
    """A robot that does as its plan says."""

    def __init__(self, goal=(8.0, 0.0), **effort):
        self.imagined, self.memory = Perfect(), FreeSpace(0.18)
        config = replace(CONFIG, effort=replace(CONFIG.effort, **effort))
        self.level = LowerLevel(self.imagined, config, 0, time.perf_counter)
        self.pose, self.goal, self.now = np.zeros(3), np.array(goal), 0.0
        self.command = np.zeros(2)

    def plan(self, count=1):
        """Plan and drive; the rounds and the candidates of each plan."""
        found = []
        for _ in range(count):
            self.memory.occupy_track(self.now, self.pose)
            situation = Situation(self.pose, self.goal, self.memory.obstacles_near(self.pose, 1.8),
                                  self.memory.cost_to_go(self.goal), self.command)
            before = self.imagined.asked
            course = self.level.plan(STATE, situation, self.memory, Pending(self.command, 0.0),
                                     self.now, self.now + 1e9)
            found.append((course.rounds, self.imagined.asked - before))
            assert np.isfinite(course.cost)
            self.command = course.actions[0]
            self.pose = integrate(self.pose, *self.command, 0.1)
            self.now += 0.1
        return found


@pytest.fixture
def cruising():
    """On a straight way, with a plan that it is happy with."""
    drive = Drive()
    drive.plan(30)
    return drive


def test_the_first_plan_is_searched_for():
    assert Drive().plan()[0][0] > 0


def test_where_it_is_easy_most_plans_are_a_glance_but_never_too_many_in_a_row(cruising):
    found = cruising.plan(40)
    rounds = [each for each, _ in found]
    assert sum(each == 0 for each in rounds) > 25
    longest = max(len(run) for run in ''.join(
        'g' if each == 0 else 's' for each in rounds).split('s'))
    assert longest < CONFIG.effort.searches
    for each, asked in found:
        assert asked <= CONFIG.effort.candidates if each == 0 else asked > 100


def test_easy_or_not_it_gets_there_as_fast():
    far = {}
    for searches in (1, CONFIG.effort.searches):
        drive = Drive(searches=searches)
        drive.plan(100)
        far[searches] = drive.pose[0]
    assert far[CONFIG.effort.searches] > 0.97 * far[1] > 4.0


def test_what_stands_close_by_is_searched_around(cruising):
    ahead = cruising.pose + [0.8, 0.3, 0.0]
    for y in np.arange(0.0, 0.5, 0.1):
        cruising.memory.block(cruising.now, ahead + [0.0, y, 0.0], 0.0)
    assert cruising.plan()[0][0] > 0


def test_a_goal_that_moved_is_searched_for(cruising):
    cruising.goal = np.array([cruising.pose[0] - 3.0, 3.0])
    assert cruising.plan()[0][0] > 0


def test_what_the_ensemble_differs_about_is_searched(cruising):
    cruising.imagined.disagreement = 1.1 * CONFIG.effort.disagreement
    assert min(rounds for rounds, _ in cruising.plan(5)) > 0


def test_what_is_imagined_close_is_searched_around(cruising):
    cruising.imagined.nearest = CONFIG.footprint.reach + 0.5 * CONFIG.effort.room
    assert min(rounds for rounds, _ in cruising.plan(5)) > 0


def test_without_candidates_for_a_glance_everything_is_searched():
    drive = Drive(candidates=0)
    assert min(rounds for rounds, _ in drive.plan(20)) > 0


def test_a_search_ends_with_the_round_that_gains_little():
    def rounds(**effort):
        drive = Drive(searches=1, **effort)  # a glance is never enough
        return [each for each, _ in drive.plan(20)]
    whole = len(CONFIG.solver.candidates)
    assert rounds(enough=0.0) == [whole] * 20
    assert rounds(enough=100.0) == [1] * 20
    assert 1 <= np.mean(rounds()) < whole
