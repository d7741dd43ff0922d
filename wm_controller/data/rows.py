# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""All rows of several data sets behind one another, made quick to read at random."""

from collections.abc import Callable, Iterator, Mapping, Sequence
import copy
from dataclasses import dataclass
import os
from pathlib import Path
import shutil
import tempfile
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from wm_controller.data.dataset import Dataset

Pixels = NDArray[np.uint8]
LOAD_ROWS = 2048
SPARE_BYTES = 1 << 30
"""Left free on a disk that takes unpacked frames."""


@dataclass(frozen=True)
class HostCrew:
    """Processes of one host that read the same data sets; all make their `Rows` at once.

    `run` is a number that they have in common; `meet()` returns when all have called it.
    """

    rank: int = 0
    count: int = 1
    run: int = 0
    meet: Callable[[], Any] = lambda: None


ALONE = HostCrew()


class Rows:
    """Columns in memory; pixels in memory too where they fit, else unpacked in a temporary file.

    The file has no name and goes with the process. Reading a window of 16 frames from it takes a
    hundredth of the time that unpacking them from HDF5 takes, and the frames are no memory of
    the process. Several processes share one such file: each unpacks its share of the frames, and
    all have them once, in the system's cache. Without room for it on any disk they are unpacked
    from HDF5 for each batch.
    """

    def __init__(self, datasets: Sequence[Dataset], max_memory_gb: float,
                 columns: Sequence[str], progress: Callable[[float], Any] | None = None,
                 crew: HostCrew = ALONE) -> None:
        self.datasets = list(datasets)
        self.first = np.cumsum([0] + [d.n_steps for d in self.datasets])
        self.columns = {name: np.concatenate([d.column(name) for d in self.datasets])
                        for name in columns}
        self.bearings = self.datasets[0].bearings
        width, height = self.datasets[0].image_size
        self._frame = (height, width, 3)
        self._memory: Pixels | None = None
        self._file: BinaryIO | None = None
        n_steps = int(self.first[-1])
        size = n_steps * self._frame_bytes
        if crew.count > 1:
            self._file = self._unpack_together(size, crew)
        elif size <= max_memory_gb * 1e9:
            self._memory = np.empty((n_steps, *self._frame), dtype=np.uint8)
            for row, block in self._unpack(progress):
                self._memory[row:row + len(block)] = block
        else:
            self._file = self._unpack_to_disk(size, progress)

    def with_columns(self, columns: Mapping[str, NDArray[Any]]) -> 'Rows':
        """Return the same rows with these columns (N, ...) instead; the frames are shared."""
        other = copy.copy(self)
        other.columns = {**self.columns, **columns}
        return other

    @property
    def in_memory(self) -> bool:
        return self._memory is not None

    @property
    def unpacked(self) -> bool:
        """Whether reading needs no HDF5 any more."""
        return self._memory is not None or self._file is not None

    def read_pixels(self, starts: NDArray[np.int64], length: int) -> Pixels:
        """(B, L, H, W, 3) for windows that begin at the given rows."""
        if self._memory is not None:
            return self._memory[starts[:, None] + np.arange(length)]
        out = np.empty((starts.size, length, *self._frame), dtype=np.uint8)
        if self._file is not None:
            for window, start in zip(out, starts):
                os.preadv(self._file.fileno(), [window.data.cast('B')],
                          int(start) * self._frame_bytes)
            return out
        owner = np.searchsorted(self.first, starts, side='right') - 1
        for i in np.argsort(starts, kind='stable'):  # neighbours share a chunk of the file
            row = int(starts[i] - self.first[owner[i]])
            out[i] = self.datasets[owner[i]].pixels[row:row + length]
        return out

    @property
    def _frame_bytes(self) -> int:
        return int(np.prod(self._frame))

    def _unpack(self, progress: Callable[[float], Any] | None, crew: HostCrew = ALONE
                ) -> Iterator[tuple[int, Pixels]]:
        """Read frames block by block, with the row of each block; a crew's share of the blocks."""
        number = 0
        for data, first in zip(self.datasets, self.first):
            for start in range(0, data.n_steps, LOAD_ROWS):
                number += 1
                if number % crew.count != crew.rank:
                    continue
                block = data.pixels[start:start + LOAD_ROWS]
                yield int(first) + start, block
                if progress is not None:
                    progress(len(block))

    def _unpack_together(self, size: int, crew: HostCrew) -> BinaryIO | None:
        names = [folder / f'.{self.datasets[0].path.stem}.{crew.run}.frames'
                 for folder in self._folders()]
        if crew.rank == 0:
            _reserve(names, size)
        crew.meet()
        file: Any = next((open(name, 'r+b', buffering=0)  # noqa: SIM115
                          for name in names if name.exists()), None)
        crew.meet()
        if crew.rank == 0:  # it is held open, and goes with the last of them
            for name in names:
                name.unlink(missing_ok=True)
        if file is not None:
            for row, block in self._unpack(None, crew):
                _write_all(file, np.ascontiguousarray(block).data.cast('B'),
                           row * self._frame_bytes)
        crew.meet()
        return file  # type: ignore[no-any-return]

    def _folders(self) -> list[Path]:
        # Beside the data rather than in /tmp, which may be memory.
        folders = (self.datasets[0].path.resolve().parent, Path(tempfile.gettempdir()))
        return [each for each in folders if hasattr(os, 'preadv')]

    def _unpack_to_disk(self, size: int, progress: Callable[[float], Any] | None
                        ) -> BinaryIO | None:
        for folder in self._folders():
            if shutil.disk_usage(folder).free < size + SPARE_BYTES:
                continue
            file: Any = None
            try:
                file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115
                for row, block in self._unpack(progress):
                    _write_all(file, np.ascontiguousarray(block).data.cast('B'),
                               row * self._frame_bytes)
                return file  # type: ignore[no-any-return]
            except OSError:  # no permission, or the disk filled up meanwhile
                if file is not None:
                    file.close()
        return None


def _reserve(names: Sequence[Path], size: int) -> None:
    """Make a file of this size at the first of the names where there is room, if anywhere."""
    for name in names:
        if shutil.disk_usage(name.parent).free < size + SPARE_BYTES:
            continue
        try:
            with open(name, 'xb') as file:
                os.posix_fallocate(file.fileno(), 0, size)
            return
        except OSError:
            name.unlink(missing_ok=True)


def _write_all(file: BinaryIO, view: memoryview, at: int) -> None:
    while view:
        done = os.pwrite(file.fileno(), view, at)
        view, at = view[done:], at + done
