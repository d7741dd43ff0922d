# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""`wm doctor`: listen to a robot, or read a bag of it, and say what to mend."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from wm_controller.cli.common import emit, progress, reports_errors
from wm_controller.errors import InputError, NegativeResult

LISTEN_S = 60.0
COLOURS = {'fix': 'bold red', 'warn': 'yellow', 'not seen': 'dim', 'ok': 'green'}


@reports_errors
def doctor(
    bag: Path | None = typer.Argument(
        None, metavar='[BAG]', help='A recording to examine, instead of what runs now.'),
    seconds: float | None = typer.Option(
        None, help='How long to listen, 60 if not said; of a bag, how much of it, else all.',
        min=1.0),
    namespace: str = typer.Option('', help='Namespace of the robot.'),
    image: str = typer.Option(None, help="Camera topic; found if not named; '': none."),
    odom: str = typer.Option(None, help='Odometry topic; likewise, as are the others.'),
    scan: str = typer.Option(None, help='LaserScan topic.'),
    cmd_vel: str = typer.Option(None, help='Topic of commands that the base listens to.'),
    imu: str = typer.Option(None, help='IMU topic, for the turning where there is no odometry.'),
    params_file: Path = typer.Option(
        None, help='What the nodes will be given; compared with. Default: config/robot.yaml.'),
    model: str = typer.Option(
        None, help='Bundle, or the name of a shipped one: what it needs is compared with.'),
    drive: bool = typer.Option(
        False, '--drive', help='Drive by itself: gentle turns and 0.4 m ahead and back, through '
        'the guardrail. Needs 0.7 m of free space all round; Ctrl-C stops it.'),
    yes: bool = typer.Option(False, '--yes', help='Do not ask before driving.'),
    as_json: bool = typer.Option(False, '--json', help='Print one JSON object.'),
) -> None:
    """
    Look at a robot's topics while it is driven by hand, and say what to mend.

    It listens only. Turn the robot to and fro, and drive it half a metre ahead and back, for the
    time it listens. Exits with 1 if there is something to fix.
    """
    from wm_controller.doctor.examine import examine
    from wm_controller.doctor.expected import read_expected
    from wm_controller.doctor.finding import FIX

    expected = read_expected(params_file, model)
    topics = {'image': image, 'odom': odom, 'scan': scan, 'cmd_vel': cmd_vel, 'imu': imu}
    if bag is not None:
        from wm_controller.doctor.bag import read_bag
        if drive:
            raise InputError('--drive is for a robot, not for a bag')
        with progress(f'reading {bag.name}') as advance:
            record = read_bag(bag, topics, seconds, advance)
    else:
        record = _listened(topics, namespace, seconds or LISTEN_S, drive, yes)
    findings = examine(record, expected)
    report = {'source': str(bag) if bag is not None else 'live', 'params_file': expected.source,
              'topics': {role: stream.topic for role, stream in record.streams.items()},
              'notes': record.notes, 'findings': [each.as_dict() for each in findings]}
    emit(report, as_json, _render)
    broken = [each.check for each in findings if each.verdict == FIX]
    if broken:
        raise NegativeResult(f'{len(broken)} to fix: {", ".join(broken)}')


def _listened(topics: Mapping[str, str | None], namespace: str, seconds: float, drive: bool,
              yes: bool) -> Any:
    try:
        from wm_controller.nodes.doctor import listen
    except ImportError as error:
        raise InputError(
            f'rclpy is not installed ({error}): source a ROS 2 workspace, or pip install '
            "'wm_controller[ros]'; a bag needs neither: wm doctor BAG") from None
    if drive and not yes:
        typer.confirm('The robot will move, 0.4 m ahead and back and turning, with the guardrail '
                      'between. Is 0.7 m all round free, and your hand on the stop?', abort=True,
                      err=True)
    with progress('listening', total=seconds) as advance:
        return listen(topics, namespace, seconds, drive, advance)


def _render(report: Mapping[str, Any]) -> Any:
    from rich.console import Group
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=f'{escape(report["source"])}, compared with '
                  f'{escape(report["params_file"])}', title_justify='left')
    for column in ('check', 'verdict', 'seen'):
        table.add_column(column, overflow='fold')
    for row in report['findings']:
        colour = COLOURS[row['verdict']]
        table.add_row(row['check'], f'[{colour}]{row["verdict"]}[/]', escape(row['seen']))
    notes = [f'[dim]{escape(note)}[/dim]' for note in report['notes']]
    advice = [f'[{COLOURS[row["verdict"]]}]{row["verdict"]}[/] {row["check"]}: '
              f'{escape(row["advice"])}' for verdict in ('fix', 'warn', 'not seen')
              for row in report['findings'] if row['verdict'] == verdict]
    return Group(table, *notes, *advice)
