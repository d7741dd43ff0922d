# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""`wm benchmark ranking`: does what is imagined tell candidate actions apart?"""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from wm_controller.cli.common import emit, progress, reports_errors, with_interval


@reports_errors
def ranking(
    model: Annotated[str, typer.Argument(help='Bundle, or the name of a shipped one.')],
    rooms: Annotated[int, typer.Option(help='Rooms of the evaluation family.', min=1)] = 40,
    seed: Annotated[int, typer.Option(help='Of rooms, drives and candidates.', min=0)] = 0,
    as_json: Annotated[bool, typer.Option('--json', help='One JSON object on stdout.')] = False,
) -> None:
    """Rank actions that were never executed by imagined clearance; the room knows the truth."""
    from wm_controller.evaluation.ranking import rank_candidates
    from wm_controller.world_model.bundle import load_bundle

    bundle = load_bundle(model)
    with progress('rooms', total=rooms) as advance:
        result = rank_candidates(bundle, rooms, seed, advance)
    emit(result, as_json, _table)


def _table(result: Mapping[str, Any]) -> Any:
    from rich.table import Table
    table = Table(title=f'{result["candidates"]} candidates from each of '
                        f'{result["states_with_both"]} states where some touch and some do not',
                  title_justify='left')
    for column in ('score', 'AUC within a state', 'rank correlation with true clearance'):
        table.add_column(column)
    for name, row in result['rows'].items():
        table.add_row(name, *(with_interval(row[key], '.3f')
                              for key in ('auc', 'rank_correlation')))
    return table
