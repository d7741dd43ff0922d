# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Data sets of other programs become ours: which of their numbers are speeds, at which rate."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
import json
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from wm_controller.data import schema
from wm_controller.data.dataset import DatasetWriter
from wm_controller.data.writer import check_output
from wm_controller.errors import InputError
from wm_controller.safety.geometry import relative

Rows = dict[str, NDArray[Any]]
OURS = tuple(column.name for column in schema.STEP_COLUMNS)
SPEEDS = ('linear_velocity', 'angular_velocity')
"""What we call the two numbers of `action` where other programs can read names."""


class Source(Protocol):
    """A data set of another program, read an episode at a time."""

    path: Path
    rate_hz: float
    names: Mapping[str, Sequence[str]]
    """Names of the components of each column of numbers, or their positions as text."""
    ours: bool
    """Whether `wm convert` wrote it: its columns then are ours already, by name."""
    bearings: NDArray[np.float64]
    attributes: Mapping[str, Any]
    n_steps: int

    def episodes(self, stride: int, size: tuple[int, int] | None) -> Iterator[tuple[Rows, Rows]]:
        """Yield (columns of T rows, values of the episode).

        `pixels` has every `stride`-th frame only, fitted to `size`; other columns have every row.
        """


@dataclass(frozen=True)
class Selection:
    """What to take of a foreign data set; every field is an option of `wm convert`."""

    rate_hz: float | None = None
    """Steps per second of ours; None: as the source has it."""
    image_size: tuple[int, int] | None = schema.IMAGE_SIZE
    """(width, height) px; None: as the source has them."""
    action: tuple[str, str] | None = None
    """The two numbers that are v and w, as COLUMN/NAME or NAME; None: by their names."""
    action_scale: tuple[float, float] = (1.0, 1.0)
    """To m/s and rad/s."""
    no_action: bool = False
    pose: tuple[str, str, str] | None = None
    """The three numbers that are x m, y m, yaw rad; None: there are none."""
    min_steps: int = 10


def convert(source: Source, output: Path, wanted: Selection, *, command: str = '',
            progress: Any = None) -> dict[str, Any]:
    """Write `source` as one of our data sets; returns the report. Raises InputError."""
    check_output(output)
    stride = _stride(source, wanted.rate_hz)
    pick = _Pick(source, wanted, stride)
    rate_hz = source.rate_hz / stride
    dropped = 0
    with DatasetWriter(output, rate_hz, bearings=source.bearings, command=command,
                       sources=[{'path': str(source.path)}],
                       attributes=source.attributes) as writer:
        for columns, once in source.episodes(stride, wanted.image_size):
            if progress is not None:
                progress(len(columns['stamp']))
            if len(columns['pixels']) < wanted.min_steps:
                dropped += 1
                continue
            rows = pick.rows(columns)
            extras = {name: rows.pop(name) for name in list(rows) if name not in OURS}
            try:
                writer.append_episode(**rows, extras=extras, episode_extras=once)
            except ValueError as error:
                raise InputError(f'{source.path}: episode {writer.n_episodes + dropped}: {error}'
                                 ) from error
        if not writer.n_episodes:
            raise InputError(f'{source.path}: none of its {dropped} episodes has '
                             f'{wanted.min_steps} steps at {rate_hz:g} Hz; see --min-steps')
        digest = writer.digest()
    return {'output': str(output), 'source': str(source.path), 'rate_hz': rate_hz,
            'stride': stride, 'episodes': writer.n_episodes, 'steps': writer.n_steps,
            'dropped_episodes': dropped, 'digest': digest, **pick.chosen}


def _stride(source: Source, rate_hz: float | None) -> int:
    if rate_hz is None:
        return 1
    stride = round(source.rate_hz / rate_hz) if rate_hz > 0 else 0
    if stride < 1 or abs(source.rate_hz / stride - rate_hz) > 1e-6 * rate_hz:
        fitting = ', '.join(f'{source.rate_hz / n:g}' for n in range(1, 9))
        raise InputError(f'{source.path}: has {source.rate_hz:g} steps a second, of which --rate '
                         f'{rate_hz:g} is no whole share; choose one of {fitting}')
    return stride


class _Pick:
    """Makes our columns of theirs."""

    def __init__(self, source: Source, wanted: Selection, stride: int) -> None:
        self._stride, self._step_s = stride, stride / source.rate_hz
        self._scale, self._ours = np.asarray(wanted.action_scale), source.ours
        self._action = None if wanted.no_action else [
            _component(source, text, 'action', '--action')
            for text in wanted.action or _speeds(source)]
        self._pose = None if wanted.pose is None else [
            _component(source, text, 'observation.state', '--pose') for text in wanted.pose]
        self.chosen = {
            'action': None if self._action is None else [f'{c}/{i}' for c, i in self._action],
            'pose': None if self._pose is None else [f'{c}/{i}' for c, i in self._pose]}

    def rows(self, columns: Rows) -> dict[str, Any]:
        """Columns of our schema, one row a step of ours; None for no action."""
        rows: dict[str, Any] = {'pixels': columns['pixels'], 'action': None,
                                'stamp': columns['stamp'][::self._stride]}
        if self._action is not None:
            rows['action'] = self._held(self._scale * _stack(columns, self._action))
        if self._ours:
            for name in set(columns) - {'pixels', 'stamp', 'action'}:
                rows[name] = columns[name][::self._stride]
            if self._stride > 1 and 'proprio' in rows:
                rows['proprio'] = self._moved(rows.get('pose'), rows['proprio'][:, 3:])
        elif self._pose is not None:
            rows['pose'] = _stack(columns, self._pose)[::self._stride]
            rows['proprio'] = self._moved(rows['pose'], None)
        return rows

    def _held(self, action: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mean of the commands between two steps of ours: what was held over the step."""
        n = -(-len(action) // self._stride) * self._stride
        padded = np.concatenate([action, np.repeat(action[-1:], n - len(action), axis=0)])
        return np.asarray(padded.reshape(-1, self._stride, 2).mean(axis=1))

    def _moved(self, pose: NDArray[Any] | None, twist: NDArray[Any] | None) -> NDArray[Any]:
        """(T, 5) proprio of poses (T, 3); the twist from the way made where none was measured."""
        n = len(pose) if pose is not None else len(twist)  # type: ignore[arg-type]
        made = np.full((n, 5), np.nan, dtype=np.float32)
        if pose is not None:
            made[0, :3] = 0.0
            made[1:, :3] = relative(pose[:-1], pose[1:])
        if twist is not None:
            made[:, 3:] = twist
        elif n > 1:
            made[1:, 3:] = made[1:, (0, 2)] / self._step_s
            made[0, 3:] = made[1, 3:]
        return made


def _stack(columns: Rows, where: Sequence[tuple[str, int]]) -> NDArray[np.float64]:
    return np.stack([np.asarray(columns[name], dtype=np.float64).reshape(
        len(columns[name]), -1)[:, i] for name, i in where], axis=-1)


def _speeds(source: Source) -> tuple[str, str]:
    """Our own names; every other pair may have other units, so it must be named."""
    if 'action' not in source.names:
        raise InputError(
            f'{source.path}: has no column action; name v and w with --action COLUMN/NAME '
            f'COLUMN/NAME, or take none with --no-action. {_known(source)}')
    if tuple(source.names['action']) != SPEEDS:
        raise InputError(
            f'{source.path}: which numbers of action are v (m/s) and w (rad/s)? Name them with '
            f'--action V W, and --action-scale where units differ, or take none with --no-action. '
            f'{_known(source)}')
    return SPEEDS


def _component(source: Source, text: str, column: str, option: str) -> tuple[str, int]:
    """(column, position) of `COLUMN/NAME`, `NAME` or a position."""
    if '/' in text:
        column, _, text = text.rpartition('/')
    names = list(source.names.get(column, ()))
    if text in names:
        return column, names.index(text)
    if text.isdigit() and int(text) < len(names):
        return column, int(text)
    raise InputError(f'{source.path}: {option}: no {text!r} in column {column!r}. '
                     f'{_known(source)}')


def _known(source: Source) -> str:
    return 'It has ' + '; '.join(f'{column}: {", ".join(names)}'
                                 for column, names in sorted(source.names.items()))


def json_attributes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes of one of our files as JSON can hold them, without what the file makes anew."""
    made = ('schema', 'rate_hz', 'clearance_bearings', 'sources', 'command', 'digest',
            'image_size')
    kept = {}
    for name, value in attributes.items():
        if name not in made:
            kept[name] = value.tolist() if hasattr(value, 'tolist') else value
    return json.loads(json.dumps(kept))  # type: ignore[no-any-return]
