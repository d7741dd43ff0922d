# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""What the page may ask of the robot; `nodes/panel.py` does it over ROS."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True)
class Answer:
    """Whether it was done, and a line for the operator."""

    done: bool
    text: str


class Robot(Protocol):
    """Calls from any thread; nothing here waits, a future that is never set is given up."""

    def stop(self) -> Future[Answer]:
        """Stop, by topic at once and by service."""
        ...

    def reset(self) -> Future[Answer]:
        """Clear the emergency stop."""
        ...

    def enable(self, allowed: bool) -> Future[Answer]:
        """Allow or forbid autonomy."""
        ...

    def cancel(self) -> Future[Answer]:
        """Give up the goal."""
        ...

    def go_to(self, x: float, y: float, yaw: float | None) -> Answer:
        """Send a goal pose: m, rad, in the odometry frame."""
        ...

    def go_to_picture(self, rgb: np.ndarray) -> Answer:
        """Send a goal as a picture, (H, W, 3) uint8 RGB."""
        ...

    def camera_image(self) -> np.ndarray | None:
        """Newest camera image, (H, W, 3) uint8 RGB; None if there is no fresh one."""
        ...
