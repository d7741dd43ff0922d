# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""A world of formulas: what a pose looks like, and how odometry drifts in it."""

import json

import numpy as np

from wm_controller.memory.place_map import PlaceMap
from wm_controller.safety.geometry import integrate, relative

WIDTH = 64


class World:
    """What a pose looks like, where odometry believes it is, and what two pictures tell."""

    def __init__(self, seed=0, drift=0.0, turn_drift=0.0, period=np.inf, rooms=1):
        self.rng = np.random.default_rng(seed)
        self.waves = self.rng.normal(0, 1.2, (WIDTH, 4))
        self.phase = self.rng.uniform(0, 2 * np.pi, WIDTH)
        self.drift, self.turn_drift, self.period = drift, turn_drift, period
        self.truth, self.odom, self.stamp = np.zeros(3), np.zeros(3), 0.0
        self.map = PlaceMap(WIDTH)
        self.track = []

    def looks(self, pose):
        """Descriptor (E,): the same again and again where the world repeats."""
        x = pose[0] % self.period if np.isfinite(self.period) else pose[0]
        seen = np.array([x, pose[1], np.cos(pose[2]), np.sin(pose[2])])
        return np.sin(self.waves @ seen + self.phase)

    def compare(self, pictures):
        seen, sigma = [], []
        for picture in pictures:
            other = np.array(json.loads(picture))
            offset = other - self.truth
            if np.isfinite(self.period):  # a room that looks alike is taken for it
                offset[0] = (offset[0] + self.period / 2) % self.period - self.period / 2
            change = relative(self.truth, self.truth + offset)
            far = np.hypot(*change[:2]) + abs(change[2])
            seen.append(change + 0.03 * self.rng.standard_normal(3))
            sigma.append(0.05 if far < 1.0 else 2.0)
        return np.array(seen), np.array(sigma)

    def look(self, compare=True):
        picture = json.dumps(self.truth.tolist()).encode()
        self.map.update(self.stamp, self.odom, self.looks(self.truth), lambda: picture,
                        self.compare if compare else None)
        self.track.append((self.truth.copy(), self.map.on_map(self.odom)))

    def drive(self, v, w, seconds, **how):
        for _ in range(int(round(seconds / 0.2))):
            self.truth = integrate(self.truth, v, w, 0.2)
            self.odom = integrate(self.odom, v * (1 + self.drift),
                                  w + self.turn_drift * v, 0.2)
            self.stamp += 0.2
            self.look(**how)

    def go_to(self, x, y, **how):
        for _ in range(400):
            away = relative(self.truth, np.array([x, y, 0.0]))
            if np.hypot(*away[:2]) < 0.2:
                return
            turn = float(np.arctan2(away[1], away[0]))
            self.drive(0.5 if abs(turn) < 0.5 else 0.0, float(np.clip(2 * turn, -1.5, 1.5)), 0.2,
                       **how)
        raise AssertionError('never got there')

    def rounds(self, count, **how):
        for _ in range(count):
            for corner in ((6, 0), (6, 5), (0, 5), (0, 0)):
                self.go_to(*corner, **how)

    def error(self):
        """How far the map says that the robot is from where it is, m."""
        truth, believed = self.track[-1]
        return float(np.hypot(*(truth - believed)[:2]))
