# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""What drives amount to: success with its interval, path efficiency, bumps, latencies."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from wm_controller.evaluation.records import Episode

RESAMPLES = 2000
Z_95 = 1.959963984540054


def wilson_interval(successes: int, trials: int, z: float = Z_95) -> tuple[float, float]:
    """Wilson score interval of a proportion; (0, 1) when nothing was tried."""
    if not 0 <= successes <= trials:
        raise ValueError(f'{successes} successes of {trials} trials')
    if trials == 0:
        return 0.0, 1.0
    rate = successes / trials
    denominator = 1.0 + z * z / trials
    centre = (rate + z * z / (2 * trials)) / denominator
    half = z * math.sqrt(rate * (1 - rate) / trials + z * z / (4 * trials**2)) / denominator
    return max(0.0, centre - half), min(1.0, centre + half)


def mean_interval(values: ArrayLike, rng: np.random.Generator) -> dict[str, Any]:
    """Mean of the finite ones of values (N,), with its 95 % bootstrap interval."""
    known = np.asarray(values, float)
    known = known[np.isfinite(known)]
    if not len(known):
        return {'mean': None, 'ci95': None}
    drawn = known[rng.integers(len(known), size=(RESAMPLES, len(known)))].mean(1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return {'mean': round(float(known.mean()), 4),
            'ci95': [round(float(low), 4), round(float(high), 4)]}


def path_efficiency(success: bool, shortest_m: float, driven_m: float) -> float:
    """SPL of one drive: success weighted by shortest over driven length, never above 1."""
    if not success:
        return 0.0
    longest = max(shortest_m, driven_m)
    return shortest_m / longest if longest > 0.0 else 1.0


def per_100m(count: int, distance_m: float) -> float | None:
    """Rate of a count over distance; None when nothing was driven, because no rate is known."""
    return 100.0 * count / distance_m if distance_m > 0.0 else None


def percentiles_ms(seconds: Iterable[float]) -> dict[str, float | None]:
    """p50, p95 and p99 of durations, in milliseconds; None without samples."""
    values = np.asarray(list(seconds), dtype=np.float64)
    values = values[np.isfinite(values)]
    if values.size == 0:
        return {'p50': None, 'p95': None, 'p99': None}
    p50, p95, p99 = 1e3 * np.percentile(values, [50, 95, 99])
    return {'p50': round(float(p50), 2), 'p95': round(float(p95), 2), 'p99': round(float(p99), 2)}


def path_length(xy: np.ndarray) -> float:
    """Length in m of a polyline (N,2)."""
    if len(xy) < 2:
        return 0.0
    return float(np.linalg.norm(np.diff(np.asarray(xy, dtype=np.float64), axis=0), axis=1).sum())


def guard_shares(episodes: Sequence[Episode]) -> dict[str, float]:
    """Share of the driven time in which each guardrail was limiting, largest first."""
    total_s = sum(episode.duration_s for episode in episodes)
    if total_s <= 0.0:
        return {}
    seconds: dict[str, float] = {}
    for episode in episodes:
        for reason, share in episode.guard_share.items():
            seconds[reason] = seconds.get(reason, 0.0) + share * episode.duration_s
    ordered = sorted(seconds.items(), key=lambda item: -item[1])
    return {reason: round(value / total_s, 4) for reason, value in ordered}


def success_by_distance(
    episodes: Sequence[Episode], edges_m: Sequence[float]
) -> list[dict[str, Any]]:
    """One row per bin of shortest distance: from, to, trials, successes, rate and interval."""
    rows = []
    for low, high in zip(edges_m[:-1], edges_m[1:]):
        inside = [e for e in episodes if low <= e.task.shortest_m < high]
        wins = sum(e.success for e in inside)
        rows.append(
            {
                'from_m': low,
                'to_m': high,
                'episodes': len(inside),
                'successes': wins,
                'rate': wins / len(inside) if inside else None,
                'ci95': wilson_interval(wins, len(inside)),
            }
        )
    return rows


def summarise(
    episodes: Sequence[Episode], *, seed: int, model_digest: str | None, **extra: Any
) -> dict[str, Any]:
    """Make the keys that `summary.json` promises, and whatever `extra` adds."""
    trials = len(episodes)
    wins = sum(e.success for e in episodes)
    distance_m = sum(e.distance_m for e in episodes)
    collisions = sum(e.collisions for e in episodes)
    driven_s = sum(e.duration_s for e in episodes)
    commands = sum(e.commands for e in episodes)
    reached = sum(e.reached for e in episodes)
    rate = per_100m(collisions, distance_m)
    summary: dict[str, Any] = {
        'success_rate': wins / trials if trials else None,
        'success_ci95': [round(bound, 4) for bound in wilson_interval(wins, trials)],
        'spl': float(np.mean([e.spl for e in episodes])) if trials else None,
        'collisions': collisions,
        'collisions_per_100m': None if rate is None else round(rate, 3),
        'distance_m': round(distance_m, 2),
        'episodes': trials,
        'seed': seed,
        'model_digest': model_digest,
        'control_rate_hz': round(commands / driven_s, 2) if driven_s > 0 else None,
        'latency_ms': percentiles_ms(x for e in episodes for x in e.latencies_s),
        'plan_ms': percentiles_ms(x for e in episodes for x in e.plan_s),
        'plan_s_per_m': round(sum(sum(e.plan_s) for e in episodes) / distance_m, 4)
        if distance_m > 0 else None,
        'deadline_misses': sum(e.deadline_misses for e in episodes),
        'plans': sum(e.plans for e in episodes),
        'interventions': sum(e.interventions for e in episodes),
        'cpu_seconds': round(sum(e.cpu_s for e in episodes), 2),
        'reached_rate': reached / trials if trials else None,
        'bumped_episodes': sum(e.collisions > 0 for e in episodes),
        'timeouts': sum(e.timed_out for e in episodes),
        'driven_s': round(driven_s, 1),
        'guard_shares': guard_shares(episodes),
    }
    off_route = [e.off_route_m for e in episodes if e.off_route_m is not None]
    if off_route:
        p50, p95 = np.percentile(off_route, [50, 95])
        summary['off_route_m'] = {'p50': round(float(p50), 3), 'p95': round(float(p95), 3)}
    summary.update(extra)
    return summary


def absolute_trajectory_error(predicted: np.ndarray, actual: np.ndarray) -> float:
    """ATE in m: root mean square of the position error of (B,T,3) paths from a common start."""
    error = np.linalg.norm(predicted[..., :2] - actual[..., :2], axis=-1)
    return float(np.sqrt(np.mean(error**2)))


def relative_pose_error(predicted: np.ndarray, actual: np.ndarray) -> tuple[float, float]:
    """RPE per step of (B,T,3) paths: root mean square of the step's error, in m and in rad."""
    difference = _steps(predicted) - _steps(actual)
    turn = (difference[..., 2] + np.pi) % (2 * np.pi) - np.pi
    metres = np.sqrt(np.mean(np.sum(difference[..., :2] ** 2, axis=-1)))
    return float(metres), float(np.sqrt(np.mean(turn**2)))


def _steps(poses: np.ndarray) -> np.ndarray:
    """Motion (B,T-1,3) between consecutive poses (B,T,3), each in the earlier pose's frame."""
    before, after = poses[:, :-1], poses[:, 1:]
    dx, dy = after[..., 0] - before[..., 0], after[..., 1] - before[..., 1]
    cos, sin = np.cos(before[..., 2]), np.sin(before[..., 2])
    return np.stack(
        [cos * dx + sin * dy, cos * dy - sin * dx, after[..., 2] - before[..., 2]], axis=-1
    )
