# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""What moves is followed and foreseen; what stands still is left to the memory of space."""

from dataclasses import replace
import time

import numpy as np
import pytest
import torch

from futures import future_of
from learned import with_decoder
from wm_controller.data.schema import CLEARANCE_BEARINGS as BEARINGS
from wm_controller.memory.free_space import FreeSpace
from wm_controller.memory.movers import Movers
from wm_controller.planning.ablations import without
from wm_controller.planning.config import PilotConfig
from wm_controller.planning.contract import Observation, PoseGoal
from wm_controller.planning.lower_level import LowerLevel, Pending
from wm_controller.planning.objectives import admissible, cost, Situation
from wm_controller.planning.pilot import Pilot
from wm_controller.safety.geometry import integrate
from wm_controller.simulation.shapes import cylinder, Footprints
from wm_controller.world_model.bundle import load_bundle

CONFIG = PilotConfig()
WALL_M = 4.5  # all round
PERIOD_S = 0.1


class Watching:
    """A robot that stands at the origin of a round room and looks along x."""

    def __init__(self, follows=True, standing=()):
        self.memory, self.movers = FreeSpace(0.18), Movers()
        self.stamp, self.pose, self._follows = 10.0, np.zeros(3), follows
        for _ in range(15):
            self.look(*standing)

    def look(self, *people):
        """See people, each (x, y) m."""
        body = Footprints(cylinder(x, y, 0.8, 0.2, 0.8) for x, y in people)
        angles = BEARINGS[:, None] + np.radians(np.linspace(-2.7, 2.7, 10)) + self.pose[2]
        clearance = body.rays(self.pose[:2], angles.ravel(), WALL_M).reshape(-1, 10).min(1)
        seen = np.stack([0.9 * clearance, clearance, 1.1 * clearance])
        if self._follows:
            seen = self.movers.see(self.stamp, self.pose, BEARINGS, seen, self.memory)
        self.memory.see(self.stamp, self.pose, BEARINGS, seen)
        self.stamp += PERIOD_S

    def walk(self, start, velocity, seconds):
        """See somebody walk; returns where they are at the last look."""
        for t in np.arange(0.0, seconds, PERIOD_S):
            place = np.array(start) + t * np.array(velocity)
            self.look(place)
        return place

    def situation(self, goal=(3.0, 0.0)):
        return Situation(self.pose, np.array(goal), self.memory.obstacles_near(self.pose, 1.8),
                         None, np.zeros(2), movers=self.movers.forecast(0.2, 12))


@pytest.fixture
def watching():
    return Watching()


@pytest.mark.parametrize(('start', 'velocity'), [
    ((1.8, -1.1), (0.0, 0.5)), ((1.6, 1.2), (-0.1, -0.7)), ((2.8, 0.0), (-0.5, 0.0))])
def test_a_walker_is_foreseen_a_second_ahead(watching, start, velocity):
    last = watching.walk(start, velocity, 1.8)
    forecast = watching.movers.forecast(0.2, 5)
    there = last + np.array(velocity) * 1.0
    off = np.hypot(*(forecast.places[0, 4] - there))
    assert forecast.places.shape == (1, 5, 2)
    assert off < 0.35 < np.hypot(*(last - there))  # in a still world it would be further off
    assert (np.diff(forecast.sigma[0]) > 0).all()  # the further ahead the less is known


def test_nothing_comes_or_moves_where_the_robot_turns_among_columns():
    columns = (1.5, 0.5), (-1.0, 1.0)
    robot = Watching(standing=columns)
    for turn in np.linspace(0.0, np.pi, 40):
        robot.pose = np.array([0.0, 0.0, turn])
        robot.look(*columns)
        assert robot.movers.forecast(0.2, 12) is None


def test_what_has_just_come_is_kept_off_before_memory_believes_it(watching):
    for _ in range(3):
        watching.look((0.8, 0.0))
    ahead = future_of(np.tile([0.5, 0.0], (1, 12, 1)))
    situation = watching.situation()
    assert len(situation.obstacles) == 0
    assert not admissible(ahead, situation, watching.memory, CONFIG)[0]


def test_who_stops_is_an_obstacle_like_any_other(watching):
    place = watching.walk((1.5, -1.0), (0.0, 0.5), 2.0)
    assert watching.movers.forecast(0.2, 12) is not None
    for _ in range(30):
        watching.look(place)
    assert watching.movers.forecast(0.2, 12) is None
    assert watching.memory.clearance_at(place) < 0.3


def test_memory_keeps_no_trail_of_who_walks():
    marked = {}
    for follows in (True, False):
        robot = Watching(follows)
        robot.walk((2.2, -1.2), (0.0, 0.5), 4.0)
        marked[follows] = len(robot.memory.obstacles_near(robot.pose, 3.0))
    assert marked[True] < 0.5 * marked[False]


def test_plans_that_meet_the_walker_are_removed_and_those_behind_it_stay(watching):
    watching.walk((0.9, -1.1), (0.0, 0.5), 1.2)  # will be ahead of the robot in a second
    situation = watching.situation()
    ahead, wait = np.tile([0.4, 0.0], (12, 1)), np.zeros((12, 2))
    late = np.concatenate([np.zeros((8, 2)), np.tile([0.4, 0.0], (4, 1))])
    future = future_of(np.stack([ahead, wait, late]))
    assert admissible(future, situation, watching.memory, CONFIG).tolist() == [False, True, True]
    # In a still world the way is free.
    still = replace(situation, movers=None)
    assert admissible(future, still, watching.memory, CONFIG).all()


def test_room_to_who_walks_is_worth_something(watching):
    watching.walk((1.05, -1.1), (0.0, 0.5), 1.2)
    situation = watching.situation(goal=(0.0, 0.0))
    future = future_of(np.stack([np.tile([0.25, 0.0], (12, 1)), np.zeros((12, 2))]))
    near, away = (cost(future, each, watching.memory, CONFIG)
                  for each in (situation, replace(situation, movers=None)))
    assert near[0] - near[1] > away[0] - away[1] + 0.05


def test_a_pilot_follows_what_comes_unless_that_is_left_out(monkeypatch, tmp_path):
    bundle = load_bundle(with_decoder(tmp_path / 'm.safetensors'))
    clear = torch.full((1, 3, len(BEARINGS)), WALL_M)
    met = clear.clone()
    met[..., 6:9] = 1.0
    seen = [clear] * 15 + [met] * 4
    found = {}
    for left_out in ((), ('moving',)):
        pilot, fans = Pilot(bundle, without(CONFIG, left_out)), iter(seen)
        monkeypatch.setattr(pilot.bundle.model, 'clearance', lambda state, fans=fans: next(fans))
        pilot.set_goal(PoseGoal(3.0, 0.0))
        for i in range(len(seen)):
            pilot.observe(Observation(1.0 + 0.1 * i, np.zeros((72, 96, 3), np.uint8), np.zeros(3),
                                      np.zeros(2)))
        found[left_out] = pilot.movers.forecast(0.2, 3)
    assert found[()] is not None and found[('moving',)] is None


class Perfect:
    """The imagination of a base that does as it is told, and sees nothing come."""

    period_s = 0.2

    def draw(self, steps):
        return None

    def __call__(self, state, actions, goal, variable, wanted):
        return future_of(actions)


def crossed(foresees):
    """Drive 3 m while somebody crosses: gaps (N,) m to them, poses (N, 3), walker (N, 2)."""
    robot, command, goal = Watching(foresees), np.zeros(2), np.array([3.0, 0.0])
    level = LowerLevel(Perfect(), CONFIG, 0, time.perf_counter)
    walker, poses, places = np.array([1.5, -1.3]), [], []
    for _ in range(90):
        robot.look(walker)
        robot.memory.occupy_track(robot.stamp, robot.pose)
        situation = Situation(
            robot.pose, goal, robot.memory.obstacles_near(robot.pose, 1.8),
            robot.memory.cost_to_go(goal), command, movers=robot.movers.forecast(0.2, 12))
        course = level.plan(torch.zeros(1, 4), situation, robot.memory, Pending(command, 0.0),
                            robot.stamp, robot.stamp + 1e9)
        command = course.actions[0] if np.isfinite(course.cost) else np.zeros(2)
        robot.pose = integrate(robot.pose, *command, PERIOD_S)
        walker = walker + np.array([0.0, 0.45 * PERIOD_S]) * (walker[1] < 2.0)
        poses.append(robot.pose)
        places.append(walker)
    poses, places = np.array(poses), np.array(places)
    return np.hypot(*(poses[:, :2] - places).T) - 0.38, poses, places


def test_it_yields_to_who_crosses_goes_behind_and_arrives():
    gaps, poses, places = crossed(foresees=True)
    assert gaps.min() > 0.1 and np.hypot(*(poses[-1, :2] - [3.0, 0.0])) < 0.3
    passing = int(np.argmax(poses[:, 0] > 1.5))
    assert places[passing, 1] > poses[passing, 1]  # they were past
    still = crossed(foresees=False)[0]
    assert gaps.min() > still.min() + 0.05
