# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Actions that nobody recorded: what changed between two pictures, in a few numbers."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn, Tensor

from wm_controller.world_model.spec import COMMAND, ModelSpec

SHIFTS = tuple((dy, dx) for dy in (-1, 0, 1) for dx in range(-4, 5))  # places
REGIONS = (2, 3)  # rows and columns of the picture whose shifts are told apart
CUES = 2 * REGIONS[0] * REGIONS[1]
SHARPNESS = 1.5   # of the match: at 1 distance tells best, at 4 turning
USUAL = (0.1, 0.8)  # shift down and to the right from picture to picture, places
MAP_HIDDEN = 16  # seconds of commands must suffice to fit the map
LOG_VARIANCE = (-6.0, 2.0)


class LatentActions(nn.Module):
    """Inverse model from two pictures to z, and the map between commands and z both ways.

    It sees how features shifted from picture to picture (`motion_cues`) and not what they are, so
    that a latent action means the same in every scene and cannot carry the next view along.
    z ~ N(mean, variance) is a variational bottleneck with the prior N(0, 1) (Kingma and Welling,
    2014); latent actions as in Genie (Bruce et al., 2024) and LAPO (Schmidt and Jiang, 2024).
    p(z | command) is a small map, fitted where commands are known.
    """

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        width, hidden = spec.architecture.latent_action, spec.architecture.head_hidden
        self.inverse = nn.Sequential(nn.Linear(CUES, hidden), nn.LayerNorm(hidden), nn.SiLU(),
                                     nn.Linear(hidden, 2 * width))
        self.motion = nn.Linear(width, CUES)
        self.prior = nn.Sequential(nn.Linear(COMMAND, MAP_HIDDEN), nn.SiLU(),
                                   nn.Linear(MAP_HIDDEN, 2 * width))
        self.commands = nn.Sequential(nn.Linear(width, MAP_HIDDEN), nn.SiLU(),
                                      nn.Linear(MAP_HIDDEN, COMMAND))
        self.given = False

    def infer(self, cues: Tensor) -> tuple[Tensor, Tensor]:
        """Map `motion_cues` (..., CUES) to mean and log variance (..., Z) of what was done."""
        return _gaussian(self.inverse(cues))

    def of_command(self, command: Tensor) -> tuple[Tensor, Tensor]:
        """Map normalised commands (..., 2) to mean and log variance (..., Z)."""
        return _gaussian(self.prior(command))

    def to_motion(self, latent_action: Tensor) -> Tensor:
        """Map latent actions (..., Z) to the `motion_cues` (..., CUES) that they tell of."""
        return self.motion(latent_action)

    def to_command(self, latent_action: Tensor) -> Tensor:
        """Map latent actions (..., Z) to normalised commands (..., 2)."""
        return self.commands(latent_action)

    @contextmanager
    def as_given(self) -> Iterator[None]:
        """Within it the model is driven by latent actions themselves, not by commands."""
        before, self.given = self.given, True
        try:
            yield
        finally:
            self.given = before


def motion_cues(before: Tensor, after: Tensor) -> Tensor:
    """How far each region's features (B, C, h, w) shifted to the next picture, (B, CUES).

    A correlation layer as in FlowNet (Dosovitskiy et al., 2015), then the expected shift under
    the match: turning shifts all regions alike, driving shifts them apart. Nothing else of the
    pictures comes through; given the correlations themselves, latent actions told the scene.
    """
    def plain(features: Tensor) -> Tensor:
        features = features.float()
        features = features - features.mean((-2, -1), keepdim=True)
        return nn.functional.normalize(features, dim=1)

    here, there = plain(before), plain(after)
    height, width = here.shape[-2:]
    down, right = (max(abs(shift[axis]) for shift in SHIFTS) for axis in (0, 1))
    padded = nn.functional.pad(there, (right, right, down, down))
    maps = [(here * padded[..., down + dy:down + dy + height,
                           right + dx:right + dx + width]).sum(1) for dy, dx in SHIFTS]
    match = nn.functional.adaptive_avg_pool2d(torch.stack(maps, 1), REGIONS).flatten(2)
    # Over shifts: how similar a region stays at all is light and texture, not motion.
    match = (match - match.mean(1, keepdim=True)) / (match.std(1, keepdim=True) + 1e-3)
    shifts = match.new_tensor(SHIFTS) / match.new_tensor(USUAL)
    return torch.einsum('bsr,sd->brd', torch.softmax(SHARPNESS * match, 1), shifts).flatten(1)


def _gaussian(values: Tensor) -> tuple[Tensor, Tensor]:
    mean, log_variance = values.float().chunk(2, -1)
    return mean, log_variance.clamp(*LOG_VARIANCE)
