# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The parameters of the controller: names, meanings, ranges, and one settings object of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rclpy.parameter import Parameter

from wm_controller.errors import InputError
from wm_controller.nodes.drive_loop import LoopSettings
from wm_controller.nodes.fit import Robot
from wm_controller.nodes.runtime import Spec
from wm_controller.safety.geometry import Areas
from wm_controller.safety.limits import areas_of, InvalidLimit

RUNTIMES = ('auto', 'torch', 'onnx')  # planning/runtime.py has them, and needs torch

_ROBOT = (
    Spec('rate', 10.0, 'Rate of commands', 1.0, 30.0, unit='Hz'),
    Spec('max_linear_velocity', 0.5, 'Fastest forward; a model that drives faster is refused',
         0.05, 5.0, unit='m/s'),
    Spec('min_linear_velocity', -0.25, 'Fastest reverse, negative', -5.0, 0.0, unit='m/s'),
    Spec('max_angular_velocity', 1.5, 'Fastest turn', 0.1, 10.0, unit='rad/s'),
    Spec('horizontal_fov', 0.0, "Camera's field of view, 0: not known; a model trained with "
         'another is refused', 0.0, 3.0, unit='rad'),
)
_LOOP = (
    Spec('plan_time_s', 0.07, 'Time for seeing and planning, of each period', 0.01, 1.0,
         unit='s'),
    Spec('image_timeout_s', 0.4, 'Age of an image beyond which nothing is commanded from it',
         0.1, 0.5, unit='s'),
)
_PILOT = (
    Spec('model', 'indoor', 'Model bundle: a file, or the name of a shipped one'),
    Spec('runtime', 'auto', 'What runs the model: torch, onnx (ONNX Runtime), or auto: what is '
         'faster here, measured at the start', choices=RUNTIMES),
    Spec('exported', '', 'Folder of `wm export` for ONNX Runtime to run, int8 perhaps; empty: the '
         'model is exported in memory'),
    Spec('planner', 'hierarchical', 'How it plans; hierarchical, with a map of '
         'places, needs a model with an upper level', choices=('hierarchical', 'flat')),
    Spec('goal_tolerance', 0.15, 'Distance from the goal at which it is reached', 0.05, 2.0,
         unit='m'),
    Spec('goal_heading', False, "Turn to the goal pose's heading on arrival"),
    Spec('footprint_radius', 0.18, 'Radius of the robot, for imagined futures', 0.05, 2.0,
         unit='m'),
    Spec('geofence', [], 'Polygon in odom that plans stay inside of, x, y, x, y, ...; empty: none',
         kind=Parameter.Type.DOUBLE_ARRAY, unit='m'),
    Spec('keep_out', [], 'Polygons in odom that plans stay out of, x, y, ...; nan between two',
         kind=Parameter.Type.DOUBLE_ARRAY, unit='m'),
    Spec('margin', 0.04, 'Space that imagined futures keep around the robot; 0.08 without a laser',
         0.0, 1.0, unit='m'),
    Spec('command_delay_s', 0.12, 'From a command sent to the robot moving by it', 0.0, 1.0,
         unit='s'),
    Spec('map_file', '', 'Places of a hierarchical planner: read at the start where it is there, '
         'written by ~/remember; empty: they are kept while it runs'),
    Spec('allow_ungated', False, 'Drive with a model that did not pass its gates'),
    Spec('threads', 1, 'Threads for the model; one plans as fast as two and leaves a core free',
         1, 64),
)
_NODE = (
    Spec('autostart', True, 'Configure and activate at the start', fixed=True),
    Spec('bond_heartbeat_period', 0.25, "Heartbeats to Nav2's lifecycle manager, where "
         'the package bond is there; 0: none', 0.0, 2.0, unit='s', fixed=True),
    Spec('image_transport', 'raw', 'Topic image or image/compressed',
         choices=('raw', 'compressed')),
    Spec('enable_stamped_cmd_vel', True, 'Type of cmd_vel, which is heard to know what guardrails '
         'let through: TwistStamped; false: Twist'),
    Spec('odom_frame', 'odom', 'Frame of odometry, goals and plans'),
    Spec('base_frame', 'base_link', 'Frame of the robot'),
)
PARAMETERS = _NODE + _PILOT + _ROBOT + _LOOP


@dataclass(frozen=True)
class ControllerSettings:
    """The parameters as they were at `configure`; later changes act at the next one."""

    robot: Robot
    loop: LoopSettings
    model: str
    runtime: str
    exported: str
    planner: str
    goal_tolerance: float
    goal_heading: bool
    footprint_radius: float
    geofence: tuple[float, ...]
    keep_out: tuple[float, ...]
    margin: float
    command_delay_s: float
    map_file: str
    allow_ungated: bool
    threads: int
    image_transport: str
    enable_stamped_cmd_vel: bool
    odom_frame: str
    base_frame: str

    @property
    def areas(self) -> Areas:
        """Where plans may lead; raises InputError where a list is no polygon."""
        try:
            return areas_of(self.geofence, self.keep_out)
        except InvalidLimit as error:
            raise InputError(f'parameter {error}') from None

    @staticmethod
    def of(values: dict[str, Any]) -> ControllerSettings:
        """Settings of parameter values by name."""
        robot = Robot(**{spec.name: values[spec.name] for spec in _ROBOT})
        loop = LoopSettings(values['rate'], values['plan_time_s'], values['image_timeout_s'])
        rest = [spec.name for spec in _NODE + _PILOT if not spec.fixed]
        return ControllerSettings(robot, loop, **{name: values[name] for name in rest})
