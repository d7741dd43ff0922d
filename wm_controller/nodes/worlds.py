# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The worlds that the simulator node can be: physics in a room, or the model's imagination."""

from __future__ import annotations

from typing import Any

import numpy as np

from wm_controller.errors import InputError
from wm_controller.simulation.rooms import make_room
from wm_controller.simulation.simulator import CameraSpec, Simulator
from wm_controller.simulation.world import World

WORLDS = ('mujoco', 'model')
THREADS = 1  # as the controller's: pictures are small, and the other cores belong to others


def make_world(values: dict[str, Any]) -> tuple[World, str]:
    """Put a robot into the world that the parameters describe; raises InputError.

    Returns the world, and what to say of it. In a learned world nobody but the model decides what
    is there: the room of these parameters is what it has seen just before.
    """
    if values['world'] == 'model':
        return _learned(values)
    people = None if values['people'] < 0 else values['people']
    room = make_room(values['room_seed'], values['family'], people)
    camera = CameraSpec(width=values['image_width'], height=values['image_height'],
                        hfov=values['horizontal_fov'])
    simulator = Simulator(room, camera=camera, seed=values['room_seed'])
    if values['start_pose']:
        simulator.reset(np.array(values['start_pose']))
    pose = ', '.join(f'{x:.2f}' for x in simulator.pose)
    return simulator, f'room {room.family}/{room.seed}, {len(room.people)} people, start {pose}'


def _learned(values: dict[str, Any]) -> tuple[World, str]:
    # Here, so that a simulated room needs no torch.
    import torch

    from wm_controller.evaluation.learned_start import start_in_room
    from wm_controller.evaluation.learned_world import LearnedWorld
    from wm_controller.world_model.attach import decoder_of
    from wm_controller.world_model.bundle import load_bundle

    if not values['headless']:
        raise InputError('parameter headless = False: the world of a model has no window; look at '
                         'the topic image')
    torch.set_num_threads(THREADS)
    bundle = load_bundle(values['model'] or 'indoor')
    decoder_of(bundle)
    start = start_in_room(
        bundle, values['room_seed'], values['family'],
        None if values['people'] < 0 else values['people'],
        np.array(values['start_pose']) if values['start_pose'] else None,
        values['horizontal_fov'])
    assert start.simulator is not None
    start.simulator.close()
    world = LearnedWorld(bundle, start.state, start.frame, values['horizontal_fov'])
    return world, (f'imagined by {bundle.path.name}, as it saw {start.name}: images are '
                   f'{world.camera.width}x{world.camera.height}')
