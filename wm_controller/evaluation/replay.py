# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Recorded drives, seen again by a finished model, with plans for what might have been wanted."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
import math
import time

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from wm_controller.data.windows import Windows
from wm_controller.memory.free_space import FreeSpace
from wm_controller.planning.config import PilotConfig
from wm_controller.planning.contract import Observation
from wm_controller.planning.estimator import Estimate, Estimator
from wm_controller.planning.imagination import Imagination
from wm_controller.planning.lower_level import Course, LowerLevel, Pending
from wm_controller.planning.objectives import Situation
from wm_controller.planning.proposals import Proposer
from wm_controller.world_model.bundle import Bundle

Floats = NDArray[np.float64]
FIRST, EVERY = 8, 2  # frame of the first plan, and frames from one to the next
NEAREST_M = 0.5      # of a place to plan for
MIRROR = np.array([1.0, -1.0, -1.0])  # of poses; its first two of commands and twists


@dataclass(frozen=True)
class Moment:
    """A frame of a drive seen again: the state (1, S), and what might have been wanted there."""

    state: Tensor
    situation: Situation
    memory: FreeSpace


class Replay:
    """Goes through windows of recorded drives; plans with the pilot's settings and delays."""

    def __init__(self, bundle: Bundle, seed: int = 0) -> None:
        config = PilotConfig()
        self.config = replace(config, limits=config.limits.within(bundle.spec.action_limits))
        self._bundle, self._seed = bundle, seed
        self._bearings = np.asarray(bundle.spec.clearance_bearings, float)
        self._imagination = Imagination.of(bundle, config.drawn_futures, seed)

    def moments(self, windows: Windows, index: int, rng: np.random.Generator, mirror: bool
                ) -> Iterator[Moment]:
        """See a window as the robot saw it, or as in a mirror.

        Wanted is any place of that drive, before or behind: it can be got to.
        """
        seen = {name: values[0] for name, values in windows.batch([index]).items()}
        first, last = windows.episode_rows[windows.episode[index]]
        drive, twist = windows.column('pose')[first:last], seen['proprio'][:, 3:]
        drive = drive[np.isfinite(drive).all(-1)]
        if mirror:
            drive, seen['pose'] = drive * MIRROR, seen['pose'] * MIRROR
            seen['action'], twist = seen['action'] * MIRROR[:2], twist * MIRROR[:2]
            seen['pixels'] = seen['pixels'][:, :, ::-1]
        estimator, memory = Estimator(self._bundle), FreeSpace(self.config.footprint.reach)
        command = np.zeros(2)
        for i, stamp in enumerate(seen['stamp'].tolist()):
            estimate = estimator.observe(Observation(
                stamp, np.ascontiguousarray(seen['pixels'][i]), seen['pose'][i],
                twist[i].astype(float) if np.isfinite(twist[i]).all() else None))
            self._remember(memory, estimate)
            if i >= FIRST and (i - FIRST) % EVERY == 0:
                places = drive[np.hypot(*(drive - estimate.pose).T[:2]) > NEAREST_M, :2]
                if len(places):
                    goal = places[rng.integers(len(places))]
                    yield Moment(estimate.state, Situation(
                        estimate.pose, goal,
                        memory.obstacles_near(estimate.pose, self.config.obstacle_range),
                        memory.cost_to_go(goal) if len(self._bearings) else None, command), memory)
            command = np.nan_to_num(seen['action'][i].astype(float))
            estimator.commanded(stamp, *command)

    def _remember(self, memory: FreeSpace, estimate: Estimate) -> None:
        if len(self._bearings):
            clearance = self._bundle.model.clearance(estimate.state)[0].numpy().astype(float)
            memory.see(estimate.stamp, estimate.pose, self._bearings, clearance)
        memory.occupy_track(estimate.stamp, estimate.pose)

    def planner(self, search: bool, proposer: Proposer | None = None) -> LowerLevel:
        """Make one that always searches, or never does."""
        effort = replace(self.config.effort, candidates=0, enough=0.0, search=search)
        return LowerLevel(self._imagination, replace(self.config, effort=effort),
                          self._seed, time.perf_counter, proposer)

    def plan(self, level: LowerLevel, moment: Moment) -> Course:
        """Plan from standing still, with all the time there is; the last command acts on first."""
        share = min(self.config.command_delay_s / self._bundle.spec.step_period_s, 1.0)
        level.forget()
        return level.plan(moment.state, moment.situation, moment.memory,
                          Pending(moment.situation.last_action, share), 0.0, math.inf)

    def compare(self, windows: Windows, indices: Sequence[int], proposer: Proposer) -> Floats:
        """Costs (N, 3) of plans: searched for, proposed, and the best that a driver would try."""
        rng = np.random.default_rng([0, 61])
        levels = self.planner(True), self.planner(False, proposer), self.planner(False)
        return np.array([[self.plan(level, moment).cost for level in levels]
                         for index in indices
                         for moment in self.moments(windows, index, rng, False)]).reshape(-1, 3)
