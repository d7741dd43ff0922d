# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Latent actions from video: what stands for commands where a recording has none.

The inverse model reads a latent action off each pair of neighbouring frames, and the predictor
is driven by it. A narrow noisy bottleneck keeps the future itself from being passed through.
Where commands are known, the map between them and latent actions is fitted, in both directions.
"""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from wm_controller.training import losses
from wm_controller.world_model.latent_actions import motion_cues
from wm_controller.world_model.model import WorldModel

Batch = dict[str, Tensor]
FREE_NATS = 1.0  # a step, not paid for: else nothing passes before the encoder has learned


def drive(model: WorldModel, features: Tensor, batch: Batch) -> tuple[Batch, Batch]:
    """Substitute latent actions inferred from features (B, L, C, h, w), if the model has any."""
    if model.latent_actions is None:
        return batch, {}
    return substitute(model, cues_of(features), batch)


def substitute(model: WorldModel, cues: Tensor, batch: Batch) -> tuple[Batch, Batch]:
    """Put latent actions (B, L, Z) in place of `action` and `previous_action` (B, L, 2).

    `cues` (B, L - 1, CUES) are those between neighbouring frames (`cues_of`).
    Returns the batch and the loss terms: `latent_motion` the error of the shifts read back from
    latent actions, which are about them therefore, `latent_bottleneck` in nats over FREE_NATS,
    `latent_command` the error of the map: of commands read from latent actions, and the divergence
    of those from p(z | command).
    """
    assert model.latent_actions is not None
    bridge = model.latent_actions
    mean, log_variance = bridge.infer(cues)
    command = batch['action'][:, :-1] / model.action_scale
    known = torch.isfinite(command).all(-1, keepdim=True)
    # What an action is, the video says: a few commands would bend it to what they happen to be.
    target, target_log_variance = mean.detach(), log_variance.detach()
    prior = bridge.of_command(torch.nan_to_num(command))
    apart = _divergence(target, target_log_variance, *prior)[..., None]
    standard = torch.zeros_like(mean)
    sampled = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
    terms = {
        'latent_motion': (bridge.to_motion(sampled) - cues).pow(2).mean(),
        'latent_bottleneck': torch.relu(
            _divergence(mean, log_variance, standard, standard).mean() - FREE_NATS),
        'latent_command': losses.smooth_l1(bridge.to_command(target), command) + (
            (apart * known).sum() / known.sum().clamp_min(1)),
    }
    return as_actions(model, sampled, batch), terms


def as_given(model: WorldModel) -> AbstractContextManager[None]:
    """Context in which the model takes what `substitute` returned as latent actions."""
    return nullcontext() if model.latent_actions is None else model.latent_actions.as_given()


def cues_of(features: Tensor) -> Tensor:
    """Motion cues (B, L - 1, CUES) between neighbouring frames' features (B, L, C, h, w)."""
    before, after = features[:, :-1], features[:, 1:]
    return motion_cues(before.flatten(0, 1), after.flatten(0, 1)).unflatten(0, before.shape[:2])


def as_actions(model: WorldModel, action: Tensor, batch: Batch) -> Batch:
    """Return the batch with latent actions (B, L - 1, Z) as `action` and `previous_action`.

    What follows the last frame is 0; what led to the first one is taken from its command where
    there is one, else 0.
    """
    assert model.latent_actions is not None
    before = batch['previous_action'][:, :1] / model.action_scale
    known = torch.isfinite(before).all(-1, keepdim=True)
    first = model.latent_actions.of_command(torch.nan_to_num(before))[0]
    first = torch.where(known, first, torch.zeros_like(first))
    return {**batch, 'action': torch.cat([action, torch.zeros_like(action[:, :1])], 1),
            'previous_action': torch.cat([first, action], 1)}


def _divergence(mean: Tensor, log_variance: Tensor, other_mean: Tensor,
                other_log_variance: Tensor) -> Tensor:
    """Kullback-Leibler divergence (...,) of diagonal Gaussians (..., Z), nats."""
    ratio = (log_variance - other_log_variance).exp()
    distance = (mean - other_mean).pow(2) * (-other_log_variance).exp()
    return 0.5 * (ratio + distance - 1 - log_variance + other_log_variance).sum(-1)
