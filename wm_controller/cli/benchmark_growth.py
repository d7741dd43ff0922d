# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""`wm benchmark growth`: planning time against candidates, horizon and places in memory."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from wm_controller.cli.common import command_line, emit, progress, reports_errors
from wm_controller.errors import InputError


@reports_errors
def growth(
    model: Annotated[str, typer.Argument(help='Bundle, or the name of a shipped one.')],
    out: Annotated[Path, typer.Option(
        '--output', '-o', help='Folder for growth.json, growth.svg and growth.md.'
    )] = Path('runs/growth'),
    calls: Annotated[int, typer.Option(help='Times that each point is timed.', min=3)] = 60,
    most_places: Annotated[int, typer.Option(help='In memory.')] = 100_000,
    as_json: Annotated[bool, typer.Option('--json', help='One JSON object on stdout.')] = False,
) -> None:
    """Time plans and the map of places as they grow, one thing at a time; fit the exponents."""
    import torch

    from wm_controller.evaluation.bench_growth import bench_growth, PLACES, STAGES
    from wm_controller.evaluation.bench_timing import machine
    from wm_controller.evaluation.growth_report import write_growth
    from wm_controller.world_model.bundle import load_bundle

    places = [count for count in PLACES if count <= most_places]
    if len(places) < 2:
        raise InputError(f'--most-places is {most_places}: at least {PLACES[1]}')
    bundle = load_bundle(model)
    out.mkdir(parents=True, exist_ok=True)  # before minutes of work, not after
    torch.set_num_threads(1)
    with progress('growth', total=STAGES) as advance:
        result = {'machine': machine(), 'model': bundle.path.name, 'model_digest': bundle.digest,
                  **bench_growth(bundle, calls, advance, places)}
    write_growth(out, result, command_line())
    emit({**result, 'folder': str(out)}, as_json, _table)


def _table(result: Mapping[str, Any]) -> Any:
    from rich.table import Table
    table = Table(title=f'{result["folder"]}/growth.svg', title_justify='left')
    for column in ('what', 'at', 'p50, ms', 'p99, ms', 'over the default'):
        table.add_column(column, justify='left' if column == 'what' else 'right')
    for found in result['series'].values():
        for row in found['points']:
            table.add_row(found['what'], f'{row["at"]:,} {found["unit"]}', f'{row["p50_ms"]:.2f}',
                          f'{row["p99_ms"]:.2f}', f'{row["ratio"]:.2f}')
        table.add_section()
    table.caption = '\n'.join(found['says'] for found in result['series'].values())
    table.caption_justify = 'left'
    return table
