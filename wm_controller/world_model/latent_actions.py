# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Actions that nobody recorded: what changed between two pictures, in a few numbers."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn, Tensor

from wm_controller.world_model.spec import COMMAND, ModelSpec

MAP_HIDDEN = 16  # seconds of commands must suffice to fit the map
LOG_VARIANCE = (-6.0, 2.0)


class LatentActions(nn.Module):
    """Inverse model (h, h') -> z, and the map between commands and z in both directions.

    z ~ N(mean, variance) is a conditional variational bottleneck (Kingma and Welling, 2014; Sohn
    et al., 2015): its prior is N(0, 1) where no command is known (latent actions as in Genie,
    Bruce et al., 2024, and LAPO, Schmidt and Jiang, 2024) and p(z | command) where one is.
    """

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        width, hidden = spec.architecture.latent_action, spec.architecture.head_hidden
        self.inverse = nn.Sequential(
            nn.Linear(2 * spec.architecture.latent, hidden), nn.LayerNorm(hidden), nn.SiLU(),
            nn.Linear(hidden, 2 * width))
        self.prior = nn.Sequential(nn.Linear(COMMAND, MAP_HIDDEN), nn.SiLU(),
                                   nn.Linear(MAP_HIDDEN, 2 * width))
        self.commands = nn.Sequential(nn.Linear(width, MAP_HIDDEN), nn.SiLU(),
                                      nn.Linear(MAP_HIDDEN, COMMAND))
        self.given = False

    def infer(self, before: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
        """Map latents (..., E), (..., E) to mean and log variance (..., Z) of what was done."""
        return _gaussian(self.inverse(torch.cat([before, after], -1)))

    def of_command(self, command: Tensor) -> tuple[Tensor, Tensor]:
        """Map normalised commands (..., 2) to mean and log variance (..., Z)."""
        return _gaussian(self.prior(command))

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


def _gaussian(values: Tensor) -> tuple[Tensor, Tensor]:
    mean, log_variance = values.float().chunk(2, -1)
    return mean, log_variance.clamp(*LOG_VARIANCE)
