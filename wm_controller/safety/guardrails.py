# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The guardrails: one ordered tuple of named pure functions (state, command) -> command.

Each returns the command it got, or less of it. What comes out of the last one goes to the wheels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import math

from wm_controller.safety.envelope import area_scale, boundary, can_still_stop, clear_scale
from wm_controller.safety.geometry import Floats
from wm_controller.safety.limits import Limits
from wm_controller.safety.moving import yielding_scale
from wm_controller.safety.tracking import Command, toward, ZERO
from wm_controller.safety.view import seen_scale, View

SLOWEST = 0.3
"""Share of the speed that is left just below the surprise that holds the robot."""
CREEPING = 0.1
"""Share of the velocity limits that an approach is slowed to; the rest is to stop in time."""
LEAST_SHARE = 1e-12
"""1 less surprise: rarer than that is all the same."""
CREEP_V, CREEP_W = 0.03, 0.1
"""Measured motion below this (m/s, rad/s) may be noise at standstill."""


@dataclass(frozen=True)
class State:
    """Everything the guardrails look at, at one moment."""

    limits: Limits
    dt_s: float = 0.0
    last: Command = ZERO
    throttle: float = 0.0
    source: str = 'none'
    emergency_stop: bool = False
    clock_lost: bool = False
    command_stale: bool = False
    autonomy_off: bool = False
    odom_stale: bool = False
    scan_stale: bool = False
    sight_too_short: bool = False
    stuck: bool = False
    slipping: bool = False
    tilted: bool = False
    asks: str = ''
    surprise: float = 0.0
    speed_scale: float = 1.0
    points: Floats | None = None
    view: View | None = None
    moving: tuple[Floats, Floats] | None = None
    measured: Command | None = None
    pose: Floats | None = None
    geofence: tuple[tuple[Floats, Floats], ...] = ()
    keep_out: tuple[tuple[Floats, Floats], ...] = ()

    def held_for(self, cause: str) -> bool:
        """Whether autonomy is held because of this."""
        return self.asks == cause and self.source != 'teleop'


@dataclass(frozen=True)
class Guardrail:
    """A named pure function, and for people: what it limits and what clears it.

    Where it `stops` nothing of a command is left, elsewhere what is `admissible`.
    """

    name: str
    limits: str
    clears: str
    admissible: Callable[[State, Command], Command] = lambda state, command: command
    stops: Callable[[State], bool] = lambda state: False

    def __call__(self, state: State, command: Command) -> Command:
        return ZERO if self.stops(state) else self.admissible(state, command)


def _surprise(state: State, command: Command) -> Command:
    slow, hold = state.limits.surprise_slow, state.limits.surprise_hold
    if state.source != 'auto' or state.surprise <= slow:
        return command
    span = rarity(hold, slow)
    share = min(1.0, rarity(state.surprise, slow) / span) if span > 0.0 else 1.0
    return command.scaled(1.0 - (1.0 - SLOWEST) * share)


def rarity(level: float, above: float) -> float:
    """How much rarer, in nats, what exceeds `level` is than what exceeds `above`, both 0..1."""
    return math.log(max(1.0 - above, LEAST_SHARE) / max(1.0 - level, LEAST_SHARE))


def _tilt(state: State, command: Command) -> Command:
    return _within(state.limits, command, SLOWEST) if state.tilted else command


def _within(limits: Limits, command: Command, share: float = 1.0) -> Command:
    """The same curve at no more than this share of the velocity limits."""
    most_v = limits.max_linear_velocity if command.v > 0.0 else -limits.min_linear_velocity
    scale = min(1.0, share * most_v / abs(command.v)) if command.v else 1.0
    if command.w:
        scale = min(scale, share * limits.max_angular_velocity / abs(command.w))
    return command if scale >= 1.0 else command.scaled(scale)


def _velocity(state: State, command: Command) -> Command:
    return _within(state.limits, command)


def _speed_scale(state: State, command: Command) -> Command:
    return _within(state.limits, command, state.speed_scale)


def _approach(state: State, command: Command) -> Command:
    if state.points is None or not len(state.points):
        return command
    scale = clear_scale(
        state.limits, command, state.points, state.limits.approach_deceleration)
    if scale >= 1.0:
        return command
    return command.scaled(min(1.0, max(scale, CREEPING / _share(state.limits, command))))


def _blind(state: State, command: Command) -> Command:
    if state.view is None or command.v >= 0.0:
        return command
    scale = seen_scale(state.limits, command, state.view)
    if state.source == 'teleop':
        scale = max(scale, min(1.0, state.limits.max_blind_reverse / -command.v))
    return command if scale >= 1.0 else command.scaled(scale)


def _acceleration(state: State, command: Command) -> Command:
    return toward(state.last, command, state.throttle, state.dt_s, state.limits)


def _braking(state: State, command: Command) -> Command:
    return toward(state.last, command, state.throttle, state.dt_s, state.limits, taper=False)


def _areas(
        state: State, command: Command, areas: tuple[tuple[Floats, Floats], ...],
        inside: bool) -> Command:
    if not areas or command.is_zero():
        return command
    if state.pose is None:
        return ZERO
    scale = min(
        area_scale(state.limits, command, state.pose, polygon, edge, inside)
        for polygon, edge in areas)
    return command if scale >= 1.0 else command.scaled(scale)


def _obstacle(state: State, command: Command) -> Command:
    if state.points is None or not len(state.points):
        return command
    moving = state.measured
    if moving is not None and (abs(moving.v) > CREEP_V or abs(moving.w) > CREEP_W) and (
            not can_still_stop(state.limits, moving, state.points)):
        return ZERO
    scale = clear_scale(state.limits, command, state.points)
    return command if scale >= 1.0 else command.scaled(scale)


def _moving(state: State, command: Command) -> Command:
    if state.moving is None or command.is_zero():
        return command
    scale = yielding_scale(state.limits, command, *state.moving)
    return command if scale >= 1.0 else command.scaled(scale)


GUARDRAILS: tuple[Guardrail, ...] = (
    Guardrail('emergency_stop', 'everything, until told otherwise',
              '`~/reset`, refused while any source commands motion',
              stops=lambda state: state.emergency_stop),
    Guardrail('clock', 'driving without ROS time, or right after it jumped back',
              'by itself, with the first command of the new time',
              stops=lambda state: state.clock_lost),
    Guardrail('command_timeout', 'a source older than `auto_timeout_s` or `teleop_timeout_s`',
              'by itself, with a fresh command', stops=lambda state: state.command_stale),
    Guardrail('autonomy_off', 'autonomy after teleop, a stop or a hold',
              '`~/enable`', stops=lambda state: state.autonomy_off),
    Guardrail('odom_timeout', 'driving without odometry where it is required',
              'by itself, with fresh odometry', stops=lambda state: state.odom_stale),
    Guardrail('scan_timeout', 'driving without a scan where it is required',
              'by itself, with a fresh scan', stops=lambda state: state.scan_stale),
    Guardrail('sensor_range', 'a top speed whose stopping distance exceeds the range of the scan',
              'a lower `max_linear_velocity`', stops=lambda state: state.sight_too_short),
    Guardrail('stuck', 'commands to move that have not moved the robot for `stuck_s`',
              '`~/enable`; for the operator, letting go',
              stops=lambda state: state.stuck or state.held_for('stuck')),
    Guardrail('slip', 'everything while the robot moves otherwise than commanded, for `slip_s`',
              '`~/enable`; for the operator by itself, when it follows again',
              stops=lambda state: state.slipping or state.held_for('slip')),
    Guardrail('tilt', 'autonomy on a robot tilted by `max_tilt`; the operator to 0.3 of top speed',
              'by itself when level; for autonomy `~/enable`', _tilt,
              lambda state: state.held_for('tilt')),
    Guardrail('surprise', 'autonomy where the world model is surprised: slower, then held',
              'by itself below `surprise_slow`; a hold by `~/enable`', _surprise,
              lambda state: state.held_for('surprise')),
    Guardrail('velocity', 'v and w, scaled together, to the velocity limits',
              'by itself', _velocity),
    Guardrail('speed_scale', 'v and w to the share of the velocity limits that `speed_scale` '
              'asks for', 'a higher `speed_scale`', _speed_scale),
    Guardrail('blind', 'driving backwards to ground that the scan looks at; the operator '
              'elsewhere to `max_blind_reverse`', 'by itself, on a curve in view', _blind),
    Guardrail('approach', 'speed towards scan points ahead, to what `approach_deceleration` ends '
              'before them, at least a tenth', 'by itself, on a free curve', _approach),
    Guardrail('acceleration', 'the change of v and w, together, to acceleration, braking and jerk',
              'by itself', _acceleration),
    Guardrail('geofence', 'the stopping envelope to the inside of `geofence`',
              'by itself, on the way back in',
              lambda state, command: _areas(state, command, state.geofence, inside=True)),
    Guardrail('keep_out', 'the stopping envelope to the outside of `keep_out`',
              'by itself, on the way out',
              lambda state, command: _areas(state, command, state.keep_out, inside=False)),
    Guardrail('obstacle', 'speed, until the stopping envelope holds no scan point',
              'by itself, on a free curve: away from the points', _obstacle),
    Guardrail('moving', 'speed, so that the robot stands by the time that who walks up has come',
              'by itself, when it has stopped coming', _moving),
    Guardrail('braking', 'what the four above took away, to the braking limit',
              'by itself', _braking),
)

SMOOTHING = ('acceleration', 'braking')
"""Guardrails that shape every change of speed; they do not count as a limit."""


def apply(state: State, command: Command) -> tuple[Command, tuple[str, ...], float]:
    """Run the command through all guardrails: what is left, who is limiting, and how much, 0..1.

    A guardrail that stops is named whether or not there was a command to stop.
    """
    reasons: list[str] = []
    limit = 1.0
    for guardrail in GUARDRAILS:
        before, command = command, guardrail(state, command)
        stops = guardrail.stops(state)
        if not stops and (command is before or command == before):
            continue
        reasons.append(guardrail.name)
        if stops:
            limit = 0.0
        elif guardrail.name not in SMOOTHING:
            limit *= _share(state.limits, command) / max(_share(state.limits, before), 1e-12)
    return command, tuple(reasons), min(1.0, limit)


def edged(polygons: tuple[Floats, ...]) -> tuple[tuple[Floats, Floats], ...]:
    """Polygons (V, 2), each with the points (N, 2) of its boundary."""
    return tuple((polygon, boundary(polygon)) for polygon in polygons)


def as_markdown() -> str:
    """The ordered list as a table for the README."""
    rows = [f'| {i} | `{g.name}` | {g.limits} | {g.clears} |' for i, g in enumerate(GUARDRAILS, 1)]
    return '\n'.join(('| | guardrail | limits | clears |', '|---|---|---|---|', *rows)) + '\n'


def _share(limits: Limits, command: Command) -> float:
    return math.hypot(command.v / limits.max_linear_velocity,
                      command.w / limits.max_angular_velocity)
