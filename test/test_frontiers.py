# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Frontiers lie where free space meets the unknown, and nowhere else."""

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from wm_controller.memory.free_space import FreeSpace
from wm_controller.memory.frontiers import frontiers
from wm_controller.planning.exploration import Explorer

BEARINGS = np.deg2rad(np.linspace(42, -42, 15))
ROOM = 0.18


def seen(pose, clearance, memory=None):
    """What is known after a long look with walls at `clearance` (15,) m."""
    memory = memory or FreeSpace(ROOM)
    memory.occupy_track(0.0, np.array([*pose[:2], 0.0]))
    clearance = np.asarray(clearance, float)
    for _ in range(6):
        memory.see(0.0, np.asarray(pose, float), BEARINGS,
                   np.stack([0.95 * clearance, clearance, 1.05 * clearance]))
    return memory


def find(memory, here=(0.0, 0.0)):
    return frontiers(memory, memory.cost_to_go(np.array(here, float)), ROOM)


def test_an_opening_at_the_end_of_the_view_is_a_frontier():
    clearance = np.full(15, 1.5)
    clearance[6:9] = 3.4  # a door ahead
    memory = seen([0, 0, 0], clearance)
    # Sideways nothing was seen either: only what lies beyond a metre ahead is asked for.
    ahead = [each for each in find(memory) if each.place[0] > 1.8]
    assert ahead
    assert abs(ahead[0].place[1]) < 0.8 and ahead[0].way_m == pytest.approx(
        np.hypot(*ahead[0].place), rel=0.6)


def test_behind_a_wall_there_is_none():
    memory = seen([0, 0, 0], np.full(15, 1.5))
    for each in find(memory):
        assert np.hypot(*each.place) < 1.5


def test_looked_all_round_in_a_closed_room_nothing_is_left():
    memory = FreeSpace(ROOM)
    for yaw in np.deg2rad(np.arange(0, 360, 30)):
        seen([0, 0, yaw], np.full(15, 1.5), memory)
    assert find(memory) == []


def test_the_nearer_of_two_alike_is_worth_more():
    memory = FreeSpace(ROOM)
    for x in np.arange(0.0, 4.0, 0.1):  # a corridor that was driven, open at both ends
        memory.occupy_track(0.0, np.array([x, 0.0, 0.0]))
        for y in (-0.5, 0.5):
            memory.block(0.0, np.array([x, 0.0, 0.0]), np.copysign(np.pi / 2, y))
    memory.occupy_track(0.0, np.array([4.0, 0.0, 0.0]))
    found = find(memory, here=(3.5, 0.0))
    assert len(found) >= 1 and found[0].place[0] > 2.0


@settings(max_examples=20)
@given(st.lists(st.floats(0.4, 4.5), min_size=15, max_size=15), st.floats(-3, 3))
def test_they_are_free_have_room_and_can_be_reached(clearance, yaw):
    memory = seen([0, 0, yaw], clearance)
    found = find(memory)
    places = np.array([each.place for each in found]).reshape(-1, 2)
    assert memory.known_free(places).all()
    assert (memory.clearance_at(places) >= ROOM).all()
    worth = [each.worth for each in found]
    assert worth == sorted(worth, reverse=True) and all(np.isfinite(each.way_m) for each in found)


def corridor():
    """Driven for four metres, walls on both sides, open at both ends."""
    memory = FreeSpace(ROOM)
    for x in np.arange(0.0, 4.01, 0.1):
        memory.occupy_track(0.0, np.array([x, 0.0, 0.0]))
        for y in (-1, 1):
            memory.block(0.0, np.array([x, 0.0, 0.0]), y * np.pi / 2)
    return memory


def test_an_explorer_keeps_to_a_frontier_until_it_has_looked_beyond():
    memory, explorer = corridor(), Explorer(ROOM)
    target = explorer.target(memory, np.array([2.6, 0.0, 0.0]), 0.0)
    assert target[0] > 3.0
    for i in range(5):  # nearer to the other end by now, but it has set its mind on this one
        assert explorer.target(memory, np.array([1.0, 0.0, 0.0]), 1.0 + i) is target
    other = explorer.target(memory, np.array([target[0] - 0.3, 0.0, 0.0]), 7.0)
    assert other is not target


def test_what_cannot_be_driven_to_is_left_alone_for_a_while():
    memory, explorer = corridor(), Explorer(ROOM)
    here = np.array([2.6, 0.0, 0.0])
    first = explorer.target(memory, here, 0.0)
    explorer.give_up(1.0)
    second = explorer.target(memory, here, 1.1)
    assert second is None or np.hypot(*(second - first)) > 0.9
    explorer.give_up(2.0)
    again = explorer.target(memory, here, 70.0)
    assert again == pytest.approx(first)


def test_where_nothing_is_left_it_says_so_and_looks_again_later():
    memory = FreeSpace(ROOM)
    for yaw in np.deg2rad(np.arange(0, 360, 30)):
        seen([0, 0, yaw], np.full(15, 1.5), memory)
    explorer, here = Explorer(ROOM), np.zeros(3)
    assert explorer.target(memory, here, 0.0) is None
    memory.clear()
    corridor_again = corridor()
    assert explorer.target(corridor_again, np.array([2.0, 0.0, 0.0]), 0.5) is None
    assert explorer.target(corridor_again, np.array([2.0, 0.0, 0.0]), 3.0) is not None
