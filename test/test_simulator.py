# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import numpy as np
import pytest

from wm_controller.errors import InputError
from wm_controller.simulation.appearance import Material
from wm_controller.simulation.rooms import make_room, Person
from wm_controller.simulation.shapes import box, cylinder
from wm_controller.simulation.simulator import CameraSpec, RobotSpec, Simulator

WIDE = (-4.0, -4.0, 4.0, 4.0)
BEARINGS = np.deg2rad(np.linspace(42, -42, 15))
EXACT = RobotSpec(slip=0.0, slip_noise=0.0, odom_scale=0.0, odom_yaw_walk=0.0)
SMALL = CameraSpec(width=96, height=72, noise=0.0)


def hall(*furniture, people=(), **changes):
    """A bare hall of 8 by 8 m with a wall at x = 4."""
    room = make_room(0, people=0)
    wall = box(4.1, 0.0, 1.25, 0.1, 4.0, 1.25, material=3)
    return replace(room, bounds=WIDE, walls=(wall,), furniture=furniture, doors=(), panels=(),
                   people=tuple(people), **changes)


def drive(simulator, v, w, seconds):
    for _ in range(round(seconds / 0.1)):
        simulator.command(v, w)
        simulator.step(0.1)


def test_the_same_seed_and_commands_give_the_same_run():
    def run():
        simulator = Simulator(make_room(1, people=1), SMALL, seed=5)
        drive(simulator, 0.4, 0.5, 3.0)
        return simulator.pose, simulator.odometry.pose, simulator.scan().ranges, simulator.image()

    for one, other in zip(run(), run()):
        assert (one == other).all()


def test_a_reset_with_a_seed_starts_the_same_run_again():
    simulator = Simulator(make_room(1), SMALL, seed=5)
    ends = []
    for _ in range(2):
        simulator.reset(seed=11)
        drive(simulator, 0.4, 0.5, 2.0)
        ends.append(np.concatenate([simulator.pose, simulator.odometry.pose]))
    assert (ends[0] == ends[1]).all()


def test_a_command_acts_after_the_delay_and_then_with_the_lag_of_the_motors():
    simulator = Simulator(hall(), SMALL, EXACT)
    simulator.reset(pose=(0, 0, 0))
    simulator.command(0.5, 0.0)
    simulator.step(EXACT.command_delay_s - 0.005)
    assert abs(simulator.twist[0]) < 1e-6
    simulator.step(0.1)  # 0.1 m/s on the ramp by now, behind it by the lag
    assert 0.01 < simulator.twist[0] < 0.07
    simulator.step(2.0)
    assert simulator.twist[0] == pytest.approx(0.5, abs=0.005)


@pytest.mark.parametrize('command, most', [((2.0, 0.0), 0.5), ((-2.0, 0.0), 0.25)])
def test_speed_saturates_at_the_robots_limits(command, most):
    simulator = Simulator(hall(), SMALL, EXACT)
    simulator.reset(pose=(0, 0, 0))
    drive(simulator, *command, 3.0)
    assert abs(simulator.twist[0]) == pytest.approx(most, abs=0.01)


def test_acceleration_stays_within_what_the_motors_give():
    simulator = Simulator(hall(), SMALL, EXACT)
    simulator.reset(pose=(-3, 0, 0))
    speeds = []
    for v in (0.5,) * 150 + (0.0,) * 150:
        simulator.command(v, 0.0)
        simulator.step(0.01)
        speeds.append(simulator.twist[0])
    change = np.diff(speeds) / 0.01
    assert change.max() < 1.05 * EXACT.linear_acceleration
    assert change.min() > -1.05 * EXACT.linear_deceleration
    assert change.min() < -0.9 * EXACT.linear_deceleration


def test_arcs_come_out_as_driven():
    simulator = Simulator(hall(), SMALL, EXACT)
    simulator.reset(pose=(0, 0, 0))
    drive(simulator, 0.0, 1.0, 3.0)
    settled = 3.0 - EXACT.command_delay_s - EXACT.motor_lag_s - 0.5 * 1.0 / 4.0
    assert simulator.pose[2] == pytest.approx(settled, abs=0.03)
    assert np.hypot(*simulator.pose[:2]) < 0.01


def test_a_wall_stops_the_robot_and_counts_as_one_bump_however_long_it_pushes():
    simulator = Simulator(hall(), SMALL, seed=1)
    simulator.reset(pose=(3.0, 0, 0))
    drive(simulator, 0.4, 0.0, 6.0)
    assert simulator.pose[0] == pytest.approx(4.0 - 0.18, abs=0.01)
    assert simulator.in_contact and simulator.collisions == 1
    assert abs(simulator.twist[0]) < 0.02
    assert simulator.clearance(BEARINGS)[7] == pytest.approx(0.18, abs=0.01)
    # odometry stalls with the wheels
    assert simulator.odometry.pose[0] == pytest.approx(0.82, abs=0.08)


def test_a_touch_counts_anew_only_after_half_a_second_without():
    brisk = replace(EXACT, command_delay_s=0.0, motor_lag_s=0.005, linear_acceleration=20.0,
                    linear_deceleration=20.0)
    simulator = Simulator(hall(), SMALL, brisk)
    simulator.reset(pose=(3.7, 0, 0))
    drive(simulator, 0.3, 0.0, 1.5)
    drive(simulator, -0.2, 0.0, 0.2)
    assert not simulator.in_contact
    drive(simulator, 0.3, 0.0, 1.0)
    assert simulator.collisions == 1  # back at the wall within half a second
    drive(simulator, -0.2, 0.0, 1.5)
    assert not simulator.in_contact
    drive(simulator, 0.3, 0.0, 2.5)
    assert simulator.collisions == 2
    simulator.reset(pose=(0, 0, 0))
    assert simulator.collisions == 0 and not simulator.in_contact


def test_a_table_is_passed_under_and_its_leg_is_not():
    top = box(1.0, 0.0, 0.7, 0.5, 0.5, 0.02)
    simulator = Simulator(hall(top), SMALL, EXACT)
    simulator.reset(pose=(0, 0, 0))
    drive(simulator, 0.5, 0.0, 5.0)
    assert simulator.pose[0] > 2.0 and simulator.collisions == 0
    leg = box(1.0, 0.0, 0.34, 0.03, 0.03, 0.34)
    simulator = Simulator(hall(top, leg), SMALL, EXACT)
    simulator.reset(pose=(0, 0.02, 0))
    drive(simulator, 0.5, 0.0, 2.5)
    assert simulator.collisions == 1


def test_the_laser_sees_what_stands_in_its_plane():
    low, high = box(1.0, 0.0, 0.06, 0.1, 0.1, 0.06), cylinder(0.0, 2.0, 0.5, 0.3, 0.5)
    simulator = Simulator(hall(low, high), SMALL, seed=3)
    simulator.reset(pose=(0, 0, 0))
    scan = simulator.scan()
    assert len(scan.ranges) == 360 and scan.range_max == 8.0 and scan.stamp == simulator.time
    angles = scan.angle_min + scan.angle_increment * np.arange(360)
    ahead, left = np.argmin(abs(angles)), np.argmin(abs(angles - np.pi / 2))
    assert scan.ranges[ahead] == pytest.approx(4.0, abs=0.05)  # over the low box, to the wall
    assert scan.ranges[left] == pytest.approx(1.7, abs=0.05)
    assert simulator.clearance(BEARINGS)[7] == pytest.approx(0.9, abs=0.01)  # the truth knows
    behind = np.argmin(abs(angles + np.pi))
    assert np.isinf(scan.ranges[behind])  # the hall is open there
    points = scan.points()
    assert np.isfinite(points).all() and len(points) == np.isfinite(scan.ranges).sum()


def test_laser_and_room_agree_in_furnished_rooms():
    for seed in range(4):
        room = make_room(seed, people=0)
        simulator = Simulator(room, SMALL, seed=seed)
        scan = simulator.scan()
        angles = scan.angle_min + scan.angle_increment * np.arange(360) + simulator.pose[2]
        true = room.footprints_at(0.2).rays(simulator.pose[:2], angles, 8.0)
        seen = np.isfinite(scan.ranges)
        assert seen.mean() > 0.97
        assert np.abs(scan.ranges - true)[seen].max() < 0.06
        assert 0.005 < np.std((scan.ranges - true)[seen]) < 0.02


def test_clearance_is_the_least_in_each_sector():
    thin = cylinder(1.5, 0.1, 0.5, 0.03, 0.5)  # off the middle ray, within the middle sector
    simulator = Simulator(hall(thin), SMALL)
    simulator.reset(pose=(0, 0, 0))
    clearance = simulator.clearance(BEARINGS)
    nearest = 6 + int(np.argmin(abs(BEARINGS[6:9] - np.arctan2(0.1, 1.5))))
    assert clearance[nearest] == pytest.approx(np.hypot(1.5, 0.1) - 0.03, abs=0.01)
    assert clearance[8] == pytest.approx(4.0, abs=0.1)
    assert clearance.max() <= 5.0


def test_odometry_starts_at_zero_drifts_a_little_and_is_fresh():
    errors = []
    for seed in range(6):
        simulator = Simulator(hall(), SMALL, seed=seed)
        simulator.reset(pose=(-2.0, -1.0, 0.3))
        assert (simulator.odometry.pose == 0).all()
        drive(simulator, 0.4, 0.2, 10.0)
        odometry = simulator.odometry
        assert simulator.time - 0.021 <= odometry.stamp <= simulator.time
        true = simulator.world_to_odom(simulator.pose)
        errors.append(np.hypot(*(odometry.pose - true)[:2]))
        assert odometry.twist == pytest.approx(simulator.twist, abs=0.1)
    assert 0.005 < np.mean(errors) < 0.3  # after 4 m


def test_odom_and_world_are_each_others_inverse():
    simulator = Simulator(hall(), SMALL)
    simulator.reset(pose=(1.0, -2.0, 2.0))
    assert simulator.world_to_odom(simulator.pose) == pytest.approx(np.zeros(3))
    poses = np.array([[0.5, 0.2, 0.1], [-1.0, 2.0, -3.0]])
    back = simulator.world_to_odom(simulator.odom_to_world(poses))
    assert back == pytest.approx(poses)
    assert simulator.odom_to_world(np.array([1.0, 0, 0]))[:2] == pytest.approx(
        [1.0 + np.cos(2.0), -2.0 + np.sin(2.0)])


def painted_hall(*furniture):
    """Everything white but material 5, which is pure green."""
    white = Material('white', 'plain', (1, 1, 1), (1, 1, 1), 1.0, 0)
    names = ('floor', 'ceiling', 'trim', 'wall', 'wall')
    materials = tuple(replace(white, name=n) for n in names)
    green = replace(white, name='green', colour=(0, 1, 0), second=(0, 1, 0))
    return hall(*furniture, materials=(*materials, green))


@pytest.mark.parametrize('hfov, pitch', [(90, 0.0), (70, 0.0), (90, 0.1)])
def test_the_camera_projects_as_a_pinhole_with_its_field_of_view(hfov, pitch):
    bearing, distance = np.deg2rad(25.0), 2.0
    spec = CameraSpec(hfov=np.deg2rad(hfov), pitch=pitch, noise=0.0)
    x, y = spec.x + distance * np.cos(bearing), distance * np.sin(bearing)
    pole = cylinder(x, y, 0.25, 0.02, 0.25, material=5)
    simulator = Simulator(painted_hall(pole), spec)
    simulator.reset(pose=(0, 0, 0))
    image = simulator.image().astype(int)
    assert image.shape == (240, 320, 3)
    rows, columns = np.nonzero(image[..., 1] - image[..., 0] > 60)
    focal = 160 / np.tan(spec.hfov / 2)
    depth, down = distance * np.cos(bearing), spec.z
    forward = np.cos(pitch) * depth + np.sin(pitch) * down
    below = np.cos(pitch) * down - np.sin(pitch) * depth
    foot = 120 + focal * below / forward
    assert columns.mean() < 160  # left in the world is left in the image
    at_foot = columns[rows >= rows.max() - 1].mean()
    assert at_foot == pytest.approx(160 - focal * distance * np.sin(bearing) / forward, abs=2.5)
    assert rows.max() == pytest.approx(foot, abs=3)


def test_a_camera_changed_at_a_reset_sees_what_one_made_so_sees():
    tilted = replace(SMALL, pitch=0.05, hfov=1.5, z=0.3)
    made, changed = Simulator(make_room(2), tilted), Simulator(make_room(2), SMALL)
    pose = made.pose
    made.reset(pose=pose, seed=1)
    changed.reset(pose=pose, camera=tilted, seed=1)
    assert np.abs(made.image().astype(int) - changed.image()).mean() < 0.5
    with pytest.raises(InputError, match='image size'):
        changed.reset(camera=replace(tilted, width=64))


def test_images_show_structure_and_answer_to_exposure():
    dark = Simulator(make_room(4, people=0), replace(SMALL, exposure=0.5), seed=0)
    light = Simulator(make_room(4, people=0), replace(SMALL, exposure=1.0), seed=0)
    assert light.image().std() > 10
    assert dark.image().mean() == pytest.approx(0.5 * light.image().mean(), rel=0.05)


def walker(*waypoints, gap=0.3):
    return Person(tuple(waypoints), 0.8, 0.5, gap, 0.2, 1.7, ((1, 0, 0), (0, 0, 1)))


def test_people_walk_and_give_way_to_a_robot_that_stands():
    person = walker((-2.0, 0.0), (2.0, 0.0))
    simulator = Simulator(hall(people=[person]), SMALL, seed=2)
    simulator.reset(pose=(0, 0, 0))
    places, gaps = [], []
    for _ in range(300):
        simulator.step(0.1)
        places.append(simulator.people[0, 0])
        gaps.append(np.hypot(*(simulator.people[0, :2] - simulator.pose[:2])) - 0.38)
    assert np.ptp(places) > 1.0
    assert simulator.collisions == 0
    assert 0.25 < min(gaps) < 0.6


def test_people_are_seen_by_laser_clearance_and_camera_and_block():
    person = walker((1.5, 0.0), (1.5, 0.0))
    simulator = Simulator(hall(people=[person]), SMALL, EXACT)
    simulator.reset(pose=(0, 0, 0))
    empty = Simulator(hall(), SMALL, EXACT)
    empty.reset(pose=(0, 0, 0))
    assert simulator.clearance(BEARINGS)[7] == pytest.approx(1.3, abs=0.01)
    assert simulator.scan().ranges[180] == pytest.approx(1.3, abs=0.06)
    assert np.abs(simulator.image().astype(int) - empty.image()).max() > 50
    drive(simulator, 0.5, 0.0, 4.0)
    assert simulator.collisions == 1
    assert simulator.pose[0] == pytest.approx(1.5 - 0.38, abs=0.03)


@pytest.mark.parametrize('pose', [(np.nan, 0, 0), (4.0, 0, 0), (0, 0)])
def test_a_start_that_cannot_be_is_refused(pose):
    simulator = Simulator(hall(), SMALL)
    with pytest.raises(InputError, match='start pose'):
        simulator.reset(pose=pose)


def test_commands_and_sizes_that_make_no_sense_are_refused():
    simulator = Simulator(hall(), SMALL)
    with pytest.raises(InputError, match='finite'):
        simulator.command(np.nan, 0.0)
    with pytest.raises(InputError, match='camera width'):
        CameraSpec(width=0)
    with pytest.raises(InputError, match='motor_lag_s'):
        RobotSpec(motor_lag_s=float('nan'))


def test_time_runs_in_steps_of_any_length():
    simulator = Simulator(hall(), SMALL)
    for _ in range(100):
        simulator.step(0.0033)
    assert simulator.time == pytest.approx(0.33, abs=0.005)
