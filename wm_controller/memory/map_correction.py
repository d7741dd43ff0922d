# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Odometry's drift, spread over the loop: places where what was measured of them fits best."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags, identity
from scipy.sparse.linalg import spsolve

from wm_controller.safety.geometry import relative, wrap_angle

Floats = NDArray[np.float64]

ROUNDS = 10  # of Gauss and Newton, at most
ENOUGH = 1e-4  # m or rad that no place moves further in a round
OUTLIER = 3.4  # standard deviations: 99 % of three-dimensional errors are smaller
HARDER = 1.6  # by which doubt grows from round to round
DOUBT_ROUNDS = 40
FIXED = 1e6  # weight that holds the first place where it is


def fitted(poses: Floats, ends: NDArray[np.int64], changes: Floats, sigmas: Floats,
           doubtful: NDArray[np.bool_] | None = None, headings: Floats | None = None) -> Floats:
    """Return the poses (N, 3) that agree best with M measured changes between them.

    `ends` (M, 2) numbers of places, `changes` (M, 3) the second as seen from the first, `sigmas`
    (M, 3) m, m, rad, infinite where nothing was measured. Least squares over SE(2) by Gauss and
    Newton (Grisetti et al., A tutorial on graph-based SLAM, 2010). The first place stays where
    it is. `headings` (N, 2) are yaws and their standard deviations, rad, where something told
    them, infinite elsewhere. `doubtful` (M,) measurements may be false, as a place mistaken for
    another: those that disagree with the rest are left out (truncated least squares by graduated
    non-convexity, Yang et al., RA-L 2020).
    """
    found = np.array(poses, float)
    if not len(ends):
        return found
    first, second = np.asarray(ends).T
    trust = np.ones(len(first))
    told = np.full((len(found), 2), np.inf) if headings is None else headings
    found = _least_squares(found, first, second, changes, sigmas, trust, told)
    if doubtful is None or not doubtful.any():
        return found
    limit = OUTLIER ** 2
    off = misfit(found, ends, changes, sigmas)[doubtful] ** 2
    if off.max() <= limit / 2:
        return found
    convexity = limit / (2 * off.max() - limit)
    for _ in range(DOUBT_ROUNDS):
        wrong, right = (convexity + 1) / convexity * limit, convexity / (convexity + 1) * limit
        between = np.sqrt(limit * convexity * (convexity + 1) / np.maximum(off, 1e-12)) - convexity
        trust[doubtful] = np.where(off >= wrong, 0.0, np.where(off <= right, 1.0, between))
        found = _least_squares(found, first, second, changes, sigmas, trust, told)
        off = misfit(found, ends, changes, sigmas)[doubtful] ** 2
        if ((trust[doubtful] < 1e-3) | (trust[doubtful] > 1 - 1e-3)).all():
            break
        convexity *= HARDER
    return found


def _least_squares(poses: Floats, first: NDArray[np.int64], second: NDArray[np.int64],
                   changes: Floats, sigmas: Floats, trust: Floats, headings: Floats) -> Floats:
    found = poses.copy()
    for _ in range(ROUNDS):
        step = _step(found, first, second, changes, sigmas, trust, headings)
        found += step
        found[:, 2] = wrap_angle(found[:, 2])
        if np.abs(step).max() < ENOUGH:
            break
    return found


def misfit(poses: Floats, ends: NDArray[np.int64], changes: Floats, sigmas: Floats) -> Floats:
    """How far (M,) each measurement is from the poses (N, 3), in its standard deviations."""
    first, second = np.asarray(ends).reshape(-1, 2).T
    return np.linalg.norm(_error(poses, first, second, changes) / sigmas, axis=-1)


def _error(poses: Floats, first: NDArray[np.int64], second: NDArray[np.int64], changes: Floats
           ) -> Floats:
    error = relative(poses[first], poses[second]) - changes
    error[:, 2] = wrap_angle(error[:, 2])
    return np.asarray(error)


def _step(poses: Floats, first: NDArray[np.int64], second: NDArray[np.int64], changes: Floats,
          sigmas: Floats, trust: Floats, headings: Floats) -> Floats:
    count, ways = len(poses), len(first)
    weight = np.sqrt(trust)[:, None] / sigmas  # (M, 3)
    error = _error(poses, first, second, changes) * weight

    yaw = poses[first, 2]
    cos, sin = np.cos(yaw), np.sin(yaw)
    dx, dy = (poses[second, :2] - poses[first, :2]).T
    here = np.zeros((ways, 3, 3))  # how the error moves with the first pose
    here[:, 0, 0], here[:, 0, 1], here[:, 0, 2] = -cos, -sin, -sin * dx + cos * dy
    here[:, 1, 0], here[:, 1, 1], here[:, 1, 2] = sin, -cos, -cos * dx - sin * dy
    here[:, 2, 2] = -1.0
    there = np.zeros((ways, 3, 3))
    there[:, 0, 0], there[:, 0, 1] = cos, sin
    there[:, 1, 0], there[:, 1, 1] = -sin, cos
    there[:, 2, 2] = 1.0

    rows = np.broadcast_to((3 * np.arange(ways)[:, None] + np.arange(3))[:, :, None],
                           (ways, 3, 3))
    values, columns = [], []
    for block, place in ((here, first), (there, second)):
        values.append((block * weight[:, :, None]).ravel())
        columns.append(np.broadcast_to(
            (3 * place[:, None] + np.arange(3))[:, None, :], (ways, 3, 3)).ravel())
    jacobian = csr_matrix((np.concatenate(values), (np.concatenate([rows.ravel()] * 2),
                                                    np.concatenate(columns))),
                          shape=(3 * ways, 3 * count))
    normal = jacobian.T @ jacobian + 1e-9 * identity(3 * count)
    slope = jacobian.T @ error.ravel()
    told = np.flatnonzero(np.isfinite(headings[:, 1]))
    precision = headings[told, 1] ** -2
    slope[3 * told + 2] += precision * wrap_angle(poses[told, 2] - headings[told, 0])
    diagonal = np.zeros(3 * count)
    diagonal[3 * told + 2] = precision
    diagonal[:3] += FIXED
    step = spsolve((normal + diags(diagonal)).tocsc(), -slope)
    return np.asarray(step).reshape(count, 3)
