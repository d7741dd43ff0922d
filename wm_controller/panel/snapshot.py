# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
What the page shows at one moment, as plain JSON: never a value without knowing its age.

Names in `latest`: `guardrail`, `controller` (values of their status), `odom` (x m, y m, yaw rad,
v m/s, w rad/s), `scan` (points in odom), `plan`, `plan_far`, `memory` (markers), `areas`, `goal`
(x, y, yaw or None), `surprise`, `camera`, `imagination` (image messages).
"""

from __future__ import annotations

import math
from typing import Any

from wm_controller.panel import words
from wm_controller.panel.latest import Latest

FRESH_S = {
    'guardrail': 2.5, 'controller': 2.5, 'odom': 1.0, 'scan': 1.0, 'surprise': 1.5,
    'plan': 1.5, 'plan_far': 3.0, 'memory': 4.0, 'camera': 1.0, 'imagination': 15.0,
    'areas': 15.0,
}
"""Age in seconds at which a value no longer counts as live."""
LAYERS = ('scan', 'plan', 'plan_far', 'memory', 'areas', 'goal')
LOOKED_AT = ('odom', 'scan', 'plan', 'plan_far', 'memory', 'areas', 'goal', 'surprise')
"""What is listened to only while a page is open; images ask for themselves."""


def look(latest: Latest, now_s: float, sent: dict[str, int]) -> dict[str, Any]:
    """
    Snapshot for one page; `sent` holds the numbers of the layers it has, and is updated.

    `at` is steady time of this machine: an action of the page brings it back, so that what was
    decided on an old view can be refused.
    """
    for name in LOOKED_AT:
        latest.ask(name, now_s)
    ages = {name: round(reading.age(now_s), 2) for name in FRESH_S
            if (reading := latest.get(name)) is not None}
    stale = [name for name, limit_s in FRESH_S.items() if ages.get(name, math.inf) > limit_s]
    layers: dict[str, Any] = {}
    for name in LAYERS:
        reading = latest.get(name)
        if reading is not None and reading.sequence != sent.get(name):
            sent[name] = reading.sequence
            layers[name] = reading.value
    odom = latest.get('odom')
    return {
        'at': now_s,
        'ages': ages,
        'stale': stale,
        'mode': mode(latest, now_s),
        'robot': None if odom is None else [round(float(value), 3) for value in odom.value],
        'layers': layers,
    }


def values(latest: Latest, name: str, now_s: float) -> dict[str, str] | None:
    """Values of a status that is fresh, else None."""
    return latest.value(name, now_s, FRESH_S[name])


def mode(latest: Latest, now_s: float) -> str:
    """Mode of the guardrail, `unknown` where its last word is too old."""
    return (values(latest, 'guardrail', now_s) or {}).get('mode', 'unknown')


def readouts(latest: Latest, now_s: float) -> dict[str, str]:
    """Texts of the page by name."""
    guardrail = values(latest, 'guardrail', now_s)
    mode_ = mode(latest, now_s)
    surprise = latest.value('surprise', now_s, FRESH_S['surprise'])
    odom = latest.value('odom', now_s, FRESH_S['odom'])
    heard = latest.get('odom')
    speed = 'no odometry' if heard is None else f'odometry {words.ago(heard.age(now_s))}'
    if odom is not None:
        # Rounded first, and 0.0 added: there is no speed of -0.00.
        speed = (f'{round(odom[3], 2) + 0.0:.2f} m/s  '
                 f'{round(math.degrees(odom[4])) + 0.0:+.0f}°/s')
    share = guardrail.get('limit') if guardrail else None
    return {
        'mode': words.headline(mode_, (guardrail or {}).get('source', '')),
        'because': _silence(latest, 'guardrail', now_s) or words.because(mode_, guardrail or {}),
        'controller': (_silence(latest, 'controller', now_s)
                       or words.doing(values(latest, 'controller', now_s))),
        'model': (values(latest, 'controller', now_s) or {}).get('model', '') or '–',
        'speed': speed,
        'limit': '–' if share is None else f'{_percent(share)} of what was asked for',
        'surprise': '–' if surprise is None else words.how_rare(surprise),
    }


def _silence(latest: Latest, name: str, now_s: float) -> str:
    """Say since when a node has been silent; nothing if it is not, or never spoke."""
    reading = latest.get(name)
    if reading is None or reading.age(now_s) <= FRESH_S[name]:
        return ''
    return f'The {name} has been silent for {reading.age(now_s):.0f} s'


def _percent(share: str) -> str:
    try:
        return f'{float(share):.0%}'.replace('%', ' %')
    except ValueError:
        return '–'
