# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Which ground a scanner looks at, and when backing up leaves it."""

from __future__ import annotations

from dataclasses import dataclass
import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wm_controller.safety.envelope import boundary, stopping_scale
from wm_controller.safety.geometry import as_points, Floats, Footprint, integrate, to_parent
from wm_controller.safety.limits import Limits
from wm_controller.safety.tracking import Command

SECTORS = 72
"""Of 5 degrees each."""
MAST = 3
"""So many blind sectors in a row hide nothing that could stand there: a mast on the robot."""
ON_CIRCLE = 24
STEPS = 12
PROBE_M, PROBE_TOUCH_M = 5e-3, 2e-3
TOUCH_M = 0.01
"""Ground nearer than this to the footprint is under it."""


@dataclass(frozen=True, eq=False)
class View:
    """Sectors about a scanner at `origin` (2,) m that it measures, in the base frame's directions.

    `seen` (SECTORS,): sector k is centred at k * 360 / SECTORS degrees, 0 ahead.
    """

    origin: Floats
    seen: NDArray[np.bool_]

    @staticmethod
    def of(origin: ArrayLike, directions: ArrayLike, spacing: float) -> View:
        """Of beams in `directions` (K, 2), unit vectors in the base frame, `spacing` rad apart."""
        beams = as_points(directions)
        angles = np.arctan2(beams[:, 1], beams[:, 0])
        width = 2.0 * math.pi / SECTORS
        reach = max(abs(spacing) / 2.0, 1e-9)
        seen = np.zeros(SECTORS, bool)
        for shift in np.linspace(-reach, reach, 2 + math.ceil(2.0 * reach / width)):
            seen[np.round((angles + shift) / width).astype(int) % SECTORS] = True
        return View(np.asarray(origin, float), _without_masts(seen))

    def sees(self, points: Floats) -> NDArray[np.bool_]:
        """Which of the points (N, 2), base frame, lie in its sectors."""
        if self.seen.all():
            return np.ones(len(points), bool)
        x, y = (points - self.origin).T
        sector = np.round(np.arctan2(y, x) * (SECTORS / (2.0 * math.pi))).astype(int) % SECTORS
        return np.asarray(self.seen[sector])


def _without_masts(seen: NDArray[np.bool_]) -> NDArray[np.bool_]:
    if seen.all() or not seen.any():
        return seen
    filled = seen.copy()
    start = int(np.argmax(seen))
    run: list[int] = []
    for offset in range(1, SECTORS + 1):
        sector = (start + offset) % SECTORS
        if not seen[sector]:
            run.append(sector)
            continue
        if len(run) <= MAST:
            filled[run] = True
        run = []
    return filled


def seen_scale(limits: Limits, command: Command, view: View) -> float:
    """How much of a command backwards keeps its stopping envelope to ground in view, 0..1."""
    braking = limits.braking_time(command.v, command.w)
    horizon = limits.reaction_time_s + 0.5 * braking
    outline = _outline(limits.outline)

    def leaves(w: float, time_s: float, touch_m: float) -> bool:
        ahead = to_parent(integrate(np.zeros(3), command.v, w, time_s), outline)
        ahead = ahead[limits.outline.distance(ahead) > touch_m]
        return bool(len(ahead) and not view.sees(ahead).all())

    if view.seen.all():
        return 1.0
    # First the next few millimetres: a tolerance granted anew in every cycle would be a creep.
    # Straight back, or a robot that turns fast would never come so far.
    if leaves(0.0, PROBE_M / abs(command.v), PROBE_TOUCH_M):
        return 0.0
    for step in range(1, STEPS + 1):
        if leaves(command.w, horizon * step / STEPS, TOUCH_M):
            return stopping_scale(
                horizon * (step - 1) / STEPS, limits.reaction_time_s, braking)
    return 1.0


def _outline(footprint: Footprint) -> Floats:
    if len(footprint.vertices) > 1:
        return boundary(footprint.vertices)
    angles = np.arange(ON_CIRCLE) * (2.0 * math.pi / ON_CIRCLE)
    return np.asarray(footprint.radius * np.column_stack((np.cos(angles), np.sin(angles))))
