# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Builds the pilot that the controller drives with; the only file of `nodes/` that needs torch."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import torch

from wm_controller.nodes.controller_parameters import ControllerSettings
from wm_controller.nodes.fit import check_fit
from wm_controller.planning.config import PilotConfig, RobotLimits
from wm_controller.planning.contract import Observation, PoseGoal
from wm_controller.planning.pilot import Pilot
from wm_controller.safety.geometry import Footprint
from wm_controller.world_model.bundle import load_bundle

WARM_UP_CYCLES = 3


def make_pilot(settings: ControllerSettings) -> tuple[Pilot, str, float]:
    """Load the model, refuse it if it does not fit, warm it up; pilot, model name, step s."""
    torch.set_num_threads(settings.threads)
    bundle = load_bundle(settings.model)
    check_fit(bundle, settings.robot, settings.allow_ungated)
    robot = settings.robot
    pilot = Pilot(bundle, PilotConfig(
        goal_tolerance=settings.goal_tolerance,
        footprint=Footprint.circle(settings.footprint_radius),
        margin=settings.margin,
        limits=RobotLimits(robot.min_linear_velocity, robot.max_linear_velocity,
                           robot.max_angular_velocity),
        command_delay_s=settings.command_delay_s,
        hierarchical=settings.planner == 'hierarchical'))
    warm_up(pilot, bundle.spec.image_size)
    if pilot.wayfinder is not None:
        pilot.wayfinder.forget()  # the grey images
        if settings.map_file and Path(settings.map_file).expanduser().exists():
            pilot.wayfinder.load(Path(settings.map_file).expanduser())
    # a garbage collection that walks over the model costs more than a plan may take
    gc.collect()
    gc.freeze()
    return pilot, f'{bundle.path.stem} {bundle.digest[:12]}', bundle.spec.step_period_s


def warm_up(pilot: Pilot, image_size: tuple[int, int]) -> None:
    """Let it see and plan on grey images: the first plans are slow, and none is to be late."""
    grey = np.full((*image_size, 3), 127, np.uint8)
    pilot.set_goal(PoseGoal(1.0, 0.0))
    for k in range(WARM_UP_CYCLES):
        stamp = 1.0 + 0.1 * k
        pilot.observe(Observation(stamp, grey, np.zeros(3), np.zeros(2)))
        pilot.plan(stamp, deadline_s=1.0)
    pilot.reset()
