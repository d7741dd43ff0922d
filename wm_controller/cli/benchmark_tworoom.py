# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""`wm benchmark tworoom`: our model in a public table, beside others trained on the same data."""

from collections.abc import Mapping
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from wm_controller.cli.common import command_line, emit, plain, progress_to, reports_errors
from wm_controller.errors import InputError, NegativeResult


@reports_errors
def tworoom(
    rows: Annotated[str, typer.Option(
        help='Comma-separated rows: ours, ours with odometry, lewm, pldm, random, straight, '
             'expert.')] = 'ours,ours with odometry,lewm,pldm,random,straight,expert',
    seeds: Annotated[int, typer.Option(help='Seeds of training and of starts.', min=1)] = 3,
    episodes: Annotated[int, typer.Option(help='Starts per seed and distance.', min=1)] = 200,
    peer_seeds: Annotated[int, typer.Option(help='Seeds of LeWM and PLDM.', min=1)] = 1,
    peer_episodes: Annotated[int, typer.Option(
        help='Starts of LeWM and PLDM, whose plans take long.', min=1)] = 200,
    goals: Annotated[str, typer.Option(help='Distances of the goals, steps.')] = '25,100',
    steps: Annotated[int, typer.Option(help='Iterations of training.', min=1)] = 1000,
    collect: Annotated[int, typer.Option(help='Episodes to train on.', min=10)] = 400,
    folder: Annotated[Path, typer.Option(
        help='Data, models and results; a run goes on from what is there.')] = Path(
            'data/tworoom'),
    environment: Annotated[Path, typer.Option(
        help='Environment with stable-worldmodel (`make tworoom-env`).')] = Path('.venv-swm'),
    out: Annotated[Path, typer.Option(help='Folder that the run folder is made in.')] = Path(
        'runs'),
    as_json: Annotated[bool, typer.Option('--json', help='One JSON object on stdout.')] = False,
) -> None:
    """
    Drive TwoRoom of `stable-worldmodel` to goal pictures, by its own protocol.

    Collects data with the package's expert, trains our model and the peers, and drives each row
    through the package's evaluation. Exits with 1 where our row is below its aim (25 steps away
    95 %, 100 steps away 90 %).
    """
    from wm_controller.evaluation.report import run_directory
    from wm_controller.evaluation.tworoom import Benchmark, PEERS, ROWS, Settings, TASKS
    from wm_controller.evaluation.tworoom_table import as_csv, below_aim, PUBLISHED, summarise
    from wm_controller.files import write_whole

    chosen = _chosen(rows, ROWS, 'row')
    tasks = [task for task in TASKS
             if str(task.offset) in _chosen(goals, [str(t.offset) for t in TASKS], 'distance')]
    with progress_to('benchmark') as move:
        def told(what: str, share: float) -> None:
            move(share, what)

        running = Benchmark(Settings(folder, environment, episodes, peer_episodes, collect, steps),
                            told)
        results, summaries = [], []
        for row in chosen:
            for task in tasks:
                found = [running.result(row, task, seed)
                         for seed in range(peer_seeds if row in PEERS else seeds)]
                results += found
                summaries.append(summarise(row, task, found))
    short = below_aim(summaries, tasks)
    report = {'benchmark': 'swm/TwoRoom-v1', 'success_px': 16, 'image_px': 224,
              'rows': summaries, 'published': [{'row': row, **{str(k): v for k, v in by.items()}}
                                               for row, by in PUBLISHED],
              'below_aim': short, 'command': command_line()}
    directory = run_directory(out, 'benchmark-tworoom')
    write_whole(directory / 'summary.json', json.dumps(plain(report), indent=2).encode())
    write_whole(directory / 'episodes.csv', as_csv(results).encode())
    emit({**report, 'report': str(directory)}, as_json, _table)
    if short:
        raise NegativeResult('; '.join(short))


def _chosen(text: str, known: Any, what: str) -> list[str]:
    names = [part.strip() for part in text.split(',') if part.strip()]
    unknown = [part for part in names if part not in known]
    if unknown or not names:
        raise InputError(f'no such {what}: {", ".join(unknown) or "none given"}; there are '
                         f'{", ".join(known)}')
    return names


def _table(result: Mapping[str, Any]) -> Any:
    from rich.table import Table
    table = Table(title=f'{result["benchmark"]}: success within 16 of 224 px',
                  title_justify='left', caption=str(result['report']), caption_justify='left')
    for column in ('row', 'sees', 'goal', 'success', '95 % interval', 'episodes', 'each seed',
                   'plan, CPU s', 'training, CPU s'):
        table.add_column(column)
    for row in result['rows']:
        low, high = row['success_ci95']
        table.add_row(
            row['row'], row['sees'], f'{row["goal_steps"]} in {row["budget_steps"]}',
            f'{row["success_rate"]:.1%}', f'{low:.1%} to {high:.1%}', str(row['episodes']),
            ' '.join(f'{rate:.0%}' for rate in row['success_rate_per_seed']),
            _number(row['plan_cpu_s'], 3), _number(row['training_cpu_s'], 0))
    for row in result['published']:
        for distance in (key for key in row if key != 'row'):
            table.add_row(row['row'], '', distance, f'{row[distance]:.0%}', '', '', '', '', '')
    return table


def _number(value: float | None, digits: int) -> str:
    return '' if value is None else f'{value:.{digits}f}'
