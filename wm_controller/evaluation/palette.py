# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Colours of the report and the video: Okabe and Ito's, which colour-blind people tell apart.

No meaning rests on colour alone: curves of one figure differ in their dashes (`LINES`) or marks,
bars in their places and names.
"""

from __future__ import annotations

from typing import Any

DRIVEN = '#0072B2'  # blue: what was driven, what the guard let through
IMAGINED = '#E69F00'  # orange: what was imagined, what the policy wanted
GOAL = '#009E73'  # green
BUMP = '#D55E00'  # vermilion
PURPLE = '#CC79A7'
SKY = '#56B4E9'
YELLOW = '#F0E442'

INK = '#22272e'
FAINT = '#6b7480'
GRID = '#e6e8eb'
WALL = '#3b424c'
FURNITURE = '#a9b1bb'
FLOOR = '#f7f6f2'
PAPER = '#ffffff'

SOLID, DASHED, DOTTED = '-', (0, (5, 1.6)), (0, (1.2, 1.4))

# Rows of the guard's timeline, told apart by position first and colour second.
ROWS = ('#0072B2', '#D55E00', '#009E73', '#CC79A7', '#E69F00', '#56B4E9', '#6b7480')

# Dashes of the curves that ROWS colours, in its order.
LINES: tuple[Any, ...] = (
    SOLID, DASHED, DOTTED, (0, (5, 1.4, 1.2, 1.4)), (0, (9, 2)), (0, (3, 1.2)),
    (0, (5, 1.4, 1.2, 1.4, 1.2, 1.4)))


def rgb(colour: str) -> tuple[int, int, int]:
    """Return '#rrggbb' as three integers 0..255."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
