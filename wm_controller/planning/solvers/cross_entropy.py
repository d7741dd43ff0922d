# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The cross-entropy method over action sequences (Rubinstein 1999), and its improved form."""

import numpy as np

from wm_controller.planning.config import SolverConfig
from wm_controller.planning.solvers.search import Floats, Rounds, Search, Solution

KEPT_ELITES = 3  # that go into the next round as they are


class CrossEntropy:
    """Draw around a mean, keep the best, draw around them.

    As CEM: noise of every step for itself, as many candidates in each round, nothing kept. As
    iCEM (Pinneri et al., CoRL 2020): noise that changes slowly along the steps, elites that stay,
    and fewer candidates from round to round.
    """

    def __init__(self, config: SolverConfig, improved: bool) -> None:
        self._config, self._improved = config, improved
        count = round(sum(config.candidates) / max(1, len(config.candidates)))
        self._counts = config.candidates if improved else (count,) * len(config.candidates)

    def __call__(self, search: Search) -> Solution:
        """Search, as `Solver`."""
        config = self._config
        span = search.high - search.low
        mean = search.clip(search.start)
        sigma: Floats = np.broadcast_to(search.sigma, mean.shape)
        elites: Floats = np.zeros((0, *mean.shape))
        rounds = Rounds(search, self._counts)
        for count in rounds:
            kept = [mean[None]] + ([search.proposals] if not rounds.done else [])
            if self._improved:
                kept.append(elites[:KEPT_ELITES])
            drawn = max(0, count - sum(len(part) for part in kept))
            noise = slow_noise(search.rng, drawn, mean.shape,
                               config.correlation if self._improved else 0.0)
            found, _ = rounds.evaluate(search.clip(np.concatenate([*kept, mean + sigma * noise])))
            if len(found) == 0:
                continue
            elites = found[:config.elites]
            mean = config.momentum * mean + (1 - config.momentum) * elites.mean(0)
            spread = config.momentum * sigma + (1 - config.momentum) * elites.std(0)
            sigma = np.maximum(spread, config.min_sigma * span)
        return rounds.solution()


def slow_noise(rng: np.random.Generator, count: int, shape: tuple[int, ...], correlation: float
               ) -> Floats:
    """Unit-variance noise (count, T, A) of this shape (T, A), a first-order process along T."""
    noise = rng.standard_normal((count, *shape))
    for t in range(1, shape[0]):
        noise[:, t] = correlation * noise[:, t - 1] + np.sqrt(1 - correlation ** 2) * noise[:, t]
    return noise
