# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Odometry whose heading is held by the walls: what wheels say of turns adds up to drift."""

from dataclasses import dataclass
import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wm_controller.safety.geometry import compose, relative, wrap_angle

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SteadyParameters:
    """Lengths in m, angles in rad."""

    drift: float = 0.015  # of odometry's heading, per root of a metre driven or a radian turned
    scale: float = 0.02  # by which odometry may count turns wrongly, all of them alike
    sure: float = 0.06  # sights that may be wrong by more are no help,
    least: float = 0.02  # and none is better than this
    alike: float = 2.0  # by which sights count as worse than they say: neighbours err alike
    apart: float = 0.1  # m or rad between two sights that count
    gate: float = 3.0  # standard deviations from what is expected, beyond which one is false


class SteadyOdometry:
    """Dead reckoning with the heading corrected by how the robot stands to the walls.

    A Kalman filter of three numbers: the heading; the direction of the walls, which is learned
    from what is seen first; and by how much odometry counts turns wrongly. Positions are
    odometry's, step by step, in the corrected heading; they begin in odometry's frame. Without
    sights they stay there.
    """

    def __init__(self, parameters: SteadyParameters | None = None) -> None:
        self.parameters = parameters or SteadyParameters()
        self.restart()

    def restart(self) -> None:
        """Begin anew in odometry's frame as it will be: odometry was reset, or time."""
        self.pose = np.zeros(3)
        self.walls: float | None = None  # their direction in the steady frame, rad
        self._odom: Floats | None = None
        self._scale = 0.0  # of turns that odometry does not count
        self._cov = np.diag([0.0, 0.0, self.parameters.scale ** 2])  # of heading, walls, scale
        self._moved = math.inf  # since the last sight that counted

    @property
    def frame(self) -> Floats:
        """Where odometry's frame lies now (3,)."""
        if self._odom is None:
            return np.zeros(3)
        return compose(self.pose, relative(self._odom, np.zeros(3)))

    @property
    def sigma(self) -> float:
        """Standard deviation of the heading, rad."""
        return math.sqrt(self._cov[0, 0])

    @property
    def walls_sigma(self) -> float:
        """Standard deviation of how the robot stands to the walls, rad."""
        seen = np.array([1.0, -1.0, 0.0])
        return math.inf if self.walls is None else math.sqrt(seen @ self._cov @ seen)

    def follow(self, odom: ArrayLike) -> None:
        """Take odometry's next pose (3,)."""
        odom = np.asarray(odom, float)
        if self._odom is None:
            self.pose = odom.copy()
        else:
            change = relative(self._odom, odom)
            turned = float(change[2])
            moved = float(np.hypot(change[0], change[1])) + abs(turned)
            step = np.eye(3)
            step[0, 2] = turned
            self._cov = step @ self._cov @ step.T
            self._cov[0, 0] += self.parameters.drift ** 2 * moved
            change[2] += self._scale * turned
            self.pose = compose(self.pose, change)
            self._moved += moved
        self._odom = odom

    def sight(self, heading: float, sigma: float) -> bool:
        """Take the heading (rad) against the walls, but for quarter turns; whether it counted."""
        p = self.parameters
        if not (math.isfinite(heading) and sigma <= p.sure) or self._moved < p.apart:
            return False
        variance = (p.alike * max(sigma, p.least)) ** 2
        if self.walls is None:
            self.walls = float(wrap_angle(self.pose[2] - heading))
            # What is wrong with the heading by now is as wrong with the walls.
            self._cov[1], self._cov[:, 1] = self._cov[0], self._cov[0]
            self._cov[1, 1] = self._cov[0, 0] + variance
            self._moved = 0.0
            return True
        # Walls look the same from every quarter turn.
        off = float(wrap_angle(4 * (heading - (self.pose[2] - self.walls)))) / 4
        seen = np.array([1.0, -1.0, 0.0])
        expected = float(seen @ self._cov @ seen) + variance
        if off ** 2 > p.gate ** 2 * expected:
            return False
        gain = self._cov @ seen / expected
        self.pose[2] = wrap_angle(self.pose[2] + gain[0] * off)
        self.walls = float(wrap_angle(self.walls + gain[1] * off))
        self._scale += float(gain[2] * off)
        self._cov -= np.outer(gain, seen @ self._cov)
        self._moved = 0.0
        return True
