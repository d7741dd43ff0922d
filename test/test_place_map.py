# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""A map that grows while driving: drift is corrected, the carried robot finds itself again."""

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from place_world import World
from wm_controller.memory.map_correction import fitted
from wm_controller.memory.place_map import PlaceMapParameters
from wm_controller.safety.geometry import compose, wrap_angle


def test_without_drift_the_map_is_the_world_and_a_second_round_adds_nothing():
    world = World()
    world.rounds(1)
    first = len(world.map.places)
    world.rounds(1)
    assert 20 < first < 120
    assert len(world.map.places) < 1.15 * first
    # What is recognised is seen with an error of its own, of a few centimetres.
    assert world.error() < 0.15


def test_drift_is_corrected_where_a_place_is_recognised():
    blind, seeing = (World(drift=0.03, turn_drift=0.02) for _ in range(2))
    blind.rounds(3, compare=False)
    seeing.rounds(3)
    assert blind.error() > 1.0
    assert seeing.map.corrections > 2
    assert seeing.error() < 0.35
    assert len(seeing.map.places) < 0.7 * len(blind.map.places)


def test_what_was_not_recognised_is_not_looked_at_anew():
    """Else a place would confirm, a round later, what it was told where the robot believed to be.

    The map would be sure of its drift.
    """
    world = World(drift=0.03, turn_drift=0.02)
    world.rounds(1, compare=False)
    kept = list(world.map.places.pictures)
    world.rounds(1, compare=False)
    assert world.map.places.pictures[:len(kept)] == kept
    assert world.error() > 0.4


def test_a_place_that_is_recognised_is_looked_at_anew():
    world = World()
    world.rounds(1)
    kept = list(world.map.places.pictures)
    world.rounds(2)
    assert world.map.corrections > 2
    assert any(old != new for old, new in zip(kept, world.map.places.pictures))


def test_headings_that_walls_told_hold_the_map_straight():
    """A chain of places whose turns were counted wrongly; walls tell how each is turned."""
    count = 20
    ends = np.stack([np.arange(count - 1), np.arange(1, count)], -1)
    truth = np.stack([0.5 * np.arange(count), np.zeros(count), np.zeros(count)], -1)
    counted = np.tile([0.5, 0.0, 0.03], (count - 1, 1))
    sigmas = np.tile([0.03, 0.03, 0.03], (count - 1, 1))
    bent = np.zeros((count, 3))
    for i, change in enumerate(counted):
        bent[i + 1] = compose(bent[i], change)
    headings = np.tile([0.0, 0.03], (count, 1))
    assert np.abs(fitted(bent, ends, counted, sigmas) - bent).max() < 1e-6
    held = fitted(bent, ends, counted, sigmas, headings=headings)
    assert np.hypot(*(bent - truth)[-1, :2]) > 2.0
    assert np.hypot(*(held - truth)[-1, :2]) < 0.3
    headings[5:] = np.inf
    partly = fitted(bent, ends, counted, sigmas, headings=headings)
    assert abs(partly[4, 2]) < 0.05 < abs(partly[-1, 2])


def test_rooms_that_look_alike_are_told_apart_by_odometry():
    world = World(period=5.0)
    for x in (4.0, 9.0, 14.0):
        world.go_to(x, 0.0)
        world.go_to(x, 1.0)
    assert world.error() < 0.3
    assert np.ptp(world.map.places.poses[:, 0]) > 12


def test_carried_elsewhere_it_finds_itself_again_by_what_it_sees():
    world = World()
    world.rounds(2)
    world.stamp += 60.0
    world.truth = np.array([6.0, 2.0, np.pi / 2])
    world.odom = np.zeros(3)  # odometry begins anew
    world.map.jumped()
    assert not world.map.located
    count = len(world.map.places)
    world.drive(0.4, 0.0, 4.0)
    assert world.map.located
    assert world.error() < 0.3
    assert len(world.map.places) <= count + 2


def test_turning_on_the_spot_is_enough_to_find_itself_where_it_was_before():
    world = World()
    world.rounds(1)
    world.stamp += 60.0
    world.truth, world.odom = np.array([6.0, 2.1, -np.pi / 2]), np.zeros(3)
    world.map.jumped()
    world.drive(0.0, 0.9, 7.0)
    assert world.map.located and world.error() < 0.3


def test_walls_turn_a_map_that_was_loaded_where_what_was_seen_stands_askew():
    world = World()
    for corner in ((6, 0), (6, 5)):
        world.go_to(*corner)
        world.map.update(world.stamp, world.odom, world.looks(world.truth), bytes, walls=0.3)
    assert world.map.walls == pytest.approx(0.3)
    world.map.restart()
    # Odometry begins anew, turned by 0.5 rad; furniture that was turned shows it 0.2 rad wrong.
    askew = np.array([0.0, 0.0, 0.2])
    compare = world.compare
    world.compare = lambda pictures: (compare(pictures)[0] + askew, np.full(len(pictures), 0.05))

    def drive(walls):
        world.truth, world.odom = np.array([6.0, 1.0, np.pi / 2]), np.array([0.0, 0.0, 0.5])
        for _ in range(20):
            world.drive(0.4, 0.0, 0.2, compare=False)
            world.map.update(world.stamp, world.odom, world.looks(world.truth), bytes,
                             world.compare, walls=walls)
        assert world.map.located
        return abs(float(wrap_angle(world.map.on_map(world.odom)[2] - np.pi / 2)))
    turned = 0.5 - np.pi / 2
    assert drive(None) > 0.12
    world.map.restart()
    # Walls look the same from every quarter turn.
    assert drive(0.3 + turned + np.pi / 2) < 0.02


def test_what_is_seen_again_from_the_same_spot_confirms_nothing():
    """Else one mistake, looked at twice, would be believed."""
    world = World()
    world.rounds(1)
    world.stamp += 60.0
    world.truth, world.odom = np.array([6.0, 2.0, np.pi / 2]), np.zeros(3)
    world.map.jumped()
    world.drive(0.0, 0.0, 8.0)
    assert not world.map.located
    world.drive(0.3, 0.0, 2.0)
    assert world.map.located and world.error() < 0.3


def test_carried_to_where_nothing_is_known_it_waits_to_recognise_something():
    world = World()
    world.rounds(1)
    world.stamp += 60.0
    world.truth = np.array([40.0, 30.0, 1.0])
    world.map.jumped()
    count = len(world.map.places)
    world.drive(0.3, 0.1, 6.0)
    assert not world.map.located and len(world.map.places) == count


def test_goals_beyond_sight_are_routed_over_what_was_driven():
    world = World()
    for corner in ((6, 0), (6, 5), (0, 5)):  # open at the side from (0, 5) to (0, 0)
        world.go_to(*corner)
    reach = world.map.reach([0.0, 0.0], world.stamp)
    route = world.map.places.poses[reach.route(world.map.here)]
    # Nobody drove straight down. 5 m of unknown count as 33 s, 17 m of known as 34 s and more.
    assert route[0, :2] == pytest.approx([0.0, 5.0], abs=0.8)
    assert len(route) > 0
    far = world.map.reach([6.0, 0.0], world.stamp)
    route = world.map.places.poses[far.route(world.map.here)]
    assert np.abs(route[:, :2] - [6.0, 5.0]).sum(-1).min() < 1.0  # by the corner, as it came
    assert world.map.reach([60.0, 0.0], world.stamp) is None


def test_a_blocked_way_is_learned():
    world = World()
    world.rounds(2)
    goal = np.array([6.0, 0.0])
    reach = world.map.reach(goal, world.stamp)
    route = reach.route(world.map.here)
    middle = len(route) // 2
    for _ in range(40):  # whatever leads past there
        reach = world.map.reach(goal, world.stamp)
        route = reach.route(world.map.here)
        if not route:
            break
        on_wall = [(a, b) for a, b in zip(route, route[1:])
                   if abs(world.map.places.poses[b, 0] - 3.0) < 0.6
                   and world.map.places.poses[b, 1] < 2.0]
        if not on_wall:
            break
        world.map.ways.failed(world.map.ways.between(*on_wall[0]), world.stamp)
    poses = world.map.places.poses[route]
    assert middle > 0 and len(route)
    assert poses[:, 1].max() > 4.0  # the long way round


def test_the_map_stays_bounded_and_whole():
    world = World()
    world.map.parameters = PlaceMapParameters(limit=40)
    world.rounds(1)
    world.go_to(3.0, 2.5)
    world.rounds(1)
    assert len(world.map.places) <= 40
    reach = world.map.reach([6.0, 5.0], world.stamp)
    assert np.isfinite(reach.time_s).all()  # still one piece
    world.rounds(1)
    assert world.error() < 0.5


@settings(max_examples=15)
@given(st.integers(0, 1000), st.floats(-0.03, 0.03), st.floats(-0.02, 0.02))
def test_it_is_never_lost_on_the_way(seed, drift, turn_drift):
    world = World(seed, drift, turn_drift)
    world.rounds(2)
    pose = world.map.on_map(world.odom)
    assert np.isfinite(world.map.places.poses).all()
    assert world.map.in_odom(pose) == pytest.approx(
        [*world.odom[:2], float(wrap_angle(world.odom[2]))], abs=1e-9)
    assert compose(world.map.frame, world.odom) == pytest.approx(pose)
    assert world.error() < 0.5
