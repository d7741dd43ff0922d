# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Train a decoder for a finished model, on its detached states.

After the model and never with it: a decoder's loss in the model's training cost others 10 to 12
points of success (world models learn what pictures are made of, not what can be done). Half of
what it draws are states seen, half imagined up to `Horizon.predicted` steps ahead, each with the
frame that came then: a decoder that knows encoded states alone breaks on imagined ones.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
import math
from pathlib import Path
import time
from typing import Any

import torch
from torch import nn, Tensor

from wm_controller.data.dataset import Dataset, open_all
from wm_controller.data.windows import Windows
from wm_controller.training import augment, batches, checkpoint
from wm_controller.training.objective import Horizon, Objective, Weights
from wm_controller.training.options import schedule
from wm_controller.world_model.attach import new_decoder, save_with_decoder
from wm_controller.world_model.bundle import Bundle, load_bundle
from wm_controller.world_model.decoder import Decoder
from wm_controller.world_model.precision import bfloat16_pays
from wm_controller.world_model.recordings import check_fit

CHANNELS = (6, 64, 32, 16)
PICTURES = 3  # of each window: so many seen, and so many imagined


@dataclass(frozen=True)
class DecoderOptions:
    """How to train; `minutes` counts all resumed parts, `steps` (iterations) overrides it.

    `gradient` weighs the error of the differences from pixel to pixel, which makes edges, beside
    the mean absolute error of the pixels.
    """

    source: Path
    output: Path
    minutes: float = 6.0
    steps: int | None = None
    seed: int = 0
    batch: int = 12
    learning_rate: float = 2e-3
    gradient: float = 0.5
    mirror: bool = True
    threads: int = 0
    max_memory_gb: float = 2.5
    held_out: float = 0.08
    checkpoint_every_s: float = 60.0
    restart: bool = False
    channels: tuple[int, ...] = CHANNELS


@dataclass
class DecoderProgress:
    """Where a run stands."""

    iteration: int = 0
    elapsed_s: float = 0.0

    def fraction(self, options: DecoderOptions) -> float:
        """Share of the run that is done, 0..1."""
        if options.steps is not None:
            return min(1.0, self.iteration / max(1, options.steps))
        return min(1.0, self.elapsed_s / max(1e-6, options.minutes * 60))


Report = Callable[[DecoderProgress, float, dict[str, float]], None]


def decoder_checkpoint_path(output: Path) -> Path:
    """Where the checkpoint of a decoder's run lies: beside its output."""
    return output.with_name(output.name + '.decoder.checkpoint')


def train_decoder(paths: list[Path], options: DecoderOptions, report: Report) -> dict[str, Any]:
    """Train a decoder for the bundle `source` on data sets, write both to `output`.

    Returns what the bundle says of it: time, loss terms, sizes. `report(progress, fraction,
    terms)` is called about once a second. Raises InputError where the data do not fit the model,
    or the checkpoint beside the output is of another run.
    """
    if options.threads:
        torch.set_num_threads(options.threads)
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    bundle = load_bundle(options.source, device)
    datasets = open_all(paths)
    try:
        check_fit(bundle.spec, datasets[0])
        torch.manual_seed(options.seed)
        decoder = new_decoder(bundle, options.channels).to(device)
        optimizer = torch.optim.AdamW(decoder.parameters(), lr=options.learning_rate)
        progress, identity = DecoderProgress(), _identity(bundle, datasets, options)
        path = decoder_checkpoint_path(options.output)
        if path.exists() and not options.restart:
            progress = DecoderProgress(**checkpoint.resume(
                path, identity, decoder, optimizer, 'checkpoint of a decoder for another model, '
                'other data or settings; pass --restart to begin anew'))

        def keep() -> None:
            checkpoint.save_checkpoint(path, decoder, optimizer,
                                       {**asdict(progress), 'identity': identity})

        keep()  # so that a run stopped while frames are unpacked begins here again
        horizon = Horizon()
        windows = Windows(datasets, horizon.observed + 1 + horizon.predicted,
                          max_memory_gb=options.max_memory_gb)
        training = windows.split(options.held_out, seed=0)[0]
        objective = DecoderObjective(bundle, decoder, options)
        terms = _iterate(objective, optimizer, training, options, progress, report, keep)
        record = _record(datasets, decoder, options, progress, terms)
        keep()
        save_with_decoder(bundle.path, options.output, decoder, options.channels, record)
        path.unlink(missing_ok=True)
        return record
    finally:
        for data in datasets:
            data.close()


class DecoderObjective(nn.Module):
    """Loss of the pictures of a batch; the model is frozen and only read."""

    def __init__(self, bundle: Bundle, decoder: Decoder, options: DecoderOptions) -> None:
        super().__init__()
        self.model, self.decoder, self.options = bundle.model, decoder, options
        self.half_precision = bfloat16_pays(next(decoder.parameters()).device)
        self._reader = Objective(bundle.model, Horizon(), Weights(), self.half_precision)

    @torch.no_grad()
    def states(self, batch: dict[str, Tensor], generator: torch.Generator
               ) -> tuple[Tensor, Tensor, Tensor]:
        """Draw states (N, S), half seen and half imagined.

        Beside them the palettes (N, K, 3) of the last frames seen, and their own frames (N, H, W,
        3).
        """
        horizon = self._reader.horizon
        seen_frames = horizon.observed + 1
        latents, _ = self._reader.encode(batch['pixels'][:, :seen_frames])
        seen = self._reader.filter(latents, batch)
        now = seen_frames - 1
        imagined, _ = self.model.imagine(
            seen[:, now], batch['action'][:, now:now + horizon.predicted])
        every = torch.cat([seen, imagined[:, 1:]], 1)  # state t stands for frame t
        # The first frames of a window are poor company: the filter has seen too little of it.
        early = torch.randint(2, seen_frames, (PICTURES,), generator=generator)
        later = torch.randint(seen_frames, every.shape[1], (PICTURES,), generator=generator)
        chosen = torch.cat([early, later]).to(every.device)
        palette = self.decoder.palette(batch['pixels'][:, now])
        return (every[:, chosen].flatten(0, 1), palette.repeat_interleave(2 * PICTURES, 0),
                batch['pixels'][:, chosen].flatten(0, 1))

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator
                ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the weighted sum and each term by name, detached."""
        states, palette, frames = self.states(batch, generator)
        target = self.decoder.normalised(frames)
        with torch.autocast(states.device.type, torch.bfloat16, enabled=self.half_precision):
            drawn = self.decoder(states, palette)
        terms = {'absolute': (drawn - target).abs().mean(), 'gradient': _gradient(drawn, target)}
        total = terms['absolute'] + self.options.gradient * terms['gradient']
        return total, {name: term.detach() for name, term in terms.items()}


def _gradient(drawn: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error of differences between neighbouring pixels, across and down."""
    error = drawn - target
    return (error[..., 1:] - error[..., :-1]).abs().mean() + (
        error[..., 1:, :] - error[..., :-1, :]).abs().mean()


def _iterate(objective: DecoderObjective, optimizer: torch.optim.Optimizer, windows: Windows,
             options: DecoderOptions, progress: DecoderProgress, report: Report,
             keep: Callable[[], None]) -> dict[str, float]:
    """Train to the end of the run; returns the loss terms, averaged over the last stretch."""
    sampler = batches.Sampler(windows, options.seed * 65536, 1)
    device = next(objective.decoder.parameters()).device
    last = kept = time.monotonic()
    said = -math.inf
    average: dict[str, float] = {}
    while progress.fraction(options) < 1.0:
        generator = torch.Generator().manual_seed(options.seed * 1_000_003 + progress.iteration)
        batch = {name: value.to(device) for name, value in sampler.sample(
            options.batch, progress.iteration).items()}
        batch = _augmented(batch, generator, options)
        for group in optimizer.param_groups:
            group['lr'] = options.learning_rate * schedule(progress.fraction(options))
        loss, terms = objective(batch, generator)
        if not torch.isfinite(loss):
            raise RuntimeError(f"the decoder's loss is not finite at {progress.iteration}")
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(objective.decoder.parameters(), 1.0)
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


def _augmented(batch: dict[str, Tensor], generator: torch.Generator,
               options: DecoderOptions) -> dict[str, Tensor]:
    """Vary light, hue and side as the model's training does: frames and states change alike."""
    if options.mirror:
        chosen = torch.rand(options.batch, generator=generator) < 0.5
        batch = augment.mirror(batch, chosen.to(batch['pixels'].device))
    batch = augment.exchange_colours(batch, generator)
    batch['pixels'] = augment.jitter_colours(batch['pixels'], generator)
    return batch


def _identity(bundle: Bundle, datasets: list[Dataset], options: DecoderOptions) -> dict[str, Any]:
    """What must be the same for a checkpoint to be of this run; its length may change."""
    return {'model': bundle.digest, 'data': [data.digest for data in datasets],
            'seed': options.seed, 'batch': options.batch, 'channels': list(options.channels),
            'gradient': options.gradient, 'mirror': options.mirror}


def _record(datasets: list[Dataset], decoder: Decoder, options: DecoderOptions,
            progress: DecoderProgress, terms: dict[str, float]) -> dict[str, Any]:
    return {'data': [{'name': data.path.name, 'digest': data.digest} for data in datasets],
            'minutes': round(progress.elapsed_s / 60, 2), 'iterations': progress.iteration,
            'pictures': progress.iteration * options.batch * 2 * PICTURES,
            'seed': options.seed, 'batch': options.batch, 'gradient': options.gradient,
            'parameters': sum(p.numel() for p in decoder.parameters()),
            'loss': {name: round(value, 4) for name, value in terms.items()}}
