# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
A room's description -> a Gazebo world, and the simulated robot -> a Gazebo model.

The files of worlds/ are made by `python -m wm_controller.simulation.sdf worlds`. The same room as
in the embedded simulator: its walls and furniture, its people (who stand), its lamps; surfaces
have the colours of their textures.
"""

from collections.abc import Iterable
import math
from pathlib import Path
import sys

from wm_controller.simulation.description import Person, Room, WALL_HEIGHT
from wm_controller.simulation.rooms import make_room
from wm_controller.simulation.shapes import cylinder, Solid
from wm_controller.simulation.simulator import LASER_BEAMS, LASER_HEIGHT, LASER_NOISE, LASER_RANGE
from wm_controller.simulation.specs import CameraSpec, RobotSpec

# The room that worlds/indoor.sdf is made from; gazebo_launch.py starts the robot where it is free.
ROOM_SEED, ROOM_FAMILY, ROOM_PEOPLE = 1, 'evaluation', 0
SDF_VERSION = '1.9'  # read by Gazebo Fortress and everything newer
CAMERA_RATE_HZ = 10.0
SCAN_RATE_HZ = 10.0
ODOM_RATE_HZ = 50.0
WHEEL_RADIUS = 0.05  # m
WHEEL_WIDTH = 0.03  # m
AXLE = 0.28  # m between the wheels
BODY_BOTTOM, BODY_TOP = 0.03, 0.17  # m; below the laser, which must see all round

_SYSTEMS = (
    ('gz-sim-physics-system', 'gz::sim::systems::Physics', ''),
    ('gz-sim-user-commands-system', 'gz::sim::systems::UserCommands', ''),
    ('gz-sim-scene-broadcaster-system', 'gz::sim::systems::SceneBroadcaster', ''),
    ('gz-sim-contact-system', 'gz::sim::systems::Contact', ''),
    (
        'gz-sim-sensors-system',
        'gz::sim::systems::Sensors',
        '<render_engine>ogre2</render_engine>',
    ),
)


def _numbers(*values: float) -> str:
    return ' '.join(f'{value:.5g}' for value in values)


def _material(colour: Iterable[float]) -> str:
    rgba = _numbers(*colour, 1.0)
    return f'<material><ambient>{rgba}</ambient><diffuse>{rgba}</diffuse></material>'


def _geometry(solid: Solid) -> str:
    if solid.shape == 'cylinder':
        return (
            f'<geometry><cylinder><radius>{_numbers(solid.hx)}</radius>'
            f'<length>{_numbers(2 * solid.hz)}</length></cylinder></geometry>'
        )
    size = _numbers(2 * solid.hx, 2 * solid.hy, 2 * solid.hz)
    return f'<geometry><box><size>{size}</size></box></geometry>'


def _solid(name: str, solid: Solid, colour: Iterable[float]) -> str:
    """Write one solid as what is seen and what is bumped into."""
    pose = f'<pose>{_numbers(solid.x, solid.y, solid.z, 0, 0, solid.yaw)}</pose>'
    geometry = _geometry(solid)
    return (
        f'      <collision name="{name}_collision">{pose}{geometry}</collision>\n'
        f'      <visual name="{name}">{pose}{geometry}{_material(colour)}</visual>\n'
    )


def _model(name: str, content: str) -> str:
    return (
        f'  <model name="{name}">\n    <static>true</static>\n    <link name="link">\n'
        f'{content}    </link>\n  </model>\n'
    )


def _person(person: Person) -> str:
    """Someone who stands at the first waypoint: legs and body as two cylinders, m."""
    (x, y), hip = person.waypoints[0], 0.5 * person.height
    upper, lower = person.colours
    rest = person.height - hip
    return _solid(
        'legs', cylinder(x, y, hip / 2, 0.8 * person.radius, hip / 2), lower
    ) + _solid('body', cylinder(x, y, hip + rest / 2, person.radius, rest / 2), upper)


def world_sdf(room: Room) -> str:
    """Write the room as a Gazebo world; x, y and yaw are those of the room."""
    x0, y0, x1, y1 = room.bounds
    colour = [material.colour for material in room.materials]
    by_name = {material.name: material.colour for material in reversed(room.materials)}
    middle = ((x0 + x1) / 2, (y0 + y1) / 2)
    size = ((x1 - x0) / 2 + 0.2, (y1 - y0) / 2 + 0.2)
    floor = Solid('box', *middle, -0.05, *size, 0.05)
    ceiling = Solid('box', *middle, WALL_HEIGHT + 0.05, *size, 0.05)
    models = [
        _model('floor', _solid('floor', floor, by_name['floor'])),
        _model('ceiling', _solid('ceiling', ceiling, by_name['ceiling'])),
    ]
    for group in ('walls', 'furniture'):
        solids = getattr(room, group)
        content = ''.join(
            _solid(f'{group}_{i}', solid, colour[solid.material])
            for i, solid in enumerate(solids)
        )
        if content:
            models.append(_model(group, content))
    models += [_model(f'person_{i}', _person(p)) for i, p in enumerate(room.people)]
    lamps = ''.join(
        f'  <light name="lamp_{i}" type="point">\n'
        f'    <pose>{_numbers(lamp.x, lamp.y, lamp.z, 0, 0, 0)}</pose>\n'
        f'    <diffuse>{_numbers(*lamp.colour, 1)}</diffuse>\n'
        '    <specular>0.1 0.1 0.1 1</specular>\n'
        '    <attenuation><range>20</range><constant>1</constant><linear>0.05</linear>'
        '<quadratic>0.03</quadratic></attenuation>\n'
        '    <cast_shadows>false</cast_shadows>\n  </light>\n'
        for i, lamp in enumerate(room.lights.lamps)
    )
    ambient = room.lights.ambient + room.lights.headlight
    plugins = ''.join(
        f'  <plugin filename="{filename}" name="{name}">{content}</plugin>\n'
        for filename, name, content in _SYSTEMS
    )
    return (
        '<?xml version="1.0"?>\n'
        f'<!-- Room {room.seed} of the family {room.family}, made by '
        'wm_controller.simulation.sdf; change it there. -->\n'
        f'<sdf version="{SDF_VERSION}">\n<world name="indoor">\n'
        '  <physics name="5ms" type="ignored">\n    <max_step_size>0.005</max_step_size>\n'
        '    <real_time_factor>1.0</real_time_factor>\n  </physics>\n'
        f'{plugins}'
        f'  <scene><ambient>{_numbers(*[ambient] * 3, 1)}</ambient>'
        '<background>0.7 0.7 0.7 1</background><shadows>false</shadows></scene>\n'
        f'{lamps}{"".join(models)}</world>\n</sdf>\n'
    )


def robot_sdf(camera: CameraSpec | None = None, robot: RobotSpec | None = None) -> str:
    """Write the differential-drive robot with its camera and laser, as a model to be spawned."""
    camera, robot = camera or CameraSpec(), robot or RobotSpec()
    wheel_mass, body_mass = 0.3, robot.mass - 0.6
    half = (BODY_TOP - BODY_BOTTOM) / 2
    height = BODY_BOTTOM + half
    # The axle runs through base_link, so that the model turns about it as the simulator's does.
    body = _geometry(cylinder(0, 0, 0, robot.radius, half))
    caster = f'<geometry><sphere><radius>{BODY_BOTTOM / 2}</radius></sphere></geometry>'
    slippery = (
        '<surface><friction><ode><mu>0.0</mu><mu2>0.0</mu2></ode></friction></surface>'
    )
    casters = ''.join(
        f'    <collision name="caster_{name}"><pose>{_numbers(x, 0, BODY_BOTTOM / 2, 0, 0, 0)}'
        f'</pose>{caster}{slippery}</collision>\n'
        for name, x in (('front', 0.13), ('rear', -0.13))
    )
    return f"""<?xml version="1.0"?>
<!-- The embedded simulator's robot, made by wm_controller.simulation.sdf; change it there. -->
<sdf version="{SDF_VERSION}">
<model name="robot" canonical_link="base_link">
  <link name="base_link">
    <inertial>
      <pose>0 0 {_numbers(height)} 0 0 0</pose>
      <mass>{_numbers(body_mass)}</mass>
      {_inertia(body_mass, robot.radius, 2 * half)}
    </inertial>
    <collision name="body_collision"><pose>0 0 {_numbers(height)} 0 0 0</pose>{body}</collision>
    <visual name="body"><pose>0 0 {_numbers(height)} 0 0 0</pose>{body}{
        _material((0.2, 0.5, 0.9))}</visual>
{casters}    <sensor name="camera" type="camera">
      <pose>{_numbers(camera.x, 0, camera.z, 0, camera.pitch, 0)}</pose>
      <topic>image</topic>
      <update_rate>{_numbers(CAMERA_RATE_HZ)}</update_rate>
      <always_on>true</always_on>
      <gz_frame_id>camera</gz_frame_id>
      <camera>
        <camera_info_topic>camera_info</camera_info_topic>
        <horizontal_fov>{_numbers(camera.hfov)}</horizontal_fov>
        <image><width>{camera.width}</width><height>{camera.height}</height><format>R8G8B8</format>
        </image>
        <clip><near>0.02</near><far>40</far></clip>
        <noise><type>gaussian</type><mean>0</mean><stddev>{_numbers(camera.noise / 255)}</stddev>
        </noise>
      </camera>
    </sensor>
    <!-- Above the middle of the robot, so its plane is base_link's: no transform is needed. -->
    <sensor name="laser" type="gpu_lidar">
      <pose>0 0 {_numbers(LASER_HEIGHT)} 0 0 0</pose>
      <topic>scan</topic>
      <update_rate>{_numbers(SCAN_RATE_HZ)}</update_rate>
      <always_on>true</always_on>
      <gz_frame_id>base_link</gz_frame_id>
      <lidar>
        <scan>
          <horizontal>
            <samples>{LASER_BEAMS}</samples>
            <min_angle>{_numbers(-math.pi)}</min_angle>
            <max_angle>{_numbers(math.pi - 2 * math.pi / LASER_BEAMS)}</max_angle>
          </horizontal>
        </scan>
        <range><min>0.05</min><max>{_numbers(LASER_RANGE)}</max></range>
        <noise><type>gaussian</type><mean>0</mean><stddev>{_numbers(LASER_NOISE)}</stddev></noise>
      </lidar>
    </sensor>
  </link>
{''.join(_wheel(side, wheel_mass) for side in ('left', 'right'))}
  <plugin filename="gz-sim-diff-drive-system" name="gz::sim::systems::DiffDrive">
    <left_joint>left_wheel_joint</left_joint>
    <right_joint>right_wheel_joint</right_joint>
    <wheel_separation>{_numbers(AXLE)}</wheel_separation>
    <wheel_radius>{_numbers(WHEEL_RADIUS)}</wheel_radius>
    <min_linear_velocity>{_numbers(robot.min_linear)}</min_linear_velocity>
    <max_linear_velocity>{_numbers(robot.max_linear)}</max_linear_velocity>
    <min_angular_velocity>{_numbers(-robot.max_angular)}</min_angular_velocity>
    <max_angular_velocity>{_numbers(robot.max_angular)}</max_angular_velocity>
    <min_linear_acceleration>{_numbers(-robot.linear_deceleration)}</min_linear_acceleration>
    <max_linear_acceleration>{_numbers(robot.linear_acceleration)}</max_linear_acceleration>
    <min_angular_acceleration>{_numbers(-robot.angular_acceleration)}</min_angular_acceleration>
    <max_angular_acceleration>{_numbers(robot.angular_acceleration)}</max_angular_acceleration>
    <topic>cmd_vel</topic>
    <odom_topic>odom</odom_topic>
    <tf_topic>tf</tf_topic>
    <frame_id>odom</frame_id>
    <child_frame_id>base_link</child_frame_id>
    <odom_publish_frequency>{_numbers(ODOM_RATE_HZ)}</odom_publish_frequency>
  </plugin>
</model>
</sdf>
"""


def _wheel(side: str, mass: float) -> str:
    """Write a driven wheel and its joint; the wheel's axis is y."""
    y = AXLE / 2 if side == 'left' else -AXLE / 2
    wheel = _geometry(cylinder(0, 0, 0, WHEEL_RADIUS, WHEEL_WIDTH / 2))
    return f"""  <link name="{side}_wheel">
    <pose>{_numbers(0, y, WHEEL_RADIUS, -math.pi / 2, 0, 0)}</pose>
    <inertial>
      <mass>{_numbers(mass)}</mass>
      {_inertia(mass, WHEEL_RADIUS, WHEEL_WIDTH)}
    </inertial>
    <collision name="wheel_collision">{wheel}
      <surface><friction><ode><mu>1.0</mu><mu2>1.0</mu2></ode></friction></surface></collision>
    <visual name="wheel">{wheel}{_material((0.1, 0.1, 0.1))}</visual>
  </link>
  <joint name="{side}_wheel_joint" type="revolute">
    <parent>base_link</parent>
    <child>{side}_wheel</child>
    <axis><xyz>0 0 1</xyz></axis>
  </joint>
"""


def _inertia(mass: float, radius: float, length: float) -> str:
    """Inertia of a full cylinder along z, kg and m."""
    across = mass * (3 * radius**2 + length**2) / 12
    along = mass * radius**2 / 2
    return (
        f'<inertia><ixx>{_numbers(across)}</ixx><iyy>{_numbers(across)}</iyy>'
        f'<izz>{_numbers(along)}</izz></inertia>'
    )


def files() -> dict[str, str]:
    """Make the content of worlds/, by file name."""
    room = make_room(ROOM_SEED, ROOM_FAMILY, ROOM_PEOPLE)
    return {'indoor.sdf': world_sdf(room), 'robot.sdf': robot_sdf()}


def main(folder: str) -> None:
    """Write worlds/."""
    for name, text in files().items():
        (Path(folder) / name).write_text(text, encoding='utf-8')


if __name__ == '__main__':
    main(*sys.argv[1:])
