# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Train one part of a finished model; every other weight of it stays, bit for bit."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass
import math
from pathlib import Path
import time
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray
import torch
from torch import nn, Tensor

from wm_controller.data.dataset import Dataset, open_all
from wm_controller.data.windows import Windows
from wm_controller.errors import InputError
from wm_controller.training import checkpoint
from wm_controller.training.options import schedule
from wm_controller.world_model.attach import save_with_part
from wm_controller.world_model.bundle import Bundle, load_bundle
from wm_controller.world_model.recordings import check_fit


@dataclass(frozen=True)
class PartOptions:
    """How to train; `minutes` counts all resumed parts, `steps` (iterations) overrides it.

    `initial`: bundle whose part it begins from, where the source has none.
    """

    source: Path | str
    output: Path
    initial: str | None = None
    minutes: float = 6.0
    steps: int | None = None
    seed: int = 0
    batch: int = 12
    learning_rate: float = 2e-3
    mirror: bool = True
    threads: int = 0
    max_memory_gb: float = 2.5
    held_out: float = 0.08
    checkpoint_every_s: float = 60.0
    restart: bool = False


@dataclass
class PartProgress:
    """Where a run stands."""

    iteration: int = 0
    elapsed_s: float = 0.0

    def fraction(self, options: PartOptions) -> float:
        """Share of the run that is done, 0..1."""
        if options.steps is not None:
            return min(1.0, self.iteration / max(1, options.steps))
        return min(1.0, self.elapsed_s / max(1e-6, options.minutes * 60))


Batch = dict[str, Tensor]
Sampler = Callable[[int, torch.Generator], Batch]


class NoData(InputError):
    """The data hold nothing that this part could be trained on."""


class Learner(Protocol):
    """What `iterate` needs to know of anything it trains; see `Part`."""

    @property
    def NAME(self) -> str: ...  # noqa: N802

    @property
    def module(self) -> nn.Module: ...

    def loss(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Batch]: ...


class Part(ABC):
    """What is trained: `module`, in a loaded bundle of which nothing else changes."""

    NAME: ClassVar[str]    # of its entry in what the bundle says of its training
    PREFIX: ClassVar[str]  # of its weights in the bundle
    TERM: ClassVar[str]    # of its loss that people are shown
    window: ClassVar[int] = 1  # frames in a row that a batch is made of
    extras: ClassVar[tuple[str, ...]] = ()  # columns (N, 3) that data sets may have beside theirs
    module: nn.Module

    @property
    def architecture(self) -> dict[str, Any]:
        """What the bundle's architecture says otherwise with this part."""
        return {}

    def begin_from(self, bundle: Bundle, initial: str | None) -> Bundle | None:
        """Give `module` the weights of the bundle's head of this kind, else of `initial`'s.

        Returns the bundle they are of; None, and it begins anew, where there is no such head, or
        only one of another architecture.
        """
        head = self.PREFIX.rstrip('.')
        if getattr(bundle.model, head) is None and initial:
            bundle = load_bundle(initial)
        given: nn.Module | None = getattr(bundle.model, head)
        if given is None or _shapes(given) != _shapes(self.module):
            return None
        self.module.load_state_dict(given.state_dict())
        return bundle

    @property
    def identity(self) -> dict[str, Any]:
        """Settings that a resumed run must share, beside those that all parts have."""
        return {}

    def kept_without_data(self) -> dict[str, Any] | None:
        """What to record where there is nothing to train on, if `module` is of use as it is.

        None: it is not, and the bundle goes without this part.
        """
        return None

    @abstractmethod
    def sampler(self, windows: Windows) -> Sampler:
        """Return what draws and augments the batch of an iteration, alike for like numbers."""

    @abstractmethod
    def loss(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Batch]:
        """Return the weighted sum and each term by name, detached."""

    def gates(self, held_out: Windows) -> dict[str, Any]:
        """Return figures on held-out windows, which become part of the bundle's gates."""
        return {}

    def record(self, iterations: int) -> dict[str, Any]:
        """Return what the bundle is to say of the training, beside what all parts have."""
        return {}

    @property
    def kept(self) -> list[Path]:
        """Files that a stopped run goes on from, beside its checkpoint; removed at its end."""
        return []


def _shapes(module: nn.Module) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in module.state_dict().items()}


Report = Callable[[PartProgress, float, dict[str, float]], None]
Maker = Callable[[Bundle, PartOptions], Part]


def part_checkpoint(output: Path, name: str) -> Path:
    """Where the checkpoint of a part's run lies: beside its output."""
    return output.with_name(f'{output.name}.{name}.checkpoint')


def train_part(paths: list[Path], options: PartOptions, make: Maker, report: Report
               ) -> dict[str, Any]:
    """Train a part of the bundle `source` on data sets, write the whole to `output`.

    Returns what the bundle says of it: time, loss terms, sizes. `report(progress, fraction,
    terms)` is called about once a second. Raises NoData where the data hold nothing for this
    part, InputError where they do not fit the model or the checkpoint is of another run.
    """
    if options.threads:
        torch.set_num_threads(options.threads)
    bundle = load_bundle(options.source, 'cuda' if torch.cuda.is_available() else 'cpu')
    datasets = open_all(paths)
    try:
        check_fit(bundle.spec, datasets[0])
        torch.manual_seed(options.seed)
        part = make(bundle, options)
        optimizer = torch.optim.AdamW(part.module.parameters(), lr=options.learning_rate)
        progress, identity = PartProgress(), _identity(bundle, datasets, part, options)
        path = part_checkpoint(options.output, part.NAME)
        if path.exists() and not options.restart:
            progress = PartProgress(**checkpoint.resume(
                path, identity, part.module, optimizer, f'checkpoint of a {part.NAME} for another '
                'model, other data or settings; pass --restart to begin anew'))

        def keep() -> None:
            checkpoint.save_checkpoint(path, part.module, optimizer,
                                       {**asdict(progress), 'identity': identity})

        keep()  # so that a run stopped while frames are unpacked begins here again
        try:
            training, held_out = _split(datasets, part, options)
            sample = part.sampler(training)
        except NoData:
            path.unlink()
            kept = part.kept_without_data()
            if kept is None:
                raise
            save_with_part(bundle.path, options.output, part.PREFIX, part.module,
                           part.architecture, {part.NAME: kept}, {})
            return kept
        part.module.train()
        terms = iterate(part, optimizer, sample, options, progress, report, keep)
        part.module.eval()
        record = _record(datasets, part, options, progress, terms)
        keep()
        save_with_part(bundle.path, options.output, part.PREFIX, part.module, part.architecture,
                       {part.NAME: record}, part.gates(held_out))
        for each in (path, *part.kept):
            each.unlink(missing_ok=True)
        return record
    finally:
        for data in datasets:
            data.close()


def _split(datasets: list[Dataset], part: Part, options: PartOptions) -> tuple[Windows, Windows]:
    try:
        windows = Windows(datasets, part.window, max_memory_gb=options.max_memory_gb)
        windows = windows.with_columns({name: _extra(datasets, name) for name in part.extras})
        return windows.split(options.held_out, seed=0)
    except InputError as error:
        raise NoData(f'{error} (for its {part.NAME.replace("_", " ")})') from error


def _extra(datasets: list[Dataset], name: str) -> NDArray[Any]:
    """Rows (N, 3) of a column over all data sets, NaN in those that have no such column."""
    return np.concatenate([data.column(name) if name in data.extras else np.full(
        (data.n_steps, 3), np.nan) for data in datasets])


def iterate(part: Learner, optimizer: torch.optim.Optimizer, sample: Sampler,
            options: PartOptions, progress: PartProgress, report: Report,
            keep: Callable[[], None]) -> dict[str, float]:
    """Train to the end of the run; returns the loss terms, averaged over the last stretch."""
    device = next(part.module.parameters()).device
    last = kept = time.monotonic()
    said = -math.inf
    average: dict[str, float] = {}
    while progress.fraction(options) < 1.0:
        generator = torch.Generator().manual_seed(options.seed * 1_000_003 + progress.iteration)
        batch = {name: value.to(device) for name, value in sample(
            progress.iteration, generator).items()}
        for group in optimizer.param_groups:
            group['lr'] = options.learning_rate * schedule(progress.fraction(options))
        loss, terms = part.loss(batch, generator)
        if not torch.isfinite(loss):
            raise RuntimeError(f'the loss of the {part.NAME} is not finite at '
                               f'{progress.iteration}')
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(part.module.parameters(), 1.0)
        optimizer.step()
        for name, term in terms.items():
            average[name] = 0.98 * average.get(name, float(term)) + 0.02 * float(term)
        now = time.monotonic()
        progress.iteration += 1
        progress.elapsed_s += now - last
        last = now
        if now - said > 1.0:
            report(progress, progress.fraction(options), average)
            said = now
        if now - kept > options.checkpoint_every_s:
            keep()
            kept = last = time.monotonic()
    return average


def _identity(bundle: Bundle, datasets: list[Dataset], part: Part, options: PartOptions
              ) -> dict[str, Any]:
    """What must be the same for a checkpoint to be of this run; its length may change."""
    return {'model': bundle.digest, 'data': [data.digest for data in datasets],
            'seed': options.seed, 'batch': options.batch, 'mirror': options.mirror,
            **part.identity}


def _record(datasets: list[Dataset], part: Part, options: PartOptions, progress: PartProgress,
            terms: dict[str, float]) -> dict[str, Any]:
    return {'data': [{'name': data.path.name, 'digest': data.digest} for data in datasets],
            'minutes': round(progress.elapsed_s / 60, 2), 'iterations': progress.iteration,
            'seed': options.seed, 'batch': options.batch, **part.record(progress.iteration),
            'parameters': sum(p.numel() for p in part.module.parameters()),
            'loss': {name: round(value, 4) for name, value in terms.items()}}
