# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Action sequences to begin a search with: what was planned before, and what a driver tries."""

import numpy as np
from numpy.typing import NDArray

from wm_controller.planning.config import RobotLimits

Floats = NDArray[np.float64]


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
