# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""`wm benchmark masked`: training with and without pre-training on masked frames, equal time."""

from collections.abc import Mapping
from pathlib import Path
import tempfile
from typing import Annotated, Any

from rich.table import Table
import typer

from wm_controller.cli.common import emit, progress, reports_errors
from wm_controller.errors import InputError

SMALL: dict[str, Any] = {'encoder_channels': (16, 48, 80), 'latent': 96, 'state': 128,
                         'predictor_hidden': 128, 'head_hidden': 64}
FIGURES = ('persistence_ratio', 'effective_rank', 'clearance_error_m', 'clearance_error_8_steps_m',
           'clearance_no_change_8_steps_m', 'pose_error_per_step_m', 'sequences')


@reports_errors
def masked(
    data: Annotated[Path, typer.Argument(help='Data set; some of its episodes are held out.')],
    minutes: Annotated[float, typer.Option(
        help='Processor time for each model, all in all.')] = 10.0,
    pretrain_minutes: Annotated[float, typer.Option(
        help='Of that, first, on masked frames.')] = 3.0,
    episodes: Annotated[int, typer.Option(help='First episodes of DATA to use; 0: all.')] = 0,
    seeds: Annotated[int, typer.Option(help='Models of each kind.', min=1)] = 3,
    batch: Annotated[int, typer.Option(help='Sequences in a batch.', min=2)] = 16,
    small: Annotated[bool, typer.Option(help='Narrow networks, for a quick look.')] = False,
    threads: Annotated[int, typer.Option(help='Processor threads; 0: all.')] = 0,
    as_json: Annotated[bool, typer.Option('--json', help='One JSON object on stdout.')] = False,
) -> None:
    """Compare models trained for equal time with and without masked prediction before."""
    if not 0 < pretrain_minutes < minutes:
        raise InputError(f'--pretrain-minutes {pretrain_minutes:g}: a part of the {minutes:g} of '
                         '--minutes')
    from wm_controller.data.part import write_part
    from wm_controller.training.loop import train, TrainingOptions
    from wm_controller.world_model.bundle import load_bundle
    from wm_controller.world_model.spec import Architecture, CURRENT

    rows = []
    with tempfile.TemporaryDirectory() as folder, progress('benchmark', 2 * seeds) as advance:
        if episodes:
            data = write_part(data, Path(folder) / data.name, episodes)
        for seed in range(seeds):
            for before in (0.0, pretrain_minutes):
                options = TrainingOptions(
                    Path(folder) / 'model.safetensors', minutes=minutes, seed=seed, batch=batch,
                    threads=threads, pretrain_minutes=before, processor_time=True, restart=True,
                    architecture=Architecture(**SMALL) if small else CURRENT)
                gates = train([data], options, lambda *_: None)
                record = load_bundle(options.output).training
                rows.append({'pretrain_minutes': before, 'seed': seed,
                             'iterations': record['iterations'],
                             'minutes': record['processor_minutes'],
                             **{name: gates[name] for name in FIGURES}})
                advance()
    emit({'data': data.name, 'rows': rows}, as_json, _table)


def _table(result: Mapping[str, Any]) -> Table:
    table = Table(title=f'{result["data"]}: with and without masked prediction before',
                  title_justify='left')
    for column in ('pre-training', 'seed', 'minutes', 'iterations', 'persistence 1 / 4 / 8',
                   'rank', 'clearance error now / 8 steps'):
        table.add_column(column)
    for row in result['rows']:
        ratio = row['persistence_ratio']
        table.add_row(
            f'{row["pretrain_minutes"]:g} min', str(row['seed']), f'{row["minutes"]:.1f}',
            str(row['iterations']), ' / '.join(_text(ratio[s]) for s in ('1', '4', '8')),
            f'{row["effective_rank"]:.0f}',
            f'{_text(row["clearance_error_m"])} / {_text(row["clearance_error_8_steps_m"])} m')
    return table


def _text(value: float | None) -> str:
    return '–' if value is None else f'{value:.3f}'
