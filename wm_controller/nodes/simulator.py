# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
The simulated robot as a ROS node: `cmd_vel` in, camera, laser, odometry and truth out.

Its world is a room with physics or, with `world` = `model`, what the world model imagines.
Like Gazebo's DiffDrive, and unlike a good base, it keeps the last command for ever: what stops
it is the guardrail, which is the point. It is the source of `/clock`; the other nodes run with
`use_sim_time`. Simulated time never goes back, also not at a reset.
"""

from __future__ import annotations

from collections.abc import Sequence
import math
import time
from typing import Any

from geometry_msgs.msg import Twist, TwistStamped
import numpy as np
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.parameter import Parameter
from std_srvs.srv import Trigger

from wm_controller.errors import InputError
from wm_controller.nodes import qos, runtime
from wm_controller.nodes.pace import Pace
from wm_controller.nodes.report import Complaints
from wm_controller.nodes.simulated_sensors import Frames, Mute, SimulatedSensors
from wm_controller.nodes.worlds import make_world, WORLDS
from wm_controller.simulation.rooms import FAMILIES

TICK_S = 0.01
START_S = 1.0  # not 0: a zero stamp means that there is none
ROUNDS_PER_TICK = 2  # looks at the steady clock per tick that is due
REPORT_PERIOD_S = 5.0
SLOW_SHARE = 0.9  # below this share of the wanted speed it says so

Spec = runtime.Spec
ROOM = (
    Spec('room_seed', 1, 'Seed of the room; taken over at ~/reset', 0, 2**31 - 1),
    Spec('family', 'evaluation', 'Family of rooms; taken over at ~/reset', choices=FAMILIES),
    Spec('people', -1, 'People walking about, -1: drawn from the seed; taken over at ~/reset',
         -1, 3),
    Spec('start_pose', [], 'Start x, y, yaw in the room, empty: drawn from the seed; taken over '
         'at ~/reset', kind=Parameter.Type.DOUBLE_ARRAY, unit='m, m, rad'),
)
FIXED = (
    Spec('world', 'mujoco', 'Physics in a room, or the imagination of a world model that has seen '
         'the room', choices=WORLDS, fixed=True),
    Spec('model', 'indoor', 'World model of that world, with a decoder: a file, or the name of a '
         'shipped one', fixed=True),
    Spec('camera_rate', 10.0, 'Images per simulated second', 0.5, 60.0, unit='Hz', fixed=True),
    Spec('scan_rate', 10.0, 'Scans per simulated second', 0.5, 50.0, unit='Hz', fixed=True),
    Spec('image_width', 320, 'Width of the image; a model has its own', 16, 1920, unit='pixels',
         fixed=True),
    Spec('image_height', 240, 'Height of the image; a model has its own', 16, 1080, unit='pixels',
         fixed=True),
    Spec('horizontal_fov', math.pi / 2, 'Horizontal field of view', 0.4, 2.4, unit='rad',
         fixed=True),
    Spec('headless', True, 'False opens a window (needs a screen)', fixed=True),
    Spec('enable_stamped_cmd_vel', True, 'cmd_vel is TwistStamped (false: Twist)', fixed=True),
    Spec('odom_frame', 'odom', 'Frame of odometry', fixed=True),
    Spec('base_frame', 'base_link', 'Frame of the robot', fixed=True),
)
LIVE = (
    Spec('speed_factor', 1.0, 'Simulated seconds per second, 0: as fast as possible', 0.0, 50.0),
    Spec('camera_muted', False, 'Unplug the camera'),
    Spec('scan_muted', False, 'Unplug the laser'),
    Spec('odom_muted', False, 'Unplug the odometry'),
)
PARAMETERS = ROOM + FIXED + LIVE


class SimulatorNode(Node):
    """One robot in one world, at a pace."""

    def __init__(self, **options: Any) -> None:
        super().__init__('simulator', **options)
        values = runtime.declare(self, PARAMETERS)
        self._headless = values['headless']
        self._viewer: Any = None
        self._place(values)
        self._offset_s = START_S
        frames = Frames(values['odom_frame'], values['base_frame'])
        self._sensors = SimulatedSensors(
            self, frames, values['camera_rate'], values['scan_rate'])
        self._sensors.mute = _mute(values)
        self._sensors.begin(self._world)
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._pace = Pace(values['speed_factor'], TICK_S)
        self._set_speed(values['speed_factor'])
        self._complaints = Complaints(self.get_logger().warning)
        self._stamped = values['enable_stamped_cmd_vel']
        self.create_subscription(
            TwistStamped if self._stamped else Twist, 'cmd_vel',
            self._on_stamped if self._stamped else self._on_twist, qos.COMMAND)
        self.create_service(Trigger, '~/reset', self._on_reset)
        self.add_post_set_parameters_callback(self._on_parameters)
        self.create_timer(REPORT_PERIOD_S, self._report, clock=self._steady)

    @property
    def time_s(self) -> float:
        """Simulated time as the clock has it, s; it goes on over resets."""
        return self._offset_s + self._world.time

    def last_word(self) -> None:
        """Free what draws."""
        if self._viewer is not None:
            self._viewer.close()
        self._world.close()

    def _place(self, values: dict[str, Any]) -> None:
        """Make the world that the parameters describe; raises InputError."""
        world, description = make_world(values)
        self._values, self._world = values, world
        if not self._headless:
            self._viewer = world.open_window()
        self.get_logger().info(description)

    def _on_reset(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        values = runtime.values(self, PARAMETERS)
        now_s, before = self.time_s, self._world
        try:
            if all(values[spec.name] == self._values[spec.name] for spec in ROOM):
                before.reset(np.array(values['start_pose']) if values['start_pose'] else None)
            else:
                self._place(values)
                before.close()
        except InputError as error:
            response.message = str(error)
            return response
        self._offset_s = now_s  # time goes on
        self._sensors.begin(self._world)
        response.success = True
        response.message = f'room {values["family"]}/{values["room_seed"]}'
        return response

    def _on_parameters(self, _: list[Parameter[Any]]) -> None:
        values = runtime.values(self, LIVE)
        self._sensors.mute = _mute(values)
        if values['speed_factor'] != self._speed_factor:
            self.destroy_timer(self._timer)
            self._set_speed(values['speed_factor'])

    def _set_speed(self, speed_factor: float) -> None:
        self._speed_factor = speed_factor
        self._pace.restart(speed_factor)
        period_s = TICK_S / speed_factor / ROUNDS_PER_TICK if speed_factor > 0 else 0.0
        self._timer = self.create_timer(
            min(max(period_s, 0.001), 0.01), self._advance, clock=self._steady)

    def _on_stamped(self, message: TwistStamped) -> None:
        self._on_twist(message.twist)

    def _on_twist(self, twist: Twist) -> None:
        try:
            self._world.command(twist.linear.x, twist.angular.z)
        except InputError as error:
            self._complaints('cmd_vel', f'cmd_vel: {error}')

    def _advance(self) -> None:
        for _ in range(self._pace.due(time.monotonic())):
            self._world.step(TICK_S)
            self._sensors.publish(self._world, self.time_s)
        if self._viewer is not None:
            self._viewer.sync()

    def _report(self) -> None:
        factor = self._pace.lap(time.monotonic())
        if self._speed_factor > 0 and factor < SLOW_SHARE * self._speed_factor:
            self._complaints('pace', f'cannot hold the pace: {factor:.2f} simulated seconds per '
                             f'second, {self._speed_factor:g} wanted')
        wanted = 'TwistStamped' if self._stamped else 'Twist'
        for info in self.get_publishers_info_by_topic('cmd_vel'):
            kind = info.topic_type.rsplit('/', 1)[-1]
            if kind != wanted:
                self._complaints('cmd_vel', f'cmd_vel: {info.node_name} publishes {kind}, expected'
                                 f' {wanted}: set enable_stamped_cmd_vel alike everywhere')


def _mute(values: dict[str, Any]) -> Mute:
    return Mute(values['camera_muted'], values['scan_muted'], values['odom_muted'])


def main(args: Sequence[str] | None = None) -> None:
    """Run the simulated robot until it is told to end."""
    runtime.run(SimulatorNode, args)


if __name__ == '__main__':
    main()
