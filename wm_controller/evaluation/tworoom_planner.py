# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Our planner in TwoRoom: world model, cross-entropy search, time-to-reach of the goal picture."""

import time

import numpy as np
from numpy.typing import NDArray
import torch

from wm_controller.evaluation.tworoom_data import METRES_PER_PX, SPEED, STEP_PERIOD_S
from wm_controller.planning.candidates import shifted
from wm_controller.planning.config import RobotLimits, SolverConfig
from wm_controller.planning.solvers import make_solver, Search
from wm_controller.world_model.model import WorldModel

Floats = NDArray[np.float64]

HORIZON_STEPS = 12
REPLAN_STEPS = 5  # the package's own planners execute 25 steps of a plan
LIMITS = RobotLimits(min_v=-SPEED, max_v=SPEED, max_w=SPEED)  # here the velocities vx and vy
SOLVER = SolverConfig(sigma_v=0.5 * SPEED, sigma_w=0.5 * SPEED)


class TwoRoomPlanner:
    """Drives N agents at once, each towards its goal picture."""

    def __init__(self, model: WorldModel, odometry: bool, seed: int) -> None:
        self.model = model
        self.odometry = odometry
        self.plan_cpu_s: list[float] = []
        self._seed = seed
        self._directions = _directions()
        self._solver = make_solver(SOLVER)

    @torch.no_grad()
    def begin(self, goal: NDArray[np.uint8], episode: int = 0) -> None:
        """Set goal pictures (N, H, W, 3) of episodes from `episode` on; forget what was seen."""
        count = len(goal)
        self.plan_cpu_s = []
        self._rng = np.random.default_rng([self._seed, 25, episode])
        self._goal = self.model.encode(torch.from_numpy(goal))
        self._state = self.model.initial_state(count)
        self._last = np.zeros((count, 2))
        self._position: Floats | None = None
        self._plans = np.zeros((count, HORIZON_STEPS, 2))
        self._step = 0

    @torch.no_grad()
    def act(self, pixels: NDArray[np.uint8], position: Floats,
            done: NDArray[np.bool_]) -> Floats:
        """Return actions (N, 2) in -1..1 for frames (N, H, W, 3).

        `position` (N, 2), pixels of 224, is read as odometry where the planner has it; agents
        that are `done` (N,) get zeros.
        """
        live = torch.from_numpy(np.flatnonzero(~done))
        latents = self.model.encode(torch.from_numpy(pixels)[live])
        last = torch.from_numpy(self._last.astype(np.float32))[live]
        self._state[live] = self.model.observe(
            self._state[live], latents, last, self._proprio(position)[live])
        self._position = position.copy()
        turn = self._step % REPLAN_STEPS
        if turn == 0:
            for agent in live.tolist():
                begun = time.process_time()
                self._plans[agent] = self._plan(agent)
                self.plan_cpu_s.append(time.process_time() - begun)
        self._step += 1
        self._last = np.where(done[:, None], 0.0, self._plans[:, turn])
        return self._last / SPEED

    def _proprio(self, position: Floats) -> torch.Tensor:
        """Odometry (N, 5) since the last frame; NaN where it is not to be used."""
        proprio = np.full((len(position), 5), np.nan, dtype=np.float32)
        if self.odometry:
            before = position if self._position is None else self._position
            moved = (position - before) * METRES_PER_PX
            proprio[:] = 0.0
            proprio[:, :2], proprio[:, 3:] = moved, moved / STEP_PERIOD_S
        return torch.from_numpy(proprio)

    def _plan(self, agent: int) -> Floats:
        state, goal = self._state[agent:agent + 1], self._goal[agent]

        def cost(actions: Floats) -> Floats:
            tensor = torch.from_numpy(actions.astype(np.float32))
            states, _ = self.model.imagine(state.expand(len(actions), -1), tensor)
            return self.model.time_to_image(states[:, 1:], goal).sum(-1).double().numpy()

        start = shifted(self._plans[agent], REPLAN_STEPS) if self._step else self._plans[agent]
        return self._solver(Search(cost, start, self._directions, LIMITS.low, LIMITS.high,
                                   SOLVER.sigma, self._rng)).actions


def _directions() -> Floats:
    """Sequences (M, T, 2) to try first: full speed in eight directions, and standing still."""
    angle = np.arange(8) * np.pi / 4
    way = np.stack([np.cos(angle), np.sin(angle)], -1)
    way = SPEED * way / np.abs(way).max(-1, keepdims=True)
    return np.repeat(np.concatenate([way, np.zeros((1, 2))])[:, None], HORIZON_STEPS, 1)
