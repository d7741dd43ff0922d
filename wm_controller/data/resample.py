# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""From irregular camera frames to episodes of equal steps."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

MIN_GAP_S = 0.15


@dataclass
class Cut:
    """Episodes as indices into the frames, and why each of them ended."""

    episodes: list[Indices] = field(default_factory=list)
    ended_by: Counter[str] = field(default_factory=Counter)


def gap_limit(stamp: Floats) -> float:
    """Return the longest pause, s, that is not a gap: three camera periods, at least 0.15 s."""
    period = float(np.median(np.diff(stamp))) if stamp.size > 1 else 0.0
    return max(3 * period, MIN_GAP_S)


def cut(stamp: Floats, fresh: NDArray[np.bool_], jumps: Floats, step_s: float,
        max_gap_s: float) -> Cut:
    """Cut frames at gaps and jumps, then take the frame nearest to each step.

    `stamp` (N,) increases; `fresh` (N,) is false for repeated frames, which fill a gap but are
    never taken; `jumps` are times that no episode may span. An episode also ends where the next
    fresh frame is more than half a gap, or half a step, away from where it should be.
    """
    result = Cut()
    if stamp.size == 0:
        return result
    gap = np.diff(stamp) > max_gap_s
    # A gap narrower than its sampling error is none: stamps of 0.15 s differ in the last digit.
    gap &= ~np.isclose(np.diff(stamp), max_gap_s, rtol=0, atol=1e-6)
    jumped = np.zeros(stamp.size, dtype=bool)
    jumped[np.searchsorted(stamp, jumps)[np.searchsorted(stamp, jumps) < stamp.size]] = True
    tolerance_s = 0.5 * min(step_s, max_gap_s) + 1e-6
    starts = np.flatnonzero(np.concatenate([[True], gap | jumped[1:]]))
    for first, stop in zip(starts, [*starts[1:], stamp.size]):
        pieces = _take(stamp, np.flatnonzero(fresh[first:stop]) + first, step_s, tolerance_s)
        result.episodes += pieces
        result.ended_by['no fresh frame'] += max(len(pieces) - 1, 0)
        if stop == stamp.size:
            result.ended_by['end of recording'] += 1
        else:
            result.ended_by['gap' if gap[stop - 1] else 'jump of the odometry'] += 1
    return result


def _take(stamp: Floats, frames: Indices, step_s: float, tolerance_s: float) -> list[Indices]:
    """Split frames (indices into `stamp`) without gaps into runs of one frame a step."""
    pieces: list[Indices] = []
    times = stamp[frames]
    period = float(np.median(np.diff(times))) if times.size > 1 else step_s
    start = 0
    while start < frames.size:
        taken = [start]
        while True:
            target = times[start] + len(taken) * step_s
            if target > times[-1] + 0.5 * period:
                break  # the last frame would make a shorter step
            after = int(np.searchsorted(times, target))
            near = [i for i in (after - 1, after) if i < times.size]
            best = min(near, key=lambda i: abs(times[i] - target))
            if best <= taken[-1] or abs(times[best] - target) > tolerance_s:
                break
            taken.append(best)
        pieces.append(frames[taken])
        if target > times[-1] + 0.5 * period:
            break
        start = max(taken[-1] + 1, int(np.searchsorted(times, target - tolerance_s)))
    return pieces


def runs(valid: NDArray[np.bool_]) -> list[slice]:
    """Return the maximal runs of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], valid.astype(np.int8), [0]])))
    return [slice(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2])]
