# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Encounters with somebody who walks, and how they are counted."""

from dataclasses import replace
import json
from pathlib import Path

import numpy as np
import pytest

from wm_controller.cli.main import run as wm
from wm_controller.evaluation.encounters import ASIDE_M, KINDS, make_encounter
from wm_controller.evaluation.episodes import LoopSettings, run_episode
from wm_controller.evaluation.meetings import drive, figures, Meeting, MOVING, tables, Wanted
from wm_controller.evaluation.recorder import Keep
from wm_controller.evaluation.runner import make_guard
from wm_controller.planning.contract import Plan
from wm_controller.simulation.crowd import Crowd

SHIPPED = Path(__file__).parents[1] / 'models' / 'indoor.safetensors'
WANTED = Wanted(SHIPPED, drivers=('straight',))
FAR = np.array([50.0, 50.0])


@pytest.fixture(scope='module')
def encounters():
    return [make_encounter(i, 3, 'training') for i in range(6)]


def crowd_of(encounter):
    start = np.array(encounter.task.start[:2])
    return Crowd(encounter.room.people, np.random.default_rng(0), start)


def walked(encounter, robot, seconds=60.0):
    """Where the walker was, (N, 2), while the robot stood somewhere."""
    crowd, places = crowd_of(encounter), []
    for _ in range(int(seconds / 0.1)):
        crowd.step(0.1, np.asarray(robot), 0.18)
        places.append(crowd.walkers[0].xy)
    return np.array(places)


def test_kinds_take_turns_and_every_other_round_is_heedless(encounters):
    assert [each.kind for each in encounters] == [*KINDS, *KINDS]
    assert [each.heedless for each in encounters] == [False] * 3 + [True] * 3
    assert make_encounter(4, 3, 'training') == encounters[4]


def test_nobody_walks_before_the_robot_is_near(encounters):
    for encounter in encounters:
        assert np.ptp(walked(encounter, FAR, 5.0), axis=0).max() == 0.0


def test_walkers_come_by_the_meeting_place_through_free_floor_and_end_out_of_the_way(encounters):
    for encounter in encounters:
        meeting = np.array(encounter.meeting)
        crowd, places = crowd_of(encounter), []
        crowd.step(0.1, meeting, 0.18)  # the cue
        for _ in range(900):
            crowd.step(0.1, FAR, 0.18)
            places.append(crowd.walkers[0].xy)
        off = np.hypot(*(np.array(places) - meeting).T)
        assert off.min() < 0.15
        assert encounter.alone.free(np.array(places), 0.2).all()
        goal = np.array(encounter.task.goal[:2])
        assert np.hypot(*(places[-1] - goal)) > ASIDE_M - 0.2


def test_the_heedless_walk_on_where_others_wait(encounters):
    for heedless, encounter in ((False, encounters[0]), (True, encounters[3])):
        meeting = np.array(encounter.meeting)
        nearest = np.hypot(*(walked(encounter, meeting, 30.0) - meeting).T).min()
        assert (nearest < 0.1) == heedless
        assert heedless or nearest > 0.18 + 0.2 + 0.25


class Standing:
    """Stays where it is."""

    uses_camera = False

    def reset(self): ...
    def set_goal(self, goal): ...
    def observe(self, observation): ...

    def plan(self, now, deadline_s):
        return Plan(stamp=now, state='planning')


def test_who_is_walked_into_while_standing_has_driven_into_nobody(encounters):
    encounter = encounters[3]
    x, y = encounter.meeting
    task = replace(encounter.task, start=(x, y, 0.0), timeout_s=12.0)
    settings = LoopSettings()
    episode = run_episode(task, lambda simulator, task: Standing(), lambda: make_guard(settings),
                          planner='standing', settings=settings, keep=Keep(frame_period_s=None),
                          room=encounter.room)
    row = figures(Meeting(encounter, 'standing', episode, episode))
    assert row['bumps'] >= 1 and row['driven_into'] == 0 and not row['success']
    assert row['gap_m'] < 0.02 and row['waited_s'] > 4.0 and row['cut_s'] == 0.0


def test_the_guardrail_stops_who_drives_straight_on(encounters):
    encounter = encounters[2]  # somebody slow, right ahead
    among = drive(WANTED, encounter, 'straight', encounter.room)
    alone = drive(WANTED, encounter, 'straight', encounter.alone)
    row = figures(Meeting(encounter, 'straight', among, alone))
    assert row['cut_s'] > 0.5 and row['gap_m'] < 0.3 and row['driven_into'] == 0
    result = tables([row])['rows']['straight']
    assert result['encounters'] == 1 and result['gap_m']['mean'] == row['gap_m']


def test_the_pilot_gets_past_who_crosses_and_arrives(encounters):
    encounter = encounters[0]
    episode = drive(Wanted(SHIPPED), encounter, MOVING, encounter.room)
    row = figures(Meeting(encounter, MOVING, episode, episode))
    assert row['success'] and row['gap_m'] > 0.04 and row['driven_into'] == 0
    assert row['behind'] is not None  # it crossed their line


def test_the_command_compares_and_draws(capsys, tmp_path):
    assert wm(['benchmark', 'people', str(SHIPPED), '--encounters', '1', '--seed', '3', '--family',
               'training', '--driver', 'straight', '--driver', 'oracle', '--figures',
               str(tmp_path), '--json']) == 0
    result = json.loads(capsys.readouterr().out)
    assert set(result['rows']) == {'straight', 'oracle'}
    for row in result['rows'].values():
        low, high = row['success_ci95']
        assert low <= row['success_rate'] <= high and row['gap_m']['mean'] is not None
    assert (tmp_path / '000-crossing.png').read_bytes().startswith(b'\x89PNG')


def test_no_such_driver_is_refused(capsys):
    assert wm(['benchmark', 'people', str(SHIPPED), '--driver', 'taxi']) == 2
    assert capsys.readouterr().err.count('\n') == 1
