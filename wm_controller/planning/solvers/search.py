# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""What a solver is given and what it returns; all are anytime and keep to a deadline."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
import math
import time
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Evaluate = Callable[[Floats], Floats]
Gradient = Callable[[Floats], tuple[Floats, Floats]]


@dataclass(frozen=True)
class Search:
    """Minimise `evaluate` ((N, T, A) -> (N,)) around `start` (T, A), between low and high (A,).

    An infinite cost removes a candidate: it breaks a constraint, and teaches nothing.
    `proposals` (M, T, A) join the first round, whose noise has the standard deviations `sigma`
    (A,). `deadline` is on `clock`. `gradient`, where there is one, returns the costs (N,) and how
    they change with the actions (N, T, A). A round that betters the best cost, or what was `known`
    before the first, by less than `enough` is the last.
    """

    evaluate: Evaluate
    start: Floats
    proposals: Floats
    low: Floats
    high: Floats
    sigma: Floats
    rng: np.random.Generator
    deadline: float = math.inf
    clock: Callable[[], float] = time.perf_counter
    gradient: Gradient | None = None
    enough: float = 0.0
    known: float = math.inf

    def clip(self, actions: Floats) -> Floats:
        """Bring actions (..., A) within the limits."""
        return np.clip(actions, self.low, self.high)


@dataclass(frozen=True)
class Solution:
    """The best sequence (T, A) that was evaluated, its cost, and how many rounds were run.

    The cost is infinite where every candidate was removed.
    """

    actions: Floats
    cost: float
    rounds: int


class Solver(Protocol):
    """A way to search."""

    def __call__(self, search: Search) -> Solution: ...


@dataclass
class Rounds:
    """Counts of candidates, one a round, for as long as the deadline leaves time for another.

    A round is begun only if the last one's pace says that it can be ended. One round is always
    run: a command is due in any case.
    """

    search: Search
    counts: tuple[int, ...]
    best: Floats = field(init=False)
    best_cost: float = math.inf
    done: int = 0

    def __post_init__(self) -> None:
        self.best = self.search.clip(self.search.start)

    def __iter__(self) -> Iterator[int]:
        pace, before = 0.0, self.search.known
        for number, count in enumerate(self.counts):
            begun = self.search.clock()
            if number and begun + pace * count > self.search.deadline:
                return
            yield count
            self.done += 1
            pace = (self.search.clock() - begun) / count
            if before - self.best_cost < self.search.enough:  # never, while nothing is known
                return
            before = min(before, self.best_cost)

    def evaluate(self, actions: Floats) -> tuple[Floats, Floats]:
        """Evaluate candidates (N, T, A); what is left of them, best first, with the costs."""
        cost = self.search.evaluate(actions)
        order = np.argsort(cost)
        order = order[np.isfinite(cost[order])]
        if len(order) and cost[order[0]] < self.best_cost:
            self.best, self.best_cost = actions[order[0]], float(cost[order[0]])
        return actions[order], cost[order]

    def solution(self) -> Solution:
        """What was found."""
        return Solution(self.best, self.best_cost, self.done)
