# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""What the footprint sweeps on an arc, in closed form: when does it first touch a point.

Seen from the robot, a point runs along a circle about the instantaneous centre of rotation
(along a line if the robot drives straight). It touches the footprint, grown by a margin, where
that circle first crosses an edge moved outwards by the margin or a disc about a vertex.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wm_controller.safety.geometry import (
    as_points,
    Floats,
    Footprint,
    integrate,
    STRAIGHT_W,
    to_child,
)

TOUCHING = 1e-6
"""Nearer to the margin than this (m) counts as within it, so that rounding cannot miss it."""
STANDSTILL = 1e-9
"""No part of the robot faster than this (m/s) is no motion."""
PROBE = 1e-3
"""Travel (m) over which a point within the margin must not come nearer."""
RETURN_SLACK = 5e-3
"""A point that starts within the margin may come back to its distance less this (m)."""


def contact_time(
        footprint: Footprint, v: float, w: float, points: ArrayLike, margin: float,
        horizon_s: float) -> float:
    """Seconds of driving (v, w) until the footprint grown by `margin` touches a point, or inf.

    Points (N, 2) are in the base frame. A point already within the margin blocks (0.0) unless the
    motion takes it away: backing out and turning away are free. Contacts after `horizon_s` may be
    left out.
    """
    seen = as_points(points)
    if not len(seen) or abs(v) + abs(w) * footprint.reach < STANDSTILL:
        return np.inf
    reach = footprint.reach + margin + abs(v) * horizon_s + TOUCHING
    seen = seen[(seen ** 2).sum(-1) <= reach ** 2]
    distance = footprint.distance(seen)
    within = distance <= margin + TOUCHING
    back = distance - RETURN_SLACK
    if len(footprint.vertices) > 1:  # a polygon has no inner outline to come back to
        back = np.maximum(back, 0.5 * distance)
    margins = np.where(within, back, margin)
    if within.any():
        if _approaches(footprint, v, w, seen[within], distance[within]):
            return 0.0
        apart = margins + footprint.radius > 0.0 if len(footprint.vertices) == 1 else (
            distance > TOUCHING)
        seen, margins = seen[apart], margins[apart]
    if not len(seen):
        return np.inf
    first = _vertex_contact(footprint.vertices, footprint.radius + margins, seen, v, w)
    if len(footprint.vertices) > 1:
        first = min(first, _edge_contact(
            footprint.vertices, footprint.radius + margins, seen, v, w))
    return first


def arc_clear(
        footprint: Footprint, v: float, w: float, duration_s: float, points: ArrayLike,
        margin: float = 0.0) -> bool:
    """Whether driving (v, w) for `duration_s` keeps the points (N, 2) out of the margin."""
    return contact_time(footprint, v, w, points, margin, duration_s) > duration_s


def trajectories_clear(
        footprint: Footprint, poses: ArrayLike, points: ArrayLike, margin: float = 0.0,
        start: ArrayLike | None = None) -> NDArray[np.bool_]:
    """Which of the trajectories (B, T, 3) keep points (N, 2) out of the margin, (B,) bool.

    Poses and points are in one frame. Points within the margin of the footprint at `start` (3,),
    where the robot is now, need only not come nearer. Only the given poses are looked at:
    between them less than half a step's travel can go unseen.
    """
    steps, seen = np.asarray(poses, float), as_points(points)
    n_trajectories, n_steps = steps.shape[:2]
    if not len(seen) or not n_steps:
        return np.ones(n_trajectories, bool)
    needed = np.full(len(seen), float(margin))
    if start is not None:
        needed = np.minimum(needed, footprint.distance(to_child(start, seen)) - PROBE)
    flat = steps.reshape(-1, 3)
    reach = np.maximum(footprint.reach + needed, 0.0)
    low, high = flat[:, :2].min(0) - reach.max(), flat[:, :2].max(0) + reach.max()
    relevant = ((seen >= low) & (seen <= high)).all(1)
    seen, needed, reach = seen[relevant], needed[relevant], reach[relevant]
    # |origin - point|^2 < reach^2 as one matrix product: this runs for every candidate plan.
    origins, offsets = flat[:, :2] - low, seen - low
    near = np.column_stack((2.0 * offsets, reach ** 2 - (offsets ** 2).sum(1)))
    broad = np.column_stack((origins, np.ones(len(flat)))) @ near.T > (
        origins ** 2).sum(1)[:, None]
    if len(footprint.vertices) == 1:
        hit = broad.any(1)
    else:
        hit = np.zeros(len(flat), bool)
        for index in np.flatnonzero(broad.any(1)):
            mask = broad[index]
            inside = footprint.distance(to_child(flat[index], seen[mask])) < needed[mask]
            hit[index] = inside.any()
    return np.asarray(~hit.reshape(n_trajectories, n_steps).any(1))


def _approaches(
        footprint: Footprint, v: float, w: float, points: Floats, distance: Floats) -> bool:
    """Whether any of the points comes nearer within the first millimetre of travel."""
    speed = abs(v) + abs(w) * footprint.reach
    moved = integrate(np.zeros(3), v, w, PROBE / speed)
    return bool((footprint.distance(to_child(moved, points)) < distance - PROBE * 1e-3).any())


def _first(times: Floats) -> float:
    return float(times.min(initial=np.inf))


def _vertex_contact(
        vertices: Floats, radii: Floats, points: Floats, v: float, w: float) -> float:
    """First time a point (N, 2) crosses the disc of its radius (N,) about a vertex (V, 2)."""
    if abs(w) < STRAIGHT_W:
        offset = points[:, None] - vertices
        half_chord = radii[:, None] ** 2 - offset[..., 1] ** 2
        ahead = np.sign(v) * offset[..., 0] - np.sqrt(np.maximum(half_chord, 0.0))
        return _first(ahead[(half_chord >= 0.0) & (ahead >= 0.0)]) / max(abs(v), 1e-12)
    point_range, point_angle = _about_centre(points, v, w)
    vertex_range, vertex_angle = _about_centre(vertices, v, w)
    product = 2.0 * point_range[:, None] * vertex_range
    with np.errstate(divide='ignore', over='ignore', invalid='ignore'):
        cosine = (point_range[:, None] ** 2 + vertex_range ** 2 - radii[:, None] ** 2) / product
    crossing = np.abs(cosine) <= 1.0
    spread = np.arccos(np.clip(np.where(crossing, cosine, 0.0), -1.0, 1.0))
    turned = [
        _turned(point_angle[:, None], vertex_angle + side * spread, w)[crossing]
        for side in (-1.0, 1.0)]
    return min(map(_first, turned)) / abs(w)


def _edge_contact(
        vertices: Floats, radii: Floats, points: Floats, v: float, w: float) -> float:
    """First time a point (N, 2) crosses an edge of the polygon moved outwards by its radius."""
    edges = np.roll(vertices, -1, axis=0) - vertices
    lengths = np.hypot(*edges.T)
    vertices, edges, lengths = (a[lengths > 1e-9] for a in (vertices, edges, lengths))
    tangents = edges / lengths[:, None]
    normals = np.stack((tangents[:, 1], -tangents[:, 0]), axis=-1)
    if abs(w) < STRAIGHT_W:
        offset = points[:, None] - vertices
        closing = normals[:, 0] * v
        with np.errstate(divide='ignore', invalid='ignore'):
            time = ((offset * normals).sum(-1) - radii[:, None]) / closing
            along = (offset * tangents).sum(-1) - tangents[:, 0] * v * time
        return _first(time[(closing > 0.0) & (time >= 0.0) & (along >= 0.0) & (along <= lengths)])
    centre = np.array((0.0, v / w))
    point_range, point_angle = _about_centre(points, v, w)
    height = (normals * (vertices - centre)).sum(-1) + radii[:, None]
    crossing = np.abs(height) <= point_range[:, None]
    ratio = height / np.maximum(point_range[:, None], 1e-12)
    spread = np.arccos(np.clip(np.where(crossing, ratio, 0.0), -1.0, 1.0))
    normal_angle = np.arctan2(normals[:, 1], normals[:, 0])
    start = (tangents * (vertices - centre)).sum(-1)
    first = np.inf
    for side in (-1.0, 1.0):
        along = side * point_range[:, None] * np.sin(spread) - start
        on_edge = crossing & (along >= 0.0) & (along <= lengths)
        first = min(first, _first(
            _turned(point_angle[:, None], normal_angle + side * spread, w)[on_edge]))
    return first / abs(w)


def _about_centre(points: Floats, v: float, w: float) -> tuple[Floats, Floats]:
    """Range (m) and bearing (rad) of points (N, 2) from the centre of rotation (0, v/w)."""
    x, y = points[:, 0], points[:, 1] - v / w
    return np.hypot(x, y), np.arctan2(y, x)


def _turned(from_angle: Floats, to_angle: Floats, w: float) -> Floats:
    """Angle in [0, 2 pi) that a point turns from one bearing to another; it turns against w."""
    return np.asarray((np.sign(w) * (from_angle - to_angle)) % (2.0 * np.pi))
