# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E402
"""
The controller under a lifecycle manager, and the guardrail behind a twist_mux, over real DDS.

Neither program can be had here: stand-ins make the calls of nav2_lifecycle_manager (navigation2
a3a9704) and pass messages on as twist_mux with use_stamped does (its pull request 50).
"""

import os
import signal
import time

import pytest

pytest.importorskip('rclpy', reason='needs rclpy')

from geometry_msgs.msg import TwistStamped
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from std_msgs.msg import Bool
import yaml

from wm_controller.nodes import qos
from wm_controller.nodes.conversions import to_stamp
from wm_controller.resources import find_config

SERVICE_TIMEOUT_S = 5.0
"""The manager's `service_timeout`: for finding a service, and for the answer of get_state."""


class Manager:
    """The calls of nav2_lifecycle_manager on one node, with bond_timeout 0.0."""

    REACHES = {Transition.TRANSITION_CONFIGURE: State.PRIMARY_STATE_INACTIVE,
               Transition.TRANSITION_CLEANUP: State.PRIMARY_STATE_UNCONFIGURED,
               Transition.TRANSITION_ACTIVATE: State.PRIMARY_STATE_ACTIVE,
               Transition.TRANSITION_DEACTIVATE: State.PRIMARY_STATE_INACTIVE,
               Transition.TRANSITION_UNCONFIGURED_SHUTDOWN: State.PRIMARY_STATE_FINALIZED}

    def __init__(self, probe):
        self._probe = probe
        create = probe.node.create_client
        self._change = create(ChangeState, 'controller/change_state')
        self._state = create(GetState, 'controller/get_state')

    def change(self, *transitions):
        """Ask for one after the other, as `changeStateForNode` does; seconds of the longest."""
        longest = 0.0
        for transition in transitions:
            begin = time.monotonic()
            self._ask(self._change, ChangeState.Request(transition=Transition(id=transition)),
                      60.0)  # the manager itself waits for as long as it takes
            longest = max(longest, time.monotonic() - begin)
            assert self.state() == self.REACHES[transition]
        return longest

    def startup(self):
        return self.change(Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE)

    def state(self):
        return self._ask(self._state, GetState.Request(), SERVICE_TIMEOUT_S).current_state.id

    def found(self):
        return self._state.service_is_ready()

    def live(self):
        """Ask once a second until it answers, as `checkBondRespawnConnection` does."""
        for _ in range(60):
            future = self._state.call_async(GetState.Request())
            self._probe.spin(1.0)
            if future.done():
                return True
            self._state.remove_pending_request(future)
        return False

    def _ask(self, client, request, timeout_s):
        self._probe.until(client.service_is_ready, SERVICE_TIMEOUT_S, client.srv_name)
        future = client.call_async(request)
        self._probe.until(future.done, timeout_s, f'the answer of {client.srv_name}')
        return future.result()


def test_a_lifecycle_manager_brings_it_up_down_and_back_after_a_crash(probe, spawn_node):
    unmanaged = ['--ros-args', '-p', 'autostart:=false']
    manager = Manager(probe)
    node = spawn_node('wm_controller.nodes.controller', *unmanaged, '-p', 'model:=indoor')
    probe.until(manager.found, 60.0, 'the controller')
    assert manager.state() == State.PRIMARY_STATE_UNCONFIGURED  # autostart false: it waits
    print(f'configure with the shipped model: {manager.startup():.1f} s')
    os.kill(node.pid, signal.SIGKILL)
    node.wait()
    # started again, with a driver that loads in no time
    spawn_node('steering_controller', *unmanaged, PYTHONPATH=os.path.dirname(__file__))
    assert manager.live()
    assert manager.state() == State.PRIMARY_STATE_UNCONFIGURED
    manager.startup()
    # pause, resume, reset and start, as the buttons of Nav2's panel; then shutdown
    manager.change(Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_ACTIVATE,
                   Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_CLEANUP)
    manager.startup()
    manager.change(Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_CLEANUP,
                   Transition.TRANSITION_UNCONFIGURED_SHUTDOWN)


class Mux:
    """
    Stand-in for twist_mux, configured by the file that ships.

    A message goes out as it came, at once, if its topic ranks highest among those heard within
    their time-out and not below a lock that is set; else nothing goes out.
    """

    def __init__(self, probe):
        with open(find_config('twist_mux'), encoding='utf-8') as stream:
            given = yaml.safe_load(stream)['twist_mux']['ros__parameters']
        assert given['use_stamped'] is True
        self.topics, self.locked, self.heard = given['topics'], {}, {}
        self._out = probe.publisher(TwistStamped, 'cmd_vel_teleop', qos.COMMAND, 60.0)
        for name, topic in self.topics.items():
            probe.node.create_subscription(
                TwistStamped, topic['topic'], lambda m, name=name: self._on_command(name, m), 10)
        for lock in given['locks'].values():
            probe.node.create_subscription(
                Bool, lock['topic'],
                lambda m, lock=lock: self.locked.update({lock['priority']: m.data}), 10)

    def _on_command(self, name, message):
        self.heard[name] = time.monotonic()
        floor = max((rank for rank, shut in self.locked.items() if shut), default=0)
        live = {other: topic['priority'] for other, topic in self.topics.items()
                if time.monotonic() - self.heard.get(other, -1e9) <= topic['timeout']
                and topic['priority'] >= floor}
        if live and name == max(live, key=live.__getitem__):
            self._out.publish(message)


def test_behind_a_mux_the_guardrail_has_the_last_word(probe, spawn_node):
    spawn_node('wm_controller.nodes.guardrail', '--ros-args', '-p', 'odom_required:=false')
    out = probe.listen(TwistStamped, 'cmd_vel', qos.COMMAND, lambda m: m.twist.linear.x)
    mux = Mux(probe)
    operators = {name: probe.publisher(TwistStamped, topic['topic'])
                 for name, topic in mux.topics.items()}
    lock = probe.publisher(Bool, 'pause_teleop')

    def hold(age=0.0, until=lambda: False, **speeds):
        """Let operators command these speeds until the condition holds."""
        end = time.monotonic() + 15.0
        while not until():
            assert time.monotonic() < end, f'in vain: {speeds}, {out[-3:]}'
            for name, speed in speeds.items():
                message = TwistStamped()
                message.header.stamp = to_stamp(
                    probe.node.get_clock().now().nanoseconds * 1e-9 - age)
                message.header.frame_id = 'base_link'
                message.twist.linear.x = speed
                operators[name].publish(message)
            probe.spin(0.05)

    hold(keyboard=0.2, until=lambda: out and out[-1] == pytest.approx(0.2))
    hold(joystick=-0.1, keyboard=0.2, until=lambda: out[-1] == pytest.approx(-0.1))
    # far over the limit: the mux passes it on, the guardrail does not
    hold(joystick=3.0, until=lambda: out[-1] == pytest.approx(0.5))
    assert max(out) <= 0.5 + 1e-9
    # old when it was sent: the mux counts from receipt, the guardrail from the stamp
    hold(joystick=0.4, age=1.0, until=lambda: out[-1] == 0.0)
    hold(joystick=0.4, until=lambda: out[-1] == pytest.approx(0.4))
    # a lock silences the mux; silence is no stop, so the guardrail brakes, and goes on saying zero
    lock.publish(Bool(data=True))
    hold(joystick=0.4, until=lambda: out[-1] == 0.0)
    before = len(out)
    probe.spin(0.4)
    assert len(out) > before + 10 and set(out[before:]) == {0.0}
