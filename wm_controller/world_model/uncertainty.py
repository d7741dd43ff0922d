# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Many futures of one plan: what z leaves open, and where the ensemble was never taught.

The spread of futures under drawn z is what could happen; the members' disagreement about the next
state is what the model does not know.
"""

import torch
from torch import Tensor

from wm_controller.world_model.model import WorldModel

NORMAL_90 = 2.5631  # standard deviations between the 10 % and the 90 % quantile of a Gaussian


def futures(model: WorldModel, state: Tensor, actions: Tensor, per_member: int,
            generator: torch.Generator | None = None) -> Tensor:
    """Imagine states (P, B, T + 1, S) from (B, S) under (B, T, 2), each with z of its own.

    P is `per_member` times the members of the ensemble; sample p is of member p modulo those.
    """
    count = per_member * model.spec.architecture.ensemble
    drawn = model.draw_variable(count, *actions.shape[:-1], generator=generator)
    return model.imagine(state.expand(count, *state.shape), actions.expand(count, *actions.shape),
                         drawn, shared_out=True)[0]


def disagreement(model: WorldModel, states: Tensor, actions: Tensor) -> Tensor:
    """Return how far the members differ in what follows states (..., S) under actions (..., 2).

    Root of the variance over members of the next state, mean over its dimensions (as in Sekar et
    al., Plan2Explore, 2020): (...). The trunk is shared, so that this costs little.
    """
    after = model.predictor.opinions(states, model.condition(actions))
    # Not `var(0)`, which takes thirty times as long over so few members.
    return (after - after.mean(0)).pow(2).mean(0).mean(-1).sqrt()


def latent_spread(model: WorldModel, states: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (B, T, E) of the latents of futures (P, B, T, S)."""
    latents = model.latent_of(states)
    return latents.mean(0), latents.std(0)


def clearance_spread(model: WorldModel, states: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (B, T, K) of the log clearance (m) of futures (P, B, T, S).

    The futures differ, and each is unsure of what it sees (its quantiles): variances add.
    """
    low, middle, high = model.clearance_head(states).unbind(-2)
    within = ((high - low) / NORMAL_90).pow(2).mean(0)
    return middle.mean(0), (within + middle.var(0)).sqrt()
