# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""What the guardrails hold the robot to. One definition: node parameters are made from it.

Each field carries its unit, its range and its description as metadata; the constructor refuses a
value out of range with name, value and allowed range.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from functools import cached_property
import math
from typing import Any

import numpy as np

from wm_controller.safety.geometry import Areas, Floats, Footprint, InvalidFootprint


class InvalidLimit(ValueError):
    """A parameter out of its range, or two that contradict; the message is one line."""


# These three run at import, before a mutant is put in; what they say is tested by the fields.
# pragma: no mutate start
def _ranged(default: float, low: float, high: float, unit: str, text: str) -> Any:
    return field(default=default, metadata={
        'low': low, 'high': high, 'unit': unit, 'text': text})


def _switch(default: bool, text: str) -> Any:
    return field(default=default, metadata={'text': text})


def _flat(text: str) -> Any:
    return field(default=(), metadata={'unit': 'm', 'text': text})
# pragma: no mutate end


@dataclass(frozen=True)
class Limits:
    """Limits of speed, of age and of place; m, s, rad."""

    rate: float = _ranged(50.0, 10.0, 200.0, 'Hz', 'cmd_vel is published at this rate, always')
    footprint: tuple[float, ...] = _flat(
        'outline of the robot in its base frame as x, y, x, y, ...; empty: a disc')
    footprint_radius: float = _ranged(
        0.18, 0.02, 5.0, 'm', 'radius of the robot where footprint is empty')
    max_linear_velocity: float = _ranged(0.5, 0.01, 5.0, 'm/s', 'fastest forwards')
    min_linear_velocity: float = _ranged(
        -0.25, -5.0, 0.0, 'm/s', 'fastest backwards; 0: never backwards')
    max_angular_velocity: float = _ranged(1.5, 0.01, 10.0, 'rad/s', 'fastest turn, either way')
    max_linear_acceleration: float = _ranged(1.0, 0.05, 20.0, 'm/s^2', 'speeding up')
    max_linear_deceleration: float = _ranged(1.5, 0.1, 20.0, 'm/s^2', 'braking')
    max_angular_acceleration: float = _ranged(
        4.0, 0.1, 50.0, 'rad/s^2', 'turning faster or slower')
    max_linear_jerk: float = _ranged(
        10.0, 0.1, 1000.0, 'm/s^3', 'change of acceleration; braking is exempt')
    auto_timeout_s: float = _ranged(
        0.5, 0.05, 2.0, 's', 'age at which a command of the planner counts no more')
    teleop_timeout_s: float = _ranged(
        0.5, 0.05, 2.0, 's', 'age at which a command of the operator counts no more')
    sensor_timeout_s: float = _ranged(
        0.5, 0.05, 2.0, 's', 'age at which a scan, odometry or surprise counts no more')
    scan_min_returns: int = _ranged(
        0, 0, 10000, '1', 'a scan with fewer returns does not count; indoors at least 1: a blind '
        'scanner that says "nothing in range" is noticed')
    scan_required: bool = _switch(False, 'brake without a fresh scan')
    odom_required: bool = _switch(False, 'brake without fresh odometry')
    reaction_time_s: float = _ranged(
        0.2, 0.02, 2.0, 's', 'from a scan point appearing to the wheels slowing, base included')
    margin: float = _ranged(0.05, 0.0, 1.0, 'm', 'free space to keep around the footprint')
    geofence: tuple[float, ...] = _flat(
        'polygon in the odometry frame to stay inside of, x, y, x, y, ...; empty: none')
    keep_out: tuple[float, ...] = _flat(
        'polygons in the odometry frame to stay out of, x, y, ...; a nan stands between two')
    approach_deceleration: float = _ranged(
        0.8, 0.05, 20.0, 'm/s^2', 'braking towards a scan point that is ahead: slower before it '
        'must stop')
    max_blind_reverse: float = _ranged(
        0.1, 0.0, 1.0, 'm/s', 'fastest backwards by the operator where the scan does not look; '
        'autonomy never')
    max_tilt: float = _ranged(
        0.35, 0.02, 1.5, 'rad', 'tilt in the orientation of the odometry that holds autonomy')
    stuck_s: float = _ranged(
        3.0, 0.5, 30.0, 's', 'commands to move without motion for so long stop the robot')
    slip_s: float = _ranged(
        0.5, 0.1, 5.0, 's', 'motion beyond the commands for so long stops the robot')
    slip_linear: float = _ranged(
        0.15, 0.02, 5.0, 'm/s', 'difference to the commands of late that is no slip')
    slip_angular: float = _ranged(
        0.6, 0.05, 10.0, 'rad/s', 'difference to the commands of late that is no slip')
    surprise_slow: float = _ranged(
        0.99, 0.0, 1.0, '1', 'surprise of the world model above which autonomy is slowed')
    surprise_hold: float = _ranged(
        0.999999, 0.0, 1.0, '1', 'surprise above which autonomy is held until ~/enable')
    autonomy_on_start: bool = _switch(True, 'whether autonomy may drive without ~/enable first')

    def __post_init__(self) -> None:
        for each in fields(self):
            value, meta = getattr(self, each.name), each.metadata
            if 'low' in meta and not meta['low'] <= value <= meta['high']:
                raise InvalidLimit(
                    f"{each.name} = {value:g} {meta['unit']} is out of range "
                    f"[{meta['low']:g}, {meta['high']:g}]")
        if self.surprise_slow > self.surprise_hold:
            raise InvalidLimit(
                f'surprise_slow = {self.surprise_slow:g} exceeds '
                f'surprise_hold = {self.surprise_hold:g}')
        try:
            self._footprint  # noqa: B018 (made here: a bad one is refused here)
        except InvalidFootprint as error:
            raise InvalidLimit(f'footprint: {error}') from None
        self.areas  # noqa: B018 (likewise)

    @cached_property
    def _footprint(self) -> Footprint:
        if len(self.footprint):
            return Footprint.polygon(self.footprint)
        return Footprint.circle(self.footprint_radius)

    @property
    def outline(self) -> Footprint:
        """The robot's footprint."""
        return self._footprint

    @cached_property
    def areas(self) -> Areas:
        """Where the robot may be."""
        return areas_of(self.geofence, self.keep_out)

    def braking_time(self, v: float, w: float) -> float:
        """Seconds from the twist (v, w) to rest, both scaled down together."""
        return max(abs(v) / self.max_linear_deceleration, abs(w) / self.max_angular_acceleration)

    def stopping_distance(self) -> float:
        """Clear range that full speed needs ahead of the base frame's origin, m."""
        fastest = max(self.max_linear_velocity, -self.min_linear_velocity)
        return (fastest * self.reaction_time_s + fastest ** 2 / (2 * self.max_linear_deceleration)
                + self.outline.reach + self.margin)

    def check_sight(self, range_m: float) -> None:
        """Refuse a sensor that sees less far from the base than the stopping distance."""
        needed = self.stopping_distance()
        if not range_m >= needed:
            raise InvalidLimit(
                f'stopping from full speed takes {needed:.2f} m with margin, the scan sees '
                f'{range_m:.2f} m: lower max_linear_velocity')


def areas_of(geofence: tuple[float, ...], keep_out: tuple[float, ...]) -> Areas:
    """Areas of two flat lists x, y, x, y, ... m, a nan between polygons; raises InvalidLimit."""
    found = {}
    for name, flat in (('geofence', geofence), ('keep_out', keep_out)):
        try:
            found[name] = _polygons(flat)
        except InvalidFootprint as error:
            raise InvalidLimit(f'{name}: {error}') from None
    return Areas(**found)


def _polygons(flat: tuple[float, ...]) -> tuple[Floats, ...]:
    parts: list[list[float]] = [[]]
    for number in flat:
        if not math.isnan(number):
            parts[-1].append(number)
        elif parts[-1]:
            parts.append([])
    return tuple(np.array(Footprint.polygon(part).vertices) for part in parts if part)
