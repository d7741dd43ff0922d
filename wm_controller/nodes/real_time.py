# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
What keeps the guardrail on time on a busy computer: memory that stays, and a priority.

As controller_manager of ros2_control has it, with the same names: `lock_memory`,
`thread_priority`. Both need rights; without them the node runs as any other and says so.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
import sys

# <sys/mman.h> of Linux. ONFAULT: pages are locked once used, so that nothing grows.
MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT = 1, 2, 4
THREADS = Path('/proc/self/task')
REMEDY = 'docs/own-robot.md, Install, says which rights it needs'


def lock_memory() -> str:
    """Keep this process's pages from being reclaimed; return '' or why not."""
    if not sys.platform.startswith('linux'):
        return f'lock_memory: not on {sys.platform}'
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0:
        return ''
    return f'lock_memory: {os.strerror(ctypes.get_errno())}; {REMEDY}'


def raise_priority(priority: int) -> str:
    """
    Run every thread of this process before all ordinary ones (SCHED_FIFO); return '' or why not.

    `priority`: 1 to 99; threads that these start inherit it.
    """
    try:
        for thread in THREADS.iterdir():
            os.sched_setscheduler(int(thread.name), os.SCHED_FIFO, os.sched_param(priority))
    except (OSError, AttributeError) as error:
        return f'thread_priority {priority}: {getattr(error, "strerror", error)}; {REMEDY}'
    return ''
