# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Motors and wheels between a command and the floor, and the odometry that they report."""

from collections import deque
import math

import numpy as np

from wm_controller.simulation.specs import Odometry, RobotSpec


class Motors:
    """From commanded to actual wheel twist: delay, saturation, ramp, first-order lag."""

    def __init__(self, spec: RobotSpec):
        self._spec = spec
        self._pending: deque[tuple[float, float, float]] = deque()
        self._target = (0.0, 0.0)
        self._ramp_v = self._ramp_w = 0.0
        self.v = self.w = 0.0  # m/s and rad/s of the wheels now

    def command(self, now: float, v: float, w: float) -> None:
        """Take a command, which acts after the delay."""
        self._pending.append((now + self._spec.command_delay_s, v, w))

    def step(self, now: float, dt: float) -> None:
        """Move the wheel twist on by dt seconds from now."""
        spec = self._spec
        while self._pending and self._pending[0][0] <= now + 1e-9:
            _, v, w = self._pending.popleft()
            self._target = (
                min(max(v, spec.min_linear), spec.max_linear),
                min(max(w, -spec.max_angular), spec.max_angular),
            )
        v, w = self._target
        braking = abs(v) < abs(self._ramp_v) or v * self._ramp_v < 0.0
        most = (spec.linear_deceleration if braking else spec.linear_acceleration) * dt
        self._ramp_v += min(max(v - self._ramp_v, -most), most)
        most = spec.angular_acceleration * dt
        self._ramp_w += min(max(w - self._ramp_w, -most), most)
        share = 1.0 - math.exp(-dt / spec.motor_lag_s)
        self.v += share * (self._ramp_v - self.v)
        self.w += share * (self._ramp_w - self.w)


class Wheels:
    """
    Slip between the wheels and the floor: a scale error per run and slow noise on top.

    `grip` (left, right), 1 for a wheel that holds, is the share of a wheel's turning that moves
    the body; `lost` the twist (m/s, rad/s) that the wheels turned in vain in the last step.
    """

    CORRELATION_S = 0.5
    TRACK = 1.6  # distance between the wheels, in radii of the robot

    def __init__(self, spec: RobotSpec, rng: np.random.Generator):
        self._rng, self._noise = rng, spec.slip_noise
        self._scale_v, self._scale_w = (1.0 + spec.slip * rng.standard_normal(2)).tolist()
        self._wander_v = self._wander_w = 0.0
        self._track = self.TRACK * spec.radius
        self.grip = (1.0, 1.0)
        self.lost = (0.0, 0.0)

    def step(self, v: float, w: float, dt: float) -> tuple[float, float]:
        """Twist (m/s, rad/s) that the wheels give the body on free floor."""
        v, w = self._gripped(v, w)
        keep = math.exp(-dt / self.CORRELATION_S)
        kick = self._noise * math.sqrt(1.0 - keep * keep)
        self._wander_v = keep * self._wander_v + kick * self._rng.standard_normal()
        self._wander_w = keep * self._wander_w + kick * self._rng.standard_normal()
        return (
            v * (self._scale_v + self._wander_v),
            w * (self._scale_w + self._wander_w) + 0.3 * v * self._wander_w,
        )

    def _gripped(self, v: float, w: float) -> tuple[float, float]:
        left, right = self.grip
        if left == right == 1.0:
            self.lost = (0.0, 0.0)
            return v, w
        half = 0.5 * self._track
        turned = (v - half * w) * left, (v + half * w) * right
        moved = 0.5 * (turned[0] + turned[1]), (turned[1] - turned[0]) / self._track
        self.lost = (v - moved[0], w - moved[1])
        return moved


class Odometer:
    """
    Dead reckoning at 50 Hz from the wheels, with a scale error and a wandering yaw.

    The frame is where the robot stood at the start, so the first pose is (0, 0, 0). What it
    cannot see, being pushed sideways, it does not count; a wheel that turns in vain it does.
    """

    PERIOD_S = 0.02

    def __init__(self, spec: RobotSpec, rng: np.random.Generator, now: float):
        self._rng, self._walk = rng, spec.odom_yaw_walk
        self._scale_v, self._scale_w = (1.0 + spec.odom_scale * rng.standard_normal(2)).tolist()
        self._x = self._y = self._yaw = 0.0
        self._due = now
        self.latest = self._sample(now, 0.0, 0.0)

    def step(self, now: float, v: float, w: float, dt: float) -> None:
        """Count the twist that the wheels' turning amounts to over the dt seconds up to now."""
        v, w = v * self._scale_v, w * self._scale_w
        moved = (abs(v) + abs(w)) * dt
        turn = w * dt + self._walk * math.sqrt(moved) * self._rng.standard_normal()
        middle = self._yaw + 0.5 * turn
        self._x += v * dt * math.cos(middle)
        self._y += v * dt * math.sin(middle)
        self._yaw = math.remainder(self._yaw + turn, 2 * math.pi)
        if now >= self._due - 1e-9:
            self.latest = self._sample(now, v, w)

    def _sample(self, now: float, v: float, w: float) -> Odometry:
        self._due += self.PERIOD_S
        still = abs(v) + abs(w) < 1e-3
        noise = (0.0, 0.0) if still else self._rng.normal(0.0, (0.004, 0.008))
        return Odometry(now, np.array([self._x, self._y, self._yaw]),
                        np.array([v + noise[0], w + noise[1]]))
