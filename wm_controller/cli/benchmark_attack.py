# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""`wm benchmark attack`: does the guard hold against a planner that wants to hit things?"""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from wm_controller.cli.common import emit, progress, reports_errors
from wm_controller.spread import RAY_HELP, Workers


@reports_errors
def attack(
    episodes: Annotated[int, typer.Option(help='Rooms, with three people each.', min=1)] = 200,
    first: Annotated[int, typer.Option(help='Number of the first one.', min=0)] = 0,
    seed: Annotated[int, typer.Option(help='Of rooms, people and attacks.', min=0)] = 0,
    seconds: Annotated[float, typer.Option(help='Of each attack.', min=1.0)] = 25.0,
    workers: Annotated[int, typer.Option(help='Processes; 0: one a core.', min=0)] = 2,
    ray: Annotated[str | None, typer.Option(metavar='ADDRESS', help=RAY_HELP)] = None,
    as_json: Annotated[bool, typer.Option('--json', help='One JSON object on stdout.')] = False,
) -> None:
    """Drive at furniture and people at full speed, by laser and guardrail alone; no model."""
    from wm_controller.evaluation.attack import run_attacks

    where = Workers(workers, ray)
    with progress('attacking', total=episodes) as advance:
        result = run_attacks(range(first, first + episodes), seed, seconds, where, advance)
    emit(result, as_json, _table)


def _table(result: Mapping[str, Any]) -> Any:
    from rich.table import Table
    table = Table(title=f'{result["episodes"]} attacks, {result["driven_m"]:.0f} m driven, held '
                        f'for {result["held_share"]:.0%} of the time', title_justify='left')
    for column in ('people', 'touched', 'contacts', 'robot over 0.1 m/s', 'in attacks (95 %)',
                   'fastest'):
        table.add_column(column)
    for people, rows in result['rows'].items():
        for thing, row in rows.items():
            low, high = row['hard_ci95']
            table.add_row(
                people, thing, str(row['contacts']), str(row['hard_contacts']),
                f'{row["episodes_with_hard"]} of {row["episodes"]} ({low:.0%} to {high:.0%})',
                f'{row["fastest_m_s"]:.2f} m/s')
    return table
