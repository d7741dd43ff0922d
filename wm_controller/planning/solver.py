# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The cross-entropy method over action sequences: anytime, warm-started, with a deadline.

Candidates that break a constraint have infinite cost and teach nothing (Rubinstein 1999; noise
correlated in time and kept elites as in iCEM, Pinneri et al. 2020).
"""

from collections.abc import Callable
from dataclasses import dataclass
import time

import numpy as np
from numpy.typing import NDArray

from wm_controller.planning.config import RobotLimits, SolverConfig

Floats = NDArray[np.float64]
Evaluate = Callable[[Floats], Floats]


@dataclass(frozen=True)
class Solution:
    """The best sequence (T, 2), its cost, the final mean, and how many rounds were run."""

    actions: Floats
    cost: float
    mean: Floats
    rounds: int


def solve(evaluate: Evaluate, start: Floats, proposals: Floats, limits: RobotLimits,
          config: SolverConfig, rng: np.random.Generator, deadline: float,
          clock: Callable[[], float] = time.perf_counter) -> Solution:
    """Minimise `evaluate` ((N, T, 2) -> (N,)) around `start` (T, 2) until `deadline`.

    `proposals` (M, T, 2) join the first round. `deadline` is on `clock`; a round is
    begun only if the last one's duration says that it can be ended. At least one round is run.
    """
    steps = start.shape[0]
    low = np.array([limits.min_v, -limits.max_w])
    high = np.array([limits.max_v, limits.max_w])
    sigma = np.tile([config.sigma_v, config.sigma_w], (steps, 1))
    mean = np.clip(start, low, high)
    best, best_cost = mean, np.inf
    elites: Floats = np.zeros((0, steps, 2))
    per_candidate = 0.0
    done = 0
    for number, count in enumerate(config.candidates):
        begun = clock()
        if number and begun + per_candidate * count > deadline:
            break
        kept = [mean[None], proposals] if number == 0 else [mean[None], elites[:3]]
        kept_count = sum(len(part) for part in kept)
        noise = _smooth_noise(rng, max(0, count - kept_count), steps, config.correlation)
        actions = np.clip(np.concatenate([*kept, mean + sigma * noise]), low, high)
        cost = evaluate(actions)
        order = np.argsort(cost)[:config.elites]
        order = order[np.isfinite(cost[order])]
        per_candidate = (clock() - begun) / len(actions)
        done += 1
        if len(order) == 0:
            continue
        elites = actions[order]
        if cost[order[0]] < best_cost:
            best, best_cost = elites[0], float(cost[order[0]])
        mean = config.momentum * mean + (1 - config.momentum) * elites.mean(0)
        spread = config.momentum * sigma + (1 - config.momentum) * elites.std(0)
        sigma = np.maximum(spread, config.min_sigma * (high - low))
    return Solution(best, best_cost, mean, done)


def _smooth_noise(rng: np.random.Generator, count: int, steps: int, correlation: float) -> Floats:
    """Unit-variance noise (count, steps, 2), a first-order process along the steps."""
    noise = rng.standard_normal((count, steps, 2))
    for t in range(1, steps):
        noise[:, t] = correlation * noise[:, t - 1] + np.sqrt(1 - correlation ** 2) * noise[:, t]
    return noise


def shifted(actions: Floats, share: float) -> Floats:
    """Move a sequence (T, 2) on by a share of a step (may be over 1), holding its last action."""
    steps = np.arange(len(actions)) + share
    low = np.clip(np.floor(steps).astype(int), 0, len(actions) - 1)
    high = np.clip(low + 1, 0, len(actions) - 1)
    part = (steps - np.floor(steps))[:, None]
    return np.asarray((1 - part) * actions[low] + part * actions[high])


def arcs(limits: RobotLimits, steps: int, bearing: float) -> Floats:
    """Action sequences (M, T, 2) a driver would think of first.

    Steady arcs, a turn towards `bearing` (rad) followed by driving, turns on the spot, backing
    out, and standing still.
    """
    found = [np.zeros((steps, 2))]
    for v in (1.0, 0.5):
        for w in (-1.0, -0.6, -0.3, -0.1, 0.0, 0.1, 0.3, 0.6, 1.0):
            found.append(np.tile([v * limits.max_v, w * limits.max_w * (1.4 - 0.8 * v)],
                                 (steps, 1)))
    for w in (-1.0, 1.0):
        found.append(np.tile([0.0, w * limits.max_w], (steps, 1)))
        for turning in (steps // 4, steps // 2):
            sequence = np.tile([limits.max_v, 0.0], (steps, 1))
            sequence[:turning] = [0.0, w * limits.max_w]
            found.append(sequence)
    turn_steps = int(np.clip(np.ceil(abs(bearing) / (0.8 * limits.max_w * 0.2)), 0, steps))
    sequence = np.tile([limits.max_v, 0.0], (steps, 1))
    sequence[:turn_steps] = [0.0, 0.8 * limits.max_w * np.sign(bearing)]
    found.append(sequence)
    if limits.min_v < 0:
        for w in (-0.5, 0.0, 0.5):
            found.append(np.tile([limits.min_v, w * limits.max_w], (steps, 1)))
            sequence = np.tile([0.0, np.sign(bearing + 1e-9) * 0.8 * limits.max_w], (steps, 1))
            sequence[:steps // 2] = [limits.min_v, w * limits.max_w]
            found.append(sequence)
    return np.stack(found)
