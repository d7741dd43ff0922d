# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Windows of consecutive steps inside episodes, over one or several data sets."""

from collections.abc import Callable, Mapping, Sequence
import hashlib
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wm_controller.data.dataset import Dataset
from wm_controller.data.rows import ALONE, HostCrew, Rows
from wm_controller.errors import InputError

BASE_COLUMNS = ('action', 'proprio', 'pose', 'stamp', 'clearance')


class Windows:
    """Every run of `length` steps inside one episode; `batch` gathers them as arrays.

    Window `i` is rows `starts[i] : starts[i] + length` of all data sets behind one another;
    its episode is `episode[i]`, whose rows are `episode_rows[episode[i]]` (first, behind last).
    """

    def __init__(self, datasets: Sequence[Dataset], length: int, *, stride: int = 1,
                 max_memory_gb: float = 8.0, columns: Sequence[str] = BASE_COLUMNS,
                 progress: Callable[[float], Any] | None = None,
                 crew: HostCrew = ALONE) -> None:
        """`stride`: steps between starts of windows; `columns`: what `batch` has beside pixels.

        `progress(n)` is called as n more frames are in memory. Pixels over `max_memory_gb`
        (1e9 bytes) are unpacked into a temporary file, which is read for each batch. A `crew` of
        several processes unpacks together, into one file that all of them read.
        """
        if length < 1 or stride < 1:
            raise ValueError(f'length and stride must be positive, not {length} and {stride}')
        if not datasets:
            raise ValueError('no data set')
        self.length = length
        self.starts, self.episode, self.keys, self.episode_rows = _enumerate(
            datasets, length, stride)
        self._rows = Rows(datasets, max_memory_gb, columns, progress, crew)

    def __len__(self) -> int:
        return int(self.starts.size)

    @property
    def in_memory(self) -> bool:
        return self._rows.in_memory

    @property
    def unpacked(self) -> bool:
        """Whether batches need no HDF5 any more; if not, they are slow."""
        return self._rows.unpacked

    def batch(self, indices: ArrayLike) -> dict[str, NDArray[Any]]:
        """Gather windows: `pixels` (B, L, H, W, 3) uint8 and each column (B, L, ...)."""
        starts = self.starts[np.atleast_1d(np.asarray(indices))]
        rows = starts[:, None] + np.arange(self.length)
        out = {name: values[rows] for name, values in self._rows.columns.items()}
        out['pixels'] = self._rows.read_pixels(starts, self.length)
        return out

    def images(self, rows: ArrayLike) -> NDArray[np.uint8]:
        """(B, H, W, 3) uint8: single frames by row, of the window's episode or any other."""
        return self._rows.read_pixels(np.atleast_1d(np.asarray(rows, dtype=np.int64)), 1)[:, 0]

    @property
    def bearings(self) -> NDArray[np.float64]:
        """Directions (K,) of `clearance`, rad; none where the data have no scans."""
        return self._rows.bearings

    def column(self, name: str) -> NDArray[Any]:
        """All rows of a column over all data sets, for statistics."""
        return self._rows.columns[name]

    def has_column(self, name: str) -> bool:
        return name in self._rows.columns

    def used_rows(self) -> NDArray[np.bool_]:
        """Mark the rows that lie in at least one window."""
        change = np.zeros(int(self._rows.first[-1]) + 1, dtype=np.int64)
        np.add.at(change, self.starts, 1)
        np.add.at(change, self.starts + self.length, -1)
        return np.cumsum(change)[:-1] > 0

    def within(self, rows: NDArray[np.bool_]) -> 'Windows':
        """Only the windows all of whose rows are marked in `rows` (N,); raises InputError."""
        inside = self._inside(rows)
        if not inside.any():
            raise InputError(f'{self._rows.datasets[0].path}: no window of {self.length} steps '
                             'lies within the marked steps: mark more')
        return self._subset(inside)

    def complete(self, name: str) -> NDArray[np.bool_]:
        """Which windows (W,) have no NaN in a column."""
        return self._inside(np.isfinite(self.column(name)).all(-1))

    def _inside(self, rows: NDArray[np.bool_]) -> NDArray[np.bool_]:
        count = np.concatenate([[0], np.cumsum(rows)])
        return np.asarray(count[self.starts + self.length] - count[self.starts] == self.length)

    def with_columns(self, columns: Mapping[str, NDArray[Any]]) -> 'Windows':
        """Return the same windows with these columns (N, ...) instead; the frames are shared."""
        part = self._subset(np.ones(len(self), dtype=bool))
        part._rows = self._rows.with_columns(columns)
        return part

    def split(self, fraction: float = 0.1, seed: int = 0) -> tuple['Windows', 'Windows']:
        """Split into (training, validation), the latter about `fraction` of the windows.

        Whole rooms go to one side where `ep_room` is known, else whole episodes; a single episode
        is cut in time, without shared rows. Depends on content and seed, not on the files' order.
        Both share the rows in memory.
        """
        if not 0 < fraction < 1:
            raise ValueError(f'fraction must be between 0 and 1, not {fraction}')
        groups = sorted({self.keys[e] for e in np.unique(self.episode)},
                        key=lambda key: hashlib.sha256(f'{seed}:{key}'.encode()).digest())
        if len(groups) < 2:
            return self._split_in_time(fraction)
        of_group = {key: i for i, key in enumerate(groups)}
        group = np.array([of_group[self.keys[e]] for e in self.episode])
        count = np.bincount(group, minlength=len(groups))
        # Take whole groups while that brings the share nearer to what was asked for.
        held, target = 0, fraction * len(self)
        while held < len(groups) - 1:
            without, with_next = count[:held].sum(), count[:held + 1].sum()
            if held > 0 and abs(with_next - target) > abs(without - target):
                break
            held += 1
        validation = group < held
        return self._subset(~validation), self._subset(validation)

    def _split_in_time(self, fraction: float) -> tuple['Windows', 'Windows']:
        first, last = int(self.starts.min()), int(self.starts.max()) + self.length
        cut = last - max(int(round((last - first) * fraction)), self.length)
        training, validation = self.starts + self.length <= cut, self.starts >= cut
        if not training.any() or not validation.any():
            raise InputError(
                f'{self._rows.datasets[0].path}: one episode of {last - first} steps is too short '
                f'to hold out windows of {self.length} steps: give more data')
        before, behind = self._subset(training), self._subset(validation)
        before.episode_rows = np.minimum(self.episode_rows, cut)
        behind.episode_rows = np.maximum(self.episode_rows, cut)
        return before, behind

    def _subset(self, mask: NDArray[np.bool_]) -> 'Windows':
        part = object.__new__(Windows)
        part.length, part.keys, part._rows = self.length, self.keys, self._rows
        part.episode_rows = self.episode_rows
        part.starts, part.episode = self.starts[mask], self.episode[mask]
        return part


def _enumerate(datasets: Sequence[Dataset], length: int, stride: int
               ) -> tuple[NDArray[np.int64], NDArray[np.int64], list[str], NDArray[np.int64]]:
    """List the first row and the episode of each window, and a key per episode for splitting."""
    starts, episode, spans = [], [], []
    keys: list[str] = []
    first = longest = 0
    for data in datasets:
        rooms = data.column('ep_room') if 'ep_room' in data.extras else None
        families = data.column('ep_family') if 'ep_family' in data.extras else None
        for e in range(data.n_episodes):
            steps = data.steps(e)
            longest = max(longest, steps.stop - steps.start)
            begin = np.arange(first + steps.start, first + steps.stop - length + 1, stride)
            starts.append(begin)
            episode.append(np.full(begin.size, len(keys)))
            spans.append((first + steps.start, first + steps.stop))
            if rooms is None:
                keys.append(f'{data.digest}/{e}')
            else:
                keys.append(f'room {families[e] if families is not None else ""} {rooms[e]}')
        first += data.n_steps
    found = np.concatenate(starts).astype(np.int64)
    if found.size == 0:
        names = ', '.join(str(d.path) for d in datasets)
        raise InputError(f'{names}: no episode has the {length} steps that a window needs; the '
                         f'longest has {longest}')
    return found, np.concatenate(episode).astype(np.int64), keys, np.array(spans, dtype=np.int64)
