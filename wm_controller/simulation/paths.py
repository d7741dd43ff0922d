# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Shortest ways across a room's true map, for the oracle, for goals and for collecting data."""

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra

from wm_controller.simulation.description import Room
from wm_controller.simulation.grid import rasterise

# The moves to 16 neighbours (half of them: the graph is undirected): with knight's moves the
# length is at most 2.7 % too long, and path() shortens it further.
_MOVES = ((0, 1), (1, 0), (1, 1), (1, -1), (1, 2), (2, 1), (1, -2), (2, -1))
_SEARCH = 0.35  # m: a point on no free cell counts from a free cell this near


class DistanceField:
    """
    Length of the shortest way from anywhere to one goal for a disc of a radius, past what stands.

    Points closer to an obstacle than the radius count from the nearest free cell (up to 0.35 m).
    """

    def __init__(self, room: Room, goal_xy: np.ndarray, radius: float = 0.2,
                 resolution: float = 0.05):
        self.goal = np.asarray(goal_xy, float)[:2].copy()
        self.radius, self.resolution = radius, resolution
        self._room = room
        if resolution == room.grid.resolution:
            self._grid = room.grid
        else:
            self._grid = rasterise(room.bounds, room.blocking, resolution)
        self._free = self._grid.clearance >= radius
        rows, columns = self._grid.shape
        goal_cell = self._nearest_free(self.goal)
        self._length = np.full((rows, columns), np.inf)
        self._next = np.full(rows * columns, -1)
        if goal_cell is not None:
            start = int(goal_cell[0] * columns + goal_cell[1])
            length, self._next = dijkstra(
                self._graph(), directed=False, indices=start, return_predecessors=True
            )
            self._length = length.reshape(rows, columns)
            self._length += np.hypot(*(self._grid.centres(goal_cell) - self.goal))

    def _graph(self) -> csr_matrix:
        free = self._free
        rows, columns = free.shape
        number = np.arange(rows * columns).reshape(rows, columns)
        sources, targets, weights = [], [], []
        for dr, dc in _MOVES:
            a = (slice(0, rows - dr), slice(max(0, -dc), columns - max(0, dc)))
            b = (slice(dr, rows), slice(max(0, dc), columns - max(0, -dc)))
            open_ = free[a] & free[b]
            if dr and dc:  # both corners that a slanting move passes must be free too
                if abs(dr) == 2:
                    mids = ((1, 0), (1, dc))
                elif abs(dc) == 2:
                    half = dc // 2
                    mids = ((0, half), (1, half))
                else:
                    mids = ((1, 0), (0, dc))
                for mr, mc in mids:
                    open_ &= free[a[0].start + mr:a[0].stop + mr, a[1].start + mc:a[1].stop + mc]
            sources.append(number[a][open_])
            targets.append(number[b][open_])
            weights.append(np.full(len(sources[-1]), np.hypot(dr, dc) * self.resolution))
        ends = (np.concatenate(sources), np.concatenate(targets))
        return csr_matrix((np.concatenate(weights), ends), shape=(free.size, free.size))

    def _nearest_free(self, point: np.ndarray) -> np.ndarray | None:
        row, column = self._grid.cells(point)
        reach = int(np.ceil(_SEARCH / self.resolution))
        low = np.maximum((row - reach, column - reach), 0)
        window = self._free[low[0]:row + reach + 1, low[1]:column + reach + 1]
        cells = np.argwhere(window) + low
        if not len(cells):
            return None
        gaps = np.hypot(*(self._grid.centres(cells) - point).T)
        best = int(np.argmin(gaps))
        return cells[best] if gaps[best] <= _SEARCH else None

    def distance(self, xy: np.ndarray) -> np.ndarray:
        """Length of the way, m, from points (..., 2): (...); inf where there is none."""
        points = np.asarray(xy, float)
        flat = points.reshape(-1, 2)
        row, column = self._grid.cells(flat).T
        result = np.full(len(flat), np.inf)
        rows, columns = self._grid.shape
        for dr in (-1, 0, 1):  # the best of the cells about, reached in a straight line
            for dc in (-1, 0, 1):
                r, c = np.clip(row + dr, 0, rows - 1), np.clip(column + dc, 0, columns - 1)
                gap = np.hypot(*(self._grid.centres(np.stack([r, c], 1)) - flat).T)
                np.minimum(result, self._length[r, c] + gap, out=result)
        for i in np.flatnonzero(np.isinf(result)):
            cell = self._nearest_free(flat[i])
            if cell is not None:
                gap = np.hypot(*(self._grid.centres(cell) - flat[i]))
                result[i] = self._length[cell[0], cell[1]] + gap
        return result.reshape(points.shape[:-1])

    def path(self, xy: np.ndarray) -> np.ndarray:
        """Corners (M, 2) m of the way from a point to the goal; (0, 2) where there is none."""
        start = np.asarray(xy, float)[:2]
        cell = self._nearest_free(start)
        if cell is None or not np.isfinite(self._length[cell[0], cell[1]]):
            return np.zeros((0, 2))
        columns = self._grid.shape[1]
        at = int(cell[0] * columns + cell[1])
        numbers = [at]
        while self._next[at] >= 0:
            at = int(self._next[at])
            numbers.append(at)
        cells = np.stack(np.divmod(np.array(numbers), columns), axis=1)
        points = np.concatenate([self._grid.centres(cells), self.goal[None]])
        if self._free[tuple(self._grid.cells(start))]:
            return self._shortened(np.concatenate([start[None], points]))
        return np.concatenate([start[None], self._shortened(points)])

    def _shortened(self, points: np.ndarray) -> np.ndarray:
        """Leave out corners that a straight line past free cells makes unnecessary."""
        kept = [0]
        while kept[-1] < len(points) - 1:
            at, low, high = kept[-1], kept[-1] + 1, len(points) - 1
            while low < high:  # the furthest point in sight, by bisection: near enough to monotone
                middle = (low + high + 1) // 2
                if self._in_sight(points[at], points[middle]):
                    low = middle
                else:
                    high = middle - 1
            kept.append(low)
        return points[kept]

    def _in_sight(self, a: np.ndarray, b: np.ndarray) -> bool:
        count = 2 + int(np.hypot(*(b - a)) / (0.4 * self.resolution))
        line = a + np.linspace(0, 1, count)[:, None] * (b - a)
        cells = self._grid.cells(line)
        return bool(self._free[cells[:, 0], cells[:, 1]].all())
