# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Import MuJoCo with a way of drawing that needs no screen. Import `mujoco` from here."""

from ctypes.util import find_library
import glob
import os


def choose_backend() -> str:
    """
    Choose how MuJoCo draws: 'egl' where there is a graphics card, else 'osmesa'.

    An empty string leaves the choice to MuJoCo: neither library is installed.
    """
    card = glob.glob('/dev/dri/render*') + glob.glob('/dev/nvidia[0-9]*')
    if card and find_library('EGL'):
        return 'egl'
    if find_library('OSMesa'):
        return 'osmesa'
    return 'egl' if find_library('EGL') else ''


if not os.environ.get('MUJOCO_GL') and choose_backend():
    os.environ['MUJOCO_GL'] = choose_backend()

import mujoco  # noqa: E402  (the variable must be set before)

__all__ = ['choose_backend', 'mujoco']
