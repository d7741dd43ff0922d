# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Futures of a base that does as it is told."""

import numpy as np
import torch

from wm_controller.planning.imagination import Future
from wm_controller.safety.geometry import integrate


def future_of(actions, *, clearance=3.0, disagreement=1.0):
    """What a perfect model of the base would imagine; `disagreement` is one for all, or (N,)."""
    count, steps = actions.shape[:2]
    poses = np.zeros((count, steps + 1, 3))
    for t in range(steps):
        poses[:, t + 1] = integrate(poses[:, t], actions[:, t, 0], actions[:, t, 1], 0.2)
    chosen = np.arange(2, steps + 1, 2)
    return Future(*map(torch.from_numpy, (
        actions, poses, chosen, np.full((1, count, len(chosen)), clearance))), None,
        lambda which: torch.tensor(disagreement).double().expand(count)[which])
