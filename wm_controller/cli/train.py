# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""`wm train`: data sets -> a model bundle with its gates."""

from collections.abc import Callable
from dataclasses import replace
import math
import os
from pathlib import Path
import sys
from typing import Annotated, Any

import typer

from wm_controller.cli.common import emit, progress, reports_errors
from wm_controller.errors import InputError, NegativeResult

DECODER_SHARE = 0.15  # of the model's training, added behind it
LATENT_ACTION = 4  # numbers of an action learned from video


@reports_errors
def train(
    data: Annotated[list[Path], typer.Argument(help='Data sets (.h5) of one step period.')],
    output: Annotated[Path, typer.Option('--output', '-o', help='Bundle to write.')],
    minutes: Annotated[float, typer.Option(help='Training time, resumed parts included.')] = 30.0,
    initial: Annotated[str | None, typer.Option(
        '--from', help='Bundle to begin from: fine-tune it on these data.')] = None,
    steps: Annotated[int | None, typer.Option(help='Iterations instead of minutes.')] = None,
    seed: Annotated[int, typer.Option(help='Seed of weights, batches and augmentation.')] = 0,
    batch: Annotated[int, typer.Option(help='Sequences in a batch.')] = 32,
    learning_rate: Annotated[float, typer.Option(help='Peak learning rate.')] = 1e-3,
    threads: Annotated[int, typer.Option(help='Processor threads; 0: all.')] = 0,
    mirror: Annotated[bool, typer.Option(help='Train on mirror images too.')] = True,
    restart: Annotated[bool, typer.Option(help='Ignore a checkpoint beside the output.')] = False,
    max_memory_gb: Annotated[float, typer.Option(
        help='Frames in memory, at most; more lie unpacked in a temporary file.')] = 2.5,
    regulariser: Annotated[str, typer.Option(
        help='Against collapse: vicreg, sigreg, mmcr, mcr2, ema, contrastive, generative, '
             'generative-action or none.')] = 'vicreg',
    encoder: Annotated[str, typer.Option(
        help='conv (ours), picture (the pixels), or frozen: efficientnet_lite0 or timm/MODEL, '
             'whose weights lie in $WM_BACKBONES.')] = 'conv',
    decoder_minutes: Annotated[float | None, typer.Option(
        help='Then train a decoder, to look at what is imagined; 0: none; default: '
        f'{DECODER_SHARE:.0%} of --minutes or --steps.')] = None,
    decoder_of: Annotated[str | None, typer.Option(
        metavar='BUNDLE', help='Train a decoder alone, for this finished bundle.')] = None,
    latent_actions: Annotated[bool, typer.Option(
        '--latent-actions', help='Learn actions from the video; commands may lack.')] = False,
    pretrain_minutes: Annotated[float, typer.Option(
        help='Of --minutes, first, on masked frames alone (V-JEPA).')] = 0.0,
    labels: Annotated[float, typer.Option(
        help='Share of the steps whose commands, odometry and scan are used.')] = 1.0,
    runs: Annotated[Path, typer.Option(
        help='Folder that the report is put into a folder of.')] = Path('runs'),
    calibrate: Annotated[Path | None, typer.Option(
        metavar='BUNDLE', help='Do not train: calibrate the surprise of this bundle on the data, '
        "your own robot's for instance; its weights stay as they are.")] = None,
    as_json: Annotated[bool, typer.Option('--json', help='One JSON object on stdout.')] = False,
) -> None:
    """Train a world model; resumes from a checkpoint, exits with 1 when a gate failed."""
    if minutes <= 0 or (steps is not None and steps <= 0) or batch < 2:
        raise InputError('--minutes and --steps must be positive and --batch at least 2')
    if not 0 <= pretrain_minutes < minutes:
        raise InputError(f'--pretrain-minutes {pretrain_minutes:g}: a part of the {minutes:g} of '
                         '--minutes')
    if not 0 <= labels <= 1:
        raise InputError(f'--labels {labels:g}: a share, from 0 to 1')
    if output.suffix != '.safetensors':
        raise InputError(f'{output}: name the bundle *.safetensors')
    if calibrate is not None:
        _calibrate(data, calibrate, output, threads, as_json)
        return
    if decoder_minutes is not None and decoder_minutes < 0:
        raise InputError('--decoder-minutes must not be negative; 0 trains none')
    if decoder_of is not None and decoder_minutes == 0:
        raise InputError('--decoder-of with --decoder-minutes 0 leaves nothing to do')
    from wm_controller.training.decoder import decoder_checkpoint_path, DecoderOptions
    from wm_controller.training.options import TrainingOptions
    from wm_controller.world_model.encoders import with_encoder
    from wm_controller.world_model.spec import CURRENT

    options = TrainingOptions(
        output=output, minutes=minutes, steps=steps, seed=seed, batch=batch, threads=threads,
        initial=initial, learning_rate=learning_rate, mirror=mirror, restart=restart,
        max_memory_gb=max_memory_gb, regulariser=regulariser, labels=labels,
        pretrain_minutes=pretrain_minutes, architecture=replace(
            with_encoder(CURRENT, encoder), latent_action=LATENT_ACTION if latent_actions else 0))
    by_steps = steps is not None and decoder_minutes is None
    for_decoder = DecoderOptions(
        source=output, output=output, seed=seed, mirror=mirror, threads=threads,
        restart=restart, max_memory_gb=max_memory_gb,
        minutes=DECODER_SHARE * minutes if decoder_minutes is None else decoder_minutes,
        steps=max(1, round(DECODER_SHARE * (steps or 0))) if by_steps else None)
    if decoder_of is not None:
        _only_decoder(data, decoder_of, for_decoder, as_json)
        return
    unfinished = output.exists() and decoder_checkpoint_path(output).exists() and not restart
    ended: list[Any] = []
    gates = _finished_gates(output) if unfinished else _model(data, options, ended.append)
    result = {'model': str(output), **gates}
    # One process of a `torchrun` draws the pictures: it is the small part of the work.
    if decoder_minutes != 0 and int(os.environ.get('RANK', 0)) == 0:
        result['decoder'] = _decoder(data, for_decoder)
    if ended:
        result['report'] = str(_report(runs, ended[0], output))
    emit(result, as_json, _table)
    if not gates['passed']:
        raise NegativeResult(f'{output}: written, but gates failed: {", ".join(gates["failed"])}; '
                             'the controller refuses it unless allow_ungated is set')


def _report(runs: Path, outcome: Any, output: Path) -> Path:
    """Write the report into a folder of its own in `runs`; returns the page's path."""
    from wm_controller.evaluation.report import run_directory
    from wm_controller.evaluation.training_report import write_training_report
    from wm_controller.world_model.bundle import load_bundle

    return write_training_report(run_directory(runs, 'train'), outcome, load_bundle(output),
                                 ' '.join(['wm', *sys.argv[1:]]))


def _model(data: list[Path], options: Any, on_end: Callable[[Any], None]) -> dict[str, Any]:
    """Train the model, write the bundle, return its gates."""
    from wm_controller.training.loop import train as run
    from wm_controller.training.monitor import has_collapsed

    with progress('training', total=1000) as advance:
        shown = 0.0

        def report(state, fraction, terms):  # type: ignore[no-untyped-def]
            nonlocal shown
            rate = state.frames / max(state.elapsed_s, 1e-6)
            warning = '  COLLAPSED' if state.curve and has_collapsed(state.curve[-1]) else ''
            advance(1000 * fraction - shown, description=(
                f'training{warning}  prediction {terms.get("prediction", math.nan):.3f}  '
                f'clearance {terms["clearance"]:.3f}  {rate:.0f} frames/s'))
            shown = 1000 * fraction

        return run(data, options, report, on_end)


def _finished_gates(output: Path) -> dict[str, Any]:
    """Gates of a model that is done, where a run was stopped while the decoder was trained."""
    from wm_controller.world_model.bundle import load_bundle

    return load_bundle(output).gates


def _decoder(data: list[Path], options: Any) -> dict[str, Any]:
    """Train a decoder into a bundle; returns its record."""
    from wm_controller.training.decoder import train_decoder

    with progress('decoder', total=1000) as advance:
        shown = 0.0

        def report(state, fraction, terms):  # type: ignore[no-untyped-def]
            nonlocal shown
            advance(1000 * fraction - shown, description=f'decoder  {terms["absolute"]:.3f}')
            shown = 1000 * fraction

        return train_decoder(data, options, report)


def _only_decoder(data: list[Path], source: str, options: Any, as_json: bool) -> None:
    import dataclasses

    from wm_controller.world_model.bundle import load_bundle

    bundle = load_bundle(source)
    record = _decoder(data, dataclasses.replace(options, source=bundle.path))
    emit({'model': str(options.output), 'decoder': record}, as_json, lambda result: (
        f'{result["model"]}: decoder of {record["parameters"]} parameters, '
        f'{record["minutes"]:g} minutes, mean absolute error {record["loss"]["absolute"]:.3f}'))


def _calibrate(data: list[Path], bundle: Path, output: Path, threads: int, as_json: bool) -> None:
    import torch

    from wm_controller.training.calibration import recalibrate
    if threads:
        torch.set_num_threads(threads)
    with progress('calibrating', total=1000) as advance:
        shown = 0.0

        def report(share: float) -> None:
            nonlocal shown
            advance(1000 * share - shown)
            shown = 1000 * share

        made_of = recalibrate(data, bundle, output, report)
    emit({'model': str(output), **made_of}, as_json, lambda result: (
        f'{output}: surprise calibrated on {sum(made_of["frames"])} frames of '
        f'{sum(made_of["rooms"])} rooms or drives; weights as in {bundle}'))


def _table(result):  # type: ignore[no-untyped-def]
    from rich.table import Table

    from wm_controller.evaluation.training_report import gate_rows

    table = Table(title=f'{result["model"]}: gates on held-out data', title_justify='left')
    for column in ('figure', 'measured', 'limit'):
        table.add_column(column)
    for row in gate_rows(result):
        table.add_row(*row)
    return table

