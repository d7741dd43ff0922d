# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""A room another day: furniture moved a little, other light, and still a room to drive in."""

import numpy as np
import pytest

from wm_controller.errors import InputError
from wm_controller.simulation.another_day import another_day, other_exposure
from wm_controller.simulation.description import PASSAGE_RADIUS
from wm_controller.simulation.rooms import make_room
from wm_controller.simulation.shapes import Footprints
from wm_controller.simulation.simulator import CameraSpec, Simulator


@pytest.fixture(scope='module')
def days():
    """Rooms as they are, and as they are on another day."""
    rooms = [make_room(seed, 'evaluation') for seed in range(8)]
    return [(room, another_day(room, 1)) for room in rooms]


def pieces(room):
    ends = np.cumsum((0, *room.parts))
    assert ends[-1] == len(room.furniture) and len(room.parts) == len(room.kinds)
    return [room.furniture[a:b] for a, b in zip(ends, ends[1:])]


def test_the_same_day_is_the_same_and_another_one_another():
    room = make_room(7, 'evaluation')
    assert another_day(room, 0) is room
    assert another_day(room, 3) == another_day(make_room(7, 'evaluation'), 3)
    assert another_day(room, 3).furniture != another_day(room, 4).furniture
    with pytest.raises(InputError, match='day -1'):
        another_day(room, -1)


def test_pieces_are_moved_a_little_each_as_a_whole(days):
    moved = []
    for room, other in days:
        for kind, before, after in zip(room.kinds, pieces(room), pieces(other)):
            middles = [np.mean([(s.x, s.y) for s in each], 0) for each in (before, after)]
            moved.append(np.hypot(*(middles[1] - middles[0])))
            apart = [np.hypot(a[0].x - a[-1].x, a[0].y - a[-1].y) for a in (before, after)]
            assert apart[0] == pytest.approx(apart[1])
            assert len({round(b.yaw - a.yaw, 9) for a, b in zip(before, after)}) == 1
            assert abs(after[0].yaw - before[0].yaw) <= 0.15
            assert kind != 'pillar' or before == after
    assert max(moved) <= 0.2
    assert np.mean(np.array(moved) > 0.03) > 0.6


def test_what_was_moved_stands_free_and_leaves_the_way_open(days):
    for room, other in days:
        parts = pieces(other)
        for number, (before, piece) in enumerate(zip(pieces(room), parts)):
            if before == piece:
                continue
            corners = np.concatenate([solid.outline() for solid in piece])
            others = Footprints(other.walls + sum(parts[:number] + parts[number + 1:], ()))
            assert others.distance(corners).min() > 0.0
        mask, share = other.grid.main_part(PASSAGE_RADIUS)
        assert share > 0.9 and mask.mean() > 0.85 * room.grid.main_part(PASSAGE_RADIUS)[0].mean()
        doors = np.array([[d.x, d.y] for d in other.doors]).reshape(-1, 2)
        cells = other.grid.cells(doors)
        assert mask[cells[:, 0], cells[:, 1]].all()


def test_only_furniture_and_light_are_others(days):
    for room, other in days:
        assert other.lights != room.lights
        for name in ('walls', 'doors', 'panels', 'people', 'materials', 'kinds', 'parts'):
            assert getattr(other, name) == getattr(room, name)


def test_the_camera_sees_another_light(days):
    room, other = days[0]
    pose = room.sample_free_pose(np.random.default_rng(0), 0.6)
    images = []
    camera = CameraSpec(noise=0.0)
    for each, seen_with in ((room, camera), (other, other_exposure(camera, room, 1))):
        simulator = Simulator(each, seen_with)
        simulator.reset(pose=pose)
        images.append(simulator.image().astype(float))
        simulator.close()
    assert other_exposure(camera, room, 0) == camera
    assert 0.7 < other_exposure(camera, room, 1).exposure < 1.4
    assert abs(images[1].mean() - images[0].mean()) > 5.0
