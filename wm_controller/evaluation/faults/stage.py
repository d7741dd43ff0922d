# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Where faults are tried: the room, the model, and the nodes as they are started there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wm_controller.evaluation.processes import NodeSpec
from wm_controller.evaluation.tasks import START_CLEARANCE_M
from wm_controller.resources import find_config

GRAPH = ('controller', 'guardrail', 'fault_injector', 'simulator')  # stopped in this order
PLAN_TIME_S = 0.04  # leaves room for the man in the middle and the observer on two cores


@dataclass(frozen=True)
class Stage:
    """Where faults are tried: model, planner, room; `people` walk about in it."""

    model: Path
    planner: str = 'hierarchical'
    room_seed: int = 41
    family: str = 'evaluation'
    people: int = 0


def start_pose(stage: Stage, room: Any) -> np.ndarray:
    """Return where the robot starts, (3,) in the world; the same for the same stage."""
    return np.asarray(room.sample_free_pose(
        np.random.default_rng(stage.room_seed), START_CLEARANCE_M))


def node_spec(stage: Stage, start: np.ndarray, node: str, folder: Path,
              parameters: Mapping[str, Any] | None = None) -> NodeSpec:
    """One of the nodes of GRAPH as it is started; the scan is required, as there is a laser."""
    simulated = {'use_sim_time': True}
    more = dict(parameters or {})
    if node == 'controller':
        return NodeSpec(node, {
            **simulated, 'model': str(stage.model.resolve()), 'planner': stage.planner,
            'map_file': str(folder / 'places.h5'), 'plan_time_s': PLAN_TIME_S, **more,
        }, find_config('robot'))
    if node == 'guardrail':
        needs = {'scan_required': True, 'scan_min_returns': 1}
        return NodeSpec(node, {**simulated, **needs, **more}, find_config('robot'))
    if node == 'fault_injector':
        return NodeSpec(node, more)
    return NodeSpec(
        node, {'room_seed': stage.room_seed, 'family': stage.family, 'people': stage.people,
               'start_pose': [float(value) for value in start], **more},
        find_config('simulator'),
        {'image': 'raw/image', 'odom': 'raw/odom', 'scan': 'raw/scan', '/clock': 'raw/clock'})
