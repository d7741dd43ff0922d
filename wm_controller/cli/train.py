# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""`wm train`: data sets -> a model bundle with its gates."""

from pathlib import Path
from typing import Annotated

import typer

from wm_controller.cli.common import emit, progress, reports_errors
from wm_controller.errors import InputError, NegativeResult


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
    calibrate: Annotated[Path | None, typer.Option(
        metavar='BUNDLE', help='Do not train: calibrate the surprise of this bundle on the data, '
        "your own robot's for instance; its weights stay as they are.")] = None,
    as_json: Annotated[bool, typer.Option('--json', help='One JSON object on stdout.')] = False,
) -> None:
    """Train a world model; resumes from a checkpoint, exits with 1 when a gate failed."""
    if minutes <= 0 or (steps is not None and steps <= 0) or batch < 2:
        raise InputError('--minutes and --steps must be positive and --batch at least 2')
    if output.suffix != '.safetensors':
        raise InputError(f'{output}: name the bundle *.safetensors')
    if calibrate is not None:
        _calibrate(data, calibrate, output, threads, as_json)
        return
    from wm_controller.training.loop import train as run
    from wm_controller.training.loop import TrainingOptions

    options = TrainingOptions(
        output=output, minutes=minutes, steps=steps, seed=seed, batch=batch, threads=threads,
        learning_rate=learning_rate, mirror=mirror, restart=restart, max_memory_gb=max_memory_gb)
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


def _calibrate(data: list[Path], bundle: Path, output: Path, threads: int, as_json: bool) -> None:
    import torch

    from wm_controller.training.calibration import recalibrate
    if threads:
        torch.set_num_threads(threads)
    with progress('calibrating', total=1000) as advance:
        shown = 0.0

        def report(share: float) -> None:
            nonlocal shown
            advance(1000 * share - shown)
            shown = 1000 * share

        made_of = recalibrate(data, bundle, output, report)
    emit({'model': str(output), **made_of}, as_json, lambda result: (
        f'{output}: surprise calibrated on {sum(made_of["frames"])} frames of '
        f'{sum(made_of["rooms"])} rooms or drives; weights as in {bundle}'))


def _table(result):  # type: ignore[no-untyped-def]
    from rich.table import Table
    table = Table(title=f'{result["model"]}: gates on held-out data', title_justify='left')
    for column in ('figure', 'measured', 'limit'):
        table.add_column(column)
    limits = result['limits']
    for step, ratio in result['persistence_ratio'].items():
        limit = limits['persistence_ratio'][step]
        table.add_row(f'persistence ratio, {step} steps', f'{ratio:.3f}', f'at most {limit}')
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
