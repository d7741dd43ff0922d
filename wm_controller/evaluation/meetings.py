# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""How planners get on with somebody who walks: planted encounters, and the same drives alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
import math
from pathlib import Path
from typing import Any

import numpy as np

from wm_controller.evaluation.encounters import Encounter, make_encounter
from wm_controller.evaluation.episodes import LoopSettings, run_episode
from wm_controller.evaluation.metrics import mean_interval, wilson_interval
from wm_controller.evaluation.recorder import Keep
from wm_controller.evaluation.records import Episode, Trace
from wm_controller.evaluation.runner import Job, make_guard, policy_factory
from wm_controller.evaluation.tasks import TaskSpec
from wm_controller.simulation.rooms import Room

MOVING, STILL = 'moving', 'still world'
OURS = (MOVING, STILL)
DRIVERS = (*OURS, 'straight', 'oracle')
STANDING_M_S = 0.05


@dataclass(frozen=True)
class Wanted:
    """What to compare: so many encounters, each with every driver."""

    model: Path
    encounters: int = 24
    first: int = 0
    seed: int = 0
    family: str = 'evaluation'
    planner: str = 'flat'
    scan: bool = True
    drivers: tuple[str, ...] = DRIVERS


@dataclass(frozen=True)
class Meeting:
    """One drive with the walker, and the same drive alone."""

    encounter: Encounter
    driver: str
    episode: Episode
    alone: Episode


def compare(wanted: Wanted, on_done: Callable[[Meeting], None]) -> dict[str, Any]:
    """Meet the walkers of all encounters with every driver; figures per driver and encounter."""
    rows = []
    for index in range(wanted.first, wanted.first + wanted.encounters):
        encounter = make_encounter(index, wanted.seed, wanted.family)
        alone: dict[str, Episode] = {}  # by planner: where nobody walks, nothing moves
        for driver in wanted.drivers:
            planner = wanted.planner if driver in OURS else driver
            if planner not in alone:
                alone[planner] = drive(wanted, encounter, STILL if driver in OURS else driver,
                                       encounter.alone)
            meeting = Meeting(encounter, driver,
                              drive(wanted, encounter, driver, encounter.room), alone[planner])
            rows.append(figures(meeting))
            on_done(meeting)
    return {'encounters': wanted.encounters, 'seed': wanted.seed, 'family': wanted.family,
            'planner': wanted.planner, 'scan': wanted.scan, **tables(rows), 'each': rows}


def tables(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Sum up figures of meetings per driver, and the gain of foreseeing what moves."""
    drivers = list(dict.fromkeys(row['driver'] for row in rows))
    found = {d: summary([row for row in rows if row['driver'] == d]) for d in drivers}
    result: dict[str, Any] = {'rows': found}
    if MOVING in drivers and STILL in drivers:
        result['gain'] = gain(rows)
    return result


def drive(wanted: Wanted, encounter: Encounter, driver: str, room: Room) -> Episode:
    """Attempt the drive of an encounter in its room, with the walker or alone."""
    job = Job(TaskSpec(seed=wanted.seed, family=wanted.family),
              wanted.planner if driver in OURS else driver, wanted.model,
              without=('moving',) if driver == STILL else ())
    settings = LoopSettings(scan=wanted.scan)
    return run_episode(
        encounter.task, policy_factory(job, settings), lambda: make_guard(settings),
        planner=driver, settings=settings, keep=Keep(frame_period_s=None), room=room)


def figures(meeting: Meeting) -> dict[str, Any]:
    """What one meeting came to; times in s, gaps in m from edge to edge.

    `driven_into` counts bumps of a robot that moved; somebody heedless may walk into one that
    stands. `cut_s`: for so long the obstacle guardrail cut the command. `lost_s`: longer than
    alone (ours: in a still world), None where either did not arrive. `behind`: whether the robot
    crossed the line of who crosses behind them; None where it never did.
    """
    encounter, episode, alone = meeting.encounter, meeting.episode, meeting.alone
    trace = episode.trace
    assert trace is not None
    gap = _gaps(trace, LoopSettings().robot.radius)
    return {
        'encounter': episode.task.index, 'kind': encounter.kind, 'speed': encounter.speed,
        'heedless': encounter.heedless, 'room': episode.task.room_seed, 'driver': meeting.driver,
        'success': episode.success, 'reached': episode.reached, 'outcome': episode.outcome,
        'bumps': episode.collisions, 'driven_into': _driven_into(trace),
        'stops': episode.interventions,
        'cut_s': round(episode.guard_share.get('obstacle', 0.0) * episode.duration_s, 2),
        'gap_m': round(float(gap.min()), 3), 'duration_s': round(episode.duration_s, 1),
        'waited_s': round(_standing_s(trace), 1), 'behind': _behind(encounter, trace),
        'alone_success': alone.success, 'alone_s': round(alone.duration_s, 1),
        'lost_s': round(episode.duration_s - alone.duration_s, 2)
        if episode.reached and alone.reached else None,
    }


def _gaps(trace: Trace, radius: float) -> np.ndarray:
    """Gap (N,) m between the robot's edge and that of the nearest person."""
    off = trace.people[..., :2] - trace.pose[:, None, :2]
    return np.asarray((np.hypot(*np.moveaxis(off, -1, 0)) - trace.people[..., 2]).min(1) - radius)


def _driven_into(trace: Trace) -> int:
    speeds = np.abs(trace.admitted[:, 0])
    # Commanded a moment before: by the time of the sample, the guard may have cut it.
    return sum(bool(speeds[(trace.t > t - 0.25) & (trace.t <= t + 1e-6)].max(initial=0.0)
                    > STANDING_M_S) for t in trace.bumps[:, 0])


def _standing_s(trace: Trace) -> float:
    moved = np.hypot(*np.diff(trace.pose[:, :2], axis=0).T) / np.maximum(np.diff(trace.t), 1e-6)
    return float((np.diff(trace.t) * (moved < STANDING_M_S)).sum())


def _behind(encounter: Encounter, trace: Trace) -> bool | None:
    if encounter.kind != 'crossing':
        return None
    points = np.array(encounter.room.people[0].waypoints)
    along = (points[-1] - points[0]) / np.hypot(*(points[-1] - points[0]))
    robot, walker = trace.pose[:, :2] - points[0], trace.people[:, 0, :2] - points[0]
    side = np.sign(along[0] * robot[:, 1] - along[1] * robot[:, 0])
    over = np.flatnonzero(side != side[0])
    if not len(over):
        return None
    return bool(walker[over[0]] @ along > robot[over[0]] @ along)


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One driver's figures over its encounters, with intervals."""
    rng, trials = np.random.default_rng(0), len(rows)
    wins = sum(row['success'] for row in rows)
    return {
        'encounters': trials, 'success_rate': wins / max(1, trials),
        'success_ci95': list(wilson_interval(wins, trials)),
        **{name: sum(row[name] for row in rows) for name in ('bumps', 'driven_into', 'stops')},
        **{name: mean_interval([_number(row[name]) for row in rows], rng)
           for name in ('cut_s', 'gap_m', 'lost_s', 'waited_s')},
        'alone_success_rate': sum(row['alone_success'] for row in rows) / max(1, trials),
        'alone_s': mean_interval([row['alone_s'] for row in rows], rng),
        'success_by_kind': {kind: [sum(row['success'] for row in part), len(part)]
                            for kind, part in _by_kind(rows).items()},
    }


def gain(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Differences, encounter by encounter: with what moves less with a still world."""
    rng = np.random.default_rng(0)
    pairs = {driver: {row['encounter']: row for row in rows if row['driver'] == driver}
             for driver in (MOVING, STILL)}
    both = [(pairs[MOVING][i], pairs[STILL][i]) for i in pairs[MOVING] if i in pairs[STILL]]
    return {name: mean_interval([_number(a[name]) - _number(b[name]) for a, b in both], rng)
            for name in ('success', 'bumps', 'driven_into', 'stops', 'cut_s', 'gap_m',
                         'duration_s', 'alone_s', 'lost_s')}


def _by_kind(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(row['kind'], []).append(row)
    return found


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
