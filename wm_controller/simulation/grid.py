# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""A raster of a room: the clearance at each cell, and which cells hang together."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from wm_controller.simulation.shapes import Footprints

Bounds = tuple[float, float, float, float]  # x0, y0, x1, y1 in metres


@dataclass(frozen=True)
class Grid:
    """Clearance (rows along y, columns along x), m, at cell middles of side `resolution`, m."""

    x0: float
    y0: float
    resolution: float
    clearance: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.clearance.shape[0], self.clearance.shape[1]

    def centres(self, cells: np.ndarray) -> np.ndarray:
        """Middles (N, 2) m of cells (N, 2), each row, column."""
        return (np.asarray(cells)[..., ::-1] + 0.5) * self.resolution + (self.x0, self.y0)

    def cells(self, points: np.ndarray) -> np.ndarray:
        """Cells (N, 2), row and column, that points (N, 2) lie in; clipped to the grid."""
        at = np.floor((np.asarray(points, float) - (self.x0, self.y0)) / self.resolution)
        cells = at[..., ::-1].astype(int)
        return np.clip(cells, 0, np.array(self.shape) - 1)

    def parts(self, radius: float) -> tuple[np.ndarray, np.ndarray]:
        """
        Label the parts in which a disc of the radius moves freely.

        Returns labels (rows, columns), 0 where it does not fit, and the cells in each label.
        """
        labels, _ = ndimage.label(self.clearance >= radius)
        return labels, np.bincount(labels.ravel())

    def main_part(self, radius: float) -> tuple[np.ndarray, float]:
        """Mask of the largest part for a disc of the radius, and its share of all it fits in."""
        labels, sizes = self.parts(radius)
        if len(sizes) < 2:
            return np.zeros(self.shape, bool), 0.0
        largest = 1 + int(np.argmax(sizes[1:]))
        return labels == largest, float(sizes[largest] / sizes[1:].sum())


def rasterise(bounds: Bounds, blocking: Footprints, resolution: float) -> Grid:
    """
    Raster a room; clearance is exact to about half a cell.

    Distances are computed exactly near each solid and never beyond the margin that matters, so
    that a room of a hundred solids takes milliseconds.
    """
    x0, y0, x1, y1 = bounds
    columns = max(1, int(round((x1 - x0) / resolution)))
    rows = max(1, int(round((y1 - y0) / resolution)))
    grid = Grid(x0, y0, resolution, np.empty((rows, columns)))
    x = x0 + (np.arange(columns) + 0.5) * resolution
    y = y0 + (np.arange(rows) + 0.5) * resolution
    clearance = np.minimum(
        np.minimum(x - x0, x1 - x)[None, :], np.minimum(y - y0, y1 - y)[:, None]
    ).copy()
    for i in range(len(blocking)):
        one = Footprints(blocking.solids[i:i + 1])
        reach = one.reach[0] + 1.0
        (cx, cy), c, r = one.centre[0], slice(None), slice(None)
        c = slice(*np.searchsorted(x, (cx - reach, cx + reach)))
        r = slice(*np.searchsorted(y, (cy - reach, cy + reach)))
        window = clearance[r, c]
        if window.size:
            points = np.stack(np.meshgrid(x[c], y[r]), axis=-1).reshape(-1, 2)
            np.minimum(window, one.distance(points).reshape(window.shape), out=window)
    grid.clearance[:] = clearance
    grid.clearance.setflags(write=False)
    return grid
