# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""How long a command takes through the guardrail, and braking where the machine is busy."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
import json
import os
from pathlib import Path
import subprocess
import sys
import tempfile
from typing import Any

from wm_controller.errors import InputError
from wm_controller.evaluation.bench_processes import bench_environment
from wm_controller.evaluation.bench_timing import Timing
from wm_controller.evaluation.processes import Graph, NodeSpec

NODES = (NodeSpec('guardrail', {}), NodeSpec('relay', {}))


def bench_guardrail(samples: int) -> dict[str, Any]:
    """Return latencies over topics of both, taken in turns, and their ratios."""
    seconds = _probe(samples)
    with _busy_cores():
        braking = {cause: Timing.of(each)
                   for cause, each in _probe(samples, braking=True).items()}
    guardrail, relay = Timing.of(seconds['guardrail']), Timing.of(seconds['relay'])
    return {
        'samples': samples,
        'guardrail': asdict(guardrail),
        'relay': asdict(relay),
        'ratio_p50': guardrail.p50_ms / relay.p50_ms,
        'ratio_p99': guardrail.p99_ms / relay.p99_ms,
        'braking_on_busy_cores': {cause: asdict(timing) for cause, timing in braking.items()},
    }


def _probe(samples: int, braking: bool = False) -> dict[str, list[float]]:
    environment = bench_environment()
    command = [sys.executable, '-m', 'wm_controller.nodes.latency_probe', f'--samples={samples}']
    with (
        tempfile.TemporaryDirectory(prefix='wm_bench_') as logs,
        Graph(NODES, Path(logs), environment) as graph,
    ):
        probe = subprocess.run(
            command + ['--braking'] * braking, env=environment, capture_output=True, text=True)
        graph.check()
    if probe.returncode:
        reason = (probe.stderr.strip().splitlines() or ['no reason given'])[-1]
        raise InputError(f'the latency of the guardrail could not be measured: {reason}')
    found: dict[str, list[float]] = json.loads(probe.stdout)
    return found


@contextmanager
def _busy_cores() -> Iterator[None]:
    """Every core has a process that never waits, as a planner in trouble would be one."""
    loads = [subprocess.Popen([sys.executable, '-c', 'while True: pass'])
             for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for load in loads:
            load.kill()
            load.wait()
