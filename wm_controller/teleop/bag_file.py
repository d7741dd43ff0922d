# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""A rosbag2 bag (mcap) that is there whole or not at all, and the ring of what came before it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from itertools import chain, count
import json
import os
from pathlib import Path
import shutil
from typing import Any

from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.rosbag2.errors import WriterError
from rosbags.typesys import get_typestore, Stores

from wm_controller.teleop.interventions import FILE

STORE = get_typestore(Stores.ROS2_HUMBLE)
"""Definitions of the messages recorded, which are the same in all distributions."""
PARTIAL = '.partial'


@dataclass(frozen=True)
class Raw:
    """One message as it went over the wire: topic, receipt in ROS ns, CDR bytes."""

    topic: str
    time_ns: int
    data: bytes


class Ring:
    """The newest messages: so many seconds, and never more bytes than allowed."""

    def __init__(self, seconds: float, most_bytes: int) -> None:
        self._seconds, self._most_bytes = seconds, most_bytes
        self._held: deque[tuple[float, Raw]] = deque()
        self.bytes = 0
        self.cut = False
        """Whether the bytes allowed were too few for the seconds asked for."""

    def add(self, message: Raw, now: float) -> None:
        """Take a message that came now (steady s), and forget what is too old or too much."""
        self._held.append((now, message))
        self.bytes += len(message.data)
        while self._held and (self._held[0][0] < now - self._seconds
                              or self.bytes > self._most_bytes):
            at, oldest = self._held.popleft()
            self.bytes -= len(oldest.data)
            self.cut = self.cut or at >= now - self._seconds

    def __iter__(self) -> Iterator[Raw]:
        return (message for _, message in self._held)


class BagFile:
    """A bag that is being written in a hidden folder, and gets its name when it is complete."""

    def __init__(self, folder: Path, kind: str, types: Mapping[str, str]) -> None:
        """Begin `folder/<UTC>-<kind>` with topics of these types; raises OSError."""
        folder.mkdir(parents=True, exist_ok=True)
        self._types = types
        self._name = _free_name(folder, kind)
        self._folder = folder
        self._partial = folder / f'{PARTIAL}-{os.getpid()}-{self._name}'
        self._writer = Writer(self._partial / self._name, version=8,
                              storage_plugin=StoragePlugin.MCAP)
        self._connections: dict[str, Any] = {}
        self.bytes = self.messages = 0
        try:
            self._writer.open()
        except (OSError, WriterError) as error:
            self.abandon()
            raise _as_os_error(error) from error

    def write(self, message: Raw) -> None:
        """Append one message; raises OSError."""
        connection = self._connections.get(message.topic)
        if connection is None:
            connection = self._connections[message.topic] = self._writer.add_connection(
                message.topic, self._types[message.topic], typestore=STORE)
        self._writer.write(connection, message.time_ns, message.data)
        self.bytes += len(message.data)
        self.messages += 1

    def close(self, notes: Mapping[str, Any] | None = None) -> Path | None:
        """
        Complete the bag, with notes beside it, and return where it is; raises OSError.

        A bag without a message is dropped: None.
        """
        if not self.messages:
            self.abandon()
            return None
        try:
            self._writer.close()
            if notes is not None:
                text = json.dumps(notes, indent=2, allow_nan=False) + '\n'
                (self._writer.path / FILE).write_text(text, encoding='utf-8')
            path = self._folder / self._name
            os.replace(self._writer.path, path)
            self._partial.rmdir()
            return path
        except OSError:
            self.abandon()
            raise

    def abandon(self) -> None:
        """Leave nothing of it, which also gives back the space."""
        with suppress(Exception):
            self._writer.abort()
        shutil.rmtree(self._partial, ignore_errors=True)


def leftovers(folder: Path) -> list[Path]:
    """What recorders that were killed have left, for `mcap recover`."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.glob(f'{PARTIAL}-*')
                  if not _alive(path.name.split('-')[1]))


def _alive(pid: str) -> bool:
    return pid.isdigit() and Path(f'/proc/{pid}').exists()


def _free_name(folder: Path, kind: str) -> str:
    """The time and the kind; a second one within the second gets a number."""
    first = f'{datetime.now(timezone.utc):%Y%m%dT%H%M%SZ}-{kind}'
    taken = {path.name.removeprefix(f'{PARTIAL}-{os.getpid()}-') for path in folder.iterdir()}
    names = chain([first], (f'{first}-{number}' for number in count(2)))
    return next(name for name in names if name not in taken)


def _as_os_error(error: Exception) -> OSError:
    return error if isinstance(error, OSError) else OSError(str(error))
