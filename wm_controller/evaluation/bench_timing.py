# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Times of calls as percentiles, and the machine they were taken on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
import os
import platform
import time
from typing import Any

import numpy as np

WARM_UP_CALLS = 3


@dataclass(frozen=True)
class Timing:
    """Distribution of times, ms."""

    calls: int
    p50_ms: float
    p95_ms: float
    p99_ms: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> 'Timing':
        """Summarise times given in seconds."""
        p50, p95, p99 = 1e3 * np.percentile(seconds, [50, 95, 99])
        return cls(len(seconds), float(p50), float(p95), float(p99))


def time_calls(call: Callable[[], Any], calls: int) -> Timing:
    """Call often, after a few calls that do not count, and return the times."""
    for _ in range(WARM_UP_CALLS):
        call()
    seconds = []
    for _ in range(calls):
        begun = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - begun)
    return Timing.of(seconds)


def machine() -> dict[str, Any]:
    """Describe what the figures depend on."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
    return {
        'cores': cores,
        'processor': _processor(),
        'python': platform.python_version(),
        'load_1min': os.getloadavg()[0],
    }


def _processor() -> str:
    try:
        with open('/proc/cpuinfo', encoding='utf-8') as lines:
            names = [line.split(':', 1)[1].strip() for line in lines if line[:10] == 'model name']
    except OSError:
        names = []
    return names[0] if names else platform.machine()
