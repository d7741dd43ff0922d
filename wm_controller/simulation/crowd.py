# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""People who walk to and fro and give way to the robot."""

import numpy as np

from wm_controller.simulation.description import Person
from wm_controller.simulation.shapes import cylinder, Footprints

PATIENCE_S = 3.0  # who has waited this long for the robot turns round
START_GAP = 0.6  # m: nobody starts nearer to the robot than this where that can be


class Walker:
    """One person under way."""

    def __init__(self, person: Person, rng: np.random.Generator, robot_xy: np.ndarray):
        self._person, self._rng = person, rng
        self._points = np.array(person.waypoints, float)
        legs = np.hypot(*np.diff(self._points, axis=0).T)
        self._marks = np.concatenate([[0.0], np.cumsum(legs)])
        starts = rng.uniform(0.0, max(self._marks[-1], 1e-9), 12)
        gaps = [float(np.hypot(*(self._at(s) - robot_xy))) for s in starts]
        chosen = next((i for i, g in enumerate(gaps) if g > START_GAP), int(np.argmax(gaps)))
        self._along = float(starts[chosen])
        self._sense = 1.0 if rng.random() < 0.5 else -1.0
        self._pause = 0.0
        self._waited = 0.0
        self._waits = person.cue is not None
        if person.cue is not None:
            self._along, self._sense = 0.0, 1.0
        self.xy = self._at(self._along)
        self.yaw = float(rng.uniform(-np.pi, np.pi))

    def _at(self, along: float) -> np.ndarray:
        return np.array([np.interp(along, self._marks, column) for column in self._points.T])

    def step(self, dt: float, robot_xy: np.ndarray, robot_radius: float) -> None:
        """Walk for dt seconds, unless it is time to pause or the robot is in the way."""
        person = self._person
        if self._waits:
            x, y, within = person.cue or (0.0, 0.0, 0.0)
            self._waits = bool(np.hypot(robot_xy[0] - x, robot_xy[1] - y) > within)
            return
        if self._pause > 0.0:
            self._pause -= dt
            return
        along = self._along + self._sense * person.speed * dt
        if not 0.0 <= along <= self._marks[-1]:
            if person.cue is not None:
                return  # there
            self._sense = -self._sense
            self._pause = person.pause_s * float(self._rng.uniform(0.5, 1.5))
            return
        there = self._at(along)
        now, then = (float(np.hypot(*(p - robot_xy))) for p in (self.xy, there))
        if then < now and then - person.radius - robot_radius < person.gap:
            self._waited += dt
            if self._waited > PATIENCE_S:
                self._sense, self._waited = -self._sense, 0.0
            return
        self._waited = 0.0
        step = there - self.xy
        if np.hypot(*step) > 1e-6:
            self.yaw = float(np.arctan2(step[1], step[0]))
        self._along, self.xy = along, there


class Crowd:
    """All the people of a room."""

    def __init__(self, people: tuple[Person, ...], rng: np.random.Generator, robot_xy: np.ndarray):
        self.walkers = [Walker(p, rng, robot_xy) for p in people]
        self._radii = [p.radius for p in people]

    def step(self, dt: float, robot_xy: np.ndarray, robot_radius: float) -> None:
        """Move everybody on by dt seconds."""
        for walker in self.walkers:
            walker.step(dt, robot_xy, robot_radius)

    def footprints(self) -> Footprints:
        """Where the people stand now."""
        return Footprints(
            cylinder(float(w.xy[0]), float(w.xy[1]), 0.8, r, 0.8)
            for w, r in zip(self.walkers, self._radii)
        )
