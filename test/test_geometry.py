# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Poses, footprints and the swept arc, each against a slower and simpler way to say the same."""

from hypothesis import assume, example, given
from hypothesis import strategies as st
import numpy as np
import pytest

from timelines import examples
from wm_controller.safety import geometry as geo
from wm_controller.safety.sweep import arc_clear, contact_time, trajectories_clear

CIRCLE = geo.Footprint.circle(0.18)
BOX = geo.Footprint.polygon([0.3, 0.2, 0.3, -0.2, -0.25, -0.2, -0.25, 0.2])
L_SHAPE = geo.Footprint.polygon(
    [-0.3, -0.2, 0.3, -0.2, 0.3, 0.0, 0.0, 0.0, 0.0, 0.2, -0.3, 0.2])
SLANTED = geo.Footprint.polygon(  # no edge along an axis, nothing symmetric
    [0.35, 0.05, 0.1, 0.25, -0.3, 0.15, -0.2, -0.22, 0.2, -0.18])
FOOTPRINTS = st.sampled_from((CIRCLE, BOX, L_SHAPE, SLANTED))
POSES = st.tuples(*(st.floats(-5.0, 5.0),) * 3).map(np.array)
SPEEDS = st.one_of(st.just(0.0), st.floats(-1.0, 1.0))


def brute_clearance(footprint, v, w, duration_s, points, steps=400):
    """Least distance of each point from the footprint while it drives, sampled finely."""
    poses = geo.integrate(np.zeros(3), v, w, np.linspace(0.0, duration_s, steps))
    seen = geo.relative(poses[:, None], np.insert(points, 2, 0.0, axis=1))[..., :2]
    return footprint.distance(seen.reshape(-1, 2)).reshape(steps, -1).min(0)


@given(POSES, POSES)
def test_relative_undoes_compose(a, b):
    back = geo.compose(a, geo.relative(a, b))
    assert np.allclose(back[:2], b[:2])
    assert abs(geo.wrap_angle(back[2] - b[2])) < 1e-9


@given(st.floats(-1e6, 1e6))
def test_wrapped_angle_is_the_same_direction_within_pi(angle):
    wrapped = geo.wrap_angle(angle)
    assert -np.pi <= wrapped <= np.pi
    assert np.cos(wrapped) == pytest.approx(np.cos(angle), abs=1e-6)


@given(POSES, SPEEDS, SPEEDS)
def test_integrate_is_many_small_steps(pose, v, w):
    small = pose
    for _ in range(100):
        small = geo.integrate(small, v, w, 0.01)
    assert np.allclose(geo.integrate(pose, v, w, 1.0)[:2], small[:2], atol=1e-9)


def test_a_quarter_turn_ends_where_the_compass_says():
    assert np.allclose(
        geo.integrate(np.zeros(3), 1.0, np.pi / 2, 1.0), [2 / np.pi, 2 / np.pi, np.pi / 2])


def test_integrate_and_compose_broadcast():
    poses = geo.integrate(np.zeros((4, 1, 3)), 0.5, np.linspace(-1, 1, 5), 0.2)
    assert poses.shape == (4, 5, 3)
    assert geo.compose(np.zeros(3), poses).shape == (4, 5, 3)


@given(POSES)
def test_points_go_to_the_child_frame_and_back(pose):
    points = np.array([[1.0, 2.0], [-0.5, 0.1]])
    assert np.allclose(geo.to_parent(pose, geo.to_child(pose, points)), points)
    as_poses = np.column_stack((points, np.zeros(2)))
    assert np.allclose(geo.to_child(pose, points), geo.relative(pose, as_poses)[:, :2])


@pytest.mark.parametrize('point, distance', [
    ((0.0, 0.0), -0.2), ((0.4, 0.0), 0.1), ((0.3, 0.0), 0.0), ((0.6, 0.6), 0.5),
    ((-0.35, 0.0), 0.1), ((0.2, -0.1), -0.1)])
def test_box_distance_is_negative_inside(point, distance):
    assert BOX.distance([point])[0] == pytest.approx(distance, abs=1e-12)


def test_the_notch_of_a_concave_footprint_is_outside():
    assert L_SHAPE.distance([[0.2, 0.15]])[0] == pytest.approx(0.15)
    assert L_SHAPE.distance([[-0.2, 0.15]])[0] == pytest.approx(-0.05)


def test_either_sense_of_rotation_is_one_footprint():
    turned = geo.Footprint.polygon([0.3, 0.2, -0.25, 0.2, -0.25, -0.2, 0.3, -0.2])
    points = np.random.default_rng(0).uniform(-1, 1, (50, 2))
    assert np.allclose(turned.distance(points), BOX.distance(points))


def test_inside_of_a_convex_footprint_is_left_of_all_its_edges():
    points = np.random.default_rng(0).uniform(-0.4, 0.4, (500, 2))
    begin = SLANTED.vertices
    along, off = np.roll(begin, -1, axis=0) - begin, points[:, None] - begin
    left = (along[:, 0] * off[..., 1] - along[:, 1] * off[..., 0] > 0.0).all(1)
    assert 50 < left.sum() < 450
    assert ((SLANTED.distance(points) < 0.0) == left).all()


@pytest.mark.parametrize('flat', [
    [], [1, 2, 3, 4], [0, 0, 1, 1, 2], [0, 0, 1, 1, 2, 2], [0, 0, 1, 0, float('nan'), 1]])
def test_a_footprint_that_encloses_nothing_is_refused(flat):
    with pytest.raises(geo.InvalidFootprint, match='encloses no area|at least 3 finite points'):
        geo.Footprint.polygon(flat)


@pytest.mark.parametrize('radius', [0.0, -1.0, float('nan'), float('inf')])
def test_a_radius_that_is_not_positive_is_refused(radius):
    with pytest.raises(geo.InvalidFootprint, match=f'must be positive, got {radius}'):
        geo.Footprint.circle(radius)


@examples(300)
@given(FOOTPRINTS, SPEEDS, st.one_of(SPEEDS, st.sampled_from((2e-5, -2e-5, 9e-6))),
       st.floats(0.0, 0.15), st.integers(0, 2**32 - 1))
def test_contact_time_agrees_with_fine_sampling(footprint, v, w, margin, seed):
    points = np.random.default_rng(seed).uniform(-1.2, 1.2, (12, 2))
    points = points[footprint.distance(points) > margin + 1e-3]
    assume(len(points) and abs(v) + abs(w) > 1e-3)
    duration = 1.5
    contact = contact_time(footprint, v, w, points, margin, duration)
    least = brute_clearance(footprint, v, w, min(contact, duration), points).min()
    if contact <= duration:
        assert least == pytest.approx(margin, abs=1e-3)
        before = brute_clearance(footprint, v, w, 0.98 * contact, points).min()
        assert before >= margin - 1e-6
    else:
        assert least >= margin - 1e-6


@pytest.mark.parametrize('footprint', [BOX, L_SHAPE, SLANTED])
@pytest.mark.parametrize('v, w', [(0.6, 0.0), (-0.6, 0.0), (0.5, 0.9), (-0.4, 1.2), (0.3, -1.5),
                                  (0.0, 2.0)])
@pytest.mark.parametrize('margin', [0.0, 0.06])
def test_a_single_point_is_touched_when_fine_sampling_says(footprint, v, w, margin):
    """One at a time, so that none hides behind another: by edges, too, all along them."""
    times = np.linspace(0.0, 1.2, 600)
    poses = geo.integrate(np.zeros(3), v, w, times)
    points = np.random.default_rng(1).uniform(-0.6, 0.6, (100, 2))
    touched = 0
    for point in points[footprint.distance(points) > margin + 1e-3]:
        gaps = footprint.distance(geo.relative(poses, [*point, 0.0])[:, :2]) - margin
        contact = contact_time(footprint, v, w, [point], margin, times[-1])
        if gaps.min() < -1e-3:
            touched += 1
            assert contact == pytest.approx(times[np.argmax(gaps <= 0.0)], abs=2 * times[1])
        elif gaps.min() > 1e-3:
            assert contact > times[-1]
    assert touched > 3


@given(FOOTPRINTS, SPEEDS, SPEEDS, st.integers(0, 2**32 - 1))
@example(BOX, -1.0, -1.0, 1000003)  # nearly touching, it went away and came back
def test_a_point_within_the_margin_never_comes_nearer(footprint, v, w, seed):
    assume(abs(v) + abs(w) > 1e-3)
    points = np.random.default_rng(seed).uniform(-0.5, 0.5, (200, 2))
    start = footprint.distance(points)
    points = points[(start > 0.0) & (start < 0.1)][:3]
    if arc_clear(footprint, v, w, 0.5, points, 0.1):
        least = brute_clearance(footprint, v, w, 0.5, points, 200)
        assert (least >= footprint.distance(points) - 6e-3).all()


def test_backing_out_of_contact_is_free_and_pushing_on_is_not():
    wall = np.column_stack((np.full(21, 0.19), np.linspace(-0.3, 0.3, 21)))
    assert arc_clear(CIRCLE, -0.2, 0.0, 1.0, wall, 0.05)
    assert not arc_clear(CIRCLE, 0.2, 0.0, 0.01, wall, 0.05)
    assert arc_clear(CIRCLE, 0.0, 1.0, 1.0, wall, 0.05), 'a disc turns on the spot anywhere'


@pytest.mark.parametrize('footprint', [CIRCLE, BOX, SLANTED])
@pytest.mark.parametrize('w', [-0.5, -0.1, 0.1, 0.5])
def test_backing_out_of_contact_on_an_arc_is_free_past_the_margin(footprint, w):
    front = footprint.vertices[footprint.vertices[:, 0].argmax()] + (footprint.radius, 0.0)
    for gap in (0.01, 0.03, 0.049):
        touching = [front + (gap, 0.0)]
        assert arc_clear(footprint, -0.3, w, 1.0, touching, 0.05)
        assert contact_time(footprint, 0.3, w, touching, 0.05, 1.0) == 0.0


def test_a_point_inside_the_footprint_lets_it_only_out():
    assert arc_clear(CIRCLE, -0.2, 0.0, 0.5, [[0.1, 0.0]])
    assert not arc_clear(CIRCLE, 0.2, 0.0, 0.01, [[0.1, 0.0]])


def test_a_box_turning_on_the_spot_sweeps_its_corners():
    beside = [[0.0, 0.25]]
    assert not arc_clear(BOX, 0.0, 1.0, 1.5, beside)
    assert arc_clear(BOX, 0.0, 1.0, 0.1, beside)
    assert arc_clear(CIRCLE, 0.0, 1.0, 1.5, beside)


def test_contact_straight_ahead_is_the_gap_over_the_speed():
    assert contact_time(CIRCLE, 0.5, 0.0, [[1.0, 0.0]], 0.05, 5.0) == pytest.approx(0.77 / 0.5)
    assert contact_time(CIRCLE, -0.5, 0.0, [[1.0, 0.0]], 0.05, 5.0) == np.inf
    assert contact_time(BOX, 0.5, 0.0, [[1.0, 0.0]], 0.05, 5.0) == pytest.approx(0.65 / 0.5)


def test_no_points_and_no_motion_are_clear():
    assert arc_clear(CIRCLE, 1.0, 0.0, 5.0, np.zeros((0, 2)))
    assert arc_clear(CIRCLE, 0.0, 0.0, 5.0, [[0.0, 0.0]])


def test_an_arc_is_clear_up_to_the_moment_of_contact():
    disc, ahead = geo.Footprint.circle(0.25), [[0.75, 0.0]]
    assert arc_clear(disc, 0.5, 0.0, 0.99, ahead)
    assert not arc_clear(disc, 0.5, 0.0, 1.0, ahead), 'touching is no longer clear'
    assert not arc_clear(disc, 0.5, 0.0, 0.99, ahead, margin=0.1)


@given(FOOTPRINTS, st.integers(0, 2**32 - 1))
def test_trajectories_clear_is_the_distance_at_every_pose(footprint, seed):
    rng = np.random.default_rng(seed)
    poses = rng.uniform(-2, 2, (6, 4, 3))
    points = rng.uniform(-2, 2, (15, 2))
    expected = [
        all((footprint.distance(geo.to_child(pose, points)) >= 0.05).all() for pose in trajectory)
        for trajectory in poses]
    assert trajectories_clear(footprint, poses, points, 0.05).tolist() == expected


def test_nothing_seen_and_no_steps_are_clear_and_no_margin_is_none():
    none = trajectories_clear(CIRCLE, np.zeros((3, 2, 3)), np.zeros((0, 2)))
    assert none.tolist() == [True] * 3 and none.dtype == bool
    still = trajectories_clear(CIRCLE, np.zeros((2, 0, 3)), [[0.0, 0.0]])
    assert still.tolist() == [True] * 2 and still.dtype == bool
    near = [[CIRCLE.radius + 0.01, 0.0]]
    assert trajectories_clear(CIRCLE, np.zeros((1, 1, 3)), near).tolist() == [True]
    assert arc_clear(CIRCLE, 0.0, 1.0, 1.0, near)


def test_a_trajectory_out_of_contact_is_clear_when_the_start_is_told():
    wall = np.column_stack((np.full(21, 0.2), np.linspace(-0.3, 0.3, 21)))
    back = np.column_stack((np.linspace(0.0, -0.3, 4), np.zeros(4), np.zeros(4)))
    ahead = np.column_stack((np.linspace(0.0, 0.3, 4), np.zeros(4), np.zeros(4)))
    both = np.stack((back, ahead))
    assert trajectories_clear(CIRCLE, both, wall, 0.05).tolist() == [False, False]
    assert trajectories_clear(CIRCLE, both, wall, 0.05, np.zeros(3)).tolist() == [True, False]


def test_the_batch_is_quick_enough_for_a_planner():
    import time
    rng = np.random.default_rng(0)
    poses, points = rng.uniform(-3, 3, (300, 9, 3)), rng.uniform(-5, 5, (720, 2))
    trajectories_clear(CIRCLE, poses, points, 0.05)
    begin = time.perf_counter()
    trajectories_clear(CIRCLE, poses, points, 0.05)
    assert time.perf_counter() - begin < 0.2


@given(st.floats(-3.0, 3.0), st.one_of(st.just(0.0), st.floats(-5.0, 5.0)), st.floats(0.0, 2.0),
       st.floats(-7.0, 7.0))
def test_one_pose_and_many_are_driven_alike(v, w, dt, yaw):
    one = geo.integrate(np.array([1.0, -2.0, yaw]), v, w, dt)
    many = geo.integrate(np.array([[1.0, -2.0, yaw]]), v, w, dt)[0]
    assert np.allclose(one[:2], many[:2], atol=1e-9)
    assert abs(geo.wrap_angle(one[2] - many[2])) < 1e-9


SQUARE = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])


def test_areas_forbid_outside_of_every_fence_and_inside_of_every_keep_out():
    fences = (2.0 * SQUARE, 2.0 * SQUARE + (1.0, 0.0))
    closed = (0.25 * SQUARE, 0.25 * SQUARE + (0.0, 1.0))
    places = {(0.5, -1.0): '', (-1.5, 0.0): 'fence', (2.5, 0.0): 'fence', (0.0, 5.0): 'fence',
              (0.0, 0.0): 'closed', (0.0, 1.0): 'closed',
              (2.0, -1.0): '', (0.25, 0.0): ''}  # the last two: on an edge
    for areas, causes in ((geo.Areas(fences, closed), ('fence', 'closed')),
                          (geo.Areas(geofence=fences), ('fence',)),
                          (geo.Areas(keep_out=closed), ('closed',)), (geo.Areas(), ())):
        out = areas.forbid(list(places))
        assert out.dtype == bool and out.tolist() == [why in causes for why in places.values()]
        assert bool(areas) is bool(causes)
