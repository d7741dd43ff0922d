# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Masked latent prediction on windows of frames: the encoder learns from video before all else.

As in V-JEPA (Bardes et al., 2024): blocks of space-time are hidden from the encoder, and their
features, as a slowly following copy of the encoder sees them in the whole pictures, are predicted
from the places that are visible. No labels are used.
"""

from collections.abc import Callable
import copy
from dataclasses import dataclass
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
import torch
from torch import nn, Tensor

from wm_controller.data.windows import Windows
from wm_controller.training.augment import jitter_colours
from wm_controller.world_model.encoder import ConvEncoder

PATCH = 3        # features a side that make one place
WIDTH, HEADS, LAYERS = 96, 4, 2  # of the predictor, which is thrown away


@dataclass(frozen=True)
class MaskedOptions:
    """How to pre-train: minutes of the clock (or of the processor), or steps."""

    minutes: float = 0.0
    processor_time: bool = False
    steps: int | None = None
    seed: int = 0
    batch: int = 16
    frames: int = 8
    learning_rate: float = 1e-3
    weight_decay: float = 0.04
    follow: float = 0.99  # of the target encoder, each step
    hidden: float = 0.6   # share of the places, at least
    block: tuple[int, int, int] = (8, 2, 2)  # steps, rows, columns of places, at most


class MaskedPrediction(nn.Module):
    """Encoder, its target, and the predictor of hidden places."""

    def __init__(self, encoder: ConvEncoder, frames: int) -> None:
        super().__init__()
        self.encoder = encoder.features
        self.target = copy.deepcopy(encoder.features).requires_grad_(False)
        channels, height, width = encoder.feature_shape
        self.grid = (frames, height // PATCH, width // PATCH)
        inner = channels * PATCH * PATCH
        self.embed = nn.Linear(inner, WIDTH)
        self.mask = nn.Parameter(torch.zeros(WIDTH))
        self.when = nn.Parameter(0.02 * torch.randn(frames, 1, WIDTH))
        self.where = nn.Parameter(0.02 * torch.randn(1, self.grid[1] * self.grid[2], WIDTH))
        layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 2 * WIDTH, dropout=0.0,
                                           batch_first=True, norm_first=True)
        self.predictor = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)
        self.read = nn.Linear(WIDTH, inner)

    def forward(self, pixels: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Loss, and the deviation of target features between places: near 0 they collapsed.

        `pixels` (B, T, 3, H, W) normalised; `hidden` (B, T, h, w) marks places.
        """
        batch, frames = pixels.shape[:2]
        with torch.no_grad():
            target = self._places(self.target(pixels.flatten(0, 1)))
            target = nn.functional.layer_norm(target, target.shape[-1:])
        shown = pixels.masked_fill(self._over_pixels(hidden, pixels.shape[-2:]), 0.0)
        seen = self.embed(self._places(self.encoder(shown.flatten(0, 1))))
        places = hidden.flatten(2)
        seen = seen.unflatten(0, (batch, frames))
        seen = torch.where(places[..., None], self.mask, seen) + self.when + self.where
        guess = self.read(self.predictor(seen.flatten(1, 2)))
        error = (guess - target.unflatten(0, (batch, frames)).flatten(1, 2)).abs().mean(-1)
        chosen = places.flatten(1)
        return (error * chosen).sum() / chosen.sum(), target.flatten(0, 1).std(0).mean()

    @torch.no_grad()
    def follow(self, share: float) -> None:
        """Let the target follow the encoder: share of the old, rest of the new."""
        for old, new in zip(self.target.parameters(), self.encoder.parameters()):
            old.lerp_(new, 1 - share)

    def _places(self, features: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, places, C PATCH PATCH); a margin that fills no place is left out."""
        _, rows, columns = self.grid
        cut = features[..., :rows * PATCH, :columns * PATCH]
        return nn.functional.unfold(cut, PATCH, stride=PATCH).transpose(1, 2)

    def _over_pixels(self, hidden: Tensor, size: torch.Size) -> Tensor:
        """Places (B, T, h, w) as pixels (B, T, 1, H, W)."""
        grown = nn.functional.interpolate(hidden.float(), size=tuple(size), mode='nearest')
        return grown[:, :, None] > 0.5


def hide_blocks(rng: np.random.Generator, batch: int, grid: tuple[int, int, int],
                share: float, block: tuple[int, int, int]) -> NDArray[np.bool_]:
    """Mark (B, T, h, w) blocks of space-time until at least `share` of the places is hidden.

    One place of each sequence stays visible.
    """
    hidden = np.zeros((batch, *grid), dtype=bool)
    for one in hidden:
        while one.mean() < share:
            size = [int(rng.integers(max(1, most // 2), most + 1)) for most in block]
            first = [int(rng.integers(0, max(1, extent - length + 1)))
                     for extent, length in zip(grid, size)]
            one[tuple(slice(a, a + b) for a, b in zip(first, size))] = True
        if one.all():
            one[tuple(rng.integers(extent) for extent in grid)] = False
    return hidden


def pretrain(encoder: ConvEncoder, windows: Windows, options: MaskedOptions,
             report: Callable[[float, float], Any] = lambda fraction, loss: None
             ) -> dict[str, float]:
    """Train the encoder's features in place; returns steps, times, loss, target deviation.

    Frames come from the first `frames` steps of windows; `report(fraction, loss)` after each step.
    """
    torch.manual_seed(options.seed)
    task = MaskedPrediction(encoder, min(options.frames, windows.length))
    task.to(encoder.pixel_scale.mean.device).train()
    trained = [p for p in task.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, options.learning_rate,
                                  weight_decay=options.weight_decay)
    rng = np.random.default_rng([options.seed, 13])
    start, processor_start = time.monotonic(), time.process_time()
    step, loss, deviation = 0, float('nan'), float('nan')

    def spent() -> float:
        return (time.process_time() - processor_start if options.processor_time
                else time.monotonic() - start)

    while (done := _done(options, step, spent())) < 1:
        for group in optimizer.param_groups:
            group['lr'] = options.learning_rate * min(1.0, (step + 1) / 20)
        pixels = _draw(windows, rng, options, task.grid[0], encoder)
        hidden = torch.from_numpy(hide_blocks(rng, options.batch, task.grid, options.hidden,
                                              options.block)).to(pixels.device)
        value, spread = task(pixels, hidden)
        optimizer.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        task.follow(options.follow)
        step, loss, deviation = step + 1, float(value.detach()), float(spread)
        report(done, loss)
    return {'steps': step, 'elapsed_s': time.monotonic() - start,
            'processor_s': time.process_time() - processor_start, 'loss': loss,
            'target_deviation': deviation}


def _draw(windows: Windows, rng: np.random.Generator, options: MaskedOptions, frames: int,
          encoder: ConvEncoder) -> Tensor:
    """Normalised pixels (B, T, 3, H, W) of random windows, their colours varied."""
    chosen = rng.integers(len(windows), size=options.batch)
    rows = windows.starts[chosen][:, None] + np.arange(frames)
    images = windows.images(rows.ravel())
    images = images.reshape(*rows.shape, *images.shape[1:])
    generator = torch.Generator().manual_seed(int(rng.integers(2 ** 31)))
    device = encoder.pixel_scale.mean.device
    pixels = jitter_colours(torch.from_numpy(images).to(device), generator)
    return encoder.pixel_scale(pixels.permute(0, 1, 4, 2, 3))


def _done(options: MaskedOptions, step: int, elapsed_s: float) -> float:
    if options.steps is not None:
        return step / max(1, options.steps)
    return elapsed_s / max(1e-6, 60 * options.minutes)
