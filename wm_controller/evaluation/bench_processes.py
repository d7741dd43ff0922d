# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Nodes as processes of their own, in a ROS domain of their own, and the memory they take."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, ExitStack
import os
from pathlib import Path
import random
import signal
import subprocess
import sys
import tempfile

from wm_controller.errors import InputError
from wm_controller.resources import dds_environment

END_TIMEOUT_S = 5.0


def isolated_environment() -> dict[str, str]:
    """Return this process's environment with a ROS domain that nobody else is likely to use."""
    return {
        **os.environ,
        **dds_environment(),
        'ROS_DOMAIN_ID': str(random.SystemRandom().randint(1, 100)),
        'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
    }


@contextmanager
def running(
    modules: Mapping[str, Sequence[str]], environment: Mapping[str, str]
) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """Run `python -m <module> <arguments>` by name; all end with the block."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix='wm_bench_')))
        processes = {}
        for name, (module, *arguments) in modules.items():
            log = stack.enter_context((folder / f'{name}.log').open('wb'))
            process = subprocess.Popen(
                [sys.executable, '-m', module, *arguments],
                env=dict(environment),
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            stack.callback(_end, process)
            processes[name] = process
        try:
            yield processes
        finally:
            for name, process in processes.items():
                if process.poll() is not None:
                    tail = (folder / f'{name}.log').read_text(errors='replace').strip()
                    print(f'{name} ended with {process.returncode}: {tail}', file=sys.stderr)


def _end(process: 'subprocess.Popen[bytes]') -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()


def require_ros() -> None:
    """Refuse to go on without rclpy."""
    from importlib.util import find_spec

    if find_spec('rclpy') is None:
        raise InputError(
            "rclpy is missing: source a ROS installation, or pip install 'wm_controller[ros]'"
        )


def peak_memory_mb(pid: int) -> float:
    """Return the most memory that was resident in a process so far, MB."""
    try:
        for line in Path(f'/proc/{pid}/status').read_text(encoding='utf-8').splitlines():
            if line.startswith('VmHWM:'):
                return int(line.split()[1]) * 1024 / 1e6
    except FileNotFoundError:
        pass
    import psutil

    return float(psutil.Process(pid).memory_info().rss / 1e6)
