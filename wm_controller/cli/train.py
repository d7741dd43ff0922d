# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""`wm train`: data sets -> a model bundle with its gates."""

from pathlib import Path
from typing import Annotated

import typer

from wm_controller.cli.common import emit, progress, reports_errors
from wm_controller.errors import InputError, NegativeResult

LATENT_ACTION = 4  # numbers of an action learned from video


@reports_errors
def train(
    data: Annotated[list[Path], typer.Argument(help='Data sets (.h5) of one step period.')],
    output: Annotated[Path, typer.Option('--output', '-o', help='Bundle to write.')],
    minutes: Annotated[float, typer.Option(help='Training time, resumed parts included.')] = 30.0,
    steps: Annotated[int | None, typer.Option(help='Iterations instead of minutes.')] = None,
    seed: Annotated[int, typer.Option(help='Seed of weights, batches and augmentation.')] = 0,
    batch: Annotated[int, typer.Option(help='Sequences in a batch.')] = 32,
    learning_rate: Annotated[float, typer.Option(help='Peak learning rate.')] = 1e-3,
    threads: Annotated[int, typer.Option(help='Processor threads; 0: all.')] = 0,
    mirror: Annotated[bool, typer.Option(help='Train on mirror images too.')] = True,
    restart: Annotated[bool, typer.Option(help='Ignore a checkpoint beside the output.')] = False,
    max_memory_gb: Annotated[float, typer.Option(
        help='Frames in memory, at most; more lie unpacked in a temporary file.')] = 2.5,
    latent_actions: Annotated[bool, typer.Option(
        '--latent-actions', help='Learn actions from the video; commands may lack.')] = False,
    pretrain_minutes: Annotated[float, typer.Option(
        help='Of --minutes, first, on masked frames alone (V-JEPA).')] = 0.0,
    labels: Annotated[float, typer.Option(
        help='Share of the steps whose commands, odometry and scan are used.')] = 1.0,
    as_json: Annotated[bool, typer.Option('--json', help='One JSON object on stdout.')] = False,
) -> None:
    """Train a world model; resumes from a checkpoint, exits with 1 when a gate failed."""
    if minutes <= 0 or (steps is not None and steps <= 0) or batch < 2:
        raise InputError('--minutes and --steps must be positive and --batch at least 2')
    if not 0 <= pretrain_minutes < minutes:
        raise InputError(f'--pretrain-minutes {pretrain_minutes:g}: a part of the {minutes:g} of '
                         '--minutes')
    if not 0 <= labels <= 1:
        raise InputError(f'--labels {labels:g}: a share, from 0 to 1')
    if output.suffix != '.safetensors':
        raise InputError(f'{output}: name the bundle *.safetensors')
    from wm_controller.training.loop import train as run
    from wm_controller.training.loop import TrainingOptions
    from wm_controller.world_model.spec import Architecture

    options = TrainingOptions(
        output=output, minutes=minutes, steps=steps, seed=seed, batch=batch, threads=threads,
        learning_rate=learning_rate, mirror=mirror, restart=restart, max_memory_gb=max_memory_gb,
        labels=labels, pretrain_minutes=pretrain_minutes,
        architecture=Architecture(latent_action=LATENT_ACTION if latent_actions else 0))
    with progress('training', total=1000) as advance:
        shown = 0.0

        def report(state, fraction, terms):  # type: ignore[no-untyped-def]
            nonlocal shown
            rate = state.frames / max(state.elapsed_s, 1e-6)
            advance(1000 * fraction - shown, description=(
                f'training  prediction {terms["prediction"]:.3f}  '
                f'clearance {terms["clearance"]:.3f}  {rate:.0f} frames/s'))
            shown = 1000 * fraction

        gates = run(data, options, report)
    emit({'model': str(output), **gates}, as_json, _table)
    if not gates['passed']:
        raise NegativeResult(f'{output}: written, but gates failed: {", ".join(gates["failed"])}; '
                             'the controller refuses it unless allow_ungated is set')


def _table(result):  # type: ignore[no-untyped-def]
    from rich.table import Table
    table = Table(title=f'{result["model"]}: gates on held-out data', title_justify='left')
    for column in ('figure', 'measured', 'limit'):
        table.add_column(column)
    limits = result['limits']
    for step, ratio in result['persistence_ratio'].items():
        limit = limits['persistence_ratio'][step]
        table.add_row(f'persistence ratio, {step} steps', _text(ratio), f'at most {limit}')
    table.add_row('effective rank', f'{result["effective_rank"]}',
                  f'at least {limits["effective_rank"]}')
    table.add_row('time-to-reach rank correlation', _text(result['reach_correlation']),
                  f'at least {limits["reach_correlation"]}')
    table.add_row('surprise threshold (energy)', _text(result['surprise_threshold']),
                  f'false alarms {result["surprise_false_alarm_rate"]:.0%}')
    for key in ('clearance_error_m', 'clearance_error_8_steps_m', 'clearance_no_change_8_steps_m',
                'pose_error_per_step_m', 'goal_picture_error_m', 'goal_picture_constant_m'):
        table.add_row(key.replace('_', ' '), _text(result[key]), '')
    return table


def _text(value: float | None) -> str:
    return 'not in the data' if value is None else f'{value:.4g}'
