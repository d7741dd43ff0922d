# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The training objective: predict in latent space over several steps, without collapse."""

from contextlib import AbstractContextManager
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import nn, Tensor

from wm_controller.training import latent_actions, losses
from wm_controller.training.collapse.method import Method
from wm_controller.training.collapse.vicreg import VICReg
from wm_controller.training.counterfactual import gap_loss
from wm_controller.training.image_reach import image_reach_loss
from wm_controller.training.keeping import Keeper
from wm_controller.world_model.heads import CLEARANCE_MIN, CLEARANCE_QUANTILES
from wm_controller.world_model.model import WorldModel

REACH_QUANTILE = 0.2  # of the times that drives took: near the shortest that is possible
FREE_NATS = 0.1  # per dimension of z and step


@dataclass(frozen=True)
class Weights:
    """Weight of each loss term; one of 0 takes the term out (for ablations).

    A way to train without collapse (`collapse/`) has its terms among them; others have none.
    """

    prediction: float = 8.0
    variance: float = 8.0
    covariance: float = 0.125
    inverse_dynamics: float = 0.5
    clearance: float = 4.0
    pose_change: float = 2.0
    time_to_reach: float = 0.1
    latent_variable: float = 0.01
    sigreg: float = 0.05
    mmcr: float = 8.0
    coding_rate: float = 8.0
    contrastive: float = 1.0
    image_reach: float = 0.5
    gap: float = 1.0
    latent_motion: float = 4.0
    latent_bottleneck: float = 0.08
    latent_command: float = 4.0
    kept: float = 4.0


@dataclass(frozen=True)
class Horizon:
    """Frames seen before the first prediction, and steps predicted from each start."""

    observed: int = 5
    predicted: int = 8
    starts: int = 4


class Objective(nn.Module):
    """Loss of a batch of sequences; wraps the model so that data-parallel training sees one call.

    A batch holds `pixels` (B, L, H, W, 3), `action` and `previous_action` (B, L, 2), `proprio`
    (B, L, 5) with `seen_proprio`, what of it the filter is shown, `clearance` (B, L, K),
    `reach_goal` (B, L, 2) m in the base frame with `reach_time` (B, L) s; for a model with
    `image_reach` also what `image_reach.draw_goals` returns, with `gap` what
    `counterfactual.draw_things` does.
    """

    def __init__(self, model: WorldModel, horizon: Horizon, weights: Weights,
                 half_precision: bool = False, method: type[Method] = VICReg,
                 keeper: Keeper | None = None) -> None:
        super().__init__()
        self.keeper = keeper
        self.model = model
        self.method = method(model)
        self.horizon = horizon
        self.weights = weights
        self.half_precision = half_precision

    def encode(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Encode (..., H, W, 3) to latents (..., E) and features (..., C, h, w).

        The convolutions run in bfloat16 where that pays.
        """
        with self._precision(pixels):
            latents, features = self.model.encode_with_features(pixels.flatten(0, -4))
        shape = pixels.shape[:-3]
        return latents.float().unflatten(0, shape), features.unflatten(0, shape)

    def _precision(self, values: Tensor) -> AbstractContextManager[Any]:
        return torch.autocast(values.device.type, torch.bfloat16, enabled=self.half_precision)

    def filter(self, latents: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Run the state filter over (B, L, E); returns states (B, L, S)."""
        return self.model.follow(latents, batch['previous_action'],
                                 batch.get('seen_proprio', batch['proprio']))

    def forward(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the weighted sum and each term by name, detached."""
        latents, features = self.encode(batch['pixels'])
        driven, action_terms = latent_actions.drive(self.model, features, batch)
        with self._precision(batch['pixels']):
            targets = self.method.targets(batch['pixels'], latents, self.model)
        with latent_actions.as_given(self.model):
            states = self.filter(latents, driven)
            rollout, future = self._rollout(states, latents, targets, driven)
        terms = {
            'inverse_dynamics': self._inverse_dynamics(latents, batch),
            **rollout,
            **action_terms,
        }
        if self.model.spec.architecture.gap:
            terms['gap'] = gap_loss(self.model, states, future, self.starts(states.shape[1]),
                                    batch)
        if self.keeper is not None:
            terms['kept'] = self.keeper.loss(self.model, states, future, self._cut, batch)
        total = sum((getattr(self.weights, f.name) * terms[f.name] for f in fields(Weights)
                     if f.name in terms), start=latents.new_zeros(()))
        return total, {name: term.detach() for name, term in terms.items()}

    def _inverse_dynamics(self, latents: Tensor, batch: dict[str, Tensor]) -> Tensor:
        action = batch['action'][:, :-1] / self.model.action_scale
        guessed = self.model.inverse_dynamics(latents[:, :-1], latents[:, 1:])
        return losses.smooth_l1(guessed, action)

    def starts(self, length: int) -> list[int]:
        """Frames from which futures are imagined, spread over what the window allows."""
        first, last = self.horizon.observed - 1, length - 1 - self.horizon.predicted
        count = min(self.horizon.starts, last - first + 1)
        return torch.linspace(first, last, count).round().long().tolist()

    def _cut(self, values: Tensor, offset: int, count: int) -> Tensor:
        """Gather (N, count, ...) of (B, L, ...) from `offset` behind each start on."""
        return torch.cat([values[:, t + offset:t + offset + count]
                          for t in self.starts(values.shape[1])])

    def _rollout(self, states: Tensor, latents: Tensor, targets: Tensor,
                 batch: dict[str, Tensor]) -> tuple[dict[str, Tensor], Tensor]:
        """Imagine from several frames at once; read all heads from seen and imagined states.

        Returns the terms and the imagined states (N, T, S).
        """
        steps = self.horizon.predicted
        starts, windows = self.starts(states.shape[1]), self._cut
        imagined, pose_change, divergence = self._imagine(
            torch.cat([states[:, t] for t in starts]), windows(batch['action'], 0, steps),
            windows(states, 1, steps))
        future = imagined[:, 1:]
        predicted = self.method.terms(latents, self.model.latent_of(future),
                                      windows(targets, 1, steps))

        scale = self.model.pose_change.scale
        moved = batch['proprio'][..., :3] / scale
        control = self.model.control(batch['action'])
        seen_change = self.model.pose_change(states[:, :-1], control[:, :-1]) / scale
        pose_loss = losses.smooth_l1(pose_change / scale, windows(moved, 1, steps), 0.2) + (
            losses.smooth_l1(seen_change, moved[:, 1:], 0.2))

        clearance_loss = self._clearance(states, batch['clearance']) + self._clearance(
            future, windows(batch['clearance'], 1, steps))
        reach_loss = self._reach(states, batch['reach_goal'], batch['reach_time']) + self._reach(
            future, windows(batch['reach_goal'], 1, steps), windows(batch['reach_time'], 1, steps))
        image_loss = states.new_zeros(())
        if self.model.spec.architecture.image_reach:
            goals, _ = self.encode(batch['reach_pixels'])
            asked = batch['reach_steps'].transpose(1, 2)  # (B, L, G), to be cut like the others
            image_loss = image_reach_loss(
                self.model, states, goals, batch['reach_steps'], batch['place']
            ) + image_reach_loss(self.model, future, goals.repeat(len(starts), 1, 1),
                                 windows(asked, 1, steps).transpose(1, 2))
        return {**predicted, 'pose_change': pose_loss,
                'clearance': clearance_loss, 'time_to_reach': reach_loss,
                'latent_variable': divergence, 'image_reach': image_loss}, future

    def _imagine(self, state: Tensor, actions: Tensor, after: Tensor
                 ) -> tuple[Tensor, Tensor, Tensor]:
        """Imagine from states (N, S) under (N, T, 2); what came (N, T, S) tells z to every other.

        The rows are shared out among the members of the ensemble. Returns states, pose changes
        and the divergence of z from its prior.
        """
        model = self.model
        if model.infer_variable is None:
            return *model.imagine(state, actions, shared_out=True), state.new_zeros(())
        count = model.spec.architecture.ensemble
        rows = torch.arange(len(state), device=state.device)
        informed = ((rows // count) % 2).to(state.dtype)[:, None]
        normalised = model.condition(actions)
        states, told = [state], []
        for action, truth in zip(normalised.unbind(1), after.detach().unbind(1)):
            mean, log_variance = model.infer_variable(states[-1], action, truth)
            z = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
            variable = torch.cat([z, torch.ones_like(z[:, :1])], -1) * informed
            states.append(model.predictor(states[-1], action, variable, shared_out=True))
            told.append(losses.gaussian_kl(mean[informed[:, 0] > 0], log_variance[
                informed[:, 0] > 0], FREE_NATS))
        stacked = torch.stack(states, 1)
        return (stacked, model.pose_change(stacked[:, :-1], model.control(actions)),
                torch.stack(told).mean())

    def _clearance(self, states: Tensor, target: Tensor) -> Tensor:
        log_metres = self.model.clearance_head(states)
        target = target.clamp(CLEARANCE_MIN, self.model.spec.clearance_max).log()
        return losses.quantiles(log_metres, target, CLEARANCE_QUANTILES, -2)

    def _reach(self, states: Tensor, goal: Tensor, time: Tensor) -> Tensor:
        known = torch.isfinite(goal).all(-1)
        guess = self.model.time_to_reach(states, torch.nan_to_num(goal))
        return losses.pinball(guess, torch.where(known, time, torch.nan), REACH_QUANTILE)
