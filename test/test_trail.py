# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""A route as it was driven, and how far along it the robot is."""

import numpy as np
import pytest

from wm_controller.memory.trail import AlongTrail, visited

SQUARE = np.array([[0, 0], [4, 0], [4, 4], [0, 4], [0, 0.0]])  # a round, back to its start


def test_what_was_reversed_out_of_is_no_part_of_the_way():
    trail = []
    for place in (0, 1, 1, 2, 3, 2, 4, 5, 0, 1):
        visited(trail, place)
    assert trail == [0, 1, 2, 4, 5, 0, 1]


def test_it_is_led_along_from_anywhere_on_the_line():
    ahead, left, corner = AlongTrail().follow(SQUARE, np.array([3.0, 0.2]), 2.5)
    assert ahead == pytest.approx([4.0, 1.5]) and left == pytest.approx(13.0) and corner == 1
    ahead, left, corner = AlongTrail().follow(SQUARE, np.array([-0.3, 1.0]), 2.5)
    assert ahead == pytest.approx([0.0, 0.0]) and left == pytest.approx(1.0) and corner == 4


def test_a_round_is_driven_round_and_ends_where_it_began():
    along, here = AlongTrail(), np.array([0.1, 0.1])
    lefts, driven = [], 0.0
    for _ in range(400):
        ahead, left, _ = along.follow(SQUARE, here, 0.5)
        lefts.append(left)
        step = ahead - here
        if left < 0.05:
            break
        here = here + 0.1 * step / np.hypot(*step)
        driven += 0.1
    assert lefts[0] > 15.5 and left < 0.05
    assert 13.0 < driven < 16.5 and np.hypot(*here) < 0.3
    assert np.all(np.diff(lefts) < 0.05)


def test_a_crossing_is_crossed_and_not_turned_off_at():
    eight = np.array([[0, 0], [4, 4], [4, 0], [0, 4.0]])
    along = AlongTrail()
    for s in np.arange(0.0, 2.2, 0.1):
        ahead, left, _ = along.follow(eight, np.array([s, s]), 1.0)
    assert ahead[0] == pytest.approx(ahead[1], abs=0.1) and left > 10


def test_carried_off_the_line_it_waits_and_a_corrected_line_is_followed():
    along = AlongTrail()
    along.follow(SQUARE, np.array([2.0, 0.0]), 1.0)
    ahead, left, _ = along.follow(SQUARE + [0.0, 0.3], np.array([2.0, 0.0]), 1.0)
    assert ahead == pytest.approx([3.0, 0.3]) and left == pytest.approx(14.0)
