# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
The page, in NiceGUI: its layout, and what is renewed four times a second.

One script call carries everything live to the browser, where `static/panel.js` draws it and
notices when it stops coming. The STOP form stands before NiceGUI's own part and needs no script.
"""

from __future__ import annotations

from collections.abc import Sequence
import json
from typing import Any, TYPE_CHECKING

from fastapi import FastAPI
from nicegui import ui

from wm_controller.panel import words
from wm_controller.panel.snapshot import look, readouts
from wm_controller.panel.snapshot import values as values_of
from wm_controller.safety.guardrails import GUARDRAILS, SMOOTHING

if TYPE_CHECKING:
    from wm_controller.panel.server import Panel

PERIOD_S = 0.25
TITLE = "Operator's panel"
HEAD = ('<link rel="stylesheet" href="/static/panel.css">'
        '<script defer src="/static/map.js"></script>'
        '<script defer src="/static/stick.js"></script>'
        '<script defer src="/static/panel.js"></script>')
STOP = ('<form id="stop" method="post" action="/stop" target="stop-answer">'
        '<button aria-label="Emergency stop">STOP</button></form>'
        '<iframe name="stop-answer" hidden></iframe>'
        '<div id="banner" role="alert"></div><div id="toast" role="status"></div>')
FACTS = (('controller', 'Controller'), ('speed', 'Speed'), ('limit', 'Guardrails allow'),
         ('surprise', 'Surprise'), ('model', 'Model'))
LEGEND = '<span class="legend">' + ''.join(
    f'<i style="background:var(--{colour})"></i>{what}' for colour, what in (
        ('scan', 'scan'), ('memory-space', 'remembered'), ('plan', 'plan'), ('far', 'upper level'),
        ('goal', 'goal'), ('alarm', 'geofence, keep-out'))) + '</span>'
ICON = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><circle cx="16" cy="16" ' \
       'r="15" fill="#0072b2"/><path d="M16 5l8 20-8-5-8 5z" fill="#fff"/></svg>'


def add_page(app: FastAPI, panel: Panel) -> None:
    """Put the page at the root of the application."""
    @ui.page('/')
    def page() -> None:
        _Page(panel)

    # Nothing is repeated after a lost connection: the page loads anew, with what is true then.
    ui.run_with(app, title=TITLE, dark=None, favicon=ICON, tailwind=False, reconnect_timeout=2.0,
                binding_refresh_interval=None,
                message_history_length=0, show_welcome_message=False,
                viewport='width=device-width, initial-scale=1, viewport-fit=cover')


class _Page:
    """One page in one browser."""

    def __init__(self, panel: Panel) -> None:
        self._panel = panel
        self._sent: dict[str, int] = {}
        self._told = 0
        self._labels: dict[str, ui.label] = {}
        self._rows: dict[str, ui.element] = {}
        self._in_force: set[str] = set()
        ui.add_head_html(HEAD)
        ui.add_body_html(STOP)
        with ui.element('div').classes('panel').props(f'data-slow={panel.slow_share:g}'):
            with ui.element('header').props('aria-live=polite'):
                self._label('mode').classes('mode')
                self._label('because').classes('because')
            with ui.element('div').classes('pane'):
                self._picture('camera', 'Camera')
                self._picture('imagination', 'Imagined future')
                self._facts()
            with ui.element('div').classes('pane'):
                self._map()
                with _section('log', 'Events'):
                    self._log = ui.log(max_lines=200).classes('lines')
            with ui.element('div').classes('pane'):
                self._stick()
                self._actions()
                self._guardrails()
        ui.timer(PERIOD_S, self._renew)

    def _label(self, name: str) -> ui.label:
        self._labels[name] = ui.label('–').props(f'data-text={name}')
        return self._labels[name]

    def _picture(self, name: str, title: str) -> None:
        with ui.element('section').classes(f'card picture {name}'):
            ui.element('img').classes('frame').props(f'data-stream={name} alt="{title}"')
            ui.label(title).classes('caption')
            ui.label('waits for an image').classes('age').props(f'data-age={name}')

    def _map(self) -> None:
        with ui.element('section').classes('card map'):
            ui.element('canvas').classes('map-canvas').props('aria-label="Map in the odom frame"')
            ui.label('').classes('age').props('data-age=odom')
            with ui.element('div').classes('tools'):
                _button('Set goal', 'place', 'panel.aim()', 'aim').tooltip(
                    'Press on the map where to go; drag for the heading on arrival')
                for icon, name, script in (
                        ('my_location', 'Follow the robot', 'panel.map.follow()'),
                        ('add', 'Nearer', 'panel.map.zoom(1.4)'),
                        ('remove', 'Farther', 'panel.map.zoom(1 / 1.4)')):
                    _button('', icon, script, 'round').props(f'aria-label="{name}"')
            ui.html('<span class="hint">Press where to go; drag for the heading. Esc: not now.'
                    '</span>' + LEGEND, sanitize=False)

    def _actions(self) -> None:
        with ui.element('section').classes('card actions'):
            _button('Enable autonomy', 'play_arrow', 'panel.act("do/enable")', 'enable')
            _button('Disable autonomy', 'pause', 'panel.act("do/disable")', 'disable')
            _button('Reset stop', 'restart_alt', 'panel.act("do/reset")', 'reset')
            _button('Cancel goal', 'wrong_location', 'panel.act("do/cancel")', 'cancel')
            _button('Goal: this view', 'photo_camera', 'panel.act("goal_camera")', 'view')
            _button('Goal: a picture', 'image', 'panel.pick()', 'pick')

    def _stick(self) -> None:
        with ui.element('section').classes('card drive'):
            with ui.element('div').classes('stick').props('role=application aria-label="Stick"'):
                ui.element('div').classes('base')
                ui.element('div').classes('knob')
                ui.label('Touch and hold to drive').classes('say')
            _button('Slow', 'speed', 'panel.stick.faster()', 'pace')

    def _facts(self) -> None:
        with _section('facts', ''):
            for name, title in FACTS:
                with ui.element('div').classes('fact'):
                    ui.label(title).classes('what')
                    self._label(name)
                    if name == 'surprise':
                        self._gauge = ui.linear_progress(0.0, show_value=False).classes('gauge')

    def _guardrails(self) -> None:
        with _section('guards', 'Guardrails in force'):
            ui.label('None limits the robot now').classes('none')
            for each in GUARDRAILS:
                if each.name in SMOOTHING:
                    continue
                with ui.element('div').classes('guard').props(
                        f'data-guard={each.name}') as self._rows[each.name]:
                    ui.label(each.name.replace('_', ' ')).classes('name')
                    ui.label(f'Limits {words.plain(each.limits)}')
                    ui.label(f'Cleared {_cleared(words.plain(each.clears))}').classes('clears')
            _button('Show all', 'shield', 'panel.guards()', 'flat')

    def _renew(self) -> None:
        panel, now = self._panel, self._panel.steady()
        for name, text in readouts(panel.latest, now).items():
            self._labels[name].set_text(text)
        values = values_of(panel.latest, 'guardrail', now)
        self._mark(words.reasons_of(values or {}))
        surprise = panel.latest.value('surprise', now, 1.5)
        self._gauge.set_value(0.0 if surprise is None else round(words.gauge(surprise), 2))
        for event in panel.log.since(self._told):
            self._told = event.number
            self._log.push(f'{event.at}  {event.text}', classes=f'line {event.kind}')
        state: dict[str, Any] = look(panel.latest, now, self._sent)
        state['held'] = panel.dead_man.held(now)
        ui.run_javascript(f'panel.show({json.dumps(state, separators=(",", ":"))})')

    def _mark(self, reasons: Sequence[str]) -> None:
        in_force = set(reasons) & set(self._rows)
        for name in in_force ^ self._in_force:
            if name in in_force:
                self._rows[name].classes(add='on')
            else:
                self._rows[name].classes(remove='on')
        self._in_force = in_force


def _cleared(clears: str) -> str:
    return clears if clears.startswith('by ') else f'by {clears}'


def _section(name: str, title: str) -> ui.element:
    section = ui.element('section').classes(f'card {name}')
    if title:
        with section:
            ui.label(title).classes('title')
    return section


def _button(text: str, icon: str, script: str, name: str) -> ui.button:
    """Make a button that works in the browser: see `server` for why it does not tell NiceGUI."""
    button = ui.button(text, icon=icon, color=None).props('unelevated no-caps')
    return button.classes(f'act {name}').on('click', js_handler=f'() => {script}')
