# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""How long a command takes through the guardrail, beside a node that only hands it on."""

from dataclasses import asdict
import json
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
    environment = bench_environment()
    with (
        tempfile.TemporaryDirectory(prefix='wm_bench_') as logs,
        Graph(NODES, Path(logs), environment) as graph,
    ):
        probe = subprocess.run(
            [sys.executable, '-m', 'wm_controller.nodes.latency_probe', f'--samples={samples}'],
            env=environment,
            capture_output=True,
            text=True,
        )
        graph.check()
    if probe.returncode:
        reason = (probe.stderr.strip().splitlines() or ['no reason given'])[-1]
        raise InputError(f'the latency of the guardrail could not be measured: {reason}')
    seconds = json.loads(probe.stdout)
    guardrail, relay = Timing.of(seconds['guardrail']), Timing.of(seconds['relay'])
    return {
        'samples': samples,
        'guardrail': asdict(guardrail),
        'relay': asdict(relay),
        'ratio_p50': guardrail.p50_ms / relay.p50_ms,
        'ratio_p99': guardrail.p99_ms / relay.p99_ms,
    }
