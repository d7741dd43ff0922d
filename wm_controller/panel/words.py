# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""What the robot does, in words: from the values of `guardrail/status`, `controller/status`."""

from __future__ import annotations

from collections.abc import Mapping
import math

from wm_controller.safety.guardrails import rarity, SMOOTHING

MODES = {
    'auto': 'Autonomy drives',
    'teleop': 'The operator drives',
    'hold': 'Holds, and waits for the operator',
    'stopped': 'Emergency stop',
    'unknown': 'No word from the guardrail',
}
NEXT = {
    'hold': 'Enable autonomy, or drive by stick',
    'stopped': 'Reset when it is safe, then enable autonomy',
    'unknown': 'The mode is not known. Is the guardrail running?',
}
STATES = {
    'idle': 'no goal',
    'planning': 'drives to its goal',
    'reached': 'goal reached',
    'lost': 'does not know where it is',
    'unreachable': 'finds no way to the goal',
    'fault': 'fault',
}
BUTTONS = {'~/enable': 'Enable autonomy', '~/reset': 'Reset stop'}
RAREST = 6.0
"""Powers of ten that the gauge of surprise spans: its end is one in a million."""


def plain(text: str) -> str:
    """Text of a node for operators: without marks of code, services by the names of buttons."""
    for service, button in BUTTONS.items():
        text = text.replace(service, button)
    return text.replace('`', '')


def reasons_of(values: Mapping[str, str]) -> list[str]:
    """Names of guardrails that limit now, without those that only shape a change of speed."""
    names = values.get('reasons', '').split(',')
    return [name for name in names if name and name not in SMOOTHING]


def headline(mode: str, source: str = '') -> str:
    """A mode in words; one that is not known keeps its name."""
    if mode == 'auto' and source != 'auto':
        return 'Autonomy is on'
    return MODES.get(mode, f'Mode {mode}')


def because(mode: str, values: Mapping[str, str]) -> str:
    """Why it is in this mode, or what limits it, or what the operator can do, in one line."""
    if mode == 'unknown':
        return NEXT[mode]
    told = values.get('because', '')
    if told:
        return told[0].upper() + told[1:]
    limiting = reasons_of(values)
    if limiting and mode in ('auto', 'teleop'):
        return 'Limited by ' + ', '.join(limiting).replace('_', ' ')
    return NEXT.get(mode, 'Nothing limits it')


def doing(values: Mapping[str, str] | None) -> str:
    """What the controller does, in words; None: it is silent."""
    if values is None:
        return 'no word from the controller'
    state, goal = values.get('state', ''), values.get('goal', 'none')
    text = STATES.get(state, state)
    if goal not in ('', 'none') and state in ('planning', 'reached', 'unreachable'):
        text += f' ({goal})'
    distance = _number(values.get('goal_distance', ''))
    if state == 'planning' and distance is not None:
        text += f', {distance:.1f} m to go'
    return text


def gauge(surprise: float) -> float:
    """Where a surprise of 0..1 lies on the gauge, 0..1: how rare it is, by powers of ten."""
    surprise = min(max(surprise, 0.0), 1.0)
    return min(1.0, rarity(surprise, 0.0) / (RAREST * math.log(10.0)))


def how_rare(surprise: float) -> str:
    """A surprise of 0..1 for people: one in how many."""
    chances = 1.0 / max(1.0 - surprise, 10.0 ** -RAREST)
    return 'as expected' if chances < 10.0 else f'one in {chances:,.0f}'.replace(',', ' ')


def ago(age_s: float) -> str:
    """An age for people."""
    if age_s < 10.0:
        return f'{age_s:.1f} s old'
    return f'{age_s:.0f} s old' if age_s < 120.0 else f'{age_s / 60.0:.0f} min old'


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
