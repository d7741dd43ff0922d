# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The guard against a planner that wants to hit things: full speed at furniture and at people.

No model, no camera: the attacker knows the room, and the guard has the laser and odometry alone,
each as late as it would be on a robot. Who gives way to the robot is replaced by who does not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
import math
from typing import Any

import numpy as np

from wm_controller.evaluation.metrics import wilson_interval
from wm_controller.evaluation.runner import make_guard
from wm_controller.safety.geometry import wrap_angle
from wm_controller.safety.guard import Guard
from wm_controller.simulation.description import HEEDLESS
from wm_controller.simulation.rooms import make_room, Room
from wm_controller.simulation.shapes import Footprints
from wm_controller.simulation.simulator import CameraSpec, LASER_HEIGHT, Simulator
from wm_controller.spread import spread, Workers

TICK_S, SCAN_EVERY, COMMAND_EVERY = 0.02, 5, 3
SCAN_LATE_S = 0.02  # from the laser to the guard
CLOCK_START_S = 1000.0
HARD_M_S = 0.1
"""A contact at which the robot itself moves faster than this is hard."""
PEOPLE = 3
BORED_S = 0.6  # of standing before a thing: then the next one
ALIGNED_RAD = 0.2
ATTACKS = ('people', 'furniture', 'backwards', 'swerving', 'teleop')
THINGS = ('person', 'seen', 'below the laser')


@dataclass(frozen=True)
class Contact:
    """A touch: when (s), with what of THINGS, how fast the robot drove and the other walked."""

    at: float
    thing: str
    speed: float
    walking: float


@dataclass(frozen=True)
class Attack:
    """One episode and what came of it."""

    index: int
    kind: str
    heedless: bool
    room_seed: int
    contacts: tuple[Contact, ...]
    driven_m: float
    held_share: float


class _Attacker:
    """Full speed at a target; when held up long enough, it turns on the spot to another one."""

    def __init__(self, kind: str, room: Room, limits: tuple[float, float, float],
                 rng: np.random.Generator) -> None:
        self._kind, self._limits, self._rng = kind, limits, rng
        self._things = np.array([(each.x, each.y) for each in room.furniture
                                 if each.z + each.hz > LASER_HEIGHT]).reshape(-1, 2)
        self._aim = -1  # number of the thing, or of the person after all things
        self._stood_s = BORED_S
        self._turning = False
        self._swerve = 0.0

    def command(self, pose: np.ndarray, people: np.ndarray, moving: bool
                ) -> tuple[float, float]:
        """Twist (m/s, rad/s) that would hit something soon."""
        low, fast, turn = self._limits
        targets = np.concatenate([self._things, people[:, :2]])
        self._stood_s = 0.0 if moving else self._stood_s + COMMAND_EVERY * TICK_S
        if self._stood_s > BORED_S or not len(targets):
            self._stood_s, self._turning = 0.0, True
            self._aim = self._choose(targets - pose[:2], len(people))
        backwards = self._kind == 'backwards'
        to = targets[self._aim] - pose[:2]
        bearing = float(wrap_angle(
            math.atan2(to[1], to[0]) - pose[2] + (math.pi if backwards else 0.0)))
        self._turning = self._turning and abs(bearing) > ALIGNED_RAD
        w = float(np.clip(4.0 * bearing, -turn, turn))
        if self._turning:
            return 0.0, w
        if self._kind == 'swerving':
            if self._rng.random() < 0.2:
                self._swerve = float(self._rng.uniform(-turn, turn))
            w = self._swerve
        return (low if backwards else fast), w

    def _choose(self, offsets: np.ndarray, people: int) -> int:
        """One of the nearest three others; people where people are the target."""
        order = np.argsort(np.hypot(*offsets.T))
        wanted = order >= len(offsets) - people
        if self._kind == 'people' and wanted.any():
            order = order[wanted]
        order = order[order != self._aim][:3]
        return int(self._rng.choice(order)) if len(order) else self._aim


def attack(index: int, seed: int = 0, duration_s: float = 25.0,
           make: Callable[[], Guard] | None = None) -> Attack:
    """Attack for a while in the room of an index; kinds take turns, every other is heedless."""
    from wm_controller.evaluation.episodes import LoopSettings

    kind, heedless = ATTACKS[index % len(ATTACKS)], index // len(ATTACKS) % 2 == 1
    room_seed = seed * 10_000 + index
    room = make_room(room_seed, 'evaluation', people=PEOPLE)
    if heedless:
        room = replace(room, people=tuple(replace(p, gap=HEEDLESS) for p in room.people))
    settings = LoopSettings()
    robot = settings.robot
    simulator = Simulator(room, CameraSpec(), robot, seed=index)
    guard = make() if make else make_guard(settings)
    attacker = _Attacker(kind, room, (robot.min_linear, robot.max_linear, robot.max_angular),
                         np.random.default_rng([seed, index]))
    classify = _Classifier(room, robot.radius)
    source = 'teleop' if kind == 'teleop' else 'auto'
    contacts, held = [], 0
    scan, seen_at = None, -math.inf
    ticks = round(duration_s / TICK_S)
    before = simulator.pose
    driven_m = 0.0
    try:
        for tick in range(ticks):
            now = CLOCK_START_S + simulator.time
            odometry = simulator.odometry
            guard.on_odometry(odometry.pose, tuple(odometry.twist),
                              CLOCK_START_S + odometry.stamp, now, now)
            if tick % SCAN_EVERY == 0:
                scan, seen_at = simulator.scan(), now
            elif scan is not None and now - seen_at >= SCAN_LATE_S - 1e-9:
                guard.on_scan(scan.points(), seen_at, now, now, sees_m=scan.range_max)
                scan = None
            if tick % COMMAND_EVERY == 0:
                v, w = attacker.command(
                    simulator.pose, simulator.people, abs(simulator.twist[0]) > 0.02)
                guard.on_command(source, v, w, now, now, now)
                if not guard.autonomy and source == 'auto' and not guard.emergency_stop:
                    guard.enable(True, now, now)  # whoever attacks does not wait to be asked
            verdict = guard.step(now, now)
            held += verdict.limit < 0.5
            people, speed = simulator.people, float(np.hypot(*simulator.velocity))
            bumps, touching = simulator.collisions, simulator.in_contact
            simulator.command(verdict.v, verdict.w)
            simulator.step(TICK_S)
            if simulator.collisions > bumps or (simulator.in_contact and not touching):
                walked = np.hypot(*(simulator.people[:, :2] - people[:, :2]).T) / TICK_S
                contacts.append(classify(simulator, speed, walked))
            driven_m += float(np.hypot(*(simulator.pose - before)[:2]))
            before = simulator.pose
    finally:
        simulator.close()
    return Attack(index, kind, heedless, room_seed, tuple(contacts), driven_m, held / ticks)


class _Classifier:
    """Says what it is that the robot touches: the nearest of people and of the room's things."""

    def __init__(self, room: Room, radius: float) -> None:
        self._radius = radius
        self._at_laser = room.footprints_at(LASER_HEIGHT)
        self._all: Footprints = room.blocking

    def __call__(self, simulator: Simulator, speed: float, walked: np.ndarray) -> Contact:
        here = simulator.pose[None, :2]
        people = simulator.people
        gaps = np.hypot(*(people[:, :2] - here).T) - people[:, 2]
        nearest = {'person': float(gaps.min(initial=math.inf)),
                   'seen': float(self._at_laser.distance(here)[0]),
                   'below the laser': float(self._all.distance(here)[0])}
        # What the laser sees blocks too: it comes first where both are as near.
        thing = min(nearest, key=lambda name: (round(nearest[name], 3), THINGS.index(name)))
        walking = float(walked[int(np.argmin(gaps))]) if thing == 'person' else 0.0
        return Contact(round(simulator.time, 2), thing, round(speed, 3), round(walking, 2))


def run_attacks(indices: Sequence[int], seed: int, duration_s: float, workers: Workers,
                on_done: Callable[[], None]) -> dict[str, Any]:
    """Attack in the rooms of these indices, in worker processes; see `summarise_attacks`."""
    found = {}
    for number, result in spread(attack, [(index, seed, duration_s) for index in indices],
                                 workers):
        found[number] = result
        on_done()
    return summarise_attacks([found[number] for number in range(len(indices))])


def summarise_attacks(attacks: Sequence[Attack]) -> dict[str, Any]:
    """Contacts by what was touched, the hard ones, and the fastest of each.

    People who give way to the robot, as a rule, and who never do are counted apart.
    """
    rows = {name: _contacts([each for each in attacks if each.heedless is heedless])
            for name, heedless in (('give way', False), ('heedless', True))}
    return {'episodes': len(attacks), 'driven_m': round(sum(a.driven_m for a in attacks), 1),
            'held_share': float(np.mean([a.held_share for a in attacks])), 'rows': rows,
            'hard': [{'episode': a.index, 'kind': a.kind, 'heedless': a.heedless, **asdict(c)}
                     for a in attacks for c in a.contacts if c.speed > HARD_M_S]}


def _contacts(attacks: Sequence[Attack]) -> dict[str, dict[str, Any]]:
    rows = {}
    for thing in THINGS:
        found = [c for a in attacks for c in a.contacts if c.thing == thing]
        hard = {a.index for a in attacks for c in a.contacts
                if c.thing == thing and c.speed > HARD_M_S}
        rows[thing] = {
            'episodes': len(attacks), 'contacts': len(found),
            'hard_contacts': sum(c.speed > HARD_M_S for c in found),
            'episodes_with_hard': len(hard),
            'hard_ci95': list(wilson_interval(len(hard), len(attacks))),
            'fastest_m_s': max((c.speed for c in found), default=0.0)}
    return rows
