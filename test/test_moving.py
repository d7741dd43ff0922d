# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Who comes towards the robot: points that move, and the speed at which it can wait for them."""

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from timelines import examples, LIMITS, PERIOD, Timeline, wall
from wm_controller.safety import moving as moving_module
from wm_controller.safety.moving import MovingPoints, yielding_scale
from wm_controller.safety.tracking import Command


def somebody(x, y, radius=0.2, count=25):
    """What a scanner at the origin sees of a round person."""
    bearing, reach = np.arctan2(y, x), np.hypot(x, y)
    half = np.arcsin(min(1.0, radius / reach))
    angles = bearing + np.linspace(-0.95, 0.95, count) * half
    off = reach * np.sin(angles - bearing)
    near = reach * np.cos(angles - bearing) - np.sqrt(np.maximum(radius ** 2 - off ** 2, 0.0))
    return np.column_stack((near * np.cos(angles), near * np.sin(angles)))


def watch(places, period=0.1, background=None, noise=0.01, seed=0, shift=None):
    rng, moving = np.random.default_rng(seed), MovingPoints()
    for i, place in enumerate(places):
        seen = [somebody(*place)] if place is not None else []
        seen += [background] if background is not None else []
        points = np.concatenate(seen) + rng.normal(0.0, noise, (sum(map(len, seen)), 2))
        moving.see(10.0 + i * period, points, np.zeros(2), 0.0)
    return moving.found


BEHIND = wall(3.0, 2.0)


@pytest.mark.parametrize('velocity', [(-0.8, 0.0), (-0.5, 0.5), (0.0, 0.9), (-1.4, 0.2)])
def test_who_walks_is_found_with_their_speed(velocity):
    places = [(2.0 + velocity[0] * t, -0.3 + velocity[1] * t) for t in np.arange(0.0, 0.85, 0.1)]
    found = watch(places, background=BEHIND)
    assert len(found.points) >= 2
    gaps = np.hypot(*(found.points - places[-1]).T)
    assert (gaps < 0.35).mean() > 0.9, 'only they move'
    towards = -(found.velocities * found.points).sum(-1) / np.hypot(*found.points.T)
    truth = -np.dot(velocity, places[-1]) / np.hypot(*places[-1])
    assert np.median(towards) == pytest.approx(truth, abs=0.35)


@pytest.mark.parametrize('seed', range(5))
def test_a_still_world_does_not_move(seed):
    assert not len(watch([(1.5, 0.4)] * 9, background=BEHIND, seed=seed).points)


def test_who_comes_out_from_behind_is_no_surprise_to_geometry():
    """What the robot's own motion uncovers was hidden before, not free."""
    moving = MovingPoints()
    pillar = somebody(1.0, 0.0)
    hidden = np.column_stack((np.full(40, 2.5), np.linspace(-0.6, 0.6, 40)))
    for i, y in enumerate(np.linspace(0.0, 0.5, 8)):
        scanner = np.array((0.0, y))
        bearing = np.arctan2(*(hidden - scanner).T[::-1])
        shadow = np.arctan2(*(pillar - scanner).T[::-1])
        clear = hidden[(bearing < shadow.min()) | (bearing > shadow.max())]
        moving.see(10.0 + 0.1 * i, np.concatenate((pillar, clear)), scanner, 0.0)
        assert not len(moving.found.points)


def test_the_scale_is_what_lets_it_stand_in_time():
    """Driven out: at the scale it stands before the margin is reached, a little faster not."""
    for gap, speed in ((0.5, 0.8), (0.3, 0.5), (0.9, 1.5)):
        point = np.array([[LIMITS.footprint_radius + LIMITS.margin + gap, 0.0]])
        command = Command(0.5, 0.0)
        scale = yielding_scale(LIMITS, command, point, np.array([[-speed, 0.0]]))

        def left(share, gap=gap, speed=speed):
            reaction, brake = LIMITS.reaction_time_s, share * 0.5 / LIMITS.max_linear_deceleration
            own = share * 0.5 * (reaction + brake / 2)
            return gap - own - speed * (reaction + brake)

        assert 0.0 <= scale < 1.0 or left(1.0) >= -1e-9
        if 0.0 < scale < 1.0:
            assert left(scale) == pytest.approx(0.0, abs=1e-6)
        if scale == 0.0:
            assert left(0.0) <= 1e-9


def test_who_walks_away_or_by_at_a_distance_does_not_slow_it():
    away = yielding_scale(LIMITS, Command(0.3, 0.0), np.array([[0.8, 0.0]]),
                          np.array([[0.8, 0.0]]))
    beside = yielding_scale(LIMITS, Command(0.3, 0.0), np.array([[0.0, 0.9]]),
                            np.array([[0.5, 0.0]]))
    assert away == beside == 1.0


def test_the_guard_stands_when_somebody_walks_up_to_it():
    line = Timeline()
    pose, person, speeds = 0.0, 2.2, []
    for i in range(200):
        line.command(0.5)
        line.odometry((pose, 0.0, 0.0), (line.verdict.v, 0.0))
        if i % 5 == 0:
            line.scan(somebody(person - pose, 0.0))
        line.step()
        pose += line.verdict.v * PERIOD
        if i > 50:
            person -= 1.0 * PERIOD
        speeds.append(line.verdict.v)
        if person - pose - 0.2 - LIMITS.footprint_radius <= 0.0:
            break
    assert max(speeds) > 0.3 and speeds[-1] == 0.0
    assert 'moving' in line.verdict.reasons or 'obstacle' in line.verdict.reasons


@pytest.mark.parametrize('x, y, v, w, own', [
    (1.0, 0.0, 0.4, 0.0, 0.4), (-1.0, 0.0, 0.4, 0.0, 0.0), (-1.0, 0.0, -0.2, 0.0, 0.2),
    (0.0, 1.0, 0.4, 0.0, 0.0), (0.0, 1.0, 0.0, 1.0, 0.0), (0.7, 0.7, 0.4, 0.0, 0.283)])
def test_what_the_robot_itself_closes_is_its_speed_towards_the_point(x, y, v, w, own):
    from wm_controller.safety.moving import _closing
    gap, by_robot, by_point = _closing(
        LIMITS.outline, Command(v, w), np.array([[x, y]]), np.array([[-x, -y]]))
    assert gap[0] == pytest.approx(np.hypot(x, y) - LIMITS.footprint_radius)
    assert by_robot[0] == pytest.approx(own, abs=0.03)
    assert by_point[0] == pytest.approx(np.hypot(x, y), abs=1e-6)


def test_a_box_that_turns_sweeps_its_corner_towards_who_comes():
    from wm_controller.safety.geometry import Footprint
    from wm_controller.safety.moving import _closing
    box = Footprint.polygon((0.4, 0.1, -0.4, 0.1, -0.4, -0.1, 0.4, -0.1))
    corner = np.array([[0.35, 0.3]])
    left = _closing(box, Command(0.0, 1.0), corner, np.zeros((1, 2)))[1][0]
    right = _closing(box, Command(0.0, -1.0), corner, np.zeros((1, 2)))[1][0]
    assert left == pytest.approx(0.35, abs=0.03) and right == 0.0


def test_at_standstill_and_with_no_way_left_there_is_nothing_to_scale():
    near = np.array([[LIMITS.footprint_radius + LIMITS.margin + 0.01, 0.0]])
    assert yielding_scale(LIMITS, Command(0.5, 0.0), near, np.array([[-1.0, 0.0]])) == 0.0
    far = np.array([[5.0, 0.0]])
    assert yielding_scale(LIMITS, Command(0.5, 0.0), far, np.array([[-1.0, 0.0]])) == 1.0


@pytest.mark.parametrize('w, own', [(0.8, 0.0), (-0.8, 0.04)])
def test_the_front_of_a_box_swings_towards_who_stands_beside_its_middle(w, own):
    from wm_controller.safety.geometry import Footprint
    from wm_controller.safety.moving import _closing
    box = Footprint.polygon((0.4, 0.1, -0.4, 0.1, -0.4, -0.1, 0.4, -0.1))
    ahead = np.array([[0.6, 0.05]])
    by_robot = _closing(box, Command(0.0, w), ahead, np.zeros((1, 2)))[1][0]
    assert by_robot == pytest.approx(own, abs=0.005)


def test_somebody_who_stands_is_left_to_the_envelope():
    near = np.array([[LIMITS.footprint_radius + LIMITS.margin + 0.02, 0.0]])
    assert yielding_scale(LIMITS, Command(0.5, 0.0), near, np.zeros((1, 2))) == 1.0


def test_where_the_robot_does_not_close_the_gap_only_the_time_to_stop_counts():
    """Driving off before somebody faster: it must stand, braking, before they are there."""
    reach = LIMITS.footprint_radius + LIMITS.margin
    behind, speed, v = 0.35, 1.2, 0.4
    scale = yielding_scale(LIMITS, Command(v, 0.0), np.array([[-reach - behind, 0.0]]),
                           np.array([[speed, 0.0]]))
    assert 0.0 < scale < 1.0
    stopping = LIMITS.reaction_time_s + scale * v / LIMITS.max_linear_deceleration
    assert speed * stopping == pytest.approx(behind, abs=1e-6)


def test_at_once_with_several_the_nearest_in_time_counts():
    reach = LIMITS.footprint_radius + LIMITS.margin
    points = np.array([[reach + 0.9, 0.0], [reach + 0.5, 0.0], [2.5, 0.3]])
    velocities = np.array([[-1.5, 0.0], [-0.8, 0.0], [0.0, 0.0]])
    each = [yielding_scale(LIMITS, Command(0.5, 0.0), points[k:k + 1], velocities[k:k + 1])
            for k in range(3)]
    assert yielding_scale(LIMITS, Command(0.5, 0.0), points, velocities) == min(each) < each[2]


def test_between_scans_they_go_on_as_they_went():
    from wm_controller.safety.moving import Moving
    moving = Moving(10.0, np.array([[1.0, 2.0]]), np.array([[0.5, -1.0]]), np.array([10.0]))
    assert moving.at(10.2) == pytest.approx(np.array([[1.1, 1.8]]))
    assert moving.at(9.0) == pytest.approx(np.array([[1.0, 2.0]])), 'never back in time'


@examples(60)
@given(st.integers(0, 2**32 - 1), st.sampled_from((0.0, 0.02, 0.3)), st.floats(-2.0, 2.0))
def test_what_cells_leave_out_stands_still(seed, noise, x):
    """The short cut changes nothing: without it the same points move."""
    def found():
        places = [(x + 0.1 * step, 1.0) for step in range(6)]
        return watch(places, background=BEHIND, noise=noise, seed=seed)

    quick = found()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(moving_module, 'CELL_M', 1e-7)
        slow = found()
    assert np.array_equal(quick.points, slow.points)
    assert np.array_equal(quick.velocities, slow.velocities)


@pytest.mark.parametrize('scanner', [(0.0, 0.0), (0.4, -0.3)])
@pytest.mark.parametrize('bearing', [0.0, 2.0, 3.13, -3.13])
@pytest.mark.parametrize('reach, free', [
    (0.5, True), (1.8, True), (1.95, False), (2.05, False), (3.0, False)])
def test_free_was_what_an_older_scan_looked_past(scanner, bearing, reach, free):
    """A wall 2 m from the scanner, one return in every degree; 0.1 m of doubt."""
    angles = bearing + np.radians(np.arange(-20, 21))
    old = moving_module._Scan(
        0.0, np.array(scanner) + 2.0 * np.column_stack((np.cos(angles), np.sin(angles))),
        np.array(scanner), 0.0)
    point = np.array([scanner]) + reach * np.array([[np.cos(bearing), np.sin(bearing)]])
    assert moving_module._was_free(old, point, np.array([0.1])).tolist() == [free]


def test_where_no_beam_came_back_it_was_free():
    old = moving_module._Scan(0.0, np.array([[0.0, 2.0]]), np.zeros(2), 0.0)
    assert moving_module._was_free(old, np.array([[2.5, 0.0]]), np.array([0.1])).all()


# One scan against another.

def pair(shift, dt, at=(2.0, 0.0), turning=(0.0, 0.0), origin=(0.0, 0.0)):
    """Two points, abreast, and the same moved, dt s later; a scanner at the origin of it all."""
    abreast = 0.05 * np.array((-shift[1], shift[0])) / np.hypot(*shift)
    points = np.array([at + abreast, at - abreast])
    old, new = (moving_module._Scan(stamp, origin + points + each, np.array(origin), turn)
                for stamp, each, turn in ((4.0, np.zeros(2), turning[0]),
                                          (4.0 + dt, np.array(shift), turning[1])))
    return new, moving_module._compare(old, new, 0.1)


@pytest.mark.parametrize('origin', [(0.0, 0.0), (20.0, -10.0)])
@pytest.mark.parametrize('shift, dt, velocity', [
    ((-0.3, 0.0), 0.5, (-0.6, 0.0)), ((-0.3, 0.0), 0.15, (-2.0, 0.0)),
    ((-0.25, 0.01), 0.6, (-0.417, 0.017)), ((-0.24, -0.32), 0.25, (-0.96, -1.28)),
    ((-0.24, -0.32), 0.16, (-1.2, -1.6))])
def test_two_points_that_came_have_the_speed_that_brought_them(shift, dt, velocity, origin):
    """Wherever the fixed frame begins; nobody comes faster than 2 m/s."""
    new, found = pair(shift, dt, origin=origin)
    assert np.array_equal(found.points, new.points)
    assert found.velocities == pytest.approx(np.tile(velocity, (2, 1)), abs=1e-3)
    assert found.stamp == new.stamp and found.since.tolist() == [new.stamp] * 2


@pytest.mark.parametrize('reach, shift, turning, found', [
    (1.0, 0.16, (0.0, 0.0), 2), (2.6, 0.16, (0.0, 0.0), 0), (2.6, 0.23, (0.0, 0.0), 2),
    (2.0, 0.25, (0.8, 0.8), 2), (2.0, 0.25, (0.0, 0.8), 0), (2.0, 0.25, (0.8, 0.0), 0)])
def test_what_may_be_the_scanner_has_not_moved(reach, shift, turning, found):
    """0.1 m, 4 % of the range, and what a turn that changed while it looked shears."""
    for at in ((reach, 0.0), (0.0, -reach)):
        towards = -np.array(at) / reach * shift
        assert len(pair(towards, 0.4, at, turning)[1].points) == found


def test_a_single_point_and_an_empty_room_are_nobody():
    alone = moving_module._Scan(4.5, np.array([[1.5, 0.0]]), np.zeros(2), 0.0)
    before = moving_module._Scan(4.0, np.array([[2.5, 0.0]]), np.zeros(2), 0.0)
    nothing = moving_module._Scan(4.0, np.zeros((0, 2)), np.zeros(2), 0.0)
    for old, new in ((before, alone), (nothing, alone), (alone, nothing), (nothing, nothing)):
        assert not len(moving_module._compare(old, new, 0.1).points)
    moving = MovingPoints()
    for k in range(4):
        moving.see(0.25 * k, np.zeros((0, 2)), np.zeros(2), 0.0)
    moving.see(1.0, somebody(1.0, 0.0), np.zeros(2), 0.0)
    assert not len(moving.found.points), 'there was nothing to have come from'


def test_a_scan_is_compared_with_the_oldest_and_the_newest_that_are_old_enough(monkeypatch):
    lags = []
    monkeypatch.setattr(moving_module, '_compare', lambda old, new, every_s: (
        lags.append(new.stamp - old.stamp), moving_module.Moving())[1])
    moving = MovingPoints()
    for k in range(20):
        del lags[:]
        moving.see(0.125 * k, BEHIND, np.zeros(2), 0.0)
        assert lags == {0: [], 1: [], 2: [0.25], 3: [0.375, 0.25]}.get(k, [0.5, 0.25])


def test_who_was_seen_to_move_and_is_where_they_would_be_is_still_coming():
    moving = MovingPoints()
    moving.found = moving_module.Moving(
        10.0, np.array([[2.0, 1.0], [1.0, -1.0], [3.0, 0.0]]),
        np.array([[-1.0, 0.0], [0.0, 0.5], [-0.5, 0.0]]), np.array([9.9, 9.8, 9.6]))
    # By now at (1.8, 1.0) and, where nothing is, (1.0, -0.9); the third moved too long ago.
    seen = np.array([[1.75, 1.03], [1.7, 1.1], [1.0, -0.7], [2.9, 0.0]])
    moving.see(10.2, seen, np.zeros(2), 0.0)
    assert moving.found.points.tolist() == [[1.75, 1.03]]
    assert moving.found.velocities.tolist() == [[-1.0, 0.0]]
    assert moving.found.since.tolist() == [9.9] and moving.found.stamp == 10.2
    moving.see(10.3, np.zeros((0, 2)), np.zeros(2), 0.0)
    assert not len(moving.found.points)
