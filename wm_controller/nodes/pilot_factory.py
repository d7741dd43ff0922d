# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Builds the pilot that the controller drives with; the only file of `nodes/` that needs torch."""

from __future__ import annotations

import gc
from pathlib import Path

import torch

from wm_controller.nodes.controller_parameters import ControllerSettings
from wm_controller.nodes.fit import check_fit
from wm_controller.planning.config import PilotConfig, RobotLimits
from wm_controller.planning.pilot import Pilot
from wm_controller.planning.runtime import choose
from wm_controller.safety.geometry import Footprint
from wm_controller.world_model.bundle import load_bundle


def make_pilot(settings: ControllerSettings) -> tuple[Pilot, str, float]:
    """Load the model, refuse it if it does not fit, choose what runs it, warm it up.

    Returns the pilot, the model's name, and its step, s; raises InputError.
    """
    torch.set_num_threads(settings.threads)
    bundle = load_bundle(settings.model)
    check_fit(bundle, settings.robot, settings.allow_ungated)
    robot = settings.robot
    config = PilotConfig(
        goal_tolerance=settings.goal_tolerance,
        footprint=Footprint.circle(settings.footprint_radius),
        margin=settings.margin,
        areas=settings.areas,
        limits=RobotLimits(robot.min_linear_velocity, robot.max_linear_velocity,
                           robot.max_angular_velocity),
        command_delay_s=settings.command_delay_s,
        hierarchical=settings.planner == 'hierarchical')
    pilot = Pilot(bundle, config)  # refuses what the model cannot do, before a second is spent
    choice = choose(bundle, pilot.config, settings.runtime, settings.exported)
    if choice.bundle is not bundle:
        pilot = Pilot(choice.bundle, config)
    pilot.runtime, pilot.runtime_warning = choice.note, choice.warning
    pilot.warm_up()
    places = Path(settings.map_file).expanduser()
    if pilot.wayfinder is not None and settings.map_file and places.exists():
        pilot.wayfinder.load(places)
    # a garbage collection that walks over the model costs more than a plan may take
    gc.collect()
    gc.freeze()
    return pilot, f'{bundle.path.stem} {bundle.digest[:12]}', bundle.spec.step_period_s
