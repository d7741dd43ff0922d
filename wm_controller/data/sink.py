# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""A file for HDF5 to write to whose failures HDF5 never sees."""

import os
from pathlib import Path


class Sink:
    """File object over a new file; after the first failed write, bytes stay in memory.

    The HDF5 library does not survive a write that fails: on a full disk its objects cannot be
    closed, tracebacks of destructors fill the screen and the process may end with a segmentation
    fault. So a failure is kept in `error` for the caller to look at after each step, and what
    was not written is held, for the library to read back, until the file is abandoned.
    """

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        self._position = 0
        self._size = 0
        self._held: list[tuple[int, bytes]] = []
        self.error: OSError | None = None

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def write(self, data: memoryview) -> int:
        raw = bytes(data)
        start = self._position
        if self.error is None:
            try:
                done = 0
                while done < len(raw):
                    done += os.pwrite(self._fd, raw[done:], start + done)
            except OSError as error:
                self.error = error
        if self.error is not None:
            self._held.append((start, raw))
        self._position = start + len(raw)
        self._size = max(self._size, self._position)
        return len(raw)

    def readinto(self, buffer: memoryview) -> int:
        view = memoryview(buffer).cast('B')
        start, end = self._position, min(self._position + len(view), self._size)
        count = max(end - start, 0)
        found = os.pread(self._fd, count, start)
        view[:count] = found + bytes(count - len(found))
        for offset, raw in self._held:
            low, high = max(offset, start), min(offset + len(raw), end)
            if low < high:
                view[low - start:high - start] = raw[low - offset:high - offset]
        self._position += count
        return count

    def read(self, size: int) -> bytes:
        buffer = bytearray(size)
        return bytes(buffer[:self.readinto(memoryview(buffer))])

    def truncate(self, size: int | None = None) -> int:
        self._size = self._position if size is None else size
        if self.error is None:
            try:
                os.ftruncate(self._fd, self._size)
            except OSError as error:
                self.error = error
        return self._size

    def flush(self) -> None:
        pass

    def sync(self) -> None:
        """Wait until the bytes are on the disk; some file systems notice a full disk only now."""
        if self.error is None:
            try:
                os.fsync(self._fd)
            except OSError as error:
                self.error = error

    def close(self) -> None:
        try:
            os.close(self._fd)
        except OSError as error:
            self.error = self.error or error
