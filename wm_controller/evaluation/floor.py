# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""A room seen from above, as a raster: what reports and videos draw the drives on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from wm_controller.simulation.rooms import Room

WALL_SHOWN_M = 0.12  # of the outer walls, which lie outside the room's bounds
ROBOT_HEIGHT_M = 0.35


@dataclass(frozen=True)
class Floor:
    """
    Distance in m to the nearest obstacle over a grid; 0 or less within an obstacle.

    Row 0 is the lowest y, column 0 the lowest x; values sit at the corners of the cells.
    """

    distance: np.ndarray  # (H,W) m
    x: np.ndarray  # (W,) m
    y: np.ndarray  # (H,) m
    furniture: tuple[np.ndarray, ...] = ()  # outlines (M,2) of what stands in the robot's way
    overhead: tuple[np.ndarray, ...] = ()  # outlines of what the robot passes under

    @classmethod
    def of(cls, room: Room, resolution_m: float = 0.03) -> Floor:
        """Sample a room."""
        low_x, low_y, high_x, high_y = (float(value) for value in room.bounds)
        x = np.arange(low_x - WALL_SHOWN_M, high_x + WALL_SHOWN_M, resolution_m)
        y = np.arange(low_y - WALL_SHOWN_M, high_y + WALL_SHOWN_M, resolution_m)
        grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
        pieces = sorted(room.furniture, key=lambda piece: piece.top)
        return cls(
            np.asarray(room.distance(grid)).reshape(len(y), len(x)),
            x,
            y,
            furniture=tuple(p.outline() for p in pieces if p.bottom < ROBOT_HEIGHT_M),
            overhead=tuple(p.outline() for p in pieces if p.bottom >= ROBOT_HEIGHT_M),
        )

    @property
    def size_m(self) -> tuple[float, float]:
        """Width and height."""
        return float(self.x[-1] - self.x[0]), float(self.y[-1] - self.y[0])
