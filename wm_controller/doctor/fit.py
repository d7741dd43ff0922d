# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""How much, and how late, one series follows another, with the uncertainty of that."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BLOCKS = 8
MIN_ROWS = 40
MIN_CORRELATION = 0.5
STANDS_APART = 3.0  # standard errors between a gain and zero


@dataclass(frozen=True)
class Fit:
    """
    `y(t) = gain x(t - lag_s)`, with standard errors; `reason`: why it is not known.

    Figures are NaN where there was too little to fit.
    """

    gain: float
    gain_se: float
    lag_s: float
    lag_se: float
    correlation: float
    rows: int
    reason: str = ''

    @property
    def known(self) -> bool:
        return not self.reason

    @property
    def sign(self) -> int:
        """-1 where y goes the other way, 0 where it is not known."""
        return int(np.sign(self.gain)) if self.known else 0

    def words(self, unit: str = '') -> str:
        """Gain, lag and their errors for people."""
        return (f'gain {self.gain:.2f} ± {2 * self.gain_se:.2f}{unit}, lag {self.lag_s:.2f} ± '
                f'{2 * self.lag_se:.2f} s')


def unknown(reason: str, rows: int = 0) -> Fit:
    """A fit that was not made."""
    nan = float('nan')
    return Fit(nan, nan, nan, nan, nan, rows, reason)


def gain_of(x: Floats, y: Floats) -> float:
    """Least squares through the origin."""
    return float(x @ y / max(float(x @ x), 1e-12))


def fit_lagged(x_at: Callable[[float], Floats], y: Floats, lags: Floats, least: float,
               what: str, rows: int = MIN_ROWS) -> Fit:
    """
    Find the lag at which x explains y best, of either sign, and the gain there.

    `x_at(lag)` gives (N,) for y (N,), NaN where it is not known; `least`: root mean square of x
    that says something; `rows`: the fewest moments that do. Standard errors are those of leaving
    out one of eight parts.
    """
    candidates = np.stack([x_at(lag) for lag in lags])
    known = np.isfinite(candidates).all(axis=0) & np.isfinite(y)
    candidates, y = candidates[:, known], y[known]
    if y.size < rows:
        return unknown(f'only {y.size} moments with {what}', int(y.size))
    if np.sqrt((candidates ** 2).mean(axis=1)).max() < least:
        return unknown(f'not enough {what} seen', int(y.size))
    best, gain, correlation = _best(candidates, y)
    parts = np.array_split(np.arange(y.size), BLOCKS)
    left_out = [_best(np.delete(candidates, part, axis=1), np.delete(y, part)) for part in parts]
    gain_se = _jackknife([g for _, g, _ in left_out])
    lag_se = _jackknife([float(lags[k]) for k, _, _ in left_out])
    reason = ''
    if abs(correlation) < MIN_CORRELATION:
        reason = f'the two hardly go together (correlation {correlation:.2f})'
    elif abs(gain) < STANDS_APART * gain_se:
        reason = f'too uncertain (gain {gain:.2f} ± {2 * gain_se:.2f})'
    step = float(np.median(np.diff(lags))) if lags.size > 1 else 0.0
    return Fit(gain, gain_se, float(lags[best]), max(lag_se, step / np.sqrt(12.0)), correlation,
               int(y.size), reason)


def _best(candidates: Floats, y: Floats) -> tuple[int, float, float]:
    norms = np.linalg.norm(candidates, axis=1) * np.linalg.norm(y) + 1e-12
    correlations = candidates @ y / norms
    best = int(np.argmax(np.abs(correlations)))
    return best, gain_of(candidates[best], y), float(correlations[best])


def _jackknife(values: list[float]) -> float:
    n = len(values)
    return float(np.sqrt((n - 1) / n * np.sum((np.array(values) - np.mean(values)) ** 2)))
