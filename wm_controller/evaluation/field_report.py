# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The field report: `summary.json`, and a page that holds everything it shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
import json
from pathlib import Path
from typing import Any

from markupsafe import Markup

from wm_controller.evaluation import figures
from wm_controller.evaluation.encoded import data_uri
from wm_controller.evaluation.field_figures import MODE_COLOURS, MODE_LINES, path_map, time_line
from wm_controller.evaluation.field_reading import Drive, FieldEvent
from wm_controller.evaluation.field_tally import MODES, UNKNOWN, ways
from wm_controller.evaluation.report import LATENCY_LIMIT_S, template
from wm_controller.files import write_whole

SHOWN_DRIVES = 12
SHOWN_EVENTS = 200
SIMULATED_S = 1e8  # no clock of a robot shows so early a time
IN_WORDS = {'takeover': 'the operator took over', 'hold': 'the guardrail held the robot',
            'stop': 'emergency stop'}


def write_field_report(
        directory: Path, drives: Sequence[Drive], summary: Mapping[str, Any], command: str = ''
        ) -> None:
    """Write both files into a folder, each whole or not at all."""
    text = json.dumps(summary, indent=2, allow_nan=False) + '\n'
    write_whole(directory / 'summary.json', text.encode())
    write_whole(directory / 'report.html', render(drives, summary, command).encode())


def render(drives: Sequence[Drive], summary: Mapping[str, Any], command: str = '') -> str:
    """Make the page."""
    shown: list[dict[str, Any]] = []
    events: list[dict[str, Any]] = []
    number = 1
    for drive in drives:
        numbers = range(number, number + len(drive.events))
        number += len(drive.events)
        events += [_event(n, each, drive) for n, each in zip(numbers, drive.events)]
        if len(shown) < SHOWN_DRIVES:
            steps = ways(drive)
            shown.append({'name': drive.path.name, 'begin': _utc(drive.begin_s),
                          'minutes': drive.duration_s / 60.0, 'excerpt': drive.excerpt,
                          'map': Markup(path_map(drive, steps, numbers)),
                          'time_line': Markup(time_line(drive, steps, numbers))})
    reasons = (summary['guardrails'] or {}).get('reasons', {})
    latencies = [value for drive in drives for value in drive.latencies_s]
    return template('field.html.j2').render(
        title='Field report', command=command, summary=summary, drives=shown,
        subtitle=_subtitle(drives), hidden=len(drives) - len(shown),
        mode_swatch={mode: _swatch(mode) for mode in MODES},
        modes=_modes(summary), mode_colours={**MODE_COLOURS, UNKNOWN: MODE_COLOURS['']},
        events=events[:SHOWN_EVENTS], events_hidden=max(0, len(events) - SHOWN_EVENTS),
        latency=Markup(figures.latency_histogram(latencies, LATENCY_LIMIT_S)),
        shares=Markup(figures.share_bars(
            {name.replace('_', ' '): row['share'] for name, row in reasons.items()
             if row['share']})),
        summary_json=json.dumps(summary, indent=2))


def _subtitle(drives: Sequence[Drive]) -> str:
    names = ', '.join(drive.path.name for drive in drives[:3])
    more = f' and {len(drives) - 3} more' if len(drives) > 3 else ''
    return f'{names}{more}; {_utc(drives[0].begin_s)} to {_utc(drives[-1].end_s)}'


def _swatch(mode: str) -> Markup:
    """Return a piece of the map's line of a mode, as SVG."""
    dashes = MODE_LINES[mode]
    gaps = '' if isinstance(dashes, str) else ' '.join(f'{2.8 * each:g}' for each in dashes[1])
    return Markup('<svg width="34" height="6" role="img" style="display:inline;width:34px;'
                  'vertical-align:2px"><line x2="34" y1="3" y2="3" '
                  'stroke-width="4" stroke="{}" stroke-dasharray="{}"/></svg>'
                  ).format(MODE_COLOURS[mode], gaps)


def _modes(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows of the table of modes, those that occurred."""
    if summary['mode_s'] is None:
        return []
    whole = sum(summary['mode_s'].values())
    return [{'mode': mode, 'seconds': summary['mode_s'][mode],
             'share': summary['mode_s'][mode] / whole if whole else None,
             'metres': (summary['mode_m'] or {}).get(mode)}
            for mode in (*MODES, UNKNOWN) if summary['mode_s'][mode] > 0.5]


def _event(number: int, each: FieldEvent, drive: Drive) -> dict[str, Any]:
    event = each.event
    return {
        'number': number, 'kind': event.kind, 'time': _utc(event.time_s),
        'after': _clock(event.time_s - drive.begin_s), 'drive': drive.path.name,
        'modes': f'{event.mode_before} → {event.mode_after}', 'words': IN_WORDS[event.kind],
        'reason': event.reason, 'pose': event.pose, 'counted': event.mode_before == 'auto',
        'picture': data_uri(each.picture, 'image/jpeg') if each.picture else None}


def _utc(time_s: float) -> str:
    if time_s < SIMULATED_S:
        return f'{time_s:.1f} s of simulated time'
    return f'{datetime.fromtimestamp(time_s, timezone.utc):%Y-%m-%d %H:%M:%S} UTC'


def _clock(seconds: float) -> str:
    return f'{int(seconds // 60)}:{seconds % 60:04.1f}'
