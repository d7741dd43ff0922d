# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""A drive from above, coloured by who drove; and along time: modes, speed, surprise, reasons."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Patch
import numpy as np

from wm_controller.evaluation import palette
from wm_controller.evaluation.field_reading import Drive, FieldEvent
from wm_controller.evaluation.field_tally import COVER_S, Ways
from wm_controller.evaluation.figures import STYLE, svg
from wm_controller.teleop.interventions import Status

MODE_COLOURS = {'auto': palette.DRIVEN, 'teleop': palette.IMAGINED, 'hold': palette.PURPLE,
                'stopped': palette.BUMP, '': palette.FAINT}
# Told apart without colour too: dashes of the way, hatches of the row of modes.
MODE_LINES = dict(zip(MODE_COLOURS, palette.LINES))
MODE_HATCHES = {'auto': '', 'teleop': '///', 'hold': '...', 'stopped': 'xxx', '': '---'}
MARKERS = {'takeover': '^', 'hold': 's', 'stop': 'X'}
MOST_POINTS = 4000  # of a curve; more are not to be seen
MOST_REASONS = 8


def path_map(drive: Drive, steps: Ways | None, numbers: Sequence[int]) -> str:
    """Draw the way in the frame of odometry, with the numbered events on it; SVG."""
    track = drive.odometry
    if track is None or steps is None or not len(steps.at):
        return ''
    xy = track.pose[:, :2]
    low, high = xy.min(0), xy.max(0)
    margin = 0.15 + 0.05 * float(max(high - low))
    wide, tall = np.maximum(high - low, 1.0) + 2 * margin
    scale = min(10.0 / wide, 6.4 / tall)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(max(3.5, scale * wide), max(2.2, scale * tall)))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_facecolor(palette.FLOOR)
        axes.set_aspect('equal')
        axes.set_xlim(low[0] - margin, high[0] + margin)
        axes.set_ylim(low[1] - margin, high[1] + margin)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.grid(False)
        for spine in axes.spines.values():
            spine.set_visible(False)
        for mode, line in _lines(drive, steps):
            dashes = MODE_LINES.get(mode, palette.DOTTED)
            axes.add_collection(LineCollection([line], colors='white', linewidths=5.0, zorder=3,
                                               capstyle='round'))
            axes.add_collection(LineCollection(
                [line], colors=MODE_COLOURS.get(mode, palette.FAINT), linewidths=2.8, zorder=4,
                linestyles=[dashes], capstyle='round' if dashes == palette.SOLID else 'butt'))
        axes.plot(*xy[0], 'o', ms=7, mfc='white', mec=palette.INK, mew=1.6, zorder=6)
        for number, each in zip(numbers, drive.events):
            _draw_event(axes, number, each)
        _draw_scale(axes, low - 0.7 * margin, high + 0.7 * margin)
        return svg(figure, transparent=False)


def _lines(drive: Drive, steps: Ways) -> list[tuple[str, np.ndarray]]:
    """Cut the way (N, 2) where the mode changes, and where odometry jumps or is silent."""
    track = drive.odometry
    assert track is not None
    mode = drive.mode_at(track.stamp)
    broken = (np.diff(track.stamp) > COVER_S) | np.isin(track.stamp[1:], track.jumps)
    cuts = np.flatnonzero(broken | (mode[1:] != mode[:-1])) + 1
    thin = max(1, len(mode) // MOST_POINTS)
    lines = []
    for first, last in zip([0, *cuts], [*cuts, len(mode)]):
        joined = last < len(mode) and not broken[last - 1]  # on to where the next one begins
        points = track.pose[first:last + joined, :2]
        keep = np.unique(np.append(np.arange(0, len(points), thin), len(points) - 1))
        lines.append((str(mode[first]), points[keep]))
    return lines


def _draw_event(axes: Axes, number: int, each: FieldEvent) -> None:
    if each.event.pose is None:
        return
    x, y, _ = each.event.pose
    axes.plot(x, y, MARKERS[each.event.kind], ms=11, mfc=palette.INK, mec='white', mew=1.2,
              zorder=8)
    axes.annotate(str(number), (x, y), (8, 7), textcoords='offset points', fontsize=10,
                  fontweight='bold', zorder=9)


def _draw_scale(axes: Axes, low: np.ndarray, high: np.ndarray) -> None:
    size = float(max(high - low))
    length = next((n for n in (0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500) if n > size / 8), 1000)
    right, bottom = high[0], low[1]
    axes.plot([right - length, right], [bottom, bottom], color=palette.FAINT, lw=2, zorder=9)
    axes.annotate(f'{length:g} m', (right - 0.5 * length, bottom), (0, 3), ha='center',
                  textcoords='offset points', fontsize=8, color=palette.FAINT, zorder=9)


def time_line(drive: Drive, steps: Ways | None, numbers: Sequence[int]) -> str:
    """Draw modes, speed, surprise and limiting guardrails over the drive; SVG."""
    reasons = _reasons(drive)
    parts: list[tuple[str, float]] = []
    if drive.statuses:
        parts.append(('mode', 0.26))
    if steps is not None and len(steps.at):
        parts.append(('speed', 1.0))
    if drive.surprise:
        parts.append(('surprise', 0.7))
    if reasons:
        parts.append(('reasons', 0.21 * len(reasons)))
    if not parts:
        return ''
    height = sum(size for _, size in parts) + 0.12 * len(parts) + 1.1
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10.8, height))
        rows = figure.subplots(len(parts), 1, sharex=True, squeeze=False,
                               gridspec_kw={'height_ratios': [size for _, size in parts]})[:, 0]
        draw = {'mode': lambda axes: _draw_modes(axes, drive),
                'speed': lambda axes: _draw_speed(axes, drive, steps),
                'surprise': lambda axes: _draw_surprise(axes, drive),
                'reasons': lambda axes: _draw_reasons(axes, reasons)}
        for axes, (name, _) in zip(rows, parts):
            draw[name](axes)
            for each in drive.events:
                axes.axvline(each.event.time_s - drive.begin_s, color=palette.INK, lw=0.9,
                             ls=(0, (3, 2)))
        for number, each in zip(numbers, drive.events):
            rows[0].annotate(str(number), (each.event.time_s - drive.begin_s, 1.0), (0, 3),
                             xycoords=('data', 'axes fraction'), textcoords='offset points',
                             ha='center', fontsize=9, fontweight='bold')
        rows[-1].set_xlabel('time, s')
        rows[-1].set_xlim(0, drive.duration_s)
        figure.subplots_adjust(left=0.13, right=0.99, top=1 - 0.59 / height,
                               bottom=0.42 / height, hspace=0.16)
        return svg(figure)


def _draw_modes(axes: Axes, drive: Drive) -> None:
    shown = _spans(drive, lambda status: (status.mode,))
    for mode, spans in shown.items():
        axes.broken_barh(spans, (0, 1), lw=0, facecolors=MODE_COLOURS.get(mode, palette.FAINT),
                         hatch=MODE_HATCHES.get(mode, ''), edgecolor=palette.PAPER)
    axes.set_ylim(0, 1)
    axes.set_yticks([0.5], ['mode'])
    axes.legend(handles=[
        Patch(fc=MODE_COLOURS[mode], ec=palette.PAPER, lw=0, hatch=MODE_HATCHES[mode],
              label=mode or 'unknown') for mode in MODE_COLOURS if mode in shown],
        loc='lower left', bbox_to_anchor=(0, 1.75), ncol=5, borderaxespad=0, fontsize=8)
    axes.grid(False)


def _draw_speed(axes: Axes, drive: Drive, steps: Any) -> None:
    thin = max(1, len(steps.at) // MOST_POINTS)
    at, speed = steps.at[::thin] - drive.begin_s, steps.speed[::thin]
    axes.fill_between(at, 0, speed, color=palette.DRIVEN, alpha=0.18, lw=0)
    axes.plot(at, speed, color=palette.DRIVEN, lw=1.3)
    axes.set_ylim(0, max(0.1, float(speed.max()) * 1.15))
    axes.set_ylabel('speed, m/s')


def _draw_surprise(axes: Axes, drive: Drive) -> None:
    values = np.asarray(drive.surprise)
    bins = np.array_split(values, max(1, min(len(values), MOST_POINTS // 4)))
    # The highest of each moment: what is rare must not vanish with the points.
    shown = np.array([[part[:, 0].mean(), part[:, 1].max()] for part in bins])
    axes.plot(shown[:, 0] - drive.begin_s, shown[:, 1], color=palette.PURPLE, lw=1.3)
    axes.set_ylim(0, 1.05)
    axes.set_yticks([0, 0.5, 1])
    axes.set_ylabel('surprise')


def _reasons(drive: Drive) -> list[tuple[str, list[tuple[float, float]]]]:
    """Limiting guardrails with their spans (begin, width) in s; the busiest first."""
    spans = _spans(drive, lambda status: status.limiting)
    ranked = sorted(spans.items(), key=lambda item: -sum(width for _, width in item[1]))
    return ranked[:MOST_REASONS]


def _spans(drive: Drive, names: Callable[[Status], Sequence[str]]
           ) -> dict[str, list[tuple[float, float]]]:
    """Spans (begin, width) in s from the start, in which a status has each name, joined."""
    spans: dict[str, list[tuple[float, float]]] = {}
    for begin, end, status in drive.intervals():
        for name in names(status):
            mine = spans.setdefault(name, [])
            begun, width = mine[-1] if mine else (0.0, -1.0)
            if begun + width >= begin - drive.begin_s - 1e-3 and mine:
                mine[-1] = begun, end - drive.begin_s - begun
            else:
                mine.append((begin - drive.begin_s, end - begin))
    return spans


def _draw_reasons(axes: Axes, reasons: Sequence[tuple[str, list[tuple[float, float]]]]) -> None:
    for row, (_, spans) in enumerate(reasons):
        axes.broken_barh(spans, (row - 0.36, 0.72), lw=0,
                         facecolors=palette.ROWS[row % len(palette.ROWS)])
    axes.set_yticks(range(len(reasons)), [name.replace('_', ' ') for name, _ in reasons])
    axes.set_ylim(len(reasons) - 0.4, -0.6)
