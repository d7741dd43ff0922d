# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""A teach drive before the drive that counts."""

from dataclasses import replace
import json
from pathlib import Path

import numpy as np
import pytest

from wm_controller.cli.main import run as wm
from wm_controller.errors import InputError
from wm_controller.evaluation.episodes import LoopSettings, run_episode
from wm_controller.evaluation.recorder import Keep
from wm_controller.evaluation.runner import make_guard
from wm_controller.evaluation.study import Study
from wm_controller.evaluation.tasks import BANDS, make_task, Repeat, room_of, TaskSpec
from wm_controller.planning.contract import ImageGoal, Plan, RouteGoal
from wm_controller.safety.geometry import relative

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


class Places:
    """What goes from one policy to the next by a file."""

    def __init__(self):
        self.read = None

    def save(self, path):
        path.write_text('taught')

    def load(self, path):
        self.read = path.read_text()


@pytest.fixture(scope='module')
def another_time():
    """A route, driven by hand, and begun anew in a changed room from somewhere on it."""
    repeat = Repeat(changed=True, backwards=True, anywhere=True)
    task = make_task(1, TaskSpec(2, 'evaluation', 'route', BANDS['near'], people=0, repeat=repeat))
    policies, rooms = [], []

    def policy(simulator, _):
        policies.append(Onlooker())
        policies[-1].wayfinder = Places()
        rooms.append(simulator)
        return policies[-1]
    settings = LoopSettings(teach=True, repeat=repeat, fixed_plan_s=0.02)
    episode = run_episode(replace(task, timeout_s=2.0), policy, lambda: make_guard(settings),
                          planner='none', settings=settings, keep=Keep(frame_period_s=None))
    return task, episode, policies, rooms


def test_a_route_is_driven_once_and_all_that_is_left_of_it_is_a_file(another_time):
    task, episode, (pupil, other), _ = another_time
    shown = np.array([each.pose for each in pupil.seen])
    assert np.hypot(*shown[-1, :2] - shown[0, :2]) > 1.5 and pupil.goal is None
    assert pupil.wayfinder.read is None and other.wayfinder.read == 'taught'
    assert other.goal == RouteGoal(backwards=True) and other.goal_at == 0
    assert episode.task.goal[:2] == pytest.approx(task.start[:2], abs=0.01)


def test_the_robot_is_set_down_on_the_way_and_odometry_begins_anew(another_time):
    task, episode, (pupil, other), (room, changed) = another_time
    assert np.hypot(*other.seen[0].pose[:2]) < 0.02 and other.seen[0].stamp < pupil.seen[-1].stamp
    track = np.array([each.pose for each in pupil.seen])  # in the frame of the first start
    start = relative(np.array(task.start), np.array(episode.task.start))
    assert np.hypot(*(track - start)[:, :2].T).min() < 0.2
    assert episode.off_route_m == pytest.approx(
        np.hypot(*(track - start)[:, :2].T).min(), abs=0.05)


def test_the_room_is_another_in_which_the_drive_is_judged_and_drawn(another_time):
    task, episode, _, (room, changed) = another_time
    assert episode.task.day > 0 and changed.room == room_of(episode.task)
    assert room.room == room_of(task) and changed.room.furniture != room.room.furniture
    assert changed.camera.exposure != room.camera.exposure
    assert changed.room.free(np.array([episode.task.start[:2], episode.task.goal[:2]]), 0.2).all()


def test_a_floor_beside_it_is_driven_on_the_same_tasks_and_the_report_says_how(tmp_path, capsys):
    code = wm(['evaluate', '--planner', 'straight', '--goal', 'route', '--band', 'near',
               '--episodes', '1', '--changed', '--backwards', '--workers', '1', '--json',
               '--out', str(tmp_path)])
    summary = json.loads(capsys.readouterr().out)
    assert code == 0 and summary['goal'] == 'route'
    assert summary['repeated'] == ['changed', 'backwards'] and 'p50' in summary['off_route_m']
    report = Path(summary['report']).read_text()
    assert '1 routes in rooms it has never seen: straight after a teach drive, changed' in report


@pytest.mark.parametrize('spec, line', [
    ({'goal_kind': 'pose', 'repeat': Repeat(changed=True)}, 'must be taught'),
    ({'goal_kind': 'image', 'repeat': Repeat(anywhere=True)}, 'must be taught'),
    ({'goal_kind': 'image', 'taught': True, 'repeat': Repeat(backwards=True)}, 'only a route')])
def test_what_was_not_taught_is_not_repeated(spec, line):
    with pytest.raises(InputError, match=line):
        TaskSpec(**spec)


def test_a_planner_without_places_is_refused_a_route():
    with pytest.raises(InputError, match="set planner to 'hierarchical'"):
        Study(TaskSpec(goal_kind='route', repeat=Repeat()), 'flat', 1)


def test_goals_may_lie_out_of_sight():
    assert any(make_task(i, SPEC).hidden for i in range(4))


def test_a_pose_needs_no_lesson():
    with pytest.raises(InputError, match='image goals'):
        TaskSpec(goal_kind='pose', taught=True)
