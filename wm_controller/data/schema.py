# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""What a data set file contains: names, shapes, units (design.md section 5)."""

from dataclasses import dataclass

import numpy as np

SCHEMA = 'wm_controller/1'

IMAGE_SIZE = (96, 72)
"""(width, height) pixels that the world model sees."""

STEP_PERIOD_S = 0.2
"""Model step: visible motion follows a command by 0.15 to 0.25 s on real robots."""

CLEARANCE_MAX = 5.0
"""Clearances are clipped to this, m."""

CLEARANCE_BEARINGS = np.deg2rad(np.linspace(42.0, -42.0, 15))
"""Sector centres across the camera's view, rad, left first."""
CLEARANCE_BEARINGS.setflags(write=False)


@dataclass(frozen=True)
class Column:
    """One column of the file: `shape` is the shape of one row, None a free length."""

    name: str
    dtype: str
    shape: tuple[object, ...]
    meaning: str
    nan: bool = False
    """Whether NaN says 'this recording does not have it'."""


STEP_COLUMNS = (
    Column('pixels', 'uint8', (None, None, 3), 'camera frame, RGB'),
    Column('action', 'float32', (2,), 'command [v m/s, w rad/s] held over the following step',
           nan=True),
    Column('proprio', 'float32', (5,),
           '[dx m, dy m, dyaw rad since the previous step in the previous base frame, '
           'measured v m/s, w rad/s]', nan=True),
    Column('pose', 'float64', (3,), '[x m, y m, yaw rad] in odom', nan=True),
    Column('stamp', 'float64', (), 'time of the camera frame, s'),
    Column('clearance', 'float32', (None,),
           'distance from base_link to the nearest obstacle, m, per bearing', nan=True),
)

EPISODE_COLUMNS = (
    Column('ep_len', 'int64', (), 'steps in the episode'),
    Column('ep_offset', 'int64', (), 'first row of the episode'),
)

COLUMN_NAMES = tuple(c.name for c in STEP_COLUMNS + EPISODE_COLUMNS)
