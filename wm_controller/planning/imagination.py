# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Candidate actions in, imagined futures out: poses, clearance and time-to-reach, as numpy."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
import torch

from wm_controller.safety.geometry import compose, relative
from wm_controller.world_model.model import WorldModel
from wm_controller.world_model.precision import for_imagination

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Future:
    """What N action sequences (N, T, 2) would lead to.

    `poses` (N, T + 1, 3) in the frame of the base now; `clearance` (N, S, K) m, the model's
    median at the `clearance_steps` (S,); `time_to_reach` (N, S) s at those steps, or None.
    """

    actions: Floats
    poses: Floats
    clearance_steps: NDArray[np.int64]
    clearance: Floats
    time_to_reach: Floats | None


class Imagination:
    """Rolls the world model out from one state."""

    def __init__(self, model: WorldModel) -> None:
        self.model = for_imagination(model)
        self._quick = self.model is not model
        self.period_s = model.spec.step_period_s
        self.has_clearance = len(model.spec.clearance_bearings) > 0

    @torch.no_grad()
    def __call__(self, state: torch.Tensor, actions: Floats, goal: Floats | None) -> Future:
        """Imagine from state (1, S) under actions (N, T, 2); `goal` (2,) m in the base frame."""
        count = len(actions)
        tensor = torch.from_numpy(actions.astype(np.float32))
        with self.precision():
            states, changes = self.model.imagine(state.expand(count, -1), tensor)
        return self.read(states, changes, actions, goal)

    @torch.no_grad()
    def read(self, states: torch.Tensor, changes: torch.Tensor, actions: Floats,
             goal: Floats | None) -> Future:
        """Read a future off states (N, T + 1, S) and the pose changes (N, T, 3) between them."""
        count, steps = actions.shape[:2]
        poses = np.zeros((count, steps + 1, 3))
        moves = changes.double().numpy()
        for t in range(steps):
            poses[:, t + 1] = compose(poses[:, t], moves[:, t])
        chosen = np.arange(2, steps + 1, 2)
        later = states[:, torch.from_numpy(chosen)]
        with self.precision():
            clearance = self.model.clearance(later)[:, :, 1].double().numpy()
        reach = None
        if goal is not None:
            local = relative(poses[:, chosen], np.array([*goal, 0.0]))[..., :2]
            with self.precision():
                reach = self.model.time_to_reach(later, torch.from_numpy(
                    local.astype(np.float32))).double().numpy()
        return Future(actions, poses, chosen, clearance, reach)

    def precision(self) -> torch.autocast:
        """Context in which `model` is to be run."""
        return torch.autocast('cpu', torch.bfloat16, enabled=self._quick)
