# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The training loop: seeded, resumable, by time or by steps, on one process or many."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
import math
import os
from pathlib import Path
import time
from typing import Any

from lightning_fabric import Fabric
import torch

from wm_controller.data.dataset import Dataset, open_all
from wm_controller.data.windows import Windows
from wm_controller.errors import InputError
from wm_controller.training import augment, batches, checkpoint
from wm_controller.training.gates import measure
from wm_controller.training.objective import Horizon, Objective, Weights
from wm_controller.training.reach_fit import fit_image_reach
from wm_controller.training.statistics import describe
from wm_controller.world_model.bundle import save_bundle
from wm_controller.world_model.model import WorldModel
from wm_controller.world_model.precision import bfloat16_pays
from wm_controller.world_model.spec import Architecture


@dataclass(frozen=True)
class TrainingOptions:
    """How to train; `minutes` counts all resumed parts, `steps` (iterations) overrides it."""

    output: Path
    minutes: float = 30.0
    steps: int | None = None
    seed: int = 0
    batch: int = 32
    window: int = 16
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    held_out: float = 0.08
    proprio_dropout: float = 0.15
    near_weight: float = 3.0
    mirror: bool = True
    exchange_colours: bool = True
    jitter_colours: bool = True
    threads: int = 0
    half_precision: bool | None = None
    max_memory_gb: float = 2.5
    checkpoint_every_s: float = 120.0
    restart: bool = False
    architecture: Architecture = field(default_factory=Architecture)
    horizon: Horizon = field(default_factory=Horizon)
    weights: Weights = field(default_factory=Weights)
    image_reach_fit: int = 0  # steps of `reach_fit` at the end


@dataclass
class Progress:
    """Where a run stands; what a checkpoint remembers beside the tensors."""

    iteration: int = 0
    elapsed_s: float = 0.0
    frames: int = 0

    def fraction(self, options: TrainingOptions) -> float:
        """Share of the run that is done, 0..1."""
        if options.steps is not None:
            return min(1.0, self.iteration / max(1, options.steps))
        return min(1.0, self.elapsed_s / max(1e-6, options.minutes * 60))


Report = Callable[[Progress, float, dict[str, float]], None]


def train(paths: list[Path], options: TrainingOptions, report: Report) -> dict[str, Any]:
    """Train on data sets, write the bundle, return its gates.

    `report(progress, fraction, terms)` is called about once a second. Raises InputError where the
    data do not fit together or the checkpoint beside the output is of another run.
    """
    if options.threads:
        torch.set_num_threads(options.threads)
    datasets = open_all(paths)
    try:
        windows = Windows(datasets, options.window, max_memory_gb=options.max_memory_gb)
        training, held_out = windows.split(options.held_out, seed=0)
        return _run(datasets, training, held_out, options, report)
    finally:
        for data in datasets:
            data.close()


def _run(datasets: list[Dataset], training: Windows, held_out: Windows, options: TrainingOptions,
         report: Report) -> dict[str, Any]:
    fabric = _launch(options)
    torch.manual_seed(options.seed)
    model = WorldModel(describe(datasets, training, options.architecture))
    objective = Objective(model, options.horizon, options.weights,
                          _half_precision(options, fabric))
    optimizer = torch.optim.AdamW(_groups(model, options.weight_decay), lr=options.learning_rate)
    progress, identity = Progress(), _identity(datasets, options)
    path = checkpoint_path(options.output)
    if path.exists() and not options.restart:
        saved = checkpoint.read_progress(path)
        if saved.pop('identity') != identity:
            raise InputError(f'{path}: checkpoint of a run with other data or settings; pass '
                             '--restart to begin anew, or choose another output')
        progress = Progress(**saved)
        checkpoint.restore(path, model, optimizer)
    wrapped, wrapped_optimizer = fabric.setup(objective, optimizer)

    def keep() -> None:
        if fabric.is_global_zero:
            checkpoint.save_checkpoint(path, model, optimizer,
                                       {**asdict(progress), 'identity': identity})

    _iterate(fabric, wrapped, wrapped_optimizer, training, options, progress, report, keep)
    keep()
    if options.image_reach_fit:
        fit_image_reach(model, training, options.image_reach_fit, options.seed)
    gates, quantiles = measure(objective, held_out)
    if fabric.is_global_zero:
        save_bundle(options.output, model, gates=gates, energy_quantiles=quantiles,
                    training=_training_record(datasets, options, progress, training, held_out))
        path.unlink(missing_ok=True)
    return gates


def _iterate(fabric: Fabric, objective: Any, optimizer: Any, windows: Windows,
             options: TrainingOptions, progress: Progress, report: Report,
             keep: Callable[[], None]) -> None:
    model: WorldModel = objective.module.model
    reach_steps = max(1, round(model.spec.reach_max_s / model.spec.step_period_s))
    seed = options.seed * 65536 + fabric.global_rank
    sampler = batches.Sampler(windows, seed, reach_steps, options.near_weight,
                              model.spec.architecture.image_reach)
    last = time.monotonic()
    said = kept = -math.inf
    objective.train()
    while progress.fraction(options) < 1.0:
        generator = torch.Generator().manual_seed(seed * 1_000_003 + progress.iteration)
        data = sampler.sample(options.batch, progress.iteration)
        data = {name: value.to(fabric.device) for name, value in data.items()}
        data = _augmented(data, generator, options)
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

        now = time.monotonic()
        progress.iteration += 1
        progress.elapsed_s += now - last
        progress.frames += options.batch * windows.length * fabric.world_size
        last = now
        if now - said > 1.0:
            report(progress, progress.fraction(options),
                   {name: float(term) for name, term in terms.items()})
            said = now
        if now - kept > options.checkpoint_every_s:
            if kept > 0:
                keep()
            kept = last = time.monotonic()


def schedule(fraction: float, warm_up: float = 0.02, floor: float = 0.01) -> float:
    """Scale of the learning rate: linear warm-up, then half a cosine down to the floor."""
    if fraction < warm_up:
        return max(fraction / warm_up, 0.02)
    done = (fraction - warm_up) / (1 - warm_up)
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * done))


def checkpoint_path(output: Path) -> Path:
    """Where the checkpoint of a run lies: beside its output."""
    return output.with_name(output.name + '.checkpoint')


def _augmented(data: dict[str, torch.Tensor], generator: torch.Generator,
               options: TrainingOptions) -> dict[str, torch.Tensor]:
    if options.mirror:
        chosen = torch.rand(options.batch, generator=generator) < 0.5
        data = augment.mirror(data, chosen.to(data['pixels'].device))
    if options.exchange_colours:
        data = augment.exchange_colours(data, generator)
    if options.jitter_colours:
        data['pixels'] = augment.jitter_colours(data['pixels'], generator)
        data['goal_pixels'] = augment.jitter_colours(data['goal_pixels'].unsqueeze(1),
                                                     generator).squeeze(1)
        if 'reach_pixels' in data:
            data['reach_pixels'] = augment.jitter_colours(data['reach_pixels'], generator)
    blind = torch.rand(options.batch, 1, 1, generator=generator) < options.proprio_dropout
    data['seen_proprio'] = data['proprio'].masked_fill(blind.to(data['proprio'].device), math.nan)
    return data


def _groups(model: WorldModel, weight_decay: float) -> list[dict[str, Any]]:
    matrices = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    return [{'params': matrices, 'weight_decay': weight_decay},
            {'params': others, 'weight_decay': 0.0}]


def _launch(options: TrainingOptions) -> Fabric:
    """One process, or those that `torchrun` has started."""
    local, world = (int(os.environ.get(name, 1)) for name in ('LOCAL_WORLD_SIZE', 'WORLD_SIZE'))
    fabric = Fabric(accelerator='auto', devices=local, num_nodes=world // local,
                    strategy='ddp' if world > 1 else 'auto')
    fabric.launch()
    return fabric


def _half_precision(options: TrainingOptions, fabric: Fabric) -> bool:
    """Whether to encode in bfloat16: as asked for, else where it pays."""
    if options.half_precision is not None:
        return options.half_precision
    return bfloat16_pays(fabric.device)


def _identity(datasets: list[Dataset], options: TrainingOptions) -> dict[str, Any]:
    """What must be the same for a checkpoint to be of this run; its length may change."""
    return {'data': [data.digest for data in datasets], 'seed': options.seed,
            'batch': options.batch, 'window': options.window,
            'near_weight': options.near_weight, 'mirror': options.mirror,
            'exchange_colours': options.exchange_colours, 'jitter_colours': options.jitter_colours,
            'architecture': {k: list(v) if isinstance(v, tuple) else v
                             for k, v in asdict(options.architecture).items()},
            'weights': asdict(options.weights), 'horizon': asdict(options.horizon)}


def _training_record(datasets: list[Dataset], options: TrainingOptions, progress: Progress,
                     training: Windows, held_out: Windows) -> dict[str, Any]:
    return {
        'data': [{'name': data.path.name, 'digest': data.digest, 'steps': data.n_steps,
                  'episodes': data.n_episodes} for data in datasets],
        'minutes': round(progress.elapsed_s / 60, 2), 'iterations': progress.iteration,
        'frames': progress.frames, 'seed': options.seed, 'batch': options.batch,
        'window': options.window, 'near_weight': options.near_weight,
        'learning_rate': options.learning_rate,
        'weights': asdict(options.weights), 'horizon': asdict(options.horizon),
        'training_windows': len(training), 'held_out_windows': len(held_out),
    }
