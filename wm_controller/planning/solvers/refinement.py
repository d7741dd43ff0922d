# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""A last improvement along the gradient, after a search that drew at random.

Sampling finds the valley, the gradient its bottom: by itself it stays in whatever valley it
begins in (DINO-WM: 0.22 against 0.98 for sampling in a maze).
"""

import numpy as np

from wm_controller.planning.solvers.search import Search, Solution, Solver

STEPS = 4
RATE = 0.04  # of the span of an action, for the first step
DECAYS = (0.9, 0.999)  # of Adam's moments (Kingma and Ba, 2015)


class Refined:
    """Another solver, and then gradient steps from what it found; better is kept, worse is not."""

    def __init__(self, solver: Solver) -> None:
        self._solver = solver

    def __call__(self, search: Search) -> Solution:
        """Search, as `Solver`. Without a gradient, or time for it, as the other solver alone."""
        found = self._solver(search)
        if search.gradient is None or not np.isfinite(found.cost):
            return found
        span = search.high - search.low
        actions, rounds = found.actions, found.rounds
        tried = [actions]
        first = second = np.zeros_like(actions)
        pace = 0.0
        for step in range(1, STEPS + 1):
            begun = search.clock()
            if begun + 2 * pace > search.deadline:  # one more, and judging them all
                break
            slope = search.gradient(actions[None])[1][0] * span
            if not np.isfinite(slope).all():
                break
            first = DECAYS[0] * first + (1 - DECAYS[0]) * slope
            second = DECAYS[1] * second + (1 - DECAYS[1]) * slope ** 2
            along = first / (1 - DECAYS[0] ** step) / (
                np.sqrt(second / (1 - DECAYS[1] ** step)) + 1e-9)
            actions = search.clip(actions - RATE * (1 - (step - 1) / STEPS) * span * along)
            tried.append(actions)
            pace = search.clock() - begun
        candidates = np.stack(tried)
        cost = search.evaluate(candidates)
        best = int(np.argmin(cost))
        if not cost[best] < found.cost:
            return found
        return Solution(candidates[best], float(cost[best]), rounds + 1)
