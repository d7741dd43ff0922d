# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""`wm report` on bags whose content is known to the metre: what it counts, and what it refuses."""

import json
from pathlib import Path

import numpy as np
import pytest

from bag_maker import Drive, Messages
from wm_controller.cli.main import run
from wm_controller.evaluation.field_tally import poisson_interval, rate
from wm_controller.safety.modes import ENDING
from wm_controller.teleop.interventions import FILE

RECORDINGS = Path(__file__).parents[2] / 'shared' / 'recordings'
needs_recordings = pytest.mark.skipif(
    not RECORDINGS.is_dir(), reason=f'no recordings at {RECORDINGS}')
STATUS = 'diagnostic_msgs/msg/DiagnosticStatus'
SPEED = 0.5

# Mode and seconds: 60 s of autonomy at 0.5 m/s in three stretches, ended by one of each kind.
SCRIPT = (('auto', 20), ('teleop', 10), ('hold', 5), ('auto', 30), ('hold', 5), ('auto', 10),
          ('stopped', 5))


class FieldBag(Messages):
    """Says what the nodes of a robot say; it drives in auto and teleop, and stands otherwise."""

    def __init__(self, prefix='/', start=1000.0):
        super().__init__()
        self.prefix, self.start = prefix, start
        self.x, self.camera = 0.0, Drive(duration_s=1.0)

    def add_status(self, at, topic='guardrail/status', message='', **values):
        pair = self.store.types['diagnostic_msgs/msg/KeyValue']
        self.add(self.prefix + topic, STATUS, at, self.store.types[STATUS](
            0, 'node', message, '', [pair(key, value) for key, value in values.items()]))

    def add_number(self, topic, at, value):
        kind = 'std_msgs/msg/Float32'
        self.add(self.prefix + topic, kind, at, self.make(kind, data=float(value)))

    def drive(self, script=SCRIPT, odometry=True, guardrail=True, camera=True, others=True):
        at = self.start
        for mode, seconds in script:
            speed = SPEED if mode in ('auto', 'teleop') else 0.0
            for tick in range(10 * seconds):
                if guardrail and tick % 10 == 0:
                    self.add_status(at, mode=mode, limit='1', source='none', reasons=(
                        'acceleration,obstacle' if mode == 'auto' and tick >= 10 * seconds - 20
                        else 'autonomy_off' if mode == 'hold' else ''))
                if odometry:
                    self.add_odometry(at + 0.01, (self.x, 0.0, 0.0), speed, 0.0,
                                      topic=f'{self.prefix}odom')
                    self.x += 0.1 * speed
                if camera and tick % 5 == 0:
                    self.add_compressed(at + 0.02, self.camera.image(1000.3),
                                        topic=f'{self.prefix}image/compressed')
                if others:
                    self.add_number('surprise', at, 0.2)
                    if mode == 'auto':
                        self.add_command(at - 0.03, speed, 0.0, True,
                                         topic=f'{self.prefix}cmd_vel_auto', receipt=at + 0.05)
                at += 0.1
        return self

    def skip_odometry(self, begin, end):
        self.rows = [row for row in self.rows if not (
            row[0].endswith('odom') and begin <= row[2] - self.start < end)]
        return self


@pytest.fixture
def report(tmp_path, capsys):
    """Run `wm report`: (summary, page)."""
    def make(*arguments):
        code = run(['report', *map(str, arguments), '-o', str(tmp_path / 'runs'), '--json'])
        out, err = capsys.readouterr()
        assert (code, err) == (0, ''), err
        summary = json.loads(out)
        page = Path(summary['report']).read_text()
        kept = json.loads((Path(summary['report']).parent / 'summary.json').read_text())
        assert kept == {key: value for key, value in summary.items() if key != 'report'}
        return summary, page
    return make


@pytest.fixture
def refused(tmp_path, capsys):
    """Run `wm report` and expect exit code 2, one line, and no folder of a run."""
    def make(*arguments):
        code = run(['report', *map(str, arguments), '-o', str(tmp_path / 'runs')])
        out, err = capsys.readouterr()
        assert (code, out, err.count('\n')) == (2, '', 1), (code, out, err)
        assert not (tmp_path / 'runs').exists()
        return err
    return make


@pytest.mark.parametrize(('count', 'low', 'high'), [
    (0, 0.0, 3.6889), (1, 0.0253, 5.5716), (3, 0.6187, 8.7673), (10, 4.7954, 18.3904),
    (100, 81.3639, 121.6273)])
def test_intervals_are_those_of_the_tables(count, low, high):
    assert poisson_interval(count) == pytest.approx((low, high), abs=1e-3)
    assert rate(count, 2.0)['ci95'] == pytest.approx([low / 2, high / 2], abs=1e-3)


def test_no_exposure_gives_no_rate():
    assert rate(0, 0.0) is None and rate(1, None) is None


def test_everything_is_counted_as_it_was_driven(tmp_path, report):
    summary, page = report(FieldBag().drive().write(tmp_path / 'drive'))
    assert summary['missing'] == ['no controller/status: goals and their outcomes: unknown']
    assert summary['mode_s'] == pytest.approx(
        {'auto': 60, 'teleop': 10, 'hold': 10, 'stopped': 5, 'unknown': 0}, abs=0.2)
    assert summary['mode_m'] == pytest.approx(
        {'auto': 30, 'teleop': 5, 'hold': 0, 'stopped': 0, 'unknown': 0}, abs=0.1)
    assert summary['standing_s'] == pytest.approx(15, abs=0.5)
    assert summary['speed_m_s']['auto']['max'] == pytest.approx(SPEED)
    found = summary['interventions']
    assert {kind: found[kind]['count'] for kind in ('takeover', 'hold', 'stop', 'total')} == {
        'takeover': 1, 'hold': 1, 'stop': 1, 'total': 3}
    assert found['total']['per_km']['rate'] == pytest.approx(100.0, rel=0.01)
    assert found['total']['per_hour']['rate'] == pytest.approx(180.0, rel=0.01)
    assert found['between']['mean_m'] == pytest.approx(10.0, rel=0.01)
    assert found['events'][1]['pose'][0] == pytest.approx(30.0, abs=0.1)
    limits = summary['guardrails']
    assert set(limits['reasons']) == {'obstacle'}, 'ramps limit nothing, and a hold is no drive'
    assert limits['reasons']['obstacle']['seconds'] == pytest.approx(6.0, abs=0.2)
    assert limits['reasons']['obstacle']['times'] == 3
    assert limits['limited_share'] == pytest.approx(6 / 70, abs=0.01)
    assert summary['latency_ms']['p50'] == pytest.approx(80.0, abs=1.0)
    assert page.count('alt="Camera at event') == 3


def test_a_bag_without_guardrail_tells_distance_and_speed_and_nothing_else(tmp_path, report):
    bag = FieldBag().drive(guardrail=False, camera=False, others=False)
    summary, page = report(bag.write(tmp_path / 'drive'))
    assert summary['distance_m'] == pytest.approx(35.0, abs=0.1)
    for unknown in ('interventions', 'mode_s', 'mode_m', 'guardrails', 'surprise', 'latency_ms',
                    'goals'):
        assert summary[unknown] is None, unknown
    assert any('guardrail/status' in line for line in summary['missing'])
    assert 'interventions unknown' in page and 'What these bags cannot tell' in page


def test_a_bag_without_odometry_counts_by_the_hour_alone(tmp_path, report):
    summary, page = report(FieldBag().drive(odometry=False, camera=False).write(tmp_path / 'b'))
    assert summary['distance_m'] is None and summary['mode_m'] is None
    row = summary['interventions']['total']
    assert (row['count'], row['per_km']) == (3, None)
    assert row['per_hour']['rate'] == pytest.approx(180.0, rel=0.01)
    assert summary['interventions']['between'] is None
    assert 'no rate per kilometre' in page and page.count('no picture') >= 3


def test_a_guardrail_that_falls_silent_is_not_taken_to_stay_in_its_mode(tmp_path, report):
    bag = FieldBag().drive((('auto', 30),))
    bag.rows = [row for row in bag.rows if row[1] != STATUS or row[2] < 1010.0]
    summary, _ = report(bag.write(tmp_path / 'drive'))
    assert summary['mode_s']['auto'] == pytest.approx(11.5, abs=0.2)
    assert summary['mode_s']['unknown'] == pytest.approx(18.5, abs=0.3)
    assert summary['mode_m']['unknown'] == pytest.approx(18.5 * SPEED, abs=0.2)


def test_a_jump_and_a_silence_of_odometry_are_no_way(tmp_path, report):
    bag = FieldBag().drive((('auto', 10),))
    bag.x += 100.0
    bag.start += 10.0
    whole = bag.drive((('auto', 20),)).skip_odometry(5.0, 10.0)
    summary, _ = report(whole.write(tmp_path / 'drive'))
    assert summary['distance_m'] == pytest.approx(25.0 * SPEED, abs=0.2)
    odometry = next(row for row in summary['topics'] if row['topic'] == '/odom')
    assert odometry['gaps'] == 1
    assert odometry['longest_gap_s'] == pytest.approx(5.1, abs=0.05)


def test_a_stop_while_an_operator_drives_is_listed_but_ends_no_autonomy(tmp_path, report):
    script = (('auto', 10), ('teleop', 5), ('stopped', 5))
    summary, page = report(FieldBag().drive(script).write(tmp_path / 'drive'))
    found = summary['interventions']
    assert (found['stop']['count'], found['total']['count'], found['stops_outside_auto']) == (
        0, 1, 1)
    assert [event['kind'] for event in found['events']] == ['takeover', 'stop']
    assert 'not counted' in page


def test_the_last_word_of_a_guardrail_that_ends_is_no_intervention(tmp_path, report):
    bag = FieldBag().drive((('auto', 20),))
    bag.add_status(1020.0, mode='stopped', reasons='emergency_stop', message=ENDING)
    bag.add_status(1020.2, mode='stopped', reasons='emergency_stop', message=ENDING)
    summary, _ = report(bag.write(tmp_path / 'ended'))
    assert summary['interventions']['total']['count'] == 0
    assert summary['interventions']['events'] == []
    assert 'the guardrail ended 20.0 s into the bag' in summary['notes'][0]
    bag = FieldBag().drive((('auto', 20),))
    bag.add_status(1020.0, mode='stopped', reasons='emergency_stop', message='pressed')
    summary, _ = report(bag.write(tmp_path / 'asked'))
    assert summary['interventions']['stop']['count'] == 1, 'somebody pressed it'


def test_parts_of_a_drive_are_one_drive_and_excerpts_of_it_count_once(tmp_path, report):
    FieldBag().drive((('auto', 20), ('teleop', 5))).write(tmp_path / 'all' / 'part_1')
    FieldBag(start=1025.0).drive((('teleop', 5), ('auto', 10))).write(tmp_path / 'all' / 'part_2')
    around = FieldBag(start=1018.0).drive((('auto', 2), ('teleop', 2)))
    (around.write(tmp_path / 'all' / 'takeover') / FILE).write_text('{}')
    summary, _ = report(tmp_path / 'all')
    assert summary['interventions']['total']['count'] == 1
    assert summary['mode_m']['auto'] == pytest.approx(15.0, abs=0.2)
    assert len(summary['drives']) == 2 and 'not counted again' in summary['notes'][0]


def test_excerpts_alone_give_counts_and_no_rates(tmp_path, report):
    path = FieldBag().drive((('auto', 5), ('teleop', 5))).write(tmp_path / 'takeover')
    (path / FILE).write_text('{}')
    summary, page = report(path)
    found = summary['interventions']
    assert found['takeover'] == {'count': 1, 'per_km': None, 'per_hour': None}
    assert any('no rates' in line for line in summary['missing']) and 'excerpt' in page


def test_no_intervention_still_gives_an_upper_limit(tmp_path, report):
    summary, page = report(FieldBag().drive((('auto', 20),)).write(tmp_path / 'drive'))
    between = summary['interventions']['between']
    assert between['mean_m'] is None
    assert between['ci95_m'] == [pytest.approx(10.0 / 3.6889, rel=0.02), None]
    assert '&gt; 2.7 m' in page


def test_goals_and_their_outcomes(tmp_path, report):
    bag = FieldBag().drive((('auto', 30),))
    for at, state, goal in ((1, 'idle', 'none'), (2, 'planning', 'a'), (5, 'reached', 'a'),
                            (6, 'planning', 'a'), (7, 'lost', 'a'), (8, 'planning', 'a'),
                            (9, 'planning', 'b'), (12, 'unreachable', 'b'), (13, 'planning', 'c'),
                            (15, 'idle', 'none'), (16, 'planning', 'd')):
        bag.add_status(1000.0 + at, 'controller/status', state=state, goal=goal)
    summary, _ = report(bag.write(tmp_path / 'drive'))
    assert [(goal['goal'], goal['outcome']) for goal in summary['goals']] == [
        ('a', 'reached'), ('a', 'replaced'), ('b', 'unreachable'), ('c', 'cancelled'),
        ('d', 'under way')]
    assert summary['goals'][0]['seconds'] == pytest.approx(3.0)


def test_one_robot_of_several_is_chosen_by_its_namespace(tmp_path, report, refused):
    one, other = FieldBag('/r1/').drive(), FieldBag('/r2/').drive((('auto', 85),))
    one.rows += other.rows
    path = one.write(tmp_path / 'fleet')
    assert 'several robots: /r1/, /r2/; choose one with --namespace' in refused(path)
    summary, _ = report(path, '--namespace', 'r2')
    assert summary['interventions']['total']['count'] == 0
    assert summary['distance_m'] == pytest.approx(42.5, abs=0.1)


def test_drives_that_overlap_are_refused(tmp_path, refused):
    for name in ('a', 'b'):
        FieldBag().drive((('auto', 5),)).write(tmp_path / 'bags' / name)
    assert 'overlap in time' in refused(tmp_path / 'bags')


def test_what_is_no_bag_of_a_drive_is_one_line(tmp_path, refused):
    (tmp_path / 'empty').mkdir()
    assert 'neither a bag nor a folder of bags' in refused(tmp_path / 'empty')
    assert 'no such file' in refused(tmp_path / 'nowhere')
    image_alone = FieldBag().drive((('auto', 2),), odometry=False, guardrail=False)
    assert 'neither guardrail/status nor odometry' in refused(image_alone.write(tmp_path / 'eyes'))
    (tmp_path / 'file').write_text('')
    path = FieldBag().drive((('auto', 2),)).write(tmp_path / 'drive')
    code = run(['report', str(path), '-o', str(tmp_path / 'file')])
    assert code == 2


@needs_recordings
def test_a_real_robot_without_our_nodes(report):
    summary, _ = report(RECORDINGS / 'turtlebot4_corridor')
    assert summary['distance_m'] == pytest.approx(8.3, abs=0.2)
    assert summary['speed_m_s']['all']['max'] == pytest.approx(0.314, abs=0.01)
    assert summary['interventions'] is None


@needs_recordings
@pytest.mark.parametrize('name', ['office_car', 'broken/quadruped_no_camera',
                                  'broken/split_bag_missing_parts'])
def test_real_recordings_that_tell_nothing_are_refused(name, refused):
    assert name.split('/')[-1] in refused(RECORDINGS / name)


def test_speed_is_of_motion_and_noise_of_a_standing_robot_is_no_way(tmp_path, report):
    bag, rng = FieldBag(), np.random.default_rng(0)
    for tick in range(600):
        bag.add_odometry(1000.0 + 0.1 * tick, (*rng.normal(0, 2e-4, 2), 0.0), 0.0, 0.0)
    summary, _ = report(bag.write(tmp_path / 'drive'))
    assert summary['distance_m'] < 0.01 and summary['speed_m_s']['all'] is None
    assert summary['standing_s'] == pytest.approx(59.9, abs=0.2)
