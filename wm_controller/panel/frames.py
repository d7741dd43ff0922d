# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""One stream of images for many viewers: encoded once each, and only while somebody looks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
import time
from typing import Any

from wm_controller.panel.latest import Latest

POLL_S = 0.02
PATIENCE_S = 1.0
"""A request is answered after this time even if there is no newer image."""


@dataclass(frozen=True)
class Frame:
    """A JPEG, the number of the image it was made of, and when that was received, steady s."""

    jpeg: bytes
    sequence: int
    received_s: float


class Stream:
    """Images of one name in `latest`, as JPEG, at most `rate_hz` a second."""

    def __init__(self, latest: Latest, name: str, encode: Callable[[Any], bytes],
                 rate_hz: float) -> None:
        self._latest, self._name, self._encode = latest, name, encode
        self._period_s = 1.0 / rate_hz
        self._frame: Frame | None = None
        self._made_s = -float('inf')
        self._failed = 0
        self._lock = asyncio.Lock()

    async def after(self, sequence: int) -> Frame | None:
        """Wait for an image newer than `sequence`; None if there is none within a second."""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            self._latest.ask(self._name, time.monotonic())
            async with self._lock:
                await self._renew()
                if self._frame is not None and self._frame.sequence != sequence:
                    return self._frame
            await asyncio.sleep(POLL_S)
        return None

    async def _renew(self) -> None:
        reading = self._latest.get(self._name)
        now = time.monotonic()
        known = max(self._frame.sequence if self._frame else 0, self._failed)
        if reading is None or reading.sequence == known or now - self._made_s < self._period_s:
            return
        self._made_s = now
        try:
            jpeg = await asyncio.to_thread(self._encode, reading.value)
        except Exception:  # one that cannot be shown; the controller says what is wrong with it
            self._failed = reading.sequence
            return
        self._frame = Frame(jpeg, reading.sequence, reading.received_s)
