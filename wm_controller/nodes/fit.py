# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Whether a model may drive this robot: it is refused with both values named where it may not."""

from __future__ import annotations

from dataclasses import dataclass
import math
from typing import TYPE_CHECKING

from wm_controller.errors import InputError

if TYPE_CHECKING:  # the bundle brings torch along
    from wm_controller.world_model.bundle import Bundle

FOV_TOLERANCE = math.radians(8.0)
SLACK = 1e-6


@dataclass(frozen=True)
class Robot:
    """
    What the controller's parameters say of the robot.

    Limits m/s and rad/s, `min_linear_velocity` negative for reverse; rate of commands Hz;
    `horizontal_fov` rad, 0 where it is not known.
    """

    rate: float
    max_linear_velocity: float
    min_linear_velocity: float
    max_angular_velocity: float
    horizontal_fov: float = 0.0


def check_fit(bundle: Bundle, robot: Robot, allow_ungated: bool) -> None:
    """Raise `InputError` in one line if the bundle does not fit the robot, or failed its gates."""
    spec, name = bundle.spec, bundle.path.name
    low, high, turn = spec.action_limits
    for what, value, limit, exceeds in (
            ('max_linear_velocity', high, robot.max_linear_velocity,
             high > robot.max_linear_velocity + SLACK),
            ('min_linear_velocity', low, robot.min_linear_velocity,
             low < robot.min_linear_velocity - SLACK),
            ('max_angular_velocity', turn, robot.max_angular_velocity,
             turn > robot.max_angular_velocity + SLACK)):
        if exceeds:
            raise InputError(
                f'{name}: the model drives up to {value:g}, the parameter {what} allows {limit:g};'
                ' train it for this robot or raise the parameter')
    if robot.rate * spec.step_period_s < 1.0 - SLACK:
        raise InputError(
            f'{name}: the step of the model is {spec.step_period_s:g} s, the parameter rate '
            f'{robot.rate:g} Hz gives a command every {1 / robot.rate:g} s; raise rate to '
            f'{1 / spec.step_period_s:g} or more')
    fov = spec.horizontal_fov
    if fov and robot.horizontal_fov and abs(fov - robot.horizontal_fov) > FOV_TOLERANCE:
        raise InputError(
            f'{name}: the model was trained with a camera of {fov:.3g} rad, '
            f'the parameter horizontal_fov says {robot.horizontal_fov:.3g} rad; '
            'train it for this camera')
    if not bundle.passed and not allow_ungated:
        raise InputError(
            f'{name}: the model did not pass its gates ({failed_gates(bundle)}); train it longer, '
            'or set allow_ungated')


def failed_gates(bundle: Bundle) -> str:
    """Names of the gates that were not passed, as far as the bundle says."""
    return ', '.join(map(str, bundle.gates.get('failed', ()))) or 'it holds no verdict'
