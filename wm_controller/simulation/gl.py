# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Import MuJoCo with a way of drawing that needs no screen. Import `mujoco` from here."""

from ctypes.util import find_library
import glob
import os

from wm_controller.errors import InputError


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

__all__ = ['choose_backend', 'make_renderer', 'mujoco']


def make_renderer(model: mujoco.MjModel, width: int, height: int) -> mujoco.Renderer:
    """Make a renderer without shadows and reflections, or say what is missing for one."""
    try:
        renderer = mujoco.Renderer(model, height, width)
    except Exception as error:  # its type depends on the backend
        backend = os.environ.get('MUJOCO_GL') or 'default'
        raise InputError(
            f'cannot draw with MUJOCO_GL={backend} ({error}): install libosmesa6 and set '
            'MUJOCO_GL=osmesa, or libegl1 with MUJOCO_GL=egl'
        ) from error
    renderer.scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = False
    renderer.scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = False
    return renderer
