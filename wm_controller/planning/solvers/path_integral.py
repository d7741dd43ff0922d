# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Model-predictive path integral control (Williams et al., ICRA 2017) with smooth controls."""

import numpy as np
from scipy.interpolate import CubicSpline

from wm_controller.planning.config import SolverConfig
from wm_controller.planning.solvers.search import Floats, Rounds, Search, Solution

STEPS_PER_KNOT = 3
NARROWER = 0.7  # noise of a round, of the last one's


class PathIntegral:
    """Every candidate moves the mean, the more the cheaper it is.

    Noise is drawn at knots and led smoothly through them, so that the commands need no filter
    (as in smooth MPPI, Kim et al. 2022). The temperature follows the costs of each round:
    `config.temperature` of what the best differ by, so that it means the same for every cost.
    """

    def __init__(self, config: SolverConfig) -> None:
        self._config = config

    def __call__(self, search: Search) -> Solution:
        """Search, as `Solver`."""
        config, mean, sigma = self._config, search.clip(search.start), search.sigma
        rounds = Rounds(search, config.candidates)
        for count in rounds:
            kept = [mean[None]] + ([search.proposals] if not rounds.done else [])
            drawn = max(0, count - sum(len(part) for part in kept))
            noise = spline_noise(search.rng, drawn, mean.shape)
            found, cost = rounds.evaluate(
                search.clip(np.concatenate([*kept, mean + sigma * noise])))
            if len(found) == 0:
                continue
            among = cost[min(len(cost) - 1, config.elites)] - cost[0]
            weight = np.exp(-(cost - cost[0]) / max(config.temperature * among, 1e-9))
            mean = np.tensordot(weight / weight.sum(), found, 1)
            sigma = NARROWER * sigma
        if np.isfinite(rounds.best_cost):
            rounds.evaluate(search.clip(mean)[None])  # the mean itself was not yet a candidate
        return rounds.solution()


def spline_noise(rng: np.random.Generator, count: int, shape: tuple[int, ...]) -> Floats:
    """Noise (count, T, A) of this shape (T, A), of unit variance at its knots, smooth between."""
    steps, width = shape
    knots = max(2, steps // STEPS_PER_KNOT + 1)
    if not count:
        return np.zeros((0, steps, width))
    drawn = rng.standard_normal((knots, count, width))
    spline = CubicSpline(np.linspace(0, steps - 1, knots), drawn, bc_type='natural')
    return np.moveaxis(spline(np.arange(steps)), 0, 1)
