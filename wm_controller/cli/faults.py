# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""`wm faults`: inject faults into real processes, and see that each leads to what it must."""

from collections.abc import Mapping
import json
import os
from pathlib import Path
import signal
import sys
from typing import Any

from rich.console import Console
from rich.table import Table
import typer

from wm_controller.cli.common import command_line, emit, plain, progress, reports_errors
from wm_controller.errors import InputError, NegativeResult
from wm_controller.files import write_whole


@reports_errors
def faults(
    only: list[str] = typer.Option([], '--only', help='Name of a fault; may be repeated.'),
    runs: int = typer.Option(1, help='How often each.', min=1, max=100),
    listed: bool = typer.Option(False, '--list', help='Name the faults and run none.'),
    model: str = typer.Option('indoor', help='Bundle file, or the name of a shipped one.'),
    planner: str = typer.Option('hierarchical', help='hierarchical, or flat: no map of places.'),
    room_seed: int = typer.Option(41, help='Seed of the room.', min=0),
    out: Path = typer.Option(
        Path('runs'), '--out', '-o', help='Folder that the run folder is made in.'),
    markdown: Path | None = typer.Option(
        None, help='Also write the table there, as a page of the documentation.'),
    as_json: bool = typer.Option(False, '--json', help='Print the rows as a JSON list.'),
) -> None:
    """
    Inject each fault into a driving robot and measure what comes of it.

    Simulator, controller and guardrail are real processes. Exits with 1 if a row fails.
    """
    from wm_controller.evaluation.faults.table import chosen

    wanted = chosen(only)
    if listed:
        _list([{'fault': each.name, 'injected': each.injected, 'expected': each.expected,
                'limit_s': each.limit_s} for each in wanted], as_json)
        return
    try:
        from wm_controller.nodes.fault_observer import FaultObserver
        from wm_controller.nodes.runtime import joined
    except ImportError as error:
        raise InputError(
            f'rclpy is not installed ({error}): source a ROS 2 workspace, or pip install '
            "'wm_controller[ros]'") from None
    from wm_controller.evaluation.faults.stage import Stage
    from wm_controller.evaluation.faults.table import run_table
    from wm_controller.evaluation.processes import ros_environment
    from wm_controller.evaluation.report import run_directory
    from wm_controller.evaluation.runner import check_pilot
    from wm_controller.resources import find_model

    check_pilot(planner)
    stage = Stage(find_model(model), planner, room_seed)
    signal.signal(signal.SIGTERM, _interrupt)  # a service manager's stop is our Ctrl-C
    os.environ.update(ros_environment())  # the observer joins the same graph
    directory = run_directory(out, 'faults')
    rows: dict[str, dict[str, Any]] = {}
    with joined(), progress('injecting', total=len(wanted) * runs) as advance:
        for row in run_table(wanted, stage, FaultObserver, directory, runs):
            rows[row.fault.name] = row.as_dict()
            _write(directory, list(rows.values()))
            _say(rows[row.fault.name], as_json)
            advance(description=row.fault.name)
    results = list(rows.values())
    conditions = (f'`{command_line()}`: {runs} run{"s" * (runs != 1)} of each, model '
                  f'`{stage.model.stem}`, room {room_seed}.')
    _write(directory, results, conditions)
    if markdown is not None:
        from wm_controller.evaluation.faults.markdown import as_markdown
        write_whole(markdown, as_markdown(results, conditions).encode(), make_folder=True)
    if as_json:
        print(json.dumps(plain(results), allow_nan=False))
    else:
        emit({'rows': results}, False, _table)
        print(f'report: {directory}')
    failed = [row['fault'] for row in results if not row['passed']]
    if failed:
        raise NegativeResult(f'{len(failed)} of {len(results)} failed: {", ".join(failed)}')


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def _write(directory: Path, rows: list[dict[str, Any]], conditions: str = '') -> None:
    from wm_controller.evaluation.faults.markdown import as_markdown

    text = json.dumps(plain(rows), indent=1, allow_nan=False)
    write_whole(directory / 'faults.json', text.encode())
    if conditions:
        write_whole(directory / 'faults.md', as_markdown(rows, conditions).encode())


def _say(row: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        return
    times = ' '.join('–' if t is None else f'{t:.2f}' for t in row['reactions_s'])
    print(f'{"passed" if row["passed"] else "FAILED"} {row["fault"]}: {times} s'
          f'{"".join(chr(10) + "    " + line for line in row["wrong"])}', flush=True)


def _list(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print(json.dumps(rows))
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ('fault', 'injected', 'expected', 'limit s'):
        table.add_column(name)
    for row in rows:
        table.add_row(row['fault'], row['injected'], row['expected'], f'{row["limit_s"]:g}')
    (Console() if sys.stdout.isatty() else Console(width=200)).print(table)


def _table(result: Mapping[str, Any]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ('fault', 'expected', 'reaction s', 'limit s', ''):
        table.add_column(name)
    for row in result['rows']:
        reaction = row['reaction_s']
        table.add_row(
            row['fault'], row['expected'], '–' if reaction is None else f'{reaction:.2f}',
            f'{row["limit_s"]:g}', '[green]passed' if row['passed'] else '[red]FAILED')
    return table
