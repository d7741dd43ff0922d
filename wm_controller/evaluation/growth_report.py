# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Growth of planning time on paper: `growth.json`, the figure `growth.svg`, and `growth.md`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import json
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from wm_controller.evaluation import palette
from wm_controller.evaluation.figures import STYLE, svg
from wm_controller.files import write_whole

PANELS = (('candidates', ('candidates',)), ('steps ahead', ('horizon',)),
          ('places in memory', ('recognise', 'take in', 'route', 'correct', 'doubt')))
MARKS = ('o', 's', '^', 'D', 'v')  # told apart without colour too
COLOURS = (palette.DRIVEN, palette.IMAGINED, palette.GOAL, palette.BUMP,
           palette.PURPLE)


def write_growth(directory: Path, result: Mapping[str, Any], command: str) -> None:
    """Write the three files, each whole or not at all; raises InputError."""
    for name, text in (('growth.json', json.dumps(result, indent=2) + '\n'),
                       ('growth.svg', growth_figure(result)),
                       ('growth.md', growth_text(result, command))):
        write_whole(directory / name, text.encode())


def growth_figure(result: Mapping[str, Any]) -> str:
    """Draw median times, and up to the 99th percentile, on logarithmic axes; SVG."""
    with matplotlib.rc_context({**STYLE, 'axes.spines.left': True}):
        figure = Figure(figsize=(10.8, 3.1), facecolor=palette.PAPER)
        panels = figure.subplots(1, len(PANELS), gridspec_kw={'width_ratios': (1, 1, 1.2)})
        panels[1].sharey(panels[0])
        for axes, (label, names) in zip(panels, PANELS):
            _panel(axes, label, [result['series'][name] for name in names])
        panels[0].set_ylabel('ms of processor time')
        figure.subplots_adjust(left=0.06, right=0.78, top=0.95, bottom=0.16, wspace=0.2)
        return svg(figure, transparent=False)


def _panel(axes: Axes, label: str, series: Sequence[Mapping[str, Any]]) -> None:
    for found, colour, mark in zip(series, COLOURS, MARKS):
        at, p50, p99 = zip(*((row['at'], row['p50_ms'], row['p99_ms'])
                             for row in found['points']))
        axes.fill_between(at, p50, p99, color=colour, alpha=0.15, lw=0)
        power = found['exponent']['upper_half']
        name = found['what'] + ('' if power is None else f': power {power:.2f}')
        axes.plot(at, p50, color=colour, marker=mark, ms=4.5, lw=1.6, label=name)
        usual = next(row for row in found['points'] if row['at'] == found['default'])
        axes.plot(usual['at'], usual['p50_ms'], 'o', ms=11, mfc='none', mec=palette.INK, mew=1.0)
    axes.set_xscale('log')
    axes.set_yscale('log')
    ticks = [row['at'] for row in series[0]['points']]
    decades = [at for at in ticks if str(at).strip('0') == '1']
    axes.set_xticks(decades if len(decades) > 2 else ticks)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda at, _: f'{at:,.0f}'))
    few = len(series) == 1
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if few else (1,), numticks=12))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda ms, _: f'{ms:,g}'))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_xlabel(label)
    if few:
        axes.legend(fontsize=8, loc='upper left', handlelength=1.6)
    else:  # many lines fill the panel: their names stand beside it, in their order
        lines, names = axes.get_legend_handles_labels()
        axes.legend(lines[::-1], names[::-1], fontsize=8, loc='center left',
                    bbox_to_anchor=(1.0, 0.5), handlelength=1.6, labelspacing=1.3)


def growth_text(result: Mapping[str, Any], command: str) -> str:
    """Make a page of it, with the table of every point; Markdown."""
    machine = result['machine']
    lines = [
        '# How planning time grows', '',
        f'`{command}`: {machine["processor"]}, {machine["cores"]} cores, load '
        f'{machine["load_1min"]:.1f}, one thread; milliseconds of processor time. One thing grows '
        'at a time, the rest is as by default, and always the whole search runs.', '',
        '![Planning time against candidates, horizon and places in memory](growth.svg)', '',
        'Rings: what ratios are over. Shade: up to the 99th percentile. A plan has a part that '
        'does not grow (the state, the way, the cost of each round), so its power stays below '
        'one. The map is corrected when a place is recognised: mostly by a fit with that one '
        'sight more; where sights contradict each other, all of them are doubted anew.', '']
    lines += [f'- {found["says"]}.' for found in result['series'].values()]
    for found in result['series'].values():
        lines += ['', f'| {found["what"]}: {found["unit"]} | p50, ms | p99, ms | '
                  f'over {found["default"]:,} | calls |', '|---|---|---|---|---|']
        lines += [f'| {row["at"]:,} | {row["p50_ms"]:.2f} | {row["p99_ms"]:.2f} | '
                  f'{row["ratio"]:.2f} | {row["calls"]} |' for row in found['points']]
    return '\n'.join(lines) + '\n'
