# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The report's maps through a drive: what was considered, chosen and remembered, where it was."""

from dataclasses import replace
import json
import re

import cv2
import numpy as np
import pytest

from drives import floor, make_episode
from wm_controller.evaluation import moments, report
from wm_controller.evaluation.episodes import LoopSettings, run_episode
from wm_controller.evaluation.metrics import summarise
from wm_controller.evaluation.recorder import DriveRecorder, Keep
from wm_controller.evaluation.report import Run
from wm_controller.evaluation.runner import make_guard
from wm_controller.evaluation.tasks import make_task, TaskSpec
from wm_controller.memory.free_space import FreeSpace
from wm_controller.memory.place_map import PlaceMap, PlaceMapParameters
from wm_controller.planning.contract import Plan
from wm_controller.planning.outline import Outline, outline
from wm_controller.safety.geometry import compose

TURNED = np.array([4.0, 1.0, np.pi / 2])  # odom, in the world


def known(pose):
    """What may be known about a pose (3,): two places with a blocked way, a frontier, a wall."""
    memory = FreeSpace(0.18)
    for x in np.arange(-0.4, 0.5, 0.1):
        memory.occupy_track(0.0, compose(pose, [x, 0.0, 0.0]))
    memory.block(0.0, pose, 0.0)
    at = [compose(pose, [x, y, 0.0])[:2] for x, y in ((-1, 0), (-0.5, 0), (0, 0.5), (1, 1))]
    return Outline(np.array(at[:3]), np.array([[0, 1], [1, 2]]), np.array([False, True]),
                   np.array([0, 1]), np.array(at[3:]), np.array(at[3]), memory.known())


def with_moments(episode, every=20):
    """Give a drive moments, as its recorder would have kept them."""
    recorder, trace = DriveRecorder(episode.task), episode.trace
    for now, pose in list(zip(trace.t, trace.pose))[::every]:
        fan = np.stack([compose(pose, [[0, 0, 0], [0.4, y, 0], [0.8, 2.5 * y, 0]])
                        for y in np.linspace(-0.4, 0.4, 40)])
        far = compose(pose, [[0.5 * i, 0.05 * i * i, 0] for i in range(5)])
        plan = Plan(0.0, path=fan[22], candidates=fan, far_path=far, state='planning')
        recorder.moment(float(now), plan, known(pose), lambda poses: poses)
    return replace(episode, trace=replace(trace, moments=tuple(recorder._moments)))


@pytest.fixture(scope='module')
def episode():
    return with_moments(make_episode(2, collisions=1))


def page(*episodes, **more):
    summary = summarise(episodes, seed=1, model_digest='0123456789abcdef')
    run = Run('Drives', summary, episodes, {('evaluation', 7, 0): floor()}, **more)
    return report.render_html(run)


def drawn(text):
    return [json.loads(data) for data in
            re.findall(r'<script type="application/json">(.*?)</script>', text, re.DOTALL)]


def test_everything_is_kept_in_the_world_also_where_odometry_lies_elsewhere():
    recorder = DriveRecorder(make_episode().task)
    pose = np.array([1.0, 2.0, 0.0])
    plan = Plan(0.0, path=compose(pose, [[0, 0, 0], [0.5, 0, 0]]), state='planning')
    recorder.moment(0.0, plan, known(pose), lambda poses: compose(TURNED, poses))
    moment, = recorder._moments
    assert moment.plan.path == pytest.approx(np.array([[2.0, 2.0], [2.0, 2.5]]))
    assert moment.places == pytest.approx(np.array([[2.0, 1.0], [2.0, 1.5], [1.5, 2.0]]))
    assert moment.target == pytest.approx(np.array([[1.0, 3.0]]))
    # The wall that was felt ahead of the robot, by way of the picture and its matrix.
    cells = cv2.imdecode(np.frombuffer(moment.space, np.uint8), cv2.IMREAD_GRAYSCALE)
    rows, columns = np.nonzero(cells == 2)
    sheet = moments.Sheet(floor())
    a, b, c, d, e, f = map(float, re.findall(r'[-\d.]+', sheet.matrix(
        moment.space_pose, moment.cell_m)))
    shown = np.stack([a * (columns + .5) + c * (rows + .5) + e,
                      b * (columns + .5) + d * (rows + .5) + f], -1).mean(0)
    wall = compose(TURNED, compose(pose, [0.18 + 0.15, 0.0, 0.0]))[None, :2]
    assert shown == pytest.approx(sheet.points(wall)[0], abs=12)


def test_moments_are_kept_now_and_then_and_not_where_nobody_wants_them():
    for keep, kept in ((Keep(moment_period_s=1.0), 4), (Keep(moment_period_s=None), 0),
                       (Keep(trace=False), 0)):
        recorder = DriveRecorder(make_episode().task, keep)
        for t in np.arange(0, 3.95, 0.1):
            if recorder.wants_moment(t):
                recorder.moment(t, Plan(t), Outline(), lambda poses: poses)
        assert len(recorder._moments) == kept


def test_the_page_draws_what_was_considered_chosen_and_remembered(episode):
    text = page(episode)
    data, = drawn(text)
    assert 10 < len(data['moments']) == len(episode.trace.moments)
    moment = data['moments'][data['first']]
    # The recorder keeps some of the candidates, the page every other of their points.
    assert len(moment['fan']) == 24 and moment['fan'][0].count(',') == 2
    assert moment['chosen'].count(',') == 3 and moment['far'].count(',') == 5
    assert len(moment['places']) == 3 and moment['ways'] == [[0, 1]]
    assert moment['blocked'] == [[1, 2]] and len(moment['frontiers']) == 1
    assert moment['space'].startswith('data:image/png;base64,')
    assert '24 of the best candidates · 3 places, 1 way blocked' in moment['says']
    for name in ('widest choice', 'longest held back', 'bump', 'way found blocked', 'end'):
        assert f'>{name}</button>' in text
    assert 'class="bump"' in text
    links = re.findall(r'(?:src|href)="([^"#$]*)"', text)
    assert links and all(link.startswith('data:') for link in links)
    assert len(text) < 1_500_000


def test_points_of_the_page_lie_on_the_picture_of_the_room(episode):
    sheet, task = moments.Sheet(floor()), episode.task
    width, height = sheet.size
    made = moments.scrubber(floor(), episode)
    assert (width, height) == (made['width'], made['height']) == (921, 723)
    assert made['start'] == pytest.approx([
        100 * (task.start[0] + 0.12), height - 100 * (task.start[1] + 0.12)], abs=1.0)


def test_cuts_are_where_a_guardrail_took_speed(episode):
    trace = episode.trace
    spans = moments.cuts(trace)
    cut = np.zeros(len(trace.t), bool)
    for span in spans:
        cut[span.start:span.stop - 1] = True
    assert spans and (trace.limit[cut] < 0.98).all()
    assert not any('scan' in names for names in np.array(trace.reasons, object)[~cut])


def test_a_failed_drive_is_shown_moment_by_moment_and_one_without_moments_as_before(episode):
    failed = replace(with_moments(make_episode(1, arrive=0.5)), success=False)
    text = page(make_episode(0), failed, featured=1)
    assert len(drawn(text)) == 1 and 'drive 2, moment by moment' in text
    assert '<script' not in page(make_episode(0))


def test_what_a_drive_is_called_cannot_become_markup(episode):
    moment = replace(episode.trace.moments[0], t=0.0)
    trace = replace(episode.trace, moments=(moment,), reasons=(
        ('</script><script>alert(1)',),) * len(episode.trace.t))
    assert '<script>alert' not in page(replace(episode, trace=trace))


class Rememberer:
    """Drives a curve and remembers where it was."""

    uses_camera = False

    def __init__(self):
        self.memory, self.map = FreeSpace(0.18), PlaceMap(
            2, PlaceMapParameters(spacing=0.2))
        self.wayfinder, self.route, self.current = self, [], self.map
        self.target = self.pose = None

    def in_odom(self, poses):
        return np.asarray(poses)

    def reset(self):
        pass

    def set_goal(self, goal):
        self.target = np.array([goal.x, goal.y])

    def observe(self, observation):
        self.stamp, self.pose = observation.stamp, observation.pose
        self.memory.occupy_track(self.stamp, self.pose)
        self.map.update(self.stamp, self.pose, np.zeros(2), bytes)

    def plan(self, now, deadline_s):
        ahead = compose(self.pose, [[0, 0, 0], [0.2, 0, 0]])
        return Plan(self.stamp, v=0.3, w=0.2, path=ahead, candidates=ahead[None],
                    state='planning')


def test_a_drive_keeps_what_its_pilot_remembers_where_it_truly_was():
    settings = LoopSettings(fixed_plan_s=0.04)
    task = replace(make_task(0, TaskSpec(seed=1, people=0)), timeout_s=6.0)
    found = run_episode(task, lambda *_: Rememberer(), lambda: make_guard(settings),
                        planner='stub', settings=settings, keep=Keep(frame_period_s=None))
    kept = found.trace.moments
    assert [moment.t for moment in kept] == pytest.approx([0.0, 2.0, 4.0], abs=0.15)
    last = kept[-1]
    driven = found.trace.pose[found.trace.t <= last.t]
    assert last.target[0] == pytest.approx(np.array(task.goal[:2]), abs=0.3)
    assert len(last.places) >= 2
    for place in last.places:
        assert np.hypot(*(driven[:, :2] - place).T).min() < 0.3
    cells = cv2.imdecode(np.frombuffer(last.space, np.uint8), cv2.IMREAD_GRAYSCALE)
    rows, columns = np.nonzero(cells == 1)
    free = compose(last.space_pose, np.stack([
        0.1 * (columns + 0.5), 0.1 * (rows + 0.5), np.zeros(len(rows))], -1))[:, :2]
    for pose in driven:
        assert np.hypot(*(free - pose[:2]).T).min() < 0.2
    assert all(np.hypot(*(driven[:, :2] - at).T).min() < 0.4 for at in free)


def test_of_thousands_of_places_the_nearest_are_shown_with_their_ways():
    pilot = Rememberer()
    for i in range(900):
        pilot.map.places.add([0.5 * i, 0.0, 0.0], np.zeros(2), 0.0)
        if i:
            pilot.map.ways.join(i - 1, i, 1.0, np.zeros(3), np.full(3, np.inf))
    pilot.route = [398, 399, 400, 401]
    shown = outline(pilot, 0.0, np.zeros(3))
    assert len(shown.places) == 400 and shown.places[:, 0].max() == 0.5 * 399
    assert shown.ways.tolist() == [[i, i + 1] for i in range(399)]
    assert shown.route.tolist() == [398, 399]
