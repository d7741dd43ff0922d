# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""wm ingest: recordings of real robots -> one data set."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, ExitStack
import math
from pathlib import Path
from typing import Any

import typer

from wm_controller.cli.common import command_line, emit, progress, reports_errors
from wm_controller.errors import InputError
from wm_controller.spread import RAY_HELP, Workers


@reports_errors
def ingest(
    bags: list[Path] = typer.Argument(
        ..., metavar='BAG...', help='rosbag2 folders, .mcap, .db3 (also .zstd) or ROS 1 .bag.'),
    output: Path = typer.Option(..., '-o', '--output', help='Data set to write, such as data.h5.'),
    rate: float = typer.Option(5.0, help='Steps per second, Hz.'),
    size: str = typer.Option('96x72', help='Width x height of the stored frames; what exceeds '
                             'this aspect ratio is cut off.'),
    image_topic: str = typer.Option(None, help='Camera topic; found by type if not named.'),
    odom_topic: str = typer.Option(None, help="Odometry topic; '' to use none."),
    cmd_topic: str = typer.Option(None, help="Twist or TwistStamped topic; '' to use none."),
    scan_topic: str = typer.Option(None, help="LaserScan topic; '' to use none."),
    scan_offset: tuple[float, float, float] = typer.Option(
        None, metavar='X Y YAW', help='Where the laser sits in base_link, m m rad; otherwise from '
        'the /tf_static of the bag.'),
    action_scale: tuple[float, float] = typer.Option(
        (1.0, 1.0), metavar='V W', help='Multiplies commands: m/s and rad/s per servo unit.'),
    align_lag: bool = typer.Option(
        None, '--align-lag/--no-align-lag', help='Shift commands and odometry by the estimated '
        'lag of the picture. Default: where the estimate is convincing.'),
    fov: float = typer.Option(
        None, help='Horizontal field of view of the stored frames, degrees. Default: from the '
        'CameraInfo of the bag.'),
    max_gap: float = typer.Option(
        None, help='Longest pause of the camera within an episode, s. Default: three camera '
        'periods, at least 0.15 s.'),
    min_steps: int = typer.Option(10, help='Shorter episodes are dropped.'),
    command_timeout: float = typer.Option(
        None, help='A command not repeated for this long becomes zero, s. Default: held.'),
    workers: int = typer.Option(0, help='Processes, a bag each; 0: one a core.'),
    ray: str | None = typer.Option(None, metavar='ADDRESS', help=RAY_HELP),
    as_json: bool = typer.Option(False, '--json', help='Print the report as one JSON object.'),
) -> None:
    """Turn recordings of a real robot into a data set, and say what was dropped and why.

    Frames, odometry and scans are aligned by their header stamps. Where there is odometry, its
    twist is the action; where not, the command. A gap or a jump ends an episode.
    """
    from wm_controller.data.ingest import ingest as run
    from wm_controller.data.ingest import Options
    from wm_controller.data.topics import Wanted

    options = Options(
        rate_hz=rate, image_size=image_size(size),
        topics=Wanted(image_topic, odom_topic, cmd_topic, scan_topic),
        action_scale=action_scale, align_lag=align_lag, max_gap_s=max_gap, min_steps=min_steps,
        command_timeout_s=command_timeout, horizontal_fov_deg=fov, scan_offset=scan_offset)
    with _bars() as bar:
        report = run(bags, output, options, command=command_line(),
                     progress=bar, workers=Workers(workers, ray, here=True))
    emit(report, as_json, _render)


@contextmanager
def _bars() -> Iterator[Any]:
    """One progress bar after the other."""
    with ExitStack() as current:
        def start(description: str, total: float) -> Any:
            current.close()
            return current.enter_context(progress(description, total))
        yield start


def image_size(text: str) -> tuple[int, int]:
    """(width, height) of a text such as 96x72; raises InputError."""
    width, _, height = text.lower().partition('x')
    if not (width.isdigit() and height.isdigit()):
        raise InputError(f'--size is {text!r}, expected width x height such as 96x72')
    return int(width), int(height)


def _render(report: Mapping[str, Any]) -> Any:
    from rich.console import Group
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=f'{escape(report["output"])}: {report["episodes"]} episodes, '
                  f'{report["steps"]} steps of {1 / report["rate_hz"]:g} s, '
                  f'{report["duration_s"] / 60:.1f} min', title_justify='left')
    table.add_column('')
    for bag in report['bags']:
        table.add_column(escape(Path(bag['path']).name))
    for name, value in _ROWS.items():
        cells = [escape(str(value(bag))) for bag in report['bags']]
        if any(cells):
            table.add_row(name, *cells)
    for what in sorted({k for bag in report['bags'] for k in bag['dropped']}):
        table.add_row(f'dropped: {what}', *(str(bag['dropped'].get(what, 0))
                                            for bag in report['bags']))
    for what in sorted({k for bag in report['bags'] for k in bag['ended_by']}):
        table.add_row(f'ended by: {what}', *(str(bag['ended_by'].get(what, 0))
                                             for bag in report['bags']))
    notes = [f'[dim]{escape(Path(bag["path"]).name)}: {escape(note)}[/dim]'
             for bag in report['bags'] for note in bag['notes']]
    return Group(table, *notes, f'digest {report["digest"]}')


def _lag(bag: Mapping[str, Any]) -> str:
    lag = bag['lag']
    if lag['lag_s'] is None:
        return f'not estimated: {lag["reason"]}'
    use = 'aligned' if lag['aligned'] else f'not aligned: {lag["reason"] or "as asked"}'
    return (f'{lag["lag_s"]:.2f} s behind the {lag["against"]}, correlation '
            f'{lag["correlation"]:.2f} ({lag["correlation_at_zero"]:.2f} without lag), {use}')


_ROWS = {
    'camera': lambda b: f'{b["topics"]["image"]}, {b["frames"]} images at {b["camera_hz"]:.1f} Hz',
    'size': lambda b: ', '.join(b['image_sizes']),
    'field of view': lambda b: f'{math.degrees(b["horizontal_fov_rad"]):.1f} degrees' if b[
        'horizontal_fov_rad'] else 'unknown',
    'odometry': lambda b: b['topics']['odometry'] or 'none',
    'command': lambda b: b['topics']['command'] or 'none',
    'scan': lambda b: b['topics']['scan'] or 'none',
    'action from': lambda b: b['action_source'],
    'aligned by': lambda b: ', '.join(f'{k} {v}' for k, v in b['aligned_by'].items()),
    'picture lag': _lag,
    'gap limit': lambda b: f'{b["gap_limit_s"]:.2f} s',
    'episodes': lambda b: b['episodes'],
    'steps': lambda b: b['steps'],
}
