# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Energy of (state, action, observation): how little what is seen fits what was expected of it.

A chain of frames, each a model step after the last, carries a `Trace`: what was expected of the
frame now from one to STEPS steps before. The next frame is held against it in several channels
(`Evidence`). `EnergyTables`, measured on held-out data, make one score of them.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wm_controller.errors import InputError
from wm_controller.world_model.egomotion import view_angle, VisualCompass
from wm_controller.world_model.model import WorldModel
from wm_controller.world_model.surprise import Floats, Quantiles, tail_score

STEPS = 8        # predictions that are held against a frame: from 1 to so many steps before
TURN_STEPS = 2   # views so many steps apart, and all nearer ones, are compared for turns
STILL_FLOOR = 0.002  # of a latent's length: how much counts as no change
STANDING = (0.01, 0.02)  # m and rad a step: less, by odometry, is standing
# Channels that see the view change; added up, as events move several of them a little.
VIEW = ('prediction_1', 'prediction_2', 'clearance', 'inverse_dynamics')
# What speaks for itself: the view, the turn that camera and odometry disagree on, a frozen view;
# and how many nats each must bring before it counts, so that quiet ones add no noise.
ALLOWANCE = {'view': 0.0, 'turn': 1.0, 'still': 3.0}


@dataclass(frozen=True)
class Trace:
    """What a chain of frames has left, batch B.

    `expected` (B, STEPS, S): the state now, as predicted from 1, 2, ... steps before, NaN where
    the chain is younger. `views` (B, TURN_STEPS, R, N) and `turned` (B, TURN_STEPS) rad: what
    the camera saw now and before, newest first, and the turns by odometry since.
    """

    state: Tensor
    expected: Tensor
    latent: Tensor
    views: Tensor
    turned: Tensor


@dataclass(frozen=True)
class Evidence:
    """How one frame differs from what was expected, batch B; NaN where nothing is known.

    `prediction` (B, STEPS, E) latents, `clearance` (B, K) log metres, `inverse_dynamics` (B, 2)
    m/s and rad/s by the camera less those by odometry, `turn` (B, TURN_STEPS) log ratios, `still`
    (B,) log of the change expected over the change seen, NaN where odometry stands still: whom a
    guardrail holds against its command sees no change, and that is as it should be.
    """

    prediction: Tensor
    clearance: Tensor
    inverse_dynamics: Tensor
    turn: Tensor
    still: Tensor

    @property
    def one_step_energy(self) -> Tensor:
        """Mean squared error (B,) of the latent predicted one step before."""
        return self.prediction[:, 0].pow(2).mean(-1)


class Watch:
    """Follows chains of frames with a model."""

    def __init__(self, model: WorldModel, turn_gain: float | None = 1.0) -> None:
        """`turn_gain`: turn seen by the compass over turn driven; None: do without the compass.

        Near things exaggerate turns, as the camera sits before the axis.
        """
        self._model, self._gain = model, 1.0 if turn_gain is None else turn_gain
        view = None if turn_gain is None else view_angle(model.spec)
        self.compass = None if view is None else VisualCompass(model.spec, view)

    def begin(self, pixels: Tensor, state: Tensor, latent: Tensor) -> Trace:
        """Start chains with a frame (B, H, W, 3), its latents (B, E) and the states (B, S)."""
        batch = len(state)
        unknown = state.new_full((batch, STEPS, state.shape[-1]), torch.nan)
        views = self._signature(pixels)[:, None].expand(-1, TURN_STEPS, -1, -1).clone()
        views[:, 1:] = torch.nan
        return Trace(state, unknown, latent, views, state.new_full((batch, TURN_STEPS), torch.nan))

    def follow(self, before: Trace, pixels: Tensor, latent: Tensor, action: Tensor,
               proprio: Tensor) -> tuple[Trace, Evidence]:
        """Go on by a frame (B, H, W, 3), the action (B, 2) that led to it and proprio (B, 5)."""
        model = self._model
        states = torch.cat([before.state[:, None], before.expected[:, :-1]], 1)
        expected = model.predict(states, action[:, None].expand(-1, STEPS, -1))
        state = model.observe(before.state, latent, action, proprio)
        view = self._signature(pixels)
        yaw = proprio[:, 2] * self._gain
        turned = torch.cat([yaw[:, None], before.turned[:, :-1] + yaw[:, None]], 1)
        predicted = model.latent_of(expected)
        change = (predicted[:, 0] - before.latent).norm(dim=-1)
        seen = (latent - before.latent).norm(dim=-1)
        floor = STILL_FLOOR * latent.shape[-1] ** 0.5
        moved = proprio[:, [0, 2]] / model.spec.step_period_s
        evidence = Evidence(
            prediction=latent[:, None] - predicted,
            clearance=(model.clearance_head(state) - model.clearance_head(expected[:, 0]))[:, 1],
            inverse_dynamics=model.inverse_dynamics(before.latent, latent) * model.action_scale
            - moved,
            turn=self._turns(before.views, view, turned),
            still=((change + floor) / (seen + floor)).log().masked_fill(
                _stands(proprio), torch.nan))
        views = torch.cat([view[:, None], before.views[:, :-1]], 1)
        return Trace(state, expected, latent, views, turned), evidence

    def turn_seen(self, before: Tensor, now: Tensor) -> Tensor:
        """Return the turn (B,) rad between views (B, R, N), without regard to odometry."""
        if self.compass is None:
            return before.new_full((len(before),), torch.nan)
        return self.compass.turn(self.compass.matches(before, now))

    def _signature(self, pixels: Tensor) -> Tensor:
        if self.compass is None:
            return pixels.new_zeros((len(pixels), 1, 1), dtype=torch.float32)
        return self.compass.signature(pixels)

    def _turns(self, before: Tensor, now: Tensor, turned: Tensor) -> Tensor:
        if self.compass is None or bool(torch.isnan(turned).all()):
            return torch.full_like(turned, torch.nan)
        return torch.stack([
            self.compass.disagreement(self.compass.matches(before[:, i], now), turned[:, i])
            for i in range(TURN_STEPS)], 1)


def _stands(proprio: Tensor) -> Tensor:
    """Whether the robot did not move by odometry (B, 5), (B,); false where there is none."""
    return (proprio[:, :2].norm(dim=-1) < STANDING[0]) & (proprio[:, 2].abs() < STANDING[1])


@dataclass(frozen=True)
class EnergyTables:
    """The calibration of the energy, measured on held-out data; part of a bundle.

    `basis` (E, E) and `scale` (STEPS, E): residuals times basis over scale are white, for each
    prediction step; `clearance` (K, K) and `inverse_dynamics` (2, 2) whiten theirs. `tails` holds
    for each channel, and for each speaker, what `tail_score` needs. `published`: the
    conformal quantiles of the steadied score. `made_of`: what was measured, in words and counts.
    """

    basis: Tensor
    scale: Tensor
    clearance: Tensor
    inverse_dynamics: Tensor
    turn_gain: float
    tails: dict[str, tuple[Floats, float]]
    published: Quantiles
    made_of: dict[str, Any]

    def channels(self, evidence: Evidence) -> dict[str, Floats]:
        """Return the raw energy (B,) of each channel, higher is stranger, NaN unknown."""
        white = (evidence.prediction @ self.basis) / self.scale
        energies = {f'prediction_{k + 1}': white[:, k].pow(2).mean(-1).log()
                    for k in range(STEPS)}
        for name in ('clearance', 'inverse_dynamics'):
            whitened = getattr(evidence, name) @ getattr(self, name)
            energies[name] = (whitened.pow(2).mean(-1) + 1e-6).log()
        energies['turn'] = evidence.turn.mean(-1)
        energies['still'] = evidence.still
        return {name: np.asarray(value.numpy(), float) for name, value in energies.items()}

    def speakers(self, energies: dict[str, Floats]) -> dict[str, Floats]:
        """Return what speaks for itself (B,), not yet on one scale; NaN where nothing is known."""
        view = sum(np.nan_to_num(tail_score(energies[name], *self.tails[name])) for name in VIEW
                   if name in self.tails)
        unknown = np.isnan(energies['prediction_1'])
        return {'view': np.where(unknown, np.nan, view), 'turn': energies['turn'],
                'still': energies['still']}

    def score(self, evidence: Evidence) -> Floats:
        """Return the energy (B,) in nats: -ln of how rare each of `speakers` is, beyond ALLOWANCE.

        What is not known adds nothing; NaN where the view was not predicted.
        """
        spoken = self.speakers(self.channels(evidence))
        total = tail_score(spoken['view'], *self.tails['view'])
        for name in ('turn', 'still'):
            if name in self.tails:
                beyond = tail_score(spoken[name], *self.tails[name]) - ALLOWANCE[name]
                total = total + np.maximum(np.nan_to_num(beyond), 0.0)
        return np.asarray(total)

    def to_json(self) -> dict[str, Any]:
        """Return what is small; `tensors` returns the rest."""
        return {
            'turn_gain': self.turn_gain, 'made_of': self.made_of,
            'tails': {name: [np.round(grid, 6).tolist(), tail]
                      for name, (grid, tail) in self.tails.items()},
            'published': {'levels': list(self.published.levels),
                          'values': list(self.published.values),
                          'tail': self.published.tail}}

    def tensors(self) -> dict[str, Tensor]:
        """Return what is large, by name."""
        return {name: getattr(self, name) for name in TENSORS}

    @classmethod
    def from_parts(cls, data: dict[str, Any], tensors: dict[str, Tensor], model: WorldModel
                   ) -> 'EnergyTables':
        """Put together what `to_json` and `tensors` took apart; raises InputError if it is not."""
        a = model.spec.architecture
        bearings = model.clearance_head.directions
        shapes = {'basis': (a.latent, a.latent), 'scale': (STEPS, a.latent),
                  'clearance': (bearings, bearings), 'inverse_dynamics': (2, 2)}
        found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        if found != shapes:
            raise InputError(f'its energy tables are {found}, expected {shapes}: calibrate it '
                             'anew with `wm train DATA --calibrate`')
        try:
            published = Quantiles(tuple(map(float, data['published']['levels'])),
                                  tuple(map(float, data['published']['values'])),
                                  float(data['published'].get('tail', 0.0)))
            tails = {str(name): (np.asarray(grid, float), float(tail))
                     for name, (grid, tail) in data['tails'].items()}
            return cls(**tensors, turn_gain=float(data['turn_gain']), tails=tails,
                       published=published, made_of=dict(data['made_of']))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise InputError(f'its energy tables are damaged ({error}): calibrate it anew with '
                             '`wm train DATA --calibrate`') from error


TENSORS = ('basis', 'scale', 'clearance', 'inverse_dynamics')


def whitening(residuals: Tensor, shrink: float) -> Tensor:
    """Return W (D, D) such that residuals (N, D) times W have unit variance, shrunk covariance."""
    covariance = residuals.T @ residuals / len(residuals)
    size = covariance.shape[0]
    mean = covariance.diagonal().mean()
    covariance = (1 - shrink) * covariance + shrink * mean * torch.eye(size)
    values, vectors = torch.linalg.eigh(covariance)
    return vectors / values.clamp(min=1e-9).sqrt()

