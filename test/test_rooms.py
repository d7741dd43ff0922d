# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from wm_controller.errors import InputError
from wm_controller.simulation import floor_plans, furniture
from wm_controller.simulation.appearance import FLOORS, texture_image, WALLS
from wm_controller.simulation.description import PASSAGE_RADIUS, ROBOT_HEIGHT
from wm_controller.simulation.paths import DistanceField
from wm_controller.simulation.rooms import FAMILIES, make_room
from wm_controller.simulation.shapes import box, cylinder, Footprints

SEEDS = range(25)


@pytest.fixture(scope='module')
def rooms():
    return [make_room(seed, family) for family in FAMILIES for seed in SEEDS]


def test_the_same_seed_gives_the_same_room_and_another_seed_another():
    assert make_room(7) == make_room(7)
    assert make_room(7).furniture != make_room(8).furniture


def test_people_do_not_change_the_rest_of_the_room():
    crowded, empty = make_room(7, people=3), make_room(7, people=0)
    assert len(crowded.people) == 3 and not empty.people
    assert replace(crowded, people=()) == empty


def test_families_share_no_room_and_each_keeps_things_of_its_own():
    training, evaluation = (make_room(3, family) for family in FAMILIES)
    assert training.bounds != evaluation.bounds
    for table in (floor_plans.LAYOUTS, furniture.KINDS, FLOORS, WALLS):
        assert set(table['evaluation']) - set(table['training'])
        assert set(table['training']) - set(table['evaluation'])


def test_evaluation_rooms_show_kinds_that_training_rooms_never_have(rooms):
    seen = {family: set() for family in FAMILIES}
    for room in rooms:
        seen[room.family] |= set(room.kinds) | {room.layout}
    assert {'plant', 'round_table', 'desk', 'armchair'} <= seen['evaluation'] - seen['training']
    assert {'barrel', 'stack'} <= seen['training'] - seen['evaluation']
    assert 'l_corridor' in seen['evaluation']


def test_rooms_have_the_size_and_furniture_they_should(rooms):
    for room in rooms:
        x0, y0, x1, y1 = room.bounds
        assert 6.0 <= x1 - x0 <= 10.0 and 6.0 <= y1 - y0 <= 10.0
        assert 4 <= len(room.kinds) <= 14
        assert all(0.9 <= door.width <= 1.2 for door in room.doors)
    assert np.mean([len(room.kinds) >= 5 for room in rooms]) > 0.9
    assert len({room.layout for room in rooms}) >= 5


def test_the_floor_hangs_together_for_the_robot(rooms):
    """Flood fill, done here on its own raster, from a door or a random place."""
    for room in rooms:
        x0, y0, x1, y1 = room.bounds
        x, y = np.arange(x0, x1, 0.08), np.arange(y0, y1, 0.08)
        points = np.stack(np.meshgrid(x, y), -1)
        free = room.free(points.reshape(-1, 2), PASSAGE_RADIUS).reshape(points.shape[:2])
        labels, _ = ndimage.label(free)
        sizes = np.bincount(labels.ravel())[1:]
        assert sizes.max() >= 0.9 * sizes.sum(), (room.family, room.seed)
        assert free.mean() > 0.2


def test_every_doorway_can_be_reached(rooms):
    rng = np.random.default_rng(0)
    for room in rooms:
        if room.doors:
            field = DistanceField(room, room.sample_free_pose(rng, 0.3), PASSAGE_RADIUS)
            middles = np.array([[door.x, door.y] for door in room.doors])
            assert np.isfinite(field.distance(middles)).all(), (room.family, room.seed)


def test_sampled_poses_are_free_and_reach_each_other(rooms):
    rng = np.random.default_rng(1)
    for room in rooms[::5]:
        poses = np.array([room.sample_free_pose(rng, 0.35) for _ in range(10)])
        assert (room.distance(poses[:, :2]) >= 0.35).all()
        assert np.isfinite(DistanceField(room, poses[0, :2]).distance(poses[:, :2])).all()


def test_a_clearance_that_no_place_has_is_refused():
    with pytest.raises(InputError, match='smaller clearance'):
        make_room(0).sample_free_pose(np.random.default_rng(0), 5.0)


def test_the_robot_passes_under_table_tops_but_not_through_their_legs():
    room = next(r for r in map(make_room, range(40)) if 'table' in r.kinds)
    tops = [s for s in room.furniture if s.bottom >= ROBOT_HEIGHT and s.hx > 0.3]
    assert tops and not set(tops) & set(room.blocking.solids)
    legs = [s for s in room.furniture if s.top > 0.5 and s.bottom == 0 and s.hx < 0.04]
    assert legs and set(legs) <= set(room.blocking.solids)


def test_what_blocks_shows_in_the_plane_of_the_laser_but_for_low_boxes(rooms):
    for room in rooms:
        seen = room.footprints_at(0.2)
        for solid in room.furniture:
            low_box = solid.top == pytest.approx(0.12) and solid.bottom == 0
            if solid.bottom < ROBOT_HEIGHT and not low_box:
                hidden = seen.distance(solid.outline()).max()
                assert hidden < 0.03, (room.family, room.seed, solid)


def test_some_boxes_are_too_low_for_the_laser_but_few(rooms):
    low = [room.kinds.count('low_box') for room in rooms]
    assert 0 < sum(low) < 0.1 * sum(len(room.kinds) for room in rooms)


@pytest.mark.parametrize('angle', [0.0, 0.4, 1.3])
def test_rays_and_distances_of_simple_shapes(angle):
    boxes = Footprints([box(2.0, 0.0, 0.5, 0.5, 0.3, 0.5, yaw=angle)])
    disc = Footprints([cylinder(2.0, 0.0, 0.5, 0.4, 0.5)])
    assert disc.rays((0, 0), [0.0, 0.3, np.pi], 8.0) == pytest.approx([1.6, 8.0, 8.0])
    assert disc.distance([[0, 0], [2, 0], [2, 1]]) == pytest.approx([1.6, -0.4, 0.6])
    corner = boxes.solids[0].outline()
    assert np.abs(boxes.distance(corner)).max() < 1e-9
    assert boxes.distance([[2.0, 0.0]]) == pytest.approx(-0.3)
    assert boxes.rays((2.0, 0.0), [0.0], 8.0) == pytest.approx(0.0)


def test_rays_end_where_the_distance_is_zero(rooms):
    rng = np.random.default_rng(2)
    for room in rooms[::6]:
        origin = room.sample_free_pose(rng)[:2]
        angles = rng.uniform(-np.pi, np.pi, 100)
        ranges = room.rays(origin, angles, 20.0)
        direction = np.stack([np.cos(angles), np.sin(angles)], 1)
        assert (ranges < 15.0).all()  # the outer walls close the room
        assert np.abs(room.distance(origin + ranges[:, None] * direction)).max() < 1e-6
        for share in (0.3, 0.7, 0.99):
            assert (room.distance(origin + share * ranges[:, None] * direction) > 0).all()


def test_shortest_ways_keep_clear_and_are_as_long_as_they_say(rooms):
    rng = np.random.default_rng(3)
    for room in rooms[::4]:
        goal, start = (room.sample_free_pose(rng, 0.3)[:2] for _ in range(2))
        field = DistanceField(room, goal, 0.25)
        path = field.path(start)
        length = np.hypot(*np.diff(path, axis=0).T).sum()
        stated = float(field.distance(start))
        assert np.allclose(path[0], start) and np.allclose(path[-1], goal)
        assert np.hypot(*(goal - start)) - 0.06 <= length <= stated + 0.06
        assert stated <= 1.06 * length + 0.1  # knight's moves are at most 2.7 % too long
        line = np.concatenate([
            a + np.linspace(0, 1, 50)[:, None] * (b - a) for a, b in zip(path[:-1], path[1:])
        ])
        assert room.distance(line).min() > 0.25 - 0.05


def test_a_way_round_a_wall_is_longer_than_the_straight_line():
    empty = replace(make_room(0, people=0), furniture=(), walls=(box(0, 0, 1, 0.1, 2.0, 1),),
                    bounds=(-3.0, -3.0, 3.0, 3.0))
    field = DistanceField(empty, (1.0, 0.0), 0.2)
    around = 2 * np.hypot(0.7, 2.2) + 2 * 0.3  # round the wall's end, 0.2 m away from it
    assert float(field.distance((-1.0, 0.0))) == pytest.approx(around, rel=0.06)
    sealed = replace(empty, walls=(box(0, 0, 1, 0.1, 3.0, 1),))
    field = DistanceField(sealed, (1.0, 0.0), 0.2)
    assert np.isinf(field.distance((-1.0, 0.0))) and len(field.path((-1.0, 0.0))) == 0


@pytest.mark.parametrize('arguments, words', [
    ({'seed': 0, 'family': 'test'}, "'test' is unknown"),
    ({'seed': -1}, 'out of range'),
    ({'seed': 0, 'people': 4}, '0 to 3'),
])
def test_what_cannot_be_made_is_refused_in_one_line(arguments, words):
    with pytest.raises(InputError, match=words) as error:
        make_room(**arguments)
    assert '\n' not in str(error.value)


def test_textures_are_images_that_depend_on_their_seed_only(rooms):
    kinds = {m.texture: m for room in rooms for m in room.materials}
    assert len(kinds) >= 10
    for material in kinds.values():
        image = texture_image(material, 64)
        assert image.shape == (64, 64, 3) and image.dtype == np.uint8
        assert (image == texture_image(material, 64)).all()
