# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Short-term memory of space: where the model has seen room to drive, and where it has not.

The camera looks ahead; the sides and the back of the robot, and the pocket it has just left, are
known only by remembering. Evidence comes from the model's clearance quantiles, from the robot's
own track, and from being stopped. All in the odometry frame, all fading, so that drift and people
are forgotten.
"""

from dataclasses import dataclass
from functools import lru_cache
import math

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra

from wm_controller.safety.geometry import Areas, Floats


@dataclass(frozen=True)
class FreeSpaceParameters:
    """Sizes in metres, evidence in log-odds (positive: something stands there)."""

    resolution: float = 0.1
    side: float = 20.0
    recentre_within: float = 5.0
    view_range: float = 3.5
    seen_free: float = -0.5
    seen_occupied: float = 0.6
    unseen_share: float = 0.4
    limit: float = 3.0
    occupied_above: float = 0.7
    free_below: float = -0.4
    unknown_below: float = 0.1
    half_life_s: float = 90.0
    felt_half_life_s: float = 10.0
    unknown_cost: float = 2.0
    near_cost: float = 2.0
    near_within: float = 0.25
    touching_cost: float = 8.0
    blocked_depth: float = 0.1
    doubt: float = 0.5
    detour: float = 1.5


@dataclass(frozen=True)
class Known:
    """Cells (R, C) of a grid: -1 unknown, 0 free, 1 occupied; row 0 is the lowest y.

    `corner` (2,) in odom is the lower left one; cells are `resolution` m wide.
    """

    cells: NDArray[np.int8]
    corner: Floats
    resolution: float

    @property
    def occupied(self) -> Floats:
        """Middles (N, 2) of occupied cells, in odom."""
        rows, columns = np.nonzero(self.cells == 1)
        return self.corner + self.resolution * (np.stack([columns, rows], -1) + 0.5)


class FreeSpace:
    """A square grid of evidence that follows the robot."""

    def __init__(self, robot_radius: float,
                 parameters: FreeSpaceParameters = FreeSpaceParameters(),
                 areas: Areas = Areas()) -> None:
        self.parameters, self.areas = parameters, areas
        self.robot_radius = robot_radius
        self.cells = int(round(parameters.side / parameters.resolution))
        self._evidence: NDArray[np.float32] = np.zeros((self.cells, self.cells), np.float32)
        # Where the robot was held up: what it felt is not unseen again, it only fades.
        self._felt: NDArray[np.float32] = np.zeros((self.cells, self.cells), np.float32)
        self._origin = np.zeros(2)  # odom coordinates of the grid's lower left corner
        self._started = False
        self._faded_at = 0.0
        self._distance: Floats | None = None
        self._out_of_bounds: NDArray[np.bool_] | None = None

    def clear(self) -> None:
        """Forget everything."""
        self._evidence[:] = 0.0
        self._felt[:] = 0.0
        self._started, self._out_of_bounds = False, None
        self._changed()

    def see(self, stamp: float, pose: Floats, bearings: Floats, clearance: Floats) -> None:
        """Take in clearance quantiles (3, K) m (low, median, high), seen at `pose` (3,) in odom.

        Cells nearer than the low quantile become free; cells at the median become occupied, the
        more so the narrower the quantiles.
        """
        self._follow(stamp, pose)
        p = self.parameters
        rows, columns, x, y = self._window(pose[:2], p.view_range + 0.3)
        distance = np.hypot(x, y)
        angle = np.arctan2(y, x) - pose[2]
        angle = np.arctan2(np.sin(angle), np.cos(angle))
        order = np.argsort(bearings)
        edges = (bearings[order][1:] + bearings[order][:-1]) / 2
        half = abs(bearings[order][1] - bearings[order][0]) / 2
        sector = order[np.searchsorted(edges, angle)]
        in_view = (angle > bearings.min() - half) & (angle < bearings.max() + half)
        low, median, high = clearance
        sure = np.clip(1.5 - np.log(np.maximum(high, 0.1) / np.maximum(low, 0.1)), 0.1, 1.0)
        free = in_view & (distance < np.minimum(low, p.view_range)[sector] - p.resolution / 2)
        depth = p.resolution * (0.7 + 0.1 * median[sector])
        wall = in_view & (np.abs(distance - median[sector]) < depth) & (
            median[sector] < p.view_range)
        evidence = self._evidence[rows, columns]
        # What fills the whole view is easily misjudged: no glance undoes a wall once seen.
        clearing = np.where(evidence > p.occupied_above, p.unseen_share * p.seen_free, p.seen_free)
        free &= self._felt[rows, columns] < p.occupied_above
        evidence += np.where(free, clearing, 0.0) + np.where(
            wall & ~free, p.seen_occupied * sure[sector], 0.0)
        np.clip(evidence, -p.limit, p.limit, out=evidence)
        self._changed()

    def occupy_track(self, stamp: float, pose: Floats) -> None:
        """Note that the robot itself stands at `pose`: nothing else does."""
        self._follow(stamp, pose)
        rows, columns, x, y = self._window(pose[:2], self.robot_radius)
        evidence = self._evidence[rows, columns]
        here = np.hypot(x, y) < self.robot_radius
        evidence[here] = -self.parameters.limit
        self._felt[rows, columns][here] = 0.0
        self._changed()

    def block(self, stamp: float, pose: Floats, direction: float,
              half_width: float | None = None) -> None:
        """Note that something keeps the robot at `pose` from moving, in `direction` from it.

        It is as wide as the robot, or 2 `half_width` m.
        """
        self._follow(stamp, pose)
        p = self.parameters
        half_width = self.robot_radius if half_width is None else half_width
        heading = pose[2] + direction
        ahead = self.robot_radius + 1.5 * p.resolution
        centre = pose[:2] + ahead * np.array([np.cos(heading), np.sin(heading)])
        rows, columns, x, y = self._window(centre, self.robot_radius)
        along = x * np.cos(heading) + y * np.sin(heading)
        across = -x * np.sin(heading) + y * np.cos(heading)
        held = (np.abs(along) < p.resolution) & (np.abs(across) < half_width)
        self._evidence[rows, columns][held] = p.limit
        self._felt[rows, columns][held] = p.limit
        self._changed()

    def doubt(self, place: Floats | None = None, within: float = math.inf) -> None:
        """Believe less in what is remembered to stand in the way; seeing it again restores it.

        No further than `within` m from a `place` (2,) in odom; without one, anywhere.
        """
        rows, columns = slice(None), slice(None)
        if place is not None:
            rows, columns, _, _ = self._window(place, min(within, self.parameters.side))
        evidence, felt = self._evidence[rows, columns], self._felt[rows, columns]
        np.multiply(evidence, self.parameters.doubt, out=evidence, where=evidence > 0.0)
        felt *= np.float32(self.parameters.doubt)
        self._changed()

    def obstacles_near(self, pose: Floats, within: float) -> Floats:
        """Return the middles (N, 2) of occupied cells no further than `within` m, in odom."""
        rows, columns, x, y = self._window(pose[:2], within)
        occupied = (self._evidence[rows, columns] > self.parameters.occupied_above) & (
            np.hypot(x, y) < within)
        return np.stack([x[occupied] + pose[0], y[occupied] + pose[1]], -1)

    def clearance_at(self, points: Floats) -> Floats:
        """Return the distance (...,) m from points (..., 2) to the nearest occupied cell."""
        if self._distance is None:
            free = (self._evidence <= self.parameters.occupied_above).view(np.uint8)
            cells = cv2.distanceTransform(free, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
            # Where nothing stands, as far as the grid is wide.
            self._distance = np.minimum(cells, self.cells) * self.parameters.resolution
        rows, columns = self._cells_of(points)
        return np.asarray(self._distance[rows, columns])

    def known_free(self, points: Floats) -> NDArray[np.bool_]:
        """Return whether points (..., 2) lie where the robot has seen or been, and found room."""
        rows, columns = self._cells_of(points)
        return np.asarray(self._evidence[rows, columns] < self.parameters.free_below)

    def cells_known(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_], Floats]:
        """Return which cells (R, C) are free, which unknown, and their middles (R, C, 2).

        Middles are in odom.
        """
        p = self.parameters
        along = (np.arange(self.cells) + 0.5) * p.resolution
        x, y = np.meshgrid(self._origin[0] + along, self._origin[1] + along)
        return (self._evidence < p.free_below, np.abs(self._evidence) < p.unknown_below,
                np.stack([x, y], -1))

    def known(self) -> Known:
        """Return what is free and what is occupied, no more of the grid than has any."""
        p = self.parameters
        cells = np.full((self.cells, self.cells), -1, np.int8)
        cells[self._evidence < p.free_below] = 0
        cells[self._evidence > p.occupied_above] = 1
        spans = []
        for axis in (1, 0):
            found = np.flatnonzero((cells >= 0).any(axis))
            spans.append(slice(found[0], found[-1] + 1) if len(found) else slice(0, 0))
        corner = self._origin + p.resolution * np.array([spans[1].start, spans[0].start])
        return Known(cells[spans[0], spans[1]].copy(), corner, p.resolution)

    def covers(self, point: Floats) -> bool:
        """Whether a point (2,) lies on the grid as it is now."""
        inside = np.abs(point - self._origin - self.parameters.side / 2)
        return bool((inside < self.parameters.side / 2 - self.parameters.resolution).all())

    def cost_to_go(self, goal: Floats, driven: Floats | None = None) -> 'CostToGo':
        """Return the length of the best way to `goal` (2,) through what is known, in odom.

        The unknown counts as free but longer, nearness to obstacles as longer still. `driven`
        (K, 2, 2): stretches known to be free from earlier, unless something stands there now.
        """
        p = self.parameters
        self.clearance_at(goal[None])
        assert self._distance is not None
        inside = np.clip(goal, self._origin + p.resolution,
                         self._origin + p.side - p.resolution)
        row, column = (int(cell) for cell in self._cells_of(inside))
        free = self._evidence < p.free_below
        if driven is not None and len(driven):
            free |= self._track(driven) & (self._evidence <= p.occupied_above)
        rows, columns = self._extent(free, row, column)
        gap = self._distance[rows, columns] - self.robot_radius
        near = np.clip(1 - gap / p.near_within, 0.0, 1.0)
        cost = np.where(free[rows, columns], 1.0, p.unknown_cost) + p.near_cost * near
        # Memory is blurred by a cell or so: a touch is dear, only deep overlap is blocked.
        cost += p.touching_cost * np.clip(-gap / p.blocked_depth, 0.0, 1.0)
        cost[gap < -p.blocked_depth] = np.inf
        row, column = row - rows.start, column - columns.start
        about = cost[max(0, row - 2):row + 3, max(0, column - 2):column + 3]
        np.minimum(about, 1 + p.near_cost, out=about)  # the goal itself is held to be free
        first, second, length = _neighbour_table(*cost.shape)
        flat = cost.ravel()
        weight = 0.5 * (flat[first] + flat[second]) * length * p.resolution
        keep = np.isfinite(weight)
        graph = csr_matrix((weight[keep], (first[keep], second[keep])),
                           shape=(flat.size, flat.size))
        reach = dijkstra(graph, directed=False, indices=row * cost.shape[1] + column)
        corner = self._origin + p.resolution * np.array([columns.start, rows.start])
        return CostToGo(reach.reshape(cost.shape), corner, p.resolution,
                        float(np.hypot(*(goal - inside))))

    def _track(self, driven: Floats) -> NDArray[np.bool_]:
        """Cells (R, C) no further from stretches (K, 2, 2) than half the robot."""
        p = self.parameters
        ends = np.round((driven - self._origin) / p.resolution - 0.5).astype(np.int32)
        drawn = np.zeros((self.cells, self.cells), np.uint8)
        cv2.polylines(drawn, list(ends), False, 1, max(1, round(self.robot_radius / p.resolution)))
        return drawn.astype(bool)

    def _extent(self, free: NDArray[np.bool_], row: int, column: int) -> tuple[slice, slice]:
        """Rows and columns of what is known and of a cell, and a way round it all."""
        border = int(round(self.parameters.detour / self.parameters.resolution))
        known = free | (np.abs(self._evidence) > 0.05)
        spans = []
        for axis, cell in ((1, row), (0, column)):
            found = np.flatnonzero(known.any(axis))
            low, high = (found[0], found[-1]) if len(found) else (cell, cell)
            spans.append(slice(max(0, int(min(low, cell)) - border),
                               min(self.cells, int(max(high, cell)) + border + 1)))
        return spans[0], spans[1]

    def _follow(self, stamp: float, pose: Floats) -> None:
        p = self.parameters
        if not self._started:
            self._origin = np.round((pose[:2] - p.side / 2) / p.resolution) * p.resolution
            self._started, self._faded_at = True, stamp
            self._bound()
        offset = pose[:2] - self._origin
        if offset.min() < p.recentre_within or offset.max() > p.side - p.recentre_within:
            self._recentre(pose)
        if stamp - self._faded_at > 1.0:
            fading = np.float32(0.5 ** ((stamp - self._faded_at) / p.half_life_s))
            self._evidence *= fading
            self._felt *= np.float32(0.5 ** ((stamp - self._faded_at) / p.felt_half_life_s))
            self._faded_at = stamp

    def _bound(self) -> None:
        """Find the cells where the robot may not be: to the planner, something stands there."""
        if self.areas:
            middles = self.cells_known()[2]
            self._out_of_bounds = self.areas.forbid(middles.reshape(-1, 2)).reshape(
                self.cells, self.cells)

    def _changed(self) -> None:
        if self._out_of_bounds is not None:
            self._evidence[self._out_of_bounds] = self.parameters.limit
        self._distance = None

    def _recentre(self, pose: Floats) -> None:
        p = self.parameters
        target = np.round((pose[:2] - p.side / 2) / p.resolution) * p.resolution
        shift = np.round((target - self._origin) / p.resolution).astype(int)
        n = self.cells
        dx, dy = np.clip(shift, -n, n)
        for layer in (self._evidence, self._felt):
            moved = np.zeros_like(layer)
            moved[max(0, -dy):n - max(0, dy), max(0, -dx):n - max(0, dx)] = layer[
                max(0, dy):n - max(0, -dy), max(0, dx):n - max(0, -dx)]
            layer[:] = moved
        self._origin = target
        self._bound()
        self._changed()

    def _window(self, centre: Floats, half: float) -> tuple[slice, slice, Floats, Floats]:
        """Cells within a square: slices of rows and columns, offsets x and y (R, C) in m."""
        p = self.parameters
        low = np.clip(((centre - half - self._origin) / p.resolution).astype(int), 0, self.cells)
        high = np.clip(((centre + half - self._origin) / p.resolution).astype(int) + 1, 0,
                       self.cells)
        x = self._origin[0] + (np.arange(low[0], high[0]) + 0.5) * p.resolution - centre[0]
        y = self._origin[1] + (np.arange(low[1], high[1]) + 0.5) * p.resolution - centre[1]
        grid_x, grid_y = np.meshgrid(x, y)
        return slice(low[1], high[1]), slice(low[0], high[0]), grid_x, grid_y

    def _cells_of(self, points: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        cells = np.floor((points - self._origin) / self.parameters.resolution).astype(np.int64)
        cells = np.clip(cells, 0, self.cells - 1)
        return cells[..., 1], cells[..., 0]


@dataclass(frozen=True)
class CostToGo:
    """Way to the goal, m, over a grid; beyond the grid the straight line is added."""

    grid: Floats
    origin: Floats
    resolution: float
    beyond: float

    def __call__(self, points: Floats) -> Floats:
        """Return the way (...,) m from points (..., 2), interpolated; inf where there is none."""
        position = (points - self.origin) / self.resolution - 0.5
        position = np.clip(position, 0.0, np.array(self.grid.shape[::-1]) - 1.001)
        low = position.astype(int)
        part = position - low
        x, y = low[..., 0], low[..., 1]
        values, weights = [], []
        for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
            values.append(self.grid[y + dy, x + dx])
            weights.append(np.abs(1 - dx - part[..., 0]) * np.abs(1 - dy - part[..., 1]) + 1e-9)
        value, weight = np.stack(values), np.stack(weights)
        reachable = np.isfinite(value)
        weight = np.where(reachable, weight, 0.0)
        total = weight.sum(0)
        way = (np.where(reachable, value, 0.0) * weight).sum(0) / np.maximum(total, 1e-12)
        return np.where(total > 0, way, np.inf) + self.beyond

    def heading(self, points: Floats, step: float = 0.2) -> Floats:
        """Return the direction (...,) rad in odom in which the way from points (..., 2) sinks.

        NaN where no way is known about them.
        """
        sides = np.array([[step, 0.0], [-step, 0.0], [0.0, step], [0.0, -step]])
        ahead, behind, left, right = np.moveaxis(self(points[..., None, :] + sides), -1, 0)
        with np.errstate(invalid='ignore'):
            x, y = behind - ahead, right - left
            found = np.arctan2(y, x)
        return np.where(np.isfinite(x) & np.isfinite(y) & (np.hypot(x, y) > 1e-6), found, np.nan)


@lru_cache(maxsize=8)
def _neighbour_table(rows: int, columns: int
                     ) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
    """Pairs of neighbouring cells of a grid and the distance between them in cells."""
    number = np.arange(rows * columns).reshape(rows, columns)
    first, second, length = [], [], []
    for dr, dc in ((0, 1), (1, 0), (1, 1), (1, -1)):
        a = number[:rows - dr, max(0, -dc):columns - max(0, dc)]
        b = number[dr:, max(0, dc):columns - max(0, -dc)]
        first.append(a.ravel())
        second.append(b.ravel())
        length.append(np.full(a.size, np.hypot(dr, dc)))
    return np.concatenate(first), np.concatenate(second), np.concatenate(length)
