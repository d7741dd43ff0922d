# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
A pad read by pygame, without a screen, where there is no joy_node of ROS.

Numbers and signs are those of ROS's joy_node, which stands on the same library (SDL): axes are
positive to the left and up, hats are two more axes behind them.
"""

from __future__ import annotations

import os
from typing import Any

from wm_controller.errors import InputError

QUIET = {'SDL_VIDEODRIVER': 'dummy', 'SDL_JOYSTICK_ALLOW_BACKGROUND_EVENTS': '1',
         'SDL_NO_SIGNAL_HANDLERS': '1', 'PYGAME_HIDE_SUPPORT_PROMPT': '1'}


class PygamePad:
    """The first pad there is, also one plugged in later."""

    def __init__(self) -> None:
        for name, value in QUIET.items():
            os.environ.setdefault(name, value)
        try:
            import pygame
        except ImportError:
            raise InputError(
                'reading a pad without joy_node needs pygame: pip install pygame (Debian, Ubuntu: '
                "apt-get install python3-pygame), or run ROS's joy_node") from None
        self._pygame = pygame
        pygame.display.init()  # events come through it, also where there is no screen
        pygame.joystick.init()
        self._pad: Any = None
        self.name = ''

    def read(self) -> tuple[list[float], list[int]] | None:
        """Axes (-1..1) and buttons (0, 1) as they are now; None where no pad is plugged in."""
        pygame = self._pygame
        for event in pygame.event.get():
            if event.type == pygame.JOYDEVICEREMOVED and self._pad is not None and (
                    event.instance_id == self._pad.get_instance_id()):
                self._let_go()
                return None  # once, also where another pad is there to take its place
        if self._pad is None and pygame.joystick.get_count():
            self._pad = pygame.joystick.Joystick(0)
            self.name = self._pad.get_name()
        if self._pad is None:
            return None
        pad = self._pad
        axes = [-pad.get_axis(number) for number in range(pad.get_numaxes())]
        for number in range(pad.get_numhats()):
            right, up = pad.get_hat(number)
            axes += [float(-right), float(up)]
        return axes, [int(pad.get_button(number)) for number in range(pad.get_numbuttons())]

    def close(self) -> None:
        """Leave the pad to others."""
        self._let_go()
        self._pygame.joystick.quit()
        self._pygame.display.quit()

    def _let_go(self) -> None:
        if self._pad is not None:
            self._pad.quit()
        self._pad, self.name = None, ''
