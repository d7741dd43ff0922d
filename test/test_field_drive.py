# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E402
"""
From the robot to the report: what happened on a drive is what the bags, and the report, say.

Guardrail and recorder are real processes; the drive has one takeover, one hold and one stop.
"""

import json
from pathlib import Path

import pytest

pytest.importorskip('rclpy')

from diagnostic_msgs.msg import DiagnosticArray

from field_drive import finish, Robot, wm
from ros_probe import Probe, values_of
from wm_controller.data.bags import Bag
from wm_controller.data.dataset import Dataset

GUARDRAIL, RECORDER = 'wm_controller.nodes.guardrail', 'wm_controller.nodes.recorder'


def test_a_drive_is_recorded_reported_and_ingested(ros_domain, spawn_node, tmp_path):
    folder = tmp_path / 'recordings'
    with Probe() as probe:
        guardrail = spawn_node(GUARDRAIL, '--ros-args')
        recorder = spawn_node(RECORDER, '--ros-args', '-p', f'folder:={folder}', '-p',
                              'before_s:=0.8', '-p', 'after_s:=0.8', '-p', 'record_all:=true')
        robot = Robot(probe)
        probe.until(robot.is_heard, what='the recorder and the guardrail')
        figures = probe.listen(DiagnosticArray, '/diagnostics', keep=lambda m: m.status[0].message)
        probe.until(lambda: 'recording the drive' in figures, what='the recorder to hear a mode')
        robot.intervene(1.2)
        finish(recorder)
        finish(guardrail)

    names = sorted(path.name for path in folder.iterdir())
    assert [name.split('-')[1] for name in names] == ['drive', 'takeover', 'hold', 'stop'], names
    noted = [json.loads((folder / name / 'intervention.json').read_text()) for name in names[1:]]
    events = [event for notes in noted for event in notes['events']]
    assert [(e['kind'], e['mode_before'], e['mode_after']) for e in events] == [
        ('takeover', 'auto', 'teleop'), ('hold', 'auto', 'hold'), ('stop', 'auto', 'stopped')]
    assert 'surprise' in events[1]['reason'] and 'emergency stop' in events[2]['reason']
    assert all(0.1 < event['pose'][0] < 5.0 for event in events)
    for name, event in zip(names[1:], events):
        with Bag(folder / name) as bag:
            times = [message.receipt_s for _, message in bag.messages(list(bag.topics))]
            assert {'/image/compressed', '/odom', '/scan', '/cmd_vel', '/cmd_vel_auto',
                    '/guardrail/status', '/controller/status', '/goal_pose',
                    '/surprise'} <= set(bag.topics)
        assert min(times) == pytest.approx(event['time_s'] - 0.8, abs=0.3)
        assert max(times) >= event['time_s'] + 0.75

    code, out, err = wm('report', folder, '-o', tmp_path / 'runs', '--json')
    assert (code, err) == (0, ''), err
    summary = json.loads(out)
    found = summary['interventions']
    assert {kind: found[kind]['count'] for kind in ('takeover', 'hold', 'stop', 'total')} == {
        'takeover': 1, 'hold': 1, 'stop': 1, 'total': 3}
    assert len(summary['drives']) == 1 and len(summary['notes']) == 3, 'no moment counts twice'
    assert summary['missing'] == []
    assert summary['distance_m'] == pytest.approx(robot.way, rel=0.05)
    assert summary['mode_m']['auto'] == pytest.approx(robot.ways['auto'], rel=0.15)
    assert summary['mode_m']['teleop'] == pytest.approx(robot.ways['teleop'], rel=0.15, abs=0.05)
    assert found['total']['per_km']['rate'] == pytest.approx(
        3000.0 / summary['mode_m']['auto'], rel=1e-6)
    assert [goal['outcome'] for goal in summary['goals']] == ['reached']
    assert summary['latency_ms']['p50'] < 100.0
    page = Path(summary['report']).read_text()
    assert page.count('alt="Camera at event') == 3
    assert 'http://' not in page.replace('http://www.w3.org', '') and 'https://' not in page

    code, out, err = wm('ingest', *(folder / name for name in names), '-o', tmp_path / 'd.h5',
                        '--min-steps', 4, '--max-gap', 1.0, '--json')
    assert code == 0, err
    with Dataset.open(tmp_path / 'd.h5') as data:
        assert data.n_steps > 20
    assert {bag['topics']['command'] for bag in json.loads(out)['bags']} == {'/cmd_vel'}


def test_a_marked_moment_of_a_robot_among_many_and_a_folder_that_cannot_be(
        ros_domain, spawn_node, probe, tmp_path):
    (tmp_path / 'taken').write_text('a file where the folder should be')
    good, bad = (
        spawn_node(RECORDER, '--ros-args', '-r', f'__ns:=/{name}', '-p', f'folder:={folder}',
                   '-p', 'after_s:=30.0')
        for name, folder in (('robot1', tmp_path / 'good'), ('robot2', tmp_path / 'taken')))
    figures = probe.listen(DiagnosticArray, '/diagnostics', keep=lambda m: m.status[0])
    assert probe.call('/robot1/recorder/mark').success
    answer = probe.call('/robot2/recorder/mark')
    assert not answer.success and 'exists' in answer.message.lower()
    probe.until(lambda: any('robot2' in s.name and 'recording nothing: ' in s.message
                            for s in figures), what='the diagnostics')
    (tmp_path / 'taken').unlink()
    probe.until(lambda: any(values_of(s)['recording'] == 'mark' for s in figures
                            if 'robot2' in s.name), 60.0, 'recording again')
    for node in (good, bad):
        node.send_signal(2)
        assert node.wait(20) == 0
    assert bad.log.read_text().count('cannot record') == 1
    assert not list(tmp_path.rglob('.partial*'))
