# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
How the scanner moved between scans, seen by the scans alone: iterative closest point, to lines.

Nothing is assumed of where the scanner sits or how it is turned, nor of odometry.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from wm_controller.doctor.record import Beams

Floats = NDArray[np.float64]

ROUNDS = 25
SETTLED = 1e-5
NEAR_M = (1.0, 0.15)  # first, and in the end: pairs further apart do not count
GUESSES = np.deg2rad(np.arange(-24.0, 25.0, 4.0))  # of the turn between two scans
LEAST_POINTS = 40
LEAST_SHARE = 0.6  # of the points that must find a partner
NOISE_M = 0.01
FARTHEST_M = 10.0
THINNED = 360  # points, at most
LEAST_TURN, LEAST_WAY_M = 0.06, 0.07  # rad, m between two scans: less drowns in noise
MOST_TURN, MOST_WAY_M = 0.4, 0.5  # more shows another place
APART_S = 2.0


@dataclass(frozen=True)
class Step:
    """The scanner's motion in its own first frame: shift (2,) m, turn rad, their covariance."""

    shift: Floats
    turn: float
    covariance: Floats  # (3, 3), of shift and turn


def match(before: Beams, after: Beams) -> Step | None:
    """The motion between two scans; None where they show too little, or nothing fits."""
    fixed, moved = _points(before), _points(after)
    if min(len(fixed), len(moved)) < LEAST_POINTS:
        return None
    normals, straight = _normals(fixed)
    tree = cKDTree(fixed)
    turn = _first_guess(tree, moved)
    shift = np.zeros(2)
    last = ROUNDS - 1
    for number in range(ROUNDS):
        near = max(NEAR_M[0] * 0.75 ** number, NEAR_M[1])
        placed = moved @ _rotation(turn).T + shift
        distance, index = tree.query(placed, distance_upper_bound=near)
        found = np.isfinite(distance)
        found[found] &= straight[index[found]]
        if found.sum() < LEAST_POINTS:
            return None
        n, q, p = normals[index[found]], fixed[index[found]], placed[found]
        lever = n[:, 1] * p[:, 0] - n[:, 0] * p[:, 1]  # how a turn moves p along n
        rows = np.column_stack([n, lever])
        error = ((q - p) * n).sum(axis=1)
        weight = 1.0 / (1.0 + (error / (3 * NOISE_M)) ** 2)
        normal = rows.T @ (rows * weight[:, None]) + 1e-6 * np.eye(3)
        change = np.linalg.solve(normal, rows.T @ (weight * error))
        turned = _rotation(change[2])
        shift = turned @ shift + change[:2]
        turn += float(change[2])
        if near == NEAR_M[1] and np.abs(change).max() < SETTLED:
            last = number
            break
    if found.mean() < LEAST_SHARE or last < 1:
        return None
    noise = max(float(np.sqrt((weight * error ** 2).sum() / weight.sum())), NOISE_M)
    return Step(shift, turn, np.linalg.inv(normal) * noise ** 2)


def _points(beams: Beams) -> Floats:
    points = beams.points()
    points = points[np.hypot(*points.T) < FARTHEST_M]
    every = max(1, int(np.ceil(len(points) / THINNED)))
    return points[::every]


def _normals(points: Floats, reach: int = 2) -> tuple[Floats, NDArray[np.bool_]]:
    """Unit normals (N, 2) by neighbouring beams, and whether they lie on one line."""
    index = np.arange(len(points))
    around = points[np.clip(index[:, None] + np.arange(-reach, reach + 1), 0, len(points) - 1)]
    centred = around - around.mean(axis=1, keepdims=True)
    spread, axes = np.linalg.eigh(np.einsum('nki,nkj->nij', centred, centred))
    gap = np.abs(np.diff(around, axis=1)).max(axis=(1, 2))
    straight = (spread[:, 0] < 0.1 * spread[:, 1]) & (gap < 0.4)
    return axes[:, :, 0], straight


def _first_guess(tree: cKDTree, moved: Floats) -> float:
    some = moved[::3]
    costs = [np.minimum(tree.query(some @ _rotation(guess).T)[0], 0.3).mean()
             for guess in GUESSES]
    return float(GUESSES[int(np.argmin(costs))])


def _rotation(turn: float) -> Floats:
    c, s = np.cos(turn), np.sin(turn)
    return np.array([[c, -s], [s, c]])


def pairs(times: Floats, turned: Floats, moved: Floats, most: int) -> list[tuple[int, int]]:
    """
    Choose pairs of scans between which the robot moved enough to be seen, and little enough.

    `turned` (N,) rad and `moved` (N, 2) m of the odometry at each scan, NaN where unknown. Where
    there would be too many, they are further apart: that tells more.
    """
    for apart in (1.0, 1.5, 2.0, 3.0):
        chosen = _pairs(times, turned, moved, apart)
        if len(chosen) <= most:
            return chosen
    return [chosen[k] for k in np.linspace(0, len(chosen) - 1, most).astype(int)]


def _pairs(times: Floats, turned: Floats, moved: Floats, apart: float) -> list[tuple[int, int]]:
    chosen, first = [], 0
    for k in range(1, len(times)):
        if not np.isfinite(turned[[first, k]]).all() or times[k] - times[first] > APART_S:
            first = k
            continue
        angle = abs(turned[k] - turned[first])
        way = float(np.hypot(*(moved[k] - moved[first])))
        if angle > apart * LEAST_TURN or way > apart * LEAST_WAY_M:
            if angle < MOST_TURN and way < MOST_WAY_M:
                chosen.append((first, k))
            first = k
    return chosen
