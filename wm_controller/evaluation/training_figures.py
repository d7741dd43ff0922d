# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Figures of a training run: learning curves, calibration, imagined futures; all SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
import numpy as np

from wm_controller.evaluation import palette
from wm_controller.evaluation.figures import chart
from wm_controller.training.samples import Sample

SIZE = (3.9, 2.2)
Points = Sequence[Mapping[str, Any]]


def curves(points: Points, series: Mapping[str, Sequence[float | None]],
           limits: Mapping[str, float] | None = None, log: bool = False) -> str:
    """Draw series over the minutes of the run, and limits as lines."""
    minutes = np.array([point['elapsed_s'] for point in points]) / 60.0

    def draw(axes: Axes) -> None:
        for i, (name, values) in enumerate(series.items()):
            known = np.array([np.nan if v is None else v for v in values], float)
            axes.plot(minutes, known, color=palette.ROWS[i % len(palette.ROWS)], lw=1.5,
                      ls=palette.LINES[i % len(palette.LINES)], label=name,
                      marker='.' if len(minutes) < 4 else None)
        for name, limit in (limits or {}).items():
            axes.axhline(limit, color=palette.BUMP, lw=1.0, ls=(0, (3, 2)))
            axes.text(minutes[-1], limit, f'{name} ', color=palette.BUMP, fontsize=7.5,
                      ha='right', va='bottom')
        if log:
            axes.set_yscale('log')
        axes.set_xlabel('minutes')
        if len(series) > 5 and log:  # many: room for their names above the lines
            axes.set_ylim(top=axes.get_ylim()[1] * 300)
            axes.legend(fontsize=5.5, ncol=4, loc='upper center', columnspacing=0.8)
        elif len(series) > 1:
            axes.legend(fontsize=7.5, ncol=2, loc='best')

    return chart(draw, SIZE, left=0.13)


def coverage(table: Mapping[str, Any], interval: float) -> str:
    """Draw the share of true values inside the interval by step, before and after stretching."""
    def draw(axes: Axes) -> None:
        steps = np.arange(1, len(table['coverage']) + 1)
        axes.axhspan(85, 95, color=palette.GOAL, alpha=0.12, lw=0)
        axes.plot(steps, 100 * np.array(table['coverage_raw']), color=palette.FAINT, lw=1.2,
                  ls=(0, (3, 2)), label='as predicted')
        axes.plot(steps, 100 * np.array(table['coverage']), color=palette.DRIVEN, lw=1.8,
                  marker='.', label='calibrated')
        axes.axhline(100 * interval, color=palette.INK, lw=0.8)
        axes.set_ylim(0, 102)
        axes.set_xlabel('steps ahead')
        axes.legend(fontsize=7.5, loc='lower right')

    return chart(draw, SIZE, left=0.1)


def correlation(tables: Mapping[str, Mapping[str, Any]]) -> str:
    """Draw the rank correlation of predicted deviation and true error by step."""
    def draw(axes: Axes) -> None:
        for (name, table), colour, dashes in zip(tables.items(), palette.ROWS, palette.LINES):
            steps = np.arange(1, len(table['rank_correlation']) + 1)
            axes.plot(steps, table['rank_correlation'], color=colour, lw=1.6, ls=dashes,
                      marker='.', label=name)
        axes.axhline(0, color=palette.FAINT, lw=0.8)
        axes.set_ylim(-0.1, 1.0)
        axes.set_xlabel('steps ahead')
        axes.legend(fontsize=7.5, loc='lower right')

    return chart(draw, SIZE, left=0.1)


def clearance_ahead(sample: Sample, bearings_rad: Sequence[float]) -> str:
    """Draw the clearance at the end of a future: measured, imagined, and at its beginning."""
    def draw(axes: Axes) -> None:
        degrees = np.degrees(bearings_rad)
        low, middle, high = sample.imagined_clearance[-1]
        axes.fill_between(degrees, low, high, color=palette.IMAGINED, alpha=0.25, lw=0)
        axes.plot(degrees, middle, color=palette.IMAGINED, lw=1.6, ls=palette.DASHED,
                  label='imagined')
        axes.plot(degrees, sample.clearance[-1], color=palette.DRIVEN, lw=1.6, label='measured')
        axes.plot(degrees, sample.clearance[0], color=palette.FAINT, lw=1.0, ls=(0, (2, 2)),
                  label='at first')
        axes.set_xlim(degrees.max(), degrees.min())  # left is left
        axes.set_ylim(0, None)
        axes.set_xlabel('bearing, degrees')
        axes.legend(fontsize=7.5, ncol=3, loc='upper center')

    return chart(draw, SIZE, left=0.09) if len(bearings_rad) else ''


def way(sample: Sample) -> str:
    """Draw the way of the base from above, x upwards: driven and imagined."""
    def draw(axes: Axes) -> None:
        for path, colour, mark, dashes, name in (
                (sample.path, palette.DRIVEN, '.', palette.SOLID, 'driven'),
                (sample.imagined_path, palette.IMAGINED, 'x', palette.DASHED, 'imagined')):
            axes.plot(-path[:, 1], path[:, 0], color=colour, lw=1.6, ls=dashes, marker=mark, ms=4,
                      label=name)
        axes.set_aspect('equal', adjustable='datalim')
        axes.set_xlabel('to the right, m')
        axes.legend(fontsize=7.5, loc='best')

    return chart(draw, SIZE, left=0.12)
