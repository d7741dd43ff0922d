# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""wm report: what happened on a drive, from its bag."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from wm_controller.cli.common import command_line, emit, figure, plain, progress, reports_errors
from wm_controller.errors import InputError


@reports_errors
def report(
    bags: list[Path] = typer.Argument(
        ..., metavar='BAG...', help='Bags of drives (rosbag2, mcap, ROS 1), or folders of bags.'),
    output: Path = typer.Option(
        Path('runs'), '-o', '--output', help='Folder that the run folder is made in.'),
    namespace: str = typer.Option(
        None, help='Namespace of the robot, where the bag holds several.'),
    odom_topic: str = typer.Option(None, help='Odometry topic; found by type if not named.'),
    image_topic: str = typer.Option(None, help='Camera topic; found by type if not named.'),
    rerun: bool = typer.Option(
        False, '--rerun', help='Also log each drive for the Rerun viewer: drive_000.rrd and on, '
        'in the run folder. Opens no window.'),
    as_json: bool = typer.Option(False, '--json', help='Print the summary as one JSON object.'),
) -> None:
    """Write the field report of drives: distance, interventions and why, what the camera saw.

    Takeovers, holds and stops are counted per kilometre and hour of autonomous driving, with
    exact 95 % intervals. What a bag does not hold is named and stays unknown. `recorder_node` with
    record_all writes such bags; so does `ros2 bag record`.
    """
    from wm_controller.evaluation.field_reading import find_bags, Named, order, read_drive
    from wm_controller.evaluation.field_report import write_field_report
    from wm_controller.evaluation.field_tally import tally
    from wm_controller.evaluation.report import run_directory
    from wm_controller.evaluation.rerun_field import log_drive
    from wm_controller.evaluation.rerun_log import require_rerun

    if rerun:
        require_rerun()
    if output.exists() and not output.is_dir():
        raise InputError(f'{output}: is a file; name a folder with --output')
    named = Named(namespace, odom_topic, image_topic)
    drives = []
    for path in find_bags(bags):
        with progress(f'reading {path.name}') as advance:
            drives.append(read_drive(path, named, advance))
    drives, notes = order(drives)
    summary = plain(tally(drives, notes))
    directory = run_directory(output, 'field')
    if rerun:
        summary['rerun'] = []
        for number, drive in enumerate(drives):
            summary['rerun'].append(f'drive_{number:03d}.rrd')
            with progress(f'logging {drive.path.name}'):
                summary['notes'] += log_drive(directory / summary['rerun'][-1], drive)
    write_field_report(directory, drives, summary, command_line())
    emit({**summary, 'report': str(directory / 'report.html')}, as_json, _table)


def _table(summary: Mapping[str, Any]) -> Any:
    from rich.console import Group
    from rich.markup import escape
    from rich.table import Table

    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column()
    table.add_column(overflow='fold')
    for name, text in _rows(summary):
        table.add_row(name, escape(text))
    lines = [f'[dim]{escape(line)}[/dim]' for line in (*summary['missing'], *summary['notes'])]
    return Group(table, *lines)


def _rows(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    distance, found = summary['distance_m'], summary['interventions']
    rows = [('driven', f'{_metres(distance)} in {summary["duration_s"] / 60:.1f} min'
             + (f', standing {summary["standing_s"]:.0f} s' if distance is not None else ''))]
    for mode, seconds in (summary['mode_s'] or {}).items():
        if seconds > 0.5:
            metres = f', {_metres(summary["mode_m"][mode])}' if summary['mode_m'] else ''
            rows.append((f'  {mode}', f'{seconds:.1f} s{metres}'))
    if found:
        for kind in ('takeover', 'hold', 'stop', 'total'):
            name = 'interventions' if kind == 'total' else f'{kind}s'
            rows.append((name, _counted(found[kind])))
        between = found['between']
        if between and between['mean_m'] is not None:
            rows.append(('between them', f'{_metres(between["mean_m"])} of autonomous driving'))
    guardrails = summary['guardrails']
    if guardrails and guardrails['limited_share'] is not None:
        reasons = ', '.join(f'{name} {row["seconds"]:.1f} s' for name, row in list(
            guardrails['reasons'].items())[:4])
        rows.append(('guardrails limited', f'{100 * guardrails["limited_share"]:.1f} % of the '
                     f'time driven{": " + reasons if reasons else ""}'))
    if summary['goals'] is not None:
        outcomes = [goal['outcome'] for goal in summary['goals']]
        rows.append(('goals', ', '.join(f'{outcomes.count(each)} {each}' for each in
                                        dict.fromkeys(outcomes)) or 'none'))
    if summary['latency_ms']:
        latency = summary['latency_ms']
        rows.append(('camera to command', f'{figure(latency["p50"])} ms, p99 '
                     f'{figure(latency["p99"])} ms'))
    gaps = [f'{row["topic"]} {row["gaps"]}' for row in summary['topics'] if row['gaps']]
    rows.append(('gaps', ', '.join(gaps) or 'none'))
    for name in summary.get('rerun', []):
        rows.append(('rerun', str(Path(summary['report']).with_name(name))))
    return [*rows, ('report', summary['report'])]


def _counted(row: Mapping[str, Any]) -> str:
    rates = [f'{row[key]["rate"]:.1f} per {unit} ({row[key]["ci95"][0]:.1f} to '
             f'{row[key]["ci95"][1]:.1f})' for key, unit in (('per_km', 'km'), ('per_hour', 'h'))
             if row[key]]
    return f'{row["count"]}' + (f'; {", ".join(rates)}' if rates else '')


def _metres(value: float | None) -> str:
    if value is None:
        return 'unknown distance'
    return f'{value / 1000:.2f} km' if value >= 1000 else f'{value:.1f} m'
