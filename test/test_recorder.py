# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""What the recorder keeps and writes, with a clock in hand and real files."""

import json
import resource
import tracemalloc

import numpy as np
import pytest

from wm_controller.data.bags import Bag
from wm_controller.errors import InputError
from wm_controller.safety.modes import ENDING
from wm_controller.teleop.bag_file import BagFile, Raw, STORE
from wm_controller.teleop.interventions import Event, kind_of, Status
from wm_controller.teleop.recorder import Recorder, Settings

FLOAT, IMAGE = 'std_msgs/msg/Float32', 'sensor_msgs/msg/CompressedImage'
TYPES = {'/surprise': FLOAT, '/image/compressed': IMAGE, '/goal': FLOAT}
MB = 1_000_000


def number(value, topic='/surprise', at=0.0):
    data = STORE.serialize_cdr(STORE.types[FLOAT](float(value)), FLOAT)
    return Raw(topic, round(at * 1e9), bytes(data))


class Bench:
    """A recorder, ten messages a second, and what it said."""

    def __init__(self, folder, **settings):
        self.said = []
        self.now = 100.0
        self.recorder = Recorder(
            Settings(folder, **{'before_s': 2.0, 'after_s': 3.0, 'min_free_bytes': 0, **settings}),
            TYPES, frozenset({'/goal'}), lambda level, line: self.said.append((level, line)))

    def run(self, seconds, size=0):
        for _ in range(round(10 * seconds)):
            self.now += 0.1
            message = number(self.now, at=self.now)
            if size:
                message = Raw('/image/compressed', message.time_ns, bytes(size))
            self.recorder.add(message, self.now)
            self.recorder.tick(self.now)

    def event(self, kind='takeover'):
        self.recorder.on_event(Event(kind, self.now, 'auto', 'teleop', 'why', (1.0, 2.0, 0.5)),
                               self.now)


def values(path, topic='/surprise'):
    with Bag(path) as bag:
        return [message.content.data for _, message in bag.messages([topic])]


def test_an_event_is_recorded_with_the_seconds_around_it(tmp_path):
    bench = Bench(tmp_path)
    bench.run(10)
    bench.event()
    at = bench.now
    assert [path.name[0] for path in tmp_path.iterdir()] == ['.'], 'hidden until it is complete'
    bench.run(10)
    path, = tmp_path.iterdir()
    assert path.name.endswith('-takeover')
    found = values(path)
    assert found[0] == pytest.approx(at - 2.0, abs=0.11)
    assert found[-1] == pytest.approx(at + 3.0, abs=0.11)
    assert np.diff(found) == pytest.approx(0.1, abs=1e-3), 'nothing lost where the two parts meet'
    notes = json.loads((path / 'intervention.json').read_text())
    assert notes['events'][0] == {
        'kind': 'takeover', 'time_s': at, 'mode_before': 'auto', 'mode_after': 'teleop',
        'reason': 'why', 'pose': [1.0, 2.0, 0.5], 'time_utc': '1970-01-01T00:01:50.000+00:00'}


def test_events_that_overlap_extend_one_recording(tmp_path):
    bench = Bench(tmp_path)
    bench.run(3)
    bench.event()
    bench.run(2)
    bench.event('stop')
    bench.run(10)
    path, = tmp_path.iterdir()
    assert [e['kind'] for e in json.loads((path / 'intervention.json').read_text())['events']] == [
        'takeover', 'stop']
    assert np.ptp(values(path)) == pytest.approx(2.0 + 2.0 + 3.0, abs=0.3)
    assert bench.recorder.recorded == {'takeover': 1, 'stop': 1}


def test_what_holds_until_replaced_stands_at_the_beginning_of_every_bag(tmp_path):
    bench = Bench(tmp_path, record_all=True, split_bytes=800)
    bench.recorder.add(number(7.0, '/goal', bench.now), bench.now)
    bench.run(30)
    bench.recorder.close(bench.now)
    parts = sorted(tmp_path.iterdir(), key=lambda path: min(values(path)))
    assert len(parts) > 2
    assert all(values(path, '/goal') == [7.0] for path in parts)
    together = np.concatenate([values(path) for path in parts])
    assert np.diff(together) == pytest.approx(0.1, abs=1e-3), 'split without a hole'


def test_memory_is_bounded_by_seconds_and_by_bytes(tmp_path):
    tracemalloc.start()
    bench = Bench(tmp_path, before_s=10.0)
    bench.run(60, size=20_000)
    assert bench.recorder.ring.bytes == pytest.approx(100 * 20_000, rel=0.02)
    before = tracemalloc.get_traced_memory()[0]
    bench.run(600, size=20_000)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 0.01 * MB, 'ten minutes of images cost nothing'
    assert not bench.recorder.ring.cut
    small = Bench(tmp_path, ring_bytes=1 * MB, before_s=10.0)
    small.run(20, size=20_000)
    assert small.recorder.ring.bytes <= 1 * MB and small.recorder.ring.cut


def test_a_disk_that_fails_while_writing_is_said_once_and_used_again(tmp_path):
    bench = Bench(tmp_path, record_all=True)
    bench.run(1, size=MB)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3 * MB, limits[1]))  # the system's own refusal
    try:
        bench.run(2, size=MB)
        bench.event('hold')
        bench.run(6, size=MB)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert bench.recorder.trouble and bench.recorder.lost == 1
    assert list(tmp_path.iterdir()) == [], 'nothing half-written stays'
    bench.run(30)
    bench.event('stop')
    bench.run(4)
    bench.recorder.close(bench.now)
    kinds = sorted(path.name.split('-')[1] for path in tmp_path.iterdir())
    assert kinds == ['drive', 'stop']
    lines = [(level, line.split(str(tmp_path))[0]) for level, line in bench.said]
    assert lines.count(('error', 'cannot record in ')) == 1
    assert lines.count(('info', 'recording again in ')) == 1


def test_space_for_others_is_left_on_the_disk(tmp_path):
    bench = Bench(tmp_path / 'new', min_free_bytes=10**18)
    bench.run(1)
    bench.event()
    bench.run(5)
    assert not (tmp_path / 'new').exists()
    (_, line), = bench.said
    assert 'are free, min_free_mb keeps' in line
    assert bench.recorder.lost == 1


def test_names_do_not_collide_within_a_second(tmp_path):
    bags = [BagFile(tmp_path, 'stop', TYPES) for _ in range(3)]
    for bag in bags:
        bag.write(number(1.0))
    assert len({bag.close() for bag in bags}) == 3


def test_an_empty_bag_leaves_nothing(tmp_path):
    assert BagFile(tmp_path, 'stop', TYPES).close() is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(('before', 'after', 'kind'), [
    ('auto', 'teleop', 'takeover'), ('auto', 'hold', 'hold'), ('auto', 'stopped', 'stop'),
    ('teleop', 'stopped', 'stop'), ('hold', 'stopped', 'stop'), ('teleop', 'hold', None),
    ('hold', 'auto', None), ('stopped', 'hold', None), ('hold', 'teleop', None),
    (None, 'hold', None), (None, 'stopped', None), ('auto', 'auto', None)])
def test_what_counts_as_an_intervention(before, after, kind):
    assert kind_of(before, after) == kind
    assert kind_of(before, after, ENDING) is None


def test_a_status_is_read_with_and_without_its_sentence():
    def status(message='', **values):
        pair = STORE.types['diagnostic_msgs/msg/KeyValue']
        return Status.of(STORE.types['diagnostic_msgs/msg/DiagnosticStatus'](
            0, 'guardrail', message, '', [pair(key, value) for key, value in values.items()]))

    plain = status(mode='hold', reasons='autonomy_off,acceleration', limit='0.5', source='none')
    assert (plain.mode, plain.limiting, plain.limit) == ('hold', ('autonomy_off',), 0.5)
    assert plain.why == 'autonomy off'
    assert status('the camera sees what it never saw', mode='hold').why.startswith('the c')
    assert status(source='auto') is None
    assert status(mode='auto', limit='much').limit is None


def test_a_broken_note_beside_a_bag_is_one_line(tmp_path):
    from wm_controller.evaluation.field_reading import read_drive
    bag = BagFile(tmp_path, 'stop', TYPES)
    bag.write(number(1.0))
    path = bag.close({})
    (path / 'intervention.json').write_text('{')
    with pytest.raises(InputError, match='is not JSON'):
        read_drive(path)
