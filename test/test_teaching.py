# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""A teach drive before the drive that counts."""

import numpy as np
import pytest

from wm_controller.errors import InputError
from wm_controller.evaluation.episodes import LoopSettings, run_episode
from wm_controller.evaluation.recorder import Keep
from wm_controller.evaluation.runner import make_guard
from wm_controller.evaluation.tasks import BANDS, make_task, TaskSpec
from wm_controller.planning.contract import ImageGoal, Plan

SPEC = TaskSpec(2, 'evaluation', 'image', BANDS['mid'], people=0, taught=True)


class Onlooker:
    """Notes what it is shown, and drives nowhere."""

    def __init__(self):
        self.seen, self.goal, self.goal_at = [], None, None

    def reset(self):
        self.seen.clear()

    def set_goal(self, goal):
        self.goal, self.goal_at = goal, len(self.seen)

    def observe(self, observation):
        self.seen.append(observation)

    def plan(self, now, deadline_s):
        return Plan(self.seen[-1].stamp, state='lost')


@pytest.fixture(scope='module')
def taught():
    task, onlooker = make_task(1, SPEC), Onlooker()
    settings = LoopSettings(teach=True, fixed_plan_s=0.02)
    episode = run_episode(task, lambda simulator, _: onlooker, lambda: make_guard(settings),
                          planner='none', settings=settings, keep=Keep(frame_period_s=None))
    return task, onlooker, episode


def test_it_is_shown_the_way_there_and_back_before_the_goal_is_set(taught):
    task, onlooker, episode = taught
    shown = np.array([each.pose for each in onlooker.seen[:onlooker.goal_at]])
    away = np.hypot(*(shown[:, :2] - shown[0, :2]).T)
    straight = np.hypot(*np.subtract(task.goal[:2], task.start[:2]))
    assert away.max() > 0.8 * straight
    assert away[-1] < 0.5 and away.argmax() < 0.8 * len(away)


def test_the_picture_is_what_was_seen_where_the_way_ends(taught):
    task, onlooker, episode = taught
    assert isinstance(onlooker.goal, ImageGoal)
    assert np.hypot(*np.subtract(episode.task.goal[:2], task.goal[:2])) < 0.4
    off = [np.abs(each.image.astype(int) - onlooker.goal.image).mean() for each in onlooker.seen]
    turning_point = int(np.argmin(off))
    assert off[turning_point] < 6.0 and 0.2 < turning_point / onlooker.goal_at < 0.8


def test_the_drive_counts_from_where_the_lesson_ended(taught):
    task, onlooker, episode = taught
    assert np.hypot(*np.subtract(episode.task.start[:2], task.start[:2])) < 0.4
    assert episode.distance_m < 0.3 and episode.collisions == 0
    assert episode.duration_s == pytest.approx(episode.task.timeout_s, abs=0.1)
    assert episode.trace.t[0] < 0.1
    assert episode.final_distance_m > 1.0 and not episode.success


def test_goals_may_lie_out_of_sight():
    assert any(make_task(i, SPEC).hidden for i in range(4))


def test_a_pose_needs_no_lesson():
    with pytest.raises(InputError, match='image goals'):
        TaskSpec(goal_kind='pose', taught=True)
