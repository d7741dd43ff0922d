# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""`--rerun`: the log of a drive, read back from its file as the viewer reads it."""

from dataclasses import replace
import json
import sys

import numpy as np
import pytest

from drives import floor, make_episode
from learned import with_decoder
from rerun_reading import read_log
from test_field_report import FieldBag
from wm_controller.cli.main import run as wm
from wm_controller.evaluation.detail import Detail
from wm_controller.evaluation.episodes import LoopSettings, run_episode
from wm_controller.evaluation.recorder import Keep
from wm_controller.evaluation.records import Moment, PlanTrace
from wm_controller.evaluation.rerun_log import log_episode
from wm_controller.evaluation.runner import Job, make_guard, policy_factory
from wm_controller.evaluation.tasks import make_task, room_of, TaskSpec

NOWHERE = np.zeros((0, 2), np.float32)


@pytest.fixture
def needs_rerun():
    pytest.importorskip('rerun', reason='extra rerun')


def detailed():
    """Return a drive with something of everything."""
    episode = make_episode(collisions=1)
    trace = episode.trace
    detail = Detail()
    for t in trace.t:
        detail.measure(t, 0.3, 0.1)
        detail.scan(t, np.array([[1.0, 2.0], [3.0, 4.0]]))
        detail.think(t, surprise=0.25, plan_s=0.04)
        if detail.wants_picture(t):
            detail.imagine(t, np.zeros((8, 48, 3), np.uint8))
    detail.think(99.0)  # says nothing
    places = np.array([[0, 0], [1, 0], [1, 1]], np.float32)
    moment = Moment(
        2.0, PlanTrace(2.0, places, None), places, places[:1], places,
        np.array([[0, 1], [1, 2]], np.int16), np.array([False, True]), np.array([0, 1], np.int16),
        NOWHERE)
    return replace(episode, trace=replace(trace, detail=detail, moments=(moment,)))


def test_a_log_holds_what_was_seen_thought_and_done(needs_rerun, tmp_path):
    episode = detailed()
    trace, count = episode.trace, len(episode.trace.t)
    log_episode(tmp_path / 'drive.rrd', episode, floor())
    found, static = read_log(tmp_path / 'drive.rrd', 'sim_time')
    rows = {name: len(times) for name, (times, _) in found.items()}
    assert rows.pop('/guardrail/reasons') < count  # when they change
    assert rows == {
        '/world/robot': count, '/guardrail/limit': count, '/surprise': count, '/plan_ms': count,
        **{f'/{what}/{whose}': count for what in ('speed', 'turn')
           for whose in ('wanted', 'admitted', 'measured')},
        '/camera/image': len(trace.frames), '/camera/imagined': len(trace.detail.imagined),
        '/world/scan': count, '/world/bumps': 1, '/world/plan/chosen': count,
        '/world/plan/candidates': len([p for p in trace.plans if p.fan is not None]),
        '/world/plan/far': 1,
        **{f'/world/memory/{name}': 1 for name in (
            'places', 'ways', 'blocked', 'route', 'frontiers', 'target', 'space')}}
    assert {'/world/walls', '/world/driven', '/world/goal', '/speed/wanted'} <= static
    times, values = found['/speed/admitted']
    assert times == pytest.approx(trace.t, abs=1e-6)
    assert np.ravel(values) == pytest.approx(trace.admitted[:, 0])
    assert np.ravel(found['/plan_ms'][1]) == pytest.approx(40.0)
    assert bytes(found['/camera/image'][1][0][0]) == trace.frames[0][1]
    assert np.array(found['/world/plan/chosen'][1][5][0])[:, :2] == pytest.approx(
        trace.plans[5].path, abs=1e-5)
    ways, = found['/world/memory/ways'][1]
    assert np.array(ways)[..., :2].tolist() == [[[0, 0], [1, 0]]]
    assert not list(tmp_path.glob('.*'))


def test_a_drive_is_logged_as_the_simulator_and_the_planner_have_it(needs_rerun, tmp_path):
    bundle = with_decoder(tmp_path / 'small.safetensors')
    task = replace(make_task(0, TaskSpec(seed=1, people=0)), timeout_s=2.0)
    settings = LoopSettings(fixed_plan_s=0.04)
    job = Job(TaskSpec(seed=1, people=0), 'flat', bundle)
    kept = run_episode(task, policy_factory(job, settings), lambda: make_guard(settings),
                       planner='flat', settings=settings, keep=Keep.everything())
    log_episode(tmp_path / 'drive.rrd', kept)
    found, _ = read_log(tmp_path / 'drive.rrd', 'sim_time')
    assert {'/camera/imagined', '/world/plan/candidates', '/surprise'} <= set(found)
    for name in ('/world/scan', '/camera/image', '/speed/measured'):
        assert 19 <= len(found[name][0]) <= 21, name
    # The scan is drawn where the walls are, round the robot.
    scan = np.array(found['/world/scan'][1][0])[:, :2]
    assert np.median(np.abs(room_of(task).distance(scan))) < 0.1


def test_wm_evaluate_writes_a_log_of_the_first_drives(needs_rerun, tmp_path, capsys):
    assert wm(['evaluate', '--planner', 'straight', '--episodes', '1', '--seed', '1', '--people',
               '0', '--band', 'near', '--workers', '1', '--rerun', '--json', '--out',
               str(tmp_path)]) == 0
    summary = json.loads(capsys.readouterr()[0])
    assert summary['rerun'] == ['drive_000.rrd']
    folder, = tmp_path.iterdir()
    found, static = read_log(folder / 'drive_000.rrd', 'sim_time')
    assert {'/world/scan', '/camera/image', '/speed/measured', '/world/robot'} <= set(found)
    assert '/world/walls' in static


def test_wm_report_logs_what_a_bag_holds(needs_rerun, tmp_path, capsys):
    FieldBag().drive().write(tmp_path / 'walk')
    assert wm(['report', str(tmp_path / 'walk'), '--rerun', '--json', '-o',
               str(tmp_path / 'runs')]) == 0
    summary = json.loads(capsys.readouterr()[0])
    assert summary['rerun'] == ['drive_000.rrd']
    folder, = (tmp_path / 'runs').iterdir()
    found, static = read_log(folder / 'drive_000.rrd', 'bag_time')
    speed = np.ravel(found['/speed/measured'][1])
    assert speed.max() == pytest.approx(0.5) and speed.min() == 0.0
    assert [text[0].split(':')[0] for text in found['/guardrail/reasons'][1]][0] == 'auto'
    assert {'/camera/image', '/world/robot', '/surprise'} <= set(found)
    assert '/world/driven' in static


def test_without_the_package_one_line_says_how_to_get_it(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, 'rerun', None)
    for verb in (['evaluate', '--planner', 'straight', '--out', str(tmp_path)],
                 ['report', str(tmp_path), '-o', str(tmp_path / 'runs')],
                 ['demo', '--out', str(tmp_path)]):
        assert wm([*verb, '--rerun']) == 2
        error = capsys.readouterr()[1]
        assert error.count('\n') == 1 and "pip install -c constraints.txt 'wm_contr" in error
    assert not list(tmp_path.iterdir())


def test_the_demo_reads_back_what_the_memory_topic_says():
    pytest.importorskip('rclpy')
    from visualization_msgs.msg import MarkerArray

    from wm_controller.nodes.demo_detail import read_outline
    from wm_controller.nodes.memory_outlet import MemoryOutlet
    from wm_controller.planning.outline import Outline

    class Node:
        def create_lifecycle_publisher(self, *_):
            return None

    known = Outline(
        places=np.array([[0.0, 0.1], [1.0, 0.0], [1.0, 1.0]]), ways=np.array([[0, 1], [1, 2]]),
        blocked=np.array([False, True]), route=np.array([0, 1, 2]),
        frontiers=np.array([[3.0, 3.0]]), target=np.array([3.0, 3.0]))
    markers = MarkerArray(markers=list(MemoryOutlet(Node())._markers(known, 1.0, np.zeros(3))))
    found = read_outline(markers)
    for name in ('places', 'ways', 'blocked', 'route', 'frontiers', 'target'):
        assert np.array_equal(getattr(found, name), getattr(known, name)), name
    nothing = read_outline(MarkerArray(markers=list(
        MemoryOutlet(Node())._markers(Outline(), 1.0, np.zeros(3)))))
    assert nothing.target is None and not len(nothing.places) and not len(nothing.ways)
