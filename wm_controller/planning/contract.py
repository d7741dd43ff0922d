# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""What goes into a pilot and what comes out of it; times are ROS seconds, poses in `odom`."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
NO_PLACES = "a flat planner keeps no places: set planner to 'hierarchical'"


@dataclass(frozen=True)
class Observation:
    """One camera frame and the odometry at its stamp.

    `image` (H, W, 3) uint8 RGB; `pose` (3,) [x m, y m, yaw rad] and `twist` (2,) [v m/s, w rad/s],
    None without odometry.
    """

    stamp: float
    image: NDArray[np.uint8]
    pose: Floats | None = None
    twist: Floats | None = None


@dataclass(frozen=True)
class PoseGoal:
    """A place in `odom`, metres; the heading there is not asked for where `yaw` is None."""

    x: float
    y: float
    yaw: float | None = None


@dataclass(frozen=True)
class ImageGoal:
    """A picture (H, W, 3) uint8 RGB taken at the place to go to."""

    image: NDArray[np.uint8]


@dataclass(frozen=True)
class ExploreGoal:
    """Nowhere in particular: to wherever more would be seen, until nothing is left."""


@dataclass(frozen=True)
class RouteGoal:
    """Along the route that was taught, to its end, or back to its start."""

    backwards: bool = False


Goal = PoseGoal | ImageGoal | ExploreGoal | RouteGoal


@dataclass(frozen=True)
class Imagined:
    """The future of a plan, not yet drawn: state (1, S) at its stamp, and actions (T, 2).

    The state is the world model's own; `planning.film.Film` makes pictures of it.
    """

    state: Any
    actions: Floats


@dataclass(frozen=True)
class Plan:
    """One command, and the future that was imagined for it.

    `stamp` is that of the observation planned from; `path` (T + 1, 3) and `candidates`
    (M, T + 1, 3) are imagined poses, `imagined` is what pictures are made of; `state` is idle,
    planning, reached, lost or unreachable; `cost` is infinite where no candidate kept every
    constraint and the robot falls back. `far_path` (M, 3): where the upper level means to go.
    """

    stamp: float
    v: float = 0.0
    w: float = 0.0
    path: Floats = field(default_factory=lambda: np.zeros((0, 3)))
    candidates: Floats | None = None
    far_path: Floats | None = None
    state: str = 'idle'
    plan_s: float = 0.0
    rounds: int = 0
    cost: float = 0.0
    goal_distance: float = float('nan')
    late: bool = False
    surprise: float = float('nan')
    imagined: Imagined | None = None
