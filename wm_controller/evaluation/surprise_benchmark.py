# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Surprise put to the test: drives with planted events, and how well they are told from others."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wm_controller.errors import InputError
from wm_controller.evaluation.detection import alarms_per_hour, score_events, Window
from wm_controller.evaluation.planted_drives import (
    Branch,
    Drive,
    DriveSpec,
    Frame,
    record_drive,
    WATCHED_S,
)
from wm_controller.evaluation.planted_events import EVENTS, HARMLESS
from wm_controller.planning.contract import Observation
from wm_controller.planning.estimator import Estimator
from wm_controller.safety.limits import Limits
from wm_controller.world_model.bundle import Bundle, load_bundle

Floats = NDArray[np.float64]
QUIET = 'quiet'
DETECTORS = ('surprise', 'one_step_energy', 'pixel_difference', 'random')
LEAST_OF = 3  # frames: how surprise was steadied before it was calibrated
ROOMS_PER_SEED = 10_000
ROOM_BASE = 900_000_000  # of room seeds, far from those that `wm collect` gives
PEOPLE = (0, 0, 2)  # in one room after the other
SETTLED_S = 2.0  # after an event until the drive is ordinary again; at its begin too


@dataclass(frozen=True)
class Trial:
    """What to test on: rooms of a family by seed, and the sensors."""

    rooms: int = 24
    seed: int = 0
    family: str = 'evaluation'
    seconds: float = 40.0
    camera_hz: float = 10.0
    odometry: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.rooms <= ROOMS_PER_SEED:
            raise InputError(f'--rooms is {self.rooms}: use 1 to {ROOMS_PER_SEED}')
        if not 0 <= self.seed < 10_000:
            raise InputError(f'--seed is {self.seed}: use 0 to 9999')
        if not 5.0 <= self.camera_hz <= 50.0:
            raise InputError(f'--camera-rate is {self.camera_hz:g} Hz: use 5 to 50')
        if not 8.0 <= self.seconds <= 600.0:
            raise InputError(f'--seconds is {self.seconds:g}: use 8 to 600')

    def drives(self) -> list[DriveSpec]:
        """One drive a room."""
        first = ROOM_BASE + self.seed * ROOMS_PER_SEED
        return [DriveSpec(first + i, self.family, self.seconds, 1.0 / self.camera_hz,
                          odometry=self.odometry, people=PEOPLE[i % len(PEOPLE)])
                for i in range(self.rooms)]


class _Watcher:
    """The detectors along one stream of frames, as the robot would run them."""

    def __init__(self, bundle: Bundle, lag: int, rng: np.random.Generator) -> None:
        self._bundle, self._rng = bundle, rng
        self._estimator = Estimator(bundle)
        self._images: deque[NDArray[np.uint8]] = deque(maxlen=lag + 1)
        self._energies: deque[float] = deque(maxlen=LEAST_OF)

    def fork(self) -> _Watcher:
        """Return a watcher that goes on from here by itself."""
        other = _Watcher(self._bundle, 0, self._rng)
        other._estimator = self._estimator.fork()
        other._images, other._energies = self._images.copy(), self._energies.copy()
        return other

    def see(self, frame: Frame) -> tuple[dict[str, float], float]:
        """Take a frame; return the score of each detector, and the surprise published."""
        estimate = self._estimator.observe(
            Observation(frame.stamp, frame.image, frame.pose, frame.twist))
        self._estimator.commanded(frame.stamp, *frame.command)
        self._energies.append(estimate.energy)
        self._images.append(frame.image)
        changed = np.abs(frame.image.astype(np.int16) - self._images[0]).mean()
        return {
            'surprise': estimate.surprise_score,
            'one_step_energy': float(np.min(self._energies)),
            'pixel_difference': float(changed),
            'random': float(self._rng.random()),
        }, estimate.surprise


@dataclass
class _Seen:
    """What was gathered over all drives."""

    windows: dict[str, list[Window]]
    published: list[Window]
    ordinary: dict[str, list[tuple[Floats, Floats, NDArray[np.bool_]]]]


def run_benchmark(model: str, trial: Trial, on_done: Callable[[], Any]) -> dict[str, Any]:
    """Drive, plant, watch; return the figures of every detector."""
    bundle = load_bundle(model)
    begun = time.process_time()
    seen = _Seen({name: [] for name in DETECTORS}, [], {name: [] for name in DETECTORS})
    for spec in trial.drives():
        drive = record_drive(spec)
        try:
            _watch(bundle, drive, seen)
        finally:
            drive.close()
        on_done()
    detectors = {}
    for name in DETECTORS:
        result = score_events(seen.windows[name], EVENTS, HARMLESS, QUIET, seed=trial.seed)
        rates = [alarms_per_hour(*part[:2], result['threshold'], part[2])
                 for part in seen.ordinary[name]]
        hours = sum(h for _, h in rates)
        result['quiet_alarms_per_hour'] = round(sum(n for n, _ in rates) / hours, 2)
        detectors[name] = result
    return {
        'model': str(bundle.path), 'model_digest': bundle.digest, 'rooms': trial.rooms,
        'seed': trial.seed, 'family': trial.family, 'camera_hz': trial.camera_hz,
        'odometry': trial.odometry, 'calibrated': bundle.energy is not None,
        'quiet_hours': round(hours, 3), 'detectors': detectors,
        'guardrail': _at_guardrail(seen.published, seen.ordinary['surprise']),
        'cpu_seconds': round(time.process_time() - begun, 1),
    }


def _watch(bundle: Bundle, drive: Drive, seen: _Seen) -> None:
    spec = drive.spec
    lag = max(1, round(bundle.spec.step_period_s / spec.camera_period_s))
    rng = np.random.default_rng([spec.room_seed, 1])
    watcher = _Watcher(bundle, lag, rng)
    starts = {start for start, _ in drive.moments}
    forks: dict[int, _Watcher] = {}
    rows = []
    for i, frame in enumerate(drive.frames):
        if i in starts:
            forks[i] = watcher.fork()
        rows.append(watcher.see(frame))
    for branch in drive.branches():
        if branch.in_drive:
            found = rows[branch.start:branch.start + len(branch.frames)]
        elif branch.past is None:
            found = _seen_by(forks[branch.start].fork(), branch.frames)
        else:
            other = _Watcher(bundle, lag, rng)
            _seen_by(other, branch.past)
            found = _seen_by(other, branch.frames)
        _keep(seen, branch, found, spec)
    stamps = np.array([frame.stamp for frame in drive.frames])
    ordinary = _ordinary(drive, stamps)
    for name in DETECTORS:
        scores = np.array([row[0][name] for row in rows])
        seen.ordinary[name].append((stamps, scores, ordinary))


def _seen_by(watcher: _Watcher, frames: Iterable[Frame]) -> list[tuple[dict[str, float], float]]:
    return [watcher.see(frame) for frame in frames]


def _keep(seen: _Seen, branch: Branch, found: list[tuple[dict[str, float], float]],
          spec: DriveSpec) -> None:
    elapsed = np.arange(len(found), dtype=np.float64) * spec.camera_period_s
    for name in DETECTORS:
        scores = np.array([row[0][name] for row in found])
        seen.windows[name].append(Window(branch.event, spec.room_seed, elapsed, scores))
    published = np.array([row[1] for row in found])
    seen.published.append(Window(branch.event, spec.room_seed, elapsed, published))


def _ordinary(drive: Drive, stamps: Floats) -> NDArray[np.bool_]:
    """Mark frames where nothing was planted; people walk there, as they do in rooms."""
    ordinary = stamps > stamps[0] + SETTLED_S
    for start, event in drive.moments:
        if event == 'slip':
            since = stamps - stamps[start]
            ordinary &= ~((since >= 0) & (since < WATCHED_S + SETTLED_S))
    return ordinary


def _at_guardrail(windows: list[Window], drives: list[Any]) -> dict[str, Any]:
    """Share of windows that slow and hold the robot, at the guardrail's default thresholds."""
    limits = Limits()
    result = {}
    for name, level in (('surprise_slow', limits.surprise_slow),
                        ('surprise_hold', limits.surprise_hold)):
        shares = {}
        for event in (*EVENTS, *HARMLESS, QUIET):
            peaks = [w.peak() for w in windows if w.event == event]
            if peaks:
                shares[event] = round(float(np.mean(np.array(peaks) > level)), 4)
        result[name] = {'level': level, 'share': shares}
    return result
