# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""`wm benchmark people`: somebody crosses, comes towards the robot, or walks ahead of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from wm_controller.cli.common import emit, progress, reports_errors, with_interval
from wm_controller.errors import InputError


@reports_errors
def people(
    model: Annotated[str, typer.Argument(help='Bundle, or the name of a shipped one.')],
    encounters: Annotated[int, typer.Option(
        help='So many: crossing, oncoming and ahead in turn; half of the walkers never give '
        'way.', min=1)] = 24,
    first: Annotated[int, typer.Option(help='Number of the first one.', min=0)] = 0,
    seed: Annotated[int, typer.Option(help='Of rooms and walkers.', min=0)] = 0,
    family: Annotated[str, typer.Option(help='Of rooms: evaluation or training.')] = 'evaluation',
    driver: Annotated[list[str] | None, typer.Option(
        help='moving, "still world", straight or oracle; may be repeated. Default: all.')] = None,
    planner: Annotated[str, typer.Option(help='Ours: flat, or hierarchical.')] = 'flat',
    no_scan: Annotated[bool, typer.Option(
        '--no-scan', help='Unplug the laser: no guardrail sees the walkers.')] = False,
    figures: Annotated[Path | None, typer.Option(
        help='Folder for a picture of each encounter.')] = None,
    as_json: Annotated[bool, typer.Option('--json', help='One JSON object on stdout.')] = False,
) -> None:
    """Meet people who walk: foreseeing what moves, in a still world, and beside other drivers."""
    from wm_controller.evaluation.meetings import compare, DRIVERS, Meeting, Wanted
    from wm_controller.evaluation.runner import check_pilot
    from wm_controller.world_model.bundle import load_bundle

    drivers = tuple(driver or DRIVERS)
    if not set(drivers) <= set(DRIVERS):
        raise InputError(f'--driver must be of: {", ".join(DRIVERS)}')
    bundle = load_bundle(model)
    check_pilot(planner, bundle)
    wanted = Wanted(bundle.path, encounters, first, seed, family, planner, not no_scan, drivers)
    with progress('meeting', total=encounters * len(drivers)) as advance:
        seen: list[Meeting] = []

        def on_done(meeting: Meeting) -> None:
            advance()
            seen.append(meeting)
            if len(seen) == len(drivers):
                if figures is not None:
                    _draw(seen, figures)
                seen.clear()

        result = compare(wanted, on_done)
    emit({**result, 'model_digest': bundle.digest}, as_json, _table)


def _draw(meetings: list[Any], folder: Path) -> None:
    from wm_controller.evaluation.meeting_figure import meeting_map
    from wm_controller.files import write_whole
    encounter = meetings[0].encounter
    name = f'{encounter.task.index:03d}-{encounter.kind}.png'
    write_whole(folder / name, meeting_map(meetings), make_folder=True)


def _table(result: Mapping[str, Any]) -> Any:
    from rich.table import Table
    table = Table(title=f'{result["encounters"]} encounters', title_justify='left')
    for column in ('driver', 'success', 'bumps (robot moving)', 'stops', 'guardrail cuts, s',
                   'closest, m', 'lost, s', 'alone'):
        table.add_column(column)
    for name, row in result['rows'].items():
        low, high = row['success_ci95']
        table.add_row(
            name, f'{row["success_rate"]:.0%} ({low:.0%} to {high:.0%})',
            f'{row["bumps"]} ({row["driven_into"]})', str(row['stops']),
            *(with_interval(row[key]) for key in ('cut_s', 'gap_m', 'lost_s')),
            f'{row["alone_success_rate"]:.0%}')
    if 'gain' in result:
        gain = result['gain']
        table.add_section()
        table.add_row(
            'moving less still', with_interval(gain['success']),
            f'{with_interval(gain["bumps"])}; {with_interval(gain["driven_into"])}',
            with_interval(gain['stops']),
            *(with_interval(gain[key]) for key in ('cut_s', 'gap_m', 'lost_s')), '')
    return table
