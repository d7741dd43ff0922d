# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Writer of data set files: whole or not at all."""

from collections.abc import Mapping, Sequence
import errno
import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np
from numpy.typing import ArrayLike, NDArray

from wm_controller.data import schema
from wm_controller.data.digest import ContentDigest
from wm_controller.data.interrupts import uninterrupted
from wm_controller.data.sink import Sink
from wm_controller.errors import InputError

CHUNK_BYTES = 768 << 10
"""About what one window of the model needs, so that reading a window unpacks one or two."""


class DatasetWriter:
    """Context manager: `append_episode` as often as needed, the file appears on clean exit.

    Rows go to a temporary file beside `path`, which replaces `path` at the end. After any
    error, a full disk included, nothing is left behind and an older `path` is untouched.
    """

    def __init__(self, path: str | Path, rate_hz: float, *,
                 bearings: ArrayLike = schema.CLEARANCE_BEARINGS,
                 sources: Sequence[Mapping[str, Any]] = (), command: str = '',
                 attributes: Mapping[str, Any] | None = None) -> None:
        """`sources`: one mapping a bag or room (`path`, `sha256`); `attributes`: more facts."""
        if not (np.isfinite(rate_hz) and rate_hz > 0):
            raise ValueError(f'rate_hz must be positive, not {rate_hz}')
        self.path = Path(path)
        self.rate_hz = float(rate_hz)
        self.bearings = np.atleast_1d(np.asarray(bearings, dtype=np.float64))
        self.n_steps = 0
        self.n_episodes = 0
        self._attributes: dict[str, Any] = {
            'schema': schema.SCHEMA, 'rate_hz': self.rate_hz,
            'clearance_bearings': self.bearings,
            'sources': json.dumps([dict(s) for s in sources]), 'command': command,
            **(attributes or {})}
        self._digest = ContentDigest(self.rate_hz, self.bearings)
        self._names: tuple[str, ...] | None = None
        self._temporary = self.path.with_name(f'.{self.path.name}.{os.getpid()}.part')
        self._sink: Sink | None = None
        self._file: h5py.File | None = None

    def __enter__(self) -> 'DatasetWriter':
        check_output(self.path)
        try:
            self._temporary.unlink(missing_ok=True)
            self._sink = Sink(self._temporary)
        except OSError as error:
            raise self._cannot_write(error) from error
        try:
            self._file = h5py.File(self._sink, 'w', libver=('v108', 'latest'))
        except BaseException:
            self._sink.close()
            self._temporary.unlink(missing_ok=True)
            raise
        return self

    def append_episode(self, pixels: ArrayLike, action: ArrayLike | None,
                       proprio: ArrayLike | None = None, pose: ArrayLike | None = None,
                       stamp: ArrayLike | None = None, clearance: ArrayLike | None = None,
                       extras: Mapping[str, ArrayLike] | None = None,
                       episode_extras: Mapping[str, Any] | None = None) -> None:
        """Append T steps; shapes as in `schema.STEP_COLUMNS`, None for what does not exist.

        `extras`: further columns of T rows. `episode_extras`: one value each, stored with one row
        an episode; their names begin with `ep_`, such as `ep_room`. Every episode needs the same.
        """
        if self._file is None:
            raise RuntimeError('DatasetWriter is used outside its `with` block')
        rows = self._rows(np.asarray(pixels), action, proprio, pose, stamp, clearance)
        n = rows['pixels'].shape[0]
        for name, values in (extras or {}).items():
            rows[name] = _step_extra(name, np.asarray(values), n)
        episode: dict[str, NDArray[Any]] = {
            'ep_len': np.array([n], dtype=np.int64),
            'ep_offset': np.array([self.n_steps], dtype=np.int64)}
        for name, value in (episode_extras or {}).items():
            episode[name] = _episode_extra(name, value)
        names = tuple(sorted([*rows, *episode]))
        if self._names is None:
            self._names = names
        elif names != self._names:
            raise ValueError(f'episodes differ in columns: {self._names} and {names}')
        with uninterrupted():
            for name, values in [*rows.items(), *episode.items()]:
                self._append(name, values)
        self._check_written()
        self.n_steps += n
        self.n_episodes += 1

    def digest(self) -> str:
        """SHA-256 of the content so far, as `Dataset.digest` gives it."""
        return self._digest.hexdigest()

    def _rows(self, pixels: NDArray[Any], action: ArrayLike | None, proprio: ArrayLike | None,
              pose: ArrayLike | None, stamp: ArrayLike | None,
              clearance: ArrayLike | None) -> dict[str, NDArray[Any]]:
        n = pixels.shape[0] if pixels.ndim == 4 else 0
        if n == 0 or pixels.shape[3] != 3 or pixels.dtype != np.uint8 or 0 in pixels.shape:
            raise ValueError(f'pixels must be uint8 (T, H, W, 3), not {pixels.dtype} '
                             f'{pixels.shape}')
        if stamp is None:
            raise ValueError('stamp is required')
        widths = {'action': 2, 'proprio': 5, 'pose': 3, 'clearance': self.bearings.size}
        given = {'action': action, 'proprio': proprio, 'pose': pose, 'clearance': clearance}
        rows: dict[str, NDArray[Any]] = {'pixels': pixels}
        for name, values in given.items():
            dtype = np.float64 if name == 'pose' else np.float32
            shape = (n, widths[name])
            rows[name] = (np.full(shape, np.nan, dtype=dtype) if values is None
                          else np.asarray(values, dtype=dtype))
            if rows[name].shape != shape:
                raise ValueError(f'{name} must have shape {shape}, not {rows[name].shape}')
        rows['stamp'] = np.asarray(stamp, dtype=np.float64)
        if rows['stamp'].shape != (n,):
            raise ValueError(f'stamp must have shape {(n,)}, not {rows["stamp"].shape}')
        if not np.isfinite(rows['stamp']).all() or (np.diff(rows['stamp']) <= 0).any():
            raise ValueError('stamps must be finite and increase within an episode')
        known = np.isfinite(rows['action'])
        if not known.all() and known.any():
            raise ValueError('action must be finite, or NaN throughout an episode without one')
        return rows

    def _append(self, name: str, values: NDArray[Any]) -> None:
        assert self._file is not None
        if name not in self._file:
            text = values.dtype.kind == 'O'
            row_bytes = max(int(np.prod(values.shape[1:])) * values.dtype.itemsize, 1)
            chunk = int(np.clip(CHUNK_BYTES // row_bytes, 1, 64 if name == 'pixels' else 4096))
            # gzip is part of every HDF5 library; lzf and blosc are not. Level 1 packs
            # camera frames nearly as small as level 9 at a fraction of the time.
            self._file.create_dataset(
                name, shape=(0, *values.shape[1:]), maxshape=(None, *values.shape[1:]),
                chunks=(chunk, *values.shape[1:]),
                dtype=h5py.string_dtype() if text else values.dtype,
                compression=None if text else 'gzip', compression_opts=None if text else 1)
        column = self._file[name]
        if column.shape[1:] != values.shape[1:]:
            raise ValueError(f'{name} rows are {values.shape[1:]}, earlier ones '
                             f'{column.shape[1:]}')
        start = column.shape[0]
        column.resize(start + values.shape[0], axis=0)
        column[start:] = values
        self._digest.update(name, values)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        with uninterrupted():
            try:
                if error is None:
                    self._finish()
            finally:
                self._close()
                self._temporary.unlink(missing_ok=True)  # is there only if it was not renamed

    def _finish(self) -> None:
        assert self._file is not None and self._sink is not None
        if self.n_steps == 0:
            raise InputError(f'{self.path}: not written: no episode to put into it')
        height, width = self._file['pixels'].shape[1:3]
        self._attributes['image_size'] = np.array([width, height], dtype=np.int64)
        self._attributes['digest'] = self.digest()
        for name, value in self._attributes.items():
            self._file.attrs[name] = value
        self._file.close()
        self._file = None
        self._sink.sync()
        self._check_written()
        try:
            os.replace(self._temporary, self.path)
        except OSError as error:
            raise self._cannot_write(error) from error

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        if self._sink is not None:
            self._sink.close()
            self._sink = None

    def _check_written(self) -> None:
        if self._sink is not None and self._sink.error is not None:
            raise self._cannot_write(self._sink.error) from self._sink.error

    def _cannot_write(self, error: OSError) -> InputError:
        reason = {
            errno.ENOSPC: 'the disk is full: free some space, or choose another disk with -o',
            errno.EDQUOT: 'the disk quota is used up: free some space, or choose another disk '
                          'with -o',
            errno.EFBIG: 'files of this size are not allowed here (ulimit -f)',
        }.get(error.errno or 0, f'{error.strerror}; choose another place with -o')
        return InputError(f'{self.path}: cannot be written: {reason}')


def check_output(path: str | Path) -> None:
    """Refuse a place where no data set can or should be written, before any work is done."""
    path = Path(path)
    if path.is_dir():
        raise InputError(f'{path}: is a directory; name a file to write, such as data.h5')
    if not path.parent.is_dir():
        raise InputError(f'{path}: no such directory {path.parent}; make it first')
    if not os.access(path.parent, os.W_OK):
        raise InputError(f'{path}: {path.parent} may not be written to; choose another place')
    if path.exists() and not h5py.is_hdf5(path):
        raise InputError(f'{path}: exists and is not a data set; choose another name, or remove '
                         'it first')


def _step_extra(name: str, values: NDArray[Any], n: int) -> NDArray[Any]:
    if name in schema.COLUMN_NAMES or name.startswith('ep_'):
        raise ValueError(f'{name!r} cannot be the name of an extra column per step')
    if values.ndim == 0 or values.shape[0] != n or values.dtype.kind not in 'biuf':
        raise ValueError(f'extra column {name!r} needs {n} numeric rows, has {values.shape} '
                         f'{values.dtype}')
    return values


def _episode_extra(name: str, value: Any) -> NDArray[Any]:
    if name in schema.COLUMN_NAMES or not name.startswith('ep_'):
        raise ValueError(f'{name!r}: names of episode columns begin with ep_')
    if isinstance(value, str):
        return np.array([value], dtype=object)
    array = np.asarray(value)
    if array.dtype.kind not in 'biuf':
        raise ValueError(f'episode column {name!r} needs text or numbers, not {array.dtype}')
    return array[np.newaxis]
