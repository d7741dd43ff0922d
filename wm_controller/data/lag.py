# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""How long after a command, or after measured motion, the picture begins to move."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
YawRate = Callable[[Floats, Floats], Floats]
"""Mean yaw rate, rad/s or servo units, over intervals [start (N,), stop (N,)]; NaN: unknown."""

THUMBNAIL_WIDTH = 64
SEARCH_S = np.arange(-0.30, 1.005, 0.01)
MIN_PAIRS = 200
MAX_PAIRS = 20_000  # more make it slower, not better
MIN_CORRELATION = 0.5
MAX_SPREAD_S = 0.1
BLOCKS = 4


@dataclass(frozen=True)
class Lag:
    """Estimate: `lag_s` is positive where the picture follows. `spread_s` is between blocks."""

    lag_s: float
    correlation: float
    correlation_at_zero: float
    spread_s: float
    pairs: int
    convincing: bool
    reason: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class ShiftMeter:
    """Horizontal shift of the picture from frame to frame, in picture widths.

    A turn to the left, which is positive, moves the picture to the right, which is positive too.
    """

    def __init__(self) -> None:
        self._previous: NDArray[np.float32] | None = None
        self._window: NDArray[np.float32] | None = None

    def add(self, rgb: NDArray[np.uint8]) -> float:
        """Shift since the previous frame; NaN for the first one or another size."""
        grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
        height = max(round(THUMBNAIL_WIDTH * grey.shape[0] / grey.shape[1]), 8)
        small = np.asarray(cv2.resize(grey, (THUMBNAIL_WIDTH, height),
                                      interpolation=cv2.INTER_AREA), dtype=np.float32)
        previous, self._previous = self._previous, small
        if previous is None or previous.shape != small.shape:
            self._window = np.asarray(cv2.createHanningWindow((THUMBNAIL_WIDTH, height),
                                                              cv2.CV_32F), dtype=np.float32)
            return float('nan')
        assert self._window is not None
        (shift, _), _ = cv2.phaseCorrelate(previous, small, self._window)
        return float(shift) / THUMBNAIL_WIDTH


def estimate_lag(start: Floats, stop: Floats, shift: Floats, yaw_rate: YawRate) -> Lag:
    """Find the delay at which the yaw rate explains the picture's shift best.

    `start`, `stop` (N,): stamps of pairs of frames; `shift` (N,) picture widths between them.
    """
    usable = np.isfinite(shift) & (stop > start)
    start, stop = start[usable], stop[usable]
    speed = shift[usable] / (stop - start)
    if speed.size < MIN_PAIRS:
        return _unknown(speed.size, f'only {speed.size} pairs of frames, {MIN_PAIRS} are needed')
    start, stop, speed = start[:MAX_PAIRS], stop[:MAX_PAIRS], speed[:MAX_PAIRS]
    # Phase correlation is far off now and then, where a picture has no texture.
    speed = np.clip(speed, *np.quantile(speed, [0.01, 0.99]))
    yaw = np.stack([yaw_rate(start - lag, stop - lag) for lag in SEARCH_S])
    known = np.isfinite(yaw).all(axis=0)
    speed, yaw = speed[known], yaw[:, known]
    if speed.size < MIN_PAIRS:
        return _unknown(speed.size, f'the yaw rate is known for only {speed.size} pairs of frames')
    if yaw.std(axis=1).min() < 1e-6 or speed.std() < 1e-9:
        return _unknown(speed.size, 'the robot never turned, or the picture never moved')
    correlation = _correlations(yaw, speed)
    best = int(np.argmax(correlation))
    peaks = [SEARCH_S[int(np.argmax(_correlations(y, s)))]
             for y, s in zip(np.array_split(yaw, BLOCKS, axis=1), np.array_split(speed, BLOCKS))
             if y.std(axis=1).min() > 1e-6 and s.std() > 1e-9]
    spread = float(np.median(np.abs(np.array(peaks) - SEARCH_S[best]))) if peaks else np.inf
    reason = ''
    if correlation[best] < MIN_CORRELATION:
        reason = f'correlation {correlation[best]:.2f} is under {MIN_CORRELATION}'
    elif best in (0, SEARCH_S.size - 1):
        reason = 'the best lag is at the end of the search range'
    elif spread > MAX_SPREAD_S:
        reason = f'parts of the recording differ by {spread:.2f} s'
    return Lag(round(float(SEARCH_S[best]), 3), float(correlation[best]),
               float(correlation[int(np.argmin(np.abs(SEARCH_S)))]), spread, int(speed.size),
               not reason, reason)


def _correlations(yaw: Floats, speed: Floats) -> Floats:
    """(L,) Pearson correlation of each row of `yaw` (L, N) with `speed` (N,)."""
    yaw = yaw - yaw.mean(axis=1, keepdims=True)
    speed = speed - speed.mean()
    return np.asarray(yaw @ speed / (np.linalg.norm(yaw, axis=1) * np.linalg.norm(speed) + 1e-12))


def _unknown(pairs: int, reason: str) -> Lag:
    nan = float('nan')
    return Lag(nan, nan, nan, nan, pairs, False, reason)
