# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""`wm benchmark bands`: goals near, mid and far, beside rivals in the same rooms."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from wm_controller.cli.common import emit, figure, progress, reports_errors
from wm_controller.spread import RAY_HELP, Workers


@reports_errors
def bands(
    model: Annotated[Path, typer.Argument(help='Bundle to drive with.')],
    out: Annotated[Path, typer.Option(
        '--output', '-o', help='Folder for the cells; what is there is not driven again.'
    )] = Path('runs/bands'),
    only: Annotated[list[str] | None, typer.Option(
        metavar='ROW', help='PLANNER[:image][:camera][:-PART], as hierarchical:camera:-places; '
        'may be repeated. Default: rivals, flat, hierarchical with and without laser.')] = None,
    rival: Annotated[Path | None, typer.Option(
        help='Diffusion policy (`wm benchmark rival`): its rows are driven too.')] = None,
    band: Annotated[list[str] | None, typer.Option(
        help='near (2-4 m), mid (4-8 m), far (8-16 m); may be repeated. Default: all.')] = None,
    episodes: Annotated[int, typer.Option(help='Drives of each seed and band.')] = 100,
    seeds: Annotated[int, typer.Option(help='So many, from 0 on.')] = 3,
    workers: Annotated[int, typer.Option(help='Processes; 0: one a core.')] = 2,
    ray: Annotated[str | None, typer.Option(metavar='ADDRESS', help=RAY_HELP)] = None,
    as_json: Annotated[bool, typer.Option('--json', help='One JSON object on stdout.')] = False,
) -> None:
    """Drive to goals in three bands of distance, and to pictures: mid and far after a lesson."""
    from wm_controller.evaluation.bands_study import DEFAULT, Extent, NAMES, run_bands_study

    extent = Extent(episodes, tuple(range(seeds)), tuple(band or NAMES),
                    Workers(workers, ray))
    names = only or [*DEFAULT, *(('diffusion', 'diffusion:image') if rival else ())]
    total = len(names) * len(extent.bands) * seeds * episodes
    with progress('driving', total=total) as advance:
        result = run_bands_study(model, names, extent, out, advance, rival)
    emit(result, as_json, _table)


def _table(result: Mapping[str, Any]) -> Any:
    from rich.table import Table
    table = Table(title=f'{result["episodes"]} drives of each of {len(result["seeds"])} seeds',
                  title_justify='left')
    for column in ('who', 'band', 'success', 'SPL', 'bumps per 100 m', 'planning, s/m'):
        table.add_column(column)
    for name, cells in result['rows'].items():
        for band, cell in cells.items():
            low, high = cell['success_ci95']
            table.add_row(
                name, band, f'{cell["success_rate"]:.0%} ({low:.0%} to {high:.0%})',
                f'{cell["spl"]:.2f}', figure(cell['collisions_per_100m'], 1),
                figure(cell['plan_s_per_m'], 2))
    return table
