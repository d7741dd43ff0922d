# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Where a goal picture is, as several views agree: outvoted, refuted, not counted twice."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from wm_controller.errors import InputError
from wm_controller.planning.contract import ImageGoal, PoseGoal
from wm_controller.planning.goal_estimate import CERTAIN_FRAMES, GoalEstimate
from wm_controller.safety.geometry import relative

GOAL = np.array([2.0, 1.0, 0.5])
PICTURE = ImageGoal(np.zeros((4, 4, 3), np.uint8))


class Views:
    """A model's answers, one after the other, and the estimator that they come through."""

    def __init__(self):
        self.answer = None
        self.model = SimpleNamespace(goal_pose=lambda here, goal: self.answer)
        self.goal = GoalEstimate(PICTURE, self)

    def encode(self, image):
        return torch.zeros(1, 3), torch.zeros(1, 4, 4, 3)

    def see(self, pose, claimed=GOAL, scale=0.2):
        """Look from a pose; the model says that the goal is where `claimed` (3,) is."""
        x, y, yaw = relative(np.asarray(pose, float), np.asarray(claimed, float))
        self.answer = torch.tensor([[x, y, np.cos(yaw), np.sin(yaw), np.log(scale)]])
        self.goal.update(SimpleNamespace(pose=np.asarray(pose, float), pixels=torch.zeros(1)))


@pytest.fixture
def views():
    return Views()


def drive(views, start, count, **answers):
    for i in range(count):
        views.see([start + 0.1 * i, 0.0, 0.0], **answers)


def test_views_that_agree_are_believed_and_headings_with_them(views):
    assert views.goal.place is None and not views.goal.known
    drive(views, 0.0, 12)
    assert views.goal.place == pytest.approx(GOAL[:2], abs=1e-6)
    assert views.goal.yaw == pytest.approx(GOAL[2])
    assert views.goal.known and views.goal.certain
    assert views.goal.scale < 0.3


def test_wrong_views_that_are_sure_of_it_are_outvoted(views):
    drive(views, 0.0, 14)
    drive(views, 1.4, 8, claimed=[-3.0, -2.0, -2.0], scale=0.15)
    assert views.goal.place == pytest.approx(GOAL[:2], abs=0.1)
    assert views.goal.yaw == pytest.approx(GOAL[2], abs=0.1)
    assert views.goal.known


def test_what_is_not_sure_hardly_counts(views):
    drive(views, 0.0, 6, scale=0.1)
    drive(views, 0.6, 30, claimed=[-3.0, -2.0, -2.0], scale=3.0)
    assert views.goal.place == pytest.approx(GOAL[:2], abs=0.2)
    assert not views.goal.certain  # by what is seen now


def test_the_same_view_seen_for_long_says_nothing_new(views):
    drive(views, 0.0, 6)
    for _ in range(200):
        views.see([0.55, 0.0, 0.0], claimed=[-3.0, -2.0, -2.0])
    assert views.goal.place == pytest.approx(GOAL[:2], abs=0.1)


def test_views_add_up_however_fast_the_camera_is(views):
    for i in range(120):  # a tenth of what counts as another view from frame to frame
        views.see([0.008 * i, 0.0, 0.0])
    views.see([1.1, 0.0, 0.0], claimed=[-3.0, -2.0, -2.0])
    views.see([1.2, 0.0, 0.0], claimed=[-3.0, -2.0, -2.0])
    assert views.goal.place == pytest.approx(GOAL[:2], abs=0.1)


def test_old_views_lose_their_say_with_the_way_driven(views):
    drive(views, 0.0, 8, scale=0.1)
    for i in range(300):  # round and round: odometry is worth less and less
        views.see([0.8, 0.0, 1.0 * i], scale=4.0)
    drive(views, 0.9, 6, claimed=[2.6, 1.0, 0.5], scale=0.1)
    assert views.goal.place == pytest.approx([2.6, 1.0], abs=0.1)


def test_views_that_agree_on_nothing_are_not_driven_to(views):
    rng = np.random.default_rng(0)
    for i in range(40):
        views.see([0.1 * i, 0.0, 0.0], claimed=[*rng.uniform(-8, 8, 2), 0.0])
    assert not views.goal.known


def test_what_was_refuted_begins_anew(views):
    drive(views, 0.0, 20)
    views.goal.refute()
    assert views.goal.place is None and not views.goal.known and not views.goal.certain
    views.see([0.0, 0.0, 0.0], claimed=[4.0, 0.0, 0.0])
    assert views.goal.place == pytest.approx([4.0, 0.0])
    assert not views.goal.certain
    drive(views, 0.1, CERTAIN_FRAMES, claimed=[4.0, 0.0, 0.0])
    assert views.goal.certain


def test_a_pose_needs_no_views():
    goal = GoalEstimate(PoseGoal(1.0, 2.0, 0.3), SimpleNamespace())
    assert goal.known and goal.certain and goal.yaw == 0.3
    assert goal.place == pytest.approx([1.0, 2.0])
    with pytest.raises(InputError, match='--goal-pictures-of'):
        GoalEstimate(PICTURE, SimpleNamespace(model=SimpleNamespace(goal_pose=None)))
