# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E402
"""The joystick node before a real guardrail: taking over, pulling the plug, handing back."""

import time

import pytest

pytest.importorskip('rclpy')

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import TwistStamped
from sensor_msgs.msg import Joy

from ros_probe import Probe, values_of
from wm_controller.nodes import qos

NODE, GUARDRAIL = 'wm_controller.nodes.joystick', 'wm_controller.nodes.guardrail'
PERIOD, JOY_TIMEOUT = 0.02, 0.25
SLACK = 0.1  # for a machine that does other things beside
DEADMAN, STOP, AUTONOMY = 4, 1, 7


class Bench:
    """A planner that drives at 0.2 m/s, and an operator's pad, both as topics."""

    def __init__(self, probe):
        self.probe = probe
        self.out = probe.listen(TwistStamped, 'cmd_vel', qos.COMMAND, keep=lambda m: (
            time.monotonic(), m.twist.linear.x, m.twist.angular.z))
        self.teleop = probe.listen(TwistStamped, 'cmd_vel_teleop', keep=lambda m: (
            time.monotonic(), m.twist.linear.x))
        self.modes = probe.listen(
            DiagnosticStatus, 'guardrail/status', qos.STATUS,
            keep=lambda m: (time.monotonic(), values_of(m)['mode']))
        self.figures = probe.listen(DiagnosticArray, '/diagnostics')
        self.joy = probe.publisher(Joy, 'joy')
        self.auto = probe.publisher(TwistStamped, 'cmd_vel_auto')

    def stamp(self):
        return self.probe.node.get_clock().now().to_msg()

    def plan(self):
        message = TwistStamped()
        message.header.stamp, message.header.frame_id = self.stamp(), 'base_link'
        message.twist.linear.x = 0.2
        self.auto.publish(message)

    def hold(self, linear=0.0, *down, axes=6):
        buttons = [int(n in down) for n in range(11)]
        message = Joy(axes=[0.0] * axes, buttons=buttons if axes else [])
        message.header.stamp = self.stamp()
        if axes:
            message.axes[1] = linear
        self.joy.publish(message)

    def run(self, until, what, *acts, timeout_s=10.0):
        """Act every 50 ms until a condition; return the seconds it took."""
        begin = time.monotonic()
        while not until():
            assert time.monotonic() - begin < timeout_s, f'waited in vain for {what}'
            for act in acts:
                act()
            self.probe.spin(0.05)
        return time.monotonic() - begin

    @property
    def mode(self):
        return self.modes[-1][1] if self.modes else None

    @property
    def speed(self):
        return self.out[-1][1] if self.out else None


@pytest.fixture
def bench(ros_domain, spawn_node):
    with Probe() as probe:
        limits = ['-p', 'odom_required:=false']
        spawn_node(GUARDRAIL, '--ros-args', *limits)
        node = spawn_node(NODE, '--ros-args', '-p', 'device:=joy')
        made = Bench(probe)
        made.node = node
        yield made
        assert node.poll() is None, node.log.read_text()


def test_takeover_unplugging_and_handing_back(bench):
    bench.run(lambda: bench.speed == 0.2, 'autonomy to drive', bench.plan, bench.hold)
    pressed = time.monotonic()
    bench.hold(0.0, DEADMAN)
    bench.probe.until(lambda: bench.mode == 'teleop', what='the takeover')
    took_s = next(at for at, mode in bench.modes if mode == 'teleop') - pressed
    print(f'takeover after {1e3 * took_s:.1f} ms')
    assert took_s < PERIOD + SLACK

    forward = [lambda: bench.hold(0.5, DEADMAN), bench.plan]
    bench.run(lambda: bench.speed and bench.speed > 0.05, 'the stick to drive', *forward)
    bench.run(lambda: False if len(bench.out) < 5 else bench.out[-1][1] == bench.out[-5][1],
              'a steady speed', *forward)
    steady = bench.speed
    unplugged = time.monotonic()  # joy falls silent with the stick held; autonomy still talks
    bench.run(lambda: bench.speed == 0.0, 'standing', bench.plan)
    braked_s = next(at for at, v, _ in bench.out if at > unplugged and v < steady) - unplugged
    print(f'braking {1e3 * braked_s:.0f} ms after the last message')
    assert braked_s < JOY_TIMEOUT + PERIOD + SLACK
    assert bench.teleop[-1][1] == 0.0
    sent = len(bench.teleop)

    bench.run(lambda: len(bench.out) > 100 and time.monotonic() - unplugged > 1.0,
              'a second of the stick held after plugging in', *forward)
    assert len(bench.teleop) == sent and bench.speed == 0.0
    bench.run(lambda: bench.mode == 'hold', 'hold', bench.plan, bench.hold)
    bench.run(lambda: bench.speed == 0.2, 'autonomy after its button was held', bench.plan,
              lambda: bench.hold(0.0, AUTONOMY))
    bench.hold(0.0, STOP)
    bench.run(lambda: bench.mode == 'stopped' and bench.speed == 0.0, 'the stop', bench.plan)


def test_what_joy_node_sends_after_unplugging_is_a_release(bench):
    bench.run(lambda: any(v > 0.0 for _, v in bench.teleop), 'the stick to drive', bench.hold,
              lambda: bench.probe.spin(0.05), lambda: bench.hold(0.3, DEADMAN))
    bench.hold(axes=0)
    bench.probe.until(lambda: bench.teleop[-1][1] == 0.0, what='the zero')

    bench.probe.until(lambda: any(
        status.name == '/joystick: joystick' and status.message == 'no pad: unplugged'
        and values_of(status)['state'] == 'absent'
        for message in bench.figures for status in message.status), what='the diagnostics')
    sent = len(bench.teleop)
    for _ in range(10):  # plugged in again, with the dead-man still held
        bench.hold(0.3, DEADMAN)
        bench.probe.spin(0.05)
    assert len(bench.teleop) == sent


@pytest.mark.parametrize(('argument', 'says'), [
    ('enable_button:=-1', 'enable_button'),
    ('stop_button:=4', 'button 4 is mapped more than once')])
def test_a_wrong_parameter_is_one_line(spawn_node, argument, says):
    node = spawn_node(NODE, '--ros-args', '-p', argument)
    assert node.wait(20) == 2
    lines = node.log.read_text().splitlines()
    assert len(lines) == 1 and says in lines[0]


def test_without_joy_and_without_a_pad_pygame_waits_and_says_so(spawn_node, probe):
    node = spawn_node(NODE, '--ros-args')
    figures = probe.listen(DiagnosticArray, '/diagnostics')
    probe.until(lambda: any(status.message == 'no pad: no pad is plugged in'
                            and values_of(status)['device'] == 'pygame'
                            for message in figures for status in message.status),
                what='a pad to be looked for by pygame')
    assert node.poll() is None
