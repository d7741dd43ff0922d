# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Commands and goals that are wrong, too many, or cease."""

from __future__ import annotations

from collections.abc import Callable
import sys
import time

import numpy as np

from wm_controller.evaluation.faults.row import Fault
from wm_controller.evaluation.faults.scene import Scene, Unexpected

DROPPED_S = 2.0  # diagnostics come once a second
STRANGER_FRAME = 'base_footprint'
STRANGE_S = 0.7  # at full speed ahead it is at the wall soon after
MOVES_M_S, MOVES_RAD_S = 0.05, 0.1
MOVES_ON_S = 5.0  # it may stand for a moment, to turn about
LISTENERS = 2  # to commands: guardrail and observer
TELEOP_M_S, TELEOP_HZ, TELEOP_FOR_S = 0.3, 20.0, 1.5
TELEOP_S = 1.0  # teleop_timeout_s, braking, a busy machine
SEARCHING_S = 15.0  # of looking for a way to where none leads
REFUSED_S = 2.0


def _commander(kind: str, rate: float) -> list[str]:
    return [sys.executable, '-m', 'wm_controller.nodes.fault_commander', '--ros-args', '-p',
            'use_sim_time:=true', '-p', f'kind:={kind}', '-p', f'rate:={rate}',
            '-p', f'listeners:={LISTENERS}']


def _dropped(kind: str, cause: str) -> Callable[[Scene], float]:
    """Dropped and counted by their cause, while the controller's own commands go on."""
    def act(scene: Scene) -> float:
        with scene.stranger(_commander(kind, 20.0)):
            since = _first_stranger(scene)
            reaction = scene.counted('guardrail', f'dropped.cmd_vel_auto.{cause}', since)
            scene.until(lambda: any(
                max(abs(c.v) / MOVES_M_S, abs(c.w) / MOVES_RAD_S) > 1.0
                for c in list(scene.record.commands) if c.sent > since), MOVES_ON_S,
                'the robot driving on')
            return reaction
    return act


def _first_stranger(scene: Scene) -> float:
    """When the second publisher sent the first command that was heard."""
    began = time.monotonic()
    return float(scene.until(
        lambda: next((c.sent for c in list(scene.record.wanted)
                      if c.sent > began and c.frame == STRANGER_FRAME), None),
        20.0, 'a command of the second source'))


def _huge(scene: Scene) -> float:
    """Cut to the limits; the guardrail says that it limits the velocity."""
    with scene.stranger(_commander('huge', 20.0)):
        since = _first_stranger(scene)
        return scene.because('velocity', since)


def _stopped_in(kind: str, rate: float) -> Callable[[Scene], float]:
    """While the stranger commands: the emergency stop acts, and nothing moves the robot then."""
    def act(scene: Scene) -> float:
        with scene.stranger(_commander(kind, rate)):
            _first_stranger(scene)
            time.sleep(STRANGE_S)
            scene.until(lambda: scene.record.commands[-1].v > 0.05, 20.0, 'the robot driving on')
            since = scene.observer.emergency_stop()
            return scene.stands(since, 1.0, for_s=1.5)
    return act


def _by_hand(scene: Scene) -> None:
    """Drive by hand for a while."""
    end = time.monotonic() + TELEOP_FOR_S
    while time.monotonic() < end:
        scene.observer.teleop(TELEOP_M_S)
        time.sleep(1.0 / TELEOP_HZ)
    if scene.state('guardrail') != 'teleop':
        raise Unexpected(f'the operator does not command: {scene.account()}')


def _unplugged(scene: Scene) -> float:
    """Stick held, then silence: stands, and autonomy does not come back by itself."""
    _by_hand(scene)
    since = time.monotonic()
    reaction = scene.stands(since, TELEOP_S, for_s=1.5)
    if scene.state('guardrail') != 'hold':
        raise Unexpected(f'autonomy came back by itself: {scene.account()}')
    return reaction


def _stuck(scene: Scene) -> float:
    """The driver repeats its last message, stamp and all, for ever."""
    _by_hand(scene)
    since, stamp = time.monotonic(), scene.observer.ros_time
    end = since + TELEOP_S + 1.5
    while time.monotonic() < end:
        scene.observer.teleop(TELEOP_M_S, stamp=stamp)
        time.sleep(1.0 / TELEOP_HZ)
    reaction = scene.stands(since, 0.5)
    if scene.state('guardrail') != 'hold':
        raise Unexpected(f'autonomy came back by itself: {scene.account()}')
    return reaction


def _goal(place: Callable[[Scene], np.ndarray]) -> Callable[[Scene], float]:
    """It looks for a way or says that there is none, never that it is there; cancelled, stands."""
    def act(scene: Scene) -> float:
        since = scene.send_goal(place(scene))
        end = since + SEARCHING_S
        scene.until(lambda: time.monotonic() > end, SEARCHING_S + 1.0, 'time passing')
        states = {s.values.get('state', '') for s in list(scene.record.controller)
                  if s.at > since + 0.5}
        if not states <= {'planning', 'unreachable'}:
            raise Unexpected(f'the controller says {", ".join(sorted(states))}')
        cancelled = time.monotonic()
        scene.observer.trigger('controller/cancel')
        return scene.stands(cancelled, 1.0)
    return act


def _goal_nan(scene: Scene) -> float:
    """Refused and counted; the goal before it still holds."""
    before = scene.record.controller[-1].values.get('goal')
    since = scene.observer.send_goal(float('nan'), 0.0)
    reaction = scene.counted('controller', 'dropped_goal_pose', since)
    after = scene.record.controller[-1].values.get('goal')
    if after != before:
        raise Unexpected(f'the goal was {before} and is {after}')
    return reaction


COMMAND_FAULTS = (
    Fault('commands_nan', 'a second source sends NaN, 20 Hz',
          'dropped and counted; the robot drives on', DROPPED_S,
          _dropped('not_a_number', 'not_finite')),
    Fault('commands_infinite', 'a second source sends infinity, 20 Hz',
          'dropped and counted; the robot drives on', DROPPED_S,
          _dropped('infinite', 'not_finite')),
    Fault('commands_huge', 'a second source sends 1e300 m/s and rad/s, 20 Hz',
          'cut to the limits, `velocity` is named', 1.0, _huge),
    Fault('commands_old', 'a second source sends stamps 5 s old, 20 Hz',
          'dropped and counted; the robot drives on', DROPPED_S,
          _dropped('old', 'out_of_order')),
    Fault('commands_future', 'a second source sends stamps 5 s ahead, 20 Hz',
          'dropped and counted; the robot drives on', DROPPED_S,
          _dropped('future', 'future_stamp')),
    Fault('commands_flood', 'a second source sends 1,000 commands a second; an emergency stop',
          'rate and limits hold; the wheels are told to stand', 0.5,
          _stopped_in('forward', 1000.0)),
    Fault('two_publishers', 'a second source always says full speed ahead; an emergency stop',
          'no contact; the wheels are told to stand', 0.5, _stopped_in('forward', 10.0)),
    Fault('joystick_unplugged', 'commands by hand cease with the stick held',
          'the wheels are told to stand; `hold` until the operator enables autonomy', TELEOP_S,
          _unplugged),
    Fault('joystick_stuck', 'the last command by hand for ever, with its stamp',
          'the wheels are told to stand; `hold` until the operator enables autonomy', TELEOP_S,
          _stuck),
    Fault('goal_out_of_reach', 'a goal 60 m away, outside the room',
          'looks for a way, or `unreachable`; no contact; stands when cancelled', 0.8,
          _goal(lambda scene: scene.outside())),
    Fault('goal_in_a_wall', 'a goal 0.3 m behind the surface ahead',
          'looks for a way, or `unreachable`; no contact; stands when cancelled', 0.8,
          _goal(lambda scene: scene.in_a_wall())),
    Fault('goal_nan', 'a goal that is no number', 'refused and counted; the goal before it holds',
          REFUSED_S, _goal_nan),
)
