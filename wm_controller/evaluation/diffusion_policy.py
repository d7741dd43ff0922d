# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Drive with a diffusion policy: draw chunks of actions, execute the first of one, draw anew."""

from __future__ import annotations

from collections import deque
import math

import numpy as np
import torch
from torch import Tensor

from wm_controller.data.images import fit
from wm_controller.evaluation.baselines import ARRIVED_M
from wm_controller.evaluation.diffusion_file import Rival
from wm_controller.planning.config import RobotLimits
from wm_controller.planning.contract import Goal, ImageGoal, Observation, Plan, PoseGoal
from wm_controller.safety.geometry import chained, compose, integrate, relative, to_child

DRAWN = 16  # chunks; the one that is most like all others is driven
GUIDANCE = 1.0
REACHED_STEPS = 3.0  # to the goal picture, as NoMaD's; so often in a row, and it is reached
REACHED_FRAMES = 2
KEPT_FRAMES = 32
STUCK_S, STUCK_M, STUCK_RAD = 1.5, 0.05, 0.1  # no further in this time: it is stuck
BACK_S, BACK_M_S = 1.0, 0.15  # then it backs off and turns to a side drawn, before it goes on
TURN_S, TURN_RAD_S = 0.7, 1.0


class DiffusionDriver:
    """A policy in the sense of `evaluation.policy`; camera and, to places, odometry."""

    uses_camera = True

    def __init__(self, rival: Rival, limits: RobotLimits, seed: int) -> None:
        self._rival, self._limits, self._seed = rival, limits, seed
        self.reset()

    def reset(self) -> None:
        """Forget goal and frames."""
        self._frames: deque[tuple[float, Tensor]] = deque(maxlen=KEPT_FRAMES)
        self._pixels: Tensor | None = None
        self._pose: np.ndarray | None = None
        self._generator = torch.Generator().manual_seed(self._seed)
        self._rng = np.random.default_rng([self._seed, 71])
        self.set_goal(None)

    def set_goal(self, goal: Goal | None) -> None:
        """Head for a picture or a place; to explore, the goal is masked."""
        self._goal = goal
        self._picture = self._fitted(goal.image) if isinstance(goal, ImageGoal) else None
        self._near = 0  # frames in a row that look as if the picture was reached
        self._moved: tuple[float, np.ndarray] | None = None
        self._freeing_since, self._side = -math.inf, 1.0

    def observe(self, observation: Observation) -> None:
        """Encode a frame; keep it for as long as it is context."""
        self._pixels = self._fitted(observation.image)
        with torch.no_grad():
            self._frames.append((observation.stamp, self._rival.eyes.see(self._pixels)))
        self._pose = None if observation.pose is None else np.asarray(observation.pose, float)

    def plan(self, now: float, deadline_s: float) -> Plan:
        """Draw chunks and command the first action of one of them."""
        if self._goal is None or not self._frames:
            return self._standing('idle', math.nan)
        if isinstance(self._goal, PoseGoal) and self._pose is None:
            return self._standing('lost', math.nan)
        with torch.no_grad():
            return self._drawn(self._context(), *self._token())

    def _drawn(self, latents: Tensor, token: Tensor, left_m: float) -> Plan:
        policy = self._rival.policy
        condition = policy.condition(latents, token)
        if self._arrived(condition, left_m):
            return self._standing('reached', left_m)
        freeing = self._freeing()
        if freeing is not None:
            return Plan(self._stamp, *freeing, state='planning', goal_distance=left_m)
        unguided = policy.condition(latents, policy.token_of_nowhere(1))
        chunks = policy.draw(condition.expand(DRAWN, -1), unguided.expand(DRAWN, -1), GUIDANCE,
                             self._generator)
        apart = torch.cdist(chunks.flatten(1), chunks.flatten(1)).sum(1)
        actions = (chunks * policy.action_scale).double().numpy()
        best = int(apart.argmin())
        limits = self._limits
        v = float(np.clip(actions[best, 0, 0], limits.min_v, limits.max_v))
        w = float(np.clip(actions[best, 0, 1], -limits.max_w, limits.max_w))
        changes = integrate(np.zeros(3), actions[..., 0], actions[..., 1],
                            self._rival.spec.step_period_s)
        here = np.zeros(3) if self._pose is None else self._pose
        paths = compose(here, chained(changes))
        return Plan(self._stamp, v, w, paths[best], paths, state='planning', goal_distance=left_m)

    def _token(self) -> tuple[Tensor, float]:
        """Token (1, token) of the goal, and the metres to it where they are known."""
        policy, goal = self._rival.policy, self._goal
        if isinstance(goal, PoseGoal):
            assert self._pose is not None
            place = to_child(self._pose, (goal.x, goal.y))[0]
            return policy.token_of_place(_row(place)), float(np.hypot(*place))
        if self._picture is None:
            return policy.token_of_nowhere(1), math.nan
        assert self._pixels is not None
        return policy.token_of_picture(self._rival.eyes.compare(
            self._pixels, self._picture)), math.nan

    def _arrived(self, condition: Tensor, left_m: float) -> bool:
        """At a place by odometry; at a picture when few steps are left, and for good."""
        if self._picture is None:
            return left_m <= ARRIVED_M  # NaN is no arrival
        if self._near < REACHED_FRAMES:
            steps = math.expm1(float(self._rival.policy.log_steps(condition)))
            self._near = self._near + 1 if steps <= REACHED_STEPS else 0
        return self._near >= REACHED_FRAMES

    def _freeing(self) -> tuple[float, float] | None:
        """Command (m/s, rad/s) that frees a robot that does not get on; None where it does.

        What is near and out of view stops it, behind the guard, and no drive in the data was ever
        held so: the policy would push for ever. The other planners back off too.
        """
        since = self._stamp - self._freeing_since
        if since < BACK_S:
            return -min(BACK_M_S, -self._limits.min_v), 0.0
        if since < BACK_S + TURN_S:
            return 0.0, self._side * min(TURN_RAD_S, self._limits.max_w)
        if self._pose is None:
            return None
        if self._moved is None or self._got_on(self._moved[1], self._pose):
            self._moved = (self._stamp, self._pose)
        elif self._stamp - self._moved[0] > STUCK_S:
            self._freeing_since, self._moved = self._stamp, None
            self._side = float(self._rng.choice([-1.0, 1.0]))
            return self._freeing()
        return None

    @staticmethod
    def _got_on(before: np.ndarray, pose: np.ndarray) -> bool:
        moved = relative(before, pose)
        return bool(np.hypot(*moved[:2]) > STUCK_M or abs(moved[2]) > STUCK_RAD)

    def _context(self) -> Tensor:
        """Frames (1, C, E) a step apart, oldest first; the first stands for those before it."""
        back = range(self._rival.policy.shape.context - 1, -1, -1)
        wanted = [self._stamp - k * self._rival.spec.step_period_s for k in back]
        return torch.stack([min(self._frames, key=lambda frame: abs(frame[0] - stamp))[1]
                            for stamp in wanted], 1)

    def _fitted(self, image: np.ndarray) -> Tensor:
        height, width = self._rival.spec.image_size
        return torch.from_numpy(np.ascontiguousarray(fit(image, (width, height))))[None]

    @property
    def _stamp(self) -> float:
        return self._frames[-1][0] if self._frames else 0.0

    def _standing(self, state: str, left_m: float) -> Plan:
        return Plan(self._stamp, state=state, goal_distance=left_m)


def _row(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.asarray(values, np.float32))[None]
