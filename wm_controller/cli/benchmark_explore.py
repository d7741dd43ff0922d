# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""`wm benchmark explore`: how much is seen when nobody says where to drive."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from wm_controller.cli.common import command_line, emit, progress, reports_errors, with_interval
from wm_controller.errors import InputError


@reports_errors
def explore(
    model: Annotated[str, typer.Argument(help='Bundle, or the name of a shipped one.')],
    rooms: Annotated[int, typer.Option(help='Rooms of the evaluation family.', min=1)] = 8,
    minutes: Annotated[float, typer.Option(help='In each room.')] = 2.0,
    seed: Annotated[int, typer.Option(help='Of rooms and starts.', min=0)] = 0,
    planner: Annotated[str, typer.Option(help='flat, or hierarchical.')] = 'flat',
    no_scan: Annotated[bool, typer.Option(
        '--no-scan', help='Unplug the laser: camera alone.')] = False,
    out: Annotated[Path | None, typer.Option(
        '--output', '-o', help='Folder for explore.html, maps of the exploring drives.')] = None,
    as_json: Annotated[bool, typer.Option('--json', help='One JSON object on stdout.')] = False,
) -> None:
    """Explore rooms; beside it, driving straight on until something stops it, and at random."""
    if not minutes > 0:
        raise InputError('--minutes must be positive')
    from wm_controller.evaluation.coverage import compare, Comparison, WAYS
    from wm_controller.evaluation.runner import check_pilot
    from wm_controller.world_model.bundle import load_bundle

    bundle = load_bundle(model)
    check_pilot(planner, bundle)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    with progress('exploring', total=rooms * len(WAYS)) as advance:
        result = compare(Comparison(bundle.path, rooms, minutes, seed, planner, not no_scan, out,
                                    command_line()), advance)
    emit({**result, 'model_digest': bundle.digest}, as_json, _table)


def _table(result: Mapping[str, Any]) -> Any:
    from rich.table import Table
    table = Table(title=f'{result["rooms"]} rooms, {result["minutes"]:g} minutes each',
                  title_justify='left')
    for column in ('drives', 'floor seen, m² a minute', 'share of the floor', 'bumps per 100 m'):
        table.add_column(column)
    for name, row in result['rows'].items():
        bumps = row['collisions_per_100m']
        table.add_row(name, with_interval(row['m2_per_minute'], '.1f'),
                      with_interval(row['share'], '.0%'),
                      '–' if bumps is None else f'{bumps:.1f}')
    return table
