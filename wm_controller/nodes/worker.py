# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""A worker thread with a mailbox of one: the newest job wins, nothing queues up."""

from __future__ import annotations

from collections.abc import Callable
import threading
from typing import Generic, TypeVar

Job = TypeVar('Job')


class Worker(Generic[Job]):
    """
    Runs `work(job)` in its own thread, one job at a time.

    `on_error` hears every exception of `work`; the thread goes on with the next job.
    """

    def __init__(self, work: Callable[[Job], None], on_error: Callable[[Exception], None],
                 name: str = 'worker') -> None:
        self._work = work
        self._on_error = on_error
        self._condition = threading.Condition()
        self._mail: list[Job] = []
        self._busy = False
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def idle(self) -> bool:
        """Whether no job runs and none waits."""
        with self._condition:
            return not self._busy and not self._mail

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called: a job's results are no longer wanted."""
        return self._stopping

    def offer(self, job: Job) -> bool:
        """Put a job into the mailbox; true if an older one was thrown away for it."""
        with self._condition:
            replaced = bool(self._mail)
            self._mail = [job]
            self._condition.notify_all()
            return replaced

    def nudge(self, job: Job) -> None:
        """Put a job into the mailbox if it is empty: whichever job comes next will do."""
        with self._condition:
            if not self._mail:
                self._mail = [job]
                self._condition.notify_all()

    def stop(self, timeout_s: float) -> bool:
        """Finish the running job, start no other; false if it still ran after the time-out."""
        with self._condition:
            self._stopping = True
            self._mail = []
            self._condition.notify_all()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._condition:
                self._busy = False
                self._condition.notify_all()
                self._condition.wait_for(lambda: self._mail or self._stopping)
                if self._stopping:
                    return
                job = self._mail.pop()
                self._busy = True
            try:
                self._work(job)
            except Exception as error:
                self._on_error(error)


class Pacer:
    """
    Picks from a stream of stamps those that make `rate_hz`, on average and never more.

    A camera of that rate is used whole, whatever its jitter; of a 15 Hz camera two frames in
    three make 10 Hz.
    """

    def __init__(self, rate_hz: float, slack: float = 0.3) -> None:
        self._period_s = 1.0 / rate_hz
        self._slack_s = slack * self._period_s
        self._due_s = -float('inf')

    def take(self, stamp_s: float) -> bool:
        """Whether the frame with this stamp is one to use."""
        if stamp_s < self._due_s - self._slack_s:
            return False
        # a late frame keeps the grid; after a pause the debt is forgotten, and no burst follows
        self._due_s = max(self._due_s, stamp_s - 0.5 * self._period_s) + self._period_s
        return True

    def skip(self) -> None:
        """Let one frame fewer through: its turn was taken without it."""
        self._due_s += self._period_s

    def reset(self) -> None:
        """Forget the past, after a jump of the clock."""
        self._due_s = -float('inf')
