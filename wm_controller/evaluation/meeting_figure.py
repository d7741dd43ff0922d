# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""An encounter from above, a panel for each driver: robot and walker, second by second."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle
import numpy as np

from wm_controller.evaluation import palette
from wm_controller.evaluation.figures import as_png, draw_drive, draw_floor, ROBOT_RADIUS_M, STYLE
from wm_controller.evaluation.floor import Floor
from wm_controller.evaluation.meetings import figures, Meeting

EVERY_S = 1.0
ABOUT_M = 2.2  # shown round the meeting place
PANEL_IN = 4.2


def meeting_map(meetings: Sequence[Meeting]) -> bytes:
    """Draw one encounter as these drivers had it, side by side; PNG."""
    encounter = meetings[0].encounter
    floor = Floor.of(encounter.alone)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(PANEL_IN * len(meetings), PANEL_IN + 0.5), dpi=130)
        for column, meeting in enumerate(meetings):
            axes = figure.add_subplot(1, len(meetings), column + 1)
            draw_floor(axes, floor)
            draw_drive(axes, meeting.episode, imagined=False, weight=0.6)
            _draw_seconds(axes, meeting)
            x, y = encounter.meeting
            axes.set_xlim(x - ABOUT_M, x + ABOUT_M)
            axes.set_ylim(y - ABOUT_M, y + ABOUT_M)
            row = figures(meeting)
            axes.set_title(f'{meeting.driver}: {row["outcome"]}, gap {row["gap_m"]:.2f} m, '
                           f'cut {row["cut_s"]:.1f} s', fontsize=9)
        figure.tight_layout()
        return as_png(figure)


def _draw_seconds(axes: Axes, meeting: Meeting) -> None:
    """Discs of robot and walker once a second, with the second, while they are near each other."""
    trace = meeting.episode.trace
    assert trace is not None
    for t in np.arange(0.0, trace.t[-1], EVERY_S):
        i = int(np.argmin(np.abs(trace.t - t)))
        robot, (x, y, radius) = trace.pose[i], trace.people[i, 0]
        if np.hypot(robot[0] - x, robot[1] - y) > 2 * ABOUT_M:
            continue
        for (at_x, at_y), size, colour, hatch in (
                (robot[:2], ROBOT_RADIUS_M, palette.DRIVEN, None),
                ((x, y), radius, palette.BUMP, '////')):
            axes.add_patch(Circle((at_x, at_y), size, fc=colour, ec=colour, alpha=0.18,
                                  hatch=hatch, zorder=5.5))
            axes.text(at_x, at_y, f'{t:.0f}', fontsize=7, ha='center', va='center', color=colour,
                      zorder=9, clip_on=True)
