# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""From a survey of a recording to the rows of its episodes, all but the pixels."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wm_controller.data.lag import estimate_lag, Lag
from wm_controller.data.resample import cut, gap_limit, runs
from wm_controller.data.survey import Series, Survey
from wm_controller.data.tracks import (
    Commands,
    make_commands,
    make_odometry,
    make_scans,
    Odometry,
    Scans,
    twist_from_poses,
)
from wm_controller.errors import InputError
from wm_controller.safety.geometry import relative

Floats = NDArray[np.float64]

CLOCK_JUMP_S = 1.0
"""A stamp this much before the last one: the clock was set back, not a late message."""
SLACK = 1.1
"""A camera up to this much slower than the steps is taken for its jitter."""


@dataclass(frozen=True)
class EpisodePlan:
    """Rows of one episode; `number` (T,) says which image messages its frames are."""

    number: NDArray[np.int64]
    stamp: Floats
    action: Floats
    command: Floats
    proprio: Floats
    pose: Floats
    clearance: Floats | None

    def __len__(self) -> int:
        return int(self.number.size)


@dataclass(frozen=True)
class Plan:
    """Episodes of one recording and the report of how they came about."""

    episodes: list[EpisodePlan]
    report: dict[str, Any]

    @property
    def n_steps(self) -> int:
        return sum(len(e) for e in self.episodes)


@dataclass(frozen=True)
class Epoch:
    """A part of a recording with one running clock."""

    number: NDArray[np.int64]
    stamp: Floats
    shift: Floats
    repeated: NDArray[np.bool_]
    odometry: Odometry | None
    commands: Commands | None
    scans: Scans | None

    def yaw_rate(self, start: Floats, stop: Floats) -> Floats:
        """(N,) of what drives the actions: odometry where there is some, else commands."""
        if self.odometry is not None:
            return self.odometry.mean_twist(start, stop)[:, 1]
        if self.commands is not None:
            return self.commands.mean(start, stop)[:, 1]
        return np.full(start.shape, np.nan)


def plan_episodes(found: Survey, path: Path, rate_hz: float, action_scale: tuple[float, float],
                  align_lag: bool | None, max_gap_s: float | None, min_steps: int,
                  command_timeout_s: float | None) -> Plan:
    """Cut a recording into episodes; see `ingest.Options` for the arguments."""
    dropped, notes = Counter(found.dropped), list(found.notes)
    step_s = 1.0 / rate_hz
    epochs = _epochs(found, action_scale, command_timeout_s, dropped, notes)
    times = np.concatenate([np.diff(e.stamp) for e in epochs])
    period = float(np.median(times)) if times.size else float('nan')
    if period > SLACK * step_s:
        raise InputError(f'{path}: the camera has {1 / period:.3g} Hz, slower than --rate '
                         f'{rate_hz:g}; use --rate {_rate_below(1 / period):g}')
    limit = max_gap_s if max_gap_s is not None else gap_limit(
        np.concatenate([[0.0], np.cumsum(times)]))
    lag = _lag(epochs, limit)
    aligned = lag.convincing if align_lag is None else (align_lag and np.isfinite(lag.lag_s))
    delay_s = lag.lag_s if aligned else 0.0

    sourced = any(e.odometry or e.commands for e in epochs)
    episodes: list[EpisodePlan] = []
    ended_by: Counter[str] = Counter()
    for epoch in epochs:
        jumps = epoch.odometry.jumps + delay_s if epoch.odometry else np.empty(0)
        pieces = cut(epoch.stamp, ~epoch.repeated, jumps, step_s, limit)
        ended_by.update(pieces.ended_by)
        dropped['repeated frames'] += int(epoch.repeated.sum())
        dropped['frames between steps'] += int((~epoch.repeated).sum()) - sum(
            piece.size for piece in pieces.episodes)
        for piece in pieces.episodes:
            rows = _rows(epoch, piece, step_s, delay_s)
            valid = np.asarray(np.isfinite(rows.action).all(axis=1) | (not sourced))
            dropped['steps without a known action'] += int((~valid).sum())
            for part in runs(valid):
                if part.stop - part.start < min_steps:
                    dropped['steps in short episodes'] += part.stop - part.start
                    dropped['short episodes'] += 1
                else:
                    episodes.append(_slice(rows, part))
    ended_by['clock set back'] += len(epochs) - 1
    source = 'odometry' if any(e.odometry for e in epochs) else 'command' if sourced else 'none'
    report = {
        'camera_hz': 1 / period if period else None, 'gap_limit_s': limit,
        'episodes': len(episodes), 'steps': sum(len(e) for e in episodes),
        'episode_steps': [len(e) for e in episodes],
        'action_source': source, 'action_scale': list(action_scale),
        'dropped': {k: v for k, v in sorted(dropped.items()) if v},
        'ended_by': {k: v for k, v in sorted(ended_by.items()) if v},
        'lag': {**lag.to_json(), 'against': source, 'aligned': bool(aligned)}, 'notes': notes}
    return Plan(episodes, _finite(report))


def _epochs(found: Survey, scale: tuple[float, float], timeout_s: float | None,
            dropped: Counter[str], notes: list[str]) -> list[Epoch]:
    """Split where the camera's clock was set back; sort what arrived out of order."""
    stamp, receipt, value = found.frames.arrays()
    starts = [0, *(np.flatnonzero(np.diff(stamp) < -CLOCK_JUMP_S) + 1).tolist(), stamp.size]
    epochs, late = [], 0
    for first, stop in zip(starts, starts[1:]):
        arrival = first + np.argsort(stamp[first:stop], kind='stable')
        keep = np.append(True, np.diff(stamp[arrival]) > 0)
        dropped['frames with equal stamps'] += int((~keep).sum())
        arrival = arrival[keep]
        number, shift, repeated = value[arrival].T
        # A shift is known from the frame that arrived before, which must be the one before.
        follows = np.append(True, np.diff(arrival) == 1)
        late += int((np.diff(arrival) < 0).sum())
        # Other topics belong to an epoch by receipt, because that clock was not set back.
        window = (receipt[first] if first else -np.inf,
                  receipt[stop] if stop < stamp.size else np.inf)
        epochs.append(Epoch(
            number.astype(np.int64), stamp[arrival], np.where(follows, shift, np.nan),
            repeated.astype(bool), _odometry(found.odometry, window, notes),
            _commands(found.commands, window, scale, timeout_s),
            make_scans(*_within(found.scans, window)) if found.scans.stamp else None))
    if late:
        notes.append(f'{late} images arrived behind a later one: sorted by stamp')
    return epochs


def _within(series: Series, window: tuple[float, float]) -> tuple[Floats, Floats]:
    stamp, receipt, value = series.arrays()
    inside = (receipt >= window[0]) & (receipt < window[1])
    return stamp[inside], value[inside]


def _odometry(series: Series, window: tuple[float, float], notes: list[str]) -> Odometry | None:
    if not series.stamp:
        return None
    stamp, value = _within(series, window)
    pose, twist = value[:, :3], value[:, 3:]
    made = make_odometry(stamp, pose, twist)
    if made is None or twist.any() or np.ptp(pose, axis=0).max() < 0.05:
        return made
    notes.append('the odometry has no twist: derived from its poses')
    return make_odometry(made.stamp, made.pose, twist_from_poses(made.stamp, made.pose))


def _commands(series: Series, window: tuple[float, float], scale: tuple[float, float],
              timeout_s: float | None) -> Commands | None:
    if not series.stamp:
        return None
    stamp, value = _within(series, window)
    return make_commands(stamp, value * np.asarray(scale), timeout_s)


def _lag(epochs: list[Epoch], max_gap_s: float) -> Lag:
    """Estimate over all epochs: pairs of neighbouring fresh frames without a gap between."""
    start, stop, shift, yaw_of = [], [], [], []
    for index, epoch in enumerate(epochs):
        fresh = np.flatnonzero(~epoch.repeated)
        a, b = epoch.stamp[fresh[:-1]], epoch.stamp[fresh[1:]]
        usable = b - a <= max_gap_s
        start.append(a[usable])
        stop.append(b[usable])
        shift.append(epoch.shift[fresh[1:]][usable])
        yaw_of.append(np.full(int(usable.sum()), index))
    owner = np.concatenate(yaw_of)
    usable = np.isfinite(np.concatenate(shift))
    owner = owner[usable]

    def yaw_rate(begin: Floats, end: Floats) -> Floats:
        result = np.full(begin.shape, np.nan)
        for index, epoch in enumerate(epochs):
            mine = owner == index
            result[mine] = epoch.yaw_rate(begin[mine], end[mine])
        return result

    return estimate_lag(np.concatenate(start)[usable], np.concatenate(stop)[usable],
                        np.concatenate(shift)[usable], yaw_rate)


def _rows(epoch: Epoch, piece: NDArray[np.int64], step_s: float, delay_s: float) -> EpisodePlan:
    """Rows for frames `piece`: the frame at t shows what was done until t - delay."""
    stamp = epoch.stamp[piece]
    time = stamp - delay_s
    following = np.append(time[1:], time[-1] + step_s)
    nothing = np.full((piece.size, 2), np.nan)
    command = epoch.commands.mean(time, following) if epoch.commands else nothing
    pose, proprio = np.full((piece.size, 3), np.nan), np.full((piece.size, 5), np.nan)
    action = command
    if epoch.odometry is not None:
        action = epoch.odometry.mean_twist(time, following)
        pose = epoch.odometry.pose_at(time)
        before = np.vstack([epoch.odometry.pose_at(time[:1] - step_s), pose[:-1]])
        twist = epoch.odometry.twist_at(time)
        proprio = np.hstack([relative(before, pose), twist])
        jumps = epoch.odometry.jumps
        jumped = ((jumps > time[0] - step_s) & (jumps <= time[0])).any()
        if jumped or not np.isfinite(before[0]).all():  # the odometry begins with this frame
            proprio[0, :3] = [twist[0, 0] * step_s, 0.0, twist[0, 1] * step_s]
    scans = epoch.scans.at(time, step_s) if epoch.scans else None
    return EpisodePlan(epoch.number[piece], stamp, action, command, proprio, pose, scans)


def _slice(rows: EpisodePlan, part: slice) -> EpisodePlan:
    return EpisodePlan(
        rows.number[part], rows.stamp[part], rows.action[part], rows.command[part],
        rows.proprio[part], rows.pose[part],
        rows.clearance[part] if rows.clearance is not None else None)


def _rate_below(hz: float) -> float:
    """Return a round rate that this camera can keep."""
    return next((r for r in (30.0, 20.0, 15.0, 10.0, 5.0, 4.0, 2.0, 1.0, 0.5) if r <= hz), hz)


def _finite(value: Any) -> Any:
    """Replace NaN by None, which JSON has."""
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    return None if isinstance(value, float) and not np.isfinite(value) else value
