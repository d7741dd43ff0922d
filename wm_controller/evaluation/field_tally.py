# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Drives counted: metres and seconds by mode, interventions per kilometre and hour, and why.

None stands for what the bags do not tell. Rates are over autonomous driving: an intervention
ends a stretch of it, so a stop that hits an operator at the stick is listed but not counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import chi2

from wm_controller.evaluation.field_reading import Drive, STATUS_HOLDS_S
from wm_controller.evaluation.metrics import percentiles_ms
from wm_controller.safety.geometry import relative
from wm_controller.teleop.interventions import KINDS

MODES = ('auto', 'teleop', 'hold', 'stopped')
UNKNOWN = 'unknown'
STILL_M_S, STILL_RAD_S = 0.02, 0.05  # slower is standing
JITTER_M_S = 0.01  # slower is no way that was made
COVER_S = 1.0  # odometry silent for longer says nothing of the way between
PERIODIC = ('image', 'odometry', 'scan', 'cmd_vel', 'guardrail')
GAP_PERIODS, GAP_S = 5.0, 0.5
OUTCOMES = ('reached', 'unreachable', 'lost', 'fault')


def poisson_interval(count: int) -> tuple[float, float]:
    """Exact (Garwood) 95 % interval of the mean of a Poisson count."""
    low = float(chi2.ppf(0.025, 2 * count)) / 2.0 if count else 0.0
    return low, float(chi2.ppf(0.975, 2 * (count + 1))) / 2.0


def rate(count: int, exposure: float | None) -> dict[str, Any] | None:
    """Count per unit of exposure with its exact 95 % interval; None where that is unknown or 0."""
    if not exposure:
        return None
    low, high = poisson_interval(count)
    return {'rate': count / exposure, 'ci95': [low / exposure, high / exposure]}


@dataclass(frozen=True)
class Ways:
    """Steps between odometry messages: middle s, length m, duration s, speed m/s, mode; (N,)."""

    at: np.ndarray
    length: np.ndarray
    duration: np.ndarray
    speed: np.ndarray
    standing: np.ndarray
    mode: np.ndarray


def ways(drive: Drive) -> Ways | None:
    """Return the steps that are known: without jumps of the pose and silences of odometry."""
    track = drive.odometry
    if track is None:
        return None
    duration = np.diff(track.stamp)
    known = (duration <= COVER_S) & ~np.isin(track.stamp[1:], track.jumps)
    change = relative(track.pose[:-1], track.pose[1:])
    length = np.hypot(change[:, 0], change[:, 1])
    twist = 0.5 * (track.twist[:-1] + track.twist[1:])
    length = np.where((length / duration > JITTER_M_S) | (np.abs(twist[:, 0]) > JITTER_M_S),
                      length, 0.0)
    at = 0.5 * (track.stamp[:-1] + track.stamp[1:])
    standing = (np.abs(twist[:, 0]) < STILL_M_S) & (np.abs(twist[:, 1]) < STILL_RAD_S)
    return Ways(*(values[known] for values in (
        at, length, duration, np.abs(twist[:, 0]), standing, drive.mode_at(at))))


def tally(drives: Sequence[Drive], notes: Sequence[str] = ()) -> dict[str, Any]:
    """Summarise drives: the content of `summary.json`."""
    steps = [ways(drive) for drive in drives]
    guarded = any(drive.statuses for drive in drives)
    excerpts = any(drive.excerpt for drive in drives)
    moved = [each for each in steps if each is not None]
    duration = _durations(drives) if guarded else None
    distance = _distances(moved) if moved else None
    return {
        'drives': [_of_drive(drive, each) for drive, each in zip(drives, steps)],
        'excerpts': excerpts,
        'duration_s': sum(drive.duration_s for drive in drives),
        'mode_s': duration,
        'distance_m': sum(float(each.length.sum()) for each in moved) if moved else None,
        'mode_m': distance if guarded else None,
        'standing_s': sum(float(each.duration[each.standing].sum()) for each in moved)
        if moved else None,
        'speed_m_s': _speeds(moved, guarded),
        'interventions': _interventions(drives, duration, distance, excerpts) if guarded else None,
        'guardrails': _guardrails(drives, duration) if guarded else None,
        'surprise': _surprise(drives),
        'latency_ms': percentiles_ms([x for drive in drives for x in drive.latencies_s])
        if any(drive.latencies_s for drive in drives) else None,
        'goals': _goals(drives),
        'topics': _topics(drives),
        'missing': missing(drives),
        'notes': [*notes, *(f'{drive.path.name}: {note}' for drive in drives
                            for note in drive.notes)],
    }


def _durations(drives: Sequence[Drive]) -> dict[str, float]:
    seconds: dict[str, float] = dict.fromkeys((*MODES, UNKNOWN), 0.0)
    for drive in drives:
        for begin, end, status in drive.intervals():
            seconds[status.mode] = seconds.get(status.mode, 0.0) + end - begin
        seconds[UNKNOWN] += drive.duration_s - sum(e - b for b, e, _ in drive.intervals())
    return {mode: max(0.0, value) for mode, value in seconds.items()}


def _distances(moved: Sequence[Ways]) -> dict[str, float]:
    return {mode: sum(float(each.length[each.mode == name].sum()) for each in moved)
            for mode, name in (*zip(MODES, MODES), (UNKNOWN, ''))}


def _speeds(moved: Sequence[Ways], guarded: bool) -> dict[str, Any] | None:
    """Mean, 95th percentile and highest speed while moving, all in all and in auto."""
    if not moved:
        return None
    speed = np.concatenate([each.speed for each in moved])
    going = speed > STILL_M_S
    mode = np.concatenate([each.mode for each in moved])

    def of(chosen: np.ndarray) -> dict[str, float] | None:
        if not chosen.any():
            return None
        return {'mean': float(speed[chosen].mean()), 'p95': float(np.percentile(
            speed[chosen], 95)), 'max': float(speed[chosen].max())}

    return {'all': of(going), **({mode_: of(going & (mode == mode_)) for mode_ in (
        'auto', 'teleop')} if guarded else {})}


def _interventions(
        drives: Sequence[Drive], seconds: Mapping[str, float] | None,
        metres: Mapping[str, float] | None, excerpts: bool) -> dict[str, Any]:
    events = [each.event for drive in drives for each in drive.events]
    counts = Counter(event.kind for event in events if event.mode_before == 'auto')
    total = sum(counts.values())
    # Bags of the seconds around interventions hold little of the driving between them.
    placed = all(drive.odometry is not None for drive in drives if drive.statuses)
    km = metres['auto'] / 1000.0 if metres and placed and not excerpts else None
    hours = seconds['auto'] / 3600.0 if seconds and not excerpts else None
    rows = {kind: {'count': counts[kind], 'per_km': rate(counts[kind], km),
                   'per_hour': rate(counts[kind], hours)} for kind in KINDS}
    between = None
    if km:
        low, high = poisson_interval(total)
        between = {'mean_m': 1000.0 * km / total if total else None,
                   'ci95_m': [1000.0 * km / high, 1000.0 * km / low if low else None]}
    return {
        **rows, 'total': {'count': total, 'per_km': rate(total, km),
                          'per_hour': rate(total, hours)},
        'autonomous_km': km, 'autonomous_h': hours, 'between': between,
        'stops_outside_auto': sum(event.mode_before != 'auto' for event in events),
        'events': [{'kind': event.kind, 'time_s': event.time_s, 'mode_before': event.mode_before,
                    'mode_after': event.mode_after, 'reason': event.reason,
                    'pose': list(event.pose) if event.pose else None} for event in events]}


def _guardrails(drives: Sequence[Drive], seconds: Mapping[str, float] | None) -> dict[str, Any]:
    """How long each guardrail limited a source that was driving: autonomy, or a hand."""
    limiting: dict[str, float] = {}
    times: Counter[str] = Counter()
    limited_s = 0.0
    for drive in drives:
        before: tuple[str, ...] = ()
        for begin, end, status in drive.intervals():
            now = status.limiting if status.mode in ('auto', 'teleop') else ()
            limited_s += (end - begin) if now else 0.0
            for name in now:
                limiting[name] = limiting.get(name, 0.0) + end - begin
                times[name] += name not in before
            before = now
    driven = (seconds['auto'] + seconds['teleop']) if seconds else 0.0
    return {
        'driven_s': driven, 'limited_s': limited_s,
        'limited_share': limited_s / driven if driven else None,
        'reasons': {name: {'seconds': value, 'times': times[name],
                           'share': value / driven if driven else None}
                    for name, value in sorted(limiting.items(), key=lambda item: -item[1])}}


def _surprise(drives: Sequence[Drive]) -> dict[str, float] | None:
    values = np.array([value for drive in drives for _, value in drive.surprise
                       if np.isfinite(value)])
    if not len(values):
        return None
    return {'median': float(np.median(values)), 'p95': float(np.percentile(values, 95)),
            'p99': float(np.percentile(values, 99)), 'max': float(values.max())}


def _goals(drives: Sequence[Drive]) -> list[dict[str, Any]] | None:
    """Goals in order with their outcomes; None where nobody said."""
    if not any(drive.goals for drive in drives):
        return None
    found: list[dict[str, Any]] = []
    for drive in drives:
        current: dict[str, Any] | None = None
        for at, state, goal in drive.goals:
            again = current is not None and current['outcome'] in OUTCOMES and state == 'planning'
            if current is not None and (goal != current['goal'] or (
                    again and current['outcome'] == 'reached')):
                if current['outcome'] == 'under way':
                    current['outcome'] = 'cancelled' if goal == 'none' else 'replaced'
                current = None
            if current is None and goal != 'none' and (state == 'planning' or state in OUTCOMES):
                current = {'goal': goal, 'outcome': 'under way', 'begin_s': at, 'seconds': None}
                found.append(current)
            if current is not None and current['outcome'] != 'reached':
                current['outcome'] = state if state in OUTCOMES else 'under way'
                if state in OUTCOMES and current['seconds'] is None:
                    current['seconds'] = at - current['begin_s']
    return found


def _topics(drives: Sequence[Drive]) -> list[dict[str, Any]]:
    """How regularly each topic came, over all drives."""
    rows = []
    for role in sorted({role for drive in drives for role in drive.topics}):
        times = [np.asarray(drive.receipts.get(role, ())) for drive in drives]
        steps = np.concatenate([np.diff(each) for each in times])
        period = float(np.median(steps)) if len(steps) else None
        # Without a guardrail nobody promises a command at a fixed rate.
        fixed = role != 'cmd_vel' or any(drive.statuses for drive in drives)
        regular = role in PERIODIC and fixed and period is not None
        # The guardrail's status comes every second, and more often only where something changes.
        gap_s = STATUS_HOLDS_S if role == 'guardrail' else max(
            GAP_S, GAP_PERIODS * (period or 0.0))
        rows.append({
            'topic': ', '.join(sorted({drive.topics[role] for drive in drives
                                       if role in drive.topics})),
            'messages': int(sum(len(each) for each in times)),
            'hz': 1.0 / period if period else None,
            'gaps': int((steps > gap_s).sum()) if regular else None,
            'longest_gap_s': float(steps.max()) if regular else None})
    return rows


def _of_drive(drive: Drive, steps: Ways | None) -> dict[str, Any]:
    return {'path': str(drive.path), 'begin_s': drive.begin_s, 'duration_s': drive.duration_s,
            'excerpt': drive.excerpt,
            'distance_m': float(steps.length.sum()) if steps is not None else None}


NEEDED = {
    'guardrail': 'modes, interventions, guardrails: not counted',
    'odometry': 'distance, speed and the map: unknown, so nothing per kilometre',
    'controller': 'goals and their outcomes: unknown',
    'auto': 'latency from camera to command: unknown',
    'surprise': 'how surprised the model was: unknown',
    'image': 'no pictures of the moments',
}


def missing(drives: Sequence[Drive]) -> list[str]:
    """Say what the bags lack, and what therefore cannot be told."""
    lines = []
    for role, lost in NEEDED.items():
        without = [drive.path.name for drive in drives if role not in drive.topics]
        if without:
            name = OWN_NAMES.get(role, role)
            where = '' if len(without) == len(drives) else f' in {", ".join(without)}'
            lines.append(f'no {name}{where}: {lost}')
    if any(drive.excerpt for drive in drives):
        lines.append('bags of the seconds around interventions only: counts, but no rates per '
                     'kilometre or hour; record the whole drive (record_all) for those')
    return lines


OWN_NAMES = {'guardrail': 'guardrail/status', 'controller': 'controller/status',
             'auto': 'cmd_vel_auto'}
