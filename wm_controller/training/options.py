# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""How to train, where a run stands, and what is written down of both."""

from dataclasses import asdict, dataclass, field
import math
from pathlib import Path
from typing import Any

from wm_controller.data.dataset import Dataset
from wm_controller.data.windows import Windows
from wm_controller.training.collapse import methods
from wm_controller.training.objective import Horizon, Weights
from wm_controller.world_model.bundle import Bundle
from wm_controller.world_model.spec import Architecture, CURRENT


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
    architecture: Architecture = CURRENT
    initial: str | Path | None = None
    pretrain_minutes: float = 0.0  # of `minutes`, on masked frames before anything else
    labels: float = 1.0  # share of the training steps that keeps commands, odometry and scan
    horizon: Horizon = field(default_factory=Horizon)
    weights: Weights = field(default_factory=Weights)
    regulariser: str = methods.DEFAULT
    processor_time: bool = False  # count `minutes` of the processor, not of the clock
    # Off: drives of the planner itself serve better (`recalibrate`); others held the robot often.
    calibrate_surprise: bool = False
    image_reach_fit: int = 0  # steps of `reach_fit` at the end


@dataclass
class Progress:
    """Where a run stands; what a checkpoint remembers beside the tensors."""

    iteration: int = 0
    elapsed_s: float = 0.0
    frames: int = 0
    processor_s: float = 0.0
    curve: list[dict[str, Any]] = field(default_factory=list)  # what the monitor saw

    def fraction(self, options: TrainingOptions) -> float:
        """Share of the run that is done, 0..1."""
        if options.steps is not None:
            return min(1.0, self.iteration / max(1, options.steps))
        spent = self.processor_s if options.processor_time else self.elapsed_s
        return min(1.0, spent / max(1e-6, options.minutes * 60))


def schedule(fraction: float, warm_up: float = 0.02, floor: float = 0.01) -> float:
    """Scale of the learning rate: linear warm-up, then half a cosine down to the floor."""
    if fraction < warm_up:
        return max(fraction / warm_up, 0.02)
    done = (fraction - warm_up) / (1 - warm_up)
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * done))


def identity_of(datasets: list[Dataset], options: TrainingOptions,
                initial: Bundle | None) -> dict[str, Any]:
    """What must be the same for a checkpoint to be of this run; its length may change."""
    return {'data': [data.digest for data in datasets], 'seed': options.seed,
            'initial': initial.digest if initial else None,
            'batch': options.batch, 'window': options.window,
            'near_weight': options.near_weight, 'mirror': options.mirror,
            'exchange_colours': options.exchange_colours, 'jitter_colours': options.jitter_colours,
            'labels': options.labels, 'pretrain_minutes': options.pretrain_minutes,
            'architecture': {k: list(v) if isinstance(v, tuple) else v
                             for k, v in asdict(options.architecture).items()},
            'weights': asdict(options.weights), 'horizon': asdict(options.horizon),
            'regulariser': options.regulariser}


def training_record(datasets: list[Dataset], options: TrainingOptions, progress: Progress,
                    training: Windows, held_out: Windows,
                    initial: Bundle | None) -> dict[str, Any]:
    """What a bundle says of how it came about."""
    return {
        'initial': initial.digest if initial else None,
        'data': [{'name': data.path.name, 'digest': data.digest, 'steps': data.n_steps,
                  'episodes': data.n_episodes} for data in datasets],
        'minutes': round(progress.elapsed_s / 60, 2), 'iterations': progress.iteration,
        'frames': progress.frames, 'seed': options.seed, 'batch': options.batch,
        'window': options.window, 'near_weight': options.near_weight,
        'learning_rate': options.learning_rate, 'labels': options.labels,
        'pretrain_minutes': options.pretrain_minutes,
        'weights': asdict(options.weights), 'horizon': asdict(options.horizon),
        'regulariser': options.regulariser,
        'processor_minutes': round(progress.processor_s / 60, 3),
        'training_windows': len(training), 'held_out_windows': len(held_out),
    }
