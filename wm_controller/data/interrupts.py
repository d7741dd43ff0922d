# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Keep Ctrl-C away from calls that must not be cut short."""

from collections.abc import Iterator
from contextlib import contextmanager
import signal
import threading
from types import FrameType


@contextmanager
def uninterrupted() -> Iterator[None]:
    """
    Hold SIGINT back until the block has ended, then let it act.

    HDF5 calls back into Python to write; a KeyboardInterrupt raised there is swallowed by the
    library, which then ends the process with a segmentation fault.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # Python runs signal handlers in the main thread only
        return
    held: list[tuple[int, FrameType | None]] = []
    previous = signal.signal(signal.SIGINT, lambda number, frame: held.append((number, frame)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
        if held and callable(previous):
            previous(*held[0])
