# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E402
"""`wm faults`: what its table promises, what it would notice, and some rows of it, for real."""

import json
import math

import numpy as np
import pytest

pytest.importorskip('rclpy')

from nav_msgs.msg import Odometry
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image, LaserScan

from wm_controller.cli.main import run as wm
from wm_controller.evaluation.faults.markdown import as_markdown
from wm_controller.evaluation.faults.promises import broken, Limits
from wm_controller.evaluation.faults.record import Command, Record, Said, Truth
from wm_controller.evaluation.faults.row import Row, Run
from wm_controller.evaluation.faults.soak import Memory, memory_figure, SOAKED
from wm_controller.evaluation.faults.table import FAULTS
from wm_controller.nodes import qos
from wm_controller.nodes.conversions import to_odometry, to_scan
from wm_controller.nodes.fault_injector import MISBEHAVIOURS
from wm_controller.nodes.images import to_image

LIMITS = Limits.of_robot()
PERIOD = 0.02
ALL = QoSProfile(depth=10, reliability=qos.BEST_EFFORT)


def drive(speed_at, seconds=2.0, turn_at=lambda t: 0.0, gaps=()):
    """A record of commands at 50 Hz: v and w as functions of time, nothing in the gaps."""
    record = Record()
    for k in range(round(seconds / PERIOD)):
        t = k * PERIOD
        if not any(low < t < high for low, high in gaps):
            record.commands.append(Command(t, 100.0 + t, speed_at(t), turn_at(t)))
            record.truth.append(Truth(t, (0.0, 0.0, 0.0), speed_at(t), turn_at(t)))
    record.bumps.append((0.0, 0))
    return record


def lines(record, **options):
    return broken(record, 0.0, 2.0, LIMITS, **options)


def test_a_drive_within_its_limits_breaks_no_promise():
    assert lines(drive(lambda t: min(1.0 * t, 0.5, max(0.0, 3.0 * (1.5 - t))))) == []


@pytest.mark.parametrize('record, words', [
    (drive(lambda t: math.nan if t == 1.0 else 0.2), 'not finite'),
    (drive(lambda t: 0.2, turn_at=lambda t: 1.6), 'out of limits'),
    (drive(lambda t: -0.3), 'out of limits'),
    (drive(lambda t: 0.4 * (t > 1.0)), 'the limit of acceleration'),
    (drive(lambda t: 0.5 * (t < 1.0)), 'the limit of braking'),
    (drive(lambda t: max(0.0, 0.5 - 6.0 * max(0.0, t - 1.0))), 'the limit of braking'),
    (drive(lambda t: 0.2, turn_at=lambda t: 1.0 * (t > 1.0)), 'turning acceleration'),
    (drive(lambda t: 0.2, gaps=[(1.0, 1.3)]), 'a gap of 0.3'),
    (drive(lambda t: 0.2, gaps=[(k / 10, k / 10 + 0.05) for k in range(20)]), 'of its rate'),
], ids=lambda value: value if isinstance(value, str) else '')
def test_a_broken_promise_is_named(record, words):
    assert [line for line in lines(record) if words in line], lines(record)


def test_a_gap_says_who_paused():
    record = drive(lambda t: 0.2, gaps=[(1.0, 1.3)])
    record.diagnostics.append(Said(1.6, 'guardrail', '', {'longest_gap_ms': '310.0'}))
    [line] = [line for line in lines(record) if 'gap' in line]
    assert '1.0 s after the beginning' in line
    assert 'the guardrail says 310 ms; the robot was silent for 0.3' in line


def test_a_contact_counts_only_where_the_robot_drives_into_it():
    into, beside = drive(lambda t: 0.3), drive(lambda t: 0.05)
    for record in (into, beside):
        record.bumps.append((1.0, 1))
    assert [line for line in lines(into) if 'contact while driving at 0.30 m/s' in line]
    assert lines(beside) == []


def test_a_gap_is_no_fault_of_a_guardrail_that_was_killed_nor_is_a_contact_in_it():
    record = drive(lambda t: 0.3, gaps=[(0.5, 1.2)])
    record.truth = drive(lambda t: 0.3).truth
    record.bumps.append((1.0, 1))
    assert lines(record, guarded=False) == [] != lines(record)
    assert broken(record, 0.6, 2.0, LIMITS, guarded=False) == [], 'killed before it said a word'
    record.bumps.append((1.9, 2))
    assert lines(record, guarded=False), 'the one after it has braked'


def test_a_guardrail_that_begins_anew_begins_from_standing_whatever_was_before():
    record = drive(lambda t: max(0.0, 0.4 * (t < 1.1)), gaps=[(0.5, 1.2)],
                   turn_at=lambda t: 1.5 * (t < 1.1))
    record.truth = drive(lambda t: 0.0).truth
    assert lines(record, guarded=False) == []
    assert [line for line in lines(record) if 'turning acceleration' in line]


def test_commands_paced_by_a_late_clock_are_judged_by_it():
    """A catch-up of simulated time moves stamps, and speeds, faster than the wall's clock."""
    record = Record(commands=[
        Command(k * PERIOD, 100.0 + 2.0 * k * PERIOD, min(0.5, 2.0 * k * PERIOD), 0.0)
        for k in range(100)])
    assert lines(record) == []


def test_names_are_unique_and_every_misbehaviour_has_its_row(capsys):
    assert wm(['faults', '--list', '--json']) == 0
    rows = json.loads(capsys.readouterr().out)
    names = [row['fault'] for row in rows]
    assert names == [fault.name for fault in FAULTS] and len(set(names)) == len(names)
    assert set(MISBEHAVIOURS) <= set(names)
    assert all(row['expected'] and row['injected'] and row['limit_s'] > 0 for row in rows)
    assert not {fault.name for fault in SOAKED} & {'controller_killed', 'guardrail_restarted'}


def test_an_unknown_fault_is_refused_in_one_line(capsys, tmp_path):
    assert wm(['faults', '--only', 'gremlins', '-o', str(tmp_path)]) == 2
    out, err = capsys.readouterr()
    assert out == '' and err.count('\n') == 1 and 'gremlins' in err and 'odom_lost' in err
    assert list(tmp_path.iterdir()) == []


def test_a_row_passes_only_when_every_run_of_it_does():
    row = Row(FAULTS[0])
    assert not row.passed
    row.runs += [Run(0.2), Run(0.5)]
    assert row.passed and row.as_dict()['reaction_s'] == 0.5
    assert '0.20 0.50 | passed' in as_markdown([row.as_dict()], '')
    row.runs.append(Run(None, ('it drove on',)))
    assert not row.passed and row.as_dict()['reaction_s'] is None
    assert 'it drove on' in as_markdown([row.as_dict()], '')


def test_memory_that_grows_is_told_from_memory_that_settles():
    at = np.arange(0.0, 600.0, 2.0)
    memory = Memory({
        ('settles', 1): [(t, 500.0 - 200.0 * math.exp(-t / 30.0)) for t in at],
        ('leaks', 2): [(t, 100.0 + 0.1 * t) for t in at],
        ('young', 3): [(t, 10.0 * t) for t in at[:20]]})
    found = {row['node']: row for row in memory.growth()}
    assert set(found) == {'settles', 'leaks'}
    assert found['leaks']['grows'] and found['leaks']['mib_per_hour'] == pytest.approx(360.0)
    assert not found['settles']['grows']
    assert memory_figure(memory).startswith('<svg') or '<svg' in memory_figure(memory)


@pytest.fixture
def middle(spawn_node, probe):
    """The man in the middle between a probe and itself: send(name, message) -> what came out."""
    spawn_node('wm_controller.nodes.fault_injector', '--ros-args')
    kinds = {'odom': Odometry, 'scan': LaserScan, 'image': Image}
    heard = {name: probe.listen(kind, name, ALL) for name, kind in kinds.items()}
    senders = {name: probe.publisher(kind, f'raw/{name}', qos.STATE)
               for name, kind in kinds.items()}

    def send(fault, name, *messages, wanted=1):
        assert probe.set_parameter('fault_injector', 'fault', fault).successful
        heard[name].clear()
        for message in messages:
            senders[name].publish(message)
            probe.spin(0.1)
        if wanted:
            probe.until(lambda: len(heard[name]) >= wanted, 10.0, f'{wanted} of {name}')
        return list(heard[name])
    send('none', 'odom', *[odometry(0.0)] * 20)  # until they have found each other
    return send


def odometry(x, stamp=5.0):
    return to_odometry(stamp, np.array([x, 0.0, 0.0]), np.array([0.1, 0.0]), 'odom', 'base_link')


def picture(level, stamp):
    return to_image(np.full((24, 32, 3), level, np.uint8), stamp, 'camera')


def test_the_man_in_the_middle_passes_on_faithfully_and_misbehaves_when_told(middle):
    passed, = middle('none', 'odom', odometry(2.0))
    assert passed == odometry(2.0)
    assert middle('odom_lost', 'odom', odometry(2.0), wanted=0) == []
    assert math.isnan(middle('odom_nan', 'odom', odometry(2.0))[0].pose.pose.position.x)
    assert [m.pose.pose.position.x for m in middle(
        'odom_jumping', 'odom', odometry(2.0), odometry(2.0), wanted=2)] == [2.0, 3.0]
    scan = to_scan(5.0, 'base_link', 0.0, math.pi / 2, 0.02, 8.0, np.array([1.0, 2.0, 3.0, 4.0]))
    assert list(middle('scan_rotated', 'scan', scan)[0].ranges) == [4.0, 1.0, 2.0, 3.0]
    assert middle('scan_nan', 'odom', odometry(2.0)) == [odometry(2.0)]  # the others' are whole
    frozen = middle('camera_frozen', 'image', picture(50, 1.0), picture(90, 2.0), wanted=2)
    assert [(m.header.stamp.sec, m.data[0]) for m in frozen] == [(1, 50), (2, 50)]
    swapped = middle('camera_out_of_order', 'image', picture(50, 1.0), picture(90, 2.0), wanted=2)
    assert [m.header.stamp.sec for m in swapped] == [2, 1]
    half, = middle('camera_wrong_size', 'image', picture(50, 1.0))
    assert (half.width, half.height, half.step, len(half.data)) == (16, 24, 48, 16 * 24 * 3)


@pytest.mark.slow
def test_rows_of_the_table_hold_over_real_processes(ros_domain, tmp_path, capsys):
    names = ['controller_hung', 'joystick_unplugged', 'guardrail_out_of_range']
    code = wm(['faults', '-o', str(tmp_path), '--json', '--markdown', str(tmp_path / 'faults.md'),
               *(word for name in names for word in ('--only', name))])
    out, err = capsys.readouterr()
    assert code == 0, err + out
    rows = json.loads(out)
    assert {row['fault'] for row in rows} == set(names)
    assert all(row['passed'] and 0.0 < row['reaction_s'] <= row['limit_s'] for row in rows)
    assert (tmp_path / 'faults.md').read_text().count('| passed |') == len(names)
    folder, = tmp_path.glob('*-faults')
    assert json.loads((folder / 'faults.json').read_text()) == rows
