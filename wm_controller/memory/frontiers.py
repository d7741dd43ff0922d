# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Where what is known of space ends: the places from which more would be seen."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, label

from wm_controller.memory.free_space import CostToGo, FreeSpace

Floats = NDArray[np.float64]

LEAST_CELLS = 4  # of a frontier: less is a gap in what the camera saw
AROUND = np.ones((3, 3), bool)


@dataclass(frozen=True)
class Frontier:
    """One stretch of the edge of what is known: where to look from (2,) in odom, and its length m.

    `way_m` is how far it is, through what is known.
    """

    place: Floats
    length_m: float
    way_m: float

    @property
    def worth(self) -> float:
        """What it promises for what it costs to go there."""
        return self.length_m / (1.0 + self.way_m)


def frontiers(memory: FreeSpace, way: CostToGo, room_m: float) -> list[Frontier]:
    """Return the frontiers of what is known, the most promising first.

    `way` leads to the robot, from anywhere: where no way is known, nothing is worth looking for.
    `room_m`: clearance that the place to look from must have. (Frontiers: Yamauchi, 1997.)
    """
    free, unknown, middles = memory.cells_known()
    edge = free & binary_dilation(unknown, AROUND)
    edge &= memory.clearance_at(middles) >= room_m
    numbered, count = label(edge, AROUND)
    resolution = memory.parameters.resolution
    found = []
    for number in range(1, count + 1):
        cells = middles[numbered == number]
        if len(cells) < LEAST_CELLS:
            continue
        # The middle of a bent stretch may lie off it: its cell nearest to that is on it.
        place = cells[np.hypot(*(cells - cells.mean(0)).T).argmin()]
        way_m = float(way(place))
        if np.isfinite(way_m):
            found.append(Frontier(place, resolution * len(cells), way_m))
    return sorted(found, key=lambda each: -each.worth)
