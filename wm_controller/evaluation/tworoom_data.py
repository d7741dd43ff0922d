# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""TwoRoom's recordings (HDF5 of `stable-worldmodel`) as a data set of ours."""

from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from wm_controller.data.writer import DatasetWriter
from wm_controller.errors import InputError
from wm_controller.evaluation.tworoom_pipe import shrink

METRES_PER_PX = 0.01     # so that an agent's step, 5 pixels of 224, is that of a robot at 0.5 m/s
STEP_PERIOD_S = 0.1      # the environment draws ten frames a second
SPEED = 5.0 * METRES_PER_PX / STEP_PERIOD_S  # m/s along each axis that an action of 1 commands


def convert(source: Path, target: Path, odometry: bool) -> None:
    """Write the recording `source` as the data set `target`.

    `action` is the commanded velocity [vx, vy] m/s in the picture's axes, x right and y down: the
    agent has no heading. With `odometry` the agent's true positions become `pose` and `proprio`;
    without, both are NaN. Raises InputError where `source` is no recording of TwoRoom.
    """
    try:
        with h5py.File(source) as recording, DatasetWriter(
                target, 1 / STEP_PERIOD_S, bearings=[0.0], command='wm benchmark tworoom',
                sources=[{'path': source.name}]) as writer:
            for first, length in zip(recording['ep_offset'][:], recording['ep_len'][:]):
                rows = slice(int(first), int(first + length))
                state = recording['state'][rows].astype(np.float64)
                writer.append_episode(
                    shrink(recording['pixels'][rows]), recording['action'][rows] * SPEED,
                    proprio=proprio_of(state) if odometry else None,
                    pose=pose_of(state) if odometry else None,
                    stamp=np.arange(int(length)) * STEP_PERIOD_S)
    except (OSError, KeyError) as error:
        raise InputError(f'{source}: not a recording of TwoRoom ({error}); delete it, and it is '
                         'collected anew') from error


def pose_of(state: NDArray[np.float64]) -> NDArray[np.float64]:
    """Positions (T, 2) in pixels of 224 as poses (T, 3): x m, y m, yaw 0."""
    return np.column_stack([state * METRES_PER_PX, np.zeros(len(state))])


def proprio_of(state: NDArray[np.float64]) -> NDArray[np.float64]:
    """Odometry (T, 5) of positions (T, 2) in pixels: dx, dy, dyaw (m, rad), velocity vx, vy."""
    moved = np.diff(state, axis=0, prepend=state[:1]) * METRES_PER_PX
    return np.column_stack([moved, np.zeros(len(state)), moved / STEP_PERIOD_S])
