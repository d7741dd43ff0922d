# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""What the simulated robot is like, and what its sensors say."""

from dataclasses import dataclass
import math

import numpy as np

from wm_controller.errors import InputError


def _require(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:  # NaN fails too
        raise InputError(f'{name} is {value}: use {low} to {high}')


@dataclass(frozen=True)
class CameraSpec:
    """
    A forward camera: image size, horizontal field of view (rad), place on the robot (m).

    `pitch` (rad) is positive downwards. `exposure` scales the brightness; `noise` is the standard
    deviation of each pixel in 8-bit levels.
    """

    width: int = 320
    height: int = 240
    hfov: float = math.radians(90.0)
    x: float = 0.12
    z: float = 0.25
    pitch: float = 0.0
    exposure: float = 1.0
    noise: float = 2.0

    def __post_init__(self) -> None:
        _require('camera width', self.width, 8, 4096)
        _require('camera height', self.height, 8, 4096)
        _require('camera hfov', self.hfov, math.radians(20), math.radians(140))
        _require('camera exposure', self.exposure, 0.1, 10.0)
        _require('camera noise', self.noise, 0.0, 50.0)


@dataclass(frozen=True)
class RobotSpec:
    """
    A differential-drive robot: size (m, kg), limits (m/s, rad/s, m/s^2, rad/s^2), imperfections.

    A command acts after `command_delay_s`, is cut to the limits, ramped, and followed by the
    motors with the time constant `motor_lag_s`. Wheels slip: `slip` is the standard deviation of
    a scale error per run, `slip_noise` of what changes under way (share of the speed). Odometry
    has a scale error (`odom_scale`, per run) and a yaw that wanders by `odom_yaw_walk` rad per
    square root of a metre or radian moved. `traction` (N) is what the wheels can push with.

    Delay, lag and braking are such that it stops from full speed in a third of a second: what a
    watchdog of 0.3 s needs to have it stand within 0.6 s of the last command.
    """

    radius: float = 0.18
    max_linear: float = 0.5
    min_linear: float = -0.25
    max_angular: float = 1.5
    linear_acceleration: float = 1.0
    linear_deceleration: float = 3.0
    angular_acceleration: float = 4.0
    command_delay_s: float = 0.05
    motor_lag_s: float = 0.06
    slip: float = 0.02
    slip_noise: float = 0.03
    odom_scale: float = 0.015
    odom_yaw_walk: float = 0.01
    mass: float = 8.0
    traction: float = 25.0

    def __post_init__(self) -> None:
        _require('robot radius', self.radius, 0.05, 0.24)
        _require('robot command_delay_s', self.command_delay_s, 0.0, 1.0)
        _require('robot motor_lag_s', self.motor_lag_s, 0.005, 1.0)
        _require('robot min_linear', self.min_linear, -5.0, 0.0)
        for name in ('max_linear', 'max_angular', 'linear_acceleration', 'linear_deceleration',
                     'angular_acceleration', 'mass', 'traction'):
            _require(f'robot {name}', getattr(self, name), 1e-3, 1e3)


@dataclass(frozen=True)
class Scan:
    """One turn of the laser in base_link: K ranges in m; inf where nothing is in range."""

    stamp: float
    angle_min: float
    angle_increment: float
    range_max: float
    ranges: np.ndarray

    def points(self) -> np.ndarray:
        """Points (N, 2) m in the base frame of the beams that hit something."""
        angle = self.angle_min + self.angle_increment * np.arange(len(self.ranges))
        hit = np.isfinite(self.ranges)
        return self.ranges[hit, None] * np.stack([np.cos(angle[hit]), np.sin(angle[hit])], axis=1)


@dataclass(frozen=True)
class Odometry:
    """Pose (x, y, yaw) in odom and twist (v, w) in base_link, as the robot measures them."""

    stamp: float
    pose: np.ndarray
    twist: np.ndarray
