# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Where imagining starts: a state that has seen a while of a recording, or of a simulated room."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from wm_controller.data.dataset import Dataset
from wm_controller.data.images import fit
from wm_controller.errors import InputError
from wm_controller.evaluation.open_loop import OBSERVED, observed
from wm_controller.safety.geometry import relative
from wm_controller.simulation.rooms import make_room
from wm_controller.simulation.simulator import CameraSpec, Simulator
from wm_controller.world_model.bundle import Bundle
from wm_controller.world_model.recordings import check_fit


@dataclass(frozen=True)
class Recorded:
    """What a recording goes on with: `frames` (N, H, W, 3), `actions` (N, 2), `poses` (N, 3).

    Action i is held before frame i; poses are in the frame of the start, NaN where unknown.
    """

    frames: np.ndarray
    actions: np.ndarray
    poses: np.ndarray


@dataclass(frozen=True)
class Start:
    """State (1, S) after the last seen `frame` (H, W, 3), and what is known of the truth.

    One of `recorded` and `simulator` is there: a recording knows what came of its own actions
    alone, a simulated room what comes of any.
    """

    name: str
    state: torch.Tensor
    frame: np.ndarray
    recorded: Recorded | None = None
    simulator: Simulator | None = None


def start_in_room(bundle: Bundle, seed: int, family: str = 'evaluation',
                  people: int | None = None, pose: np.ndarray | None = None,
                  hfov: float | None = None) -> Start:
    """Stand in a simulated room until the model has seen it; raises InputError."""
    room = make_room(seed, family, people)
    hfov = hfov or bundle.spec.horizontal_fov
    camera = CameraSpec() if hfov is None else CameraSpec(hfov=hfov)
    simulator = Simulator(room, camera=camera, seed=seed)
    if pose is not None:
        simulator.reset(np.asarray(pose, float))
    frames = []
    for i in range(OBSERVED):
        if i:
            simulator.step(bundle.spec.step_period_s)
        frames.append(camera_frame(bundle, simulator))
    seen = np.stack(frames)
    still = np.zeros((OBSERVED, 2), np.float32)
    return Start(f'room {family}/{seed}', encode(bundle, seen, still, np.zeros(
        (OBSERVED, 5), np.float32)), seen[-1], simulator=simulator)


def start_in_recording(bundle: Bundle, path: Path, at: int | None = None) -> Start:
    """See up to OBSERVED frames of a data set that end with row `at`; raises InputError.

    By default as late in the first episode as the model needs to have seen enough.
    """
    with Dataset.open(path) as data:
        check_fit(bundle.spec, data)
        row = min(OBSERVED, int(data.ep_len[0])) - 1 if at is None else at
        if not 0 <= row < data.n_steps:
            raise InputError(f'{path}: --at {row}: it has frames 0 to {data.n_steps - 1}')
        episode = int(np.searchsorted(data.ep_offset, row, side='right')) - 1
        steps = data.steps(episode)
        if row + 1 >= steps.stop:
            raise InputError(f'{path}: --at {row} is the last frame of episode {episode}: nothing '
                             'comes after it; choose an earlier one')
        first = max(steps.start, row + 1 - OBSERVED)
        frames = data.pixels[first:steps.stop]
        seen = row + 1 - first
        action, proprio = data.action[first:steps.stop], data.proprio[first:steps.stop]
        pose = data.pose[first:steps.stop]
    state = encode(bundle, frames[:seen], action[:seen], proprio[:seen])
    recorded = Recorded(frames[seen:], action[seen - 1:-1].astype(float),
                        relative(pose[seen - 1], pose[seen:]))
    return Start(f'{path.name}, frame {row}', state, frames[seen - 1], recorded=recorded)


@torch.no_grad()
def encode(bundle: Bundle, frames: np.ndarray, action: np.ndarray,
           proprio: np.ndarray) -> torch.Tensor:
    """State (1, S) after frames (T, H, W, 3), with the actions (T, 2) held after each."""
    latents = bundle.model.encode(torch.from_numpy(np.ascontiguousarray(frames)))[None]
    return observed(bundle.model, latents, torch.from_numpy(action).float()[None],
                    torch.from_numpy(proprio).float()[None], len(frames) - 1)


def camera_frame(bundle: Bundle, simulator: Simulator) -> np.ndarray:
    """What the simulated camera sees, in the model's size (H, W, 3)."""
    height, width = bundle.spec.image_size
    return fit(simulator.image(), (width, height))
