# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""wm convert: data sets of LeRobot and stable-worldmodel <-> ours."""

from collections.abc import Mapping
import enum
import importlib
from pathlib import Path
from typing import Any

import typer

from wm_controller.cli.common import command_line, emit, progress, reports_errors
from wm_controller.cli.ingest import image_size
from wm_controller.errors import InputError


class Kind(str, enum.Enum):
    """What to write."""

    ours = 'wm'
    lerobot = 'lerobot'
    stable_worldmodel = 'stable-worldmodel'


@reports_errors
def convert(
    source: Path = typer.Argument(
        ..., metavar='DATA', help='One of our data sets (.h5), a folder of LeRobot, or a .h5 of '
        'stable-worldmodel.'),
    output: Path = typer.Option(..., '-o', '--output', help='File, or folder for lerobot.'),
    to: Kind = typer.Option(Kind.ours, help='What to write.'),
    video: bool = typer.Option(
        False, '--video', help='To lerobot: H.264 video. Default: PNG, which loses nothing.'),
    task: str = typer.Option('drive', help='To lerobot: the task of every episode, in words.'),
    rate: float = typer.Option(
        None, help='From others: steps per second, a whole share of theirs. Default: theirs.'),
    source_rate: float = typer.Option(
        None, help='From stable-worldmodel: steps per second that the file has, Hz.'),
    size: str = typer.Option('96x72', help="From others: width x height, or 'same'."),
    image: str = typer.Option(None, help='From others: the camera, where there are several.'),
    action: tuple[str, str] = typer.Option(
        None, metavar='V W', help='From others: which numbers are the speeds, by name or position '
        'in action, or COLUMN/NAME.'),
    action_scale: tuple[float, float] = typer.Option(
        (1.0, 1.0), metavar='V W', help='To m/s and rad/s; 0.01745 for degrees.'),
    no_action: bool = typer.Option(False, '--no-action', help='From others: pictures alone.'),
    pose: tuple[str, str, str] = typer.Option(
        None, metavar='X Y YAW', help='From others: which numbers of observation.state, or '
        'COLUMN/NAME, are odometry, m and rad.'),
    min_steps: int = typer.Option(10, help='From others: shorter episodes are dropped.'),
    as_json: bool = typer.Option(False, '--json', help='Print the report as one JSON object.'),
) -> None:
    """Read a data set of another program, or write one of ours for it."""
    kind = _kind(source)
    if (kind is Kind.ours) == (to is Kind.ours):
        raise InputError(f'{source}: is a data set of {kind.value}, to {to.value}: '
                         + ('say with --to lerobot or --to stable-worldmodel what to write'
                            if kind is Kind.ours else 'convert it to ours first'))
    if kind is not Kind.ours:
        from wm_controller.data.foreign import convert as run
        from wm_controller.data.foreign import Selection
        opened: Any
        if kind is Kind.lerobot:
            opened = _with_pyarrow('lerobot_read').LeRobotSource(source, image)
        else:
            from wm_controller.data.stable_worldmodel import StableWorldModelSource
            opened = StableWorldModelSource(source, image, source_rate)
        wanted = Selection(
            rate_hz=rate, image_size=None if size == 'same' else image_size(size), action=action,
            action_scale=action_scale, no_action=no_action, pose=pose, min_steps=min_steps)
        with progress(f'reading {source.name}', opened.n_steps) as advance:
            report = run(opened, output, wanted, command=command_line(), progress=advance)
    else:
        from wm_controller.data.dataset import Dataset
        with Dataset.open(source) as data, progress(
                f'writing {output.name}', data.n_steps) as advance:
            if to is Kind.lerobot:
                report = _with_pyarrow('lerobot_write').write_lerobot(
                    data, output, video=video, task=task, progress=advance)
            else:
                from wm_controller.data.stable_worldmodel import write_stable_worldmodel
                report = write_stable_worldmodel(data, output, progress=advance)
    emit({**report, 'from': kind.value, 'to': to.value}, as_json, _render)


def _kind(path: Path) -> Kind:
    if not path.exists():
        raise InputError(f'{path}: no such file or folder')
    if path.is_dir():
        if not (path / 'meta' / 'info.json').is_file():
            raise InputError(f'{path}: has no meta/info.json, so is no LeRobot data set; a bag '
                             'becomes a data set with `wm ingest`')
        return Kind.lerobot
    import h5py
    if not h5py.is_hdf5(path):
        raise InputError(f'{path}: is neither an HDF5 file nor a folder of LeRobot')
    try:
        with h5py.File(path, 'r') as file:
            return Kind.ours if 'schema' in file.attrs else Kind.stable_worldmodel
    except OSError as error:
        raise InputError(f'{path}: damaged HDF5 file ({str(error).splitlines()[0]})') from error


def _with_pyarrow(module: str) -> Any:
    try:
        return importlib.import_module(f'wm_controller.data.{module}')
    except ModuleNotFoundError as error:
        if error.name != 'pyarrow':
            raise
        raise InputError("LeRobot's files need pyarrow: pip install 'pyarrow>=14'") from None


def _render(report: Mapping[str, Any]) -> Any:
    lines = [f'{report["output"]}: {report["episodes"]} episodes, {report["steps"]} steps, '
             f'from {report["from"]} to {report["to"]}']
    for name in ('rate_hz', 'fps', 'pictures', 'action', 'pose', 'dropped_episodes', 'left_out'):
        if report.get(name):
            value = report[name]
            lines.append(f'  {name.replace("_", " ")}: '
                         f'{", ".join(map(str, value)) if isinstance(value, list) else value}')
    print('\n'.join(lines))
