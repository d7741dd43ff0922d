# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
gazebo_launch.py starts Gazebo, the robot, the bridge and the nodes, with what they are told.

Gazebo cannot be had here: stand-ins for ros_gz's programs say how they were called, and stay.
"""

import json
from pathlib import Path
import time

import pytest
import yaml

pytest.importorskip('rclpy', reason='needs rclpy')

from launched import launch_file, Launched, make_workspace, ROOT  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PROGRAM = """#!/usr/bin/env python3
import json, pathlib, signal, sys
file = pathlib.Path(__file__)
file.with_suffix('.json').write_text(json.dumps(sys.argv[1:]))
if file.name != 'create':
    signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
    signal.pause()
"""
GZ_SIM = """
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, ExecuteProcess
from launch.substitutions import LaunchConfiguration


def generate_launch_description():
    return LaunchDescription([
        DeclareLaunchArgument('gz_args', default_value=''),
        DeclareLaunchArgument('on_exit_shutdown', default_value='false'),
        ExecuteProcess(cmd=['PROGRAM', LaunchConfiguration('gz_args'),
                            LaunchConfiguration('on_exit_shutdown')])])
"""


def stand_in(prefix, package, *programs):
    """Install a package of stand-ins as ament does."""
    marker = prefix / 'share/ament_index/resource_index/packages' / package
    marker.parent.mkdir(parents=True, exist_ok=True)
    marker.touch()
    folder = prefix / 'lib' / package
    folder.mkdir(parents=True)
    (prefix / 'share' / package / 'launch').mkdir(parents=True)
    for name in programs:
        (folder / name).write_text(PROGRAM)
        (folder / name).chmod(0o755)
    return folder


@pytest.fixture(scope='module')
def workspace(tmp_path_factory):
    return make_workspace(tmp_path_factory.mktemp('workspace'))


@pytest.fixture
def gz(workspace, tmp_path):
    """An ament prefix with what gazebo_launch.py calls of ros_gz: environment and folder."""
    prefix = tmp_path / 'gz'
    folder = stand_in(prefix, 'ros_gz_sim', 'create', 'gz')
    stand_in(prefix, 'ros_gz_bridge', 'parameter_bridge')
    (prefix / 'share/ros_gz_sim/launch/gz_sim.launch.py').write_text(
        GZ_SIM.replace('PROGRAM', str(folder / 'gz')))
    path = f'{workspace["AMENT_PREFIX_PATH"]}:{prefix}'
    return {**workspace, 'AMENT_PREFIX_PATH': path}, prefix / 'lib'


def calls(folder, launched, *programs):
    """How the stand-ins were called, by program."""
    files = [folder / f'{program}.json' for program in programs]
    end = time.monotonic() + 60.0
    while not all(file.is_file() and file.read_text() for file in files):
        assert time.monotonic() < end and not launched.ended, launched.output
        time.sleep(0.1)
    return [json.loads(file.read_text()) for file in files]


def remapped(words):
    return dict(word.split(':=') for word in words if ':=' in word)


@pytest.mark.parametrize('stamped', ['true', 'false'])
def test_gazebo_is_started_with_world_robot_and_bridge(gz, ros_domain, stamped):
    environment, folder = gz
    with Launched(environment, launch_file(environment, 'gazebo'), 'namespace:=robot', 'yaw:=1.5',
                  'image:=eye', 'use_controller:=false', 'x_pose:=-1.0',
                  f'enable_stamped_cmd_vel:={stamped}') as launched:
        server, create, bridge = calls(folder, launched, 'ros_gz_sim/gz', 'ros_gz_sim/create',
                                       'ros_gz_bridge/parameter_bridge')
        end = time.monotonic() + 60.0
        while 'full stop within' not in launched.output:  # the guardrail is up
            assert time.monotonic() < end, launched.output
            time.sleep(0.1)
        launched.press_ctrl_c(lambda: time.sleep(0.1))
        launched.assert_all_ended_well(4)
    share = launch_file(environment, 'gazebo').parents[1]
    assert server == [f'-r -s --headless-rendering {share}/worlds/indoor.sdf', 'true']
    at = create.index('-name')
    assert create[at:at + 12] == [
        '-name', 'robot', '-file', f'{share}/worlds/robot.sdf', '-x', '-1.0', '-y', '0.85',
        '-z', '0.01', '-Y', '1.5']
    kind = 'TwistStamped' if stamped == 'true' else 'Twist'
    assert bridge[0] == f'cmd_vel@geometry_msgs/msg/{kind}]gz.msgs.Twist'
    names = remapped(bridge)
    assert names['__ns'] == '/robot' and names['image'] == 'eye'
    assert names['/clock'] == '/clock' and names['/tf'] == 'tf'
    files = [bridge[i + 1] for i, word in enumerate(bridge) if word == '--params-file']
    given, = (content['ros__parameters'] for file in files
              for content in yaml.safe_load(Path(file).read_text()).values())
    assert given == {'config_file': f'{share}/config/gazebo_bridge.yaml', 'use_sim_time': True}
    assert (ROOT / 'config/gazebo_bridge.yaml').read_text() == (
        share / 'config/gazebo_bridge.yaml').read_text()
