# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""A route as it was driven: the places in their order, and how far along it the robot is."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

ALIKE = 0.3  # m: of stretches that are as near the earliest counts, or a loop would end at once
BACK, ON = 0.5, 3.0  # m about where the robot was on the route, within which it is looked for


def visited(trail: list[int], place: int) -> None:
    """Note that the robot came to a place; what it reversed out of again is no part of the way."""
    if trail and trail[-1] == place:
        return
    if len(trail) > 1 and trail[-2] == place:
        trail.pop()
        return
    trail.append(place)


class AlongTrail:
    """Goes along a line from wherever on it the robot is to its end.

    The same stretch may be passed more than once: the robot is looked for near where it was. The
    line may be corrected meanwhile.
    """

    def __init__(self) -> None:
        self._at: float | None = None  # m along it

    def follow(self, line: Floats, here: Floats, ahead: float) -> tuple[Floats, float, int]:
        """Return the point (2,) `ahead` m further along a line (R, 2) than the robot at `here`.

        And how much of the line is left, m, and the number of the first corner that lies ahead.
        """
        start, along = line[:-1], np.diff(line, axis=0)
        length = np.maximum(np.hypot(*along.T), 1e-9)
        corners = np.concatenate([[0.0], length.cumsum()])
        share = np.clip(((here - start) * along).sum(-1) / length ** 2, 0.0, 1.0)
        away = np.hypot(*(start + share[:, None] * along - here).T)
        at = corners[:-1] + share * length
        if self._at is None:
            self._at = float(at[np.flatnonzero(away < away.min() + ALIKE)[0]])
        else:
            about = (at > self._at - BACK) & (at < self._at + ON)
            if about.any():
                self._at = float(at[np.where(about, away, np.inf).argmin()])
        to = self._at + ahead
        point = np.array([np.interp(to, corners, line[:, axis]) for axis in (0, 1)])
        return point, float(corners[-1] - self._at), int(np.searchsorted(corners, self._at))
