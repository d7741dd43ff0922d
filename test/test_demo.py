# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""`wm demo` over real processes, and what it is made of."""

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import time

import psutil
import pytest

from drives import small_bundle
from rerun_reading import read_log

pytest.importorskip('rclpy')

from wm_controller.cli.main import run as wm  # noqa: E402
from wm_controller.evaluation.processes import (  # noqa: E402
    Graph,
    NodeDied,
    NodeSpec,
    ros_environment,
)
from wm_controller.nodes.demo_client import RosClock  # noqa: E402


class Script(NodeSpec):
    """A process that runs a line of Python in place of a node."""

    def arguments(self):
        return [sys.executable, '-c', self.parameters['code']]


def until(condition, timeout_s=30.0):
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


def test_parameters_reach_a_node_as_ros_reads_them():
    spec = NodeSpec(
        'simulator',
        {
            'people': -1,
            'family': 'training',
            'headless': True,
            'start_pose': [1.0, -2.5, 0.0],
            'model': "it's",
        },
    )
    given = spec.arguments()
    assert given[1:4] == ['-m', 'wm_controller.nodes.simulator', '--ros-args']
    assert given[4::2] == ['-p'] * 5
    assert given[5::2] == [
        'people:=-1',
        "family:='training'",
        'headless:=true',
        'start_pose:=[1.0, -2.5, 0.0]',
        "model:='it''s'",
    ]


def test_the_graph_is_alone_unless_the_user_says_otherwise(monkeypatch):
    monkeypatch.delenv('ROS_DOMAIN_ID', raising=False)
    alone = ros_environment()
    assert 1 <= int(alone['ROS_DOMAIN_ID']) <= 100
    assert alone['FASTDDS_DEFAULT_PROFILES_FILE'].endswith('fastdds.xml')
    monkeypatch.setenv('ROS_DOMAIN_ID', '42')
    assert ros_environment()['ROS_DOMAIN_ID'] == '42'


def test_a_dead_node_is_named_with_its_last_line(tmp_path):
    script = Script('camera', {'code': 'print("lens missing"); raise SystemExit(3)'})
    with Graph([script], tmp_path, os.environ) as graph:

        def died():
            try:
                graph.check()
            except NodeDied as death:
                return str(death)
            return ''

        assert until(died)
        line = died()
    assert re.fullmatch(r'the camera node ended \(exit code 3\): lens missing \(log: .*\)', line)


def test_every_process_ends_with_the_block_even_a_stubborn_one(tmp_path, monkeypatch):
    monkeypatch.setattr('wm_controller.evaluation.processes.PATIENCE_S', (0.3, 0.3, 5.0))
    stubborn = (
        'import signal, time\n'
        'for s in (signal.SIGINT, signal.SIGTERM): signal.signal(s, signal.SIG_IGN)\n'
        'print("ready", flush=True)\ntime.sleep(60)'
    )
    polite = 'print("ready", flush=True)\nimport time; time.sleep(60)'
    nodes = [Script('stubborn', {'code': stubborn}), Script('polite', {'code': polite})]
    before = set(psutil.Process().children())  # another test's resource tracker, say
    with pytest.raises(KeyboardInterrupt), Graph(nodes, tmp_path, os.environ) as graph:
        assert until(lambda: all(graph.log_tail(n.module) for n in nodes))
        children = set(psutil.Process().children()) - before
        raise KeyboardInterrupt
    assert len(children) == 2
    assert not any(child.is_running() and child.status() != 'zombie' for child in children)


def test_a_node_runs_once_at_a_time_and_one_that_was_stopped_is_not_missed(tmp_path):
    code = 'print("ready", flush=True)\nimport time; time.sleep(60)'
    waiting = Script('waiting', {'code': code})
    with Graph([waiting], tmp_path, os.environ) as graph:
        assert until(lambda: graph.log_tail('waiting'))
        with pytest.raises(RuntimeError, match='the waiting node runs already'):
            graph.start(waiting)
        process = graph.process('waiting')
        graph.stop_node('waiting')
        assert process.poll() is not None and not graph.pids()
        graph.check()
        assert graph.start(waiting).pid == graph.pids()['waiting']


def test_ros_time_follows_the_quickest_message():
    clock = RosClock(pace=1.0)
    clock.heard(10.00, 100.000)
    clock.heard(10.02, 100.060)  # 40 ms late
    assert clock.now(100.060) == pytest.approx(10.060)
    clock.heard(13.00, 103.000)  # the first two are forgotten
    assert clock.now(103.010) == pytest.approx(13.010)


def test_an_unknown_model_is_refused_before_anything_starts(capsys, tmp_path):
    assert wm(['demo', '--model', 'no_such.safetensors', '--out', str(tmp_path)]) == 2
    assert capsys.readouterr().err.count('\n') == 1
    assert list(tmp_path.iterdir()) == []


def start_demo(tmp_path, *more):
    model = small_bundle(tmp_path / 'small.safetensors')
    return subprocess.Popen(
        [sys.executable, '-m', 'wm_controller.cli.main', 'demo', '--model', str(model),
         '--room-seed', '7', '--people', '0', '--out', str(tmp_path / 'runs'), *more],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # fmt: skip


def descendants(process):
    try:
        return psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


@pytest.mark.slow
def test_the_demo_drives_over_real_processes_and_reports(tmp_path):
    logged = ['--rerun'] if importlib.util.find_spec('rerun') else []  # the extra `rerun`
    process = start_demo(tmp_path, '--goals', '2', '--timeout', '4', '--json', *logged)
    out, err = process.communicate(timeout=240)
    # An untrained model reaches nothing: a negative result, and a whole report.
    assert process.returncode in (0, 1), err
    summary = json.loads(out)
    assert summary['episodes'] == 2 and summary['goal'] == 'pose'
    assert summary['plans'] > 8 and summary['control_rate_hz'] > 1.0
    assert 5.0 < summary['latency_ms']['p50'] < 1000.0
    assert set(summary['memory_mib']) == {'controller', 'guardrail', 'simulator'}
    directory = next((tmp_path / 'runs').iterdir())
    assert {path.name for path in directory.iterdir()} == {
        'summary.json',
        'episodes.csv',
        'report.html',
        'drive.mp4',
        'logs',
        *(['drive_000.rrd', 'drive_001.rrd'] if logged else []),
    }
    if logged:
        found, static = read_log(directory / 'drive_001.rrd', 'sim_time')
        assert {'/camera/image', '/world/scan', '/world/robot', '/speed/admitted',
                '/speed/measured', '/plan_ms', '/world/memory/places'} <= set(found)
        assert '/world/walls' in static


@pytest.mark.slow
def test_ctrl_c_leaves_no_process_behind(tmp_path):
    process = start_demo(tmp_path, '--goals', '1')
    try:
        assert until(lambda: len(descendants(process)) >= 3)
        nodes = descendants(process)
        time.sleep(1.0)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130 and 'Traceback' not in err
    assert until(lambda: not any(node.is_running() for node in nodes), 5.0)


@pytest.mark.slow
def test_a_node_that_dies_ends_the_demo_with_one_line(tmp_path):
    process = start_demo(tmp_path, '--goals', '1')
    try:
        assert until(
            lambda: any('simulator' in ' '.join(n.cmdline()) for n in descendants(process))
        )
        time.sleep(2.0)
        victim = [n for n in descendants(process) if 'simulator' in ' '.join(n.cmdline())][0]
        victim.kill()
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 2
    last = err.strip().splitlines()[-1]
    assert last.startswith('wm demo: the simulator node ended (signal 9)')
    assert 'Traceback' not in err
