# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""What benchmarks need of processes: a ROS domain of their own, and the memory they take."""

from importlib.util import find_spec
from pathlib import Path
import random

import psutil

from wm_controller.errors import InputError
from wm_controller.evaluation.processes import ros_environment


def bench_environment() -> dict[str, str]:
    """Return the environment of a graph on this machine, in a domain nobody else should use."""
    if find_spec('rclpy') is None:
        raise InputError(
            "rclpy is missing: source a ROS installation, or pip install 'wm_controller[ros]'"
        )
    domain = random.SystemRandom().randint(1, 100)
    return {
        **ros_environment(),
        'ROS_DOMAIN_ID': str(domain),
        'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
    }


def peak_memory_mb(pid: int) -> float:
    """Return the most memory that was resident in a process so far, MB; 0 if it has ended."""
    try:
        for line in Path(f'/proc/{pid}/status').read_text(encoding='utf-8').splitlines():
            if line.startswith('VmHWM:'):
                return int(line.split()[1]) * 1024 / 1e6
        return float(psutil.Process(pid).memory_info().rss / 1e6)
    except (FileNotFoundError, ProcessLookupError, psutil.Error):
        return 0.0
