# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The quick way to a plan: what a network, taught by the search, would propose here."""

import math

import numpy as np
from numpy.typing import NDArray
import torch
from torch import Tensor

from wm_controller.memory.free_space import FreeSpace
from wm_controller.planning.objectives import NO_WAY, Situation
from wm_controller.safety.geometry import to_child
from wm_controller.world_model.proposal import (
    AHEAD,
    DIRECTIONS,
    ProposalHead,
    RINGS,
    sequences_of,
)

Floats = NDArray[np.float64]
APART_M = 0.4    # of the points of the way
ROOM_MAX_M = 1.0  # more room than this is all the same

_ANGLES = np.arange(DIRECTIONS) * 2 * math.pi / DIRECTIONS
_ROUND = np.concatenate([np.zeros((1, 2)), *(
    radius * np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], -1) for radius in RINGS)])


class Proposer:
    """Asks a model's proposal head about a situation."""

    def __init__(self, head: ProposalHead) -> None:
        self._head = head

    @torch.no_grad()
    def __call__(self, state: Tensor, situation: Situation, memory: FreeSpace, steps: int
                 ) -> Floats:
        """Return action sequences (K, steps, 2), the likeliest first, for a state (1, S)."""
        told = torch.from_numpy(tell(situation, memory)).float()[None]
        knots, scores = self._head(state, told)
        order = torch.argsort(scores[0], descending=True)
        found: Floats = sequences_of(knots[0, order], steps).double().numpy()
        return found


def tell(situation: Situation, memory: FreeSpace) -> Floats:
    """Tell a situation (SITUATION,) in the frame of the base, as the head is taught it.

    The goal's direction (cos, sin) and distance; the way that is left and where it leads, here
    and on from here; the last command (m/s, rad/s); the room about the robot, m. Lengths as
    logarithms, but for the room.
    """
    pose, away = situation.pose, to_child(situation.pose, situation.goal)[0]
    cos, sin = math.cos(pose[2]), math.sin(pose[2])
    turned = np.array([[cos, sin], [-sin, cos]])
    distance = math.hypot(*away)
    towards = turned.T @ away / max(distance, 1e-6)
    way, known = distance, situation.way
    if known is not None:
        way = min(float(known(pose[:2])), NO_WAY)
    point, leads = pose[:2], []
    for _ in range(AHEAD):
        direction = towards
        heading = math.nan if known is None else float(known.heading(point))
        if math.isfinite(heading):
            direction = np.array([math.cos(heading), math.sin(heading)])
        leads.append(turned @ direction)
        point = point + APART_M * direction
    room = np.minimum(memory.clearance_at(pose[:2] + _ROUND @ turned), ROOM_MAX_M)
    return np.concatenate([turned @ towards, [math.log1p(distance), math.log1p(way)], *leads,
                           situation.last_action, room])
