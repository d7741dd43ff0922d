# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""From the controller's parameters to a pilot that is warm, or to one line that says why not."""

import numpy as np
import pytest
import torch

from wm_controller.errors import InputError
from wm_controller.nodes.controller_parameters import ControllerSettings, PARAMETERS
from wm_controller.nodes.pilot_factory import make_pilot
from wm_controller.planning.contract import Observation, PoseGoal
from wm_controller.world_model.bundle import save_bundle
from wm_controller.world_model.model import WorldModel
from wm_controller.world_model.spec import ModelSpec


def settings(model, **changes):
    values = {spec.name: spec.default for spec in PARAMETERS}
    return ControllerSettings.of({**values, 'planner': 'flat', 'model': str(model), **changes})


@pytest.fixture(scope='module')
def bundle(tmp_path_factory):
    path = tmp_path_factory.mktemp('model') / 'untrained.safetensors'
    torch.manual_seed(0)
    bearings = tuple(np.deg2rad(np.linspace(42, -42, 15)).tolist())
    save_bundle(path, WorldModel(ModelSpec(clearance_bearings=bearings)), gates={'passed': True},
                training={}, energy_quantiles=())
    return path


def test_pilot_is_warm_and_has_no_memory_of_that(bundle):
    pilot, name, step_s = make_pilot(settings(bundle, goal_tolerance=0.4))
    assert name.startswith('untrained ')
    assert step_s == 0.2
    assert pilot.config.goal_tolerance == 0.4
    assert pilot.estimator.latest is None
    pilot.set_goal(PoseGoal(2.0, 0.0))
    pilot.observe(Observation(5.0, np.zeros((240, 320, 3), np.uint8), np.zeros(3), np.zeros(2)))
    plan = pilot.plan(5.05, 0.5)
    assert plan.stamp == 5.0
    assert np.isfinite([plan.v, plan.w]).all()


def test_missing_file_is_one_line(tmp_path):
    with pytest.raises(InputError, match='missing.safetensors: no such model file'):
        make_pilot(settings(tmp_path / 'missing.safetensors'))


def test_truncated_file_is_one_line(bundle, tmp_path):
    cut = tmp_path / 'cut.safetensors'
    cut.write_bytes(bundle.read_bytes()[:100_000])
    with pytest.raises(InputError, match='cut.safetensors: not a whole .safetensors file'):
        make_pilot(settings(cut))


def test_foreign_file_is_one_line(tmp_path):
    from safetensors.torch import save_file
    foreign = tmp_path / 'foreign.safetensors'
    save_file({'weight': torch.zeros(2)}, foreign)
    with pytest.raises(InputError, match='not a model bundle of wm_controller'):
        make_pilot(settings(foreign))


def test_model_that_drives_faster_than_the_robot_is_one_line(bundle):
    line = 'up to 0.5, the parameter max_linear_velocity allows 0.3'
    with pytest.raises(InputError, match=line):
        make_pilot(settings(bundle, max_linear_velocity=0.3))


def test_planner_that_is_not_there_is_one_line(bundle):
    with pytest.raises(InputError, match='no upper level.*or plan flat'):
        make_pilot(settings(bundle, planner='hierarchical'))


def test_plans_know_the_bounds_and_a_list_that_is_no_polygon_is_refused(bundle):
    fence = (-1.0, -1.0, 1.0, -1.0, 1.0, 1.0, -1.0, 1.0)
    pilot, _, _ = make_pilot(settings(bundle, geofence=fence))
    pilot.memory.occupy_track(0.0, np.zeros(3))
    assert pilot.memory.clearance_at(np.array([[1.1, 0.0]]))[0] == 0.0
    with pytest.raises(InputError, match='parameter keep_out: a footprint needs'):
        make_pilot(settings(bundle, keep_out=(1.0, 2.0)))
