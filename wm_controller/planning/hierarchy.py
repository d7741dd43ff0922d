# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The upper level plans macro-actions; where the first of them leads is the lower one's subgoal.

A step of it is a chunk of the lower level's, so that its few steps look eight seconds ahead where
the lower level sees two.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
import math

import numpy as np
from numpy.typing import NDArray
import torch
from torch import Tensor

from wm_controller.memory.free_space import FreeSpace
from wm_controller.planning.candidates import arcs, shifted
from wm_controller.planning.config import PilotConfig
from wm_controller.planning.objectives import lack_of_room, Situation, Subgoal, way_cost
from wm_controller.planning.solvers import make_solver, Search
from wm_controller.safety.geometry import to_child
from wm_controller.world_model.abstract import AbstractLevel, PARTS
from wm_controller.world_model.poses import chained, placed

Floats = NDArray[np.float64]
BLURRED_M = 0.1  # deeper inside what memory knows, no plan leads


@dataclass(frozen=True)
class Outlook:
    """What the upper level planned: macro-actions (T, M), and poses (T * PARTS + 1, 3) in odom.

    `subgoal` is the end of the first chunk; `actions` (T * K, 2) are what its macro-actions stand
    for, to begin the lower level's search with; `cost` is in metres of way.
    """

    stamp: float
    macros: Floats
    poses: Floats
    actions: Floats
    subgoal: Subgoal
    cost: float


class UpperLevel:
    """Searches macro-actions within what the data had, by the costs that the lower level has."""

    def __init__(self, level: AbstractLevel, config: PilotConfig, seed: int = 0) -> None:
        self._level, self._config = level, config
        self._rng = np.random.default_rng([seed, 3])
        self._solver = make_solver(config.hierarchy.solver)
        self.low = level.macro_low.double().numpy()
        self.high = level.macro_high.double().numpy()
        self._period_s = level.spec.step_period_s
        self.outlook: Outlook | None = None

    @property
    def chunk_s(self) -> float:
        """How long a chunk takes, s."""
        return self._level.chunk * self._period_s

    def forget(self) -> None:
        """Begin the next search anew: the goal is another."""
        self.outlook = None

    def look_ahead(self, stamp: float, state: Tensor, situation: Situation, memory: FreeSpace,
                   deadline: float, clock: Callable[[], float]) -> Situation:
        """Return the situation with its subgoal; plan anew where the outlook has grown old."""
        last = self.outlook
        if last is None or stamp - last.stamp >= self._config.hierarchy.period_s:
            # A third of the time at most: the command is due in any case.
            begun = clock()
            last = self.plan(stamp, state, situation, memory, begun + (deadline - begun) / 3,
                             clock)
        if last is None:
            return situation
        steps = round((last.subgoal.due - stamp) / self._period_s)
        return replace(situation, subgoal=last.subgoal,
                       due_step=min(max(steps, 1), self._config.horizon_steps))

    def meant(self, stamp: float) -> Floats | None:
        """Return the actions (T * K, 2) of the outlook that are still to come."""
        if self.outlook is None:
            return None
        return shifted(self.outlook.actions, (stamp - self.outlook.stamp) / self._period_s)

    @torch.no_grad()
    def plan(self, stamp: float, state: Tensor, situation: Situation, memory: FreeSpace,
             deadline: float, clock: Callable[[], float]) -> Outlook | None:
        """Plan from a state (1, S) of the lower level, seen at `stamp` where the situation is.

        None where every candidate leads into something.
        """
        config, steps = self._config.hierarchy, self._config.hierarchy.chunks
        abstract = self._level.encode(state)
        bearing = to_child(situation.pose, situation.goal)[0]
        tried = self._macros(arcs(self._config.limits, steps * self._level.chunk,
                                  math.atan2(bearing[1], bearing[0])))

        def evaluate(macros: Floats) -> Floats:
            return self._cost(abstract, macros, situation, memory)[0]
        search = Search(evaluate, self._start(stamp), np.clip(tried, self.low, self.high),
                        self.low, self.high, config.noise * (self.high - self.low), self._rng,
                        deadline, clock)
        found = self._solver(search)
        if not math.isfinite(found.cost):
            self.outlook = None
            return None
        cost, states, poses = self._cost(abstract, found.actions[None], situation, memory)
        macros = torch.from_numpy(found.actions[None]).float()
        actions = self._level.actions(states[:, :-1], macros)[0].flatten(0, 1)
        limits = self._config.limits
        self.outlook = Outlook(
            stamp, found.actions, np.concatenate([situation.pose[None], poses[0].numpy()]),
            np.clip(actions.double().numpy(), limits.low, limits.high),
            Subgoal(states[:, 1], poses[0, PARTS - 1].numpy(), stamp + self.chunk_s),
            float(cost[0]))
        return self.outlook

    def _macros(self, actions: Floats) -> Floats:
        """Macro-actions (N, T, M) of sequences of actions (N, T * K, 2)."""
        chunks = torch.from_numpy(actions).float().reshape(
            len(actions), -1, self._level.chunk, actions.shape[-1])
        macros: Floats = self._level.macro(chunks).double().numpy()
        return macros

    def _start(self, stamp: float) -> Floats:
        """What was planned before, moved on by the chunks that have gone by since."""
        count = self._config.hierarchy.chunks
        if self.outlook is None:
            return self._macros(np.zeros((1, count * self._level.chunk, 2))).reshape(count, -1)
        gone = math.floor((stamp - self.outlook.stamp) / self.chunk_s + 0.5)  # `round` halves down
        return np.asarray(self.outlook.macros[np.minimum(np.arange(count) + gone, count - 1)])

    def _cost(self, abstract: Tensor, macros: Floats, situation: Situation, memory: FreeSpace
              ) -> tuple[Floats, Tensor, Tensor]:
        """Costs (N,), abstract states (N, T + 1, U), and poses (N, T * PARTS, 3) in odom."""
        config, level = self._config, self._level
        chosen = torch.from_numpy(macros).float()
        states = level.imagine(abstract.expand(len(chosen), -1), chosen)
        before = states[:, :-1]
        way = level.way(before, chosen).double()
        starts = chained(way[:, :, -1])[:, :-1]
        local = placed(starts[:, :, None], way)
        poses = placed(torch.from_numpy(situation.pose), local.flatten(1, 2))

        w, places = config.weights, poses[..., :2]
        clearance = torch.from_numpy(memory.clearance_at(places.numpy()))
        total = way_cost(poses, situation, config)
        total = total + config.hierarchy.near * (lack_of_room(clearance, config) ** 2).mean(-1)
        # Memory is blurred by a cell or so, and the robot may stand close to something already.
        away = (places - torch.from_numpy(situation.pose[:2])).norm(dim=-1)
        inside = clearance < config.footprint.reach - BLURRED_M
        total[(inside & (away > config.footprint.reach)).any(-1)] = math.inf
        imagined_lack = lack_of_room(level.gap(before, chosen)[..., 1].double(), config)
        total = total + w.imagined_near * (imagined_lack ** 2).mean(-1)
        backwards = torch.relu(-way[:, :, -1, 0]).mean(-1) / (config.limits.max_v * self.chunk_s)
        costs: Floats = (total + w.reverse * backwards).numpy()
        return costs, states, poses
