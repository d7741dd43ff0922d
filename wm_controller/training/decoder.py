# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Train a decoder for a finished model, on its detached states.

After the model and never with it: a decoder's loss in the model's training cost others 10 to 12
points of success (world models learn what pictures are made of, not what can be done). Half of
what it draws are states seen, half imagined up to `Horizon.predicted` steps ahead, each with the
frame that came then: a decoder that knows encoded states alone breaks on imagined ones.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from wm_controller.data.windows import Windows
from wm_controller.training import augment, batches
from wm_controller.training.objective import Horizon, Objective, Weights
from wm_controller.training.part import Batch, Part, PartOptions, Sampler
from wm_controller.world_model.attach import new_decoder
from wm_controller.world_model.bundle import Bundle
from wm_controller.world_model.precision import bfloat16_pays

CHANNELS = (6, 64, 32, 16)
PICTURES = 3  # of each window: so many seen, and so many imagined


@dataclass(frozen=True)
class DecoderOptions(PartOptions):
    """How to train it.

    `gradient` weighs the error of the differences from pixel to pixel, which makes edges, beside
    the mean absolute error of the pixels.
    """

    gradient: float = 0.5
    channels: tuple[int, ...] = CHANNELS


class DecoderPart(Part):
    """The decoder; the model is frozen and only read."""

    NAME, PREFIX, TERM = 'decoder', 'decoder.', 'absolute'
    window = Horizon().observed + 1 + Horizon().predicted

    def __init__(self, bundle: Bundle, options: DecoderOptions) -> None:
        self.model, self.options = bundle.model, options
        device = next(bundle.model.parameters()).device
        self.module = self.decoder = new_decoder(bundle, options.channels).to(device)
        self.half_precision = bfloat16_pays(device)
        self._reader = Objective(bundle.model, Horizon(), Weights(), self.half_precision)

    @property
    def architecture(self) -> dict[str, Any]:
        return {'decoder_channels': list(self.options.channels)}

    @property
    def identity(self) -> dict[str, Any]:
        return {'channels': list(self.options.channels), 'gradient': self.options.gradient}

    def record(self, iterations: int) -> dict[str, Any]:
        """Return how many pictures were drawn, and for what."""
        return {'pictures': iterations * self.options.batch * 2 * PICTURES,
                'gradient': self.options.gradient}

    def sampler(self, windows: Windows) -> Sampler:
        """Vary light, hue and side as the model's training does: frames and states alike."""
        options = self.options
        drawn = batches.Sampler(windows, options.seed * 65536, 1)

        def sample(iteration: int, generator: torch.Generator) -> Batch:
            return augment.vary(drawn.sample(options.batch, iteration), generator, options.mirror)

        return sample

    @torch.no_grad()
    def states(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
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

    def loss(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Batch]:
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
