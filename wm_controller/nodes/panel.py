# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
The operator's web panel as a node: it hears the graph for the page and speaks for it.

ROS spins here, the page is served by a thread of its own (`panel/server.py`); between them stands
`panel/latest.py`. The stick's commands go out from a timer here, on steady time, so that a page or
a web server that hangs is a released dead-man.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseStamped, TwistStamped
from nav_msgs.msg import Odometry, Path
from rcl_interfaces.srv import GetParameters
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image, LaserScan
from std_msgs.msg import Float32
from visualization_msgs.msg import MarkerArray

from wm_controller.errors import InputError
from wm_controller.nodes import qos, runtime
from wm_controller.nodes.conversions import read_odometry, scan_points
from wm_controller.nodes.panel_parameters import SPECS, take_token
from wm_controller.nodes.panel_readers import (
    AREAS,
    flat,
    read_areas,
    read_goal_pose,
    read_markers,
    read_path,
)
from wm_controller.nodes.panel_robot import PanelRobot, pixels
from wm_controller.nodes.report import Complaints
from wm_controller.nodes.sensor_frame import Mount, SensorFrame
from wm_controller.panel.access import find_token
from wm_controller.panel.dead_man import DeadMan, Stick
from wm_controller.panel.events import EventLog
from wm_controller.panel.frames import Stream
from wm_controller.panel.latest import Latest
from wm_controller.panel.picture import to_jpeg
from wm_controller.panel.snapshot import FRESH_S
from wm_controller.safety.geometry import to_parent

STICK_HZ = 20.0
HOUSEKEEPING_S = 0.2
AREAS_S = 5.0


@dataclass(frozen=True)
class _Topic:
    """What is heard only while somebody looks at it."""

    name: str
    kind: type
    topic: str
    profile: Any
    callback: Callable[[Any], None]


class PanelNode(Node):
    """Serves the page."""

    def __init__(self) -> None:
        super().__init__('panel')
        token = take_token(self)
        self._values = value = runtime.declare(self, SPECS)
        token = find_token(value['host'], token, value['token_file'])
        self._latest, self._log = Latest(), EventLog()
        self._complaints = Complaints(self.get_logger().warning)
        self._scanner = SensorFrame(self, value['base_frame'], Mount.planar(0.0, 0.0, 0.0))
        self._dead_man = DeadMan(Stick(
            value['max_linear_velocity'], value['min_linear_velocity'],
            value['max_angular_velocity'], value['slow_share']))
        self._teleop = self.create_publisher(TwistStamped, 'cmd_vel_teleop', qos.COMMAND)
        self._robot = PanelRobot(self, self._latest, value['odom_frame'], value['base_frame'])
        self._limits_service: Any = self.create_client(
            GetParameters, 'guardrail/get_parameters')
        self._areas_due_s = 0.0
        self._listening: dict[str, Any] = {}
        self._topics = self._make_topics()
        for kind, topic, profile, callback in (
                (DiagnosticStatus, 'guardrail/status', qos.STATUS, self._on_guardrail),
                (DiagnosticStatus, 'controller/status', qos.STATUS, self._on_controller),
                (DiagnosticArray, '/diagnostics', qos.STATE, self._on_diagnostics)):
            self.create_subscription(
                kind, topic, self._complaints.guarded(topic, callback), profile)
        self._server = self._serve(token)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(1.0 / STICK_HZ, self._drive, clock=steady)
        self.create_timer(HOUSEKEEPING_S, self._keep_house, clock=steady)
        self._log.add('info', 'panel started')
        self.get_logger().info(f"http://{value['host']}:{self._server.port}/"
                               + (' (with a token)' if token else ' (this machine only)'))

    def _serve(self, token: str) -> Any:
        try:
            from wm_controller.panel.server import Panel, Server
        except ImportError as error:
            raise InputError(f'the panel needs NiceGUI ({error}): pip install nicegui, or '
                             "'wm_controller[panel]'") from None
        value = self._values
        streams = {
            name: Stream(self._latest, name, lambda message: to_jpeg(
                pixels(message), value['image_width']), value['image_rate'])
            for name in ('camera', 'imagination')}
        panel = Panel(self._robot, self._latest, self._log, self._dead_man, streams,
                      value['slow_share'])
        return Server(panel, value['host'], value['port'], token, value['allowed_hosts'])

    # What is heard

    def _make_topics(self) -> tuple[_Topic, ...]:
        def keep(name: str) -> Callable[[Any], None]:
            return lambda message: self._latest.put(name, message)

        def path(name: str) -> Callable[[Any], None]:
            return lambda message: self._latest.put(
                name, read_path(message, self._values['odom_frame']))

        camera: tuple[type, str] = ((Image, 'image') if self._values['image_transport'] == 'raw'
                                    else (CompressedImage, 'image/compressed'))
        return (
            _Topic('camera', *camera, qos.IMAGE, keep('camera')),
            _Topic('imagination', Image, 'imagination', qos.IMAGE, keep('imagination')),
            _Topic('odom', Odometry, 'odom', qos.SENSOR, self._on_odometry),
            _Topic('scan', LaserScan, 'scan', qos.SENSOR, self._on_scan),
            _Topic('plan', Path, 'plan', qos.COMMAND, path('plan')),
            _Topic('plan_far', Path, 'plan_far', qos.COMMAND, path('plan_far')),
            _Topic('memory', MarkerArray, 'memory', qos.STATE, self._on_memory),
            _Topic('surprise', Float32, 'surprise', qos.COMMAND, self._on_surprise),
            _Topic('goal', PoseStamped, 'goal_pose', qos.COMMAND, self._on_goal),
        )

    def _on_guardrail(self, message: DiagnosticStatus) -> None:
        values = _values_of(message)
        if values.get('mode') in ('hold', 'stopped'):
            values['because'] = message.message  # in words
        self._latest.put('guardrail', values)
        self._log.guardrail(values)

    def _on_controller(self, message: DiagnosticStatus) -> None:
        values = _values_of(message)
        self._latest.put('controller', values)
        self._log.controller(values)
        if not values.get('goal', '').startswith('pose') and self._latest.get('goal') is not None:
            self._latest.put('goal', None)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        own = self.get_namespace().rstrip('/')
        for status in message.status:
            node = status.name.partition(':')[0]
            if node in (f'{own}/controller', f'{own}/guardrail'):
                self._log.complaint(node.rsplit('/', 1)[-1],
                                    _values_of(status).get('last_complaint', ''))

    def _on_odometry(self, message: Odometry) -> None:
        reading = read_odometry(message, self._values['odom_frame'], self._values['base_frame'])
        self._latest.put('odom', (*map(float, reading.pose), *map(float, reading.twist)))

    def _on_scan(self, message: LaserScan) -> None:
        odom = self._latest.value('odom', time.monotonic(), FRESH_S['odom'])
        if odom is not None:
            points = self._scanner.mount(message.header.frame_id).to_base(scan_points(message))
            self._latest.put('scan', flat(to_parent(odom[:3], points)))

    def _on_memory(self, message: MarkerArray) -> None:
        self._latest.put('memory', read_markers(message, self._values['odom_frame']))

    def _on_surprise(self, message: Float32) -> None:
        if 0.0 <= message.data <= 1.0:
            self._latest.put('surprise', float(message.data))

    def _on_goal(self, message: PoseStamped) -> None:
        goal = read_goal_pose(message, self._values['odom_frame'])
        known = self._latest.get('goal')
        if known is None or known.value is None or known.value[:2] != goal[:2]:
            self._latest.put('goal', goal)  # else it is ours: it knows whether a heading was asked

    # What goes on by itself

    def _drive(self) -> None:
        """Say what the stick says; most of the time nothing."""
        command = self._dead_man.command(time.monotonic())
        if command is None:
            return
        message = TwistStamped()
        message.header.stamp = self.get_clock().now().to_msg()
        message.header.frame_id = self._values['base_frame']
        message.twist.linear.x, message.twist.angular.z = command
        self._teleop.publish(message)

    def _keep_house(self) -> None:
        """Listen to what is looked at, and to nothing else; give up what nobody answers."""
        if not self._server.alive:
            raise RuntimeError('the web server has ended')
        now = time.monotonic()
        for each in self._topics:
            wanted = self._latest.wanted(each.name, now)
            if wanted and each.name not in self._listening:
                self._listening[each.name] = self.create_subscription(
                    each.kind, each.topic,
                    self._complaints.guarded(each.topic, each.callback), each.profile)
            elif not wanted and each.name in self._listening:
                self.destroy_subscription(self._listening.pop(each.name))
        if now >= self._areas_due_s and self._latest.wanted('areas', now):
            self._areas_due_s = now + AREAS_S
            self._ask_areas()
        self._robot.give_up(now)

    def _ask_areas(self) -> None:
        if not self._limits_service.service_is_ready():
            return
        def take(done: Any) -> None:
            values = dict(zip(AREAS, done.result().values))
            self._latest.put('areas', read_areas(values))
            mount = [values[name].double_value for name in ('scan_x', 'scan_y', 'scan_yaw')]
            self._scanner.place(Mount.planar(*mount))

        self._robot.ask(self._limits_service, GetParameters.Request(names=list(AREAS)),
                        self._complaints.guarded('guardrail/get_parameters', take))

    def last_word(self) -> None:
        """Let go of the stick, say so, and end the page."""
        self._dead_man.end()
        self._drive()
        self._server.close()


def _values_of(message: DiagnosticStatus) -> dict[str, str]:
    return {pair.key: pair.value for pair in message.values}


def main(args: Sequence[str] | None = None) -> None:
    """Run the panel until it is told to end."""
    runtime.run(PanelNode, args)


if __name__ == '__main__':
    main()
