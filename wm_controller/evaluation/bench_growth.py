# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
How planning time grows: with candidates, with the horizon, and with places in memory.

One thing grows at a time, everything else stays as it is by default. Times are those of the
processor, in one thread. The points of a series are timed in turns, round after round: what else
the machine does slows all of them alike, and the ratios hold where the milliseconds do not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
import torch

from wm_controller.evaluation.bench_places import PICTURE, place_grid, WIDTH
from wm_controller.evaluation.bench_planner import Case, make_case
from wm_controller.evaluation.bench_timing import Timing
from wm_controller.memory.map_correction import fitted
from wm_controller.planning.ablations import without
from wm_controller.planning.config import PilotConfig, SolverConfig
from wm_controller.planning.contract import PoseGoal
from wm_controller.planning.pilot import Pilot
from wm_controller.safety.geometry import relative
from wm_controller.world_model.bundle import Bundle

Floats = NDArray[np.float64]

CANDIDATES = (24, 48, 96, 192, 384, 768)  # of all rounds together
HORIZONS = (4, 8, 12, 16, 24, 32)  # steps
PLACES = (100, 316, 1_000, 3_162, 10_000, 31_623, 100_000)
DEFAULT_PLACES = 1_000  # that the others are compared with: a large home
SERIES_S = 20.0  # after so long a series is not timed further, once each point has LEAST times
LEAST = 3
SIGHTS_EVERY = 12  # places between two recognitions, in the map that is corrected
FALSE_EVERY = 30  # of them


@dataclass(frozen=True)
class _Point:
    at: int
    call: Callable[[], Any]


def bench_growth(bundle: Bundle, calls: int, advance: Callable[[], None],
                 places: Sequence[int] = PLACES) -> dict[str, Any]:
    """Return the series: for each its points with times, ratios to the default, and exponents.

    `advance` is called STAGES times.
    """
    whole = without(PilotConfig(), ['effort'])  # always the whole search: a glance has one size
    total = sum(whole.solver.candidates)
    case = make_case(bundle, 0)
    advance()
    wide = [_Point(n, _plan(case, replace(whole, solver=shared(whole.solver, n))))
            for n in CANDIDATES]
    long = [_Point(n, _plan(case, replace(whole, horizon_steps=n))) for n in HORIZONS]
    series = {'candidates': _series('a plan', 'candidates', total, wide, calls)}
    advance()
    series['horizon'] = _series('a plan', 'steps', whole.horizon_steps, long, calls)
    advance()
    made: dict[str, list[_Point]] = {name: [] for name in _MAP_CALLS}
    for count in places:
        for name, call in _map_calls(count).items():
            made[name].append(_Point(count, call))
    default = min(places, key=lambda count: abs(np.log(count / DEFAULT_PLACES)))
    for name, points in made.items():
        series[name] = _series(_MAP_CALLS[name], 'places', default, points, calls)
        advance()
    return {'threads': torch.get_num_threads(), 'series': series}


def shared(solver: SolverConfig, total: int) -> SolverConfig:
    """Share a number of candidates among the rounds as the default does."""
    share = total / sum(solver.candidates)
    counts = [max(2, round(share * n)) for n in solver.candidates]
    return replace(solver, candidates=(total - sum(counts[1:]), *counts[1:]),
                   elites=min(solver.elites, *counts))


def _plan(case: Case, config: PilotConfig) -> Callable[[], Any]:
    pilot = Pilot(case.pilot.bundle, config, clock=time.thread_time)
    pilot.estimator, pilot.memory = case.pilot.estimator, case.pilot.memory
    pilot.set_goal(PoseGoal(*case.situation.goal.tolist()))
    latest = pilot.estimator.latest
    assert latest is not None
    return lambda: pilot.plan(latest.stamp + 0.05, 10.0)


# What is asked of the map.
_MAP_CALLS = {
    'recognise': 'recognise a place', 'take in': 'take in a frame', 'route': 'a route from all',
    'correct': 'correct the map', 'doubt': 'doubt all its sights',
}


STAGES = 3 + len(_MAP_CALLS)


def _map_calls(count: int) -> dict[str, Callable[[], Any]]:
    rng = np.random.default_rng(0)
    grid = place_grid(count, rng)
    places = grid.places
    asked = places.descriptors[count // 2] + 0.1 * rng.standard_normal(WIDTH)
    here, stamps = places.poses[count // 3], iter(range(1, 10**9))
    drive = recognised_drive(count)
    return {
        'recognise': lambda: places.alike(asked, 8),
        'take in': lambda: grid.update(float(next(stamps)), here, asked, lambda: PICTURE),
        'route': lambda: grid.reach(here[:2] + 0.2, 0.0),
        'correct': lambda: fitted(*drive),
        'doubt': lambda: fitted(*drive[:-1]),
    }


def recognised_drive(count: int, seed: int = 0) -> tuple[Any, ...]:
    """Return the arguments of `fitted` for a drive up and down a floor, one place every 0.5 m.

    Each row is recognised from the one after next, every SIGHTS_EVERY places, and every
    FALSE_EVERY-th time falsely. What was seen before the last sight is fitted already, as on a
    robot.
    """
    rng = np.random.default_rng(seed)
    side = int(np.ceil(np.sqrt(count)))
    row, along = np.divmod(np.arange(count), side)
    back = row % 2 == 1
    column = np.where(back, side - 1 - along, along)
    truth = np.stack([0.5 * column, 0.5 * row, np.where(back, np.pi, 0.0)], -1)
    drives = np.stack([np.arange(count - 1), np.arange(1, count)], -1)
    seen = np.arange(2 * side, count, SIGHTS_EVERY)
    sights = np.stack([seen, (row[seen] - 2) * side + along[seen]], -1)
    ends = np.concatenate([drives, sights])
    sigmas = np.repeat([[0.045, 0.045, 0.02], [0.1, 0.1, 0.03]], [len(drives), len(sights)], 0)
    changes = relative(truth[ends[:, 0]], truth[ends[:, 1]])
    changes += 0.5 * sigmas * rng.standard_normal(changes.shape)
    doubtful = np.arange(len(ends)) >= len(drives)
    false = np.arange(len(drives) + 1, len(ends), FALSE_EVERY)
    way = rng.uniform(-np.pi, np.pi, len(false))
    changes[false, :2] += np.stack([np.cos(way), np.sin(way)], -1)  # by a metre
    headings = np.full((count, 2), 0.03)
    headings[:, 0] = truth[:, 2] + 0.03 * rng.standard_normal(count)
    known = slice(None, -1 if len(sights) else None)
    poses = fitted(truth, ends[known], changes[known], sigmas[known], doubtful[known], headings)
    return poses, ends, changes, sigmas, doubtful, headings, len(ends) - 1


def _series(name: str, unit: str, default: int, points: Sequence[_Point], calls: int
            ) -> dict[str, Any]:
    seconds: dict[int, list[float]] = {point.at: [] for point in points}
    for point in points:
        point.call()
    begun = time.thread_time()
    for turn in range(calls):
        if turn >= LEAST and time.thread_time() - begun > SERIES_S:
            break
        for point in points:
            before = time.thread_time()
            point.call()
            seconds[point.at].append(time.thread_time() - before)
    rows = [{'at': at, **asdict(Timing.of(found))} for at, found in seconds.items()]
    usual = next(row['p50_ms'] for row in rows if row['at'] == default)
    for row in rows:
        row['ratio'] = row['p50_ms'] / usual
    found = {'what': name, 'unit': unit, 'default': default, 'points': rows,
             'exponent': exponent(rows)}
    return {**found, 'says': says(found)}


def exponent(rows: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """Fit the slope of median time over size, both logarithmic, over all points.

    And over the upper half alone, where what does not grow weighs less.
    """
    at, ms = (np.log([row[key] for row in rows]) for key in ('at', 'p50_ms'))

    def slope(first: int) -> float | None:
        return float(np.polyfit(at[first:], ms[first:], 1)[0]) if len(at) - first > 1 else None
    return {'all': slope(0), 'upper_half': slope(len(rows) // 2)}


def says(series: Mapping[str, Any]) -> str:
    """Say in a line what grows how."""
    first, last = series['points'][0], series['points'][-1]
    times, longer = last['at'] / first['at'], last['p50_ms'] / first['p50_ms']
    power = series['exponent']['upper_half']
    end = '' if power is None else f'; in the upper half as the power {power:.2f}'
    return (f'{series["what"]}: {times:,.0f} times the {series["unit"]} take {longer:,.1f} times '
            f'as long{end}')
