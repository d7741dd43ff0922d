# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""What nodes say of themselves: states, complaints that do not flood, advice on the camera."""

from diagnostic_msgs.msg import DiagnosticStatus
import pytest

from wm_controller.nodes.camera_watch import CameraWatch
from wm_controller.nodes.controller_status import Snapshot
from wm_controller.nodes.drive_loop import Condition
from wm_controller.nodes.report import Complaints

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR


@pytest.mark.parametrize(('snapshot', 'state', 'level', 'message'), [
    (Snapshot('unconfigured'), 'idle', OK, 'unconfigured'),
    (Snapshot('unconfigured', refusal='no such model file'), 'fault', ERROR, 'no such model file'),
    (Snapshot('active', loop=Condition('planning')), 'planning', OK, 'planning'),
    (Snapshot('active', loop=Condition('planning'), stale='old'), 'fault', ERROR, 'old'),
    (Snapshot('active', loop=Condition('fault', error='nan')), 'fault', ERROR, 'nan'),
    (Snapshot('active', loop=Condition(), advice='no camera'), 'idle', WARN, 'no camera'),
    (Snapshot('active', goal='pose 1 2', loop=Condition('lost')), 'lost', WARN, 'lost: pose 1 2')])
def test_state_level_and_line(snapshot, state, level, message):
    assert snapshot.state == state
    assert snapshot.verdict == (level, message)


def test_status_carries_what_the_contract_names():
    snapshot = Snapshot('active', goal='pose 1.00 2.00', model='indoor abc',
                        loop=Condition('planning', 12.5, 3.25), deadline_misses=4)
    values = {pair.key: pair.value for pair in snapshot.status('controller').values}
    assert values == {'state': 'planning', 'goal': 'pose 1.00 2.00', 'plan_ms': '12.5',
                      'deadline_misses': '4', 'model': 'indoor abc', 'goal_distance': '3.25'}


def test_repeated_complaint_is_logged_every_five_seconds_with_its_count():
    log, now = [], [0.0]
    complaints = Complaints(log.append, lambda: now[0])
    for k in range(60):
        now[0] = 0.1 * k
        complaints('image', f'image: step {k} is too small')
    assert log == ['image: step 0 is too small', 'image: step 50 is too small (and 49 more since)']
    assert complaints.counts['image'] == 60
    complaints('image', 'image: another thing')
    assert log[-1] == 'image: another thing', 'a new line is said at once'


def test_texts_of_strangers_do_not_fill_the_memory():
    complaints = Complaints(lambda line: None, lambda: 0.0)
    for k in range(1000):
        complaints('goal_pose', 'x' * k)
    assert len(complaints._said) <= 101


def test_advice_on_a_camera_over_its_life():
    watch = CameraWatch('/image', '/image/compressed', 'compressed')
    assert watch.advice(0.0, 0, 0) == '', 'discovery takes a moment'
    assert watch.advice(1.5, 0, 0) == 'waiting for images: nobody publishes /image'
    assert watch.advice(1.6, 0, 1).endswith(
        '/image/compressed is published: set image_transport to compressed')
    assert watch.advice(2.0, 1, 1) == '', 'just announced'
    assert 'FASTDDS_DEFAULT_PROFILES_FILE' in watch.advice(4.5, 1, 1)
    watch.heard(5.0)
    assert watch.advice(6.0, 1, 1) == ''
    assert watch.advice(9.0, 1, 1) == 'no image on /image for 4 s, which is still announced'
    assert watch.advice(10.0, 0, 0) == ''
    assert watch.advice(12.0, 0, 0) == 'waiting for images: nobody publishes /image'
