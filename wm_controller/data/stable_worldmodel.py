# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Data sets of stable-worldmodel: one HDF5 file of flat columns, ep_len and ep_offset."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from wm_controller.data import schema
from wm_controller.data.dataset import Dataset
from wm_controller.data.foreign import Rows
from wm_controller.data.images import fit
from wm_controller.data.video_frames import LARGEST_PIXELS
from wm_controller.errors import InputError
from wm_controller.files import replacing

try:
    import hdf5plugin  # noqa: F401  its import registers Blosc, which that program packs with
except ImportError:
    hdf5plugin = None

BLOCK = 256


def write_stable_worldmodel(data: Dataset, output: Path, *,
                            progress: Callable[[float], Any] | None = None) -> dict[str, Any]:
    """Write what its `HDF5Dataset` reads: columns of numbers, one row a step.

    It takes every column for one a step, so those of episodes go; so do columns without any
    number. `ep_idx` and `step_idx` are there as its own recorder writes them.
    """
    if output.suffix != '.h5':
        raise InputError(f'{output}: stable-worldmodel finds its files by the ending .h5')
    if output.resolve() == data.path.resolve():
        raise InputError(f'{output}: is the data set that is read; choose another name')
    kept, left_out = ['pixels'], []
    for name in (*(c.name for c in schema.STEP_COLUMNS[1:]), *data.extras):
        if name.startswith('ep_'):
            left_out.append(name)
            continue
        values = data.column(name)
        known = values.dtype.kind in 'biu' or np.isfinite(values).any()
        (kept if known else left_out).append(name)
    with replacing(output) as temporary, h5py.File(
            temporary, 'w', libver=('v110', 'latest')) as file:
        for name in kept:
            column = data.pixels if name == 'pixels' else data.column(name)
            made = file.create_dataset(
                name, shape=column.shape, dtype=column.dtype, compression='gzip',
                compression_opts=1, chunks=(min(64, len(column)), *column.shape[1:]))
            for start in range(0, len(column), BLOCK):
                made[start:start + BLOCK] = column[start:start + BLOCK]
                if name == 'pixels' and progress is not None:
                    progress(min(BLOCK, len(column) - start))
        file['ep_len'], file['ep_offset'] = data.ep_len, data.ep_offset
        file['ep_idx'] = np.repeat(np.arange(data.n_episodes), data.ep_len)
        file['step_idx'] = np.arange(data.n_steps) - np.repeat(data.ep_offset, data.ep_len)
        file.attrs['rate_hz'] = data.rate_hz
        file.attrs['wm_controller_digest'] = data.digest
    return {'output': str(output), 'layout': 'stable-worldmodel HDF5', 'columns': kept,
            'left_out': left_out, 'episodes': data.n_episodes, 'steps': data.n_steps}


class StableWorldModelSource:
    """A `foreign.Source`; `rate_hz` where the file does not say how often it has a step."""

    ours = False

    def __init__(self, path: str | Path, image: str | None = None,
                 rate_hz: float | None = None) -> None:
        self.path = Path(path)
        self.bearings = schema.CLEARANCE_BEARINGS
        try:
            self._file = h5py.File(self.path, 'r')
        except OSError as error:
            raise InputError(f'{self.path}: is no HDF5 file that can be read '
                             f'({str(error).splitlines()[0]})') from error
        self._pixels = image or 'pixels'
        missing = [name for name in ('ep_len', 'ep_offset', self._pixels)
                   if not isinstance(self._file.get(name), h5py.Dataset)]
        if missing:
            raise InputError(f'{self.path}: has no column {", ".join(missing)}; it has '
                             f'{", ".join(sorted(self._file)) or "none"}. Pictures of another '
                             'name are named with --image')
        rate = rate_hz or self._file.attrs.get('rate_hz')
        if rate is None or not float(rate) > 0:
            raise InputError(f'{self.path}: does not say how many steps it has a second; say it '
                             'with --source-rate')
        self.rate_hz = float(rate)
        self.attributes: dict[str, Any] = {}
        self._ep_len = np.asarray(self._file['ep_len'][()], dtype=np.int64)
        self._ep_offset = np.asarray(self._file['ep_offset'][()], dtype=np.int64)
        shape = self._file[self._pixels].shape
        self._first = len(shape) == 4 and shape[3] != 3 and shape[1] == 3
        if len(shape) != 4 or 3 not in (shape[1], shape[3]) or np.prod(
                shape[1:]) > 3 * LARGEST_PIXELS or self._file[self._pixels].dtype != np.uint8:
            raise InputError(f'{self.path}: column {self._pixels} is {shape}, not pictures '
                             '(N, H, W, 3) or (N, 3, H, W) of uint8')
        self.n_steps = int(shape[0])
        ends = self._ep_offset + self._ep_len
        if self._ep_len.shape != self._ep_offset.shape or self._ep_len.ndim != 1 or (
                self._ep_len <= 0).any() or (self._ep_offset < 0).any() or (
                ends > self.n_steps).any():
            raise InputError(f'{self.path}: ep_len and ep_offset do not fit {self.n_steps} steps')
        self._columns = [
            name for name, column in self._file.items() if isinstance(column, h5py.Dataset)
            and name not in ('ep_len', 'ep_offset', self._pixels) and column.dtype.kind in 'fiub'
            and 1 <= column.ndim <= 2 and column.shape[0] == self.n_steps]
        self.names = {name: tuple(map(str, range(
            1 if self._file[name].ndim == 1 else self._file[name].shape[1])))
            for name in self._columns}

    def episodes(self, stride: int, size: tuple[int, int] | None) -> Iterator[tuple[Rows, Rows]]:
        """Yield (columns, nothing), as `foreign.Source` says; actions that are NaN are zero.

        Its recorder writes NaN as the action of an episode's last step, behind which nothing is.
        """
        for length, offset in zip(self._ep_len, self._ep_offset):
            rows: Rows = {}
            try:
                rows['pixels'] = np.stack([
                    self._picture(int(offset) + i, size) for i in range(0, length, stride)])
                for name in self._columns:
                    rows[name] = self._file[name][offset:offset + length]
            except OSError as error:
                packed = '' if hdf5plugin else ' (packed with Blosc? pip install hdf5plugin)'
                raise InputError(f'{self.path}: cannot be unpacked: '
                                 f'{str(error).splitlines()[0]}{packed}') from error
            if 'action' in rows and rows['action'].dtype.kind == 'f':
                rows['action'][-1] = np.nan_to_num(rows['action'][-1])
            rows['stamp'] = np.arange(length) / self.rate_hz
            yield rows, {}

    def _picture(self, row: int, size: tuple[int, int] | None) -> NDArray[np.uint8]:
        stored = self._file[self._pixels][row]
        picture = np.ascontiguousarray(stored.transpose(1, 2, 0) if self._first else stored)
        return picture if size is None else fit(picture, size)
