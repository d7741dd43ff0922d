# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""`wm benchmark surprise`: planted events, and how well a bundle's surprise tells them."""

from collections.abc import Mapping
from typing import Any

import typer

from wm_controller.cli.common import emit, progress, reports_errors


@reports_errors
def surprise(
    model: str = typer.Argument('indoor', help='Bundle: a file, or the name of a shipped one.'),
    rooms: int = typer.Option(24, help='Rooms, each driven in once.'),
    seed: int = typer.Option(0, help='Seed of rooms, drives and events.'),
    seconds: float = typer.Option(40.0, help='Length of each drive, s.'),
    camera_rate: float = typer.Option(10.0, '--camera-rate', help='Frames a second, Hz.'),
    no_odometry: bool = typer.Option(False, '--no-odometry', help='Hide odometry.'),
    family: str = typer.Option('evaluation', help='Rooms: evaluation or training.'),
    as_json: bool = typer.Option(False, '--json', help='Print one JSON object.'),
) -> None:
    """
    Plant events into simulated drives, and count which of them surprise notices.

    Beside stand the one-step energy, the difference between pictures, and chance. Thresholds let
    1 % of the harmless changes alarm; intervals are 95 %, bootstrap over rooms.
    """
    from wm_controller.evaluation.surprise_benchmark import run_benchmark, Trial

    trial = Trial(rooms=rooms, seed=seed, family=family, seconds=seconds, camera_hz=camera_rate,
                  odometry=not no_odometry)
    with progress('planting events', total=rooms) as advance:
        result = run_benchmark(model, trial, advance)
    emit(result, as_json, _table)


def _table(result: Mapping[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if Console().is_terminal else 200)
    detectors = result['detectors']
    first, *floors = detectors
    table = Table(title=f'{result["model"]}: {result["rooms"]} rooms, seed {result["seed"]}, '
                        f'{result["camera_hz"]:g} Hz', title_justify='left')
    for column in ('event', 'windows', 'AUROC', 'detected', 'delay', *floors):
        table.add_column(column)
    for event, row in detectors[first]['events'].items():
        delay = f'{_number(row["delay_median_s"])}, {_number(row["delay_p95_s"])} s'
        beside = [_pair(detectors[name]['events'].get(event)) for name in floors]
        table.add_row(event, str(row['windows']),
                      f'{_number(row["auroc"])} {_range(row["auroc_ci95"])}',
                      f'{row["detected"]:.0%} {_range(row["detected_ci95"])}',
                      delay, *beside)
    console.print(table)
    alarms = detectors[first]['false_alarms']
    console.print('alarms: ' + ', '.join(
        f'{name} {row["share"]:.1%} of {row["windows"]}' for name, row in alarms.items()))
    console.print(f'quiet driving: {detectors[first]["quiet_alarms_per_hour"]:g} alarms an hour '
                  f'in {result["quiet_hours"]:.2f} h')


def _pair(row: Mapping[str, Any] | None) -> str:
    return '-' if row is None else f'{_number(row["auroc"])}, {row["detected"]:.0%}'


def _range(interval: list[float | None]) -> str:
    return f'({_number(interval[0])} to {_number(interval[1])})'


def _number(value: float | None) -> str:
    return '-' if value is None else f'{value:.2f}'
