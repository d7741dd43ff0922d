# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""How much memory each process of the graph takes while it drives."""

from pathlib import Path
import subprocess
import sys
import tempfile
from typing import Any

from wm_controller.errors import InputError
from wm_controller.evaluation.bench_processes import bench_environment, peak_memory_mb
from wm_controller.evaluation.processes import Graph, NodeSpec
from wm_controller.resources import find_config, find_model

LIMITS_MB = {'controller': 900.0, 'guardrail': 120.0, 'training': 4000.0}
FAR_M = 30  # a goal too far to be reached in the time: the planner works all along


def bench_memory(model: str, drive_s: float, allow_ungated: bool = False) -> dict[str, Any]:
    """Drive in the simulator for a while, and return each node's peak of resident memory."""
    environment = bench_environment()
    robot = find_config('robot')
    simulated = {'use_sim_time': True}
    driver = {'model': str(find_model(model).resolve()), 'allow_ungated': allow_ungated}
    nodes = (
        NodeSpec('controller', {**simulated, **driver}, robot),
        NodeSpec('guardrail', simulated, robot),
        NodeSpec('simulator', {}, find_config('simulator')),
    )
    with (
        tempfile.TemporaryDirectory(prefix='wm_bench_') as logs,
        Graph(nodes, Path(logs), environment) as graph,
    ):
        goal = subprocess.run(
            [
                sys.executable,
                '-m',
                'wm_controller.nodes.send_goal',
                str(FAR_M),
                '0',
                f'--wait={drive_s}',
            ],
            env=environment,
            capture_output=True,
            text=True,
        )
        graph.check()
        if goal.stderr.strip():
            said = graph.log_tail('controller')[-1:] or ['nothing']
            raise InputError(
                f'{goal.stderr.strip().splitlines()[-1]}; the controller said: {said[0]}'
            )
        peaks = {name: peak_memory_mb(pid) for name, pid in graph.pids().items()}
    return {
        name: {'peak_mb': peak, 'limit_mb': LIMITS_MB.get(name)} for name, peak in peaks.items()
    }
