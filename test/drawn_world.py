# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""A tiny world drawn with numpy, for tests of learning that must take seconds."""

import numpy as np

from wm_controller.data.dataset import DatasetWriter
from wm_controller.data.schema import CLEARANCE_BEARINGS
from wm_controller.safety.geometry import integrate, relative


def draw(pose: np.ndarray) -> np.ndarray:
    """Picture (72, 96, 3) of a striped cylinder wall around the origin, seen from `pose`."""
    bearing = np.linspace(np.pi / 4, -np.pi / 4, 96) + pose[2]
    stripes = np.stack([127 + 120 * np.sin(k * bearing + p)
                        for k, p in ((2, 0.0), (5, 1.0), (3, 2.0))], -1)
    distance = np.clip(3.0 - np.hypot(*pose[:2]), 0.3, 3.0)
    rows = np.abs(np.arange(72) - 36)[:, None, None] < 30.0 / distance
    return np.where(rows, stripes[None], 40 * np.ones(3)).astype(np.uint8)


def write_dataset(path, *, episodes=8, steps=60, rate_hz=5.0, seed=0, odometry=True,
                  commands=True, truth=False):
    """Write a data set of random driving in that world; with `truth`, true poses beside it."""
    rng = np.random.default_rng(seed)
    with DatasetWriter(path, rate_hz=rate_hz) as writer:
        for episode in range(episodes):
            change = rng.normal(0, [0.1, 0.4], (steps, 2)).cumsum(0)
            action = np.clip(change, [-0.2, -1.2], [0.5, 1.2]).astype(np.float32)
            pose = np.zeros((steps, 3))
            for i in range(1, steps):
                pose[i] = integrate(pose[i - 1], *action[i - 1], 1 / rate_hz)
            proprio = np.zeros((steps, 5), np.float32)
            proprio[1:, :3] = relative(pose[:-1], pose[1:])
            proprio[1:, 3:] = action[:-1]
            clearance = np.full((steps, len(CLEARANCE_BEARINGS)), 2.0, np.float32)
            pixels = np.stack([draw(p) for p in pose])
            if not odometry:
                proprio[:], pose[:], clearance[:] = np.nan, np.nan, np.nan
            writer.append_episode(pixels, action if commands else None, proprio, pose,
                                  np.arange(steps) / rate_hz + 100.0 * episode, clearance,
                                  {'world_pose': pose} if truth else None)
    return path
