# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Routes over remembered places, and goal pictures found among them."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from place_world import WIDTH, World
from wm_controller.errors import InputError
from wm_controller.planning.wayfinder import Wayfinder
from wm_controller.safety.geometry import relative
from wm_controller.world_model.pixels import in_light_of


class Seeing(Wayfinder):
    """A wayfinder in a world of formulas: pictures are poses, and compared as such."""

    def __init__(self, world):
        bundle = SimpleNamespace(
            model=SimpleNamespace(goal_pose=object(), compass=None,
                                  encoder=torch.nn.Linear(2, 2)),
            spec=SimpleNamespace(architecture=SimpleNamespace(latent=WIDTH),
                                 action_limits=(-0.25, 0.5, 1.5)))
        super().__init__(bundle)
        self.world = world

    def _compressed(self, pixels):
        return json.dumps(self.world.truth.tolist()).encode()

    def _compare(self, pixels, pictures):
        here = np.array(pixels)  # the pose that the picture shows
        seen = np.array([relative(here, np.array(json.loads(each))) for each in pictures])
        far = np.hypot(*seen[:, :2].T) + np.abs(seen[:, 2])
        return seen, np.where(far < 1.0, 0.05, 2.0)


class Drive(World):
    """The world of the map's tests, with a wayfinder that sees it."""

    def __init__(self, **how):
        super().__init__(**how)
        self.finder = Seeing(self)
        self.map = self.finder.map

    def look(self, compare=True):
        latent = torch.from_numpy(self.looks(self.truth))[None]
        self.finder.observe(SimpleNamespace(
            stamp=self.stamp, pose=self.odom, jumped=False, pixels=self.truth.tolist(),
            trace=SimpleNamespace(latent=latent)))
        self.track.append((self.truth.copy(), self.map.on_map(self.odom)))


@pytest.fixture(scope='module')
def taught():
    """Driven along three sides of a rectangle of 6 by 5 m; the fourth is unknown."""
    drive = Drive()
    for corner in ((6, 0), (6, 5), (0, 5)):
        drive.go_to(*corner)
    return drive


def test_a_goal_far_along_the_route_is_headed_for_by_the_next_stretch_of_it(taught):
    target = taught.finder.next_place(np.array([6.0, 0.0]), taught.stamp)
    assert target == pytest.approx([6.0, 4.2], abs=0.6)
    assert len(taught.finder.route) > 10


def test_a_goal_that_no_place_is_near_has_no_route(taught):
    assert taught.finder.next_place(np.array([60.0, 0.0]), taught.stamp) is None
    assert taught.finder.route == []


def test_ways_that_were_driven_are_told_where_they_lie(taught):
    ways = taught.finder.ways_about(taught.odom, taught.stamp)
    assert len(ways) > 20
    middles = ways.mean(1)
    on_track = [np.abs(middles[:, 1]) < 0.4, np.abs(middles[:, 0] - 6) < 0.4,
                np.abs(middles[:, 1] - 5) < 0.4]
    assert np.any(on_track, 0).all() and all(each.any() for each in on_track)
    assert len(Seeing(taught).ways_about(taught.odom, taught.stamp)) == 0


def test_a_way_that_holds_the_robot_up_is_not_told_for_a_while(taught):
    finder, stamp = taught.finder, taught.stamp
    before = finder.ways_about(taught.odom, stamp)
    finder.held_up(np.array([3.0, 0.0, 0.0]), stamp)
    left = finder.ways_about(taught.odom, stamp + 1.0)
    gone = {tuple(each) for each in before.mean(1).round(6)} - {
        tuple(each) for each in left.mean(1).round(6)}
    assert 1 <= len(gone) < 8
    assert all(abs(x - 3.45) < 0.8 and abs(y) < 0.4 for x, y in gone)
    assert len(finder.ways_about(taught.odom, stamp + 90.0)) == len(before)


def test_a_goal_picture_is_found_among_the_places(taught):
    shown = np.array([6.3, 2.6, np.pi / 2 + 0.2])
    found = taught.finder.find(torch.from_numpy(taught.looks(shown))[None], shown.tolist())
    assert found == pytest.approx(shown, abs=0.2)


def test_a_picture_of_nowhere_is_not_found(taught):
    nowhere = np.array([40.0, 40.0, 0.0])
    assert taught.finder.find(torch.from_numpy(taught.looks(nowhere))[None],
                              nowhere.tolist()) is None


def test_pictures_survive_being_remembered():
    torch.manual_seed(0)
    bundle = SimpleNamespace(
        model=SimpleNamespace(goal_pose=lambda here, there: torch.stack([
            (here.float() - there.float()).abs().mean((1, 2, 3)),
            *[torch.zeros(len(there))] * 4], -1), compass=None,
            encoder=torch.nn.Linear(2, 2)),
        spec=SimpleNamespace(architecture=SimpleNamespace(latent=4),
                             action_limits=(-0.25, 0.5, 1.5)))
    finder = Wayfinder(bundle)
    ramp = torch.arange(96).expand(72, 96)
    pixels = torch.stack([ramp, 255 - ramp, ramp // 2], -1).to(torch.uint8)[None]
    kept = finder._compressed(pixels)
    assert 500 < len(kept) < 6000
    off, _ = finder._compare(pixels, [kept, b'', b'broken'])
    assert off[0, 0] < 3.0 and off[1, 0] > 50 and off[2, 0] > 50


def test_a_picture_is_compared_as_if_it_were_taken_in_the_light_of_now():
    rng = torch.Generator().manual_seed(0)
    view = torch.randint(20, 120, (1, 24, 32, 3), generator=rng, dtype=torch.uint8)
    dimmer = (view * torch.tensor([0.6, 0.7, 0.8])).to(torch.uint8)
    shown = in_light_of(view, torch.cat([view, dimmer, torch.zeros_like(view)]))
    assert shown.dtype == torch.uint8 and (shown[0] == view[0]).all()
    assert (shown[1].float() - view[0].float()).abs().max() < 3.0
    assert (shown[2] == 0).all()


def test_a_map_is_saved_loaded_and_forgotten(tmp_path):
    torch.manual_seed(0)
    drive = Drive()
    drive.rounds(1)
    path, before = tmp_path / 'home.safetensors', len(drive.map.places)
    count = drive.finder.save(path)  # with the place where it stands
    assert before <= count <= before + 1 and count > 20
    torch.manual_seed(0)
    other = Seeing(drive)
    assert other.load(path) == count and not other.map.located
    # Set down somewhere on the round, it knows where within a few metres.
    drive.finder, drive.map = other, other.map
    drive.stamp, drive.odom, drive.truth = 0.0, np.zeros(3), np.array([6.0, 2.0, np.pi / 2])
    drive.drive(0.4, 0.0, 5.0)
    assert other.map.located and drive.error() < 0.3
    assert other.forget() == len(drive.map.places) > 0
    assert len(other.map.places) == 0 and other.route == []


def repeated(drive, backwards):
    """Follow the route with a base that goes where it is led; the way (N, 2) in the world."""
    drive.finder.repeat(backwards)
    way = []
    for _ in range(600):
        found = drive.finder.along_route(drive.odom)
        if found is None:
            drive.drive(0.0, 0.9, 0.2)
            continue
        ahead, end, nothing_else = found
        if nothing_else and np.hypot(*(end - drive.odom[:2])) < 0.2:
            break
        away = relative(drive.odom, np.array([*(end if nothing_else else ahead), 0.0]))
        turn = float(np.arctan2(away[1], away[0]))
        drive.drive(0.5 if abs(turn) < 0.5 else 0.0, float(np.clip(2 * turn, -1.5, 1.5)), 0.2)
        way.append(drive.truth[:2].copy())
    return np.array(way)


@pytest.mark.parametrize('backwards', [False, True])
def test_a_route_is_repeated_the_next_day_from_anywhere_on_it_either_way(tmp_path, backwards):
    path = tmp_path / 'route.safetensors'
    torch.manual_seed(0)
    taught = Drive()
    for corner in ((6, 0), (6, 5), (0, 5)):
        taught.go_to(*corner)
    taught.finder.save(path)
    torch.manual_seed(0)
    drive = Drive(drift=0.02)
    drive.finder.load(path)
    drive.map = drive.finder.map
    places, length_m = drive.finder.route_taught()
    assert places > 25 and length_m == pytest.approx(17.0, abs=1.5)
    # Another odometry, and turned to the side of the way.
    drive.truth = np.array([6.1, 2.0, 0.3])
    way = repeated(drive, backwards)
    end = [0.0, 0.0] if backwards else [0.0, 5.0]
    assert way[-1] == pytest.approx(end, abs=0.5)
    # By the corner, as it was taught, and not straight across what nobody drove through.
    corner = [6.0, 0.0] if backwards else [6.0, 5.0]
    assert np.hypot(*(way - corner).T).min() < 1.3
    assert drive.finder.route[-1] == drive.map.route[0 if backwards else -1]


def test_what_is_driven_after_the_route_was_remembered_is_no_part_of_it(tmp_path):
    drive = Drive()
    with pytest.raises(InputError, match='no route was taught.*remember'):
        drive.finder.repeat()
    drive.go_to(4.0, 0.0)
    with pytest.raises(InputError, match='no route was taught'):
        drive.finder.route_taught()
    drive.finder.save(tmp_path / 'route.safetensors')
    known = drive.finder.route_taught()
    drive.go_to(4.0, 4.0)
    assert drive.finder.route_taught() == pytest.approx(known, abs=0.2)
    drive.finder.forget()
    with pytest.raises(InputError, match='no route was taught'):
        drive.finder.repeat()


def test_a_restart_keeps_the_places_and_finds_itself_again():
    drive = Drive()
    drive.rounds(1)
    count = len(drive.map.places)
    drive.finder.restart()
    drive.stamp, drive.odom, drive.truth = 5.0, np.zeros(3), np.array([6.0, 1.0, np.pi / 2])
    drive.drive(0.4, 0.0, 5.0)
    assert drive.map.located and drive.error() < 0.3
    assert count <= len(drive.map.places) < count + 4


def test_set_down_outside_of_its_map_it_learns_at_once_and_joins_both_later(tmp_path):
    torch.manual_seed(0)
    drive = Drive()
    drive.rounds(1)
    path = tmp_path / 'home.safetensors'
    count = drive.finder.save(path)
    torch.manual_seed(0)
    finder = Seeing(drive)
    finder.load(path)
    drive.finder, drive.map = finder, finder.map
    # Somewhere out there, and odometry begins anew.
    drive.stamp, drive.odom, drive.truth = 0.0, np.zeros(3), np.array([12.0, 0.0, np.pi])
    drive.look()
    goal = np.array([8.0, 2.0, 0.0])
    finder.pin(relative(drive.truth, goal))
    drive.drive(0.5, 0.0, 6.0)
    assert not finder.map.located and len(finder.map.places) == count
    assert len(finder.current.places) > 4 and len(finder.ways_about(drive.odom, drive.stamp)) > 3
    drive.go_to(6.0, 0.0)
    drive.go_to(6.0, 4.0)
    assert finder.current is finder.map and drive.error() < 0.3
    assert len(finder.map.places) > count + 4
    # One map now: from where it was set down a way leads to the far side of the old one.
    reach = finder.map.reach(np.array([0.0, 5.0]), drive.stamp)
    first = int(np.hypot(*(finder.map.places.poses[:, :2] - [12.0, 0.0]).T).argmin())
    assert np.hypot(*(finder.map.places.poses[first, :2] - [12.0, 0.0])) < 0.5
    assert np.isfinite(reach.time_s[first]) and len(reach.route(first)) > 10
    # And the goal that was set out there stayed where it is.
    assert finder.on_map(finder.pinned)[:2] == pytest.approx(goal[:2], abs=0.4)
