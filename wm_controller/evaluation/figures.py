# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The report's figures: the drive from above, latencies, guard activity, success by distance."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import io
import re
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle
import numpy as np

from wm_controller.evaluation import palette
from wm_controller.evaluation.floor import Floor
from wm_controller.evaluation.records import Episode, Trace

ROBOT_RADIUS_M = 0.18

STYLE: Any = {
    'font.family': 'sans-serif',
    'font.size': 9,
    'axes.edgecolor': palette.GRID,
    'axes.labelcolor': palette.FAINT,
    'axes.spines.top': False,
    'axes.spines.right': False,
    'axes.spines.left': False,
    'axes.grid': True,
    'axes.axisbelow': True,
    'grid.color': palette.GRID,
    'grid.linewidth': 0.8,
    'text.color': palette.INK,
    'xtick.color': palette.FAINT,
    'ytick.color': palette.FAINT,
    'xtick.major.size': 0,
    'ytick.major.size': 0,
    'legend.frameon': False,
    'svg.fonttype': 'none',  # text stays text: the page's own font, and selectable
    'svg.hashsalt': 'wm_controller',  # the same figure gives the same bytes
}


def draw_floor(axes: Axes, floor: Floor) -> None:
    """Draw the room: floor, a soft shade along the obstacles, the obstacles."""
    axes.set_facecolor(palette.FLOOR)
    shade = np.clip(1.0 - floor.distance / 0.35, 0.0, 1.0)
    axes.imshow(
        np.dstack([np.full((*shade.shape, 3), 0.45), 0.10 * shade**2]),
        origin='lower',
        extent=(floor.x[0], floor.x[-1], floor.y[0], floor.y[-1]),
        interpolation='bilinear',
        zorder=0,
    )
    axes.contourf(
        floor.x, floor.y, floor.distance, levels=[-1e3, 0.0], colors=[palette.WALL], zorder=1
    )
    pieces = PolyCollection(
        floor.furniture, facecolors=palette.FURNITURE, edgecolors=palette.FLOOR, lw=0.5, zorder=1.5
    )
    above = PolyCollection(
        floor.overhead, facecolors=palette.FURNITURE, edgecolors=palette.WALL, lw=0.4, zorder=1.6
    )
    above.set_alpha(0.35)
    axes.add_collection(pieces)
    axes.add_collection(above)
    axes.set_aspect('equal')
    axes.set_xlim(floor.x[0], floor.x[-1])
    axes.set_ylim(floor.y[0], floor.y[-1])
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)


def draw_drive(axes: Axes, episode: Episode, *, imagined: bool, weight: float = 1.0) -> None:
    """Draw one drive: candidates and imagined paths faint, the driven path, start, goal, bumps."""
    task, trace = episode.task, episode.trace
    if trace is not None and imagined:
        _draw_plans(axes, trace, weight)
    if trace is not None and len(trace.pose):
        for width, colour in ((4.4, 'white'), (2.4, palette.DRIVEN)):
            axes.plot(
                trace.pose[:, 0],
                trace.pose[:, 1],
                color=colour,
                lw=width * weight,
                solid_capstyle='round',
                zorder=5,
            )
        _draw_robot(axes, trace.pose[-1], palette.DRIVEN)
    axes.add_patch(
        Circle(task.goal[:2], 0.4, fc=palette.GOAL, ec=palette.GOAL, alpha=0.22, zorder=4)
    )
    axes.plot(*task.goal[:2], '*', ms=11 * weight, mfc=palette.GOAL, mec='white', zorder=7)
    axes.plot(
        *task.start[:2], 'o', ms=6.5 * weight, mfc='white', mec=palette.DRIVEN, mew=1.8, zorder=6
    )
    if trace is not None and len(trace.bumps):
        axes.plot(
            trace.bumps[:, 1],
            trace.bumps[:, 2],
            'X',
            ms=max(7.5, 10 * weight),
            mfc=palette.BUMP,
            mec='white',
            mew=0.6,
            ls='none',
            zorder=8,
        )


def _draw_plans(axes: Axes, trace: Trace, weight: float) -> None:
    fans = [path for plan in trace.plans if plan.fan is not None for path in plan.fan]
    paths = [plan.path for plan in trace.plans if len(plan.path) > 1]
    for lines, width, alpha in ((fans, 0.6, 0.13), (paths, 1.0, 0.35)):
        axes.add_collection(
            LineCollection(
                [line[:, :2] for line in lines],
                colors=palette.IMAGINED,
                linewidths=width * weight,
                alpha=alpha,
                zorder=3,
            )
        )


def _draw_robot(axes: Axes, pose: np.ndarray, colour: str) -> None:
    x, y, yaw = pose
    axes.add_patch(Circle((x, y), ROBOT_RADIUS_M, fc='white', ec=colour, lw=1.6, zorder=6))
    tip = ROBOT_RADIUS_M * np.array([np.cos(yaw), np.sin(yaw)])
    axes.plot([x, x + tip[0]], [y, y + tip[1]], color=colour, lw=1.8, zorder=6)


def drive_map(
    floor: Floor, episodes: Sequence[Episode], *, imagined: bool = True, width_px: int = 1400
) -> bytes:
    """Draw drives of one room from above; PNG."""
    wide, high = floor.size_m
    # A thumbnail has fewer points for the same room, so its lines are drawn thinner.
    inches = width_px / 200
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(inches, inches * high / wide), dpi=200)
        axes = figure.add_axes((0, 0, 1, 1))
        draw_floor(axes, floor)
        for episode in episodes:
            draw_drive(axes, episode, imagined=imagined, weight=min(1.0, inches / 5.0))
            if len(episodes) > 1:
                _draw_number(axes, episode)
        _draw_scale(axes, floor)
        return as_png(figure)


def _draw_number(axes: Axes, episode: Episode) -> None:
    x, y = episode.task.goal[:2]
    style: dict[str, Any] = {'fontsize': 9, 'fontweight': 'bold', 'color': palette.INK}
    axes.text(x, y + 0.16, str(episode.task.index + 1), ha='center', zorder=9, **style)


def _draw_scale(axes: Axes, floor: Floor) -> None:
    """Draw one metre in the lower right corner, within the outer wall's width."""
    right, low = floor.x[-1] - 0.35, floor.y[0] + 0.30
    label: dict[str, Any] = {'ha': 'center', 'va': 'bottom', 'fontsize': 8, 'color': palette.FAINT}
    corner = (right - 1.12, low - 0.12)
    axes.add_patch(Rectangle(corner, 1.24, 0.42, fc=palette.FLOOR, alpha=0.8, zorder=8.5))
    axes.plot([right - 1, right], [low, low], color=palette.FAINT, lw=2, zorder=9)
    axes.text(right - 0.5, low + 0.06, '1 m', zorder=9, **label)


def latency_histogram(latencies_s: Sequence[float], limit_s: float) -> str:
    """Draw the time from camera stamp to the command that used it; SVG."""

    def draw(axes: Axes) -> None:
        values = 1e3 * np.asarray(latencies_s)
        top = max(limit_s * 1e3 * 1.15, float(np.percentile(values, 99.5)) * 1.1)
        counts, _, _ = axes.hist(
            np.clip(values, 0, top),
            bins=[float(edge) for edge in np.linspace(0, top, 49)],
            color=palette.DRIVEN,
            alpha=0.85,
        )
        high = float(max(counts))
        # Labels stand apart from each other: left of the median, right of the 99th percentile.
        for at, text, colour, side in (
            (np.percentile(values, 50), 'p50', palette.INK, 'right'),
            (np.percentile(values, 99), 'p99', palette.INK, 'left'),
            (1e3 * limit_s, 'limit', palette.BUMP, 'center'),
        ):
            axes.axvline(at, color=colour, lw=1.2, ls='-' if text == 'limit' else (0, (3, 2)))
            lift = 1.14 if text == 'limit' else 1.03
            axes.text(at, high * lift, f' {text} {at:.0f} ', color=colour, ha=side, fontsize=8)
        axes.set_xlabel('camera stamp to command, ms')
        axes.set_yticks([])
        axes.set_xlim(0, top)
        axes.set_ylim(0, high * 1.25)
        axes.grid(False)

    return chart(draw, (3.9, 2.0)) if len(latencies_s) else ''


def guard_timeline(trace: Trace) -> str:
    """Draw the speed wanted and admitted, and beneath, when each guardrail limited; SVG."""
    reasons = _reasons_by_time(trace)
    height = 2.0 + 0.22 * max(1, len(reasons))
    ratios = [1.45, max(0.25, 0.22 * len(reasons))]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10.8, height))
        speed, rows = figure.subplots(2, 1, sharex=True, gridspec_kw={'height_ratios': ratios})
        speed.plot(trace.t, trace.wanted[:, 0], color=palette.IMAGINED, lw=1.3, ls=palette.DASHED,
                   label='wanted')
        speed.fill_between(trace.t, 0, trace.admitted[:, 0], color=palette.DRIVEN, alpha=0.18)
        speed.plot(trace.t, trace.admitted[:, 0], color=palette.DRIVEN, lw=1.5, label='admitted')
        for at in trace.bumps[:, 0]:
            speed.axvline(at, color=palette.BUMP, lw=1.2)
        speed.set_ylabel('speed, m/s')
        speed.legend(loc='lower left', bbox_to_anchor=(0, 1.0), ncol=2, borderaxespad=0)
        _draw_reason_rows(rows, trace, reasons)
        speed.set_xlim(trace.t[0], trace.t[-1])
        figure.subplots_adjust(
            left=0.11, right=0.995, top=1 - 0.24 / height, bottom=0.36 / height, hspace=0.1
        )
        return svg(figure)


def _reasons_by_time(trace: Trace) -> list[tuple[str, np.ndarray]]:
    """Each guardrail that limited with its mask (N,) over the trace, the busiest first."""
    names = sorted({name for names in trace.reasons for name in names})
    masks = [(name, np.array([name in now for now in trace.reasons])) for name in names]
    return sorted(masks, key=lambda item: -int(item[1].sum()))


def _draw_reason_rows(axes: Axes, trace: Trace, reasons: Sequence[tuple[str, np.ndarray]]) -> None:
    step_s = float(np.median(np.diff(trace.t))) if len(trace.t) > 1 else 0.1
    for row, (_, mask) in enumerate(reasons):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(int), [0]])))
        bars = [
            (trace.t[start], trace.t[stop - 1] - trace.t[start] + step_s)
            for start, stop in zip(edges[::2], edges[1::2])
        ]
        colour = palette.ROWS[row % len(palette.ROWS)]
        axes.broken_barh(bars, (row - 0.36, 0.72), facecolors=colour)
    axes.set_yticks(range(len(reasons)), [name for name, _ in reasons])
    axes.set_ylim(max(0.6, len(reasons) - 0.4), -0.6)
    axes.set_xlabel('time, s')
    if not reasons:
        axes.set_yticks([])
        axes.text(0.5, 0.5, 'no guardrail limited', transform=axes.transAxes, ha='center')


def success_bars(rows: Sequence[Mapping[str, Any]]) -> str:
    """Draw success by the distance of the goal, with Wilson intervals; SVG."""
    shown = [row for row in rows if row['episodes']]

    def draw(axes: Axes) -> None:
        at = np.arange(len(shown))
        rate = np.array([row['rate'] for row in shown])
        low, high = np.array([row['ci95'] for row in shown]).T
        axes.bar(at, 100 * rate, 0.62, color=palette.GOAL, alpha=0.85)
        error = 100 * np.clip(np.stack([rate - low, high - rate]), 0, None)
        axes.errorbar(at, 100 * rate, error, fmt='none', ecolor=palette.INK, elinewidth=1.1)
        axes.set_xticks(at, [_bin_label(row) for row in shown])
        axes.set_ylim(0, 104)
        axes.set_yticks([0, 50, 100], ['0', '50', '100 %'])
        axes.grid(axis='x', visible=False)

    return chart(draw, (3.9, 2.0), left=0.11) if shown else ''


def _bin_label(row: Mapping[str, Any]) -> str:
    return f'{row["from_m"]:g}–{row["to_m"]:g} m\n{row["successes"]}/{row["episodes"]}'


def share_bars(shares: Mapping[str, float]) -> str:
    """Draw the share of time in which each guardrail was limiting; SVG."""
    shown = list(shares.items())[:8]

    def draw(axes: Axes) -> None:
        at = np.arange(len(shown))
        values = [100 * share for _, share in shown]
        colours = [palette.ROWS[i % len(palette.ROWS)] for i in range(len(shown))]
        axes.barh(at, values, 0.62, color=colours)
        for i, value in enumerate(values):
            axes.text(value, i, f' {value:.1f} %', va='center', fontsize=8)
        axes.set_yticks(at, [name for name, _ in shown])
        axes.invert_yaxis()
        axes.set_xlim(0, max(values) * 1.25)
        axes.set_xticks([])
        axes.grid(False)

    return chart(draw, (3.9, 0.5 + 0.27 * len(shown)), left=0.34) if shown else ''


def chart(draw: Callable[[Axes], None], size: tuple[float, float], left: float = 0.08) -> str:
    """Draw one chart of a size in inches; SVG. `left`: share of the width for its labels."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=size)
        axes = figure.add_axes((left, 0.42 / size[1], 0.985 - left, 1 - 0.58 / size[1]))
        draw(axes)
        return svg(figure)


def svg(figure: Figure, transparent: bool = True) -> str:
    """Return the figure as SVG without links; the same figure gives the same bytes."""
    buffer = io.StringIO()
    figure.savefig(buffer, format='svg', transparent=transparent, metadata={'Date': None})
    text = buffer.getvalue()
    # Its licence metadata has links, and the page is to have none.
    return re.sub(r'<metadata>.*?</metadata>', '', text[text.index('<svg') :], flags=re.DOTALL)


def as_png(figure: Figure) -> bytes:
    """A figure as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format='png')
    return buffer.getvalue()
