# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""How much of a floor is seen: what is counted, and who drives."""

import json
import math
from pathlib import Path
import re

import numpy as np
import pytest

from wm_controller.cli.main import run as wm
from wm_controller.evaluation.coverage import Bouncing, Floor
from wm_controller.planning.contract import Observation, PoseGoal
from wm_controller.simulation.rooms import make_room

SHIPPED = Path(__file__).parents[1] / 'models' / 'indoor.safetensors'
HFOV = math.radians(90.0)


@pytest.fixture(scope='module')
def room():
    return make_room(3, 'evaluation', people=0)


@pytest.fixture
def start(room):
    return room.sample_free_pose(np.random.default_rng(0), 0.3)


def test_looking_shows_more_and_never_less(room, start):
    floor, areas = Floor(room, start, HFOV), [0.0]
    for yaw in np.linspace(0.0, 2 * np.pi, 9):
        floor.look(np.array([*start[:2], yaw]))
        areas.append(floor.area_m2)
    assert areas == sorted(areas) and areas[-1] > areas[1] > 0.3
    assert 0.0 < floor.share <= 1.0


def test_no_more_is_seen_than_the_view_holds(room, start):
    floor = Floor(room, start, HFOV)
    floor.look(start)
    assert floor.area_m2 <= HFOV / 2 * 3.5 ** 2 * 1.05


def test_walls_hide_what_is_behind_them(room, start):
    floor = Floor(room, start, 2 * np.pi)
    floor.look(start)
    seen = np.argwhere(floor._seen)[:, ::-1] * 0.1 + floor._low + 0.05
    for point in seen[::25]:
        away = point - start[:2]
        clear = room.rays(start[:2], np.array([math.atan2(away[1], away[0])]), 4.0)[0]
        assert np.hypot(*away) < clear + 0.2


def test_standing_against_something_it_turns_away_and_goes_on():
    policy = Bouncing(seed=1)
    policy.set_goal(PoseGoal(1e6, 0.0))
    told = []
    for i in range(60):
        policy.observe(Observation(0.1 * i, np.zeros((2, 2, 3), np.uint8), np.zeros(3)))
        plan = policy.plan(0.1 * i, 0.1)
        told.append((plan.v, plan.w))
    assert told[0] == (0.5, 0.0)
    turning = [v == 0.0 and abs(w) == 1.5 for v, w in told]
    assert 5 < sum(turning) < 45 and told[-1][0] in (0.0, 0.5)


def test_the_command_compares_three_ways_and_maps_what_was_left_to_see(capsys, tmp_path):
    assert wm(['benchmark', 'explore', str(SHIPPED), '--rooms', '1', '--minutes', '0.15',
               '-o', str(tmp_path / 'new'), '--json']) == 0
    result = json.loads(capsys.readouterr().out)
    assert set(result['rows']) == {'explore', 'straight', 'random'}
    for row in result['rows'].values():
        low, high = row['m2_per_minute']['ci95']
        assert 0 < low <= row['m2_per_minute']['mean'] <= high
        assert 0 < row['share']['mean'] <= 1
    page = Path(result['report']).read_text()
    data, = re.findall(r'<script type="application/json">(.*?)</script>', page, re.DOTALL)
    moments = json.loads(data)['moments']
    assert len(moments) >= 4 and all('space' in moment for moment in moments[1:])
    heading = [moment for moment in moments if 'frontiers' in moment and 'target' in moment]
    # To where more would be seen, give or take the centimetre that odometry has slipped since.
    assert heading and all(np.hypot(*(np.array(moment['frontiers']) - moment['target']).T).min()
                           < 10 for moment in heading)
    assert 'class="goal"' not in page and not re.search(r'https?://(?!www\.w3\.org)', page)


def test_no_time_and_no_such_planner_are_refused(capsys):
    assert wm(['benchmark', 'explore', str(SHIPPED), '--minutes', '0']) == 2
    assert wm(['benchmark', 'explore', str(SHIPPED), '--planner', 'oracle']) == 2
    assert capsys.readouterr().err.count('\n') == 2
