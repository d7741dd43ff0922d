# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Nodes that die, hang, are slow or starved, and come back."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
import os
import signal
import sys
import time

from wm_controller.evaluation.faults.row import Fault
from wm_controller.evaluation.faults.scene import Scene, Unexpected

STAND_S = 0.7  # auto_timeout_s, braking from full speed, a period, and a busy machine
STARVED_S, BY_HAND_S, TURN_RAD_S = 5.0, 2.0, 0.8
HUNG_S, AWAKE_S = 0.5, 0.15  # a planner that is slow by so much
LAST_OF_THE_OLD_S = 0.2  # in which what it sent is heard; a new one takes longer to start
SLIP_SEEN_S = 1.5  # slip_s, and what the slip looks back
SPIN = [sys.executable, '-c', 'while True: pass']


def _killed(scene: Scene) -> float:
    since = scene.take_away('controller', signal.SIGKILL)
    reaction = scene.stands(since, STAND_S)
    scene.because('command_timeout', since)
    scene.bring_back('controller')
    return reaction


def _hung(scene: Scene) -> float:
    since = scene.take_away('controller', signal.SIGSTOP)
    reaction = scene.stands(since, STAND_S)
    scene.because('command_timeout', since)
    return reaction


def _slow(scene: Scene) -> float:
    """Stop and go, so that every plan is late; each long pause must end in standing."""
    began, slowest = time.monotonic(), 0.0
    for _ in range(3):
        since = scene.take_away('controller', signal.SIGSTOP)
        slowest = max(slowest, scene.stands(since, HUNG_S + 0.2, for_s=0.02))
        time.sleep(max(0.0, since + HUNG_S - time.monotonic()))
        scene.graph.process('controller').send_signal(signal.SIGCONT)
        time.sleep(AWAKE_S)
    # Since the first pause: a reason that goes on from pause to pause is not said anew in each.
    scene.because('command_timeout', began)
    return slowest


def _starved(scene: Scene) -> float:
    """Busy processes, two for each core, and plans are late; an emergency stop acts as ever.

    The operator turns the robot meanwhile, so that there is something to stop.
    """
    with ExitStack() as stack:
        for _ in range(2 * len(os.sched_getaffinity(0))):
            stack.enter_context(scene.stranger(SPIN))
        began = time.monotonic()
        while time.monotonic() < began + STARVED_S:
            if time.monotonic() > began + STARVED_S - BY_HAND_S:
                scene.observer.teleop(0.0, TURN_RAD_S)
            time.sleep(0.05)
        scene.until(lambda: abs(scene.record.commands[-1].w) > 0.5 * TURN_RAD_S, 2.0,
                    'the robot turning')
        since = scene.observer.emergency_stop()
        return scene.stands(since, 1.0)


def _restarted(node: str, within_s: float) -> Callable[[Scene], float]:
    """Stands without it; from its start anew until the robot drives to a goal again."""
    def act(scene: Scene) -> float:
        scene.stands(scene.take_away(node, signal.SIGKILL), 2.0)
        since = scene.bring_back(node)
        return scene.drive(within_s) - since
    return act


def _guardrail_restarted(scene: Scene) -> float:
    """From its death to the first command of its successor; then the robot has to drive again."""
    since = scene.take_away('guardrail', signal.SIGKILL)
    scene.bring_back('guardrail')
    first = scene.until(lambda: next((
        c for c in list(scene.record.commands) if c.sent > since + LAST_OF_THE_OLD_S), None),
        5.0, 'a command of the new guardrail')
    # The first that is heard: an observer, too, has to find the new one first.
    sent_s = first.number / scene.limits.rate
    if not abs(first.v) <= 0.02 + sent_s * scene.limits.max_linear_acceleration:
        raise Unexpected(f'the new guardrail began at {first.v:.2f} m/s, {sent_s:.2f} s ago')
    # A robot that rolls on meanwhile is one that slips: the new one may ask for the operator, once
    # it hears the clock.
    scene.until(lambda: scene.record.commands[-1].stamp > 0.0, 10.0,
                'the guardrail knowing the time')
    time.sleep(SLIP_SEEN_S)
    scene.lift()
    scene.drive(30.0)
    return float(first.sent - since)


PROCESS_FAULTS = (
    Fault('controller_killed', 'SIGKILL to the controller',
          'the wheels are told to stand, `command_timeout` is named', STAND_S, _killed),
    Fault('controller_hung', 'SIGSTOP to the controller',
          'the wheels are told to stand, `command_timeout` is named', STAND_S, _hung),
    Fault('controller_slow', f'controller stopped {HUNG_S:g} s, going {AWAKE_S:g} s, in turn',
          'stands in every pause, `command_timeout` is named', STAND_S, _slow),
    Fault('cpu_starved', 'two busy processes for each core; turned by hand; an emergency stop',
          'rate and limits hold; the wheels are told to stand', 0.5, _starved),
    Fault('controller_restarted', 'SIGKILL to the controller, and started again',
          'drives again to a new goal', 60.0, _restarted('controller', 60.0)),
    Fault('guardrail_restarted', 'SIGKILL to the guardrail, and started again',
          'the new one commands, from standing; once enabled, the robot drives again', 3.0,
          _guardrail_restarted, guarded=False),
    Fault('simulator_restarted', 'SIGKILL to the robot (its clock goes back to 1 s), and again',
          'drives again to a new goal', 60.0, _restarted('simulator', 60.0)),
)
