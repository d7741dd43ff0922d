# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
The web server of the panel, in a thread of its own beside ROS.

What moves or stops the robot goes by plain POST and one websocket, not by NiceGUI's socket: that
one keeps what it could not send, and an Enable pressed in a dead spot must not arrive later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
import json
import logging
import math
from pathlib import Path
import secrets
import socket
import threading
import time
from typing import Any

from fastapi import FastAPI, Request, Response, WebSocket, WebSocketDisconnect
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
import uvicorn

from wm_controller.errors import InputError
from wm_controller.panel.access import Access, Names
from wm_controller.panel.dead_man import Beat, DeadMan
from wm_controller.panel.events import EventLog
from wm_controller.panel.frames import Stream
from wm_controller.panel.gate import Gate
from wm_controller.panel.latest import Latest
from wm_controller.panel.page import add_page
from wm_controller.panel.picture import MOST_BYTES, read_picture
from wm_controller.panel.robot import Answer, Robot

ANSWER_S = 2.0
OLD_VIEW_S = 3.0
FARTHEST_M = 1e4
GOAL_PICTURE = '/goal_picture'
MOST_CONNECTIONS = 128
MOST_MESSAGE_BYTES = 64 * 1024
GOOD_BYE_S, JOIN_S = 0.3, 2.0


@dataclass(frozen=True)
class Panel:
    """Everything that the page works with."""

    robot: Robot
    latest: Latest
    log: EventLog
    dead_man: DeadMan
    streams: Mapping[str, Stream]
    slow_share: float
    steady: Callable[[], float] = field(default=time.monotonic)


def make_app(panel: Panel) -> FastAPI:
    """Application with the page and everything it asks for."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    actions: dict[str, Callable[[], Future[Answer]]] = {
        'reset': panel.robot.reset,
        'enable': lambda: panel.robot.enable(True),
        'disable': lambda: panel.robot.enable(False),
        'cancel': panel.robot.cancel,
    }

    @app.post('/stop')
    async def stop(request: Request) -> Response:
        panel.dead_man.end()
        answer = await _answer(panel.robot.stop())
        if not answer.done:
            answer = Answer(False, f'{answer.text}: use the stop on the robot')
        panel.log.add('operator', f'STOP: {answer.text}')
        if 'text/html' in request.headers.get('accept', ''):  # the form, without any script
            return HTMLResponse(f'<h1>STOP</h1><p>{answer.text}')
        return _reply(answer)

    @app.post('/do/{name}')
    async def do(name: str, request: Request) -> Response:
        if name not in actions:
            return _reply(Answer(False, f'there is no action {name}'), 404)
        answer = _too_old(panel, request) or await _answer(actions[name]())
        panel.log.add('operator', f'{name}: {answer.text}')
        return _reply(answer)

    @app.post('/goal')
    async def goal(request: Request) -> Response:
        answer = _too_old(panel, request)
        if answer is None:
            try:
                answer = panel.robot.go_to(*_read_goal(await request.body()))
            except InputError as error:
                answer = Answer(False, str(error))
        panel.log.add('operator', f'goal by click: {answer.text}')
        return _reply(answer)

    @app.post(GOAL_PICTURE)
    async def goal_picture(request: Request) -> Response:
        answer = _too_old(panel, request)
        if answer is None:
            try:
                data = await _bounded_body(request)
                rgb = await asyncio.to_thread(read_picture, data)
                answer = panel.robot.go_to_picture(rgb)
            except InputError as error:
                answer = Answer(False, str(error))
        panel.log.add('operator', f'goal by picture: {answer.text}')
        return _reply(answer)

    @app.post('/goal_camera')
    async def goal_camera(request: Request) -> Response:
        answer = _too_old(panel, request)
        if answer is None:
            rgb = panel.robot.camera_image()
            answer = (Answer(False, 'refused: there is no fresh camera image') if rgb is None
                      else panel.robot.go_to_picture(rgb))
        panel.log.add('operator', f'goal by camera: {answer.text}')
        return _reply(answer)

    @app.get('/frame/{name}')
    async def frame(name: str, after: int = 0) -> Response:
        stream = panel.streams.get(name)
        if stream is None:
            return Response(status_code=404)
        newest = await stream.after(after)
        if newest is None:
            return Response(status_code=204)
        return Response(newest.jpeg, media_type='image/jpeg', headers={
            'cache-control': 'no-store', 'x-sequence': str(newest.sequence),
            'x-age': f'{panel.steady() - newest.received_s:.3f}'})

    @app.websocket('/stick')
    async def stick(line: WebSocket) -> None:
        await line.accept()
        browser = secrets.token_hex(8)
        driving = -1
        try:
            while True:
                fields = json.loads(await line.receive_text())
                if 'release' in fields:
                    panel.dead_man.release(browser)
                    continue
                if 'press' not in fields:
                    panel.dead_man.greet(browser, _clock(fields), panel.steady())
                    continue
                beat = Beat.parse(fields)
                refusal = panel.dead_man.beat(browser, beat, panel.steady())
                if refusal:
                    await line.send_text(json.dumps({'press': beat.press, 'refused': refusal}))
                elif beat.press != driving:
                    driving = beat.press
                    panel.log.add('operator', 'stick touched')
        except (WebSocketDisconnect, RuntimeError, ValueError, TypeError, KeyError, InputError):
            pass  # gone, or not our page; either way its line ends here
        finally:
            panel.dead_man.leave(browser)

    app.mount('/static', StaticFiles(directory=Path(__file__).parent / 'static'))
    add_page(app, panel)
    return app


class Server:
    """Listens on a socket and serves the panel until it is told to end."""

    def __init__(self, panel: Panel, host: str, port: int, token: str,
                 allowed_hosts: tuple[str, ...] = ()) -> None:
        """Raises InputError where host and port cannot be listened on."""
        self._socket = _listen(host, port)
        self.port: int = self._socket.getsockname()[1]
        gate = Gate(make_app(panel), Access(token), Names(host, allowed_hosts),
                    f'wm_panel_{self.port}', roomy=(GOAL_PICTURE,))
        self._server = uvicorn.Server(uvicorn.Config(
            gate, log_level='warning', access_log=False, server_header=False,
            proxy_headers=False, limit_concurrency=MOST_CONNECTIONS,
            ws_max_size=MOST_MESSAGE_BYTES))
        self._server.config.timeout_graceful_shutdown = GOOD_BYE_S  # type: ignore[assignment]
        self._thread = threading.Thread(target=self._run, name='web', daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the page is served."""
        return self._thread.is_alive()

    def close(self) -> None:
        """End; pages notice by themselves, and what is cut off here is not worth a word."""
        logging.getLogger('uvicorn.error').setLevel(logging.CRITICAL)
        self._server.should_exit = True
        self._thread.join(JOIN_S)
        self._socket.close()

    def _run(self) -> None:
        self._server.run(sockets=[self._socket])


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=64)
    except OSError as error:
        raise InputError(f'parameters host = {host!r}, port = {port}: cannot listen there: '
                         f'{error.strerror or error}') from None


async def _answer(future: Future[Answer]) -> Answer:
    """Wait for what the robot says; a node that is silent is an answer too."""
    try:
        return await asyncio.wait_for(asyncio.wrap_future(future), ANSWER_S)
    except (TimeoutError, asyncio.TimeoutError):  # two classes in Python 3.10
        return Answer(False, f'no answer within {ANSWER_S:g} s')


def _too_old(panel: Panel, request: Request) -> Answer | None:
    """Refuse what was decided on an old view, or sent long ago."""
    try:
        age_s = panel.steady() - float(request.headers.get('x-seen', ''))
    except ValueError:
        age_s = math.inf
    if -OLD_VIEW_S < age_s < OLD_VIEW_S:
        return None
    return Answer(False, 'refused: the page shows an old state; nothing was done')


def _read_goal(body: bytes) -> tuple[float, float, float | None]:
    """Goal (x m, y m, yaw rad or None) from JSON; raises InputError."""
    try:
        fields = json.loads(body)
        x, y, yaw = float(fields['x']), float(fields['y']), fields.get('yaw')
        yaw = None if yaw is None else float(yaw)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise InputError('refused: a goal needs numbers x, y and, if you like, yaw') from None
    if not all(math.isfinite(each) and abs(each) < FARTHEST_M for each in (x, y, yaw or 0.0)):
        raise InputError('refused: a goal must be finite and within 10 km')
    return x, y, yaw


async def _bounded_body(request: Request) -> bytes:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            raise InputError(f'refused: the file is larger than {MOST_BYTES >> 20} MB')
    return bytes(body)


def _clock(fields: Mapping[str, Any]) -> float:
    sent_s = float(fields['sent_s'])
    if not math.isfinite(sent_s):
        raise ValueError('the clock of a browser must be finite')
    return sent_s


def _reply(answer: Answer, status: int = 200) -> Response:
    return JSONResponse({'done': answer.done, 'text': answer.text}, status,
                        headers={'cache-control': 'no-store'})
