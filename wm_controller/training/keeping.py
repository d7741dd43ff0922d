# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Keep what a model can do while it is fine-tuned on data that do not teach it.

Without a scan nothing says how far things are; the heads that tell would go on reading a state
that has changed beneath them. So what the model said before stands in for the missing labels
(learning without forgetting, Li and Hoiem 2017).
"""

from collections.abc import Callable

import torch
from torch import Tensor

from wm_controller.data.windows import Windows
from wm_controller.training import losses
from wm_controller.world_model.bundle import Bundle
from wm_controller.world_model.model import WorldModel

BETA = 0.2  # of the Huber loss, log metres

Batch = dict[str, Tensor]
Cut = Callable[[Tensor, int, int], Tensor]


class Keeper:
    """The model as it was, and what it says of frames that nobody has labelled.

    No part of the model that learns: checkpoints do not hold it.
    """

    def __init__(self, before: WorldModel) -> None:
        """`before` is frozen, and must be another object than the model to be trained."""
        self._before = before.eval().requires_grad_(False)

    @classmethod
    def where_needed(cls, initial: Bundle | None, windows: Windows) -> 'Keeper | None':
        """Return the keeper of a bundle to begin from; None where data label every step."""
        if initial is None or (len(windows.bearings) and windows.complete('clearance').all()
                               and windows.complete('pose').all()):
            return None
        return cls(initial.model)

    def loss(self, model: WorldModel, states: Tensor, future: Tensor, cut: Cut, batch: Batch
             ) -> Tensor:
        """Difference of clearance and gap from those said before, where data say nothing.

        Of states (B, L, S) seen, and of those imagined, (N, T, S): what will be said when their
        frames are seen. `cut(values, 1, T)` gathers (N, T, ...) from (B, L, ...).
        """
        steps = future.shape[1]
        with torch.no_grad():
            pixels = batch['pixels']
            latents = self._before.encode(pixels.flatten(0, 1)).unflatten(0, pixels.shape[:2])
            told = self._before.follow(latents, batch['previous_action'],
                                       batch.get('seen_proprio', batch['proprio']))
        unknown = {'clearance_head': ~torch.isfinite(batch['clearance']).any(-1)}
        if 'things' in batch:
            nothing = ~torch.isfinite(batch['things']).all(-1).any(-1, keepdim=True)
            unknown['gap_head'] = nothing.expand(states.shape[:2])
        total = states.new_zeros(())
        for name, steps_without in unknown.items():
            before, now = (getattr(each, name, None) for each in (self._before, model))
            if before is None or now is None:
                continue
            with torch.no_grad():
                said = before(told)
                missing = steps_without.view(*said.shape[:2], *(1,) * (said.ndim - 2))
                said = said.masked_fill(~missing, torch.nan)
            total = total + losses.smooth_l1(now(states), said, BETA) + losses.smooth_l1(
                now(future), cut(said, 1, steps), BETA)
        return total
