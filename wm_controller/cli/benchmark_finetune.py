# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""`wm benchmark finetune`: a model fine-tuned on a recording beside one trained from scratch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from wm_controller.cli.common import emit, progress, reports_errors


@reports_errors
def finetune(
    data: Annotated[Path, typer.Argument(help='A data set (.h5) of your own robot.')],
    initial: Annotated[str, typer.Option(
        '--from', help='Bundle to begin from: a file, or the name of a shipped one.')] = 'indoor',
    out: Annotated[Path, typer.Option(
        '--output', '-o', help='Folder for models and figures; what is there is not trained again.'
    )] = Path('runs/finetune'),
    minutes: Annotated[float, typer.Option(
        help="Training of each, minutes of one thread's processor time.")] = 3.0,
    steps: Annotated[int | None, typer.Option(help='Iterations instead of minutes.')] = None,
    seeds: Annotated[int, typer.Option(help='Models of each kind.', min=1)] = 3,
    held_out: Annotated[float, typer.Option(
        help='Share of the recording, at its end, that is predicted and not trained on.')] = 0.2,
    driving: Annotated[list[float] | None, typer.Option(
        help='Train on only so many minutes of driving too; may be repeated.')] = None,
    learning_rate: Annotated[float, typer.Option(help='Peak learning rate.')] = 1e-3,
    as_json: Annotated[bool, typer.Option('--json', help='One JSON object on stdout.')] = False,
) -> None:
    """Train on the beginning of a recording and predict its end: fine-tuned, from scratch.

    All get equal time. Errors are over that of expecting no change: below 1 is better than that.
    """
    from wm_controller.evaluation.fine_tuning import Extent, run_fine_tuning

    extent = Extent(minutes, steps, tuple(range(seeds)), held_out, tuple(driving or ()),
                    learning_rate=learning_rate)
    total = 1 + 2 * seeds * (1 + len(extent.driving_minutes))
    with progress('comparing', total=total) as advance:
        result = run_fine_tuning(data, initial, out, extent,
                                 lambda text: advance(description=text))
    emit({**result, 'folder': str(out)}, as_json, _table)


def _table(result: Mapping[str, Any]) -> Any:
    from rich.table import Table

    table = Table(title=f'{result["data"]}: error over that of no change, {result["windows"]} '
                  f'windows, {result["minutes"]:g} minutes of one thread each',
                  title_justify='left', box=None, padding=(0, 2, 0, 0))
    table.add_column('')
    for steps in result['mean_view']:
        table.add_column(f'{steps} steps', justify='right')
    for kind in ('picture', 'latent'):
        for row in result['rows']:
            driven = row['driving_minutes']
            name = row['name'] + ('' if driven is None else f', {driven:.1f} min of driving')
            table.add_row(f'{kind}: {name}', *map(_cell, row[kind].values()))
            table.add_row('    always the usual command', *map(
                _cell, row[f'{kind}_forward'].values()), style='dim')
            if kind == 'picture':
                table.add_row('    read from what came', *map(_cell, row['picture_read'].values()),
                              style='dim')
        for driven, found in result['difference'].items():
            table.add_row(f'{kind}: fine-tuned less scratch, {driven} min', *map(
                _cell, found[kind].values()))
        table.add_section()
    table.add_row('picture: always the average view', *map(_cell, result['mean_view'].values()))
    return table


def _cell(value: list[float]) -> str:
    return '{:.2f} [{:.2f}, {:.2f}]'.format(*value)
