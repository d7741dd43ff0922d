# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""A drive as rows of a data set: to calibrate on, or learn from, what the planner does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from wm_controller.data import schema
from wm_controller.safety.geometry import relative

if TYPE_CHECKING:  # a recorder of drives over topics has no simulator
    from wm_controller.simulation.simulator import Simulator

LEAST_STEPS = 2  # of a drive that is worth a row


@dataclass(frozen=True)
class Recording:
    """T steps of one drive, columns as in `data.schema`."""

    pixels: NDArray[np.uint8]
    action: NDArray[np.float32]
    proprio: NDArray[np.float32]
    pose: NDArray[np.float64]
    stamp: NDArray[np.float64]
    clearance: NDArray[np.float32]


class DriveLog:
    """Gathers the steps of one drive; the action of a step is the mean of what was let through."""

    def __init__(self, period_s: float = schema.STEP_PERIOD_S) -> None:
        self._period_s = period_s
        self._rows: list[tuple[NDArray[np.uint8], np.ndarray, np.ndarray, float, np.ndarray]] = []
        self._actions: list[np.ndarray] = []
        self._commands: list[tuple[float, float]] = []

    def is_due(self, stamp: float) -> bool:
        """Whether a step has passed since the last frame that was kept."""
        return not self._rows or stamp >= self._rows[-1][3] + self._period_s - 1e-6

    def see(self, stamp: float, image: NDArray[np.uint8], simulator: Simulator) -> None:
        """Keep the frame (H, W, 3) at `stamp` s if it is due, and what was measured then."""
        if not self.is_due(stamp):
            return
        if self._rows:
            self._actions.append(np.mean(self._commands or [(0.0, 0.0)], axis=0))
        self._commands.clear()
        odometry = simulator.odometry
        small = cv2.resize(image, schema.IMAGE_SIZE, interpolation=cv2.INTER_AREA)
        self._rows.append((np.asarray(small, np.uint8), np.array(odometry.pose),
                           np.array(odometry.twist), stamp,
                           simulator.clearance(schema.CLEARANCE_BEARINGS)))

    def admit(self, v: float, w: float) -> None:
        """Note a command that went to the wheels: m/s, rad/s."""
        self._commands.append((v, w))

    def finish(self) -> Recording | None:
        """Return the whole steps; None where there are hardly any."""
        count = len(self._actions)  # the last frame's step was not driven to its end
        if count < LEAST_STEPS:
            return None
        pixels, pose, twist, stamp, clearance = (
            np.stack(column) for column in zip(*self._rows[:count]))
        proprio = np.zeros((count, 5), np.float32)
        proprio[1:, :3] = relative(pose[:-1], pose[1:])
        proprio[:, 3:] = twist
        return Recording(pixels, np.array(self._actions, np.float32), proprio, pose, stamp,
                         clearance.astype(np.float32))


def write_recordings(path: Path, recordings: Sequence[tuple[int, str, Recording]],
                     command: str) -> int:
    """Write drives (room seed, family, steps) as a data set, whole or not at all; their steps."""
    from wm_controller.data.writer import DatasetWriter

    with DatasetWriter(path, 1.0 / schema.STEP_PERIOD_S, command=command,
                       sources=[{'path': f'drives:{len(recordings)}'}]) as writer:
        for room, family, each in recordings:
            writer.append_episode(
                each.pixels, each.action, each.proprio, each.pose, each.stamp, each.clearance,
                episode_extras={'ep_room': room, 'ep_family': family})
        return writer.n_steps
