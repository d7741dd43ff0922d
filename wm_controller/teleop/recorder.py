# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Interventions as data: the seconds around each of them as a bag, and the whole drive if wanted.

Time is an argument (steady s); messages come as bytes with their ROS time. A disk that is full or
may not be written ends nothing: it is said once, and tried again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
import shutil
from typing import Any

from wm_controller.teleop.bag_file import BagFile, Raw, Ring
from wm_controller.teleop.interventions import Event

RETRY_S, LONGEST_RETRY_S = 3.0, 60.0
STEADY_S = 10.0
"""Written without a fault for so long, the trouble is over."""
SCHEMA = 'wm_controller/intervention/1'


@dataclass(frozen=True)
class Settings:
    """What to keep, and where; `min_free_bytes` is left on the disk for others."""

    folder: Path
    before_s: float = 10.0
    after_s: float = 10.0
    ring_bytes: int = 64_000_000
    record_all: bool = False
    split_bytes: int = 1_000_000_000
    min_free_bytes: int = 500_000_000


class Recorder:
    """Keeps a ring of messages, and writes bags of it."""

    def __init__(
            self, settings: Settings, types: Mapping[str, str], lasting: frozenset[str],
            say: Callable[[str, str], Any]) -> None:
        """
        `types` by topic; `lasting` topics hold until the next message, so every bag begins with
        their last one. `say(level, line)` takes what people should read: info or error.
        """
        self.settings = settings
        self.trouble = ''
        self.recorded: dict[str, int] = {}
        self.lost = 0
        self.ring = Ring(settings.before_s, settings.ring_bytes)
        self._types, self._lasting, self._say = types, lasting, say
        self._last: dict[str, Raw] = {}
        self._drive: BagFile | None = None
        self._bag: BagFile | None = None
        self._events: list[Event] = []
        self._until = self._retry_at = self._begun_at = -float('inf')
        self._retry_s = RETRY_S

    @property
    def recording(self) -> str:
        """What is being written now, in words."""
        return ' and '.join(
            [*(['the drive'] if self._drive else []),
             *([self._events[0].kind] if self._bag else [])]) or 'nothing'

    def add(self, message: Raw, now: float) -> None:
        """Take one message."""
        if self._drive is not None:
            if not self._write(self._drive, message, now):
                self._drive = None
        elif self.settings.record_all:
            self._drive = self._begin('drive', [message], now)
        if self._bag is not None and not self._write(self._bag, message, now):
            self._bag = None
        if self._drive is not None and self._drive.bytes >= self.settings.split_bytes:
            self._end_drive(now)
        self.ring.add(message, now)
        if message.topic in self._lasting:
            self._last[message.topic] = message

    def on_event(self, event: Event, now: float) -> None:
        """Record the seconds around an event; one while another is recorded extends that."""
        self._events.append(event)
        self._until = now + self.settings.after_s
        if self._bag is None:
            self._begin_bag(now)

    def tick(self, now: float) -> None:
        """End what is over, and try again what could not be done; call it about once a second."""
        if (self._bag or self._drive) and not self._enough_space(now):
            self._end_bag(now)
            self._end_drive(now)
        if (self._bag or self._drive) and now - self._begun_at >= STEADY_S:
            self._recover()
        if not self._events:
            return
        if now >= self._until:
            self._end_bag(now)
        elif self._bag is None:
            self._begin_bag(now)

    def close(self, now: float) -> None:
        """Complete what is open."""
        self._end_bag(now)
        self._end_drive(now)

    def _begin_bag(self, now: float) -> None:
        self._bag = self._begin(self._events[0].kind, list(self.ring), now)

    def _begin(self, kind: str, past: list[Raw], now: float) -> BagFile | None:
        """Begin a bag with what came before, unless the disk is in trouble."""
        if now < self._retry_at or not self._enough_space(now):
            return None
        try:
            bag = BagFile(self.settings.folder, kind, self._types)
        except OSError as error:
            self._fail(error, now)
            return None
        begin_ns = past[0].time_ns if past else None
        held = [Raw(last.topic, begin_ns or last.time_ns, last.data)
                for last in self._last.values() if not past or last not in past]
        for message in (*held, *past):
            if not self._write(bag, message, now):
                return None
        self._begun_at = now
        return bag

    def _recover(self) -> None:
        if self.trouble:
            self._say('info', f'recording again in {self.settings.folder}')
        self.trouble, self._retry_s = '', RETRY_S

    def _write(self, bag: BagFile, message: Raw, now: float) -> bool:
        try:
            bag.write(message)
            return True
        except OSError as error:
            bag.abandon()
            self._fail(error, now)
            return False

    def _end_bag(self, now: float) -> None:
        events, self._events = self._events, []
        bag, self._bag = self._bag, None
        if not events:
            return
        if bag is None or self._finish(bag, self._notes(events), now) is None:
            self.lost += len(events)
            return
        for event in events:
            self.recorded[event.kind] = self.recorded.get(event.kind, 0) + 1

    def _end_drive(self, now: float) -> None:
        bag, self._drive = self._drive, None
        if bag is not None:
            self._finish(bag, None, now)

    def _finish(self, bag: BagFile, notes: Mapping[str, Any] | None, now: float) -> Path | None:
        try:
            path = bag.close(notes)
        except OSError as error:
            self._fail(error, now)
            return None
        if path is not None:
            self._recover()
            self._say('info', f'recorded {path} ({bag.messages} messages, '
                              f'{bag.bytes / 1e6:.1f} MB)')
        return path

    def _notes(self, events: list[Event]) -> dict[str, Any]:
        rows = [{**asdict(event), 'time_utc': _utc(event.time_s)} for event in events]
        return {'schema': SCHEMA, 'before_s': self.settings.before_s,
                'after_s': self.settings.after_s, 'events': rows}

    def _enough_space(self, now: float) -> bool:
        folder = self.settings.folder
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        try:
            free = shutil.disk_usage(folder).free
        except OSError as error:
            self._fail(error, now)
            return False
        if free < self.settings.min_free_bytes:
            self._fail_with(f'only {free / 1e6:.0f} MB are free, min_free_mb keeps '
                            f'{self.settings.min_free_bytes / 1e6:.0f}', now)
            return False
        return True

    def _fail(self, error: OSError, now: float) -> None:
        self._fail_with(error.strerror or str(error), now)

    def _fail_with(self, why: str, now: float) -> None:
        self._retry_at = now + self._retry_s
        self._retry_s = min(2.0 * self._retry_s, LONGEST_RETRY_S)
        if not self.trouble:
            self._say('error', f'cannot record in {self.settings.folder}: {why}; free space or '
                               'set folder; tried again meanwhile')
        self.trouble = why


def _utc(time_s: float) -> str:
    return datetime.fromtimestamp(time_s, timezone.utc).isoformat(timespec='milliseconds')
