# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""`wm benchmark latent-actions`: how far video with few commands comes to commands for all."""

from collections.abc import Mapping
from pathlib import Path
import tempfile
from typing import Annotated, Any

from rich.console import Group
from rich.table import Table
import typer

from wm_controller.cli.common import emit, progress, reports_errors
from wm_controller.errors import InputError


@reports_errors
def latent_actions(
    data: Annotated[Path, typer.Argument(help='Data set with commands, which are then hidden.')],
    evaluate: Annotated[Path | None, typer.Option(
        help='Data set to score on; default: episodes of DATA held out.')] = None,
    episodes: Annotated[int, typer.Option(help='First episodes of DATA to use; 0: all.')] = 0,
    encoder: Annotated[str | None, typer.Option(
        help='Bundle whose encoder all models share; default: one trained on the video.')] = None,
    encoder_steps: Annotated[int, typer.Option(help='Iterations of that training.')] = 1200,
    seconds: Annotated[float, typer.Option(help='Processor time to train each model.')] = 30.0,
    seeds: Annotated[int, typer.Option(help='Seeds of weights and of which steps keep commands.',
                                       min=1)] = 2,
    share: Annotated[list[float] | None, typer.Option(
        help='Share of the steps with commands; may be repeated.')] = None,
    width: Annotated[int, typer.Option(help='Numbers of a latent action.', min=1, max=16)] = 4,
    bottleneck: Annotated[float, typer.Option(help='Price of a nat through it.')] = 0.08,
    components: Annotated[int, typer.Option(
        help='Slowest components of the latents that are predicted.', min=1)] = 16,
    as_json: Annotated[bool, typer.Option('--json', help='One JSON object on stdout.')] = False,
) -> None:
    """Compare models with all commands, few, few beside video, and none, on one encoder."""
    import torch

    from wm_controller.data.part import write_part
    from wm_controller.evaluation.latent_actions import run_study, Study

    shares = tuple(share or (0.01, 0.1))
    if not all(0 < each < 1 for each in shares) or seconds <= 0 or bottleneck < 0:
        raise InputError('--share must lie between 0 and 1, --seconds be positive and '
                         '--bottleneck not negative')
    torch.set_num_threads(1)  # processor time is then the same for all
    with tempfile.TemporaryDirectory() as folder, progress('benchmark') as advance:
        if episodes:
            data = write_part(data, Path(folder) / data.name, episodes)
        result = run_study(Study(data, evaluate, encoder, encoder_steps, seconds, shares, seeds,
                                 width, components, bottleneck), advance)
    emit(result, as_json, _tables)


def _tables(result: Mapping[str, Any]) -> Group:
    steps = list(result['rows'][0]['persistence_ratio'])
    errors = Table(title=f'{result["data"]}: error over that of no change, and the share of what '
                   'commands win that is recovered', title_justify='left')
    errors.add_column('trained on')
    for step in steps:
        errors.add_column(f'{step} steps (95 %)')
    errors.add_column('recovered, ' + ' / '.join(steps))
    errors.add_column('pose error')
    for row in result['rows']:
        errors.add_row(
            row['row'],
            *(f'{row["persistence_ratio"][s]:.3f} ({row["ci95"][s][0]:.3f} to '
              f'{row["ci95"][s][1]:.3f})' for s in steps),
            ' / '.join(_share(row['recovered'][s]) for s in steps),
            f'{row["pose_error_m"]:.3f} m')
    moves = Table(title='The same latent action in another scene: correlations',
                  title_justify='left')
    for column in ('trained on', 'seed', 'z with commands (shuffled)', 'motion in the own scene',
                   'in another scene', 'shuffled'):
        moves.add_column(column)
    for row in result['transfer']:
        motion, commands = row['motion'], row['commands']
        moves.add_row(row['row'], str(row['seed']),
                      f'{_text(commands["linear"])} ({_text(commands["shuffled"])})',
                      *(_text(motion[k]) for k in ('own scene', 'other scene', 'shuffled')))
    return Group(errors, moves)


def _share(value: float | None) -> str:
    return 'no gap' if value is None else f'{value:.0%}'


def _text(values: Mapping[str, float | None]) -> str:
    return ', '.join(f'{name} ' + ('constant' if value is None else f'{value:.2f}')
                     for name, value in values.items())
