# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""`wm benchmark doctor`: plant faults into a running robot; `wm doctor` must find each."""

from collections.abc import Mapping
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from wm_controller.cli.common import command_line, emit, plain, progress, reports_errors
from wm_controller.errors import InputError, NegativeResult
from wm_controller.files import write_whole


@reports_errors
def doctor(
    only: Annotated[list[str], typer.Option(
        '--only', help='Name of a fault; may be repeated.')] = [],  # noqa: B006
    seeds: Annotated[int, typer.Option(help='Rooms that each is planted in.', min=1)] = 3,
    first: Annotated[int, typer.Option(help='Seed of the first room.', min=0)] = 1,
    markdown: Annotated[Path | None, typer.Option(
        help='Write the table into this page, between its marks.')] = None,
    out: Annotated[Path, typer.Option(
        '--out', '-o', help='Folder that the run folder is made in.')] = Path('runs'),
    as_json: Annotated[bool, typer.Option('--json', help='One JSON object on stdout.')] = False,
) -> None:
    """Plant faults into the running simulated robot, and see what `wm doctor` says of each."""
    from wm_controller.evaluation.doctor_table import as_markdown, chosen, run_plants, with_table
    from wm_controller.evaluation.processes import ros_environment
    from wm_controller.evaluation.report import run_directory

    plants = chosen(only)
    if markdown is not None and not markdown.is_file():
        raise InputError(f'{markdown}: no such file')
    directory = run_directory(out, 'doctor')
    rows: dict[str, dict[str, Any]] = {}
    with progress('planting', total=len(plants) * seeds) as advance:
        for row in run_plants(plants, range(first, first + seeds), directory, ros_environment()):
            rows[row.plant.name] = row.as_dict()
            text = json.dumps(plain(list(rows.values())), indent=1, allow_nan=False)
            write_whole(directory / 'doctor.json', text.encode())
            if not as_json:
                print(f'{row.plant.name}: {row.verdicts[-1]} {" ".join(row.others[-1])}'.rstrip(),
                      flush=True)
            advance(description=row.plant.name)
    results = list(rows.values())
    if markdown is not None:
        table = as_markdown(results, f'`{command_line()}`, rooms {first} to {first + seeds - 1} '
                            'of the evaluation family.')
        page = with_table(markdown.read_text(encoding='utf-8'), table)
        write_whole(markdown, page.encode())
    emit({'rows': results, 'report': str(directory)}, as_json, _table)
    failed = [row['fault'] for row in results if not row['passed']]
    if failed:
        raise NegativeResult(f'{len(failed)} of {len(results)} not found, or more than they: '
                             f'{", ".join(failed)}')


def _table(result: Mapping[str, Any]) -> Any:
    from rich.table import Table

    table = Table(title=str(result['report']), title_justify='left')
    for column in ('fault', 'check', 'said', 'besides', ''):
        table.add_column(column, overflow='fold')
    for row in result['rows']:
        table.add_row(row['fault'], row['check'], ', '.join(row['verdicts']),
                      '; '.join(' '.join(names) for names in row['others'] if names),
                      'passed' if row['passed'] else '[red]FAILED[/]')
    return table
