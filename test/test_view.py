# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Which ground the scanner looks at, and backing up only there."""

import math

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from timelines import LIMITS, Timeline
from wm_controller.safety.geometry import integrate
from wm_controller.safety.limits import Limits
from wm_controller.safety.tracking import Command
from wm_controller.safety.view import SECTORS, seen_scale, View

EVERYWHERE = np.arange(-180.0, 180.0, 1.0)


def view(degrees, spacing=1.0):
    angles = np.deg2rad(degrees)
    return View.of((0.1, 0.0), np.column_stack((np.cos(angles), np.sin(angles))),
                   math.radians(spacing))


def test_autonomy_does_not_back_up_where_the_scan_does_not_look():
    line = Timeline()
    front = view(np.arange(-90.0, 91.0))

    def run(v, source='auto', seen=front):
        for _ in range(60):
            line.command(v, source=source)
            line.scan(np.zeros((0, 2)), view=seen)
            line.step()
        return line.verdict

    assert run(-0.2).v == 0.0 and 'blind' in line.verdict.reasons
    assert run(0.3).v == pytest.approx(0.3)
    assert run(-0.2, seen=view(EVERYWHERE)).v == pytest.approx(-0.2)
    assert run(-0.2, 'teleop').v == pytest.approx(-LIMITS.max_blind_reverse)


@given(st.floats(-0.25, -0.01), st.floats(-1.5, 1.5))
def test_what_backing_up_sweeps_was_in_view(v, w):
    half = view(np.concatenate([np.arange(-180.0, 60.0), np.arange(150.0, 180.0)]))
    command = Command(v, w)
    scale = seen_scale(LIMITS, command, half)
    assert 0.0 <= scale <= 1.0
    braking = LIMITS.braking_time(v, w)
    horizon = scale * LIMITS.reaction_time_s + scale ** 2 * braking / 2
    end = integrate(np.zeros(3), v, w, horizon)
    angles = np.linspace(-np.pi, np.pi, 90)
    rim = end[:2] + LIMITS.footprint_radius * np.column_stack((np.cos(angles), np.sin(angles)))
    new = rim[np.hypot(*rim.T) > LIMITS.footprint_radius + 0.015]
    sideways = np.rad2deg(np.arctan2(new[:, 1], new[:, 0] - 0.1))
    assert not ((sideways > 66.0) & (sideways < 144.0)).any()


def test_a_mast_hides_nothing_but_a_gap_does():
    assert view(EVERYWHERE).seen.all()
    mast = view(EVERYWHERE[(EVERYWHERE < 100.0) | (EVERYWHERE > 112.0)])
    assert mast.seen.all()
    gap = view(EVERYWHERE[(EVERYWHERE < 100.0) | (EVERYWHERE > 130.0)])
    hidden = np.flatnonzero(~gap.seen) * 360.0 / SECTORS
    assert hidden.min() >= 100.0 and hidden.max() <= 130.0 and len(hidden) >= 4
    assert view(np.arange(-180.0, 180.0, 12.0), spacing=12.0).seen.all(), 'a coarse scanner'
    assert not View.of((0.0, 0.0), np.zeros((0, 2)), 0.1).seen.any()


def test_a_scanner_at_the_front_of_a_box_sees_what_its_corner_sweeps():
    box = Limits(footprint=(0.3, 0.2, -0.3, 0.2, -0.3, -0.2, 0.3, -0.2))
    ahead = View.of((0.3, 0.0), [(1.0, 0.0)], math.radians(270.0))
    assert seen_scale(box, Command(-0.2, 0.0), ahead) == 0.0
    assert seen_scale(box, Command(-0.2, 0.0), view(EVERYWHERE)) == 1.0


def test_the_sectors_of_a_view_are_where_its_beams_point():
    for bearing in np.arange(-175.0, 181.0, 5.0):
        one = View.of((0.1, -0.05), [(math.cos(math.radians(bearing)),
                                      math.sin(math.radians(bearing)))], math.radians(1.0))
        assert np.flatnonzero(one.seen).tolist() == [round(bearing / 5.0) % SECTORS]
        for reach in (0.2, 3.0):
            for off, seen in ((0.0, True), (2.4, True), (-2.4, True), (7.6, False), (-7.6, False)):
                angle = math.radians(bearing + off)
                place = np.array([[0.1 + reach * math.cos(angle),
                                   -0.05 + reach * math.sin(angle)]])
                assert one.sees(place).tolist() == [seen]
    assert view(EVERYWHERE).sees(np.zeros((3, 2))).tolist() == [True] * 3


def test_beams_cover_half_their_spacing_to_either_side():
    wide = View.of((0.0, 0.0), [(1.0, 0.0)], math.radians(40.0))
    degrees = np.sort((np.flatnonzero(wide.seen) * 5.0 + 180.0) % 360.0 - 180.0)
    assert degrees.tolist() == np.arange(-20.0, 21.0, 5.0).tolist()


def test_sparse_beams_cover_all_that_lies_between_them():
    angles = np.deg2rad(np.arange(0.0, 360.0, 60.0))
    beams = np.column_stack((np.cos(angles), np.sin(angles)))
    assert View.of((0.0, 0.0), beams, math.radians(60.0)).seen.all()
    assert not View.of((0.0, 0.0), beams, math.radians(20.0)).seen.all()


@pytest.mark.parametrize('width', range(1, 7))
@pytest.mark.parametrize('start', [0, 30, 70])
def test_gaps_up_to_a_mast_are_filled_wherever_they_are(start, width):
    angles = np.deg2rad(5.0 * np.array([k for k in range(SECTORS)
                                        if (k - start) % SECTORS >= width]))
    seen = View.of((0.0, 0.0), np.column_stack((np.cos(angles), np.sin(angles))), 1e-6).seen
    hidden = {k for k in range(SECTORS) if not seen[k]}
    assert hidden == (set() if width <= 3 else {(start + k) % SECTORS for k in range(width)})


@pytest.mark.parametrize('w', [0.0, 1.2, -1.2])
def test_backing_up_stops_at_the_edge_of_what_is_in_view(w):
    """Driven out in small steps: it comes to rest with nothing of it on unseen ground."""
    limits = LIMITS
    edge = view(EVERYWHERE[np.abs(EVERYWHERE) < 140.0])
    assert seen_scale(limits, Command(-0.25, w), edge) < 1.0
    assert seen_scale(limits, Command(-0.25, w), view(EVERYWHERE)) == 1.0


HIDDEN = (107.5, 132.5)
"""Degrees, to the left behind; a robot that backs up comes there when it is some way on."""


def leaving_m(turn_per_m):
    """Travel backwards (m) until the rim is a centimetre out of itself where nothing is seen."""
    angles = np.arange(24) * (2.0 * np.pi / 24)
    rim = LIMITS.footprint_radius * np.column_stack((np.cos(angles), np.sin(angles)))
    for travel in np.arange(0.0005, 1.5, 0.0005):
        x, y, yaw = integrate(np.zeros(3), -1.0, turn_per_m, travel)
        turned = np.array(((math.cos(yaw), -math.sin(yaw)), (math.sin(yaw), math.cos(yaw))))
        moved = rim @ turned.T + (x, y)
        new = moved[np.hypot(*moved.T) > LIMITS.footprint_radius + 0.01]
        bearing = np.rad2deg(np.arctan2(new[:, 1], new[:, 0] - 0.1))
        if ((HIDDEN[0] < bearing) & (bearing < HIDDEN[1])).any():
            return travel
    raise AssertionError('it never leaves what is in view')


@pytest.mark.parametrize('turn_per_m, share', [
    *((0.0, share) for share in (0.9, 0.97, 1.03, 1.3)),
    *((-0.8, share) for share in (0.3, 0.6, 0.9, 0.97, 1.03, 1.3))])
def test_its_way_to_a_stop_ends_where_the_view_does_to_within_a_step(turn_per_m, share):
    """The speed is such that what is unseen is reached at a share of the way to a stop."""
    seen = view(EVERYWHERE[(HIDDEN[0] > EVERYWHERE) | (HIDDEN[1] < EVERYWHERE)], spacing=0.01)
    leaves = leaving_m(turn_per_m)
    wide = LIMITS.reaction_time_s
    brakes = 1.0 / LIMITS.max_linear_deceleration
    v = (-wide + math.sqrt(wide ** 2 + 2.0 * brakes * leaves / share)) / brakes
    braking = LIMITS.braking_time(-v, v * turn_per_m)
    assert braking == pytest.approx(v * brakes), 'turning brakes no longer than driving'
    horizon = wide + braking / 2.0
    scale = seen_scale(LIMITS, Command(-v, v * turn_per_m), seen)
    stops_after = scale * wide + scale ** 2 * braking / 2.0
    if share > 1.0:
        assert scale == 1.0
    else:
        reached = share * horizon
        assert max(0.0, reached - horizon / 12.0 - 0.004) <= stops_after < reached
        assert scale > 0.0


@pytest.mark.parametrize('v, w', [(-0.2, 0.0), (-0.01, 0.0), (-0.05, 0.5), (-0.05, -1.5)])
def test_it_does_not_creep_out_of_view(v, w):
    """A tolerance of a centimetre in every cycle would add up, the more so in a turn."""
    blind = view(EVERYWHERE[np.abs(EVERYWHERE) <= 60.0])
    assert seen_scale(LIMITS, Command(v, w), blind) == 0.0
