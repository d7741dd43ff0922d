# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""How much memory each process of the graph takes while it drives."""

import subprocess
import sys
import time
from typing import Any

from wm_controller.errors import InputError
from wm_controller.evaluation.bench_processes import (
    isolated_environment,
    peak_memory_mb,
    require_ros,
    running,
)
from wm_controller.resources import find_config

LIMITS_MB = {'controller': 900.0, 'guardrail': 120.0, 'training': 4000.0}


def bench_memory(model: str, drive_s: float, allow_ungated: bool = False) -> dict[str, Any]:
    """Drive in the simulator for a while, and return each node's peak of resident memory."""
    require_ros()
    environment = isolated_environment()
    use_sim_time = ('-p', 'use_sim_time:=true')
    robot = ('--ros-args', '--params-file', str(find_config('robot')), *use_sim_time)
    nodes = {
        'simulator': (
            'wm_controller.nodes.simulator', '--ros-args',
            '--params-file', str(find_config('simulator')),
        ),
        'guardrail': ('wm_controller.nodes.guardrail', *robot),
        'controller': (
            'wm_controller.nodes.controller', *robot, '-p', f'model:={model}',
            '-p', f'allow_ungated:={str(allow_ungated).lower()}',
        ),
    }  # fmt: skip
    with running(nodes, environment) as processes:
        # A goal that is too far to reach in the time: the planner works all along.
        goal = subprocess.run(
            [
                sys.executable,
                '-m',
                'wm_controller.nodes.send_goal',
                '30',
                '0',
                f'--wait={drive_s}',
            ],
            env=environment,
            capture_output=True,
            text=True,
        )
        if 'no active controller' in goal.stderr:
            raise InputError('the controller did not become active: see its output above')
        time.sleep(0.2)
        dead = [name for name, process in processes.items() if process.poll() is not None]
        if dead:
            raise InputError(f'{", ".join(dead)} ended under way: see the output above')
        peaks = {name: peak_memory_mb(process.pid) for name, process in processes.items()}
    return {
        name: {'peak_mb': peak, 'limit_mb': LIMITS_MB.get(name)} for name, peak in peaks.items()
    }
