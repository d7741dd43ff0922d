# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Reader of data set files: refuses what is not one, with one clear line."""

from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from wm_controller.data import schema
from wm_controller.data.digest import ContentDigest
from wm_controller.data.writer import DatasetWriter
from wm_controller.errors import InputError

__all__ = ['Dataset', 'DatasetWriter', 'open_all']

PathLike = str | Path
CHUNK_CACHE_BYTES = 32 << 20


class Stored:
    """A column on disk: slices are read when asked for; damage is named with its file."""

    def __init__(self, column: 'h5py.Dataset', path: Path) -> None:
        self._column, self._path = column, path
        self.shape: tuple[int, ...] = column.shape
        self.dtype = column.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> NDArray[Any]:
        try:
            return np.asarray(self._column[key])
        except OSError as error:
            raise InputError(f'{self._path}: damaged in column {self._column.name[1:]}; copy or '
                             f'make it again ({_first_line(error)})') from error


class Dataset:
    """Read-only view of one file: `pixels` stays on disk, the other columns are arrays.

    Use `Dataset.open(path)`, which validates. Rows of all episodes lie behind one another:
    episode `i` is rows `ep_offset[i] : ep_offset[i] + ep_len[i]`.
    """

    def __init__(self, file: 'h5py.File', path: Path) -> None:
        self._file = file
        self.path = path
        self.rate_hz = float(file.attrs['rate_hz'])
        self.pixels = Stored(file['pixels'], path)
        """(N, H, W, 3) uint8 RGB; slicing reads from disk."""
        self.ep_len: NDArray[np.int64] = file['ep_len'][:]
        self.ep_offset: NDArray[np.int64] = file['ep_offset'][:]
        self.n_steps = int(self.pixels.shape[0])
        self.n_episodes = int(self.ep_len.shape[0])

    @classmethod
    def open(cls, path: PathLike) -> 'Dataset':
        """Open and validate; `InputError` names the file and what is wrong with it."""
        path = Path(path)
        file = _open_hdf5(path)
        try:
            _check(file, path)
            return cls(file, path)
        except BaseException:
            file.close()
            raise

    @property
    def image_size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return int(self.pixels.shape[2]), int(self.pixels.shape[1])

    @property
    def step_period_s(self) -> float:
        return 1.0 / self.rate_hz

    @property
    def bearings(self) -> NDArray[np.float64]:
        """(K,) rad: directions of the clearance columns, left first."""
        return np.asarray(self._file.attrs['clearance_bearings'], dtype=np.float64)

    @cached_property
    def action(self) -> NDArray[np.float32]:
        """(N, 2) [v m/s, w rad/s]."""
        return self.column('action')

    @cached_property
    def proprio(self) -> NDArray[np.float32]:
        """(N, 5), NaN where the recording had no odometry."""
        return self.column('proprio')

    @cached_property
    def pose(self) -> NDArray[np.float64]:
        """(N, 3) [x, y, yaw] in odom, NaN where the recording had no odometry."""
        return self.column('pose')

    @cached_property
    def stamp(self) -> NDArray[np.float64]:
        """(N,) s."""
        return self.column('stamp')

    @cached_property
    def clearance(self) -> NDArray[np.float32]:
        """(N, K) m, NaN where the recording had no scan."""
        return self.column('clearance')

    @cached_property
    def extras(self) -> tuple[str, ...]:
        """Names of further columns, per step or (named `ep_...`) per episode."""
        return tuple(sorted(set(self._file) - set(schema.COLUMN_NAMES)))

    def column(self, name: str) -> NDArray[Any]:
        """Read one whole column."""
        if name not in self._file:
            raise InputError(f'{self.path}: no column {name!r}; it has '
                             f'{", ".join(sorted(self._file))}')
        return Stored(self._file[name], self.path)[:]

    def steps(self, episode: int) -> slice:
        """Rows of an episode."""
        start = int(self.ep_offset[episode])
        return slice(start, start + int(self.ep_len[episode]))

    @cached_property
    def attributes(self) -> dict[str, Any]:
        """All file attributes; JSON ones (sources, ingest report) as text."""
        return dict(self._file.attrs.items())

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the content, as recorded by the writer (`computed_digest` verifies)."""
        recorded = self._file.attrs.get('digest')
        return str(recorded) if recorded else self.computed_digest()

    def computed_digest(self, progress: Callable[[float], Any] | None = None) -> str:
        """SHA-256 over the names, types and values of all columns; reads the whole file.

        `progress(n)` is called as n more steps are done.
        """
        content = ContentDigest(self.rate_hz, self.bearings)
        for name in self._file:
            column = Stored(self._file[name], self.path)
            for start in range(0, max(column.shape[0], 1), 2048):
                content.update(name, column[start:start + 2048])
                if progress is not None and name == 'pixels':
                    progress(min(2048, self.n_steps - start))
        return content.hexdigest()

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> 'Dataset':
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        width, height = self.image_size
        return (f'Dataset({str(self.path)!r}, {self.n_episodes} episodes, {self.n_steps} steps, '
                f'{self.rate_hz:g} Hz, {width}x{height})')


def open_all(paths: Iterable[PathLike]) -> list[Dataset]:
    """Open several files for one training; refuses files that do not fit together."""
    paths = list(paths)
    if not paths:
        raise InputError('no data set given: name at least one .h5 file')
    opened: list[Dataset] = []
    try:
        for path in paths:
            data = Dataset.open(path)
            opened.append(data)
            _check_fits(opened[0], data)
    except BaseException:
        for data in opened:
            data.close()
        raise
    return opened


def _check_fits(first: Dataset, other: Dataset) -> None:
    if not np.isclose(first.rate_hz, other.rate_hz, rtol=1e-6):
        raise InputError(
            f'step periods differ: {first.path} has {first.step_period_s:.4g} s, {other.path} has '
            f'{other.step_period_s:.4g} s; ingest or collect both at one rate')
    if first.image_size != other.image_size:
        sizes = ['{}x{}'.format(*d.image_size) for d in (first, other)]
        raise InputError(
            f'image sizes differ: {first.path} has {sizes[0]}, {other.path} has {sizes[1]}; '
            'ingest or collect both at one size')
    if first.bearings.shape != other.bearings.shape or not np.allclose(
            first.bearings, other.bearings, atol=1e-4):
        raise InputError(
            f'clearance bearings differ: {first.path} has {_bearings_text(first)}, {other.path} '
            f'has {_bearings_text(other)}; make both with one version of wm')


def _bearings_text(data: Dataset) -> str:
    degrees = np.rad2deg(data.bearings)
    return f'{degrees.size} from {degrees[0]:.0f} to {degrees[-1]:.0f} degrees'


def _open_hdf5(path: Path) -> 'h5py.File':
    if not path.exists():
        raise InputError(f'{path}: no such file')
    if path.is_dir():
        raise InputError(f'{path}: is a directory, not a data set; a bag becomes one with '
                         '`wm ingest`')
    try:
        with path.open('rb') as stream:
            empty = not stream.read(1)
    except OSError as error:
        raise InputError(f'{path}: cannot be read: {error.strerror}') from error
    if empty:
        raise InputError(f'{path}: is an empty file, not a data set')
    if not h5py.is_hdf5(path):
        raise InputError(f'{path}: is not an HDF5 file; `wm collect` and `wm ingest` write them')
    try:
        return h5py.File(path, 'r', rdcc_nbytes=CHUNK_CACHE_BYTES)
    except OSError as error:
        raise InputError(f'{path}: damaged or truncated HDF5 file; make it again '
                         f'({_first_line(error)})') from error


def _check(file: 'h5py.File', path: Path) -> None:
    found = file.attrs.get('schema')
    if found != schema.SCHEMA:
        raise InputError(f'{path}: schema is {found!r}, this version reads {schema.SCHEMA!r}'
                         if found is not None else
                         f'{path}: HDF5 file without the attribute schema={schema.SCHEMA!r}: not '
                         'a data set of this package')
    missing = [name for name in schema.COLUMN_NAMES
               if not isinstance(file.get(name), h5py.Dataset)]
    if missing:
        raise InputError(f'{path}: missing columns {", ".join(missing)}; make it again with '
                         '`wm collect` or `wm ingest`')
    rate = _number(file.attrs.get('rate_hz'))
    if not (np.isfinite(rate) and rate > 0):
        raise InputError(f'{path}: attribute rate_hz is {file.attrs.get("rate_hz")!r}, '
                         'not a positive number')
    _check_shapes(file, path)
    _check_episodes(file, path)


def _check_shapes(file: 'h5py.File', path: Path) -> None:
    n_steps = file['pixels'].shape[0] if file['pixels'].ndim else 0
    for column in schema.STEP_COLUMNS:
        stored = file[column.name]
        row = stored.shape[1:]
        fits = len(row) == len(column.shape) and all(
            want is None or want == have for want, have in zip(column.shape, row))
        if not fits or stored.dtype != np.dtype(column.dtype):
            want = 'x'.join(['N', *('?' if s is None else str(s) for s in column.shape)])
            raise InputError(f'{path}: column {column.name} is {stored.dtype} {stored.shape}, '
                             f'expected {column.dtype} {want}')
        if stored.shape[0] != n_steps:
            raise InputError(f'{path}: inconsistent: {n_steps} rows of pixels but '
                             f'{stored.shape[0]} of {column.name}')
    if 0 in file['pixels'].shape[1:]:
        raise InputError(f'{path}: images of zero size {file["pixels"].shape[1:]}')
    bearings = np.atleast_1d(file.attrs.get('clearance_bearings', ()))
    if bearings.shape != file['clearance'].shape[1:]:
        raise InputError(f'{path}: inconsistent: {bearings.size} clearance_bearings but '
                         f'{file["clearance"].shape[1]} clearance values a step')


def _check_episodes(file: 'h5py.File', path: Path) -> None:
    n_steps = file['pixels'].shape[0]
    length, offset = file['ep_len'][()], file['ep_offset'][()]
    if length.ndim != 1 or length.shape != offset.shape:
        raise InputError(f'{path}: inconsistent: ep_len has shape {length.shape}, ep_offset '
                         f'{offset.shape}')
    if n_steps == 0 or length.size == 0:
        raise InputError(f'{path}: empty data set (0 steps): record or ingest something first')
    expected = np.concatenate([[0], np.cumsum(length)])
    if (length <= 0).any() or not np.array_equal(offset, expected[:-1]):
        raise InputError(f'{path}: inconsistent: ep_offset does not follow from ep_len')
    if expected[-1] != n_steps:
        raise InputError(f'{path}: inconsistent: episodes add up to {expected[-1]} steps but the '
                         f'columns have {n_steps}')


def _number(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return float('nan')


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
