# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""A room's description -> MuJoCo's XML, with the robot, its camera and the people in it."""

from collections import defaultdict
import math

import cv2
import numpy as np

from wm_controller.simulation.appearance import texture_image
from wm_controller.simulation.description import ROBOT_HEIGHT, Room, WALL_HEIGHT
from wm_controller.simulation.mesh import Surface
from wm_controller.simulation.specs import CameraSpec, RobotSpec

TIMESTEP = 0.005  # s
TEXTURE_SIZE = 128  # pixels
LIGHT_STEP = 0.8  # m between vertices of walls, floor and ceiling, at which light is computed
# Geom groups: 1 is drawn, 3 is the robot (hidden from its own camera), 4 collides unseen.
DRAWN, ROBOT, UNSEEN = 1, 3, 4
# Bits of contype and conaffinity: the robot meets obstacles, obstacles do not meet each other.
ROBOT_BITS = 'contype="1" conaffinity="2"'
OBSTACLE_BITS = f'contype="2" conaffinity="1" group="{UNSEEN}"'
DRAWN_BITS = f'contype="0" conaffinity="0" group="{DRAWN}"'


def _numbers(values, digits: int = 4) -> str:
    return ' '.join(f'{v:.{digits}g}' for v in np.asarray(values, float).ravel())


def vertical_fov(hfov: float, width: int, height: int) -> float:
    """Vertical field of view, rad, of square pixels with a horizontal field of view, rad."""
    return 2.0 * math.atan(math.tan(hfov / 2.0) * height / width)


def surfaces(room: Room) -> dict[int, Surface]:
    """Gather the room's surfaces by the index of their material."""
    found: dict[int, Surface] = defaultdict(Surface)
    scale = [m.scale for m in room.materials]
    x0, y0, x1, y1 = room.bounds
    w, h = x1 - x0, y1 - y0
    index = {m.name: i for i, m in reversed(list(enumerate(room.materials)))}
    floor, ceiling, trim = index['floor'], index['ceiling'], index['trim']
    found[floor].add_quad((x0, y0, 0), (w, 0, 0), (0, h, 0), scale[floor], LIGHT_STEP)
    found[ceiling].add_quad(
        (x0, y0, WALL_HEIGHT), (0, h, 0), (w, 0, 0), scale[ceiling], LIGHT_STEP
    )
    for wall in room.walls:
        lintel = wall.bottom > 0
        found[wall.material].add_box(wall, scale[wall.material], LIGHT_STEP, top=False,
                                     bottom=lintel)
        if not lintel:  # a skirting board shows where wall and floor meet
            board = type(wall)('box', wall.x, wall.y, 0.04, wall.hx + 0.012, wall.hy + 0.012, 0.04)
            found[trim].add_box(board, scale[trim], 10.0, top=True, bottom=False)
    for solid in room.furniture:
        surface = found[solid.material]
        if solid.shape == 'cylinder':
            surface.add_cylinder(solid, scale[solid.material])
        else:
            surface.add_box(solid, scale[solid.material], 10.0, top=True,
                            bottom=solid.bottom > 0.1)
    for panel in room.panels:
        found[panel.material].add_panel(panel)
    return dict(found)


def room_xml(room: Room, camera: CameraSpec, robot: RobotSpec) -> tuple[str, dict[str, bytes]]:
    """Write the model as XML, and the texture files (PNG) that it names."""
    assets: dict[str, bytes] = {}
    asset, world = [], []
    for i, surface in surfaces(room).items():
        material = room.materials[i]
        image = cv2.cvtColor(texture_image(material, TEXTURE_SIZE), cv2.COLOR_RGB2BGR)
        assets[f'texture{i}.png'] = cv2.imencode('.png', image)[1].tobytes()
        vertices, normals, texcoords, faces = surface.arrays()
        asset.append(
            f'<texture name="texture{i}" type="2d" file="texture{i}.png"/>'
            f'<material name="material{i}" texture="texture{i}" '
            f'specular="{material.shine:.3g}" shininess="{material.shine:.3g}"/>'
            f'<mesh name="surface{i}" inertia="shell" vertex="{_numbers(vertices, 6)}" '
            f'normal="{_numbers(normals)}" texcoord="{_numbers(texcoords)}" '
            f'face="{" ".join(map(str, faces.ravel()))}"/>'
        )
        world.append(
            f'<geom type="mesh" mesh="surface{i}" material="material{i}" {DRAWN_BITS}/>'
        )
    for solid in room.solids:
        if solid.bottom < ROBOT_HEIGHT:
            size = (solid.hx, solid.hz) if solid.shape == 'cylinder' else (
                solid.hx, solid.hy, solid.hz)
            world.append(
                f'<geom type="{solid.shape}" pos="{solid.x:.5g} {solid.y:.5g} {solid.z:.5g}" '
                f'euler="0 0 {solid.yaw:.6g}" size="{_numbers(size, 5)}" {OBSTACLE_BITS}/>'
            )
    for lamp in room.lights.lamps:
        world.append(
            f'<light pos="{_numbers((lamp.x, lamp.y, lamp.z))}" dir="0 0 -1" cutoff="180" '
            f'exponent="0" castshadow="false" diffuse="{_numbers(lamp.colour)}" '
            f'specular="0.15 0.15 0.15" attenuation="1 0.05 0.03"/>'
        )
    world += [_person_xml(i, person) for i, person in enumerate(room.people)]
    world.append(_robot_xml(camera, robot))
    lights = room.lights
    push = f'{-robot.traction:.5g} {robot.traction:.5g}'
    xml = f"""<mujoco model="{room.family}-{room.seed}">
<compiler angle="radian" autolimits="true"/>
<option timestep="{TIMESTEP}" gravity="0 0 0" integrator="implicitfast" iterations="20"/>
<statistic extent="1" center="0 0 0.5" meansize="0.1"/>
<visual>
<global offwidth="{camera.width}" offheight="{camera.height}"/>
<headlight ambient="{_numbers([lights.ambient] * 3)}" diffuse="{_numbers([lights.headlight] * 3)}"
 specular="0 0 0"/>
<map znear="0.02" zfar="40"/>
<quality offsamples="0" shadowsize="0"/>
</visual>
<asset>{''.join(asset)}</asset>
<worldbody>{''.join(world)}</worldbody>
<actuator>
<velocity name="drive_x" joint="x" kv="400" forcerange="{push}"/>
<velocity name="drive_y" joint="y" kv="400" forcerange="{push}"/>
<velocity name="drive_yaw" joint="yaw" kv="8" forcerange="-4 4"/>
</actuator>
</mujoco>"""
    return xml, assets


def _robot_xml(camera: CameraSpec, robot: RobotSpec) -> str:
    """
    Write the base on two slides and a hinge, so that contact can stop and turn it.

    The camera looks along +x, its image's up is +z; pitch is positive downwards.
    """
    half = (ROBOT_HEIGHT - 0.02) / 2
    c, s = math.cos(camera.pitch), math.sin(camera.pitch)
    fovy = math.degrees(vertical_fov(camera.hfov, camera.width, camera.height))
    return f"""<body name="base">
<joint name="x" type="slide" axis="1 0 0"/>
<joint name="y" type="slide" axis="0 1 0"/>
<joint name="yaw" type="hinge" axis="0 0 1"/>
<geom name="base" type="cylinder" pos="0 0 {0.02 + half:.5g}" size="{robot.radius:.5g} {half:.5g}"
 mass="{robot.mass:.5g}" friction="0.3" rgba="0.2 0.5 0.9 1" group="{ROBOT}" {ROBOT_BITS}/>
<geom type="box" pos="{robot.radius * 0.6:.4g} 0 {ROBOT_HEIGHT:.4g}" size="0.05 0.03 0.03"
 mass="0.01" rgba="1 0.8 0.1 1" contype="0" conaffinity="0" group="{ROBOT}"/>
<camera name="camera" pos="{camera.x:.5g} 0 {camera.z:.5g}" fovy="{fovy:.6g}"
 xyaxes="0 -1 0 {s:.6g} 0 {c:.6g}"/>
</body>"""


def _person_xml(i: int, person) -> str:
    upper, lower = (_numbers((*colour, 1)) for colour in person.colours)
    hip, neck = 0.5 * person.height, 0.86 * person.height
    r = person.radius
    return f"""<body name="person{i}" mocap="true">
<geom type="cylinder" pos="0 0 {person.height / 2:.4g}" size="{r:.4g} {person.height / 2:.4g}"
 {OBSTACLE_BITS}/>
<geom type="capsule" fromto="0 {0.45 * r:.4g} 0.08 0 {0.45 * r:.4g} {hip:.4g}" size="0.075"
 rgba="{lower}" {DRAWN_BITS}/>
<geom type="capsule" fromto="0 {-0.45 * r:.4g} 0.08 0 {-0.45 * r:.4g} {hip:.4g}" size="0.075"
 rgba="{lower}" {DRAWN_BITS}/>
<geom type="capsule" fromto="0 0 {hip + 0.08:.4g} 0 0 {neck - 0.12:.4g}" size="{0.8 * r:.4g}"
 rgba="{upper}" {DRAWN_BITS}/>
<geom type="sphere" pos="0 0 {neck + 0.1:.4g}" size="0.11" rgba="0.85 0.65 0.5 1"
 {DRAWN_BITS}/>
</body>"""
