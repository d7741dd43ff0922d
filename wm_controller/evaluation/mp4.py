# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Pictures into an .mp4 file that players and browsers open."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from wm_controller.errors import InputError
from wm_controller.files import replacing

ENCODERS = ('libx264', 'libopenh264', 'mpeg4')


@contextmanager
def mp4_writer(path: Path, size: tuple[int, int], rate_hz: float
               ) -> Iterator[Callable[[np.ndarray], None]]:
    """Yield what adds a picture (height, width, 3) uint8 RGB of even size (width, height) px.

    The file is there, whole, when the block has ended well. Raises InputError where there is no
    encoder or the file cannot be written.
    """
    import av

    encoder = next((name for name in ENCODERS if name in av.codec.codecs_available), None)
    if encoder is None:
        raise InputError(f'PyAV has none of {", ".join(ENCODERS)}: use --no-video')
    rate = Fraction(rate_hz).limit_denominator(1000)
    with (
        replacing(path, make_folder=True) as temporary,
        av.open(str(temporary), 'w', options={'movflags': '+faststart'}) as container,
    ):
        stream: Any = container.add_stream(encoder, rate=rate)
        stream.width, stream.height = size
        stream.pix_fmt = 'yuv420p'
        stream.time_base = 1 / rate
        if encoder == 'libx264':
            stream.options = {'crf': '23', 'preset': 'veryfast'}
        else:
            stream.bit_rate = 3_000_000

        def add(picture: np.ndarray) -> None:
            frame = av.VideoFrame.from_ndarray(picture, format='rgb24')
            container.mux(stream.encode(frame))

        yield add
        container.mux(stream.encode())
