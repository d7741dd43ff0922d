# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Upright solids of a room (boxes and cylinders), and their distances and rays in the plane."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Solid:
    """
    An upright box or cylinder.

    Centre x, y, z and half sizes hx, hy, hz in metres, turned by yaw about z; a cylinder has
    radius hx (= hy). `material` is an index into the room's materials.
    """

    shape: str
    x: float
    y: float
    z: float
    hx: float
    hy: float
    hz: float
    yaw: float = 0.0
    material: int = 0

    def __post_init__(self) -> None:
        if self.shape not in ('box', 'cylinder'):
            raise ValueError(f'shape is {self.shape!r}, not box or cylinder')
        if min(self.hx, self.hy, self.hz) <= 0.0:
            raise ValueError(f'half sizes must be positive: {self.hx}, {self.hy}, {self.hz}')

    @property
    def bottom(self) -> float:
        """Height of the lower face, m."""
        return self.z - self.hz

    @property
    def top(self) -> float:
        """Height of the upper face, m."""
        return self.z + self.hz

    def placed(self, x: float, y: float, yaw: float) -> 'Solid':
        """Return the solid, given in the frame of a piece, in the frame the piece stands in."""
        c, s = np.cos(yaw), np.sin(yaw)
        return replace(
            self,
            x=float(x + c * self.x - s * self.y),
            y=float(y + s * self.x + c * self.y),
            yaw=float(self.yaw + yaw),
        )

    def outline(self, segments: int = 24) -> np.ndarray:
        """Corners (M, 2) of the footprint, counter-clockwise: for plots."""
        if self.shape == 'cylinder':
            angle = np.linspace(0.0, 2 * np.pi, segments, endpoint=False)
            return self.hx * np.stack([np.cos(angle), np.sin(angle)], 1) + (self.x, self.y)
        corners = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]]) * (self.hx, self.hy)
        c, s = np.cos(self.yaw), np.sin(self.yaw)
        return corners @ np.array([[c, s], [-s, c]]) + (self.x, self.y)


def box(x: float, y: float, z: float, hx: float, hy: float, hz: float, **more) -> Solid:
    """Build a box from its centre and half sizes, m."""
    return Solid('box', x, y, z, hx, hy, hz, **more)


def cylinder(x: float, y: float, z: float, radius: float, hz: float, **more) -> Solid:
    """Build an upright cylinder from its centre, radius and half height, m."""
    return Solid('cylinder', x, y, z, radius, radius, hz, **more)


class Footprints:
    """The footprints of many solids as arrays, for distances and rays of many points at once."""

    def __init__(self, solids: Iterable[Solid]):
        solids = tuple(solids)
        self.solids = solids
        self.centre = np.array([[s.x, s.y] for s in solids], float).reshape(-1, 2)
        self.half = np.array([[s.hx, s.hy] for s in solids], float).reshape(-1, 2)
        yaw = np.array([s.yaw for s in solids], float)
        self.cos, self.sin = np.cos(yaw), np.sin(yaw)
        self.round = np.array([s.shape == 'cylinder' for s in solids], bool)
        self.reach = np.where(self.round, self.half[:, 0], np.hypot(*self.half.T))

    def __len__(self) -> int:
        return len(self.centre)

    def distance(self, points: np.ndarray) -> np.ndarray:
        """Signed distance (N,) m from points (N, 2) to the nearest footprint; negative inside."""
        points = np.asarray(points, float).reshape(-1, 2)
        best = np.full(len(points), np.inf)
        for i in range(len(self)):  # a loop over solids keeps the memory at one row of points
            rel = points - self.centre[i]
            if self.round[i]:
                signed = np.hypot(rel[:, 0], rel[:, 1]) - self.half[i, 0]
            else:
                c, s = self.cos[i], self.sin[i]
                dx = np.abs(c * rel[:, 0] + s * rel[:, 1]) - self.half[i, 0]
                dy = np.abs(c * rel[:, 1] - s * rel[:, 0]) - self.half[i, 1]
                outside = np.hypot(np.maximum(dx, 0.0), np.maximum(dy, 0.0))
                signed = outside + np.minimum(np.maximum(dx, dy), 0.0)
            np.minimum(best, signed, out=best)
        return best

    def rays(self, origin: np.ndarray, angles: np.ndarray, max_range: float) -> np.ndarray:
        """
        Distance (K,) m from one origin (2,) along angles (K,) to the first footprint.

        At most max_range; zero from inside a footprint.
        """
        angles = np.asarray(angles, float)
        ranges = np.full(angles.shape, float(max_range))
        to_centre = self.centre - np.asarray(origin, float)
        near = np.hypot(to_centre[:, 0], to_centre[:, 1]) - self.reach < max_range
        cosines, sines = np.cos(angles)[:, None], np.sin(angles)[:, None]
        boxes = near & ~self.round
        if boxes.any():
            c, s = self.cos[boxes], self.sin[boxes]
            ox, oy = -to_centre[boxes, 0], -to_centre[boxes, 1]
            ox, oy = c * ox + s * oy, c * oy - s * ox
            with np.errstate(divide='ignore', invalid='ignore'):
                x_in, x_out = _slab(ox, c * cosines + s * sines, self.half[boxes, 0])
                y_in, y_out = _slab(oy, c * sines - s * cosines, self.half[boxes, 1])
            enter, leave = np.maximum(x_in, y_in), np.minimum(x_out, y_out)
            hit = (enter <= leave) & (leave >= 0.0)
            hits = np.where(hit, np.maximum(enter, 0.0), np.inf).min(axis=1)
            np.minimum(ranges, hits, out=ranges)
        rounds = near & self.round
        if rounds.any():
            cx, cy = to_centre[rounds, 0], to_centre[rounds, 1]
            along = cx * cosines + cy * sines
            root = self.half[rounds, 0] ** 2 - (cx * sines - cy * cosines) ** 2
            half_chord = np.sqrt(np.maximum(root, 0.0))
            hit = (root >= 0.0) & (along + half_chord >= 0.0)
            hits = np.where(hit, np.maximum(along - half_chord, 0.0), np.inf).min(axis=1)
            np.minimum(ranges, hits, out=ranges)
        return ranges


def _slab(offset: np.ndarray, direction: np.ndarray, half: np.ndarray):
    """Entry and exit along rays (K, S) through the slab |x| <= half, seen from offset (S,)."""
    direction = np.where(np.abs(direction) < 1e-12, 1e-12, direction)
    a, b = (-half - offset) / direction, (half - offset) / direction
    return np.minimum(a, b), np.maximum(a, b)
