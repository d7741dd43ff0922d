# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Where to drive without a goal: to the edge of what is known, one after the other."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wm_controller.memory.free_space import FreeSpace
from wm_controller.memory.frontiers import frontiers

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ExplorerConfig:
    """Lengths in m, times in s."""

    near: float = 0.5  # from here a frontier has been looked beyond
    keep_s: float = 20.0  # that one is driven to; then another may be worth more
    anew_s: float = 2.0  # between looks at what is left, where nothing is
    shunned_s: float = 60.0  # that one is left alone which could not be driven to


class Explorer:
    """Chooses a frontier and keeps to it until it has been looked at, or given up."""

    def __init__(self, room_m: float, config: ExplorerConfig | None = None) -> None:
        self.config = config or ExplorerConfig()
        self._room_m = room_m
        self._target: Floats | None = None
        self._chosen_at = self._looked_at = -np.inf
        self._shunned: list[tuple[float, Floats]] = []
        self.left: list[Floats] = []  # places (2,) that were left to look from, for people to see

    def target(self, memory: FreeSpace, pose: Floats, now: float) -> Floats | None:
        """Return where (2,) in odom to drive to; None where nothing is left to explore."""
        config = self.config
        if self._target is not None:
            there = np.hypot(*(self._target - pose[:2])) < config.near
            if not there and now - self._chosen_at < config.keep_s:
                return self._target
            self._target = None
        elif now - self._looked_at < config.anew_s:
            return None
        self._looked_at = now
        self._shunned = [each for each in self._shunned if now - each[0] < config.shunned_s]
        found = frontiers(memory, memory.cost_to_go(pose[:2]), self._room_m)
        self.left = [frontier.place for frontier in found]
        for frontier in found:
            away = np.hypot(*(frontier.place - pose[:2]))
            shunned = any(np.hypot(*(frontier.place - place)) < 2 * config.near
                          for _, place in self._shunned)
            if away >= config.near and not shunned:
                self._target, self._chosen_at = frontier.place, now
                break
        return self._target

    def give_up(self, now: float) -> None:
        """Leave the frontier that is driven to alone for a while: there is no getting there."""
        if self._target is not None:
            self._shunned.append((now, self._target))
            self._target = None
            self._looked_at = -np.inf
