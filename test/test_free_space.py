# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from wm_controller.memory.free_space import FreeSpace
from wm_controller.safety import geometry as geo

BEARINGS = np.deg2rad(np.linspace(42, -42, 15))
ORIGIN = np.zeros(3)


def quantiles(median):
    median = np.broadcast_to(np.asarray(median, float), (15,))
    return np.stack([0.9 * median, median, 1.1 * median])


def watched(clearance, pose=ORIGIN, times=6):
    memory = FreeSpace(0.18)
    for i in range(times):
        memory.see(0.1 * i, pose, BEARINGS, quantiles(clearance))
    return memory


def test_what_was_seen_free_is_known_and_what_was_not_seen_is_not():
    memory = watched(2.0)
    assert memory.known_free(np.array([[1.0, 0.0], [1.0, 0.6]])).all()
    assert not memory.known_free(np.array([[-1.0, 0.0], [0.0, 1.0], [2.6, 0.0]])).any()


def test_a_wall_is_remembered_where_it_was_seen_also_after_turning_away():
    memory = watched(1.5, pose=np.array([1.0, 2.0, np.pi / 2]))
    for i in range(20):  # looks the other way
        memory.see(1.0 + 0.1 * i, np.array([1.0, 2.0, -np.pi / 2]), BEARINGS, quantiles(3.0))
    near = memory.obstacles_near(np.array([1.0, 3.0, 0.0]), 0.8)
    assert len(near) > 5
    assert np.abs(np.hypot(near[:, 0] - 1.0, near[:, 1] - 2.0) - 1.5).max() < 0.25


def test_what_looks_uncertain_counts_less_than_what_looks_sure():
    sure, unsure = FreeSpace(0.18), FreeSpace(0.18)
    for i in range(2):
        sure.see(0.1 * i, ORIGIN, BEARINGS, quantiles(1.5))
        wide = np.stack([np.full(15, 0.5), np.full(15, 1.5), np.full(15, 4.0)])
        unsure.see(0.1 * i, ORIGIN, BEARINGS, wide)
    assert len(sure.obstacles_near(ORIGIN, 2.0)) > len(unsure.obstacles_near(ORIGIN, 2.0))


def test_memories_fade():
    memory = watched(1.5)
    assert len(memory.obstacles_near(ORIGIN, 2.0))
    memory.occupy_track(600.0, np.array([-3.0, 0.0, 0.0]))
    assert not len(memory.obstacles_near(ORIGIN, 2.0))


def test_being_held_up_puts_an_obstacle_in_the_way():
    memory = watched(3.0)
    pose = np.array([0.5, 0.0, 0.3])
    memory.block(1.0, pose, 0.0)
    ahead = pose[:2] + 0.33 * np.array([np.cos(0.3), np.sin(0.3)])
    assert memory.clearance_at(ahead) < 0.12
    assert memory.clearance_at(pose[:2]) > 0.15


def test_the_way_leads_around_a_wall_and_is_never_shorter_than_the_straight_line():
    memory = watched(np.where(np.abs(BEARINGS) < 0.5, 1.2, 3.4))
    goal = np.array([3.0, 0.0])
    way = memory.cost_to_go(goal)
    points = np.array([[0.0, 0.0], [1.0, -2.0], [2.0, 1.5]])
    straight = np.hypot(*(points - goal).T)
    assert (way(points) > 0.95 * straight).all()
    unhindered = watched(3.4).cost_to_go(goal)(points[:1])[0]
    assert way(points[:1])[0] > unhindered + 0.2


def test_what_was_driven_before_is_preferred_to_the_unknown_and_gives_way_to_what_is_seen():
    memory = FreeSpace(0.18)
    memory.occupy_track(0.0, ORIGIN)
    goal = np.array([6.0, 0.0])
    round_about = np.array([[[0, 0], [0, 2]], [[0, 2], [6, 2]], [[6, 2], [6, 0]]], float)
    unknown, driven = (memory.cost_to_go(goal, ways)(ORIGIN[None, :2])[0]
                       for ways in (None, round_about))
    assert unknown == pytest.approx(12.0, rel=0.05)  # through the unknown, straight on
    assert driven == pytest.approx(10.0, rel=0.1)
    for y in np.linspace(1.4, 2.6, 13):  # by now something stands on it
        memory.block(1.0, np.array([2.7, y, 0.0]), 0.0)
    blocked = memory.cost_to_go(goal, round_about)(ORIGIN[None, :2])[0]
    assert driven + 0.5 < blocked <= unknown + 0.2


def test_it_says_which_points_it_covers():
    memory = FreeSpace(0.18)
    memory.occupy_track(0.0, ORIGIN)
    assert memory.covers(np.array([9.0, -9.0])) and not memory.covers(np.array([10.5, 0.0]))


def test_a_goal_that_is_walled_in_has_no_way():
    memory = FreeSpace(0.18)
    memory.occupy_track(0.0, ORIGIN)
    for angle in np.linspace(0, 2 * np.pi, 90):
        centre = np.array([3.0, 0.0]) + 0.9 * np.array([np.cos(angle), np.sin(angle)])
        memory.block(0.0, np.array([*centre, angle]), 0.0)
        memory.block(0.0, np.array([*centre, angle + np.pi / 2]), 0.0)
    assert np.isinf(memory.cost_to_go(np.array([3.0, 0.0]))(ORIGIN[None, :2])).all()


def test_a_goal_beyond_the_grid_adds_the_rest_as_a_straight_line():
    memory = FreeSpace(0.18)
    memory.occupy_track(0.0, ORIGIN)
    near, far = memory.cost_to_go(np.array([9.0, 0.0])), memory.cost_to_go(np.array([29.0, 0.0]))
    assert far(ORIGIN[None, :2])[0] == pytest.approx(near(ORIGIN[None, :2])[0] + 20.0, abs=2.0)


@settings(max_examples=25)
@given(st.lists(st.tuples(st.floats(-30, 30), st.floats(-30, 30), st.floats(-3.2, 3.2)),
                min_size=1, max_size=12))
def test_wherever_the_robot_goes_its_own_place_is_known_free(track):
    memory = FreeSpace(0.18)
    for i, pose in enumerate(track):
        memory.occupy_track(float(i), np.array(pose))
        memory.see(float(i), np.array(pose), BEARINGS, quantiles(1.0))
        place = np.array(pose[:2])
        assert memory.known_free(place)
        assert np.isfinite(memory.clearance_at(place))


@settings(max_examples=25)
@given(st.floats(-6, 6), st.floats(-6, 6))
def test_moving_the_grid_moves_nothing_in_the_world(dx, dy):
    memory = watched(1.5)
    before = memory.obstacles_near(ORIGIN, 2.0)
    memory._recentre(np.array([dx, dy, 0.0]))  # as when the robot nears the edge
    after = memory.obstacles_near(ORIGIN, 2.0)
    assert np.allclose(np.sort(before, 0), np.sort(after, 0), atol=1e-6)


def test_the_way_leads_round_a_wall_and_its_heading_says_so():
    memory = watched(np.where(BEARINGS > -0.2, 1.2, 3.4))
    way = memory.cost_to_go(np.array([3.0, 0.0]))
    assert -1.6 < way.heading(np.array([[0.6, 0.0]]))[0] < -0.3
    open_way = watched(3.4).cost_to_go(np.array([3.0, 0.0]))
    assert abs(open_way.heading(np.array([[1.0, 0.0]]))[0]) < 0.2


def test_a_way_from_outside_of_what_is_known_is_still_found():
    memory = watched(2.0)
    way = memory.cost_to_go(np.array([-6.0, 2.0]))
    assert np.isfinite(way(np.array([[0.0, 0.0], [-5.0, 1.0]]))).all()
    assert way(np.array([[-6.0, 2.0]]))[0] < 0.3


def test_out_of_bounds_something_stands_and_ways_lead_round_it():
    fence, keep = geo.Footprint.polygon, (0.8, -0.5, 1.2, -0.5, 1.2, 3.0, 0.8, 3.0)
    areas = geo.Areas((fence((-1.0, -2.0, 4.0, -2.0, 4.0, 2.0, -1.0, 2.0)).vertices,),
                      (fence(keep).vertices,))
    memory = FreeSpace(0.18, areas=areas)
    for _ in range(3):
        memory.clear()  # and again
        for stamp in np.arange(0.0, 1.0, 0.1):
            memory.see(stamp, np.zeros(3), np.linspace(1.0, -1.0, 9), np.full((3, 9), 3.4))
            memory.occupy_track(stamp, np.zeros(3))
        memory.doubt()
        clearance = memory.clearance_at(np.array([[1.0, 0.0], [0.4, 0.0], [0.0, 1.9], [0.0, 0.0]]))
        assert clearance[0] == 0.0, 'seen to be free, and forbidden'
        assert clearance[1] == pytest.approx(0.4, abs=0.1)
        assert clearance[2] <= 0.15 and clearance[3] > 0.6
        assert len(memory.obstacles_near(np.zeros(3), 1.5))
    way = memory.cost_to_go(np.array([2.0, 0.0]))
    assert float(way(np.zeros(2))) > 2.4, 'not straight through'


def test_the_bounds_stay_where_they_are_when_the_grid_follows_the_robot():
    fence = geo.Footprint.polygon((-1.0, -1.0, 9.0, -1.0, 9.0, 1.0, -1.0, 1.0)).vertices
    memory = FreeSpace(0.18, areas=geo.Areas((fence,)))
    for x in np.arange(0.0, 8.0, 0.5):
        memory.occupy_track(x, np.array([x, 0.0, 0.0]))
        edge = memory.clearance_at(np.array([[x, 0.0], [x, 1.05]]))
        assert edge[0] == pytest.approx(1.0, abs=0.15) and edge[1] == 0.0
