# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""SHA-256 of a data set's content: the same for the same rows, whatever the file's bytes."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


class ContentDigest:
    """One hash a column, fed rows in order; combined with the rate and the bearings."""

    def __init__(self, rate_hz: float, bearings: NDArray[np.float64]) -> None:
        self._head = f'{rate_hz:.9g}' + ''.join(f' {b:.9g}' for b in np.atleast_1d(bearings))
        self._columns: dict[str, Any] = {}

    def update(self, name: str, rows: NDArray[Any]) -> None:
        """Feed the next rows of a column; independent of how rows are split over calls."""
        rows = np.asarray(rows)
        if rows.dtype.kind in 'OSU':
            encoded = [r if isinstance(r, bytes) else str(r).encode() for r in rows.tolist()]
            kind, raw = 'text', b''.join(b'%d:%s' % (len(r), r) for r in encoded)
        else:
            rows = np.ascontiguousarray(rows, dtype=rows.dtype.newbyteorder('<'))
            kind, raw = rows.dtype.str, rows.tobytes()
        if name not in self._columns:
            self._columns[name] = hashlib.sha256(f'{name} {kind} {rows.shape[1:]}\n'.encode())
        self._columns[name].update(raw)

    def hexdigest(self) -> str:
        lines = [self._head] + [f'{name} {column.hexdigest()}'
                                for name, column in sorted(self._columns.items())]
        return hashlib.sha256('\n'.join(lines).encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with path.open('rb') as stream:
        for block in iter(lambda: stream.read(1 << 20), b''):
            digest.update(block)
    return digest.hexdigest()
