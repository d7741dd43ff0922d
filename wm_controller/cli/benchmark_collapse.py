# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""`wm benchmark collapse`: ways to train without collapse, and encoders, side by side."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from wm_controller.cli.common import emit, progress, reports_errors
from wm_controller.errors import InputError


@reports_errors
def collapse(
    data: Annotated[list[Path], typer.Argument(help='Data sets (.h5) to train on.')],
    held_out: Annotated[Path, typer.Option(help='Data set (.h5) of other rooms, to score on.')],
    out: Annotated[Path, typer.Option(
        '--output', '-o', help='Folder for models and rows; what is there is not trained again.'
    )] = Path('runs/collapse'),
    minutes: Annotated[float, typer.Option(
        help="Training of each, minutes of one thread's processor time.")] = 4.0,
    steps: Annotated[int | None, typer.Option(
        help='Iterations instead: equal frames, not equal time.')] = None,
    only: Annotated[list[str] | None, typer.Option(
        help='Rows: REGULARISER or REGULARISER+ENCODER as in `wm train`; may be repeated. '
             'Default: every regulariser, and vicreg+efficientnet_lite0.')] = None,
    episodes: Annotated[int, typer.Option(
        help='Drives of each model, by camera alone; 0: prediction only.', min=0)] = 0,
    batch: Annotated[int, typer.Option(help='Sequences in a batch.', min=2)] = 32,
    width: Annotated[float, typer.Option(
        help='Width of every network over the default: less learns sooner.', min=0.1)] = 1.0,
    seed: Annotated[int, typer.Option(help='Of weights and batches.')] = 0,
    as_json: Annotated[bool, typer.Option('--json', help='One JSON object on stdout.')] = False,
) -> None:
    """Train every way for equal time on one data set; compare prediction, rank and driving."""
    if minutes <= 0 or (steps is not None and steps <= 0):
        raise InputError('--minutes and --steps must be positive')
    from wm_controller.evaluation.collapse_study import Budget, DEFAULT, run_collapse_study

    names = only or list(DEFAULT)
    with progress('comparing', total=len(names) * (3 if episodes else 2)) as advance:
        result = run_collapse_study(
            data, held_out, out, Budget(minutes, steps, batch, width, seed, episodes), names,
            lambda text: advance(description=text))
    emit(result, as_json, _table)


def _table(result: Mapping[str, Any]) -> Any:
    from rich.table import Table

    machine, rows = result['machine'], result['rows']
    still = rows[0]['clearance_no_change_8_steps_m']
    table = Table(
        title=f'on {result["held_out"]["name"]}; {machine["cores"]} cores, '
              f'load {machine["load_1min"]:.1f}; clearance 8 ahead of no change: {still} m',
        title_justify='left', box=None, padding=(0, 2, 0, 0))
    columns = ('', 'frames', 'min', 'latent 1 / 4 / 8', 'clearance 1 / 4 / 8', 'now m',
               '8 ahead m (95 % of ratio)', 'pose 1 / 8 mm', 'rank', 'encode ms', 'success')
    for column in columns:
        table.add_column(column, justify='right' if column else 'left')
    for row in rows:
        table.add_row(*_cells(row))
    return table


def _cells(row: Mapping[str, Any]) -> list[str]:
    def ratios(key: str) -> str:
        return ' / '.join(f'{row[key][k][0]:.2f}' for k in ('1', '4', '8') if k in row[key])

    ahead = row['clearance_ratio'].get('8')
    interval = f' ({ahead[1]:.2f} to {ahead[2]:.2f})' if ahead else ''
    drives = row.get('driving')
    pose = [row[f'pose_error_{key}_m'] for key in ('per_step', '8th_step')]
    return [
        row['name'], f'{row["frames"] / 1000:.0f}k', f'{row["processor_minutes"]:.1f}',
        ratios('persistence_ratio'), ratios('clearance_ratio'),
        _figure(row['clearance_error_m']), _figure(row['clearance_error_8_steps_m']) + interval,
        ' / '.join('–' if each is None else f'{1000 * each:.1f}' for each in pose),
        f'{row["effective_rank"]:.0f}', f'{row["encode_ms"]:.1f}',
        '' if drives is None else '{:.0%} ({:.0%} to {:.0%}) of {}'.format(
            drives['success_rate'], *drives['success_ci95'], drives['episodes']),
    ]


def _figure(value: float | None) -> str:
    return '–' if value is None else f'{value:.3f}'
