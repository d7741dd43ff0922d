# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The description of a room: frozen, written once, from which all else is made."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from wm_controller.errors import InputError
from wm_controller.simulation.appearance import Colour, Lights, Material
from wm_controller.simulation.floor_plans import Door
from wm_controller.simulation.grid import Bounds, Grid, rasterise
from wm_controller.simulation.shapes import Footprints, Solid

ROBOT_HEIGHT = 0.35  # m: what begins above is passed under
PASSAGE_RADIUS = 0.25  # m: a disc of this radius reaches almost all of the floor
WALL_HEIGHT = 2.5  # m
HEEDLESS = float('-inf')  # the gap of somebody who walks on whoever is in the way


@dataclass(frozen=True)
class Person:
    """
    Someone who walks to and fro along waypoints, m, at a speed, m/s, pausing at the ends.

    `gap` is the distance to the robot's edge, m, at which the person stops for it, or HEEDLESS.
    `cue` (x, y, within), m: the person stands at the first waypoint until the robot is that near
    to the place, walks to the last one and stays there.
    """

    waypoints: tuple[tuple[float, float], ...]
    speed: float
    pause_s: float
    gap: float
    radius: float
    height: float
    colours: tuple[Colour, Colour]
    cue: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class Panel:
    """A flat picture, window or door leaf on a wall; yaw is the direction it faces."""

    x: float
    y: float
    z: float
    yaw: float
    half_width: float
    half_height: float
    material: int


@dataclass(frozen=True)
class Room:
    """
    Everything about a room, in metres in the world frame, whose origin is the floor's middle.

    `bounds` is the inside of the outer walls (x0, y0, x1, y1). `walls` holds outer walls, inner
    walls and lintels; `furniture` the solids of all pieces, `kinds` the names of the pieces and
    `parts` how many solids each of them has, in the same order.
    """

    seed: int
    family: str
    layout: str
    bounds: Bounds
    walls: tuple[Solid, ...]
    furniture: tuple[Solid, ...]
    kinds: tuple[str, ...]
    parts: tuple[int, ...]
    doors: tuple[Door, ...]
    panels: tuple[Panel, ...]
    people: tuple[Person, ...]
    lights: Lights
    materials: tuple[Material, ...]

    @property
    def solids(self) -> tuple[Solid, ...]:
        """Walls and furniture."""
        return self.walls + self.furniture

    @cached_property
    def blocking(self) -> Footprints:
        """Footprints of what stands in the robot's way: all that begins below its height."""
        return Footprints(s for s in self.solids if s.bottom < ROBOT_HEIGHT)

    @cached_property
    def grid(self) -> Grid:
        """Raster of the static clearance at 0.05 m."""
        return rasterise(self.bounds, self.blocking, 0.05)

    def footprints_at(self, height: float) -> Footprints:
        """Footprints of what a horizontal plane at the height, m, cuts."""
        return Footprints(s for s in self.solids if s.bottom <= height <= s.top)

    def distance(self, points: np.ndarray) -> np.ndarray:
        """Distance (N,) m from points (N, 2) to the nearest obstacle; negative inside one."""
        points = np.asarray(points, float).reshape(-1, 2)
        x0, y0, x1, y1 = self.bounds
        edge = np.minimum(points - (x0, y0), (x1, y1) - points).min(axis=1)
        return np.minimum(self.blocking.distance(points), edge)

    def free(self, points: np.ndarray, radius: float) -> np.ndarray:
        """Say (N,) of points (N, 2) whether a disc of the radius, m, fits there."""
        return self.distance(points) >= radius

    def rays(self, origin: np.ndarray, angles: np.ndarray, max_range: float) -> np.ndarray:
        """Distance (K,) m along angles (K,) rad in the world to what blocks, at most max_range."""
        return self.blocking.rays(origin, angles, max_range)

    def sample_free_pose(self, rng: np.random.Generator, clearance: float = 0.35) -> np.ndarray:
        """
        Draw a pose (x, y, yaw) with at least the clearance, m, round it.

        All poses drawn lie in the one part of the floor that a robot can reach.
        """
        mask = self._reachable & (self.grid.clearance >= clearance + self.grid.resolution)
        cells = np.argwhere(mask)
        if not len(cells):
            raise InputError(
                f'room {self.family}/{self.seed} has no free place with {clearance} m round it: '
                'use a smaller clearance'
            )
        x, y = self.grid.centres(cells[int(rng.integers(len(cells)))])
        return np.array([x, y, rng.uniform(-np.pi, np.pi)])

    @cached_property
    def _reachable(self) -> np.ndarray:
        return self.grid.main_part(PASSAGE_RADIUS)[0]
