# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""`wm benchmark rival`: train a policy that imagines nothing, to be driven beside the planner."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from wm_controller.cli.common import emit, progress_to, reports_errors
from wm_controller.errors import InputError


@reports_errors
def rival(
    data: Annotated[list[Path], typer.Argument(help='Data sets (.h5) to train on.')],
    out: Annotated[Path, typer.Option('--output', '-o', help='File (.safetensors) to write.')],
    eyes: Annotated[str, typer.Option(
        help='Bundle, or name of a shipped one, whose encoder and comparison of pictures the '
        'policy sees with; they stay as they are.')] = 'indoor',
    minutes: Annotated[float, typer.Option(
        help='Training, all resumed parts together, after the frames are encoded.')] = 20.0,
    steps: Annotated[int | None, typer.Option(help='Iterations instead of minutes.')] = None,
    batch: Annotated[int, typer.Option(help='Chunks of actions in a batch.', min=8)] = 256,
    seed: Annotated[int, typer.Option(help='Of weights and batches.', min=0)] = 0,
    threads: Annotated[int, typer.Option(help='Processor threads; 0: all.', min=0)] = 0,
    features: Annotated[Path | None, typer.Option(
        help='Keep what the eyes see of DATA in this file, and read it there the next time; '
        'otherwise it is kept until the run ends.')] = None,
    restart: Annotated[bool, typer.Option(
        '--restart', help='Begin anew where a checkpoint lies beside the output.')] = False,
    as_json: Annotated[bool, typer.Option('--json', help='One JSON object on stdout.')] = False,
) -> None:
    """
    Train a NoMaD-like diffusion policy, for `wm evaluate FILE --planner diffusion`.

    Frames and a goal picture, a place, or nothing (the goal is masked) to chunks of commands. A
    run that was stopped goes on from its checkpoint.
    """
    if not minutes > 0 or (steps is not None and steps < 1):
        raise InputError('--minutes and --steps must be positive')
    if not out.suffix:
        raise InputError(f'{out}: name the file to write, as rival.safetensors')
    from wm_controller.evaluation.diffusion_training import RivalOptions, train_rival

    options = RivalOptions(eyes, out, minutes=minutes, steps=steps, seed=seed, batch=batch,
                           threads=threads, restart=restart, features=features)
    with progress_to('looking') as move:
        def report(state: Any, fraction: float, terms: Mapping[str, float]) -> None:
            move(fraction, f'rival  {terms["actions"]:.3f}')

        record = train_rival(data, options, report, move)
    emit({'rival': str(out), **record}, as_json, _table)


def _table(result: Mapping[str, Any]) -> Any:
    from rich.table import Table

    error = result['action_error']
    table = Table(title=f'{result["rival"]}: {result["parameters"]} parameters, '
                        f'{result["chunks"]} chunks in {result["minutes"]:g} minutes',
                  title_justify='left')
    for column in ('held-out drives', 'goal given', 'goal masked', 'constant'):
        table.add_column(column)
    for kind in ('picture', 'place'):
        table.add_row(f'error of actions, {kind}', f'{error[f"{kind}_given"]:.3f}',
                      f'{error[f"{kind}_masked"]:.3f}', f'{error["mean_action"]:.3f}')
    table.add_row('error of steps to the picture', f'{result["steps_error"]:.1f}', '',
                  f'{result["steps_constant"]:.1f}')
    return table
