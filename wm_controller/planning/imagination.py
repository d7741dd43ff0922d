# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Candidate actions in, imagined futures out: poses, clearance and time-to-reach, as numpy."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
import torch

from wm_controller.safety.geometry import chained, relative
from wm_controller.world_model import uncertainty
from wm_controller.world_model.bundle import Bundle
from wm_controller.world_model.model import WorldModel
from wm_controller.world_model.precision import for_imagination

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Future:
    """What N action sequences (N, T, 2) would lead to, in each of P ways that it may go.

    `poses` (N, T + 1, 3) in the frame of the base now, in the first; `clearance` (P, N, S, K) m,
    the model's median at the `clearance_steps` (S,), None where there is a gap; `time_to_reach`
    (P, N, S) s at those steps, or None; `disagreement` (N,): of the ensemble, 1 being usual on
    what it was trained for; `gap` (P, N, S) m: from the base's middle to the nearest thing all
    round, or None; `time_to_picture` (P, N, S) s until the camera sees what a goal picture shows,
    or None.
    """

    actions: Floats
    poses: Floats
    clearance_steps: NDArray[np.int64]
    clearance: Floats | None
    time_to_reach: Floats | None
    disagreement: Floats
    gap: Floats | None = None
    time_to_picture: Floats | None = None

    def nearest(self) -> Floats:
        """Return the distance (P, N, S) m to the nearest thing: all round, else in the view."""
        if self.gap is not None:
            return self.gap
        assert self.clearance is not None, 'a model has a gap head or a clearance head'
        return np.asarray(self.clearance.min(-1))


class Imagination:
    """Rolls the world model out from one state: what is expected, or futures under drawn z.

    `usual_disagreement` (steps,) is what the members of the ensemble differ by on held-out data.
    Each of `drawn` futures has a z of its own, the same for all candidates of a plan, so that
    these compare; the next plan, a tenth of a second later, draws anew.
    """

    def __init__(self, model: WorldModel, usual_disagreement: Sequence[float] = (),
                 drawn: int = 1, seed: int = 0) -> None:
        self.model = for_imagination(model)
        self._quick = self.model is not model
        self.period_s = model.spec.step_period_s
        self._drawn = drawn if model.spec.architecture.latent_variable else 0
        self._usual = np.asarray(usual_disagreement, float)
        self._generator = torch.Generator().manual_seed(seed)

    @classmethod
    def of(cls, bundle: Bundle, drawn: int = 1, seed: int = 0) -> 'Imagination':
        """Imagine with a bundle's model, by what its gates found usual."""
        calibration = bundle.gates.get('uncertainty', {}) if (
            bundle.spec.architecture.ensemble > 1) else {}
        return cls(bundle.model, calibration.get('disagreement', ()), drawn, seed)

    def draw(self, steps: int) -> torch.Tensor | None:
        """Draw z (P, 1, steps, Z + 1) for one plan; None, for what is expected, without z."""
        if not self._drawn:
            return None
        return self.model.draw_variable(self._drawn, 1, steps, generator=self._generator)

    @torch.no_grad()
    def __call__(self, state: torch.Tensor, actions: Floats, goal: Floats | None,
                 variable: torch.Tensor | None = None,
                 picture: torch.Tensor | None = None) -> Future:
        """Imagine from state (1, S) under actions (N, T, 2).

        `goal` (2,) m in the base frame; `picture` (1, E) the latent of a goal picture.
        """
        ways, count = (1 if variable is None else len(variable)), len(actions)
        tensor = torch.from_numpy(actions.astype(np.float32))
        if variable is not None:
            variable = variable.expand(-1, count, -1, -1)
        with self.precision():
            states, changes = self.model.imagine(
                state.expand(ways, count, -1), tensor.expand(ways, *tensor.shape), variable)
        return self.read(states, changes[0], actions, goal, picture)

    @torch.no_grad()
    def read(self, states: torch.Tensor, changes: torch.Tensor, actions: Floats,
             goal: Floats | None, picture: torch.Tensor | None = None) -> Future:
        """Read futures off states (P, N, T + 1, S) and the pose changes (N, T, 3) of the first."""
        steps = actions.shape[1]
        poses = chained(changes.double().numpy())
        chosen = np.arange(2, steps + 1, 2)
        later = states[:, :, torch.from_numpy(chosen)]
        clearance = reach = gap = to_picture = None
        with self.precision():
            if self.model.spec.architecture.gap:
                gap = self.model.gap(later)[..., 1].double().numpy()
            else:
                clearance = self.model.clearance(later)[..., 1, :].double().numpy()
            if goal is not None:
                local = torch.from_numpy(relative(poses[:, chosen], np.array(
                    [*goal, 0.0]))[..., :2].astype(np.float32))
                reach = self.model.time_to_reach(
                    later, local.expand(len(later), *local.shape)).double().numpy()
            if picture is not None and self.model.spec.architecture.image_reach:
                to_picture = self.model.time_to_image(later, picture).double().numpy()
        return Future(actions, poses, chosen, clearance, reach,
                      self._disagreement(states[0], actions, chosen), gap, to_picture)

    def _disagreement(self, states: torch.Tensor, actions: Floats,
                      steps: NDArray[np.int64]) -> Floats:
        """How the members differ (N,) about what is expected, in units of what is usual."""
        if not len(self._usual):
            return np.ones(len(actions))
        before = torch.from_numpy(steps - 1)
        with self.precision():
            found = uncertainty.disagreement(self.model, states[:, before], torch.from_numpy(
                actions[:, steps - 1].astype(np.float32))).double().numpy()
        usual = self._usual[np.minimum(steps, len(self._usual)) - 1]
        return np.asarray((found / np.maximum(usual, 1e-6)).mean(-1))

    def precision(self) -> torch.autocast:
        """Context in which `model` is to be run."""
        return torch.autocast('cpu', torch.bfloat16, enabled=self._quick)
