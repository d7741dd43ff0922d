# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Start the nodes of the graph as processes of their own, watch them, and stop them all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import ctypes
from dataclasses import dataclass, field
import os
from pathlib import Path
import random
import signal
import subprocess
import sys
from types import TracebackType
from typing import Any

import psutil

from wm_controller.errors import InputError
from wm_controller.resources import dds_environment

PATIENCE_S = (6.0, 2.0, 1.0)  # after SIGINT, SIGTERM, SIGKILL
LOG_LINES = 12
PR_SET_PDEATHSIG = 1


class NodeDied(InputError):
    """A node ended by itself; `tail` holds the last lines of its log."""

    def __init__(self, message: str, tail: Sequence[str]) -> None:
        super().__init__(message)
        self.tail = tuple(tail)


@dataclass(frozen=True)
class NodeSpec:
    """A node to start: the file in nodes/, its parameter file, parameters on top, and remaps."""

    module: str
    parameters: Mapping[str, Any]
    params_file: Path | None = None
    remaps: Mapping[str, str] = field(default_factory=dict)

    def arguments(self) -> list[str]:
        """Command line, with the parameters in ROS's own notation."""
        line = [sys.executable, '-m', f'wm_controller.nodes.{self.module}', '--ros-args']
        if self.params_file is not None:
            line += ['--params-file', str(self.params_file)]
        for name, value in self.parameters.items():
            line += ['-p', f'{name}:={_yaml(value)}']
        for name, other in self.remaps.items():
            line += ['-r', f'{name}:={other}']
        return line


def _yaml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"  # so that 1e3 or no stays a text
    if isinstance(value, (list, tuple)):
        return '[' + ', '.join(_yaml(item) for item in value) + ']'
    return repr(value)


def ros_environment() -> dict[str, str]:
    """
    Variables for a graph of its own on this machine; what the user has set stays.

    Large images need a bigger shared-memory segment than Fast DDS has by default, and strangers
    on the network must neither hear nor command the robot of a demonstration.
    """
    environment = dict(os.environ)
    environment.setdefault('ROS_DOMAIN_ID', str(random.SystemRandom().randint(1, 100)))
    environment.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    environment.update(dds_environment(environment))
    environment.setdefault('PYTHONUNBUFFERED', '1')
    return environment


class Graph:
    """
    The processes of a graph, stopped when the block ends, however it ends.

    They are stopped in the order they are given in: what commands first, what moves last.
    """

    def __init__(self, nodes: Sequence[NodeSpec], logs: Path, environment: Mapping[str, str]):
        self._nodes, self._logs, self.environment = nodes, logs, dict(environment)
        self._running: dict[str, psutil.Popen] = {}
        self._cpu_s = 0.0

    def __enter__(self) -> Graph:
        self._logs.mkdir(parents=True, exist_ok=True)
        try:
            for node in self._nodes:
                self.start(node)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self, node: NodeSpec) -> psutil.Popen:
        """Start a node, also one that ran before and has ended; its log goes on."""
        if node.module in self._running and self._running[node.module].poll() is None:
            raise RuntimeError(f'the {node.module} node runs already')
        with open(self.log(node.module), 'ab') as log:
            process = psutil.Popen(
                node.arguments(),
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=self.environment,
                # A group of its own: the terminal's Ctrl-C comes to us alone, and we stop them
                # in order.
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        self._running = {**self._running, node.module: process}  # anew: others may be reading it
        return process

    def process(self, module: str) -> psutil.Popen:
        """Return the process of a node that was started."""
        return self._running[module]

    def log(self, module: str) -> Path:
        """Where a node's output goes."""
        return self._logs / f'{module}.log'

    def check(self) -> None:
        """Raise NodeDied, in one line, if a node has ended."""
        for name, process in self._running.items():
            code = process.poll()
            if code is not None:
                tail = self.log_tail(name)
                reason = f'signal {-code}' if code < 0 else f'exit code {code}'
                last = tail[-1] if tail else 'it said nothing'
                raise NodeDied(
                    f'the {name} node ended ({reason}): {last} (log: {self.log(name)})', tail
                )

    def log_tail(self, module: str) -> list[str]:
        """Return the last lines of a node's log that are not empty."""
        text = self.log(module).read_text(encoding='utf-8', errors='replace')
        return [line.rstrip() for line in text.splitlines() if line.strip()][-LOG_LINES:]

    def cpu_seconds(self) -> float:
        """Processor time of all nodes until now."""
        total = 0.0
        for process in self._running.values():
            try:
                times = process.cpu_times()
                total += times.user + times.system
            except psutil.Error:
                continue
        return max(total, self._cpu_s)

    def pids(self) -> dict[str, int]:
        """Process ids by node."""
        return {name: process.pid for name, process in self._running.items()}

    def memory_mib(self) -> dict[str, float]:
        """Resident memory of each node."""
        found = {}
        for name, process in self._running.items():
            try:
                found[name] = round(process.memory_info().rss / 2**20, 1)
            except psutil.Error:
                continue
        return found

    def stop(self) -> None:
        """Stop every process, politely first; none is left afterwards."""
        self._cpu_s = self.cpu_seconds()
        for process in self._running.values():
            _stop(process)

    def stop_node(self, module: str) -> None:
        """Stop one node that has done its work: it is not missed."""
        _stop(self._running[module])
        self._running = {name: each for name, each in self._running.items() if name != module}


def _stop(process: psutil.Popen) -> None:
    for what, patience_s in zip((signal.SIGINT, signal.SIGTERM, signal.SIGKILL), PATIENCE_S):
        if process.poll() is not None:
            break
        process.send_signal(what)
        try:
            process.wait(patience_s)
        except (psutil.TimeoutExpired, subprocess.TimeoutExpired):
            continue


def _die_with_parent() -> None:
    """In the child: be terminated when the parent dies, even by SIGKILL (Linux only)."""
    if sys.platform == 'linux':
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
