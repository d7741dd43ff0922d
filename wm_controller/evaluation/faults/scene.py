# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
The whole graph over real processes, with a man in the middle, and a robot that is on its way.

Faults are made and looked at through this; nothing in it knows a particular one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
import os
from pathlib import Path
import signal
import subprocess
import time
from typing import Any

import numpy as np

from wm_controller.evaluation.faults.promises import Limits
from wm_controller.evaluation.faults.record import Record, Said
from wm_controller.evaluation.faults.stage import GRAPH, node_spec, Stage, start_pose
from wm_controller.evaluation.processes import Graph
from wm_controller.evaluation.tasks import next_goal, TaskSpec
from wm_controller.safety.geometry import compose, relative
from wm_controller.simulation.rooms import make_room

CATCHES_UP_S = 10.0  # an observer lags behind a flood
POLL_S = 0.01
DRIVING_S = 180.0  # on a machine that does much else, plans are too late to drive by
BRISK_M_S, BRISK_FOR_S = 0.2, 0.4  # speed at which a fault is injected
CLEAR_AHEAD_M = 1.1  # so that no obstacle brakes the robot before the fault does
GOAL_LEFT_M = 1.0
GOAL_REPEAT_S = 12.0  # one that is not driven to briskly in so long is given up
STANDS_FOR_S = 0.6
AHEAD_M_S, DRIVES_ON_S = 0.05, 20.0
OPERATOR_S = 5.0  # to clear a stop


class Unexpected(Exception):
    """The robot did not react as it must; the text is one line."""


class Scene:
    """One running graph; `observer` is a `FaultObserver`, which needs ROS."""

    def __init__(self, stage: Stage, observer: Any, graph: Graph, folder: Path) -> None:
        self.stage, self.observer, self.graph, self.folder = stage, observer, graph, folder
        self.limits = Limits.of_robot()
        self._room = make_room(stage.room_seed, stage.family, people=stage.people)
        self._start = start_pose(stage, self._room)
        self._goals = 0
        self._goal = np.full(2, np.inf)  # in the world
        self._away: set[str] = set()  # nodes that a fault took away
        self._strangers: list[subprocess.Popen[bytes]] = []

    @property
    def record(self) -> Record:
        """What was heard."""
        return self.observer.record  # type: ignore[no-any-return]

    # The robot on its way

    def drive(self, within_s: float = DRIVING_S) -> float:
        """Have the robot drive briskly through free space to a goal; returns when it does."""
        end, sent = time.monotonic() + within_s, -np.inf
        while time.monotonic() < end:
            self.check()
            if self._brisk():
                return time.monotonic()
            left = np.hypot(*(self._goal - self._pose()[:2])) if self.record.truth else 0.0
            reached = self.state('controller') != 'planning'
            now = time.monotonic()
            late = now - sent > GOAL_REPEAT_S
            if self._ready() and (late or now - sent > 1.0 and (left < GOAL_LEFT_M or reached)):
                self._send_goal()
                sent = now
            time.sleep(POLL_S)
        raise Unexpected(f'it does not drive: {self.account()}')

    def _ready(self) -> bool:
        return bool(self.record.truth and self.record.guardrail) and (
            self.observer.believed is not None and self.observer.hears_goals()
            and self.state('controller') not in ('', 'fault'))

    def _brisk(self) -> bool:
        now, commands = time.monotonic(), list(self.record.commands[-60:])
        recent = [c for c in commands if now - c.sent < BRISK_FOR_S]
        truth = self.record.truth[-1] if self.record.truth else None
        if len(recent) < 10 or min(c.v for c in recent) < BRISK_M_S or (
                truth is None or now - truth.at > BRISK_FOR_S or truth.v < BRISK_M_S):
            return False
        pose = self._pose()
        if np.hypot(*(self._goal - pose[:2])) < GOAL_LEFT_M:
            return False
        bearings = pose[2] + np.array([-0.3, 0.0, 0.3])
        return bool(self._room.rays(pose[:2], bearings, 3.0).min() > CLEAR_AHEAD_M)

    def _pose(self) -> np.ndarray:
        return compose(self._start, np.array(self.record.truth[-1].pose))

    def _send_goal(self) -> None:
        stage = self.stage
        rng = np.random.default_rng([stage.room_seed, self._goals])
        spec = TaskSpec(seed=stage.room_seed, family=stage.family, people=stage.people)
        task = next_goal(self._room, rng, spec, self._pose(), self._goals, stage.room_seed)
        self._goals += 1
        self._goal = np.array(task.goal[:2])
        self.send_goal(self._goal)

    def send_goal(self, place: Sequence[float] | np.ndarray) -> float:
        """Send the robot to a place (2,) in the world, as seen from where it believes to be."""
        there = compose(self.observer.believed, relative(self._pose(), np.array([*place, 0.0])))
        return float(self.observer.send_goal(float(there[0]), float(there[1])))

    def outside(self) -> np.ndarray:
        """Return a place (2,) in the world that no robot can get to: behind the outer walls."""
        return self._pose()[:2] + np.array([60.0, 0.0])

    def in_a_wall(self) -> np.ndarray:
        """Return a place (2,) in the world 0.3 m behind the surface of what is ahead."""
        pose = self._pose()
        ahead = self._room.rays(pose[:2], pose[2:], 12.0)[0] + 0.3
        return pose[:2] + ahead * np.array([np.cos(pose[2]), np.sin(pose[2])])

    # What it must do

    def until(self, condition: Callable[[], Any], within_s: float, what: str) -> Any:
        """Wait for a condition and return what it gave; raises Unexpected after `within_s`."""
        end = time.monotonic() + within_s
        while True:
            found = condition()
            if found is not None and found is not False:
                return found
            if time.monotonic() > end:
                raise Unexpected(f'not within {within_s:g} s: {what}; {self.account()}')
            self.check()
            time.sleep(POLL_S)

    def caught_up(self) -> float:
        """Wait until all that was sent before now is heard, or nothing comes; returns now."""
        now = time.monotonic()
        while time.monotonic() < now + CATCHES_UP_S and not any(
                c.sent > now for c in self.record.commands[-1:]):
            time.sleep(POLL_S)
        return now

    def stands(self, since: float, within_s: float, for_s: float = STANDS_FOR_S) -> float:
        """Seconds until the wheels are told to stand, and stay so `for_s` while it lasts."""
        def standing() -> float | None:
            commands = [c for c in list(self.record.commands) if c.sent > since]
            moving = [k for k, c in enumerate(commands) if not c.is_zero]
            rest = commands[moving[-1] + 1 if moving else 0:]
            if rest and time.monotonic() - rest[0].sent > for_s:
                return max(rest[0].sent - since, 0.0)
            return None
        return float(self.until(standing, within_s + for_s, 'the wheels told to stand'))

    def brakes(self, since: float, within_s: float) -> float:
        """Seconds until the first command that is slower than the one before it by a step."""
        def slower() -> float | None:
            commands = [c for c in list(self.record.commands) if c.sent > since - 0.1]
            for before, after in zip(commands, commands[1:]):
                if after.sent > since and abs(after.v) < abs(before.v) - 0.01:
                    return after.sent - since
            return None
        return float(self.until(slower, within_s, 'a braking command'))

    def drives_on(self, since: float) -> None:
        """Wait until the wheels are told to drive ahead, after a moment."""
        self.until(lambda: any(c.v > AHEAD_M_S for c in list(self.record.commands)
                               if c.sent > since), DRIVES_ON_S, 'the robot driving on')

    def says(self, heard: str, what: Callable[[Said], bool], since: float, within_s: float,
             words: str) -> float:
        """Seconds until a message of guardrail, controller or diagnostics says something."""
        said: list[Said] = getattr(self.record, heard)

        def found() -> float | None:
            return next((s.at - since for s in list(said) if s.at >= since and what(s)), None)
        return float(self.until(found, within_s, words))

    def because(self, reason: str, since: float, within_s: float = 2.0) -> float:
        """Seconds until the guardrail names a reason."""
        return self.says('guardrail', lambda s: reason in s.values.get('reasons', '').split(','),
                         since, within_s, f'the guardrail naming {reason}')

    def counted(self, node: str, key: str, since: float, within_s: float = 3.0,
                complaint: str = '') -> float:
        """Seconds until the diagnostics of a node count more under a key, and complain so."""
        def count(said: Said) -> float:
            return sum(float(value) for name, value in said.values.items()
                       if name.startswith(key))
        before = max((count(s) for s in list(self.record.diagnostics)
                      if node in s.name and s.at < since), default=0.0)
        return self.says(
            'diagnostics', lambda s: node in s.name and count(s) > before
            and complaint in s.values.get('last_complaint', ''), since, within_s,
            f'the diagnostics of the {node} counting {key} {complaint}'.rstrip())

    def state(self, node: str) -> str:
        """The last state of the controller, or mode of the guardrail."""
        said: list[Said] = getattr(self.record, node)
        key = 'state' if node == 'controller' else 'mode'
        return said[-1].values.get(key, '') if said else ''

    def account(self) -> str:
        """What is known now, in one line, for a failure."""
        record = self.record
        last = record.commands[-1] if record.commands else None
        guard = record.guardrail[-1].values if record.guardrail else {}
        drive = record.controller[-1] if record.controller else None
        return (f'cmd_vel {f"{last.v:.2f} {last.w:.2f}" if last else "none"}, guardrail '
                f'{guard.get("mode")}/{guard.get("reasons")}, controller '
                f'{drive.values.get("state") if drive else None}'
                f' (plan {drive.values.get("plan_ms") if drive else None} ms)'
                f'{f" ({drive.message})" if drive else ""}')

    # Faults

    def inject(self, fault: str) -> float:
        """Let the man in the middle misbehave; returns when."""
        return float(self.observer.inject(fault))

    def take_away(self, node: str, how: signal.Signals) -> float:
        """Send a signal to a node that may not survive it; returns when."""
        self._away.add(node)
        now = time.monotonic()
        process = self.graph.process(node)
        process.send_signal(how)
        if how == signal.SIGKILL:
            process.wait(10.0)
        return now

    def bring_back(self, node: str, **parameters: Any) -> float:
        """Start a node again that was killed; returns when."""
        now = time.monotonic()
        self.graph.start(node_spec(self.stage, self._start, node, self.folder, parameters))
        self._away.discard(node)
        return now

    @contextmanager
    def stranger(self, command: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
        """Run another process while the block lasts."""
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   env=self.graph.environment, start_new_session=True)
        self._strangers.append(process)
        try:
            yield process
        finally:
            process.kill()
            process.wait()
            self._strangers.remove(process)

    def lift(self) -> None:
        """End every fault, and let the operator clear what waits for one."""
        for node in GRAPH:
            if node not in self._away or self.graph.process(node).poll() is None:
                self.graph.process(node).send_signal(signal.SIGCONT)
                self._away.discard(node)
        self.inject('none')
        line, end = '', time.monotonic() + OPERATOR_S
        while self.state('guardrail') != 'auto':
            done = True
            if self.state('guardrail') == 'stopped':  # a reset wants nobody to command motion
                self.observer.trigger('controller/cancel')
                done, line = self.observer.trigger('guardrail/reset')
            if done:
                _, line = self.observer.enable()
            if time.monotonic() > end:
                raise Unexpected(f'the operator cannot enable autonomy: {line}')
            time.sleep(0.1)

    def check(self) -> None:
        """Raise Unexpected if a node has ended that nobody took away."""
        for node in GRAPH:
            if node not in self._away and self.graph.process(node).poll() is not None:
                tail = self.graph.log_tail(node)
                raise Unexpected(f'the {node} node ended: {tail[-1] if tail else "silently"}')


@contextmanager
def opened(stage: Stage, observe: Callable[[], Any], folder: Path,
           order: Sequence[tuple[str, float]] = tuple((node, 0.0) for node in GRAPH)
           ) -> Iterator[Scene]:
    """Run the graph while the block lasts; `order`: nodes, and seconds to wait after each."""
    room = make_room(stage.room_seed, stage.family, people=stage.people)
    start = start_pose(stage, room)
    observer = observe()
    try:
        with Graph((), folder / 'logs', os.environ) as graph:
            for node, pause_s in order:
                graph.start(node_spec(stage, start, node, folder))
                time.sleep(pause_s)
            yield Scene(stage, observer, graph, folder)
    finally:
        observer.close()
