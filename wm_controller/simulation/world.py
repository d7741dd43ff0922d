# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""What the simulator node needs of a world: physics is one (`Simulator`), a model another."""

from typing import Any, Protocol

import numpy as np

from wm_controller.simulation.specs import CameraSpec, Odometry, Scan


class World(Protocol):
    """One robot somewhere. Poses are (x m, y m, yaw rad), twists (v m/s, w rad/s)."""

    camera: CameraSpec
    collisions: int

    @property
    def time(self) -> float:
        """Simulated time since the reset, s."""

    @property
    def pose(self) -> np.ndarray:
        """True pose (3,), in the frame of this world."""

    @property
    def twist(self) -> np.ndarray:
        """True twist (2,)."""

    @property
    def odometry(self) -> Odometry:
        """The latest odometry."""

    def world_to_odom(self, pose: np.ndarray) -> np.ndarray:
        """Pose (..., 3) in the frame of this world -> frame of the start."""

    def reset(self, pose: np.ndarray | None = None) -> None:
        """Begin anew at time 0, at a pose or where the world puts the robot."""

    def command(self, v: float, w: float) -> None:
        """Command a twist from now on; raises InputError where it is not finite."""

    def step(self, duration_s: float) -> None:
        """Let time pass."""

    def image(self) -> np.ndarray:
        """What the camera sees now: (H, W, 3) uint8 RGB."""

    def scan(self) -> Scan:
        """What the laser sees now."""

    def open_window(self) -> Any:
        """Open a window with `sync()` and `close()`; raises InputError where there is none."""

    def close(self) -> None:
        """Free what draws."""
