# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Places where the robot got no further: before it tries them again, a detour is worth a while.

What memory holds to be open may be too narrow for the planner, or somebody stands there; without
this it would go back to the same gap again and again.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
FORGOTTEN = 0.05  # share of its cost with which a setback is dropped


@dataclass(frozen=True)
class SetbackParameters:
    """`cost`: m of detour per m of way through a place, within `reach` m of it; fades in s."""

    cost: float = 6.0
    reach: float = 0.4
    half_life_s: float = 60.0


class Setbacks:
    """Remembers places (2,) in odom, with the time of each."""

    def __init__(self, parameters: SetbackParameters = SetbackParameters()) -> None:
        self.parameters = parameters
        self._noted: list[tuple[float, Floats]] = []

    def clear(self) -> None:
        """Forget all."""
        self._noted.clear()

    def note(self, stamp: float, place: Floats) -> None:
        """Note that the robot got no further towards a place (2,) at `stamp` s."""
        self._noted = [each for each in self._noted if self._left(stamp - each[0]) > FORGOTTEN]
        self._noted.append((stamp, np.array(place, float)))

    def cost(self, x: Floats, y: Floats, now: float) -> Floats:
        """What each m of way costs more (Y, X), in m, in columns at x (X,) and rows at y (Y,)."""
        total = np.zeros((len(y), len(x)))
        for stamp, place in self._noted:
            near = np.hypot(x - place[0], (y - place[1])[:, None]) < self.parameters.reach
            total += self.parameters.cost * self._left(now - stamp) * near
        return total

    def _left(self, age_s: float) -> float:
        return float(0.5 ** (max(age_s, 0.0) / self.parameters.half_life_s))
