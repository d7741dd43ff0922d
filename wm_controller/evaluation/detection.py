# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""How well a score tells events from the ordinary: AUROC, share detected, delay, intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Floats = NDArray[np.float64]
WITHIN_S = 0.5
FALSE_ALARMS = 0.01
RESAMPLES = 400


@dataclass(frozen=True)
class Window:
    """What one detector said from the first frame of an event on: scores (T,) at elapsed (T,) s.

    `room` is the unit that is drawn again for intervals: windows of one room resemble each other.
    """

    event: str
    room: int
    elapsed_s: Floats
    scores: Floats

    def peak(self, within_s: float = WITHIN_S) -> float:
        """Return the highest score within the time; -inf where none was known."""
        known = self.scores[(self.elapsed_s <= within_s + 1e-6) & ~np.isnan(self.scores)]
        return float(known.max()) if known.size else -math.inf

    def delay_s(self, threshold: float) -> float:
        """Return when the score first exceeded the threshold; inf where it never did."""
        over = np.nan_to_num(self.scores, nan=-np.inf) > threshold
        return float(self.elapsed_s[over.argmax()]) if over.any() else math.inf


def auroc(positive: Floats, negative: Floats) -> float:
    """Chance that a positive scores above a negative, ties counted half (Mann-Whitney)."""
    if not len(positive) or not len(negative):
        return math.nan
    ranks = rankdata(np.concatenate([positive, negative]))
    n, m = len(positive), len(negative)
    return float((ranks[:n].sum() - n * (n + 1) / 2) / (n * m))


def alarm_threshold(peaks: Floats, false_alarms: float = FALSE_ALARMS) -> float:
    """Return the least threshold that at most this share of the peaks exceeds."""
    ordered = np.sort(peaks)
    allowed = math.floor(false_alarms * len(ordered) + 1e-9)
    return float(ordered[len(ordered) - 1 - allowed]) if len(ordered) else math.nan


def score_events(
    windows: Sequence[Window], events: Sequence[str], harmless: Sequence[str], quiet: str,
    seed: int = 0,
) -> dict[str, Any]:
    """Judge one detector: rows for each event, for all together, and for what is harmless.

    AUROC is against the harmless and the quiet windows; detections are counted at the threshold
    that `FALSE_ALARMS` of the harmless windows exceed. Intervals: 95 %, bootstrap over rooms, the
    threshold being measured anew in each resample.
    """
    groups = _Groups(windows, harmless, quiet)
    threshold = groups.threshold(np.ones(groups.rooms))
    weights = _resamples(groups.rooms, seed)
    thresholds = [groups.threshold(w) for w in weights]
    rows = {}
    for name, chosen in [*((e, (e,)) for e in events), ('all', tuple(events))]:
        if groups.count(chosen):
            rows[name] = groups.row(chosen, threshold, weights, thresholds)
    rest = {name: groups.alarms((name,), threshold) for name in (*harmless, quiet)
            if groups.count((name,))}
    return {'threshold': threshold, 'events': rows, 'false_alarms': rest}


class _Groups:
    """Windows as arrays, drawn by weights of their rooms."""

    def __init__(self, windows: Sequence[Window], harmless: Sequence[str], quiet: str) -> None:
        self.windows = windows
        self.event = np.array([w.event for w in windows])
        names, self.room = np.unique([w.room for w in windows], return_inverse=True)
        self.rooms = len(names)
        self.peak = np.array([w.peak() for w in windows])
        self.harmless = np.isin(self.event, list(harmless))
        self.negative = self.harmless | (self.event == quiet)

    def _drawn(self, mask: NDArray[np.bool_], weights: Floats) -> Floats:
        return np.repeat(self.peak[mask], weights[self.room[mask]].astype(int))

    def count(self, events: Sequence[str]) -> int:
        """Windows of these events."""
        return int(np.isin(self.event, list(events)).sum())

    def threshold(self, weights: Floats) -> float:
        """Threshold on the harmless windows of the rooms drawn."""
        return alarm_threshold(self._drawn(self.harmless, weights))

    def alarms(self, events: Sequence[str], threshold: float) -> dict[str, Any]:
        """Share of these windows over the threshold."""
        peaks = self.peak[np.isin(self.event, list(events))]
        return {'windows': len(peaks), 'share': round(float((peaks > threshold).mean()), 4)}

    def row(self, events: Sequence[str], threshold: float, weights: Sequence[Floats],
            thresholds: Sequence[float]) -> dict[str, Any]:
        """AUROC, detections and delays of these events, with intervals."""
        mask = np.isin(self.event, list(events))

        def both(w: Floats, limit: float) -> tuple[float, float]:
            peaks = self._drawn(mask, w)
            found = float((peaks > limit).mean()) if len(peaks) else math.nan
            return auroc(peaks, self._drawn(self.negative, w)), found

        area, found = both(np.ones(self.rooms), threshold)
        again = np.array([both(w, t) for w, t in zip(weights, thresholds)])
        delays = np.array([window.delay_s(threshold)
                           for window, chosen in zip(self.windows, mask) if chosen])
        seen = delays[np.isfinite(delays)]
        return {
            'windows': int(mask.sum()),
            'auroc': round(area, 4), 'auroc_ci95': _interval(again[:, 0]),
            'detected': round(found, 4), 'detected_ci95': _interval(again[:, 1]),
            'delay_median_s': _percentile(seen, 50), 'delay_p95_s': _percentile(seen, 95),
            'never': round(float(np.isinf(delays).mean()), 4),
        }


def _resamples(rooms: int, seed: int) -> list[Floats]:
    rng = np.random.default_rng([seed, 0xB007])
    return [np.bincount(rng.integers(rooms, size=rooms), minlength=rooms).astype(float)
            for _ in range(RESAMPLES)]


def _interval(values: Floats) -> list[float | None]:
    known = values[np.isfinite(values)]
    if not len(known):
        return [None, None]
    return [round(float(q), 4) for q in np.percentile(known, [2.5, 97.5])]


def _percentile(values: Floats, q: float) -> float | None:
    return round(float(np.percentile(values, q)), 3) if len(values) else None


def alarms_per_hour(
    stamps: Floats, scores: Floats, threshold: float, ordinary: NDArray[np.bool_]
) -> tuple[int, float]:
    """Alarms that begin in the ordinary part of a drive, and its length in hours."""
    over = np.nan_to_num(scores, nan=-np.inf) > threshold
    begins = over & ~np.concatenate([[False], over[:-1]]) & ordinary
    period = np.diff(stamps, append=stamps[-1])
    return int(begins.sum()), float(period[ordinary].sum() / 3600)


