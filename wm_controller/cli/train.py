# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""`wm train`: data sets -> a model bundle with its gates."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
import math
from pathlib import Path
import sys
from typing import Annotated, Any

import typer

from wm_controller.cli.common import emit, progress_to, reports_errors
from wm_controller.errors import InputError, NegativeResult

# Of the model's training, added behind it.
GOAL_PICTURE_SHARE = 0.25
ABSTRACT_SHARE = 0.15
COMPASS_SHARE = 0.1
DECODER_SHARE = 0.15
PROPOSAL_SHARE = 0.1
FRAMES_PER_START = 4  # of a sequence: from every fourth or so a future is imagined
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
    batch: Annotated[int, typer.Option(
        help='Sequences in a batch, of all processes together.')] = 32,
    window: Annotated[int, typer.Option(
        help='Frames in a sequence: over how many the state learns to remember.')] = 16,
    learning_rate: Annotated[float, typer.Option(help='Peak learning rate.')] = 1e-3,
    threads: Annotated[int, typer.Option(help='Processor threads; 0: all.')] = 0,
    precision: Annotated[str, typer.Option(
        help='auto (bf16-mixed where that pays), 32-true or bf16-mixed.')] = 'auto',
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
    goal_picture_minutes: Annotated[float | None, typer.Option(
        help='Then train what tells where goal pictures were taken; 0: none; default: '
        f'{GOAL_PICTURE_SHARE:.0%} of --minutes or --steps.')] = None,
    goal_pictures_of: Annotated[str | None, typer.Option(
        metavar='BUNDLE', help='Train that alone, for this finished bundle.')] = None,
    abstract_minutes: Annotated[float | None, typer.Option(
        help='Then train the upper level, which hierarchical planning needs; 0: none; default: '
        f'{ABSTRACT_SHARE:.0%} of --minutes or --steps.')] = None,
    abstract_of: Annotated[str | None, typer.Option(
        metavar='BUNDLE', help='Train the upper level alone, for this finished bundle.')] = None,
    compass_minutes: Annotated[float | None, typer.Option(
        help='Then train what tells the heading against walls, of simulated rooms; 0: none; '
        f'default: {COMPASS_SHARE:.0%} of --minutes or --steps.')] = None,
    compass_of: Annotated[str | None, typer.Option(
        metavar='BUNDLE', help='Train that alone, for this finished bundle.')] = None,
    decoder_minutes: Annotated[float | None, typer.Option(
        help='Then train a decoder, to look at what is imagined; 0: none; default: '
        f'{DECODER_SHARE:.0%} of --minutes or --steps.')] = None,
    decoder_of: Annotated[str | None, typer.Option(
        metavar='BUNDLE', help='Train a decoder alone, for this finished bundle.')] = None,
    proposal_minutes: Annotated[float | None, typer.Option(
        help='Then teach a network what the search finds, so that planning begins there; 0: none; '
        f'default: {PROPOSAL_SHARE:.0%} of --minutes or --steps.')] = None,
    proposal_of: Annotated[str | None, typer.Option(
        metavar='BUNDLE', help='Teach that alone, for this finished bundle.')] = None,
    latent_actions: Annotated[bool, typer.Option(
        '--latent-actions', help='Learn actions from the video; commands may lack.')] = False,
    pretrain_minutes: Annotated[float, typer.Option(
        help='Of --minutes, first, on masked frames alone (V-JEPA).')] = 0.0,
    labels: Annotated[float, typer.Option(
        help='Share of the steps whose commands, odometry and scan are used.')] = 1.0,
    weight: Annotated[list[str] | None, typer.Option(
        metavar='TERM=VALUE', help='Weight of a term of the loss, as in training/objective.py; 0 '
        'takes it out. May be given several times.')] = None,
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
    from wm_controller.training.crew import is_first

    alone = (calibrate, goal_pictures_of, abstract_of, compass_of, decoder_of, proposal_of)
    if any(alone) and not is_first():
        return  # of a `torchrun`: there is nothing to share out
    if calibrate is not None:
        _calibrate(data, calibrate, output, threads, as_json)
        return
    from wm_controller.training.objective import Horizon
    from wm_controller.training.options import TrainingOptions
    from wm_controller.world_model.encoders import with_encoder
    from wm_controller.world_model.spec import CURRENT

    shortest = Horizon.observed + Horizon.predicted + 1
    if window < shortest:
        raise InputError(f'--window {window}: at least {shortest}, to see and to predict')
    options = TrainingOptions(
        output=output, window=window, horizon=Horizon(starts=window // FRAMES_PER_START),
        weights=_weights(weight or []),
        minutes=minutes, steps=steps, seed=seed, batch=batch, threads=threads,
        initial=initial, learning_rate=learning_rate, mirror=mirror, restart=restart,
        half_precision=_half(precision), max_memory_gb=max_memory_gb, regulariser=regulariser,
        labels=labels,
        pretrain_minutes=pretrain_minutes, architecture=replace(
            with_encoder(CURRENT, encoder), latent_action=LATENT_ACTION if latent_actions else 0))
    parts = _parts(
        {'goal_pictures': goal_picture_minutes, 'abstract': abstract_minutes,
         'compass': compass_minutes, 'decoder': decoder_minutes, 'proposal': proposal_minutes},
        {'goal_pictures': goal_pictures_of, 'abstract': abstract_of, 'compass': compass_of,
         'decoder': decoder_of, 'proposal': proposal_of}, options)
    if any(alone):
        _only_part(data, parts[0], as_json)
        return
    # A run that was stopped in one of the parts goes on there.
    resumable = output.exists() and not restart
    begun = [i for i, part in enumerate(parts) if resumable and part.is_begun]
    parts = parts[begun[0]:] if begun else parts
    ended: list[Any] = []
    gates = _gates(output) if begun else _model(data, options, ended.append)
    result: dict[str, Any] = {'model': str(output)}
    if not is_first():
        return  # one process of a `torchrun` trains the parts, the small share of the work
    result |= {part.name: part.train_if_possible(data) for part in parts}
    gates = _gates(output)
    result |= gates
    if ended:
        result['report'] = str(_report(runs, replace(ended[0], gates=gates), output))
    emit(result, as_json, _table)
    if not gates['passed']:
        raise NegativeResult(f'{output}: written, but gates failed: {", ".join(gates["failed"])}; '
                             'the controller refuses it unless allow_ungated is set')


def _half(precision: str) -> bool | None:
    known = {'auto': None, '32-true': False, 'bf16-mixed': True}
    if precision not in known:
        raise InputError(f'--precision {precision}: use {", ".join(known)}')
    return known[precision]


def _weights(given: list[str]) -> Any:
    """Weights of the loss with what was given as TERM=VALUE; raises InputError."""
    from wm_controller.training.objective import Weights

    terms = asdict(Weights())
    for each in given:
        name, _, value = each.partition('=')
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if name not in terms or not 0.0 <= number < math.inf:
            raise InputError(f'--weight {each}: TERM=VALUE, at least 0, of {", ".join(terms)}')
        terms[name] = number
    return Weights(**terms)


def _report(runs: Path, outcome: Any, output: Path) -> Path:
    """Write the report into a folder of its own in `runs`; returns the page's path."""
    from wm_controller.evaluation.report import run_directory
    from wm_controller.evaluation.training_report import write_training_report
    from wm_controller.world_model.bundle import load_bundle

    return write_training_report(run_directory(runs, 'train'), outcome, load_bundle(output),
                                 ' '.join(['wm', *sys.argv[1:]]))


def _model(data: list[Path], options: Any, on_end: Callable[[Any], None]) -> dict[str, Any]:
    """Train the model, write the bundle, return its gates."""
    from wm_controller.training.crew import is_first
    from wm_controller.training.loop import train as run
    from wm_controller.training.monitor import has_collapsed

    if not is_first():
        return run(data, options, lambda *state: None, on_end)
    with progress_to('training') as move:
        def report(state, fraction, terms):  # type: ignore[no-untyped-def]
            rate = state.frames / max(state.elapsed_s, 1e-6)
            warning = '  COLLAPSED' if state.curve and has_collapsed(state.curve[-1]) else ''
            move(fraction, f'training{warning}  '
                 f'prediction {terms.get("prediction", math.nan):.3f}  '
                 f'clearance {terms["clearance"]:.3f}  {rate:.0f} frames/s')

        return run(data, options, report, on_end)


def _gates(output: Path) -> dict[str, Any]:
    """Gates of a finished bundle, with the figures of its parts."""
    from wm_controller.world_model.bundle import load_bundle

    return load_bundle(output).gates


@dataclass(frozen=True)
class _PartRun:
    """A part to train (a class of `training.part.Part`), and how."""

    options: Any
    part: Any

    @property
    def name(self) -> str:
        return str(self.part.NAME)

    @property
    def is_begun(self) -> bool:
        """Whether a run of it was stopped half-way."""
        from wm_controller.training.part import part_checkpoint

        return part_checkpoint(self.options.output, self.name).exists()

    def train(self, data: list[Path]) -> dict[str, Any]:
        """Train it into the bundle; returns its record."""
        from wm_controller.training.part import train_part

        label = self.name.replace('_', ' ')
        with progress_to(label) as move:
            def report(state, fraction, terms):  # type: ignore[no-untyped-def]
                move(fraction, f'{label}  {terms[self.part.TERM]:.3f}')

            return train_part(data, self.options, self.part, report)

    def train_if_possible(self, data: list[Path]) -> dict[str, Any]:
        """Train it, or return why the data do not serve for it."""
        from wm_controller.training.part import NoData

        try:
            return self.train(data)
        except NoData as error:
            return {'skipped': str(error)}


def _parts(minutes: dict[str, float | None], sources: dict[str, str | None], options: Any
           ) -> list[_PartRun]:
    """What is to be trained behind a model, or for finished bundles; raises InputError."""
    from wm_controller.evaluation.distillation import ProposalOptions, ProposalPart
    from wm_controller.training.abstract import AbstractOptions, AbstractPart
    from wm_controller.training.compass import CompassOptions, CompassPart
    from wm_controller.training.decoder import DecoderOptions, DecoderPart
    from wm_controller.training.goal_pictures import GoalPictureOptions, GoalPicturePart

    alone = [name for name, source in sources.items() if source]
    if len(alone) > 1:
        raise InputError('--goal-pictures-of, --abstract-of, --compass-of, --decoder-of and '
                         '--proposal-of: one after another')
    found = []
    for part, settings, share in (
            (GoalPicturePart, GoalPictureOptions, GOAL_PICTURE_SHARE),
            (AbstractPart, AbstractOptions, ABSTRACT_SHARE),
            (CompassPart, CompassOptions, COMPASS_SHARE),
            (DecoderPart, DecoderOptions, DECODER_SHARE),
            (ProposalPart, ProposalOptions, PROPOSAL_SHARE)):
        name = part.NAME
        asked, source = minutes[name], sources[name]
        option = 'goal-picture' if name == 'goal_pictures' else name
        if asked is not None and asked < 0:
            raise InputError(f'--{option}-minutes must not be negative; 0 trains none')
        if source and asked == 0:
            raise InputError(f'--{name.replace("_", "-")}-of with --{option}-minutes 0 leaves '
                             'nothing to do')
        if asked == 0 or (alone and not source):
            continue
        by_steps = options.steps is not None and asked is None
        found.append(_PartRun(settings(
            source=source or options.output, output=options.output, initial=options.initial,
            seed=options.seed, mirror=options.mirror, threads=options.threads,
            restart=options.restart, max_memory_gb=options.max_memory_gb,
            minutes=share * options.minutes if asked is None else asked,
            steps=max(1, round(share * options.steps)) if by_steps else None), part))
    return found


def _only_part(data: list[Path], part: _PartRun, as_json: bool) -> None:
    record = part.train(data)
    output = part.options.output
    emit({'model': str(output), part.name: record, 'gates': _gates(output)}, as_json, lambda _: (
        f'{output}: {part.name.replace("_", " ")}, {record["parameters"]} parameters, '
        f'{record["minutes"]:g} minutes, {part.part.TERM.replace("_", " ")} '
        f'{record["loss"][part.part.TERM]:.3f}'))


def _calibrate(data: list[Path], bundle: Path, output: Path, threads: int, as_json: bool) -> None:
    import torch

    from wm_controller.training.calibration import recalibrate
    if threads:
        torch.set_num_threads(threads)
    with progress_to('calibrating') as move:
        made_of = recalibrate(data, bundle, output, move)
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

