# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Frames of a video file at given times, read forwards once."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
from av.error import FFmpegError
import numpy as np
from numpy.typing import NDArray

from wm_controller.errors import InputError

LARGEST_PIXELS = 1 << 26
"""More than any camera; a damaged header must not fill the memory."""


class VideoFrames:
    """Pictures of one file; times must not go back. Close it, or use it in a `with` block."""

    def __init__(self, path: Path, rate_hz: float) -> None:
        self._path, self._half_s = path, 0.5 / rate_hz
        if not path.is_file():
            raise InputError(f'{path}: no such file; the data set is not complete')
        try:
            self._container: Any = av.open(str(path))
            stream = self._container.streams.video[0]
        except (FFmpegError, IndexError) as error:
            raise InputError(f'{path}: is no video that can be read ({error})') from error
        if stream.width * stream.height > LARGEST_PIXELS:
            raise InputError(f'{path}: pictures of {stream.width}x{stream.height} are too large')
        self._frames: Iterator[Any] = self._container.decode(stream)
        self._base = float(stream.time_base or 0)
        self._frame: Any = None

    def at(self, time_s: float) -> NDArray[np.uint8]:
        """(H, W, 3) RGB at this time of the file; raises InputError where there is none."""
        try:
            while self._frame is None or self._time() < time_s - self._half_s:
                self._frame = next(self._frames)
        except StopIteration:
            raise InputError(f'{self._path}: ends before {time_s:.2f} s, where the data set has a '
                             'frame; download it again') from None
        except FFmpegError as error:
            raise InputError(f'{self._path}: damaged video ({error})') from error
        if self._time() > time_s + self._half_s:
            raise InputError(f'{self._path}: has no frame at {time_s:.2f} s; download it again')
        return np.asarray(self._frame.to_ndarray(format='rgb24'))

    def _time(self) -> float:
        return (self._frame.pts or 0) * self._base

    def close(self) -> None:
        self._container.close()

    def __enter__(self) -> 'VideoFrames':
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
