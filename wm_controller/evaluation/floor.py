# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""A room seen from above, as a raster: what reports and videos draw the drives on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from wm_controller.simulation.rooms import Room


@dataclass(frozen=True)
class Floor:
    """
    Distance in m to the nearest obstacle over a grid; 0 or less within an obstacle.

    Row 0 is the lowest y, column 0 the lowest x; values sit at the corners of the cells.
    """

    distance: np.ndarray  # (H,W) m
    x: np.ndarray  # (W,) m
    y: np.ndarray  # (H,) m

    @classmethod
    def of(cls, room: Room, resolution_m: float = 0.03) -> Floor:
        """Sample a room."""
        low_x, low_y, high_x, high_y = (float(value) for value in room.bounds)
        x = np.arange(low_x, high_x + resolution_m, resolution_m)
        y = np.arange(low_y, high_y + resolution_m, resolution_m)
        grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
        return cls(np.asarray(room.distance(grid)).reshape(len(y), len(x)), x, y)

    @property
    def size_m(self) -> tuple[float, float]:
        """Width and height."""
        return float(self.x[-1] - self.x[0]), float(self.y[-1] - self.y[0])
