# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Where to go along a route that was taught, and what to do until it is known where that is."""

from types import SimpleNamespace

import numpy as np
import pytest

from wm_controller.memory.free_space import FreeSpace
from wm_controller.planning.config import PilotConfig
from wm_controller.planning.contract import RouteGoal
from wm_controller.planning.destination import Destinations

POSE = np.zeros(3)


class Route:
    """A wayfinder that is told what it knows."""

    def __init__(self):
        self.found = None

    def along_route(self, pose):
        return self.found


@pytest.fixture
def searching():
    """A robot in the middle of a free round place whose edge is unknown."""
    memory = FreeSpace(0.18)
    bearings = np.deg2rad(np.arange(-180, 180, 6.0))
    for _ in range(6):
        memory.see(0.0, POSE, bearings, np.full((3, len(bearings)), 2.0))
    return Destinations(Route(), memory, PilotConfig(hierarchical=True))


def ask(destinations, now):
    return destinations.of(SimpleNamespace(goal=RouteGoal()), SimpleNamespace(pose=POSE), now)


def test_it_looks_round_goes_elsewhere_looks_again_and_says_that_it_is_lost(searching):
    config = PilotConfig()
    seen = []
    for now in np.arange(0.0, 60.0, 0.5):
        to = ask(searching, now)
        seen.append('elsewhere' if to.place is not None else to.instead)
        assert not to.ends or to.place is None
    order = [each for i, each in enumerate(seen) if i == 0 or seen[i - 1] != each]
    assert order == ['look', 'elsewhere', 'look', 'elsewhere', 'look', 'lost']
    assert seen.count('look') * 0.5 >= 3 * 2 * np.pi / config.look_speed - 1.0


def test_found_out_it_goes_along_the_route_and_only_its_end_ends_the_drive(searching):
    ask(searching, 0.0)
    route = searching._wayfinder
    route.found = np.array([2.0, 1.0]), np.array([5.0, 5.0]), False
    to = ask(searching, 1.0)
    assert to.via == pytest.approx([2.0, 1.0]) and to.place == pytest.approx([5.0, 5.0])
    assert not to.ends and not to.wanders
    route.found = np.array([5.0, 5.0]), np.array([5.0, 5.0]), True
    to = ask(searching, 2.0)
    assert to.ends and to.via is None and to.place == pytest.approx([5.0, 5.0])


def test_lost_once_it_looks_round_anew_when_it_was_found_in_between(searching):
    route = searching._wayfinder
    ask(searching, 0.0)
    route.found = np.array([2.0, 1.0]), np.array([5.0, 5.0]), False
    ask(searching, 100.0)
    route.found = None
    assert ask(searching, 101.0).instead == 'look'
