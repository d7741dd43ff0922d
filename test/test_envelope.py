# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Where the robot may go: obstacles, fences, and the way out of contact."""

from dataclasses import replace
import math

from hypothesis import assume, given
from hypothesis import strategies as st
import numpy as np
import pytest

from timelines import examples, LIMITS, PERIOD, Timeline, wall
from wm_controller.safety import envelope
from wm_controller.safety import geometry as geo
from wm_controller.safety.limits import InvalidLimit
from wm_controller.safety.tracking import Command

# Promise 4: the stopping envelope.

def drive_world(line, points, v, w, seconds, latency=0.0, rate=10.0, odometry=True):
    """Close the loop over an ideal base among fixed points; return the least distance."""
    pose, least, shots = np.zeros(3), np.inf, []
    outline = line.guard.limits.outline
    scan_every = round(1.0 / rate / PERIOD)
    for tick in range(round(seconds / PERIOD)):
        line.command(v, w)
        if odometry:
            line.odometry(pose, (line.verdict.v, line.verdict.w))
        if tick % scan_every == 0:
            shots.append((line.ros, geo.to_child(pose, points)))
        while shots and line.ros - shots[0][0] >= latency - 1e-9:
            stamp, seen = shots.pop(0)
            line.guard.on_scan(seen, stamp, line.ros, line.steady)
        out = line.step()
        pose = geo.integrate(pose, out.v, out.w, PERIOD)
        least = min(least, outline.distance(geo.to_child(pose, points)).min())
    return least, pose


BOX = (0.3, 0.2, 0.3, -0.2, -0.25, -0.2, -0.25, 0.2)


@examples(60)
@given(st.floats(-0.5, 1.0), st.floats(-2.0, 2.0), st.integers(0, 2**32 - 1),
       st.sampled_from(((), BOX)), st.sampled_from((0.0, 0.1)), st.booleans())
def test_the_robot_never_comes_nearer_than_the_margin(v, w, seed, footprint, latency, odometry):
    line = Timeline(replace(LIMITS, footprint=footprint))
    points = np.random.default_rng(seed).uniform(-1.5, 1.5, (30, 2))
    points = points[line.guard.limits.outline.distance(points) > 0.06]
    for _ in range(15):
        line.scan(points)
        line.step()
    least, _ = drive_world(line, points, v, w, 2.5, latency, odometry=odometry)
    assert least >= LIMITS.margin - 1e-3


def test_straight_at_a_wall_it_slows_and_stops_at_the_margin():
    line = Timeline()
    least, pose = drive_world(line, wall(1.5), 0.5, 0.0, 8.0)
    assert LIMITS.margin - 1e-6 <= least <= LIMITS.margin + 0.02
    assert 'obstacle' in line.verdict.reasons
    assert line.verdict.limit < 0.05


def test_an_obstacle_that_appears_brakes_at_the_limit():
    line = Timeline()
    speed = line.run(1.5, 0.5).v
    line.scan(wall(0.3))
    assert line.step().v == pytest.approx(speed - PERIOD * LIMITS.max_linear_deceleration)


@given(st.floats(0.0, 3.0), st.floats(0.05, 1.0), st.floats(0.0, 2.0))
def test_the_scale_is_the_largest_whose_envelope_ends_before_contact(contact, reaction, braking):
    scale = envelope.stopping_scale(contact, reaction, braking)
    assert 0.0 <= scale <= 1.0
    left = contact - scale * reaction - 0.5 * scale ** 2 * braking
    assert left >= -1e-9 and (scale == 1.0 or left == pytest.approx(0.0, abs=1e-9))


@pytest.mark.parametrize('deceleration', [0.2, 0.4, 50.0])
def test_braking_more_gently_takes_longer_and_harder_than_it_can_changes_nothing(deceleration):
    limits = replace(LIMITS, max_linear_deceleration=0.5)
    reach = limits.footprint_radius + limits.margin
    for gap in (0.1, 0.3):
        scale = envelope.clear_scale(limits, Command(0.5), [[reach + gap, 0.0]], deceleration)
        braking = 0.5 / min(deceleration, limits.max_linear_deceleration)
        assert 0.0 < scale < 1.0
        assert gap == pytest.approx(
            0.5 * (scale * limits.reaction_time_s + 0.5 * scale ** 2 * braking))


def test_behind_and_beside_do_not_slow():
    line = Timeline()
    points = np.concatenate((wall(-0.3), wall(0.0) @ [[0, 1], [1, 0]] + (0, 0.25)))
    assert line.run(1.5, 0.5, points=points).v == pytest.approx(0.5)


def test_backing_out_of_contact_is_free_and_pushing_is_not():
    line = Timeline()
    assert line.run(0.5, 0.3, points=wall(0.2)).v == 0.0
    assert line.run(0.5, 0.0, 1.0, points=wall(0.2)).w > 0.5, 'a disc turns on the spot'
    line.run(0.5, 0.0)
    assert line.run(0.5, -0.2, points=wall(0.2)).v == pytest.approx(-0.2)


def test_motion_that_is_faster_than_commanded_counts():
    line = Timeline()
    line.run(0.5, 0.05)
    for _ in range(10):
        line.odometry(np.zeros(3), (0.8, 0.0))
        line.command(0.05)
        line.scan(wall(0.18 + 0.05 + 0.1))
        line.step()
    assert line.verdict.v == 0.0
    assert 'obstacle' in line.verdict.reasons


def test_an_old_scan_is_moved_by_what_was_driven_since():
    line = Timeline()
    line.run(1.5, 0.5)
    line.scan(wall(0.6))
    line.run(0.5, 0.5)
    assert line.verdict.v < 0.45, 'without another scan the wall has come nearer'


def test_a_sensor_that_sees_less_than_the_stopping_distance_forbids_driving():
    line = Timeline()
    for _ in range(20):
        line.command(0.5)
        line.scan(np.zeros((0, 2)), sees_m=0.3)
        line.step()
    assert line.verdict.v == 0.0
    assert line.verdict.reasons == ('sensor_range',)
    with pytest.raises(InvalidLimit, match='0.30 m'):
        LIMITS.check_sight(0.3)


@pytest.mark.parametrize('ahead, back, fastest', [(0.6, -0.2, 0.6), (0.3, -0.7, 0.7)])
def test_stopping_takes_the_way_of_the_reaction_and_of_braking_and_the_margin(
        ahead, back, fastest):
    limits = replace(LIMITS, max_linear_velocity=ahead, min_linear_velocity=back,
                     max_linear_deceleration=0.8, footprint_radius=0.25, margin=0.07)
    needed = fastest * limits.reaction_time_s + fastest ** 2 / (2 * 0.8) + 0.25 + 0.07
    assert limits.stopping_distance() == pytest.approx(needed)
    limits.check_sight(limits.stopping_distance())
    with pytest.raises(InvalidLimit):
        limits.check_sight(0.99 * needed)


def test_one_step_is_quick_enough():
    import time
    line = Timeline(replace(LIMITS, footprint=BOX))
    angle = np.linspace(-np.pi, np.pi, 720)
    line.scan(np.column_stack((0.6 * np.cos(angle), 0.6 * np.sin(angle))))
    line.run(0.1, 0.5, 0.3)
    took = []
    for _ in range(50):
        begin = time.thread_time()  # of this thread: the machine may be busy
        line.step(0.001)
        took.append(time.thread_time() - begin)
    print(f'a step with 720 beams and a polygon: {1e3 * sorted(took)[25]:.2f} ms')
    assert sorted(took)[25] < 5e-3


# Promise 5: where it may be.

FENCE = (-1.0, -1.0, 1.0, -1.0, 1.0, 1.0, -1.0, 1.0)


@examples(30)
@given(st.floats(-0.3, 0.6), st.floats(-1.0, 1.0), st.floats(-0.75, 0.75), st.floats(-0.75, 0.75),
       st.floats(-math.pi, math.pi))
def test_the_footprint_stays_inside_the_fence_and_outside_keep_out(v, w, x, y, heading):
    limits = replace(LIMITS, geofence=FENCE, keep_out=(
        0.5, 0.3, 0.8, 0.3, 0.8, 0.6, 0.5, 0.6, math.nan, -0.6, -0.8, -0.5, -0.8, -0.5, -0.3))
    keep = 0.18 + LIMITS.margin
    pose = np.array((x, y, heading))

    def nearest():
        return min(geo.signed_distance(polygon, pose[:2])[0] for polygon in limits.areas.keep_out)

    assume(nearest() > keep)
    line = Timeline(limits)
    for _ in range(120):
        line.command(v, w)
        line.odometry(pose, (line.verdict.v, line.verdict.w))
        out = line.step()
        pose = geo.integrate(pose, out.v, out.w, PERIOD)
        assert np.abs(pose[:2]).max() <= 1.0 - keep + 1e-3
        assert nearest() >= keep - 1e-3


def test_a_fence_without_odometry_holds_the_robot():
    line = Timeline(replace(LIMITS, geofence=FENCE))
    assert line.run(0.5, 0.3).v == 0.0
    assert 'geofence' in line.verdict.reasons


def test_outside_the_fence_only_the_way_back_is_free():
    line = Timeline(replace(LIMITS, geofence=FENCE))
    for v, moves in ((0.3, False), (-0.2, True)):
        for _ in range(50):
            line.command(v)
            line.odometry((1.5, 0.0, 0.0))
            line.step()
        assert (line.verdict.v != 0.0) == moves


def test_inside_of_a_keep_out_only_the_way_out_is_free():
    line = Timeline(replace(LIMITS, keep_out=(-0.5, -0.5, 0.5, -0.5, 0.5, 0.5, -0.5, 0.5)))
    for v, w, moves in ((0.3, 0.0, True), (-0.2, 0.0, False), (0.0, 0.5, True)):
        for _ in range(50):
            line.command(v, w)
            line.odometry((0.3, 0.0, 0.0))
            line.step()
        assert (not line.verdict.v == line.verdict.w == 0.0) == moves, (v, w)
        line.run(1.0)


def test_the_way_out_is_judged_by_where_a_twist_begins_to_lead():
    fence = np.array(FENCE).reshape(-1, 2)
    outside = np.array([fence[:, 0].max() + 0.2, 0.0, 2.0])  # the fence is behind its left
    turning = Command(0.1, -1.5)  # back for a millimetre, and further out within a second
    assert geo.integrate(outside, 0.1, -1.5, 1.0)[0] > outside[0]
    assert envelope.area_scale(
        LIMITS, turning, outside, fence, envelope.boundary(fence), inside=True) == 1.0
    near = np.array([[LIMITS.outline.reach + LIMITS.margin / 2, 0.0]])
    for v, free in ((0.05, 0.0), (-0.05, 1.0)):
        for w in (-1.0, 1.0):
            assert envelope.clear_scale(LIMITS, Command(v, w), near) == free


@pytest.mark.parametrize('polygon', [
    [(0.0, 0.0), (1.0, 0.0), (1.3, 0.9), (0.2, 1.0)], [(0.0, 0.0), (0.01, 0.0), (0.0, 0.01)]])
def test_a_boundary_is_its_edges_from_corner_to_corner_without_gaps(polygon):
    polygon = np.array(polygon)
    points = envelope.boundary(polygon)
    following = np.roll(points, -1, axis=0)
    assert np.abs(geo.signed_distance(polygon, points)).max() < 1e-9
    assert np.hypot(*(following - points).T).max() <= envelope.SPACING + 1e-9
    assert (np.hypot(*(points[:, None] - polygon[None]).T).min(1) < 1e-9).all(), 'every corner'
    around = np.hypot(*(np.roll(polygon, -1, axis=0) - polygon).T).sum()
    assert np.hypot(*(following - points).T).sum() == pytest.approx(around), 'once round'
    assert len(points) <= around / envelope.SPACING + 2 * len(polygon)
