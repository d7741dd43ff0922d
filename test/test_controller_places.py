# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""What the controller is asked about places: remember, show, forget, and look for more."""

from types import SimpleNamespace

import numpy as np
import pytest
from visualization_msgs.msg import Marker, MarkerArray

from ros_probe import values_of
from wm_controller.errors import InputError
from wm_controller.memory.free_space import FreeSpace
from wm_controller.memory.place_map import PlaceMap
from wm_controller.nodes import qos
from wm_controller.planning.contract import ExploreGoal, RouteGoal


class Places:
    """A wayfinder of a straight drive, with a route and a way that is blocked."""

    def __init__(self):
        self.map, self.route, self.saved = PlaceMap(4), [0, 1, 2], []
        self.taught = True
        rng = np.random.default_rng(0)
        for i in range(40):
            self.map.update(0.2 * i, [0.1 * i, 0.0, 0.0], rng.standard_normal(4), bytes)
        self.map.ways.failed(3, 1e12)

    @property
    def current(self):
        return self.map

    def in_odom(self, poses):
        return self.map.in_odom(poses)

    def save(self, path):
        self.saved.append(path)
        return len(self.map.places)

    def route_taught(self):
        if not self.taught:
            raise InputError('no route was taught: drive one')
        return 7, 3.0

    def forget(self):
        count, self.map = len(self.map.places), PlaceMap(4)
        return count


def test_places_are_remembered_shown_and_forgotten(rig, probe, tmp_path):
    rig = rig(map_file=str(tmp_path / 'home.safetensors')).ready()
    rig.driver.wayfinder = Places()
    rig.driver.memory = FreeSpace(0.18)
    rig.driver.memory.block(0.0, np.array([2.0, 1.0, 0.0]), 0.0)
    rig.driver.explorer = SimpleNamespace(left=[np.array([3.0, 1.0]), np.array([0.0, 4.0])])
    rig.driver.target = np.array([3.0, 1.0])
    seen = probe.listen(MarkerArray, 'memory', qos.STATE)
    rig.drive()
    rig.show(100, stop=lambda: bool(seen))
    markers = {marker.ns: marker for marker in seen[-1].markers}
    assert list(markers) == ['places', 'ways', 'blocked', 'route', 'frontiers', 'target', 'space']
    assert [(at.x, at.y) for at in markers['frontiers'].points] == [(3.0, 1.0), (0.0, 4.0)]
    assert [(at.x, at.y) for at in markers['target'].points] == [(3.0, 1.0)]
    walls = np.array([(at.x, at.y) for at in markers['space'].points])
    assert len(walls) and np.abs(walls - [2.33, 1.0]).max() < 0.25
    assert markers['space'].scale.x == pytest.approx(0.1)
    assert len(markers['places'].points) == len(rig.driver.wayfinder.map.places) == 7
    assert len(markers['ways'].points) == 2 * 5 and len(markers['blocked'].points) == 2
    assert [point.x for point in markers['route'].points] == pytest.approx([0.0, 0.6, 1.2])
    assert all(marker.header.frame_id == 'odom' for marker in markers.values())

    answer = probe.call('/controller/remember')
    assert answer.success and '7 places remembered in' in answer.message
    assert rig.driver.wayfinder.saved == [tmp_path / 'home.safetensors']
    answer = probe.call('/controller/forget')
    assert answer.success and '7 places forgotten' in answer.message
    rig.driver.memory.clear()
    rig.driver.explorer, rig.driver.target = None, None
    seen.clear()
    rig.show(100, stop=lambda: bool(seen))
    assert all(marker.action == Marker.DELETE for marker in seen[-1].markers)


def test_a_flat_planner_shows_space_and_frontiers(rig, probe):
    rig = rig().ready()
    rig.driver.memory = FreeSpace(0.18)
    rig.driver.memory.block(0.0, np.zeros(3), 0.0)
    rig.driver.explorer = SimpleNamespace(left=[np.array([1.0, 2.0])])
    seen = probe.listen(MarkerArray, 'memory', qos.STATE)
    rig.drive()
    rig.show(100, stop=lambda: bool(seen))
    shown = {marker.ns for marker in seen[-1].markers if marker.action == Marker.ADD}
    assert shown == {'space', 'frontiers'}


@pytest.mark.parametrize('wayfinder, line', [
    (None, "set planner to 'hierarchical'"), (Places, 'map_file is empty')])
def test_places_that_cannot_be_remembered_are_answered_with_the_remedy(
        rig, probe, wayfinder, line):
    rig = rig().ready()
    rig.driver.wayfinder = wayfinder and wayfinder()
    rig.show(5)
    answer = probe.call('/controller/remember')
    assert not answer.success and line in answer.message


@pytest.mark.parametrize('service, goal, name', [
    ('repeat', RouteGoal(), 'route'), ('retrace', RouteGoal(backwards=True), 'route, backwards')])
def test_a_route_that_was_taught_is_repeated_either_way(rig, probe, service, goal, name):
    rig = rig().ready()
    rig.driver.wayfinder = Places()
    rig.show(5)
    answer = probe.call(f'/controller/{service}')
    assert answer.success and answer.message == 'a route of 7 places, 3.0 m'
    rig.show(100, stop=lambda: rig.driver.goal is not None)
    assert rig.driver.goal == goal
    probe.until(lambda: rig.statuses and values_of(rig.statuses[-1])['goal'] == name,
                what='the status')


@pytest.mark.parametrize('wayfinder, line', [
    (None, "set planner to 'hierarchical'"), (Places, 'no route was taught')])
def test_without_a_route_nothing_is_repeated_and_the_goal_stays(rig, probe, wayfinder, line):
    rig = rig().ready()
    rig.driver.wayfinder = wayfinder and wayfinder()
    if wayfinder:
        rig.driver.wayfinder.taught = False
    rig.drive()
    before = rig.driver.goal
    answer = probe.call('/controller/repeat')
    assert not answer.success and line in answer.message
    rig.show(5)
    assert rig.driver.goal == before


def test_exploring_is_asked_for_and_refused_where_it_cannot_be_done(rig, probe):
    rig = rig().ready()
    answer = probe.call('/controller/explore')
    assert not answer.success and 'cannot explore' in answer.message
    rig.driver.explores = True
    answer = probe.call('/controller/explore')
    assert answer.success
    rig.show(100, stop=lambda: rig.driver.goal is not None)
    assert rig.driver.goal == ExploreGoal()
    probe.until(lambda: rig.statuses and values_of(rig.statuses[-1])['goal'] == 'explore',
                what='the status')
