# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Bags of drives -> what a field report is made of. What a bag lacks stays unknown, never zero."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
import json
from pathlib import Path
from typing import Any

import numpy as np

from wm_controller.data.bags import Bag, BAG_SUFFIXES, Message
from wm_controller.data.images import decode, UnreadableImage
from wm_controller.data.survey import odometry_row
from wm_controller.data.topics import (
    choose_one,
    COMMAND_TYPES,
    IMAGE_TYPES,
    list_topics,
    ODOMETRY_TYPES,
    SCAN_TYPES,
)
from wm_controller.data.tracks import make_odometry, Odometry, twist_from_poses
from wm_controller.errors import InputError
from wm_controller.evaluation.encoded import jpeg
from wm_controller.safety.modes import ENDING
from wm_controller.teleop.interventions import Event, FILE, kind_of, Status

STATUS_TYPE = 'diagnostic_msgs/msg/DiagnosticStatus'
GUARDRAIL = 'guardrail/status'
# What is read of our own graph, by name below the namespace.
OWN = {
    'guardrail': (GUARDRAIL, (STATUS_TYPE,)),
    'controller': ('controller/status', (STATUS_TYPE,)),
    'auto': ('cmd_vel_auto', COMMAND_TYPES),
    'teleop': ('cmd_vel_teleop', COMMAND_TYPES),
    'surprise': ('surprise', ('std_msgs/msg/Float32',)),
    'stop': ('emergency_stop', ('std_msgs/msg/Bool',)),
}
CLOCKS_DIFFER_S = 1.0  # between stamps and receipt: another clock, not transport
PICTURE_PX = 320
PICTURE_AGE_S = 2.0  # an older image does not show the moment
STATUS_HOLDS_S = 2.5  # the guardrail says it every second: silence for longer is silence


@dataclass(frozen=True)
class Named:
    """Topics named by the user; None: find them."""

    namespace: str | None = None
    odometry: str | None = None
    image: str | None = None


@dataclass(frozen=True)
class FieldEvent:
    """An intervention, and what the camera saw then (JPEG)."""

    event: Event
    picture: bytes | None


@dataclass
class Drive:
    """
    One bag. Times are those of receipt, s; odometry's stamps are brought to that clock.

    `excerpt`: it holds the seconds around interventions only. `topics` is role -> topic.
    """

    path: Path
    begin_s: float = np.inf
    end_s: float = -np.inf
    excerpt: bool = False
    topics: dict[str, str] = field(default_factory=dict)
    receipts: dict[str, list[float]] = field(default_factory=dict)
    statuses: list[tuple[float, Status]] = field(default_factory=list)
    odometry: Odometry | None = None
    surprise: list[tuple[float, float]] = field(default_factory=list)
    latencies_s: list[float] = field(default_factory=list)
    goals: list[tuple[float, str, str]] = field(default_factory=list)  # time, state, goal
    events: list[FieldEvent] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def duration_s(self) -> float:
        """From the first message to the last."""
        return max(0.0, self.end_s - self.begin_s)

    def intervals(self) -> Iterator[tuple[float, float, Status]]:
        """Spans of time with what the guardrail said; where it fell silent, nothing is known."""
        ends = [*(at for at, _ in self.statuses[1:]), self.end_s]
        for (begin, status), end in zip(self.statuses, ends):
            end = min(end, begin + STATUS_HOLDS_S)
            if end > begin:
                yield begin, end, status

    def mode_at(self, times: np.ndarray) -> np.ndarray:
        """Modes (N,) at times (N,), an empty string where none is known."""
        found = np.full(len(times), '', dtype='U8')
        for begin, end, status in self.intervals():
            first, last = np.searchsorted(times, [begin, end])
            found[first:last] = status.mode
        return found


def find_bags(paths: Sequence[Path]) -> list[Path]:
    """Name the bags among these files and folders, and in folders of bags."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir() and not _is_bag(path):
            inside = [p for p in sorted(path.iterdir())
                      if not p.name.startswith('.') and _is_bag(p)]
            if not inside:
                raise InputError(f'{path}: neither a bag nor a folder of bags')
            found += inside
        else:
            found.append(path)
    return list(dict.fromkeys(found))


def _is_bag(path: Path) -> bool:
    if path.is_file():
        return path.name.removesuffix('.zstd').removesuffix('.zst').endswith(BAG_SUFFIXES)
    return path.is_dir() and ((path / 'metadata.yaml').is_file() or any(
        child.is_file() and child.suffix in BAG_SUFFIXES for child in path.iterdir()))


def read_drive(path: Path, named: Named | None = None,
               advance: Callable[..., Any] = lambda *_, **__: None) -> Drive:
    """Read one bag once; raises InputError. `advance` moves a progress bar."""
    drive = Drive(path, excerpt=_is_excerpt(path))
    with Bag(path) as bag:
        if bag.missing_metadata:
            drive.notes.append('the folder has no metadata.yaml: its files were read as they are')
        drive.topics = _topics(bag, named or Named())
        reader = _Reader(drive)
        counts = bag.counts()
        advance(0, total=sum(counts.get(topic, 0) for topic in drive.topics.values()))
        roles = {topic: role for role, topic in drive.topics.items()}
        for topic, message in bag.messages(list(roles)):
            reader.take(roles[topic], message)
            advance(1)
    reader.finish()
    return drive


def order(drives: Sequence[Drive]) -> tuple[list[Drive], list[str]]:
    """Sort by time, and leave out excerpts of drives that are there whole: (drives, notes)."""
    whole = [drive for drive in drives if not drive.excerpt]
    kept, notes = [], []
    for drive in sorted(drives, key=lambda each: each.begin_s):
        around = _around(drive, whole)
        if around is not None:
            notes.append(f'{drive.path.name} is part of {around.path.name}: not counted again')
            continue
        kept.append(drive)
    for one, other in zip(kept, kept[1:]):
        if other.begin_s < one.end_s - CLOCKS_DIFFER_S:
            raise InputError(f'{one.path} and {other.path} overlap in time: a copy, or two '
                             'robots; report them one at a time')
    return kept, notes


def _around(drive: Drive, whole: Sequence[Drive]) -> Drive | None:
    if not drive.excerpt:
        return None
    middle = 0.5 * (drive.begin_s + drive.end_s)
    return next((other for other in whole if other.begin_s <= middle <= other.end_s), None)


def _is_excerpt(path: Path) -> bool:
    notes = path / FILE
    if not path.is_dir() or not notes.is_file():
        return False
    try:
        return isinstance(json.loads(notes.read_text(encoding='utf-8')), dict)
    except ValueError:
        raise InputError(f'{notes}: is not JSON; it tells that the bag is an excerpt, restore or '
                         'delete it') from None


def _topics(bag: Bag, named: Named) -> dict[str, str]:
    """Role -> topic, of what is there."""
    topics, path = bag.topics, bag.path
    prefix = _prefix(topics, named.namespace, path)
    found = {role: f'{prefix}{name}' for role, (name, kinds) in OWN.items()
             if topics.get(f'{prefix}{name}') in kinds}
    below = {name: kind for name, kind in topics.items() if name.startswith(prefix)}
    choices: Mapping[str, tuple[str | None, tuple[str, ...], str, tuple[str, ...]]] = {
        'odometry': (named.odometry, ODOMETRY_TYPES, '--odom-topic', ('odom',)),
        'image': (named.image, IMAGE_TYPES, '--image-topic', ('image_raw', 'image')),
        'scan': (None, SCAN_TYPES, '--namespace', ('scan',)),
    }
    for role, (name, kinds, option, usual) in choices.items():
        topic = choose_one(topics if name else below, name, kinds, option, usual, path)
        if topic:
            found[role] = topic
    if below.get(f'{prefix}cmd_vel') in COMMAND_TYPES:
        found['cmd_vel'] = f'{prefix}cmd_vel'
    if not {'guardrail', 'odometry'} & set(found):
        raise InputError(f'{path}: neither {GUARDRAIL} nor odometry, so nothing tells how the '
                         f'robot drove; found {list_topics(topics)}')
    return found


def _prefix(topics: Mapping[str, str], namespace: str | None, path: Path) -> str:
    """`/robot1/`: what stands before the names of one robot's topics."""
    if namespace is not None:
        prefix = f'/{namespace.strip("/")}/'.replace('//', '/')
        if not any(name.startswith(prefix) for name in topics):
            raise InputError(f'{path}: no topic in --namespace {namespace}; found '
                             f'{list_topics(topics)}')
        return prefix
    robots = [name.removesuffix(GUARDRAIL) for name, kind in topics.items()
              if kind == STATUS_TYPE and name.endswith(f'/{GUARDRAIL}')]
    if len(robots) > 1:
        raise InputError(f'{path}: several robots: {", ".join(sorted(robots))}; choose one with '
                         '--namespace')
    return robots[0] if robots else '/'


class _Reader:
    """Takes the messages of one bag in the order of receipt."""

    def __init__(self, drive: Drive) -> None:
        self._drive = drive
        self._rows: list[list[float]] = []
        self._stamps: list[float | None] = []
        self._receipts: list[float] = []
        self._image: tuple[float, Any] | None = None
        self._pose: tuple[float, float, float] | None = None

    def take(self, role: str, message: Message) -> None:
        drive, at = self._drive, message.receipt_s
        drive.begin_s, drive.end_s = min(drive.begin_s, at), max(drive.end_s, at)
        drive.receipts.setdefault(role, []).append(at)
        handler = getattr(self, f'_on_{role}', None)
        if handler is not None:
            handler(at, message)

    def _on_guardrail(self, at: float, message: Message) -> None:
        status = Status.of(message.content)
        if status is None:
            return
        drive = self._drive
        before = drive.statuses[-1][1].mode if drive.statuses else None
        drive.statuses.append((at, status))
        kind = kind_of(before, status.mode, status.because)
        if kind is not None:
            event = Event(kind, at, before or '', status.mode, status.why, self._pose)
            drive.events.append(FieldEvent(event, self._picture(at)))

    def _on_controller(self, at: float, message: Message) -> None:
        values = {pair.key: pair.value for pair in message.content.values}
        if values.get('state'):
            self._drive.goals.append((at, values['state'], values.get('goal', 'none')))

    def _on_auto(self, at: float, message: Message) -> None:
        if message.stamp_s is not None:  # the stamp of the image that it was planned from
            self._drive.latencies_s.append(at - message.stamp_s)

    def _on_surprise(self, at: float, message: Message) -> None:
        self._drive.surprise.append((at, float(message.content.data)))

    def _on_image(self, at: float, message: Message) -> None:
        self._image = at, message.content

    def _on_odometry(self, at: float, message: Message) -> None:
        row = odometry_row(message.content)
        if not np.isfinite(row).all():
            return
        self._rows.append(row)
        self._stamps.append(message.stamp_s)
        self._receipts.append(at)
        self._pose = row[0], row[1], row[2]

    def _picture(self, at: float) -> bytes | None:
        if self._image is None or at - self._image[0] > PICTURE_AGE_S:
            return None
        try:
            return jpeg(decode(self._image[1]), PICTURE_PX)
        except UnreadableImage:
            return None

    def finish(self) -> None:
        drive = self._drive
        for at, status in drive.statuses:
            if status.because == ENDING:
                drive.notes.append(
                    f'the guardrail ended {at - drive.begin_s:.1f} s into the bag; the stop that '
                    'is its last word is no intervention')
                break
        if not self._rows:
            return
        receipt = stamp = np.asarray(self._receipts)
        rows = np.asarray(self._rows)
        if None not in self._stamps:
            stamp = np.asarray(self._stamps, float)
            offset = float(np.median(receipt - stamp))
            stamp = stamp + (offset if abs(offset) > CLOCKS_DIFFER_S else 0.0)
        else:
            drive.notes.append('odometry without stamps: placed by its time of receipt')
        made = make_odometry(stamp, rows[:, :3], rows[:, 3:])
        if made is not None and not made.twist.any() and np.ptp(made.pose, axis=0).max() > 0.05:
            drive.notes.append('the odometry has no twist: derived from its poses')
            made = Odometry(made.stamp, made.pose, twist_from_poses(made.stamp, made.pose))
        drive.odometry = made
