# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
What stands before every page, file, POST and websocket: names, session, sizes, headers.

It wraps the whole application, so that nothing behind it, NiceGUI's own paths included, can be
reached without passing it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from html import escape
import time
from typing import Any
from urllib.parse import parse_qs

from wm_controller.panel.access import Access, LONGEST_TOKEN, Names, SESSION_S

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

MOST_BYTES = 64 * 1024
FAILURE_S = 0.5
READS = ('GET', 'HEAD')
POLICY = ("default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
          "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
          "connect-src 'self' ws: wss:; frame-ancestors 'self'; form-action 'self'; "
          "base-uri 'none'; object-src 'none'")
HEADERS = {
    'content-security-policy': POLICY,
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'same-origin',  # with none, the STOP form would have no origin to show
    'cross-origin-resource-policy': 'same-origin',
}
STYLE = ('<meta name="viewport" content="width=device-width,initial-scale=1"><style>'
         ':root{color-scheme:light dark}body{font:18px system-ui,sans-serif;max-width:22em;'
         'margin:15vh auto;padding:0 1em}input,button{font:inherit;width:100%;padding:.7em;'
         'margin:.4em 0;box-sizing:border-box}</style>')
ONWARD = ('<meta http-equiv="refresh" content="0;url=/"><script>location.replace("/")</script>'
          '<a href="/">continue</a>')


class TooLarge(Exception):
    """A request's body is larger than it may be."""


class Gate:
    """ASGI application around another; `roomy` are paths that bound their body themselves."""

    def __init__(self, app: Any, access: Access, names: Names, cookie: str,
                 roomy: tuple[str, ...] = ()) -> None:
        self.app = app
        self._access, self._names, self._cookie, self._roomy = access, names, cookie, roomy

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope['type'] == 'lifespan':
            await self.app(scope, receive, send)
        elif scope['type'] == 'websocket':
            await self._websocket(scope, receive, send)
        else:
            await self._http(scope, receive, send)

    async def _websocket(self, scope: Message, receive: Receive, send: Send) -> None:
        headers = _headers(scope)
        if self._names.fault(headers, writes=True) or not self._known(headers):
            await receive()
            await send({'type': 'websocket.close', 'code': 1008})  # before it opens: HTTP 403
            return
        await self.app(scope, receive, send)

    async def _http(self, scope: Message, receive: Receive, send: Send) -> None:
        headers = _headers(scope)
        fault = self._names.fault(headers, scope['method'] not in READS)
        if fault:
            await _answer(send, 403, escape(fault))
            return
        if not self._known(headers):
            await self._stranger(scope, receive, send)
        elif scope['path'] == '/login' or b'token=' in scope.get('query_string', b''):
            await _answer(send, 200, ONWARD)  # who is in needs no token, least of all in the URL
        elif scope['path'] in self._roomy:
            await self.app(scope, receive, _with_headers(send))
        elif int(headers.get('content-length', '0')) > MOST_BYTES:  # the server has checked
            await _answer(send, 413, 'the request is too large')
        else:
            await self._bounded(scope, receive, send)

    async def _bounded(self, scope: Message, receive: Receive, send: Send) -> None:
        taken, begun = 0, False

        async def take() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get('body', b''))
            if taken > MOST_BYTES:
                raise TooLarge
            return message

        async def give(message: Message) -> None:
            nonlocal begun
            begun = True
            await _with_headers(send)(message)

        try:
            await self.app(scope, take, give)
        except TooLarge:
            if not begun:
                await _answer(send, 413, 'the request is too large')

    async def _stranger(self, scope: Message, receive: Receive, send: Send) -> None:
        """Take a token from the link or the form; show the form to a browser, refuse the rest."""
        token: str | None = None
        if scope['method'] == 'GET' and scope['path'] == '/':
            fields = parse_qs(scope.get('query_string', b'').decode('latin-1'))
            token = fields['token'][0] if 'token' in fields else None
            if token is None:
                await _answer(send, 401, _form())
                return
        elif scope['method'] == 'POST' and scope['path'] == '/login':
            fields = parse_qs((await _body(receive)).decode('utf-8', 'replace'))
            token = fields.get('token', [''])[0]
        if token is None:
            await _answer(send, 401, 'log in first')
            return
        now, address = time.monotonic(), (scope.get('client') or ('', 0))[0]
        wait = self._access.wait(address, now)
        if wait > 0.0:
            await _answer(send, 429, _form(f'Too many wrong tokens: wait {wait:.0f} s.'))
            return
        cookie = self._access.log_in(token, address, now)
        if cookie is None:
            await asyncio.sleep(FAILURE_S)
            await _answer(send, 401, _form('That is not the token.'))
            return
        # Not a redirect: a strict cookie would not go along after a link from another site.
        await _answer(
            send, 200, ONWARD, f'{self._cookie}={cookie}; HttpOnly; SameSite=Strict; Path=/; '
            f'Max-Age={SESSION_S:.0f}' + ('; Secure' if scope.get('scheme') == 'https' else ''))

    def _known(self, headers: dict[str, str]) -> bool:
        # Not http.cookies: it stops at what other programs on this host may have left there.
        pairs = (part.strip().partition('=') for part in headers.get('cookie', '').split(';'))
        cookies = {name: value for name, _, value in pairs}
        return self._access.allows(cookies.get(self._cookie, ''), time.monotonic())


def _headers(scope: Message) -> dict[str, str]:
    return {name.decode('latin-1'): value.decode('latin-1') for name, value in scope['headers']}


def _form(problem: str = '') -> str:
    return (f'<title>Log in</title><h1>Operator\'s panel</h1><p role="alert">{escape(problem)}</p>'
            '<form method="post" action="/login"><label>Token<input name="token" type="password" '
            'autocomplete="current-password" autofocus></label><button>Log in</button></form>')


async def _body(receive: Receive) -> bytes:
    """Body of a login: what is longer than any token is cut off."""
    body = b''
    while len(body) <= 4 * LONGEST_TOKEN:
        message = await receive()
        body += message.get('body', b'')
        if not message.get('more_body'):
            break
    return body[:4 * LONGEST_TOKEN]


def _with_headers(send: Send) -> Send:
    async def give(message: Message) -> None:
        if message['type'] == 'http.response.start':
            present = {name.lower() for name, _ in message.get('headers', ())}
            message['headers'] = [*message.get('headers', ()), *(
                (name.encode(), value.encode()) for name, value in HEADERS.items()
                if name.encode() not in present)]
        await send(message)
    return give


async def _answer(send: Send, status: int, html: str, cookie: str = '') -> None:
    body = f'<!doctype html><html lang="en">{STYLE}<body>{html}'.encode()
    headers = [(b'content-type', b'text/html; charset=utf-8'), (b'cache-control', b'no-store')]
    if cookie:
        headers.append((b'set-cookie', cookie.encode()))
    give = _with_headers(send)
    await give({'type': 'http.response.start', 'status': status, 'headers': headers})
    await give({'type': 'http.response.body', 'body': body})
