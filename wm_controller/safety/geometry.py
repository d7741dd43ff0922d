# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Poses in the plane and the outline of the robot: SE(2) and footprints, numpy only.

A pose is (x m, y m, yaw rad) along the last axis; a twist is v (m/s, forward) and w (rad/s, left).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

STRAIGHT_W = 1e-5
"""Turning slower than this (rad/s) is driving straight."""


class InvalidFootprint(ValueError):
    """The outline does not enclose an area."""


def as_points(points: ArrayLike) -> Floats:
    """Anything that holds x, y pairs as an array (N, 2), m."""
    return np.asarray(points, float).reshape(-1, 2)


def wrap_angle(angle: ArrayLike) -> Floats:
    """Angle in [-pi, pi), rad."""
    return np.asarray((np.asarray(angle, float) + np.pi) % (2.0 * np.pi) - np.pi)


def compose(a: ArrayLike, b: ArrayLike) -> Floats:
    """Pose b, given in the frame of pose a, in the frame that a is given in. (..., 3)."""
    outer, inner = np.asarray(a, float), np.asarray(b, float)
    cos, sin = np.cos(outer[..., 2]), np.sin(outer[..., 2])
    return np.stack((
        outer[..., 0] + cos * inner[..., 0] - sin * inner[..., 1],
        outer[..., 1] + sin * inner[..., 0] + cos * inner[..., 1],
        wrap_angle(outer[..., 2] + inner[..., 2]),
    ), axis=-1)


def relative(a: ArrayLike, b: ArrayLike) -> Floats:
    """Pose b seen from pose a, both given in one frame; undoes `compose`. (..., 3)."""
    origin, other = np.asarray(a, float), np.asarray(b, float)
    cos, sin = np.cos(origin[..., 2]), np.sin(origin[..., 2])
    dx, dy = other[..., 0] - origin[..., 0], other[..., 1] - origin[..., 1]
    turn = wrap_angle(other[..., 2] - origin[..., 2])
    return np.stack((cos * dx + sin * dy, cos * dy - sin * dx, turn), axis=-1)


def integrate(pose: ArrayLike, v: ArrayLike, w: ArrayLike, dt: ArrayLike) -> Floats:
    """Pose (..., 3) after driving the twist (v, w) for dt seconds: exact on the arc."""
    if isinstance(v, float) and isinstance(w, float) and isinstance(dt, float):
        at = np.asarray(pose, float)
        if at.ndim == 1:
            return _drive(at, v * dt, w * dt)
    travel, turn = np.multiply(v, dt), np.multiply(w, dt)
    half = 0.5 * turn
    chord = travel * np.sinc(half / np.pi)
    step = np.stack(np.broadcast_arrays(chord * np.cos(half), chord * np.sin(half), turn), -1)
    return compose(pose, step)


def _drive(pose: Floats, travel: float, turn: float) -> Floats:
    """One pose, without the overhead of arrays: the guard does this several times a cycle."""
    x, y, yaw = pose.tolist()
    half = 0.5 * turn
    chord = travel * (math.sin(half) / half if half else 1.0)
    return np.array((x + chord * math.cos(yaw + half), y + chord * math.sin(yaw + half),
                     (yaw + turn + math.pi) % (2.0 * math.pi) - math.pi))


def chained(changes: ArrayLike) -> Floats:
    """Poses (..., T + 1, 3) after changes (..., T, 3), each in the frame where its step begins.

    In the frame of the first pose, which is zero.
    """
    steps = np.asarray(changes, float)
    poses = np.zeros((*steps.shape[:-2], steps.shape[-2] + 1, 3))
    for t in range(steps.shape[-2]):
        poses[..., t + 1, :] = compose(poses[..., t, :], steps[..., t, :])
    return poses


def to_parent(pose: ArrayLike, points: ArrayLike) -> Floats:
    """Points (N, 2) given in the frame of `pose` (3,), in the frame that the pose is given in."""
    x, y, yaw = np.asarray(pose)
    cos, sin = np.cos(yaw), np.sin(yaw)
    return np.asarray(as_points(points) @ np.array(((cos, sin), (-sin, cos))) + (x, y))


def to_child(pose: ArrayLike, points: ArrayLike) -> Floats:
    """Points (N, 2) of the frame that `pose` (3,) is given in, in the frame of the pose."""
    x, y, yaw = np.asarray(pose)
    cos, sin = np.cos(yaw), np.sin(yaw)
    return np.asarray((as_points(points) - (x, y)) @ np.array(((cos, -sin), (sin, cos))))


def signed_distance(polygon: Floats, points: ArrayLike) -> Floats:
    """Distance (N,) of points (N, 2) from the edge of a polygon (V, 2); negative inside, m."""
    edges = np.concatenate((polygon[1:], polygon[:1])) - polygon
    offset = as_points(points)[:, None] - polygon[None]
    along = (offset * edges).sum(-1) / np.maximum((edges ** 2).sum(-1), 1e-18)
    gap = offset - np.clip(along, 0.0, 1.0)[..., None] * edges
    distance = np.sqrt((gap ** 2).sum(-1).min(-1))
    below, above = offset[..., 1] >= 0.0, offset[..., 1] < edges[..., 1]
    side = edges[..., 0] * offset[..., 1] - edges[..., 1] * offset[..., 0]
    winding = (below & above & (side > 0.0)).sum(-1) - (~below & ~above & (side < 0.0)).sum(-1)
    return np.asarray(np.where(winding != 0, -distance, distance))


@dataclass(frozen=True, eq=False)
class Areas:
    """Where the robot may be: inside of `geofence` polygons (V, 2), outside of `keep_out`; m."""

    geofence: tuple[Floats, ...] = ()
    keep_out: tuple[Floats, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.geofence or self.keep_out)

    def forbid(self, points: ArrayLike) -> NDArray[np.bool_]:
        """Which points (N, 2), in the frame of the polygons, are out of bounds, (N,)."""
        at = as_points(points)
        out = np.zeros(len(at), bool)
        for polygon in self.geofence:
            out |= signed_distance(polygon, at) > 0.0
        for polygon in self.keep_out:
            out |= signed_distance(polygon, at) < 0.0
        return out


@dataclass(frozen=True, eq=False)
class Footprint:
    """Outline of the robot in its base frame: `vertices` (V, 2) m, grown by `radius` m.

    A circle is one vertex with a radius; a polygon has none. Vertices run counter-clockwise.
    """

    vertices: Floats
    radius: float

    @staticmethod
    def circle(radius: float) -> Footprint:
        """Disc of `radius` m about the base frame's origin."""
        if not (np.isfinite(radius) and radius > 0.0):
            raise InvalidFootprint(f'footprint radius must be positive, got {radius!r}')
        return Footprint(np.zeros((1, 2)), float(radius))

    @staticmethod
    def polygon(points: Any) -> Footprint:
        """Polygon (V, 2) m, or flat x, y, x, y, ...; either sense of rotation, also concave."""
        flat: list[float] = np.asarray(points, float).ravel().tolist()
        if len(flat) < 6 or len(flat) % 2 or not np.isfinite(flat).all():
            raise InvalidFootprint(
                f'a footprint needs at least 3 finite points x, y; got {len(flat)} numbers')
        vertices = as_points(flat)
        x, y = vertices.T
        area = 0.5 * float(x @ np.roll(y, -1) - y @ np.roll(x, -1))
        if abs(area) < 1e-6:
            raise InvalidFootprint(f'the footprint encloses no area: {flat}')
        return Footprint(vertices if area > 0.0 else vertices[::-1].copy(), 0.0)

    @cached_property
    def reach(self) -> float:
        """Distance of the outermost part from the origin, m."""
        return float(np.hypot(self.vertices[:, 0], self.vertices[:, 1]).max()) + self.radius

    def distance(self, points: ArrayLike) -> Floats:
        """Signed distance (N,) of points (N, 2) in the base frame from the edge, m."""
        if len(self.vertices) == 1:
            x, y = (as_points(points) - self.vertices[0]).T
            return np.asarray(np.hypot(x, y) - self.radius)
        return signed_distance(self.vertices, points) - self.radius
