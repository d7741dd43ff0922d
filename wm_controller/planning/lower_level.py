# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The lower level plans commands: the next two seconds, step by step."""

from collections.abc import Callable
from dataclasses import dataclass, replace
import math

import numpy as np
from numpy.typing import NDArray
import torch
from torch import Tensor

from wm_controller.memory.free_space import FreeSpace
from wm_controller.planning import recovery
from wm_controller.planning.candidates import arcs, shifted
from wm_controller.planning.config import PilotConfig
from wm_controller.planning.imagination import Future, Imagination, Wanted
from wm_controller.planning.objectives import cost, preferences, Situation
from wm_controller.planning.proposals import Proposer
from wm_controller.planning.solvers import make_solver, Search
from wm_controller.safety.geometry import compose, to_child

Floats = NDArray[np.float64]
PATIENCE = 0.95  # share of what a round took that is believed a plan later


@dataclass(frozen=True)
class Pending:
    """Commands that act before a new one does: their mean (2,), for a share of the first step."""

    command: Floats
    share: float


@dataclass(frozen=True)
class Course:
    """What a search found: `actions` (T, 2) to command, and as they will act, `acted` (T, 2).

    `cost` is infinite where every candidate broke a constraint; `rounds` is 0 where a glance at
    the last plan and what is proposed was enough, or all that there was time for. `path`
    (T + 1, 3) and `candidates` (M, T + 1, 3) are imagined poses in odom.
    """

    actions: Floats
    acted: Floats
    cost: float
    rounds: int
    path: Floats
    candidates: Floats


class LowerLevel:
    """Searches action sequences; each search begins where the last one ended.

    What `proposer` proposes joins every search. Where there is no time for one, the best of that
    and of the last plan is driven, under the same constraints.
    """

    def __init__(self, imagination: Imagination, config: PilotConfig, seed: int,
                 clock: Callable[[], float], proposer: Proposer | None = None) -> None:
        self._imagination, self._config, self._clock = imagination, config, clock
        self._solver = make_solver(config.solver)
        self._glance = make_solver(replace(
            config.solver, method='icem', refine=False,
            candidates=(max(1, config.effort.candidates),)))
        self._proposer = proposer
        self._round_s = 0.0  # that the first round of a search takes
        self._rng = np.random.default_rng(seed)
        self.forget()

    def forget(self) -> None:
        """Begin the next search from standing still: the goal is another."""
        self._sequence = np.zeros((self._config.horizon_steps, 2))
        self._planned_at = -math.inf
        self._cost = -math.inf  # of the last plan; nothing goes as planned where there was none
        self._glances: float = math.inf  # since the last search

    def plan(self, state: Tensor, situation: Situation, memory: FreeSpace, pending: Pending,
             now: float, deadline: float, meant: Floats | None = None,
             picture: Tensor | None = None) -> Course:
        """Search from a state (1, S), with the time until `deadline` on the clock.

        `meant` (T', 2), T' >= T: actions that the upper level would take; `picture` (1, E): the
        latent of a goal picture.
        """
        config, steps = self._config, self._config.horizon_steps
        goal = to_child(situation.pose, situation.goal)[0]
        quick = np.zeros((0, steps, 2)) if self._proposer is None else self._proposer(
            state, situation, memory, steps)
        proposals = np.concatenate([
            arcs(config.limits, steps, math.atan2(goal[1], goal[0])), quick])
        if meant is not None:
            proposals = np.concatenate([proposals, meant[None, :steps]])
        variable = self._imagination.draw(steps)
        subgoal = situation.subgoal
        wanted = Wanted(picture, None if subgoal is None else subgoal.abstract,
                        situation.due_step)
        shown = _Shown(config.keep_candidates)
        noted: list[tuple[Future, Floats]] = []  # the last round
        # The first imagined step is a mix of the commands under way with the new one.
        kept, added = np.ones((steps, 1)), np.zeros((steps, 2))
        kept[0], added[0] = 1 - pending.share, pending.share * pending.command

        def evaluate(actions: Floats) -> Floats:
            begun = self._clock()
            future = self._imagination(state, kept * actions + added, goal, variable, wanted)
            costs = cost(future, situation, memory, config, config.solver.ranked)
            shown.note(costs, future.poses.numpy())
            noted[:] = [(future, costs)]
            if len(actions) >= config.solver.candidates[0]:
                self._round_s = self._clock() - begun
            return costs

        def gradient(actions: Floats) -> tuple[Floats, Floats]:
            leaf = torch.from_numpy(actions).requires_grad_()
            acted = torch.from_numpy(kept) * leaf + torch.from_numpy(added)
            future = self._imagination.traced(state, acted, goal, variable, wanted)
            costs = preferences(future, situation, memory, config)
            slope, = torch.autograd.grad(costs.sum(), leaf)
            return costs.detach().numpy(), slope.numpy()

        search = Search(
            evaluate, shifted(self._sequence, self._elapsed_steps(now)), proposals,
            config.limits.low, config.limits.high, config.solver.sigma, self._rng, deadline,
            self._clock, gradient, config.effort.enough)
        found, rounds = None, 0
        self._glances += 1
        must = not config.effort.search or self._lacks_time(deadline)
        if must or config.effort.candidates:
            # Without a network what a driver would try has to do.
            glance = self._glance(replace(
                search, proposals=proposals if must and not len(quick) else quick,
                sigma=config.effort.noise * search.sigma))
            if must or self._glances < config.effort.searches and self._is_easy(
                    *noted[-1], situation, memory):
                found = glance
            search = replace(search, known=glance.cost, proposals=np.concatenate(
                [proposals, glance.actions[None]]))
        if found is None:
            found = self._solver(search)
            rounds, self._glances = found.rounds, 0
        self._cost = -math.inf
        if np.isfinite(found.cost):
            self._sequence, self._planned_at, self._cost = found.actions, now, found.cost
        return Course(found.actions, kept * found.actions + added, found.cost, rounds,
                      compose(situation.pose, shown.best),
                      compose(situation.pose, shown.candidates))

    def _lacks_time(self, deadline: float) -> bool:
        """Whether not even one round of a search would end in time, and the network can help."""
        if self._proposer is None or self._clock() + self._round_s <= deadline:
            return False
        self._round_s *= PATIENCE  # one slow round does not end all searching
        return True

    def _is_easy(self, future: Future, costs: Floats, situation: Situation, memory: FreeSpace
                 ) -> bool:
        """Whether a glance found that all goes as planned, with room to spare."""
        if situation.movers is not None:
            return False  # people are not held to go where they were foreseen
        effort, best = self._config.effort, int(np.argmin(costs))
        if not -effort.ahead <= costs[best] - self._cost <= effort.slack:
            return False
        path = compose(situation.pose, future.poses[best].numpy())
        nearest = min(memory.clearance_at(path[:, :2]).min(), float(future.nearest[:, best].min()))
        return bool(nearest - self._config.footprint.reach >= effort.room
                    and float(future.disagreement(torch.tensor([best]))) <= effort.disagreement)

    def brake(self, now: float, v: float) -> Floats:
        """Return the action (2,) that slows from v m/s along the last admissible plan."""
        return recovery.brake_along(self._sequence, self._elapsed_steps(now), v, self._config)

    def _elapsed_steps(self, now: float) -> float:
        elapsed_s = min(max(0.0, now - self._planned_at), 10.0)
        return elapsed_s / self._imagination.period_s


class _Shown:
    """What people see of a search: the best future of all rounds, the good ones of the last."""

    def __init__(self, keep: int) -> None:
        self._keep, self._best_cost = keep, math.inf
        self.best: Floats = np.zeros((1, 3))
        self.candidates: Floats = np.zeros((0, 1, 3))

    def note(self, costs: Floats, poses: Floats) -> None:
        """Look at a round: costs (N,), imagined poses (N, T + 1, 3) in the base frame."""
        order = np.argsort(costs)[:self._keep]
        self.candidates = poses[order]
        if costs[order[0]] < self._best_cost:
            self._best_cost, self.best = float(costs[order[0]]), poses[order[0]]
