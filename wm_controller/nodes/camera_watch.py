# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Why no image comes, in words that help; clocks and counts are arguments."""

from __future__ import annotations

SILENT_S = 2.0
ABSENT_S = 1.0  # publishers are found a moment after they start


class CameraWatch:
    """Watches one image topic; times are steady seconds."""

    def __init__(self, topic: str, other_topic: str, other_transport: str) -> None:
        self._topic, self._other, self._other_transport = topic, other_topic, other_transport
        self._absent_s: float | None = None
        self._announced_s: float | None = None
        self._heard_s: float | None = None

    def heard(self, now_s: float) -> None:
        """Note that an image came, good or bad."""
        self._heard_s = now_s

    def advice(self, now_s: float, publishers: int, other_publishers: int) -> str:
        """Return one line on what is wrong with the camera, or nothing."""
        if publishers == 0:
            self._announced_s = None
            self._absent_s = now_s if self._absent_s is None else self._absent_s
            if now_s - self._absent_s < ABSENT_S:
                return ''
            hint = ''
            if other_publishers:
                hint = (f'; {self._other} is published: '
                        f'set image_transport to {self._other_transport}')
            return f'waiting for images: nobody publishes {self._topic}{hint}'
        self._absent_s = None
        if self._announced_s is None:
            self._announced_s = now_s
        heard_s = self._announced_s if self._heard_s is None else self._heard_s
        silent_s = now_s - max(heard_s, self._announced_s)
        if silent_s < SILENT_S:
            return ''
        if self._heard_s is None or self._heard_s < self._announced_s:
            return (
                f'{self._topic} is announced, but no image has come for {silent_s:.0f} s: if its '
                'publisher is alive, large images need room in Fast DDS: set '
                'FASTDDS_DEFAULT_PROFILES_FILE to the fastdds.xml in config/ for every node')
        return f'no image on {self._topic} for {silent_s:.0f} s, which is still announced'
