# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""`wm export`: a model's parts as ONNX or TorchScript, compared with the model itself."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.table import Table
import typer

from wm_controller.cli.common import emit, plain, progress, reports_errors
from wm_controller.errors import InputError, NegativeResult


@reports_errors
def export(
    model: str = typer.Argument(help='Bundle file, or the name of a shipped one.'),
    output: Path = typer.Option(..., '--output', '-o', help='Folder to write the parts to.'),
    form: str = typer.Option('onnx', '--format', help='onnx or torchscript.'),
    int8: bool = typer.Option(
        False, '--int8', help='Roll-outs in 8 bits, where the predictions on --data hold. onnx.'
    ),
    data: Path | None = typer.Option(
        None, help='Data set (.h5) that --int8 is judged on; not one of the training.'
    ),
    steps: int | None = typer.Option(
        None, help="Length of a roll-out; default: the controller's horizon.", min=1, max=100
    ),
    as_json: bool = typer.Option(False, '--json', help='Print the figures as JSON.'),
) -> None:
    """
    Write encoder, state filter, predictor and heads for programs that do not have this package.

    Every output is compared with the model's, on random inputs and on those of a drive: exits
    with 1, and writes nothing, where one differs by more than 0.0001, or int8 does not hold.
    """
    if form not in ('onnx', 'torchscript'):
        raise InputError(f'--format {form}: use onnx or torchscript')
    if int8 and (form != 'onnx' or data is None):
        raise InputError('--int8 is for --format onnx, and is judged on recordings: give --data '
                         'FILE.h5, such as `wm collect` or `wm ingest` make')
    if output.exists() and not output.is_dir():
        raise InputError(f'{output}: is a file; name a folder')
    import torch

    from wm_controller.evaluation.parity import compare, judge_int8, runner
    from wm_controller.planning.config import PilotConfig
    from wm_controller.world_model.bundle import load_bundle
    from wm_controller.world_model.export import (
        described,
        PARITY,
        to_onnx,
        to_torchscript,
        with_metadata,
        write_folder,
    )
    from wm_controller.world_model.graphs import graphs
    from wm_controller.world_model.quantise import PARTS, to_int8

    torch.set_num_threads(1)
    bundle = load_bundle(model)
    steps = steps or PilotConfig().horizon_steps
    parts, convert = graphs(bundle.model, steps), to_onnx if form == 'onnx' else to_torchscript
    with progress('exporting', total=len(parts) + 1) as advance:
        made = {}
        for graph in parts:
            made[graph.name] = convert(graph)
            advance()
        found = compare(bundle.model, parts, runner(form, made))
        advance(description='comparing')
        worst = max(off for outputs in found.values() for off in outputs.values())
        result: dict[str, Any] = {
            **described(bundle, steps), 'format': form, 'inputs': {
                graph.name: {name: ['rows', *shape] for name, shape in graph.inputs.items()}
                for graph in parts},
            'difference': found, 'parity': PARITY, 'int8': None}
        if not worst <= PARITY:
            raise NegativeResult(f'differs from the model by {worst:.2g}, more than {PARITY:g}: '
                                 'nothing is written')
        if int8:
            assert data is not None
            rounded = {**made, **{name: to_int8(made[name]) for name in PARTS}}
            advance(0, description='judging int8')
            verdict = judge_int8(bundle, steps, made, rounded, data, lambda *_, **__: None)
            if not verdict['holds']:
                raise NegativeResult(
                    f'int8 makes predictions on {data.name} {100 * (verdict["worse"] - 1):.0f} % '
                    f'worse, more than {100 * (verdict["tolerance"] - 1):.0f} %: nothing is '
                    f'written (a roll-out would take {verdict["rollout_time_ratio"]:.2f} of the '
                    'time)')
            made, result['int8'] = rounded, {'parts': list(PARTS), **verdict}
    result = plain(result)
    if form == 'onnx':
        made = {name: with_metadata(value, result) for name, value in made.items()}
    write_folder(output, form, made, result)
    emit({**result, 'worst': worst, 'folder': str(output),
          'bytes': {name: len(value) for name, value in made.items()}}, as_json, _table)


def _table(result: Mapping[str, Any]) -> Table:
    table = Table(title=f'{result["folder"]}: {result["model"]} {result["model_digest"][:12]}, '
                  f'{result["format"]}', title_justify='left', box=None, padding=(0, 2, 0, 0))
    for column in ('part', 'inputs (rows, ...)', 'MB', 'differs by'):
        table.add_column(column)
    for name, outputs in result['difference'].items():
        inputs = ', '.join(f'{key} {"x".join(map(str, shape[1:]))}'
                           for key, shape in result['inputs'][name].items())
        table.add_row(name, inputs, f'{result["bytes"][name] / 1e6:.1f}',
                      f'{max(outputs.values()):.1g}')
    verdict = result['int8']
    if verdict:
        table.add_row('int8', f'{", ".join(verdict["parts"])}: predictions '
                      f'{100 * (verdict["worse"] - 1):.1f} % worse at most, a roll-out takes '
                      f'{verdict["rollout_time_ratio"]:.2f} of the time')
    return table
