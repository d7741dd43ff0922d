# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""A planner that wants to hit things, in the simulator: with the guard, and without."""

import json

import pytest

from wm_controller.cli.benchmark_attack import attack as command
from wm_controller.evaluation.attack import attack, HARD_M_S
from wm_controller.evaluation.episodes import LoopSettings
from wm_controller.evaluation.runner import make_guard


class Blindfolded:
    """The guard without its laser: what the benchmark must be able to see."""

    def __init__(self):
        self._guard = make_guard(LoopSettings(scan=False))

    def on_scan(self, *_, **__):
        return None

    def __getattr__(self, name):
        return getattr(self._guard, name)


def hard(result, thing):
    return [c for c in result.contacts if c.thing == thing and c.speed > HARD_M_S]


@pytest.mark.parametrize('index', [0, 1, 3])
def test_at_full_speed_at_people_and_furniture_it_stands_before_it_touches(index):
    guarded = attack(index, duration_s=10.0)
    assert guarded.driven_m > 0.3, 'it may drive'
    assert not hard(guarded, 'seen') and not hard(guarded, 'person')


def test_without_the_laser_the_same_attack_hits():
    assert hard(attack(1, duration_s=10.0, make=Blindfolded), 'seen')


def test_the_command_counts_apart_who_gives_way_and_who_does_not(capsys):
    command(episodes=2, first=4, seed=0, seconds=2.0, workers=2, as_json=True)
    result = json.loads(capsys.readouterr().out)
    assert result['episodes'] == 2 and result['driven_m'] > 0.0
    assert [row['person']['episodes'] for row in result['rows'].values()] == [1, 1]
    assert set(result['rows']) == {'give way', 'heedless'}
