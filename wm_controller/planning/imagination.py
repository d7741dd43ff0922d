# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Candidate actions in, imagined futures out: poses, clearance and time-to-reach.

As tensors, so that a cost of them can say how it changes with the actions.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
import torch
from torch import Tensor

from wm_controller.world_model import uncertainty
from wm_controller.world_model.bundle import Bundle
from wm_controller.world_model.model import WorldModel
from wm_controller.world_model.poses import chained, seen_from
from wm_controller.world_model.precision import for_imagination

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Future:
    """What N action sequences (N, T, 2) would lead to, in each of P ways that it may go.

    All are of double precision, on the processor. `poses` (N, T + 1, 3) in the frame of the base
    now, in the first; `nearest` (P, N, S) m, the median distance of the nearest thing, all round
    where the model knows that, at some `steps` (S,); `time_to_reach` (P, N, S) s at those steps,
    or None; `disagreement`: of the ensemble about some of the futures, (M,) of their numbers (M,),
    1 being usual on what it was trained for: computed when asked for, as a third of imagining;
    `time_to_picture` (P, N, S) s until the camera sees what a goal picture shows, or None;
    `abstract_off` (N,): mean square by which the abstract state misses the subgoal's, or None.
    """

    actions: Tensor
    poses: Tensor
    steps: Tensor
    nearest: Tensor
    time_to_reach: Tensor | None
    disagreement: Callable[[Tensor], Tensor]
    time_to_picture: Tensor | None = None
    abstract_off: Tensor | None = None


@dataclass(frozen=True)
class Wanted:
    """What futures are compared with: latent (1, E) of a goal picture, abstract state (1, U).

    The latter at one step of the future, `due_step`.
    """

    picture: Tensor | None = None
    abstract: Tensor | None = None
    due_step: int = 0


NOTHING = Wanted()


class Imagination:
    """Rolls the world model out from one state: what is expected, or futures under drawn z.

    `usual_disagreement` (steps,) is what the members of the ensemble differ by on held-out data.
    Each of `drawn` futures has a z of its own, the same for all candidates of a plan, so that
    these compare; the next plan, a tenth of a second later, draws anew.
    """

    def __init__(self, model: WorldModel, usual_disagreement: Sequence[float] = (),
                 drawn: int = 1, seed: int = 0) -> None:
        self.model = for_imagination(model)
        self._exact = model
        self.period_s = model.spec.step_period_s
        self._drawn = drawn if model.spec.architecture.latent_variable else 0
        self._usual = torch.tensor(list(usual_disagreement), dtype=torch.float64)
        self._generator = torch.Generator().manual_seed(seed)

    @classmethod
    def of(cls, bundle: Bundle, drawn: int = 1, seed: int = 0) -> 'Imagination':
        """Imagine with a bundle's model, by what its gates found usual."""
        calibration = bundle.gates.get('uncertainty', {}) if (
            bundle.spec.architecture.ensemble > 1) else {}
        return cls(bundle.model, calibration.get('disagreement', ()), drawn, seed)

    def draw(self, steps: int) -> Tensor | None:
        """Draw z (P, 1, steps, Z + 1) for one plan; None, for what is expected, without z."""
        if not self._drawn:
            return None
        return self.model.draw_variable(self._drawn, 1, steps, generator=self._generator)

    @torch.no_grad()
    def __call__(self, state: Tensor, actions: Floats, goal: Floats | None,
                 variable: Tensor | None = None, wanted: Wanted = NOTHING) -> Future:
        """Imagine from state (1, S) under actions (N, T, 2); `goal` (2,) m in the base frame."""
        with self.precision():
            return self._imagine(self.model, state, torch.from_numpy(actions), goal, variable,
                                 wanted)

    def traced(self, state: Tensor, actions: Tensor, goal: Floats | None,
               variable: Tensor | None = None, wanted: Wanted = NOTHING) -> Future:
        """Imagine alike, but so that gradients reach the actions; in full precision."""
        with torch.enable_grad():
            return self._imagine(self._exact, state, actions, goal, variable, wanted)

    def _imagine(self, model: WorldModel, state: Tensor, actions: Tensor, goal: Floats | None,
                 variable: Tensor | None, wanted: Wanted) -> Future:
        ways, count = (1 if variable is None else len(variable)), len(actions)
        taken = actions.float()
        if variable is not None:
            variable = variable.expand(-1, count, -1, -1)
        states, changes = model.imagine(
            state.expand(ways, count, -1), taken.expand(ways, *taken.shape), variable)
        return self._read(model, states, changes[0], actions, goal, wanted)

    @torch.no_grad()
    def read(self, states: Tensor, changes: Tensor, actions: Floats, goal: Floats | None,
             wanted: Wanted = NOTHING) -> Future:
        """Read futures off states (P, N, T + 1, S) and the pose changes (N, T, 3) of the first."""
        with self.precision():
            return self._read(self.model, states, changes, torch.from_numpy(actions), goal,
                              wanted)

    def _read(self, model: WorldModel, states: Tensor, changes: Tensor, actions: Tensor,
              goal: Floats | None, wanted: Wanted) -> Future:
        poses = chained(changes.double())
        chosen = torch.arange(2, actions.shape[1] + 1, 2)
        later = states[:, :, chosen]
        reach = to_picture = off = None
        if goal is not None:
            local = seen_from(poses[:, chosen], torch.from_numpy(goal)).float()
            reach = model.time_to_reach(later, local.expand(len(later), *local.shape)).double()
        if wanted.picture is not None and model.spec.architecture.image_reach:
            to_picture = model.time_to_image(later, wanted.picture).double()
        if wanted.abstract is not None and model.abstract is not None:
            there = model.abstract.encode(states[0, :, wanted.due_step])
            off = (there - wanted.abstract).pow(2).mean(-1).double()
        return Future(actions, poses, chosen, model.nearest(later).double(), reach,
                      partial(self._disagreement, model, states[0], actions, chosen), to_picture,
                      off)

    def _disagreement(self, model: WorldModel, states: Tensor, actions: Tensor, steps: Tensor,
                      futures: Tensor) -> Tensor:
        """How the members differ (M,) about what is expected, in units of what is usual."""
        if not len(self._usual):
            return torch.ones(len(futures), dtype=torch.float64)
        which = futures[:, None], steps - 1
        with self._precision(model), torch.set_grad_enabled(actions.requires_grad):
            found = uncertainty.disagreement(
                model, states[which], actions[which].float()).double()
        usual = self._usual[torch.clamp(steps, max=len(self._usual)) - 1]
        return (found / usual.clamp_min(1e-6)).mean(-1)

    def precision(self) -> torch.autocast:
        """Context in which `model` is to be run."""
        return self._precision(self.model)

    def _precision(self, model: WorldModel) -> torch.autocast:
        return torch.autocast('cpu', torch.bfloat16, enabled=model is not self._exact)
