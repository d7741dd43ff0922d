# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Pictures of what a plan leads to: made when somebody wants to see them, never to plan with."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
import torch

from wm_controller.data.images import fit
from wm_controller.planning.contract import Imagined
from wm_controller.world_model.attach import decoder_of
from wm_controller.world_model.bundle import Bundle

PICTURES = 6  # of a strip


def shown_steps(horizon: int) -> tuple[int, ...]:
    """Steps of a future that a strip shows: evenly spread, the last one among them."""
    return tuple(sorted({round(step) for step in np.linspace(
        max(1, horizon / PICTURES), horizon, min(PICTURES, horizon))}))


class Film:
    """Draws imagined futures with the bundle's decoder; may be called in a thread of its own."""

    def __init__(self, bundle: Bundle) -> None:
        """Raise InputError where the bundle has no decoder."""
        self._model, self._decoder = bundle.model, decoder_of(bundle)
        self.period_s = bundle.spec.step_period_s
        height, width = bundle.spec.image_size
        self._size = width, height

    @torch.no_grad()
    def __call__(self, imagined: Imagined, seen: NDArray[np.uint8],
                 steps: Sequence[int]) -> NDArray[np.uint8]:
        """Return pictures (len(steps), H, W, 3) uint8 RGB, so many model steps ahead.

        `seen` (any size) RGB is the frame that was planned from.
        """
        frame = torch.from_numpy(fit(seen, self._size).copy())[None]
        actions = torch.from_numpy(imagined.actions.astype(np.float32))[None, :max(steps)]
        states, _ = self._model.imagine(imagined.state, actions)
        pictures = self._decoder.pictures(states[:, list(steps)], frame)
        return np.asarray(pictures[0].numpy(), np.uint8)
