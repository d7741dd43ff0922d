# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""What the rows of the benchmark amount to, beside what others have published."""

from collections.abc import Iterable
import csv
import io
from typing import Any

import numpy as np

from wm_controller.evaluation.metrics import wilson_interval
from wm_controller.evaluation.tworoom import Task

# Success rates by distance of the goal, as published; none of them ran on this machine.
PUBLISHED: tuple[tuple[str, dict[int, float]], ...] = (
    ('random (published)', {25: 0.26}),
    ('LeWM, 15 M ViT on a GPU (published)', {25: 0.87, 100: 0.14}),
    ('PLDM (published)', {25: 0.97}),
    ('DINO-WM (published)', {25: 1.00}),
    ('LeWM, reproduced by others', {100: 0.26}),
    ('LeWM, reproduced, with a time-to-reach head', {100: 0.98}),
)
SEEING = {
    'ours': 'pictures',
    'ours with odometry': 'pictures and odometry (the true positions)',
    'lewm': 'pictures; processor time of ours',
    'pldm': 'pictures; processor time of ours',
    'random': 'floor',
    'straight': 'floor; true positions of agent and goal',
    'expert': 'privileged: true positions and the map',
}


def summarise(row: str, task: Task, results: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Pool the seeds of one row and task: rate, Wilson interval, rate of each seed, costs."""
    found = list(results)
    per_seed = [[bool(x) for x in result['successes']] for result in found]
    trials, successes = sum(map(len, per_seed)), sum(map(sum, per_seed))
    plans = [seconds for result in found for seconds in result['plan_cpu_s']]
    training = [result['training'] for result in found if result['training']]
    return {
        'row': row, 'sees': SEEING[row], 'goal_steps': task.offset, 'budget_steps': task.budget,
        'success_rate': successes / trials, 'success_ci95': wilson_interval(successes, trials),
        'episodes': trials, 'seeds': len(found),
        'success_rate_per_seed': [sum(seed) / len(seed) for seed in per_seed],
        'plan_cpu_s': float(np.mean(plans)) if plans else None,
        'training_cpu_s': _mean(training, 'cpu_s'), 'training_steps': _mean(training, 'steps'),
        'parameters': _mean(training, 'parameters'),
    }


def below_aim(rows: Iterable[dict[str, Any]], tasks: Iterable[Task]) -> list[str]:
    """Name what our row (pictures alone) falls short of."""
    aims = {task.offset: task.aim for task in tasks}
    return [f'{row["goal_steps"]} away: {row["success_rate"]:.1%}, aim {aim:.0%}' for row in rows
            if row['row'] == 'ours' and row['success_rate'] < (aim := aims[row['goal_steps']])]


def as_csv(results: Iterable[dict[str, Any]]) -> str:
    """One line per episode: row, seed, distance of the goal, where it was taken from, success."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator='\n')
    writer.writerow(['row', 'seed', 'goal_steps', 'episode', 'start', 'success'])
    for result in results:
        identity = result['identity']
        writer.writerows(
            [identity['row'], identity['seed'], identity['offset'], episode, start, int(success)]
            for episode, start, success in zip(result['episode'], result['start'],
                                               result['successes']))
    return buffer.getvalue()


def _mean(records: list[dict[str, Any]], key: str) -> float | None:
    return float(np.mean([record[key] for record in records])) if records else None
