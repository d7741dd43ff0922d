# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Where the goal is: given as a pose, or estimated from a picture over several frames."""

import numpy as np
from numpy.typing import NDArray
import torch

from wm_controller.planning.contract import Goal, ImageGoal, PoseGoal
from wm_controller.planning.estimator import Estimate, Estimator
from wm_controller.safety.geometry import compose

Floats = NDArray[np.float64]
FORGETTING = 0.95
LOST_M = 1.5     # a picture whose place is less certain than this is not driven to
CERTAIN_M = 0.5  # nor is it held to be reached while less certain than this,
CERTAIN_FRAMES = 10  # or before so many frames were compared with it


class GoalEstimate:
    """The goal's place (2,) in odom; for pictures, a mean of what was seen, by precision."""

    def __init__(self, goal: Goal, estimator: Estimator) -> None:
        self.goal = goal
        self._estimator = estimator
        self._features: torch.Tensor | None = None
        self.picture: torch.Tensor | None = None  # its latent (1, E)
        self._sum = np.zeros(2)
        self._facing = np.zeros(2)
        self._weight = 0.0
        self._seen = 0
        self.scale = 0.0
        if isinstance(goal, ImageGoal):
            self.picture, self._features = estimator.encode(goal.image)
            self.scale = float('inf')

    def update(self, estimate: Estimate) -> None:
        """Compare the picture with what is seen now."""
        if self._features is None:
            return
        with torch.no_grad():
            x, y, cos, sin, log_scale = self._estimator.model.goal_pose(
                estimate.features, self._features)[0].tolist()
        seen = compose(estimate.pose, np.array([x, y, np.arctan2(sin, cos)]))
        weight = float(np.exp(-2 * np.clip(log_scale, -4, 3)))
        self._seen += 1
        self._sum = FORGETTING * self._sum + weight * seen[:2]
        self._facing = FORGETTING * self._facing + weight * np.array(
            [np.cos(seen[2]), np.sin(seen[2])])
        self._weight = FORGETTING * self._weight + weight
        self.scale = float(np.exp(log_scale)) if not np.isfinite(self.scale) else (
            0.8 * self.scale + 0.2 * float(np.exp(log_scale)))

    @property
    def known(self) -> bool:
        """Whether the place is known well enough to drive there, and see better on the way."""
        return isinstance(self.goal, PoseGoal) or self.scale < LOST_M

    @property
    def certain(self) -> bool:
        """Whether the place is known well enough to say that it is reached."""
        return isinstance(self.goal, PoseGoal) or (
            self.scale < CERTAIN_M and self._seen >= CERTAIN_FRAMES)

    @property
    def place(self) -> Floats | None:
        """(2,) m in odom, None before a picture was compared with anything."""
        if isinstance(self.goal, PoseGoal):
            return np.array([self.goal.x, self.goal.y])
        return self._sum / self._weight if self._weight > 0 else None

    @property
    def yaw(self) -> float | None:
        """Heading at the goal, rad in odom: as asked for, or the one that the picture shows."""
        if isinstance(self.goal, PoseGoal):
            return self.goal.yaw
        return float(np.arctan2(self._facing[1], self._facing[0])) if self._weight > 0 else None
