# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""A model that does not fit the robot is refused, with both values named."""

from dataclasses import replace
import math
from pathlib import Path
from types import SimpleNamespace

import pytest

from wm_controller.errors import InputError
from wm_controller.nodes.fit import check_fit, Robot
from wm_controller.world_model.spec import ModelSpec

ROBOT = Robot(rate=10.0, max_linear_velocity=0.5, min_linear_velocity=-0.25,
              max_angular_velocity=1.5, horizontal_fov=math.pi / 2)
SPEC = ModelSpec(horizontal_fov=math.pi / 2)


def bundle(gates=None, **changes):
    gates = {'passed': True} if gates is None else gates
    return SimpleNamespace(spec=replace(SPEC, **changes), path=Path('indoor.safetensors'),
                           gates=gates, passed=bool(gates.get('passed', False)))


def test_a_model_for_this_robot_fits():
    check_fit(bundle(), ROBOT, allow_ungated=False)


def test_a_gentler_model_and_an_unknown_camera_fit():
    check_fit(bundle(action_limits=(0.0, 0.3, 1.0)), ROBOT, allow_ungated=False)
    check_fit(bundle(horizontal_fov=None), ROBOT, allow_ungated=False)
    check_fit(bundle(horizontal_fov=1.0), replace(ROBOT, horizontal_fov=0.0), allow_ungated=False)


@pytest.mark.parametrize(('changes', 'words'), [
    ({'action_limits': (-0.25, 0.8, 1.5)}, ('0.8', 'max_linear_velocity allows 0.5')),
    ({'action_limits': (-0.4, 0.5, 1.5)}, ('-0.4', 'min_linear_velocity allows -0.25')),
    ({'action_limits': (-0.25, 0.5, 2.0)}, ('2,', 'max_angular_velocity allows 1.5')),
    ({'step_period_s': 0.05}, ('0.05 s', 'rate 10 Hz', '20 or more')),
    ({'horizontal_fov': 1.1}, ('1.1 rad', 'horizontal_fov says 1.57 rad'))])
def test_a_model_for_another_robot_is_refused_with_both_values(changes, words):
    with pytest.raises(InputError) as refusal:
        check_fit(bundle(**changes), ROBOT, allow_ungated=True)
    line = str(refusal.value)
    assert line.startswith('indoor.safetensors: ')
    assert '\n' not in line
    for word in words:
        assert word in line


def test_a_model_that_failed_a_gate_is_refused_unless_allowed():
    failed = bundle(gates={'passed': False, 'failed': ['persistence_8', 'rank']})
    with pytest.raises(InputError, match='did not pass its gates .persistence_8, rank.'):
        check_fit(failed, ROBOT, allow_ungated=False)
    check_fit(failed, ROBOT, allow_ungated=True)


def test_a_model_without_a_verdict_is_refused():
    with pytest.raises(InputError, match='holds no verdict'):
        check_fit(bundle(gates={}), ROBOT, allow_ungated=False)
