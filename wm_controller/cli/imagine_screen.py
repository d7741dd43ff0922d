# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Keys in and pictures out for `wm imagine`: a window where there is a screen, else the text."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import os
import select
import shutil
import sys
from types import TracebackType
from typing import Any, Protocol

import cv2
import numpy as np

from wm_controller.errors import InputError

FASTER, TURN_MORE = 0.1, 0.3  # m/s and rad/s that one key press adds
ESCAPES = {'\x1b[A': 'w', '\x1b[B': 's', '\x1b[C': 'd', '\x1b[D': 'a',
           '\x1bOA': 'w', '\x1bOB': 's', '\x1bOC': 'd', '\x1bOD': 'a'}
KEYSYMS = {'Up': 'w', 'Down': 's', 'Right': 'd', 'Left': 'a', 'space': ' ', 'Escape': 'q'}
MOST_COLUMNS = 144
Command = tuple[float, float]  # v m/s, w rad/s


def steer(command: Command, key: str, limits: tuple[float, float, float]) -> Command:
    """Change a command by a key: w and s drive, a and d turn, space stands; it then stays so."""
    low, high, turn = limits
    v, w = command
    if key == ' ':
        return 0.0, 0.0
    v += FASTER * ((key == 'w') - (key == 's'))
    w += TURN_MORE * ((key == 'a') - (key == 'd'))
    return round(min(max(v, low), high), 3), round(min(max(w, -turn), turn), 3)


def split_keys(text: str) -> list[str]:
    """Keys of what a terminal sent: arrows come as escapes of three characters."""
    keys = []
    while text:
        arrow = ESCAPES.get(text[:3])
        keys.append(arrow or text[0].lower())
        text = text[3 if arrow else 1:]
    return keys


class Keyboard:
    """The terminal's keys, each as it is pressed; the terminal is as before afterwards."""

    def __enter__(self) -> Keyboard:
        try:
            import termios
            import tty
        except ImportError:
            raise InputError('keys are read from a Unix terminal: give --actions here') from None
        self._file = sys.stdin.fileno()
        self._before = termios.tcgetattr(self._file)
        tty.setcbreak(self._file)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        import termios
        termios.tcsetattr(self._file, termios.TCSADRAIN, self._before)

    def pressed(self) -> list[str]:
        """Keys since the last call; the end of the input is a q."""
        text = ''
        while select.select([self._file], [], [], 0)[0]:
            read = os.read(self._file, 1024)
            if not read:
                return [*split_keys(text), 'q']
            text += read.decode(errors='ignore')
        return split_keys(text)


class Screen(Protocol):
    """Where pictures (H, W, 3) RGB are shown."""

    def show(self, picture: np.ndarray) -> None: ...
    def pressed(self) -> list[str]: ...


@contextmanager
def open_screen(picture: np.ndarray) -> Iterator[Screen]:
    """Open a window where there is a screen, else draw in the terminal; show the picture."""
    screen: Any = _window(picture) or TerminalScreen()
    screen.show(picture)
    try:
        yield screen
    finally:
        screen.close()


def _window(picture: np.ndarray) -> Any:
    """A window, or None: no screen, or a Python without Tk."""
    if not (os.environ.get('DISPLAY') or os.environ.get('WAYLAND_DISPLAY')):
        return None
    try:
        return Window(picture.shape[1], picture.shape[0])
    except Exception:  # no Tk in this Python, or no server behind DISPLAY
        return None


class Window:
    """A Tk window; its keys count as the terminal's do."""

    def __init__(self, width: int, height: int) -> None:
        import tkinter
        self._tk = tkinter
        self._root = tkinter.Tk()
        self._root.title('wm imagine')
        self._label = tkinter.Label(self._root, width=width, height=height, borderwidth=0)
        self._label.pack()
        self._keys: list[str] = []
        self._root.bind('<Key>', lambda event: self._keys.append(
            KEYSYMS.get(event.keysym, event.char.lower())))
        self._root.protocol('WM_DELETE_WINDOW', lambda: self._keys.append('q'))

    def show(self, picture: np.ndarray) -> None:
        """Show a picture now."""
        height, width = picture.shape[:2]
        data = b'P6 %d %d 255 ' % (width, height) + np.ascontiguousarray(picture).tobytes()
        self._image = self._tk.PhotoImage(data=data, format='PPM')  # kept: Tk holds no reference
        self._label.configure(image=self._image, width=width, height=height)
        self._root.update()

    def pressed(self) -> list[str]:
        """Keys since the last call."""
        self._root.update()
        keys, self._keys = [key for key in self._keys if key], []
        return keys

    def close(self) -> None:
        """Close the window."""
        self._root.destroy()


class TerminalScreen:
    """Pictures as coloured half blocks: two rows of pixels in one line of text."""

    def __init__(self) -> None:
        self._drawn = False

    def show(self, picture: np.ndarray) -> None:
        """Draw over the picture before."""
        size = shutil.get_terminal_size()
        columns = min(size.columns, MOST_COLUMNS)
        rows = max(2, round(picture.shape[0] * columns / picture.shape[1])) // 2 * 2
        if rows // 2 > size.lines - 1:
            rows = max(1, size.lines - 1) * 2
            columns = max(1, round(picture.shape[1] * rows / picture.shape[0]))
        small = cv2.resize(picture, (columns, rows), interpolation=cv2.INTER_AREA)
        lines = []
        for upper, lower in zip(small[::2], small[1::2]):
            cells = [f'\x1b[38;2;{a[0]};{a[1]};{a[2]};48;2;{b[0]};{b[1]};{b[2]}m\u2580'
                     for a, b in zip(upper, lower)]
            lines.append(''.join(cells) + '\x1b[0m\x1b[K')
        home = '\x1b[H' if self._drawn else '\x1b[2J\x1b[H'
        self._drawn = True
        sys.stderr.write(home + '\n'.join(lines) + '\n')
        sys.stderr.flush()

    def pressed(self) -> list[str]:
        """No keys but the terminal's own."""
        return []

    def close(self) -> None:
        """Leave the last picture."""
