# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The page that `wm inspect --html` writes: one file, nothing loaded from elsewhere."""

import base64
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from wm_controller.cli.inspect import bundle_tables, dataset_facts

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #22272e; margin: 2rem auto; max-width: 90rem;
       padding: 0 1rem; }
h1 { font-size: 1.3rem } h2 { font-size: 1.05rem; margin-top: 2rem }
table { border-collapse: collapse } td { padding: .2rem .8rem .2rem 0; vertical-align: top }
td:first-child { color: #6b7480; white-space: nowrap } td { overflow-wrap: anywhere }
figure { display: inline-block; margin: 0 2rem 1rem 0 } figcaption { color: #6b7480 }
svg { display: block } img { max-width: 100% }
"""


def page(report: Mapping[str, Any], sheet: NDArray[np.uint8] | None) -> str:
    """HTML of a report of `summarise` or `summarise_bundle`."""
    if report['kind'] == 'bundle':
        body = ''.join(f'<h2>{escape(title)}</h2>{_table(rows)}'
                       for title, rows in bundle_tables(report).items())
    else:
        histograms = {**report['histograms'],
                      'episode, steps': report['episode_steps']['histogram']}
        body = _table(dataset_facts(report)) + '<h2>Distributions</h2>' + ''.join(
            _figure(name, histogram) for name, histogram in histograms.items())
    if sheet is not None:
        encoded = base64.b64encode(png_bytes(sheet)).decode()
        body += ('<h2>Sample frames</h2><p>A row an episode: number, time, action v and w.</p>'
                 f'<img alt="sample frames" src="data:image/png;base64,{encoded}">')
    title = escape(Path(report['path']).name)
    return (f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
            f'<style>{STYLE}</style><h1>{title}</h1>{body}</html>\n')


def png_bytes(rgb: NDArray[np.uint8]) -> bytes:
    """Encode an (H, W, 3) RGB array."""
    done, data = cv2.imencode('.png', cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    assert done
    return data.tobytes()


def _table(rows: Mapping[str, str]) -> str:
    return '<table>' + ''.join(f'<tr><td>{escape(name)}</td><td>{escape(text)}</td></tr>'
                               for name, text in rows.items()) + '</table>'


def _figure(name: str, histogram: Mapping[str, Any], width: int = 320, height: int = 90) -> str:
    counts = histogram['counts']
    top, step = max(max(counts), 1), width / len(counts)
    rects = ''.join(
        f'<rect x="{i * step:.1f}" y="{height - n / top * height:.1f}" width="{step - 1:.1f}" '
        f'height="{n / top * height:.1f}"><title>{n}</title></rect>'
        for i, n in enumerate(counts))
    return (f'<figure><figcaption>{escape(name)}</figcaption>'
            f'<svg width="{width}" height="{height + 18}" fill="#0072B2" role="img" '
            f'aria-label="{escape(name)}">{rects}<line x1="0" x2="{width}" y1="{height}" '
            f'y2="{height}" stroke="#6b7480"/><g fill="#6b7480" font-size="12">'
            f'<text x="0" y="{height + 14}">{histogram["low"]:.3g}</text><text x="{width}" '
            f'y="{height + 14}" text-anchor="end">{histogram["high"]:.3g}</text></g></svg>'
            '</figure>')
