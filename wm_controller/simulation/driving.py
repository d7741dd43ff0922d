# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Ways to drive that make data worth learning from. They may look at the simulator's truth.

A driver gives one command a model step. All of them weave in interludes (stops, turns on the
spot, reversing, random arcs), so that each state is seen followed by many commands.
"""

from collections.abc import Iterator
import math

import numpy as np

from wm_controller.simulation.paths import DistanceField
from wm_controller.simulation.simulator import Simulator

STYLES = {'goal': 0.5, 'wander': 0.2, 'press': 0.15, 'arcs': 0.15}  # share of episodes

Command = tuple[float, float]  # m/s, rad/s


class Driver:
    """Drives one episode in a style, with a boldness and a noise drawn once."""

    def __init__(self, simulator: Simulator, rng: np.random.Generator, period_s: float,
                 style: str | None = None):
        self.style = style or str(rng.choice(list(STYLES), p=list(STYLES.values())))
        self._sim, self._rng, self._period = simulator, rng, period_s
        self._spec = simulator.robot
        margins = (0.0, 0.02, 0.05) if self.style == 'goal' else (0.0, 0.03, 0.1, 0.2, 0.3)
        self._margin = float(rng.choice(margins))  # m, kept from obstacles
        self._lapses = float(rng.choice((0.0, 0.01, 0.03)))  # chance a step to stop looking
        self._lapse = 0  # steps for which caution is off
        self._noise = np.array([rng.uniform(0.0, 0.1), rng.uniform(0.0, 0.4)])
        self._interludes = float(rng.uniform(0.005, 0.035))  # chance a step
        self._plan: Iterator[Command] = iter(())
        self._still = 0
        self._last = simulator.pose
        self._commands = {
            'goal': self._goals, 'wander': self._wander, 'press': self._press, 'arcs': self._arcs,
        }[self.style]()

    def next(self) -> Command:
        """Command to hold over the coming step, within the robot's limits."""
        command = next(self._plan, None)
        if command is None:
            if self._stuck():
                self._plan = self._back_out()
            elif self._rng.random() < self._interludes:
                self._plan = self._interlude()
            command = next(self._plan, None) or next(self._commands)
        v, w = command
        spec = self._spec
        return (
            float(np.clip(v, spec.min_linear, spec.max_linear)),
            float(np.clip(w, -spec.max_angular, spec.max_angular)),
        )

    # What a driver sees

    def _stuck(self) -> bool:
        """In contact, or commanded to move for two seconds without getting anywhere."""
        pose = self._sim.pose
        moved = np.hypot(*(pose - self._last)[:2]) > 0.02 or abs(pose[2] - self._last[2]) > 0.05
        self._still = 0 if moved else self._still + 1
        self._last = pose
        touched = self._sim.in_contact and (self.style != 'press' or self._rng.random() < 0.3)
        return touched or self._still * self._period > 2.0

    def _gap(self, v: float, w: float, horizon_s: float) -> float:
        """Least distance (m) of the robot's edge to anything along an arc."""
        x, y, yaw = self._sim.pose
        t = np.linspace(0.1, 1.0, 8) * horizon_s
        middle = yaw + 0.5 * w * t
        chord = v * t * np.sinc(0.5 * w * t / np.pi)
        return self._nearest(np.stack([x + chord * np.cos(middle), y + chord * np.sin(middle)], 1))

    def _nearest(self, points: np.ndarray) -> float:
        grid = self._sim.room.grid
        cells = grid.cells(points)
        gap = grid.clearance[cells[:, 0], cells[:, 1]].min()
        for px, py, radius in self._sim.people:
            gap = min(gap, np.hypot(*(points - (px, py)).T).min() - radius)
        return float(gap) - self._spec.radius

    def _cautious(self, v: float, w: float) -> Command:
        """Slow a command down until its arc keeps the margin; what is left turns or stops."""
        if self._lapse == 0 and self._rng.random() < self._lapses:
            self._lapse = self._steps(0.6, 2.5)
        if self._lapse:
            self._lapse -= 1
            return v, w
        here = min(self._margin, self._nearest(self._sim.pose[None, :2]) - 0.01)
        for scale in (1.0, 0.6, 0.3):
            horizon = self._period + 0.35 + abs(v) * scale / 1.5
            if self._gap(v * scale, w, horizon) >= here:
                return v * scale, w
        return 0.0, w

    def _steps(self, low_s: float, high_s: float) -> int:
        return max(1, int(round(self._rng.uniform(low_s, high_s) / self._period)))

    def _sign(self) -> float:
        return 1.0 if self._rng.random() < 0.5 else -1.0

    def _random_command(self) -> Command:
        spec, rng = self._spec, self._rng
        v = rng.uniform(spec.min_linear, spec.max_linear)
        w = rng.uniform(-spec.max_angular, spec.max_angular)
        if rng.random() < 0.3:  # the limits themselves, and straight ahead, are used most
            v = spec.max_linear
        if rng.random() < 0.25:
            w = 0.0
        return float(v), float(w)

    # Interludes

    def _interlude(self) -> Iterator[Command]:
        rng, spec = self._rng, self._spec
        kind = rng.choice(('stop', 'turn', 'reverse', 'arc'), p=(0.15, 0.25, 0.25, 0.35))
        if kind == 'stop':
            return iter([(0.0, 0.0)] * self._steps(0.4, 2.0))
        if kind == 'turn':
            w = self._sign() * rng.uniform(0.2, spec.max_angular)
            return iter([(0.0, w)] * self._steps(0.6, 3.0))
        if kind == 'reverse':
            v, w = rng.uniform(spec.min_linear, -0.05), rng.normal(0.0, 0.4)
            return self._hold(v, w, self._steps(1.0, 3.0))
        v, w = self._random_command()
        return self._hold(v, w, self._steps(0.4, 1.4), careless=rng.random() < 0.15)

    def _hold(self, v: float, w: float, steps: int, careless: bool = False) -> Iterator[Command]:
        for _ in range(steps):
            yield (v, w) if careless else self._cautious(v, w)

    def _back_out(self) -> Iterator[Command]:
        """Leave a contact: the way that gains most distance, then turn."""
        options = [(v, w) for v in (-0.2, 0.2) for w in (-0.6, 0.0, 0.6)]
        gaps = [self._gap(v, w, 1.2) + self._rng.normal(0.0, 0.01) for v, w in options]
        ends = [g + (0.02 if v < 0 else 0.0) for g, (v, _) in zip(gaps, options)]
        v, w = options[int(np.argmax(ends))]
        speed = self._rng.uniform(0.4, 1.25)
        for _ in range(self._steps(0.6, 1.8)):
            yield v * speed, w * speed
        turn = self._sign() * self._rng.uniform(0.5, 1.5)
        for _ in range(self._steps(0.2, 1.2)):
            yield 0.0, turn
        self._still = 0

    # Styles

    def _goals(self) -> Iterator[Command]:
        """Drive along shortest ways to one random goal after the other, mostly far ones."""
        rng, room = self._rng, self._sim.room
        while True:
            radius = self._spec.radius + float(rng.uniform(0.04, 0.1))
            for _ in range(6):
                goal = room.sample_free_pose(rng, radius + 0.03)[:2]
                if np.hypot(*(goal - self._sim.pose[:2])) > 2.5 or rng.random() < 0.15:
                    break
            field = DistanceField(room, goal, radius)
            length = float(field.distance(self._sim.pose[:2]))
            if not np.isfinite(length):
                yield self._cautious(*self._random_command())
                continue
            top = float(rng.choice((rng.uniform(0.1, 0.5), rng.uniform(0.35, 0.5), 0.5)))
            yield from self._follow(field, top, budget=int((length / top * 2 + 6) / self._period))

    def _follow(self, field: DistanceField, top: float, budget: int) -> Iterator[Command]:
        rng = self._rng
        ahead, gain = rng.uniform(0.3, 0.6), rng.uniform(1.2, 2.5)
        wander = np.zeros(2)
        for _ in range(budget):
            x, y, yaw = self._sim.pose
            path = field.path(self._sim.pose[:2])
            if not len(path) or np.hypot(*(field.goal - (x, y))) < 0.25:
                return
            target = point_along(path, ahead)
            error = math.remainder(math.atan2(target[1] - y, target[0] - x) - yaw, 2 * math.pi)
            if abs(error) > 1.0:
                v = 0.0 if rng.random() < 0.8 else 0.1
                w = math.copysign(rng.uniform(0.6, 1.5), error)
            else:
                v, w = top * max(0.2, math.cos(1.3 * error)), gain * error
            wander = 0.7 * wander + self._noise * rng.standard_normal(2)
            yield self._cautious(v + wander[0], w + wander[1])

    def _wander(self) -> Iterator[Command]:
        """Drive smoothly at random, turning to the freer side before obstacles."""
        rng, spec = self._rng, self._spec
        v = w = 0.0
        look_s = rng.uniform(0.8, 2.0)
        while True:
            goal_v, goal_w = rng.uniform(0.05, spec.max_linear), rng.normal(0.0, 0.5)
            if rng.random() < 0.3:
                goal_v = spec.max_linear
            for _ in range(self._steps(0.6, 3.0)):
                if self._gap(max(v, 0.15), w, look_s) < self._margin + 0.05:
                    left, right = (self._gap(0.2, s * 1.2, 1.2) for s in (1, -1))
                    goal_w = (1 if left > right else -1) * rng.uniform(0.8, spec.max_angular)
                    goal_v = rng.uniform(0.0, 0.2)
                v += 0.5 * (goal_v - v)
                w += 0.6 * (goal_w - w)
                yield self._cautious(v, w)

    def _press(self) -> Iterator[Command]:
        """Drive up to something, touch it or nearly, back out, go elsewhere."""
        rng, spec = self._rng, self._spec
        while True:
            yield from self._hold(0.0, self._sign() * rng.uniform(0.5, 1.5), self._steps(0.4, 2.5))
            speed = rng.uniform(0.08, 0.4)
            stop_at = -1.0 if rng.random() < 0.7 else rng.uniform(0.0, 0.15)  # -1: touch it
            curve = rng.normal(0.0, 0.15)
            for _ in range(self._steps(6.0, 14.0)):
                near = self._gap(speed, curve, 0.5)
                if near <= stop_at or self._sim.in_contact:
                    break
                yield (min(speed, 0.06 + max(near, 0.0)), curve)
            push = rng.uniform(0.03, 0.15) if stop_at < 0.0 else 0.0
            yield from [(push, 0.0)] * self._steps(0.2, 1.2)
            back, turn = rng.uniform(spec.min_linear, -0.08), rng.normal(0.0, 0.5)
            yield from self._hold(back, turn, self._steps(1.0, 3.0), careless=True)
            if rng.random() < 0.5:
                v, w = self._random_command()
                yield from self._hold(abs(v), w, self._steps(1.0, 4.0))

    def _arcs(self) -> Iterator[Command]:
        """Hold commands drawn evenly from the limits, as long as the floor allows."""
        while True:
            v, w = self._random_command()
            if v > 0 and self._gap(v, w, 1.0) < 0.0:
                w = self._sign() * self._rng.uniform(0.5, self._spec.max_angular)
            yield from self._hold(v, w, self._steps(0.4, 2.4))


def point_along(path: np.ndarray, distance: float) -> np.ndarray:
    """Point (2,) at a distance, m, along a path (M, 2), or its end."""
    legs = np.hypot(*np.diff(path, axis=0).T)
    marks = np.concatenate([[0.0], np.cumsum(legs)])
    return np.array([np.interp(distance, marks, column) for column in path.T])
