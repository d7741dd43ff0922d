# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
The guardrail as a node: alone between every command source and the wheels.

It is thin: `safety/guard.py` decides. `cmd_vel` goes out at a fixed rate on steady time, always,
and at once on every command, scan and stop; also when `/clock` stands still or nobody commands.
A flood of messages makes no flood of commands: few a period are answered at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
import math
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import Twist, TwistStamped
from nav_msgs.msg import Odometry
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.parameter import Parameter
from sensor_msgs.msg import LaserScan
from std_msgs.msg import Bool, Float32
from std_srvs.srv import SetBool, Trigger

from wm_controller.errors import InputError
from wm_controller.nodes import qos, real_time, runtime
from wm_controller.nodes.command_types import wrong_types
from wm_controller.nodes.conversions import (
    BASE_FRAMES,
    frame_name,
    read_odometry,
    scan_beams,
    scan_points,
    seconds,
)
from wm_controller.nodes.guardrail_parameters import InvalidLimit, limits_of, SPECS
from wm_controller.nodes.report import Complaints, ERROR, OK, to_diagnostics, to_status, WARN
from wm_controller.nodes.sensor_frame import Mount, SensorFrame
from wm_controller.safety.guard import Guard, Verdict
from wm_controller.safety.guardrails import SMOOTHING
from wm_controller.safety.tracking import Command
from wm_controller.safety.view import View

REPORT_S = 1.0
# A step takes a millisecond, at a priority above all else: a thousand messages a second, each
# answered, would leave the planner and the base no processor.
ANSWERS_PER_PERIOD = 5
LAST_WORDS, LAST_WORD_S = 5, 0.01
LONGEST_BRAKING_S = 3.0
ALARMING = ('emergency_stop', 'clock', 'odom_timeout', 'scan_timeout', 'sensor_range', 'stuck',
            'slip', 'tilt')


class GuardrailNode(Node):
    """Passes commands on as far as every guardrail allows."""

    def __init__(self) -> None:
        super().__init__('guardrail')
        self._values = runtime.declare(self, SPECS)
        try:
            limits = limits_of(self._values)
        except InvalidLimit as error:
            raise InputError(str(error)) from None
        self._guard = Guard(limits, bool(self.get_parameter('use_sim_time').value))
        self._complaints = Complaints(self.get_logger().warning)
        self._verdict = Verdict(0.0, 0.0, 'hold', 'none', (), 0.0)
        self._status_key: tuple[str, ...] | None = None
        self._published, self._slowest_ms, self._longest_gap_ms = 0, 0.0, 0.0
        self._last_publication = time.monotonic()
        self._answers = 0  # since the period began
        value = self._values
        self._stamped = value['enable_stamped_cmd_vel']
        self._scanner = SensorFrame(
            self, value['base_frame'],
            Mount.planar(value['scan_x'], value['scan_y'], value['scan_yaw']))
        self._cmd_vel = self.create_publisher(
            TwistStamped if self._stamped else Twist, 'cmd_vel', qos.COMMAND)
        self._status = self.create_publisher(DiagnosticStatus, 'guardrail/status', qos.STATUS)
        self._diagnostics = self.create_publisher(DiagnosticArray, '/diagnostics', qos.STATE)
        self._listen()
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(1.0 / limits.rate, self._begin_period, clock=steady)
        self.create_timer(REPORT_S, self._report, clock=steady)
        self.add_on_set_parameters_callback(self._check_parameters)
        self.add_post_set_parameters_callback(self._take_parameters)
        # rclpy's first log line takes 50 ms to find its caller: now, not in an emergency.
        self.get_logger().info(f'{limits.rate:g} Hz, at most {limits.max_linear_velocity:g} m/s, '
                               f'full stop within {limits.stopping_distance():.2f} m')
        self._decide()

    def _listen(self) -> None:
        def subscribe(kind: type, topic: str, callback: Callable[[Any], None], profile: Any
                      ) -> None:
            self.create_subscription(
                kind, topic, self._complaints.guarded(topic, callback, self._guard.drop), profile)

        for source in ('auto', 'teleop'):
            subscribe(TwistStamped, f'cmd_vel_{source}', partial(self._on_command, source),
                      qos.COMMAND)
        subscribe(Odometry, 'odom', self._on_odometry, qos.SENSOR)
        subscribe(LaserScan, 'scan', self._on_scan, qos.SENSOR)
        subscribe(Float32, 'surprise', self._on_surprise, qos.COMMAND)
        subscribe(Float32, 'speed_scale', self._on_speed_scale, qos.COMMAND)
        # Not depth 1: a release right behind a stop must not push the stop out of the queue.
        subscribe(Bool, 'emergency_stop', self._on_emergency_stop, qos.STATE)
        self.create_service(Trigger, '~/emergency_stop', self._serve_stop)
        self.create_service(Trigger, '~/reset', self._serve_reset)
        self.create_service(SetBool, '~/enable', self._serve_enable)

    def _now(self) -> tuple[float, float]:
        """ROS time and steady time, s."""
        return self.get_clock().now().nanoseconds * 1e-9, time.monotonic()

    # Inputs

    def _on_command(self, source: str, message: TwistStamped) -> None:
        topic = f'cmd_vel_{source}'
        frame, base = frame_name(message.header.frame_id), self._values['base_frame']
        linear, angular = message.twist.linear, message.twist.angular
        numbers = (linear.x, linear.y, linear.z, angular.x, angular.y, angular.z)
        v, w = (linear.x, angular.z) if all(map(math.isfinite, numbers)) else (math.nan, math.nan)
        stamp = seconds(message.header.stamp, topic)
        # An empty frame is the base frame: keyboard and joystick teleop send that.
        if frame not in ('', base) and not (base in BASE_FRAMES and frame in BASE_FRAMES):
            self._guard.note_pressed(source, v, w, time.monotonic())
            self._drop(topic, 'wrong_frame', f"{topic}: frame_id is '{frame}', not '{base}'")
            return
        cause = self._guard.on_command(source, v, w, stamp, *self._now())
        if cause:
            self._complaints(topic, f'{topic}: dropped: {cause}')
            return
        self._answer()

    def _on_odometry(self, message: Odometry) -> None:
        reading = read_odometry(message, self._values['odom_frame'], self._values['base_frame'])
        cause = self._guard.on_odometry(
            reading.pose, (float(reading.twist[0]), float(reading.twist[1])), reading.stamp,
            *self._now(), tilt=reading.tilt)
        if cause:
            self._complaints('odom', f'odom: dropped: {cause}')

    def _on_scan(self, message: LaserScan) -> None:
        mount = self._scanner.mount(message.header.frame_id)
        points = mount.to_base(scan_points(message))
        view = View.of(mount.offset, scan_beams(message) @ mount.rotation.T,
                       message.angle_increment)
        sees = self._values['sensor_range'] or message.range_max
        cause = self._guard.on_scan(
            points, seconds(message.header.stamp, 'scan'), *self._now(),
            sees_m=sees - float(math.hypot(*mount.offset)), view=view)
        if cause:
            self._complaints('scan', f'scan: dropped: {cause}')
            return
        self._answer()

    def _on_surprise(self, message: Float32) -> None:
        cause = self._guard.on_surprise(float(message.data), time.monotonic())
        if cause:
            self._complaints('surprise', f'surprise: dropped: {cause} ({message.data})')

    def _on_speed_scale(self, message: Float32) -> None:
        cause = self._guard.on_speed_scale(float(message.data))
        if cause:
            self._complaints('speed_scale', f'speed_scale: dropped: {cause} ({message.data})')

    def _on_emergency_stop(self, message: Bool) -> None:
        if message.data:
            self._stop('on topic emergency_stop')

    def _stop(self, why: str) -> None:
        latched = self._guard.emergency_stop
        self._guard.on_emergency_stop(True)
        if latched:
            self._answer()
        else:
            self._decide()  # first the wheels, then the words
            self.get_logger().error(f'emergency stop {why}; ~/reset clears it')

    def _drop(self, topic: str, cause: str, line: str) -> None:
        self._guard.drop(topic, cause)
        self._complaints(topic, line)

    # Services

    def _serve_stop(self, _: Any, response: Any) -> Any:
        self._stop('by service')
        response.success, response.message = True, 'stopped; ~/reset clears it'
        return response

    def _serve_reset(self, _: Any, response: Any) -> Any:
        response.success, response.message = self._guard.reset(time.monotonic())
        return self._served('reset', response)

    def _serve_enable(self, request: Any, response: Any) -> Any:
        response.success, response.message = self._guard.enable(request.data, *self._now())
        return self._served('enable', response)

    def _served(self, service: str, response: Any) -> Any:
        self.get_logger().info(f'~/{service}: {response.message}')
        self._decide()
        return response

    # Parameters

    def _check_parameters(self, parameters: list[Parameter[Any]]) -> SetParametersResult:
        changed = {parameter.name: parameter.value for parameter in parameters}
        try:
            limits_of({**self._values, **changed})
        except (InvalidLimit, TypeError, ValueError) as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _take_parameters(self, _: list[Parameter[Any]]) -> None:
        self._values = runtime.values(self, SPECS)
        self._guard.limits = limits_of(self._values)

    # Outputs

    def _begin_period(self) -> None:
        self._answers = 0
        self._decide()

    def _answer(self) -> None:
        """Decide at once, if the period has not had its share; else the next period does."""
        late = time.monotonic() - self._last_publication > 1.0 / self._guard.limits.rate
        if late or self._answers < ANSWERS_PER_PERIOD:
            self._answers += 1
            self._decide()

    def _decide(self) -> None:
        """Publish the command of this moment, and the status if it has changed."""
        now_ros, now_steady = self._now()
        self._verdict = verdict = self._guard.step(now_ros, now_steady)
        self._publish(Command(verdict.v, verdict.w))
        after = time.monotonic()
        self._slowest_ms = max(self._slowest_ms, 1e3 * (after - now_steady))
        self._longest_gap_ms = max(
            self._longest_gap_ms, 1e3 * (now_steady - self._last_publication))
        self._last_publication = now_steady
        limiting = (name for name in verdict.reasons if name not in SMOOTHING)
        key = (verdict.mode, verdict.source, *limiting)
        if key != self._status_key:
            if self._status_key is not None and key[0] != self._status_key[0]:
                self.get_logger().info(
                    f'mode {self._status_key[0]} -> {key[0]}: {verdict.because}')
            self._status_key = key
            self._status.publish(self._status_message())

    def _publish(self, command: Command) -> None:
        message = TwistStamped() if self._stamped else Twist()
        twist = message.twist if self._stamped else message
        if self._stamped:
            message.header.stamp = self.get_clock().now().to_msg()
            message.header.frame_id = self._values['base_frame']
        twist.linear.x, twist.angular.z = float(command.v), float(command.w)
        self._cmd_vel.publish(message)
        self._published += 1

    def _status_message(self) -> DiagnosticStatus:
        verdict = self._verdict
        level = ERROR if set(ALARMING) & set(verdict.reasons) else (
            WARN if verdict.mode == 'hold' or set(verdict.reasons) - set(SMOOTHING) else OK)
        text = verdict.because if verdict.mode in ('hold', 'stopped') else (
            ', '.join(verdict.reasons) or 'nothing limits')
        return to_status(f'{self.get_fully_qualified_name()}: guardrail', level, text, {
            'mode': verdict.mode, 'source': verdict.source,
            'reasons': ','.join(verdict.reasons), 'limit': float(verdict.limit)})

    def _report(self) -> None:
        """Status and diagnostics, once a second, and what is wrong with the wiring."""
        for topic, line in wrong_types(self, self._stamped):
            self._complaints(topic, line)
        status = self._status_message()
        self._status.publish(status)
        figures: dict[str, Any] = {
            'published_hz': self._published / REPORT_S, 'slowest_step_ms': self._slowest_ms,
            'longest_gap_ms': self._longest_gap_ms, 'autonomy': self._guard.autonomy,
            'surprise': self._guard.surprise, 'speed_scale': self._guard.speed_scale,
            'v': self._verdict.v, 'w': self._verdict.w, **self._guard.measure(),
            **{f'dropped.{topic}.{cause}': count
               for (topic, cause), count in sorted(self._guard.dropped.items())}}
        if self._complaints.last:
            figures['last_complaint'] = self._complaints.last
        self._published, self._slowest_ms, self._longest_gap_ms = 0, 0.0, 0.0
        now_ros, _ = self._now()
        details = to_status(status.name, status.level, status.message, figures)
        details.values = [*status.values, *details.values]
        self._diagnostics.publish(to_diagnostics(now_ros, details))

    def last_word(self) -> None:
        """Brake to zero, within the limits, and say zero until it has surely been heard."""
        self._guard.end()
        until = time.monotonic() + LONGEST_BRAKING_S
        self._decide()
        while (self._verdict.v or self._verdict.w) and time.monotonic() < until:
            time.sleep(1.0 / self._guard.limits.rate)
            self._decide()
        for _ in range(LAST_WORDS):
            self._publish(Command())
            time.sleep(LAST_WORD_S)


def _on_time() -> GuardrailNode:
    """Make the node in a process that a busy computer does not delay, where it may be had."""
    node = GuardrailNode()
    priority = node.get_parameter('thread_priority').value
    refused = [real_time.lock_memory() if node.get_parameter('lock_memory').value else '',
               real_time.raise_priority(priority) if priority else '']
    for line in filter(None, refused):
        node.get_logger().warning(line)
    return node


def main(args: Sequence[str] | None = None) -> None:
    """Run the guardrail until it is told to end."""
    runtime.run(_on_time, args)


if __name__ == '__main__':
    main()
