# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Topic `imagination`: what a plan expected to see, above what then came, as a strip of film.

Drawn only while somebody listens, after the command is out, and in a thread that gives way to
the planner's. The robot plans anew ten times a second, so that what came is of later plans too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
import contextlib
from dataclasses import dataclass
import os
import sys
import threading
from typing import Any, Protocol

import cv2
import numpy as np
from sensor_msgs.msg import Image

from wm_controller.data.images import fit
from wm_controller.nodes import qos
from wm_controller.nodes.images import to_image
from wm_controller.nodes.worker import Worker
from wm_controller.planning.contract import Imagined, Observation, Plan
from wm_controller.planning.film import shown_steps

STRIP_PERIOD_S = 0.5    # between strips
KEPT_FRAMES, KEPT_PLANS = 64, 64
TITLE = 14              # px above each row
NICENESS = 10           # of the drawing thread
STOP_TIMEOUT_S = 2.0
FONT, WHITE = cv2.FONT_HERSHEY_PLAIN, (255, 255, 255)


class Film(Protocol):
    """Draws imagined futures: `planning.film.Film`, or a double."""

    period_s: float

    def __call__(self, imagined: Imagined, seen: np.ndarray, steps: Sequence[int]
                 ) -> np.ndarray: ...


@dataclass(frozen=True)
class Job:
    """One strip to draw: the plan, the frame it was made from, the steps shown, and the frames
    that came then (or None).
    """

    plan: Plan
    seen: np.ndarray
    steps: tuple[int, ...]
    came: tuple[np.ndarray | None, ...]


class ImaginationOutlet:
    """Keeps frames and plans while somebody listens; nothing here makes a plan wait."""

    def __init__(self, node: Any, complain: Callable[[str, str], None]) -> None:
        self._publisher = node.create_lifecycle_publisher(Image, 'imagination', qos.COMMAND)
        self._complain = complain
        self._film: Film | None = None
        self._worker: Worker[Job] | None = None
        self._warned = False
        self.frame_id = 'base_link'
        self._frames: deque[tuple[float, np.ndarray]] = deque(maxlen=KEPT_FRAMES)
        self._plans: deque[Plan] = deque(maxlen=KEPT_PLANS)
        self._due_s = -float('inf')

    def begin(self, film: Film | None, frame_id: str) -> None:
        """Draw with this from now on; None: the model has no decoder."""
        self.end()
        self._film, self.frame_id, self._warned = film, frame_id, False

    def end(self) -> None:
        """Forget all, and end the thread."""
        self._forget()
        if self._worker is not None:
            self._worker.stop(STOP_TIMEOUT_S)
            self._worker = None

    def saw(self, observation: Observation) -> None:
        """Take a frame that came; called by the planner's thread."""
        if self._film is None or not self._publisher.get_subscription_count():
            return
        if self._frames and observation.stamp <= self._frames[-1][0]:
            self._forget()  # the clock went back
        self._frames.append((observation.stamp, observation.image))

    def planned(self, plan: Plan) -> None:
        """Take a plan whose command is out; hand a strip to the drawing thread if one is due."""
        if not self._publisher.get_subscription_count():
            self._forget()
            return
        if self._film is None:
            if not self._warned:
                self._warned = True
                self._complain('imagination', 'imagination: the model has no decoder to draw '
                               'with; add one with `wm train DATA -o OUT --decoder-of BUNDLE`')
            return
        if plan.imagined is not None:
            self._plans.append(plan)
        job = self._ripe(self._film.period_s)
        if job is None:
            return
        if self._worker is None:
            self._worker = Worker(self._draw, self._failed, name='imagination')
        if self._worker.idle:
            self._due_s = self._frames[-1][0] + STRIP_PERIOD_S
            self._worker.offer(job)

    def _forget(self) -> None:
        self._frames.clear()
        self._plans.clear()
        self._due_s = -float('inf')

    def _ripe(self, period_s: float) -> Job | None:
        """Return the newest plan whose whole future has come, and drop the older ones."""
        if not self._frames or self._frames[-1][0] < self._due_s:
            return None
        found = None
        while self._plans:
            plan = self._plans[0]
            assert plan.imagined is not None
            if plan.stamp + len(plan.imagined.actions) * period_s > self._frames[-1][0] + 1e-6:
                break
            found = self._plans.popleft()
        if found is None or found.imagined is None:
            return None
        seen = self._at(found.stamp, period_s)
        if seen is None:
            return None
        steps = shown_steps(len(found.imagined.actions))
        return Job(found, seen, steps, tuple(
            self._at(found.stamp + step * period_s, period_s) for step in steps))

    def _at(self, stamp: float, period_s: float) -> np.ndarray | None:
        """Return the frame nearest to a stamp, None where it is half a step away."""
        when, image = min(self._frames, key=lambda frame: abs(frame[0] - stamp))
        return image if abs(when - stamp) <= period_s / 2 else None

    def _draw(self, job: Job) -> None:
        _give_way()
        film = self._film
        if film is None or job.plan.imagined is None:
            return
        strip = draw_strip(film(job.plan.imagined, job.seen, job.steps), job.came, job.steps,
                           film.period_s)
        stamp = job.plan.stamp + job.steps[-1] * film.period_s
        self._publisher.publish(to_image(strip, stamp, self.frame_id))

    def _failed(self, error: Exception) -> None:
        self._complain('imagination', f'imagination: {type(error).__name__}: {error}')


def draw_strip(imagined: np.ndarray, came: Sequence[np.ndarray | None], steps: Sequence[int],
               period_s: float) -> np.ndarray:
    """Two titled rows of pictures (N, H, W, 3) -> (2 (H + TITLE), N W, 3) uint8 RGB."""
    count, height, width = imagined.shape[:3]
    strip = np.zeros((2 * (height + TITLE), count * width, 3), np.uint8)
    lower = height + TITLE
    for index, (picture, frame, step) in enumerate(zip(imagined, came, steps)):
        left = index * width
        strip[TITLE:TITLE + height, left:left + width] = picture
        if frame is not None:
            strip[lower + TITLE:lower + TITLE + height, left:left + width] = fit(
                np.ascontiguousarray(frame), (width, height))
        after = f'{step * period_s:.1f} s'
        for top, name in ((0, 'imagined'), (lower, 'came')):
            cv2.putText(strip, f'{name} {after}' if index == 0 else after, (left + 3, top + 11),
                        FONT, 0.8, WHITE, 1, cv2.LINE_AA)
    return strip


def _give_way() -> None:
    """Let every other thread of this process go first (Linux: threads have a niceness)."""
    if sys.platform == 'linux' and os.getpriority(os.PRIO_PROCESS, 0) < NICENESS:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
