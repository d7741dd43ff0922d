# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Where the robot is, by the look of a place: believed when several looks tell the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from wm_controller.safety.geometry import compose, relative

if TYPE_CHECKING:
    from wm_controller.memory.place_map import PlaceMapParameters

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Fix:
    """That the odometry's frame lies at `frame` (3,) on the map, by the look of a place."""

    stamp: float
    place: int
    here: Floats  # (3,) the place as seen from here
    sigma: float
    frame: Floats
    seen_from: Floats  # (3,) in odometry's frame


class Fixes:
    """The fixes of the last seconds that agree with each other."""

    def __init__(self) -> None:
        self._agreed: list[Fix] = []

    def clear(self) -> None:
        """Begin anew."""
        self._agreed.clear()

    def confirm(self, fix: Fix, parameters: PlaceMapParameters) -> bool:
        """Take one more; whether enough in a row tell the same, from views that differ."""
        p, odom = parameters, fix.seen_from
        at = compose(fix.frame, odom)

        def alike(other: Fix) -> bool:
            off = relative(at, compose(other.frame, odom))
            recent = fix.stamp - other.stamp < 3 * p.agreeing * p.recognise_every_s
            return bool(recent and np.hypot(*off[:2]) < p.agree and abs(off[2]) < p.agree_turning)

        self._agreed = [each for each in self._agreed if alike(each)]
        if not self._agreed or np.abs(relative(self._agreed[-1].seen_from, odom)).max() > (
                p.other_view):
            self._agreed.append(fix)
        if len(self._agreed) < p.agreeing:
            return False
        self.clear()
        return True
