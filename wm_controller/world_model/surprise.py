# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Surprise: a score of each frame -> a steady, calibrated number in 0..1. Needs numpy only."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wm_controller.errors import InputError

Floats = NDArray[np.float64]
DEBOUNCE_S = 0.1   # a score counts once it has lasted so long
HOLD_S = 0.3       # and goes on counting for so long after it was last seen
LEAST_EXCESSES = 20  # scores that the tail is measured on
LEVELS = np.unique(np.round(np.concatenate([
    np.linspace(0, 0.9, 91), np.linspace(0.9, 0.99, 91), np.linspace(0.99, 0.999, 91),
    np.linspace(0.999, 0.9999, 91)]), 6))


class Steady:
    """Debounce and hysteresis of a score, at any rate of frames.

    The result is at or above a level once the score has been there for `debounce_s`, and until it
    has not been for `hold_s`: for every level at once. (An erosion in time, then a dilation.) It
    commutes with every rising function of the score.
    """

    def __init__(self, debounce_s: float = DEBOUNCE_S, hold_s: float = HOLD_S) -> None:
        if not (0.0 <= debounce_s < math.inf and 0.0 <= hold_s < math.inf):
            raise InputError(f'debounce {debounce_s} s, hold {hold_s} s: use finite times from 0')
        self._debounce_s, self._hold_s = debounce_s, hold_s
        self._raw: deque[tuple[float, float]] = deque()
        self._agreed: deque[tuple[float, float]] = deque()

    def reset(self) -> None:
        """Forget all scores."""
        self._raw.clear()
        self._agreed.clear()

    def fork(self) -> 'Steady':
        """Return one that goes on from here by itself."""
        other = Steady(self._debounce_s, self._hold_s)
        other._raw, other._agreed = self._raw.copy(), self._agreed.copy()
        return other

    def update(self, stamp: float, score: float) -> float:
        """Take the score of a frame at `stamp` s; frames come in order. NaN: nothing is known.

        Returns NaN until scores have lasted for `debounce_s`. A score that is not known breaks
        off what was lasting; what is held is held on.
        """
        if self._raw and stamp < self._raw[-1][0]:
            self.reset()  # time went back: what was seen belongs to another time
        if math.isnan(score):
            self._raw.clear()
        else:
            self._raw.append((stamp, score))
            # The last score that is at least `debounce_s` old stays: it lasted until the next.
            while len(self._raw) > 1 and self._raw[1][0] <= stamp - self._debounce_s + _TICK_S:
                self._raw.popleft()
            if self._raw[0][0] <= stamp - self._debounce_s + _TICK_S:
                self._agreed.append((stamp, min(value for _, value in self._raw)))
        while self._agreed and self._agreed[0][0] < stamp - self._hold_s - _TICK_S:
            self._agreed.popleft()
        return max((value for _, value in self._agreed), default=math.nan)


_TICK_S = 1e-3  # stamps of a steady camera differ by about so much from its period


@dataclass(frozen=True)
class Quantiles:
    """Split conformal calibration: `values[i]` is what a share `levels[i]` stays at or below.

    For scores exchangeable with the n calibration scores, P(surprise >= level) <= 1 - level for
    every level and every n (Vovk et al., Algorithmic Learning in a Random World, 2005).

    What is rarer than n scores can show is extrapolated: beyond the last value the share falls
    exponentially with mean excess `tail`; 0, and with fewer than 10 LEAST_EXCESSES scores: not at
    all, so that the promise above holds there too. A robot that sees ten frames a second
    for hours needs levels that no calibration of an hour can have.
    """

    levels: tuple[float, ...]
    values: tuple[float, ...]
    tail: float = 0.0

    @classmethod
    def of(cls, scores: ArrayLike, levels: ArrayLike = LEVELS) -> 'Quantiles':
        """Calibrate on held-out scores (n,), finite; levels that n scores cannot show are left."""
        ordered = np.sort(np.asarray(scores, float).ravel())
        if ordered.size == 0 or not np.isfinite(ordered).all():
            raise InputError('calibration needs finite scores, at least one: give more data')
        wanted = np.asarray(levels, float)
        rank = np.ceil(wanted * (ordered.size + 1) - 1e-9).astype(int)
        kept = (rank >= 1) & (rank <= ordered.size)
        excesses = max(LEAST_EXCESSES, ordered.size // 50)
        base = ordered[max(0, ordered.size - 1 - excesses)]
        beyond = ordered[ordered > base] - base
        # Fewer scores have no tail to measure: the body of their distribution would pass for it.
        known = beyond.size > 0 and ordered.size >= 10 * excesses
        return cls(tuple(wanted[kept].tolist()), tuple(ordered[rank[kept] - 1].tolist()),
                   float(beyond.mean()) if known else 0.0)

    def surprise(self, score: float) -> float:
        """Return the highest level whose value the score exceeds, 0..1; NaN for NaN."""
        if math.isnan(score):
            return math.nan
        index = int(np.searchsorted(self.values, score, side='left'))
        if index == 0:
            return 0.0
        level = self.levels[index - 1]
        if index < len(self.values) or not self.tail:
            return level
        return 1.0 - (1.0 - level) * math.exp(-(score - self.values[-1]) / self.tail)

    def threshold(self, level: float) -> float:
        """Return the score above which surprise is at least `level`; inf where none can be."""
        index = int(np.searchsorted(self.levels, level - 1e-12, side='left'))
        if index < len(self.values):
            return self.values[index]
        if not self.values or not self.tail or level >= 1.0:
            return math.inf
        return self.values[-1] + self.tail * math.log((1.0 - self.levels[-1]) / (1.0 - level))


def tail_score(value: ArrayLike, grid: Sequence[float] | Floats, tail: float) -> Floats:
    """Return -ln of the share of calibration values at or above `value`, in nats.

    `grid` holds the values at the levels GRID. Beyond the last, the tail falls exponentially with
    mean excess `tail` (peaks over threshold with shape 0: Pickands 1975), so that what was never
    seen in calibration is still ordered by how far out it is.
    """
    values, edges = np.asarray(value, float), np.asarray(grid, float)
    inside = np.interp(values, edges, -np.log1p(-GRID))
    return np.asarray(inside + np.maximum(values - edges[-1], 0.0) / max(tail, 1e-12))


GRID = np.unique(np.round(np.concatenate([
    np.linspace(0, 0.9, 19), np.linspace(0.9, 0.99, 10), (0.993, 0.995)]), 6))


def fit_tail(values: ArrayLike) -> tuple[Floats, float]:
    """Measure what `tail_score` needs of calibration values (n,): the grid and the tail."""
    known = np.asarray(values, float)
    known = known[np.isfinite(known)]
    if known.size < 2:
        raise InputError('calibration needs at least two finite values a channel: give more data')
    grid = np.quantile(known, GRID)
    beyond = known[known > grid[-1]] - grid[-1]
    spread = float(beyond.mean()) if beyond.size else float(grid[-1] - grid[-2])
    return grid, max(spread, 1e-9)
