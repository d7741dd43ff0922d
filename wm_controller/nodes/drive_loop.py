# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
One control cycle after the other: newest image in, newest command out. No ROS in here.

Images come from the executor's thread; seeing and planning run in a worker's, so that nothing
waits for a plan. Times are ROS seconds unless they are called steady.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
import threading
import time
from typing import Any, Protocol

import numpy as np

from wm_controller.nodes.conversions import MessageError
from wm_controller.nodes.odometry_buffer import OdometryBuffer
from wm_controller.nodes.picture_watch import PictureWatch
from wm_controller.nodes.worker import Pacer, Worker
from wm_controller.planning.contract import Goal, Observation, Plan

FUTURE_S = 0.1  # how far ahead of the clock a stamp may be
STOP_TIMEOUT_S = 5.0


class Driver(Protocol):
    """What drives: the pilot of the world model, or a baseline."""

    def set_goal(self, goal: Goal | None) -> None: ...
    def observe(self, observation: Observation) -> None: ...
    def plan(self, now: float, deadline_s: float) -> Plan: ...
    def admitted(self, stamp: float, v: float, w: float) -> None: ...
    def reset(self) -> None: ...


class Outlet(Protocol):
    """Where the loop's results go; called from the worker's thread."""

    def send(self, plan: Plan) -> None: ...
    def halt(self) -> None: ...
    def last_word(self) -> None: ...
    def complain(self, line: str) -> None: ...


@dataclass(frozen=True)
class LoopSettings:
    """Rate of commands Hz; time for one plan s; greatest age of an image at sending s."""

    rate_hz: float = 10.0
    plan_time_s: float = 0.07
    max_age_s: float = 0.4

    @property
    def period_s(self) -> float:
        """Time between two commands, s."""
        return 1.0 / self.rate_hz


@dataclass(frozen=True)
class Frame:
    """An image as it arrived, not yet decoded."""

    stamp: float
    message: Any


@dataclass(frozen=True)
class Condition:
    """What the loop is doing, for the status: figures are of the last cycle or a count."""

    state: str = 'idle'
    plan_ms: float = 0.0
    goal_distance: float = float('nan')
    error: str = ''


class DriveLoop:
    """
    Feeds a driver with the newest image and sends what it plans.

    A cycle starts with an image, at `rate_hz` at most; when images are slower than that, the
    loop plans again from what it last saw (`tick`). A result that took longer than a period is a
    deadline miss; one whose image is older than `max_age_s`, or planned for a goal that has been
    changed since, is dropped.
    """

    def __init__(self, driver: Driver, odometry: OdometryBuffer, settings: LoopSettings,
                 clock: Callable[[], float], decode: Callable[[Any], np.ndarray],
                 outlet: Outlet, saw: Callable[[Observation], None] = lambda _: None) -> None:
        """`saw` hears of every observation, in the worker's thread."""
        self._saw = saw
        self._driver, self._odometry, self._settings = driver, odometry, settings
        self._clock, self._decode, self._outlet = clock, decode, outlet
        self._pacer = Pacer(settings.rate_hz)
        self._lock = threading.Lock()
        self._orders: list[Callable[[], None]] = []
        self._admitted: deque[tuple[float, float, float]] = deque(maxlen=256)
        self._generation = 0
        self._newest: Frame | None = None
        self._used_stamp = -float('inf')
        self._cycle_started = -float('inf')
        self._observed = False
        self._pictures = PictureWatch()
        self._seen_stamp: float | None = None
        self.blind_because = ''
        self.condition = Condition()
        self.counts: Counter[str] = Counter()
        self.latencies_s: deque[float] = deque(maxlen=600)
        self.plan_times_s: deque[float] = deque(maxlen=600)
        self._worker: Worker[Frame | None] = Worker(self._cycle, self._failed, name='planner')

    @property
    def image_stamp(self) -> float | None:
        """Stamp of the newest image that was accepted."""
        return self._newest.stamp if self._newest is not None else None

    @property
    def seen_stamp(self) -> float | None:
        """Stamp of the newest image that could be used; until there was one, of any image."""
        return self.image_stamp if self._seen_stamp is None else self._seen_stamp

    def on_image(self, stamp: float, message: Any) -> None:
        """Take an image; raises MessageError if its stamp makes it useless."""
        try:
            self._take(stamp, message)
        except MessageError as error:
            self.blind_because = str(error)
            raise

    def _take(self, stamp: float, message: Any) -> None:
        now = self._clock()
        self.counts['images'] += 1
        if stamp > now + FUTURE_S:
            raise MessageError(
                f'image: its stamp is {stamp - now:.3g} s in the future; do camera and controller '
                'share a clock (use_sim_time)?')
        if now - stamp > self._settings.max_age_s:
            raise MessageError(
                f'image: it is {now - stamp:.3g} s old on arrival, over {self._settings.max_age_s}'
                ' s; do camera and controller share a clock (use_sim_time)?')
        if self._newest is not None and stamp <= self._newest.stamp:
            raise MessageError(
                f'image: stamp {stamp:.3f} is not newer than the one before '
                f'({self._newest.stamp:.3f})')
        self._newest = Frame(stamp, message)
        if self._pacer.take(stamp):
            self._start(self._newest)

    def on_admitted(self, stamp: float, v: float, w: float) -> None:
        """Take what guardrails let through to the wheels at `stamp`: m/s, rad/s."""
        if np.isfinite(v) and np.isfinite(w):
            self._admitted.append((stamp, v, w))

    def on_tick(self) -> None:
        """Keep the rate where the camera does not: plan again, from a prediction."""
        overdue = self._clock() - self._cycle_started > 1.25 * self._settings.period_s
        if not (overdue and self._worker.idle) or self._newest is None:
            return
        unused = self._newest.stamp > self._used_stamp
        if unused or self._fresh(self._used_stamp):
            self._pacer.skip()  # or the image that comes late would be one cycle too many
            self._start(self._newest if unused else None)

    def set_goal(self, goal: Goal | None) -> None:
        """Drive there, or nowhere (None): what was planned before is not sent any more."""
        with self._lock:
            self._generation += 1
            self._orders.append(lambda: self._driver.set_goal(goal))
            # the last goal's `reached` must not be read as this one's
            self.condition = Condition('idle' if goal is None else 'planning')
        if goal is None:
            self._outlet.halt()

    def ask(self, question: Callable[[Any], str], timeout_s: float = 1.0) -> str:
        """Ask the driver something between two plans, in the worker's thread; its answer.

        Raises what the question raises, and TimeoutError where no answer comes in time.
        """
        answer: Future[str] = Future()

        def order() -> None:
            try:
                answer.set_result(question(self._driver))
            except Exception as error:
                answer.set_exception(error)
        with self._lock:
            self._orders.append(order)
        self._worker.nudge(None)  # who asks waits, and may keep the images from coming
        return answer.result(timeout_s)

    def hold(self) -> None:
        """Stop for now and keep the goal: a plan under way is not sent any more."""
        with self._lock:
            self._generation += 1
        self._outlet.halt()

    def figures(self) -> dict[str, float]:
        """Counts since the start, and percentiles of the last minute in milliseconds."""
        found: dict[str, float] = dict(self.counts)
        for name, times_s in (('latency', self.latencies_s), ('plan', self.plan_times_s)):
            recent = list(times_s)
            for percent in (50, 95, 99) if recent else ():
                found[f'{name}_ms_p{percent}'] = float(1e3 * np.percentile(recent, percent))
        return found

    def reset(self) -> None:
        """Forget everything seen and the goal: the clock jumped, or the robot was moved."""
        with self._lock:
            self._generation += 1
            self._orders = [lambda: self._driver.set_goal(None), self._forget]
            self.condition = Condition()
        self._odometry.clear()
        self._admitted.clear()
        self._pacer.reset()
        self._newest = self._seen_stamp = None
        self._used_stamp = self._cycle_started = -float('inf')
        self._outlet.halt()

    def stop(self) -> None:
        """End the worker, then send the stop, last: nothing comes after it."""
        with self._lock:
            self._generation += 1
        if not self._worker.stop(STOP_TIMEOUT_S):
            self._outlet.complain(f'the planner did not end within {STOP_TIMEOUT_S} s')
        self._outlet.last_word()

    def _fresh(self, stamp: float) -> bool:
        return self._clock() - stamp <= self._settings.max_age_s

    def _start(self, frame: Frame | None) -> None:
        self._cycle_started = self._clock()
        if frame is not None:
            self._used_stamp = frame.stamp
        if self._worker.offer(frame):
            self.counts['images_skipped'] += 1

    def _cycle(self, frame: Frame | None) -> None:
        started, steady = self._clock(), time.perf_counter()
        with self._lock:
            generation, orders, self._orders = self._generation, self._orders, []
        for order in orders:
            order()
        while self._admitted:
            self._driver.admitted(*self._admitted.popleft())
        if frame is not None:
            self._observe(frame)
        if not self._observed:
            return
        now = self._clock()
        used_s = time.perf_counter() - steady
        plan = self._driver.plan(now, max(self._settings.plan_time_s - used_s, 0.005))
        plan_s = time.perf_counter() - steady
        self._judge(plan, generation, started, plan_s)

    def _observe(self, frame: Frame) -> None:
        reading = self._odometry.at(frame.stamp)
        try:
            image = self._decode(frame.message)
            self._pictures.check(image, None if reading is None else reading.pose)
        except MessageError as error:
            self.blind_because = str(error)
            raise
        self._seen_stamp, self.blind_because = frame.stamp, ''
        if reading is None:
            self.counts['images_without_odometry'] += 1
        observation = Observation(
            frame.stamp, image, None if reading is None else reading.pose,
            None if reading is None else reading.twist)
        self._driver.observe(observation)
        self._saw(observation)
        self._observed = True

    def _judge(self, plan: Plan, generation: int, started: float, plan_s: float) -> None:
        now = self._clock()
        age_s = now - plan.stamp
        self.counts['plans'] += 1
        self.plan_times_s.append(plan_s)
        self.counts['plans_over_time'] += plan.late  # the period has slack for these
        if now - started > self._settings.period_s:
            self.counts['deadline_misses'] += 1
        if not (np.isfinite(plan.v) and np.isfinite(plan.w)):
            raise ValueError(f'the plan is not finite (v {plan.v}, w {plan.w})')
        with self._lock:  # a goal or a stop that comes now waits until this is out, then halts
            if generation != self._generation:
                self.counts['plans_overtaken'] += 1
                return
            self.condition = Condition(plan.state, 1e3 * plan_s, float(plan.goal_distance))
            if age_s > self._settings.max_age_s:
                self.counts['plans_too_old'] += 1
                return
            self._outlet.send(plan)
        self.latencies_s.append(self._clock() - plan.stamp)

    def _failed(self, error: Exception) -> None:
        if isinstance(error, MessageError):
            self.counts['bad_images'] += 1
            self._outlet.complain(str(error))
            return
        line = f'{type(error).__name__}: {error}'
        self.counts['faults'] += 1
        self.condition = Condition('fault', error=line)
        self._outlet.halt()
        self._outlet.complain(f'planning failed: {line}')

    def _forget(self) -> None:
        self._driver.reset()
        self._observed = False
