# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
A pad as `cmd_vel_teleop`: while its dead-man is held, and not a moment longer.

It is thin: `teleop/joystick.py` decides. The pad comes as `joy` from ROS's joy_node, or by pygame
where nobody publishes that. Parameters are named as in teleop_twist_joy; the dead-man
(`enable_button`) is always required, and turbo is held beside it, not in its place.
"""

from __future__ import annotations

from collections.abc import Sequence
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import TwistStamped
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from sensor_msgs.msg import Joy
from std_msgs.msg import Bool
from std_srvs.srv import SetBool, Trigger

from wm_controller.errors import InputError
from wm_controller.nodes import qos, runtime
from wm_controller.nodes.report import Complaints, OK, to_diagnostics, to_status, WARN
from wm_controller.teleop.joystick import InvalidLayout, Joystick, Layout, Output
from wm_controller.teleop.pygame_pad import PygamePad

REPORT_S = 1.0
AUTO_WAIT_S = 2.0  # for somebody to publish joy, before a pad is looked for by pygame
LAST_WORDS, LAST_WORD_S = 3, 0.01

_LAYOUT = Layout()


def _number(name: str, default: int, what: str) -> runtime.Spec:
    return runtime.Spec(name, default, f'number of the {what}; -1: none', -1, 63, fixed=True)


def _speed(name: str, default: float, what: str, unit: str, most: float) -> runtime.Spec:
    return runtime.Spec(name, default, f'{what} at full deflection; negative where the axis is '
                        'upside down', -most, most, unit=unit, fixed=True)


# Parameter -> field of Layout.
FIELDS = {
    'axis_linear.x': 'linear_axis', 'axis_angular.yaw': 'angular_axis',
    'scale_linear.x': 'linear', 'scale_linear_turbo.x': 'linear_turbo',
    'scale_angular.yaw': 'angular', 'scale_angular_turbo.yaw': 'angular_turbo',
    'enable_button': 'deadman', 'enable_turbo_button': 'turbo', 'stop_button': 'stop',
    'autonomy_button': 'autonomy', 'reset_button': 'reset',
    'deadzone': 'deadzone', 'exponent': 'exponent', 'joy_timeout_s': 'timeout_s',
}

SPECS = (
    runtime.Spec('device', 'auto', 'where the pad is read: topic joy, by pygame, or auto: by '
                 'pygame while nobody publishes joy', choices=('auto', 'joy', 'pygame'),
                 fixed=True),
    _number('axis_linear.x', _LAYOUT.linear_axis, 'axis that drives; up is positive'),
    _number('axis_angular.yaw', _LAYOUT.angular_axis, 'axis that turns; left is positive'),
    _speed('scale_linear.x', _LAYOUT.linear, 'speed', 'm/s', 5.0),
    _speed('scale_linear_turbo.x', _LAYOUT.linear_turbo, 'speed with turbo', 'm/s', 5.0),
    _speed('scale_angular.yaw', _LAYOUT.angular, 'turning', 'rad/s', 10.0),
    _speed('scale_angular_turbo.yaw', _LAYOUT.angular_turbo, 'turning with turbo', 'rad/s', 10.0),
    runtime.Spec('enable_button', _LAYOUT.deadman, 'number of the dead-man, which is always '
                 'required', 0, 63, fixed=True),
    _number('enable_turbo_button', _LAYOUT.turbo, 'button held beside the dead-man for turbo'),
    _number('stop_button', _LAYOUT.stop, 'button of the emergency stop'),
    _number('autonomy_button', _LAYOUT.autonomy, 'button that hands back to autonomy: held for '
            '0.5 s, with the dead-man released'),
    _number('reset_button', _LAYOUT.reset, 'button that clears an emergency stop, held likewise'),
    runtime.Spec('deadzone', _LAYOUT.deadzone, 'deflection that counts as none; more than the '
                 'drift of the stick', 0.02, 0.5, fixed=True),
    runtime.Spec('exponent', _LAYOUT.exponent, 'of the curve from deflection to speed; 1: '
                 'straight', 1.0, 3.0, fixed=True),
    runtime.Spec('joy_timeout_s', _LAYOUT.timeout_s, 'a pad silent for so long counts as let go; '
                 'joy_node repeats itself every 0.05 s (autorepeat_rate)', 0.1, 0.5, unit='s',
                 fixed=True),
    runtime.Spec('rate', 50.0, 'at most so many commands, and so often a pad is read by pygame',
                 10.0, 200.0, unit='Hz', fixed=True),
    runtime.Spec('base_frame', 'base_link', 'frame of the commands', fixed=True),
)


class JoystickNode(Node):
    """Publishes what the pad commands, and calls the guardrail's services for its buttons."""

    def __init__(self) -> None:
        super().__init__('joystick')
        values = runtime.declare(self, SPECS)
        try:
            layout = Layout(period_s=1.0 / values['rate'],
                            **{field: values[name] for name, field in FIELDS.items()})
        except InvalidLayout as error:
            raise InputError(str(error)) from None
        self._device, self._frame = values['device'], values['base_frame']
        self._logic = Joystick(layout)
        self._complaints = Complaints(self.get_logger().warning)
        self._pad = PygamePad() if self._device == 'pygame' else None
        self._without_pygame = ''
        self._made = time.monotonic()
        self._output: Output | None = None
        self._messages = self._commands = 0
        create = self.create_publisher
        self._cmd_vel = create(TwistStamped, 'cmd_vel_teleop', qos.COMMAND)
        self._emergency_stop = create(Bool, 'emergency_stop', qos.STATE)
        self._diagnostics = create(DiagnosticArray, '/diagnostics', qos.STATE)
        self._guardrail: dict[str, Any] = {
            name: self.create_client(kind, f'guardrail/{name}') for name, kind in (
                ('emergency_stop', Trigger), ('reset', Trigger), ('enable', SetBool))}
        if self._device != 'pygame':
            self.create_subscription(Joy, 'joy', self._on_joy, qos.STATE)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(layout.period_s, self._on_timer, clock=steady)
        self.create_timer(REPORT_S, self._report, clock=steady)
        self.get_logger().info(f'dead-man is button {layout.deadman}; up to {layout.linear:g} m/s')

    def _now(self) -> tuple[float, float]:
        """ROS time and steady time, s."""
        return self.get_clock().now().nanoseconds * 1e-9, time.monotonic()

    # Inputs

    def _on_joy(self, message: Joy) -> None:
        if self._pad is not None:  # the topic wins over a pad that was read in its absence
            self._close_pad('somebody publishes joy')
        stamp = message.header.stamp
        self._take(message.axes, message.buttons, stamp.sec + 1e-9 * stamp.nanosec)

    def _on_timer(self) -> None:
        if self._pad is not None:
            reading = self._pad.read()
            if reading is None:
                self._logic.lose('no pad is plugged in')
            else:
                self._take(*reading, self._now()[0])
                return
        self._act()

    def _take(self, axes: Sequence[float], buttons: Sequence[int], stamp: float) -> None:
        self._messages += 1
        fault = self._logic.on_joy(axes, buttons, stamp, *self._now())
        if fault:
            self._complaints('joy', f'joy: {fault}')
        self._act()

    # Outputs

    def _act(self) -> None:
        before, output = self._output, self._logic.step(*self._now())
        self._output = output
        if output.stop:
            self._emergency_stop.publish(Bool(data=True))
        if output.command is not None:
            self._publish(*output.command)
        if output.stop and not (before and before.stop):
            self._call('emergency_stop', Trigger.Request())
        if output.autonomy:
            self._call('enable', SetBool.Request(data=True))
        if output.reset:
            self._call('reset', Trigger.Request())
        if before is None or before.state != output.state:
            self._say(output.state not in ('absent', 'centre'), output.text)

    def _publish(self, v: float, w: float) -> None:
        message = TwistStamped()
        message.header.stamp = self.get_clock().now().to_msg()
        message.header.frame_id = self._frame
        message.twist.linear.x, message.twist.angular.z = float(v), float(w)
        self._cmd_vel.publish(message)
        self._commands += 1

    def _call(self, service: str, request: Any) -> None:
        client = self._guardrail[service]
        if not client.service_is_ready():
            self.get_logger().error(f'{client.srv_name}: nobody answers; is the guardrail up?')
            return
        client.call_async(request).add_done_callback(
            lambda future: self._on_answer(client.srv_name, future))

    def _on_answer(self, name: str, future: Any) -> None:
        if future.exception() is not None:
            self._say(False, f'{name}: {future.exception()}')
            return
        answer = future.result()
        self._say(answer.success, f'{name}: {answer.message}')

    def _say(self, fine: bool, line: str) -> None:
        if fine:  # rclpy wants one severity for each line of code that logs
            self.get_logger().info(line)
        else:
            self.get_logger().warning(line)

    # Where the pad is read, and what is said of it

    def _choose_device(self) -> None:
        if self._device != 'auto' or time.monotonic() - self._made < AUTO_WAIT_S:
            return
        published = self.count_publishers('joy') > 0
        if published and self._pad is not None:
            self._close_pad('somebody publishes joy')
        elif not published and self._pad is None and not self._without_pygame:
            try:
                self._pad = PygamePad()
                self._logic.lose('nobody publishes joy: looking for a pad by pygame')
            except InputError as error:
                self._without_pygame = str(error)
                self._complaints('joy', f'nobody publishes joy; {error}')

    def _close_pad(self, why: str) -> None:
        assert self._pad is not None
        self._pad.close()
        self._pad = None
        self._logic.lose(why)

    def _report(self) -> None:
        self._choose_device()
        output = self._output
        state, text = (output.state, output.text) if output else ('absent', 'starting')
        self._diagnostics.publish(to_diagnostics(self._now()[0], to_status(
            f'{self.get_fully_qualified_name()}: joystick',
            WARN if state in ('absent', 'centre') else OK, text, {
                'state': state, 'device': 'pygame' if self._pad is not None else 'joy',
                'pad': self._pad.name if self._pad is not None else '',
                'messages': self._messages, 'commands': self._commands,
                'losses': self._logic.losses, 'last_complaint': self._complaints.last})))

    def last_word(self) -> None:
        """Let go, in so many words."""
        self._logic.lose('the node ends')
        if self._logic.step(*self._now()).command is None:
            return
        for _ in range(LAST_WORDS):
            self._publish(0.0, 0.0)
            time.sleep(LAST_WORD_S)


def main(args: Sequence[str] | None = None) -> None:
    """Run the joystick until it is told to end."""
    runtime.run(JoystickNode, args)


if __name__ == '__main__':
    main()
