# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Who may use the panel: the rules, without a web server.

On the loopback interface anybody on this machine may, who can talk to the ROS graph as well. For
any other interface there is a token, exchanged once for the cookie of a session.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
import hashlib
import hmac
import ipaddress
from pathlib import Path
import secrets
import socket
from urllib.parse import urlsplit

from wm_controller.errors import InputError

SHORTEST_TOKEN, LONGEST_TOKEN = 16, 512
SESSION_S = 12 * 3600.0
MOST_SESSIONS, MOST_ADDRESSES = 64, 1024
LONGEST_WAIT_S = 60.0
FREE_TRIES = 3


def is_loopback(host: str) -> bool:
    """Say whether an address to listen on can be reached from this machine alone."""
    if host == 'localhost':
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def find_token(host: str, token: str, token_file: str) -> str:
    """
    Token by parameters, or an empty text where none is needed.

    Raises InputError: not readable, too short, or missing where `host` is reached from outside.
    """
    if token_file:
        try:
            with Path(token_file).expanduser().open('rb') as stream:
                token = stream.read(LONGEST_TOKEN + 1).decode('ascii').strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, 'strerror', None) or 'it is no ASCII text'
            raise InputError(f'parameter token_file = {token_file!r}: cannot be read: {reason}'
                             ) from None
        if not token:
            raise InputError(f'parameter token_file = {token_file!r}: the file is empty')
    if not token:
        if not is_loopback(host):
            raise InputError(
                f'parameter host = {host!r} can be reached from the network, so a token is '
                f'required: set token_file or token, {SHORTEST_TOKEN} characters or more')
        return ''
    if not SHORTEST_TOKEN <= len(token) <= LONGEST_TOKEN or not token.isascii():
        raise InputError(f'parameter token: must be {SHORTEST_TOKEN} to {LONGEST_TOKEN} ASCII '
                         f'characters, it has {len(token)}')
    return token


class Access:
    """Sessions and the token; times are steady seconds."""

    def __init__(self, token: str) -> None:
        self._token = hashlib.sha256(token.encode()).digest() if token else b''
        self._sessions: OrderedDict[str, float] = OrderedDict()
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()

    @property
    def required(self) -> bool:
        """Whether a token is asked for."""
        return bool(self._token)

    def wait(self, address: str, now_s: float) -> float:
        """Seconds that an address has to wait until its next try: doubled with each failure."""
        failures, last_s = self._failures.get(address, (0, 0.0))
        if failures < FREE_TRIES:
            return 0.0
        pause = min(LONGEST_WAIT_S, 2.0 ** min(failures - FREE_TRIES, 10))
        return max(0.0, last_s + pause - now_s)

    def log_in(self, token: str, address: str, now_s: float) -> str | None:
        """Return the cookie of a new session, or None: wrong, or too soon after a wrong one."""
        if self.wait(address, now_s) > 0.0:
            return None
        given = hashlib.sha256(token.encode('utf-8', 'replace')).digest()
        if not self.required or not hmac.compare_digest(given, self._token):
            failures, _ = self._failures.pop(address, (0, 0.0))
            self._failures[address] = failures + 1, now_s
            while len(self._failures) > MOST_ADDRESSES:
                self._failures.popitem(last=False)
            return None
        self._failures.pop(address, None)
        cookie = secrets.token_urlsafe(32)
        self._sessions[_digest(cookie)] = now_s + SESSION_S
        while len(self._sessions) > MOST_SESSIONS:
            self._sessions.popitem(last=False)
        return cookie

    def allows(self, cookie: str, now_s: float) -> bool:
        """Say whether a request with this cookie may pass."""
        if not self.required:
            return True
        ends_s = self._sessions.get(_digest(cookie))
        return ends_s is not None and now_s < ends_s


def _digest(cookie: str) -> str:
    # Looked up by digest, so that the time of the look-up tells nothing of the cookies there are.
    return hashlib.sha256(cookie.encode('utf-8', 'replace')).hexdigest()


class Names:
    """Names under which this panel may be asked for, against DNS rebinding."""

    def __init__(self, host: str, more: Sequence[str] = ()) -> None:
        own = socket.gethostname().lower()
        self._known = {'localhost', host.lower(), own, f'{own}.local',
                       *(name.lower() for name in more)}

    def fault(self, headers: Mapping[str, str], writes: bool) -> str:
        """
        Say what is wrong with where a request comes from, or nothing.

        `writes` is true for all that may change something, websockets included.
        """
        host = headers.get('host', '')
        if not self._is_ours(host):
            return f'the panel is not asked for as {host!r}; name it in parameter allowed_hosts'
        if not writes:
            return ''
        origin = headers.get('origin')
        if origin is not None:
            if urlsplit(origin).netloc.lower() != host.lower():
                return 'a page of another origin may not command the robot'
        elif headers.get('sec-fetch-site', 'same-origin') not in ('same-origin', 'none'):
            return 'a page of another origin may not command the robot'
        return ''

    def _is_ours(self, host: str) -> bool:
        try:
            name = urlsplit(f'//{host}').hostname or ''
        except ValueError:
            return False
        if name in self._known:
            return True
        try:
            ipaddress.ip_address(name)  # no name, so no resolver that could lie about it
        except ValueError:
            return False
        return True
