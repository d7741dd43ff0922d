# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Where the goal is: given as a pose, or estimated from a picture over several views."""

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
import torch

from wm_controller.planning.contract import Goal, ImageGoal, PoseGoal
from wm_controller.planning.estimator import Estimate, Estimator
from wm_controller.safety.geometry import compose, wrap_angle
from wm_controller.world_model.attach import goal_pose_head

Floats = NDArray[np.float64]
LOST_M = 1.5     # a picture whose place is less certain than this is not driven to
CERTAIN_M = 0.25  # nor is it held to be reached where the view itself is less certain than this,
CERTAIN_FRAMES = 10  # or before so many frames were compared with it
SAME_VIEW = (0.08, 0.12)  # m and rad: views no further apart say nothing new
VIEWS = 64       # that are kept
DRIFT = (0.03, 0.02)  # of odometry: m per metre driven, and per radian turned, since a view
ROUNDS = 12      # of Weiszfeld's iteration


@dataclass(frozen=True)
class _View:
    """What one view said: the pose where it began, the picture's pose (3,) in odom, its scale m.

    `way` is how far the robot had driven and turned by then, in DRIFT's metres.
    """

    pose: Floats
    seen: Floats
    scale: float
    way: float


class GoalEstimate:
    """The goal's place (2,) in odom; for pictures, what most of the views agree on.

    A view's error has a Laplace distribution of its own scale, so the likeliest place is the
    geometric median of what the views said, weighed by 1 / scale: views that are wrong, but sure
    of it, are outvoted. The same view seen again adds nothing.
    """

    def __init__(self, goal: Goal, estimator: Estimator) -> None:
        """Raise InputError for a picture where the model cannot tell where one was taken."""
        self.goal = goal
        self.pixels: torch.Tensor | None = None  # of the picture (1, H, W, 3),
        self.picture: torch.Tensor | None = None  # and its latent (1, E)
        self._views: deque[_View] = deque(maxlen=VIEWS)
        self._way, self._pose = 0.0, np.zeros(3)
        self._seen = 0
        self.place: Floats | None = None  # (2,) m in odom, None before a picture was compared
        self.yaw: float | None = None  # at the goal, rad in odom: asked for, or what it shows
        self.scale = 0.0       # m: how far off the place may be
        self.view_scale = 0.0  # and by the newest view alone
        if isinstance(goal, ImageGoal):
            self._compare = goal_pose_head(estimator.model)
            self.picture, self.pixels = estimator.encode(goal.image)
            self.scale = self.view_scale = float('inf')
        elif isinstance(goal, PoseGoal):
            self.place, self.yaw = np.array([goal.x, goal.y]), goal.yaw

    def update(self, estimate: Estimate) -> None:
        """Compare the picture with what is seen now."""
        if self.pixels is None:
            return
        with torch.no_grad():
            x, y, cos, sin, log_scale = self._compare(estimate.pixels, self.pixels)[0].tolist()
        seen = compose(estimate.pose, np.array([x, y, np.arctan2(sin, cos)]))
        self.view_scale = float(np.exp(np.clip(log_scale, -4, 3)))
        if self._seen:
            self._way += float(np.dot(DRIFT, _apart(self._pose, estimate.pose)))
        self._pose, self._seen = estimate.pose, self._seen + 1
        anchor = estimate.pose
        if self._views and all(np.less(_apart(self._views[-1].pose, anchor), SAME_VIEW)):
            anchor = self._views.pop().pose  # still that view: it began there
        self._views.append(_View(anchor, seen, self.view_scale, self._way))
        self._agree()

    def refute(self) -> None:
        """Forget what was seen: where it should be, it is not."""
        self._views.clear()
        self._seen = 0
        self.place, self.yaw, self.scale = None, None, float('inf')

    def _agree(self) -> None:
        seen = np.array([view.seen for view in self._views])
        scale = np.array([view.scale + self._way - view.way for view in self._views])
        weight = 1.0 / scale
        # From the view that others agree with most: Weiszfeld's iteration leaves a crowd slowly.
        between = np.hypot(*(seen[:, None, :2] - seen[None, :, :2]).transpose(2, 0, 1))
        place = seen[(between @ weight).argmin(), :2]
        for _ in range(ROUNDS):
            # Near a view its weight would grow without end: within its scale it is all the same.
            distance = np.hypot(*(seen[:, :2] - place).T)
            share = weight / np.maximum(distance, 0.1 * scale)
            place = share @ seen[:, :2] / share.sum()
        distance = np.hypot(*(seen[:, :2] - place).T)
        # Views that say something else have no say in where the picture looks.
        trusted = weight * np.exp(-distance / scale)
        facing = trusted @ np.stack([np.cos(seen[:, 2]), np.sin(seen[:, 2])], -1)
        self.place, self.yaw = place, float(np.arctan2(facing[1], facing[0]))
        order = distance.argsort()
        half = np.searchsorted(weight[order].cumsum(), 0.5 * weight.sum())
        self.scale = max(float(scale.min()), float(distance[order][half]))

    @property
    def known(self) -> bool:
        """Whether the place is known well enough to drive there, and see better on the way."""
        return self.place is not None and self.scale < LOST_M

    @property
    def certain(self) -> bool:
        """Whether what is seen now is known well enough to say that the goal is reached."""
        return not isinstance(self.goal, ImageGoal) or (
            self.view_scale < CERTAIN_M and self._seen >= CERTAIN_FRAMES)


def _apart(one: Floats, other: Floats) -> tuple[float, float]:
    """How far two poses (3,) lie apart: m, rad."""
    return (float(np.hypot(*(one - other)[:2])), abs(float(wrap_angle(one[2] - other[2]))))
