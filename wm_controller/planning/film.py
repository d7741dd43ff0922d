# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Pictures of what a plan leads to: made when somebody wants to see them, never to plan with."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
import torch

from wm_controller.planning.contract import Imagined
from wm_controller.world_model.attach import decoder_of
from wm_controller.world_model.bundle import Bundle


class Film:
    """Draws imagined futures with the bundle's decoder; may be called in a thread of its own."""

    def __init__(self, bundle: Bundle) -> None:
        """Raise InputError where the bundle has no decoder."""
        self._model, self._decoder = bundle.model, decoder_of(bundle)
        self.period_s = bundle.spec.step_period_s

    @torch.no_grad()
    def __call__(self, imagined: Imagined, steps: Sequence[int]) -> NDArray[np.uint8]:
        """Return pictures (len(steps), H, W, 3) uint8 RGB, so many model steps ahead."""
        actions = torch.from_numpy(imagined.actions.astype(np.float32))[None, :max(steps)]
        states, _ = self._model.imagine(imagined.state, actions)
        return np.asarray(self._decoder.pictures(states[0, list(steps)]).numpy(), np.uint8)
