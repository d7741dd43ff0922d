# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""`wm benchmark soak`: drive for an hour with random faults; nothing may crash, grow or break."""

from collections.abc import Mapping
import json
import os
from pathlib import Path
import signal
import sys
from typing import Annotated, Any

import typer

from wm_controller.cli.common import emit, plain, progress_to, reports_errors
from wm_controller.errors import InputError, NegativeResult
from wm_controller.files import write_whole


@reports_errors
def soak(
    model: Annotated[str, typer.Argument(help='Bundle, or the name of a shipped one.')] = 'indoor',
    minutes: Annotated[float, typer.Option(help='How long.', min=0.5)] = 60.0,
    seed: Annotated[int, typer.Option(help='Of the faults.', min=0)] = 0,
    planner: Annotated[str, typer.Option(help='hierarchical, or flat.')] = 'hierarchical',
    room_seed: Annotated[int, typer.Option(help='Seed of the room.', min=0)] = 41,
    people: Annotated[int, typer.Option(help='Who walk about.', min=0, max=3)] = 1,
    out: Annotated[Path, typer.Option(
        '--out', '-o', help='Folder that the run folder is made in.')] = Path('runs'),
    as_json: Annotated[bool, typer.Option('--json', help='One JSON object on stdout.')] = False,
) -> None:
    """Drive among people, with one random fault after the other, and watch memory and promises."""
    try:
        from wm_controller.nodes.fault_observer import FaultObserver
        from wm_controller.nodes.runtime import joined
    except ImportError as error:
        raise InputError(
            f'rclpy is not installed ({error}): source a ROS 2 workspace, or pip install '
            "'wm_controller[ros]'") from None
    from wm_controller.evaluation.faults import soak as soaking
    from wm_controller.evaluation.faults.stage import Stage
    from wm_controller.evaluation.processes import ros_environment
    from wm_controller.evaluation.report import run_directory
    from wm_controller.evaluation.runner import check_pilot
    from wm_controller.resources import find_model

    check_pilot(planner)
    stage = Stage(find_model(model), planner, room_seed, people=people)
    signal.signal(signal.SIGTERM, _interrupt)  # a service manager's stop is our Ctrl-C
    os.environ.update(ros_environment())  # the observer joins the same graph
    directory = run_directory(out, 'soak')
    with joined(), progress_to('soaking') as move:
        result, memory = soaking.soak(
            stage, FaultObserver, directory, minutes, seed,
            lambda name, share: move(min(share, 1.0), name),
            lambda line: print(line, file=sys.stderr, flush=True))
    text = json.dumps(plain(result), indent=1, allow_nan=False)
    write_whole(directory / 'summary.json', text.encode())
    series = [{'node': node, 'pid': pid, 's_mib': samples}
              for (node, pid), samples in memory.series.items()]
    write_whole(directory / 'memory.json', json.dumps(series).encode())
    write_whole(directory / 'memory.svg', soaking.memory_figure(memory).encode())
    emit({**result, 'report': str(directory)}, as_json, _table)
    if not result['passed']:
        grown = [row['node'] for row in result['memory'] if row['grows']]
        stopped = '' if result['whole'] else f'stopped after {result["minutes"]:.1f} min; '
        raise NegativeResult(f'{stopped}{len(result["failures"])} failures, memory grows in '
                             f'{", ".join(grown) or "no process"}; see {directory}')


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def _table(result: Mapping[str, Any]) -> Any:
    from rich.table import Table

    from wm_controller.evaluation.faults.soak import as_rows
    table = Table(title=f'{result["minutes"]:.0f} min, {result["faults"]} faults, '
                  f'{result["distance_m"]:.0f} m, {len(result["failures"])} failures; '
                  f'{result["report"]}', title_justify='left')
    for column in ('process', 'MiB after warm-up', 'at the end', 'MiB/h', ''):
        table.add_column(column)
    for row in as_rows(result):
        table.add_row(*row)
    return table
