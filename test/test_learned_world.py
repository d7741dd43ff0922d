# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The world model as a simulator: its steps, its sensors, and the whole graph driving in it."""

import subprocess
import sys

from geometry_msgs.msg import PoseStamped, TwistStamped
from nav_msgs.msg import Odometry
import numpy as np
import pytest
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image, LaserScan
import torch

from learned import ROOT, with_decoder
from ros_probe import pose_goal, Probe
from wm_controller.errors import InputError
from wm_controller.evaluation.learned_start import start_in_room
from wm_controller.evaluation.learned_world import LearnedWorld
from wm_controller.nodes import qos
from wm_controller.nodes.conversions import planar_pose, seconds
from wm_controller.nodes.images import read_image
from wm_controller.nodes.simulator import SimulatorNode
from wm_controller.resources import find_config
from wm_controller.safety.geometry import compose
from wm_controller.training.decoder import CHANNELS
from wm_controller.world_model.attach import new_decoder, save_with_part
from wm_controller.world_model.bundle import load_bundle

SHIPPED = ROOT / 'models' / 'indoor.safetensors'
SEEN = np.random.default_rng(0).integers(0, 256, (72, 96, 3), dtype=np.uint8)


@pytest.fixture(scope='module')
def bundle_path(tmp_path_factory):
    return with_decoder(tmp_path_factory.mktemp('model') / 'tiny.safetensors')


@pytest.fixture
def bundle(bundle_path):
    return load_bundle(bundle_path)


@pytest.fixture
def world(bundle):
    torch.manual_seed(3)
    return LearnedWorld(bundle, torch.randn(1, 32), SEEN)


def test_whole_steps_are_what_the_model_imagines(bundle, world):
    commands = [(0.3, 0.0), (0.2, 0.9), (-0.1, -1.0)]
    state = world.state
    for v, w in commands:
        world.command(v, w)
        for _ in range(20):
            world.step(0.01)
    states, changes = bundle.model.imagine(state, torch.tensor([commands]))
    torch.testing.assert_close(world.state, states[:, -1])
    pose = np.zeros(3)
    for change in changes[0].double().numpy():
        pose = compose(pose, change)
    np.testing.assert_allclose(world.pose, pose, atol=1e-6)
    assert world.time == pytest.approx(0.6)
    expected = bundle.model.decoder.pictures(states[:, -1:], torch.from_numpy(SEEN)[None])
    np.testing.assert_array_equal(world.image(), expected[0, 0].numpy())


def test_commands_within_a_step_count_by_their_time(bundle, world):
    state = world.state
    world.command(0.4, 0.0)
    world.step(0.05)
    world.command(0.0, 0.8)
    world.step(0.15)
    torch.testing.assert_close(
        world.state, bundle.model.predict(state, torch.tensor([[0.1, 0.6]])))


def test_nothing_jumps_between_steps(world):
    world.command(0.3, 0.5)
    poses = []
    for _ in range(100):
        world.step(0.01)
        poses.append(world.pose)
    moves = np.abs(np.diff(poses, axis=0)).max(1)
    assert moves.max() < 3 * np.median(moves) + 1e-9
    assert world.odometry.stamp == pytest.approx(world.time, abs=0.02)


def test_commands_are_cut_to_what_the_model_knows_and_bad_ones_refused(bundle, world):
    state = world.state
    world.command(9.0, -9.0)
    world.step(0.2)
    torch.testing.assert_close(
        world.state, bundle.model.predict(state, torch.tensor([[0.5, -1.5]])))
    with pytest.raises(InputError, match='must be finite'):
        world.command(float('nan'), 0.0)


def test_reset_goes_back_to_the_start(world):
    before = world.image()
    world.command(0.5, 1.0)
    world.step(1.0)
    world.reset()
    np.testing.assert_array_equal(world.image(), before)
    assert world.time == 0.0 and not world.pose.any()


def test_scan_is_the_clearance_that_the_model_imagines_right_first(bundle, world):
    scan = world.scan()
    ahead = bundle.model.clearance(world.state)[0, 1].double().numpy()
    ranges = np.where(ahead[::-1] >= 0.98 * 5.0, np.inf, ahead[::-1])
    np.testing.assert_allclose(scan.ranges, ranges)
    bearings = scan.angle_min + scan.angle_increment * np.arange(len(ranges))
    np.testing.assert_allclose(bearings[::-1], bundle.spec.clearance_bearings, atol=1e-6)


def test_the_start_has_seen_the_room(bundle):
    one, again, other = (start_in_room(bundle, seed, people=0) for seed in (3, 3, 4))
    torch.testing.assert_close(one.state, again.state)
    assert not torch.allclose(one.state, other.state)
    assert one.frame.shape == (72, 96, 3) and one.frame.std() > 5


def test_the_simulator_of_a_room_needs_no_torch():
    program = ('import sys, wm_controller.nodes.simulator, wm_controller.simulation.world\n'
               'print("torch" in sys.modules)')
    done = subprocess.run([sys.executable, '-c', program], cwd=ROOT, capture_output=True,
                          text=True, check=True)
    assert done.stdout.strip() == 'False'


@pytest.mark.parametrize(('parameters', 'line'), [
    ({'world': 'mars'}, "parameter world = 'mars': must be one of mujoco, model"),
    ({'world': 'model', 'model': 'none.safetensors'}, 'none.safetensors: no such model file'),
    ({'world': 'model', 'model': 'BLIND'}, 'this bundle has no decoder: add one with `wm train'),
    ({'world': 'model', 'headless': False}, 'parameter headless = False')])
def test_what_cannot_be_a_world_is_refused_in_one_line(
        ros_domain, tmp_path, parameters, line):
    blind = with_decoder(tmp_path / 'blind.safetensors', channels=())
    parameters = {name: str(blind) if value == 'BLIND' else value
                  for name, value in parameters.items()}
    with Probe() as probe, pytest.raises(InputError) as caught:
        SimulatorNode(context=probe.context, parameter_overrides=[
            Parameter(name, value=value) for name, value in parameters.items()])
    assert line in str(caught.value) and '\n' not in str(caught.value)


@pytest.fixture
def graph(ros_domain, spawn_node, tmp_path):
    """Controller, guardrail and the model as the world, each a process."""
    model = tmp_path / 'drawing.safetensors'
    bundle = load_bundle(SHIPPED)
    # What is decoded matters for nothing here but being an image: an untrained decoder does.
    torch.manual_seed(0)
    save_with_part(bundle.path, model, 'decoder.', new_decoder(bundle, CHANNELS),
                   {'decoder_channels': list(CHANNELS)}, {}, {})

    def arguments(config, *parameters):
        return ['--ros-args', '--params-file', find_config(config),
                *(part for parameter in parameters for part in ('-p', parameter))]

    for module, config, parameters in (
            ('simulator', 'simulator', ['world:=model', 'people:=0', 'room_seed:=3']),
            ('guardrail', 'robot', ['use_sim_time:=true', 'surprise_hold:=1.0']),
            ('controller', 'robot', ['use_sim_time:=true'])):
        spawn_node(f'wm_controller.nodes.{module}', *arguments(
            config, *parameters, *([] if module == 'guardrail' else [f'model:={model}'])))
    with Probe() as probe:
        yield probe


@pytest.mark.skipif(not SHIPPED.is_file(), reason=f'no model at {SHIPPED}')
def test_controller_and_guardrail_drive_in_the_model_over_dds(graph):
    images = graph.listen(Image, 'image', qos.IMAGE)
    scans = graph.listen(LaserScan, 'scan', qos.SENSOR)
    wanted = graph.listen(TwistStamped, 'cmd_vel_auto', qos.COMMAND,
                          lambda m: (m.twist.linear.x, m.twist.angular.z))
    odom = graph.listen(Odometry, 'odom', qos.STATE, lambda m: (
        seconds(m.header.stamp), *planar_pose(m.pose.pose, 'odom'), m.twist.twist.linear.x))
    strips = graph.listen(Image, 'imagination')
    goals = graph.publisher(PoseStamped, 'goal_pose', wait_s=90.0)
    graph.until(lambda: len(images) > 5 and scans and odom, 90.0, 'images, scans and odometry')
    assert read_image(images[-1]).shape == (72, 96, 3)
    stamps = np.array([seconds(m.header.stamp) for m in images])
    assert np.median(np.diff(stamps)) == pytest.approx(0.1, abs=1e-6)
    assert len(scans[-1].ranges) == 15
    began = odom[-1]
    goals.publish(pose_goal(2.0, 1.0))
    graph.until(lambda: np.hypot(odom[-1][1] - began[1], odom[-1][2] - began[2]) > 0.3
                or abs(odom[-1][3] - began[3]) > 0.5, 90.0, 'the robot to move')
    assert any(v or w for v, w in wanted)
    stamps = np.array([sample[0] for sample in odom])
    assert (np.diff(stamps) > 0).all() and np.median(np.diff(stamps)) < 0.03
    # what odometry says it moved is what its speed adds up to
    way = np.hypot(*np.diff([sample[1:3] for sample in odom], axis=0).T).sum()
    speeds = np.abs([sample[4] for sample in odom])
    assert way == pytest.approx((speeds[1:] * np.diff(stamps)).sum(), rel=0.3, abs=0.05)
    graph.until(lambda: strips, 60.0, 'a strip of imagination')
    assert graph.call('/simulator/reset').success
    graph.until(lambda: np.hypot(odom[-1][1], odom[-1][2]) < 0.1, 10.0, 'the start again')
