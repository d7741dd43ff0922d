# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The training loop: seeded, resumable, by time or by steps, on one process or many."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
import math
from pathlib import Path
import time
from typing import Any

from lightning_fabric import Fabric
import torch

from wm_controller.data.dataset import Dataset, open_all
from wm_controller.data.windows import Windows
from wm_controller.errors import InputError
from wm_controller.training import augment, batches, checkpoint, crew, labels, masked
from wm_controller.training.calibration import calibrate_if_enough
from wm_controller.training.collapse import methods
from wm_controller.training.gates import measure
from wm_controller.training.initial import adopt, adopted_spec
from wm_controller.training.keeping import Keeper
from wm_controller.training.monitor import Monitor
from wm_controller.training.objective import Objective
from wm_controller.training.options import (
    identity_of,
    Progress,
    schedule,
    training_record,
    TrainingOptions,
)
from wm_controller.training.reach_fit import fit_image_reach
from wm_controller.training.samples import Sample, sample_futures
from wm_controller.training.statistics import describe
from wm_controller.world_model.bundle import Bundle, load_bundle, round_weights, save_bundle
from wm_controller.world_model.encoder import ConvEncoder
from wm_controller.world_model.model import WorldModel
from wm_controller.world_model.precision import bfloat16_pays


@dataclass(frozen=True)
class Outcome:
    """What a finished run leaves beside the bundle: for a report that people look at."""

    gates: dict[str, Any]
    curve: list[dict[str, Any]]
    samples: list[Sample]
    record: dict[str, Any]


Report = Callable[[Progress, float, dict[str, float]], None]


def train(paths: list[Path], options: TrainingOptions, report: Report,
          on_end: Callable[[Outcome], None] | None = None) -> dict[str, Any]:
    """Train on data sets, write the bundle, return its gates.

    `report(progress, fraction, terms)` is called about once a second; `on_end` when the bundle is
    written. Under `torchrun` all processes train together; the first one writes, reports and gets
    the gates, the others {}. Raises InputError where the data do not fit together, the checkpoint
    beside the output is of another run, or another process was lost.
    """
    method = methods.method_class(options.regulariser)
    options = replace(options, architecture=method.architecture(options.architecture))
    if options.threads:
        torch.set_num_threads(options.threads)
    datasets = open_all(paths)
    try:
        fabric = crew.launch(options.batch)
        options = replace(options, half_precision=_half_precision(options, fabric))
        with crew.together(fabric):
            windows = Windows(datasets, options.window, max_memory_gb=options.max_memory_gb,
                              crew=crew.of_host(fabric))
            training, held_out = windows.split(options.held_out, seed=0)
            training = labels.keep(training, options.labels, options.seed,
                                   bool(options.architecture.latent_action))
            run = _train(fabric, datasets, training, held_out, options, report)
        return _finish(run, datasets, training, held_out, options, on_end) if run else {}
    finally:
        for data in datasets:
            data.close()


@dataclass(frozen=True)
class _Trained:
    objective: Objective
    progress: Progress
    initial: Bundle | None


def _train(fabric: Fabric, datasets: list[Dataset], training: Windows, held_out: Windows,
           options: TrainingOptions, report: Report) -> _Trained | None:
    """Train with all processes; returns what has become of it to the first one."""
    torch.manual_seed(options.seed)
    spec = describe(datasets, training, options.architecture)
    initial = load_bundle(options.initial) if options.initial else None
    model = WorldModel(adopted_spec(spec, initial) if initial else spec)
    if initial:
        adopt(model, initial)
    objective = Objective(model, options.horizon, options.weights,
                          bool(options.half_precision),
                          methods.method_class(options.regulariser),
                          Keeper.where_needed(initial, training))
    optimizer = torch.optim.AdamW(parameter_groups(model, options.weight_decay),
                                  lr=options.learning_rate)
    progress, identity = Progress(), identity_of(datasets, options, initial)
    crew.agree(fabric, identity)
    path = checkpoint_path(options.output)
    # The first process alone needs to have the file.
    if fabric.broadcast(path.exists() and not options.restart):
        found = checkpoint.resume(
            path, identity, objective, optimizer, 'checkpoint of a run with other data or '
            'settings; pass --restart to begin anew, or choose another output'
        ) if fabric.is_global_zero else None
        progress = Progress(**crew.resumed(fabric, found, optimizer))
    elif options.pretrain_minutes > 0:
        if not isinstance(model.encoder, ConvEncoder):
            raise InputError(f'the encoder {options.architecture.encoder!r} is not pre-trained on '
                             'masked frames: leave out --pretrain-minutes')
        before = masked.pretrain(model.encoder, training, masked.MaskedOptions(
            minutes=options.pretrain_minutes, processor_time=options.processor_time,
            seed=options.seed))
        progress.elapsed_s += before['elapsed_s']
        progress.processor_s += before['processor_s']
    wrapped, wrapped_optimizer = fabric.setup(objective, optimizer)

    def keep() -> None:
        if fabric.is_global_zero:
            checkpoint.save_checkpoint(path, objective, optimizer,
                                       {**asdict(progress), 'identity': identity})

    monitor = Monitor(objective, held_out) if fabric.is_global_zero else None
    _iterate(fabric, wrapped, wrapped_optimizer, training, options, progress, report, keep,
             monitor)
    keep()
    return _Trained(objective, progress, initial) if fabric.is_global_zero else None


def _finish(run: _Trained, datasets: list[Dataset], training: Windows, held_out: Windows,
            options: TrainingOptions, on_end: Callable[[Outcome], None] | None) -> dict[str, Any]:
    """Measure the gates and write the bundle; one process does that."""
    objective, model, progress = run.objective, run.objective.model, run.progress
    if options.image_reach_fit:
        fit_image_reach(model, training, options.image_reach_fit, options.seed)
    round_weights(model)
    gates, quantiles = measure(objective, held_out)
    if not training.complete('action').any():  # nothing said what a command does
        gates.update(passed=False, failed=[*gates['failed'], 'commands'])
    energy = None
    if options.calibrate_surprise:
        energy, gates['surprise_calibration'] = calibrate_if_enough(model, held_out)
    record = training_record(datasets, options, progress, training, held_out, run.initial)
    save_bundle(options.output, model, gates=gates, energy_quantiles=quantiles, energy=energy,
                training=record)
    checkpoint_path(options.output).unlink(missing_ok=True)
    if on_end:
        on_end(Outcome(gates, progress.curve, sample_futures(objective, held_out), record))
    return gates


def _iterate(fabric: Fabric, objective: Any, optimizer: Any, windows: Windows,
             options: TrainingOptions, progress: Progress, report: Report,
             keep: Callable[[], None], monitor: Monitor | None) -> None:
    model: WorldModel = objective.module.model
    reach_steps = max(1, round(model.spec.reach_max_s / model.spec.step_period_s))
    seed, share = options.seed * 65536, crew.Share(fabric.global_rank, fabric.world_size)
    sampler = batches.Sampler(windows, seed, reach_steps, options.near_weight,
                              model.spec.architecture.image_reach, model.spec.architecture.gap,
                              share)
    last, last_processor = time.monotonic(), time.process_time()
    said = kept = -math.inf
    objective.train()
    while progress.fraction(options) < 1.0:
        generator = torch.Generator().manual_seed(seed * 1_000_003 + progress.iteration)
        # Noise is alike after a resume, and another for each process.
        torch.manual_seed((seed + fabric.global_rank) * 1_000_003 + progress.iteration)
        data = sampler.sample(options.batch, progress.iteration)
        data = {name: value.to(fabric.device) for name, value in data.items()}
        data = _augmented(data, generator, options, share)
        for group in optimizer.param_groups:
            group['lr'] = options.learning_rate * schedule(progress.fraction(options))
        loss, terms = objective(data)
        if not torch.isfinite(loss):
            raise RuntimeError(f'the loss is not finite at iteration {progress.iteration}: '
                               f'{ {name: float(term) for name, term in terms.items()} }')
        optimizer.zero_grad()
        fabric.backward(loss)
        fabric.clip_gradients(objective, optimizer, max_norm=1.0)
        optimizer.step()

        if monitor and monitor.due(progress.fraction(options), progress.elapsed_s,
                                   progress.curve):
            progress.curve.append(_point(progress, options, terms, monitor))
        now, processor = time.monotonic(), time.process_time()
        progress.iteration += 1
        progress.elapsed_s, progress.processor_s = crew.from_first(fabric, [
            progress.elapsed_s + now - last, progress.processor_s + processor - last_processor])
        progress.frames += options.batch * windows.length
        last, last_processor = now, processor
        if now - said > 1.0:
            report(progress, progress.fraction(options),
                   {name: float(term) for name, term in terms.items()})
            said = now
        if now - kept > options.checkpoint_every_s:
            if kept > 0:
                keep()
            kept = last = time.monotonic()
            last_processor = time.process_time()


def _point(progress: Progress, options: TrainingOptions, terms: dict[str, torch.Tensor],
           monitor: Monitor) -> dict[str, Any]:
    """One point of the learning curve: where the run stands, its losses, what the monitor sees."""
    return {
        'iteration': progress.iteration, 'elapsed_s': round(progress.elapsed_s, 1),
        'fraction': round(progress.fraction(options), 4), 'frames': progress.frames,
        'terms': {name: round(float(term), 5) for name, term in terms.items()},
        **monitor.measure()}


def checkpoint_path(output: Path) -> Path:
    """Where the checkpoint of a run lies: beside its output."""
    return output.with_name(output.name + '.checkpoint')


def _augmented(data: dict[str, torch.Tensor], generator: torch.Generator,
               options: TrainingOptions, share: crew.Share) -> dict[str, torch.Tensor]:
    if options.mirror:
        chosen = share.of(torch.rand(options.batch, generator=generator)) < 0.5
        data = augment.mirror(data, chosen.to(data['pixels'].device))
    if options.exchange_colours:
        data = augment.exchange_colours(data, generator, share)
    if options.jitter_colours:
        data['pixels'] = augment.jitter_colours(data['pixels'], generator, share=share)
        if 'reach_pixels' in data:
            data['reach_pixels'] = augment.jitter_colours(data['reach_pixels'], generator,
                                                          share=share)
    blind = share.of(torch.rand(options.batch, 1, 1, generator=generator)
                     ) < options.proprio_dropout
    data['seen_proprio'] = data['proprio'].masked_fill(blind.to(data['proprio'].device), math.nan)
    return data


def parameter_groups(model: WorldModel, weight_decay: float) -> list[dict[str, Any]]:
    """Groups for an optimiser: only matrices decay."""
    matrices = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    return [{'params': matrices, 'weight_decay': weight_decay},
            {'params': others, 'weight_decay': 0.0}]


def _half_precision(options: TrainingOptions, fabric: Fabric) -> bool:
    """Whether to encode in bfloat16: as asked for, else where it pays; raises InputError."""
    pays = bfloat16_pays(fabric.device)
    if options.half_precision and not pays:
        raise InputError(f'--precision bf16-mixed: this {fabric.device.type} has no instructions '
                         'for bfloat16 and would be slower with it: use --precision 32-true')
    return pays if options.half_precision is None else options.half_precision
