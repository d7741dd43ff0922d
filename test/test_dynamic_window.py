# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The classical rival: it must be a fair one."""

import numpy as np
import pytest

from wm_controller.cli.main import run as wm
from wm_controller.evaluation.dynamic_window import DynamicWindow
from wm_controller.evaluation.runner import Job, run_jobs
from wm_controller.evaluation.tasks import BANDS, TaskSpec
from wm_controller.planning.contract import Observation, PoseGoal
from wm_controller.safety.geometry import integrate
from wm_controller.spread import Workers


def drive(points, goal, seconds):
    """Drive a base that does as it is told among points (N, 2) in the world; the poses (T, 3)."""
    pose, twist, track = np.zeros(3), np.zeros(2), []

    def scan():
        cos, sin = np.cos(pose[2]), np.sin(pose[2])
        off = points - pose[:2]
        return np.stack([off @ [cos, sin], off @ [-sin, cos]], -1)
    policy = DynamicWindow(scan, 0.18)
    policy.set_goal(PoseGoal(*goal))
    for i in range(round(seconds / 0.1)):
        policy.observe(Observation(0.1 * i, np.zeros((2, 2, 3), np.uint8), pose, twist))
        plan = policy.plan(0.1 * i, 0.1)
        change = np.clip([plan.v - twist[0], plan.w - twist[1]], [-0.15, -0.3], [0.1, 0.3])
        twist = twist + change
        pose = integrate(pose, *twist, 0.1)
        track.append(pose)
        if plan.state == 'reached':
            break
    return np.array(track)


def wall(x0, y0, x1, y1):
    return np.stack([np.linspace(x0, x1, 60), np.linspace(y0, y1, 60)], -1)


FAR = np.array([[50.0, 50.0]])


def test_a_free_way_is_driven_straight():
    track = drive(FAR, (3.0, 0.0), 12.0)
    assert np.hypot(*(track[-1, :2] - [3.0, 0.0])) < 0.3
    assert np.abs(track[:, 1]).max() < 0.2


@pytest.mark.parametrize('side', [-1, 1])
def test_a_wall_is_driven_around_and_not_touched(side):
    points = wall(1.5, -0.6 * side, 1.5, 1.6 * side)
    track = drive(points, (3.0, 0.0), 25.0)
    assert np.hypot(*(track[-1, :2] - [3.0, 0.0])) < 0.3
    away = np.hypot(*(track[:, None, :2] - points).transpose(2, 0, 1)).min()
    assert away > 0.18


def test_it_drives_in_rooms_as_an_evaluation_asks_it():
    [[episode]] = run_jobs([(Job(TaskSpec(3, band_m=BANDS['near'], people=0), 'dynamic-window'),
                             range(1))], Workers(1), lambda: None)
    assert episode.success and episode.planner == 'dynamic-window'


def test_it_has_no_parts_to_leave_out(capsys):
    assert wm(['evaluate', '--planner', 'dynamic-window', '--without', 'places']) == 2
    assert 'no parts' in capsys.readouterr().err
