# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""worlds/ is the room and the robot of the embedded simulator, valid SDF, bridged by name."""

import math
from pathlib import Path
import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
import yaml

from wm_controller.simulation import sdf
from wm_controller.simulation.rooms import make_room
from wm_controller.simulation.shapes import Footprints, Solid
from wm_controller.simulation.simulator import LASER_BEAMS, LASER_HEIGHT, LASER_RANGE
from wm_controller.simulation.specs import CameraSpec, RobotSpec

ROOT = Path(__file__).resolve().parents[1]
WORLDS = ROOT / 'worlds'
REMEDY = 'run: .venv/bin/python -m wm_controller.simulation.sdf worlds'
PAIRS = {
    'rosgraph_msgs/msg/Clock': 'gz.msgs.Clock',
    'nav_msgs/msg/Odometry': 'gz.msgs.Odometry',
    'tf2_msgs/msg/TFMessage': 'gz.msgs.Pose_V',
    'sensor_msgs/msg/LaserScan': 'gz.msgs.LaserScan',
    'sensor_msgs/msg/Image': 'gz.msgs.Image',
    'sensor_msgs/msg/CameraInfo': 'gz.msgs.CameraInfo',
}
PLUGINS = {
    'gz-sim-physics-system': 'Physics',
    'gz-sim-user-commands-system': 'UserCommands',
    'gz-sim-scene-broadcaster-system': 'SceneBroadcaster',
    'gz-sim-sensors-system': 'Sensors',
    'gz-sim-contact-system': 'Contact',
    'gz-sim-diff-drive-system': 'DiffDrive',
}


@pytest.fixture(scope='module')
def room():
    return make_room(sdf.ROOM_SEED, sdf.ROOM_FAMILY, sdf.ROOM_PEOPLE)


def root_of(name):
    return ElementTree.parse(WORLDS / name).getroot()


@pytest.mark.parametrize('name', sorted(sdf.files()))
def test_files_are_made_from_the_room_and_the_robot_of_today(name):
    assert (WORLDS / name).read_text(encoding='utf-8') == sdf.files()[name], REMEDY


@pytest.mark.parametrize('name', ['indoor.sdf', 'robot.sdf', 'people'])
def test_the_real_parser_finds_nothing_wrong(name, tmp_path):
    tool = shutil.which('gz') or shutil.which('ign')
    if tool is None:
        pytest.skip('needs the SDF parser: apt-get install libsdformat-dev ignition-tools')
    path = WORLDS / name
    if name == 'people':  # no one walks in the shipped world; another room has someone
        path = tmp_path / 'people.sdf'
        path.write_text(sdf.world_sdf(make_room(2, 'training', people=2)))
        assert path.read_text().count('<model name="person_') == 2
    done = subprocess.run([tool, 'sdf', '--check', str(path)], capture_output=True, text=True)
    assert done.returncode == 0 and 'Valid' in done.stdout, done.stdout + done.stderr
    assert 'Error' not in done.stderr and 'Warning' not in done.stderr, done.stderr


def solids_of(link, tag):
    """What is bumped into (collision) or seen (visual) of a link, as solids of the simulator."""
    for element in link.iter(tag):
        x, y, z, roll, pitch, yaw = map(float, element.findtext('pose').split())
        assert roll == pitch == 0
        if (cylinder := element.find('geometry/cylinder')) is not None:
            radius = float(cylinder.findtext('radius'))
            half = float(cylinder.findtext('length')) / 2
            yield Solid('cylinder', x, y, z, radius, radius, half, yaw)
        elif (size := element.findtext('geometry/box/size')) is not None:
            yield Solid('box', x, y, z, *(np.array(size.split(), float) / 2), yaw)


def numbers_of(solid):
    return (solid.x, solid.y, solid.z, solid.hx, solid.hy, solid.hz,
            math.cos(solid.yaw), math.sin(solid.yaw))


@pytest.mark.parametrize('tag', ['collision', 'visual'])
@pytest.mark.parametrize('seed, family', [(sdf.ROOM_SEED, sdf.ROOM_FAMILY), (2, 'training')])
def test_gazebo_has_every_solid_of_the_simulator_where_it_is(seed, family, tag):
    room = make_room(seed, family, sdf.ROOM_PEOPLE)
    world = ElementTree.fromstring(sdf.world_sdf(room).split('\n', 1)[1])
    models = {model.get('name'): model for model in world.iter('model')}
    for group in ('walls', 'furniture'):
        there = list(solids_of(models[group], tag))
        here = list(getattr(room, group))
        assert [solid.shape for solid in there] == [solid.shape for solid in here]
        assert np.allclose([numbers_of(solid) for solid in there],
                           [numbers_of(solid) for solid in here], atol=1e-3)
    floor, = solids_of(models['floor'], tag)
    assert floor.z + floor.hz == pytest.approx(0.0)


def test_what_blocks_in_gazebo_is_what_blocks_in_the_simulator(room):
    models = {model.get('name'): model for model in root_of('indoor.sdf').iter('model')}
    solids = [solid for group in ('walls', 'furniture')
              for solid in solids_of(models[group], 'collision')]
    assert len(solids) == len(room.solids)
    x0, y0, x1, y1 = room.bounds
    places = np.random.default_rng(0).uniform((x0, y0), (x1, y1), (500, 2))
    blocking = Footprints(s for s in solids if s.bottom < 0.35)
    assert np.allclose(blocking.distance(places), room.blocking.distance(places), atol=2e-3)


def test_the_robot_starts_where_it_is_free(room):
    text = (ROOT / 'launch' / 'gazebo_launch.py').read_text()
    x, y = (float(re.search(rf"'{axis}_pose', '([-0-9.]+)'", text).group(1)) for axis in 'xy')
    place = np.array([[x, y]])
    assert room.free(place, 0.5)[0]
    row, column = room.grid.cells(place)[0]
    assert room.grid.main_part(0.25)[0][row, column], 'shut in'


def test_plugins_have_the_names_that_gazebo_loads():
    found = {plugin.get('filename'): plugin.get('name')
             for name in ('indoor.sdf', 'robot.sdf') for plugin in root_of(name).iter('plugin')}
    assert found == {file: f'gz::sim::systems::{name}' for file, name in PLUGINS.items()}
    assert next(root_of('indoor.sdf').iter('render_engine')).text == 'ogre2'


def test_the_robot_has_the_body_the_sensors_and_the_limits_of_the_simulated_one():
    robot, camera = RobotSpec(), CameraSpec()
    model = root_of('robot.sdf')
    drive = next(p for p in model.iter('plugin') if 'diff-drive' in p.get('filename'))
    for key, value in (
        ('max_linear_velocity', robot.max_linear), ('min_linear_velocity', robot.min_linear),
        ('max_angular_velocity', robot.max_angular), ('wheel_separation', sdf.AXLE),
        ('wheel_radius', sdf.WHEEL_RADIUS),
    ):
        assert float(drive.findtext(key)) == pytest.approx(value)
    seen = next(s for s in model.iter('sensor') if s.get('type') == 'camera')
    assert float(seen.findtext('camera/horizontal_fov')) == pytest.approx(camera.hfov, abs=1e-4)
    assert int(seen.findtext('camera/image/width')) == camera.width == 320
    assert int(seen.findtext('camera/image/height')) == camera.height == 240
    assert float(seen.findtext('update_rate')) == 10.0
    assert tuple(map(float, seen.findtext('pose').split())) == pytest.approx(
        (camera.x, 0.0, camera.z, 0.0, camera.pitch, 0.0))
    laser = next(s for s in model.iter('sensor') if s.get('type') == 'gpu_lidar')
    assert float(laser.findtext('pose').split()[2]) == pytest.approx(LASER_HEIGHT)
    assert int(laser.findtext('.//samples')) == LASER_BEAMS
    assert float(laser.findtext('lidar/range/max')) == pytest.approx(LASER_RANGE)
    body, = solids_of(next(model.iter('link')), 'visual')
    assert (body.shape, body.hx) == ('cylinder', pytest.approx(robot.radius))
    assert body.z + body.hz < LASER_HEIGHT, 'in the way of the laser'
    assert float(next(model.iter('mass')).text) + 0.6 == pytest.approx(robot.mass)


def test_a_wheel_turning_forwards_drives_forwards():
    # The axis z of a wheel's frame, turned by its pose, must be +y: left.
    for link in root_of('robot.sdf').iter('link'):
        if link.get('name').endswith('_wheel'):
            _, y, z, roll, pitch, yaw = map(float, link.findtext('pose').split())
            assert (pitch, yaw) == (0.0, 0.0)
            assert -math.sin(roll) == pytest.approx(1.0, abs=1e-6)
            assert z == pytest.approx(sdf.WHEEL_RADIUS)
            assert math.copysign(1, y) == (1 if link.get('name').startswith('left') else -1)


def test_every_bridged_topic_is_one_that_the_robot_has():
    bridge = yaml.safe_load((ROOT / 'config' / 'gazebo_bridge.yaml').read_text())
    model = root_of('robot.sdf')
    robot = {e.text for tag in ('topic', 'odom_topic', 'tf_topic', 'camera_info_topic')
             for e in model.iter(tag)}
    bridged = {entry.get('gz_topic_name', entry.get('topic_name')) for entry in bridge}
    assert bridged == (robot - {'cmd_vel'}) | {'/clock'}
    for entry in bridge:
        assert PAIRS[entry['ros_type_name']] == entry['gz_type_name']
        assert entry['direction'] == 'GZ_TO_ROS'
    assert 'cmd_vel' in robot  # bridged by the launch file, which knows its type
    text = (ROOT / 'launch' / 'gazebo_launch.py').read_text()
    assert "'cmd_vel@', twist, ']gz.msgs.Twist'" in text
