# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Odometry whose heading is held by the walls."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from wm_controller.memory.steady_odometry import SteadyOdometry
from wm_controller.safety.geometry import compose, integrate, wrap_angle


class Drive:
    """Rounds in a room whose walls stand at `walls`, with wheels that count turns wrongly."""

    def __init__(self, scale=1.03, walls=0.3, sigma=0.03, seed=0):
        self.rng = np.random.default_rng(seed)
        self.scale, self.walls, self.sigma = scale, walls, sigma
        self.truth, self.odom = np.zeros(3), np.zeros(3)
        self.steady = SteadyOdometry()
        self.counted = 0

    def heading(self):
        """What the compass says: against the walls, but for quarter turns."""
        off = self.truth[2] - self.walls + self.sigma * self.rng.standard_normal()
        return (off + math.pi / 4) % (math.pi / 2) - math.pi / 4

    def go(self, v, w, seconds, sights=True):
        for _ in range(round(seconds / 0.1)):
            self.truth = integrate(self.truth, v, w, 0.1)
            self.odom = integrate(self.odom, v, w * self.scale, 0.1)
            self.steady.follow(self.odom)
            if sights:
                self.counted += self.steady.sight(self.heading(), self.sigma)

    def rounds(self, count, **how):
        for _ in range(4 * count):
            self.go(0.5, 0.0, 8.0, **how)
            self.go(0.0, math.pi / 4, 2.0, **how)

    def off(self, pose):
        return float(np.hypot(*(pose - self.truth)[:2])), abs(wrap_angle(pose[2] - self.truth[2]))


@pytest.mark.parametrize('walls', [0.0, 0.3, -0.7, 2.0])
def test_drift_of_the_heading_is_corrected_by_walls_however_they_stand(walls):
    drive = Drive(walls=walls)
    drive.rounds(3)
    far, turned = drive.off(drive.odom)
    assert far > 0.5 and turned > 0.3
    far, turned = drive.off(drive.steady.pose)
    assert far < 0.3 and turned < 0.04
    assert drive.steady.sigma < 0.05


def test_without_sights_it_is_odometry():
    drive = Drive()
    drive.rounds(1, sights=False)
    assert drive.steady.pose == pytest.approx(drive.odom)
    assert drive.steady.frame == pytest.approx(np.zeros(3), abs=1e-9)
    assert drive.steady.sigma > 0.05


def test_what_lay_in_odometry_s_frame_is_found_there_as_it_is_now():
    drive = Drive()
    drive.rounds(1)
    assert compose(drive.steady.frame, drive.odom) == pytest.approx(drive.steady.pose)


def test_it_learns_by_how_much_turns_are_counted_wrongly():
    drive = Drive(scale=1.04)
    drive.rounds(3)
    drive.steady.follow(drive.odom)
    _, before = drive.off(drive.steady.pose)
    drive.go(0.0, 1.0, 12.0, sights=False)
    _, after = drive.off(drive.steady.pose)
    assert after - before < 0.5 * 0.04 * 12.0


def test_a_false_sight_does_not_turn_it():
    drive = Drive()
    drive.rounds(1)
    before = drive.steady.pose.copy()
    drive.go(0.5, 0.0, 1.0, sights=False)
    heading = drive.steady.pose[2] - drive.steady.walls
    assert not drive.steady.sight(heading + 0.5, 0.03)
    assert drive.steady.pose[2] == pytest.approx(before[2])


@pytest.mark.parametrize('heading, sigma', [(math.nan, 0.03), (0.1, 0.5), (0.1, math.nan)])
def test_a_sight_that_says_nothing_does_not_count(heading, sigma):
    steady = SteadyOdometry()
    steady.follow(np.zeros(3))
    assert not steady.sight(heading, sigma)
    assert steady.walls is None


def test_standing_still_one_view_counts_once():
    drive = Drive()
    drive.go(0.0, 0.0, 20.0)
    assert drive.counted == 1


@settings(deadline=None, max_examples=40)
@given(st.floats(-0.04, 0.04), st.floats(-4, 4), st.integers(0, 2 ** 31))
def test_with_sights_as_good_as_they_say_it_is_never_much_worse_than_odometry(scale, walls, seed):
    drive = Drive(scale=1 + scale, walls=walls, seed=seed)
    drive.rounds(1)
    assert drive.off(drive.steady.pose)[1] < max(drive.off(drive.odom)[1], 0.0) + 0.06


def test_a_restart_begins_in_odometry_s_new_frame():
    drive = Drive()
    drive.rounds(1)
    drive.steady.restart()
    drive.steady.follow([1.0, 2.0, 0.5])
    assert drive.steady.pose == pytest.approx([1.0, 2.0, 0.5])
    assert drive.steady.walls is None
