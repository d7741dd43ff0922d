# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Odometry's drift, spread over the loop: places where what was measured of them fits best."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_matrix
from scipy.sparse.linalg import splu

from wm_controller.safety.geometry import relative, wrap_angle

Floats = NDArray[np.float64]

ROUNDS = 10  # of Gauss and Newton, at most
ENOUGH = 1e-4  # m or rad that no place moves further in a round
OUTLIER = 3.4  # standard deviations: 99 % of three-dimensional errors are smaller
HARDER = 1.6  # by which doubt grows from round to round
DOUBT_ROUNDS = 40
FIXED = 1e6  # weight that holds the first place where it is
FLOATING = 1e-9  # weight that holds places which nothing joins to it


def fitted(poses: Floats, ends: NDArray[np.int64], changes: Floats, sigmas: Floats,
           doubtful: NDArray[np.bool_] | None = None, headings: Floats | None = None,
           newest: int | None = None) -> Floats:
    """Return the poses (N, 3) that agree best with M measured changes between them.

    `ends` (M, 2) numbers of places, `changes` (M, 3) the second as seen from the first, `sigmas`
    (M, 3) m, m, rad, infinite where nothing was measured. Least squares over SE(2) by Gauss and
    Newton (Grisetti et al., A tutorial on graph-based SLAM, 2010). The first place stays where
    it is. `headings` (N, 2) are yaws and their standard deviations, rad, where something told
    them, infinite elsewhere. `doubtful` (M,) measurements may be false, as a place mistaken for
    another: those that disagree with the rest are left out (truncated least squares by graduated
    non-convexity, Yang et al., RA-L 2020).

    `newest`: the number of the measurement since which `poses` were not fitted. What did not fit
    before it is held to be false still, and the rest to be true; only where that no longer holds
    is all of it doubted anew, which takes some ten times as long.
    """
    found = np.array(poses, float)
    measured = np.isfinite(np.asarray(sigmas, float).reshape(-1, 3)).all(-1)
    if not measured.any():
        return found
    told = np.full((len(found), 2), np.inf) if headings is None else headings
    graph = _Graph.of(len(found), np.asarray(ends)[measured], changes[measured],
                      sigmas[measured], told)
    trust, limit = np.ones(len(graph.ends)), OUTLIER ** 2
    doubted = np.zeros(len(graph.ends), bool) if doubtful is None else (
        np.asarray(doubtful, bool)[measured])
    if newest is not None and doubted.any():
        new = (np.arange(len(measured)) == newest)[measured]
        fit = _as_before(found, graph, doubted, new)
        if fit is not None:
            return fit
    found = _least_squares(found, graph, trust)
    if not doubted.any():
        return found
    off = graph.misfit(found)[doubted] ** 2
    if off.max() <= limit / 2:
        return found
    convexity = limit / (2 * off.max() - limit)
    for _ in range(DOUBT_ROUNDS):
        wrong, right = (convexity + 1) / convexity * limit, convexity / (convexity + 1) * limit
        between = np.sqrt(limit * convexity * (convexity + 1) / np.maximum(off, 1e-12)) - convexity
        trust[doubted] = np.where(off >= wrong, 0.0, np.where(off <= right, 1.0, between))
        # One step is enough: the next round asks for something a little different anyway.
        found = _least_squares(found, graph, trust, rounds=1)
        off = graph.misfit(found)[doubted] ** 2
        if ((trust[doubted] < 1e-3) | (trust[doubted] > 1 - 1e-3)).all():
            break
        convexity *= HARDER
    return _least_squares(found, graph, trust)


def _as_before(poses: Floats, graph: '_Graph', doubtful: NDArray[np.bool_],
               new: NDArray[np.bool_]) -> Floats | None:
    """Fit with what is false as it was before the new measurement; None where it is otherwise."""
    limit = OUTLIER ** 2
    false = doubtful & ~new & (graph.misfit(poses) ** 2 > limit)
    found = _least_squares(poses, graph, np.where(false, 0.0, 1.0))
    off = graph.misfit(found) ** 2
    same = (off[doubtful & ~false] <= limit).all() and (off[false] > limit).all()
    # What is new must agree well, or something else may be what is wrong.
    return found if same and (off[new] <= limit / 2).all() else None


def _least_squares(poses: Floats, graph: '_Graph', trust: Floats, rounds: int = ROUNDS) -> Floats:
    found = poses.copy()
    for _ in range(rounds):
        step = graph.step(found, trust)
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


@dataclass(frozen=True)
class _Graph:
    """Measurements, and where in the normal equations each of their numbers belongs.

    Which numbers of the equations are not zero is the same in every step, so it is found once.
    """

    ends: NDArray[np.int64]  # (M, 2)
    changes: Floats  # (M, 3)
    sigmas: Floats  # (M, 3)
    told: NDArray[np.int64]  # (H,) places whose headings were told,
    headings: Floats  # (H,) rad
    precision: Floats  # (H,)
    held: Floats  # (3 N,) what is on the diagonal in any case
    slot: NDArray[np.int64]  # (M * 36 + 3 N,) of the matrix's numbers, column by column
    rows: NDArray[np.int32]
    starts: NDArray[np.int32]

    @classmethod
    def of(cls, count: int, ends: NDArray[np.int64], changes: Floats, sigmas: Floats,
           headings: Floats) -> '_Graph':
        # The unknowns of each measurement, the first place's first.
        at = (3 * ends[..., None] + np.arange(3)).reshape(len(ends), 6)
        row = np.broadcast_to(at[:, :, None], (len(at), 6, 6)).ravel()
        column = np.broadcast_to(at[:, None, :], (len(at), 6, 6)).ravel()
        diagonal = np.arange(3 * count)
        keys, slot = np.unique(np.concatenate([
            column * 3 * count + row, diagonal * (3 * count + 1)]), return_inverse=True)
        starts = np.searchsorted(keys, np.arange(3 * count + 1) * 3 * count)
        told = np.flatnonzero(np.isfinite(headings[:, 1]))
        precision = headings[told, 1] ** -2
        held = np.full(3 * count, FLOATING)
        held[3 * told + 2] += precision
        held[:3] += FIXED
        return cls(ends, changes, sigmas, told, headings[told, 0], precision, held, slot,
                   (keys % (3 * count)).astype(np.int32), starts.astype(np.int32))

    def misfit(self, poses: Floats) -> Floats:
        return misfit(poses, self.ends, self.changes, self.sigmas)

    def step(self, poses: Floats, trust: Floats) -> Floats:
        """Return how to move the poses (N, 3), by one step of Gauss and Newton."""
        (first, second), count = self.ends.T, len(poses)
        weight = np.sqrt(trust)[:, None] / self.sigmas  # (M, 3)
        error = _error(poses, first, second, self.changes) * weight

        yaw = poses[first, 2]
        cos, sin = np.cos(yaw), np.sin(yaw)
        dx, dy = (poses[second, :2] - poses[first, :2]).T
        moves = np.zeros((len(first), 3, 6))  # how the error moves with both poses
        moves[:, 0, 0], moves[:, 0, 1], moves[:, 0, 2] = -cos, -sin, -sin * dx + cos * dy
        moves[:, 1, 0], moves[:, 1, 1], moves[:, 1, 2] = sin, -cos, -cos * dx - sin * dy
        moves[:, 0, 3], moves[:, 0, 4] = cos, sin
        moves[:, 1, 3], moves[:, 1, 4] = -sin, cos
        moves[:, 2, 2], moves[:, 2, 5] = -1.0, 1.0
        moves *= weight[:, :, None]

        blocks = moves.transpose(0, 2, 1) @ moves
        values = np.bincount(self.slot, np.concatenate([blocks.ravel(), self.held]))
        slope = np.zeros((count, 3))
        along = (error[:, None, :] @ moves)[:, 0]
        np.add.at(slope, first, along[:, :3])
        np.add.at(slope, second, along[:, 3:])
        slope[self.told, 2] += self.precision * wrap_angle(poses[self.told, 2] - self.headings)
        normal = csc_matrix((values, self.rows, self.starts), shape=(3 * count, 3 * count))
        # Symmetric and positive: no pivots are looked for, and little is filled in.
        solve = splu(normal, permc_spec='MMD_AT_PLUS_A', diag_pivot_thresh=0.0,
                     options={'SymmetricMode': True})
        return np.asarray(solve.solve(-slope.ravel())).reshape(count, 3)
