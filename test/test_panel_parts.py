# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The parts of the panel without browser and ROS: who may use it, words, pictures, events."""

import io
import zlib

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
from PIL import Image
import pytest

from wm_controller.errors import InputError
from wm_controller.panel import words
from wm_controller.panel.access import Access, find_token, is_loopback, Names
from wm_controller.panel.events import EventLog
from wm_controller.panel.latest import INTEREST_S, Latest
from wm_controller.panel.picture import MOST_BYTES, read_picture, to_jpeg
from wm_controller.panel.snapshot import FRESH_S, look, readouts
from wm_controller.safety.guardrails import GUARDRAILS

TOKEN = 'correct horse battery'


# Who may use it

@pytest.mark.parametrize('host', ['127.0.0.1', '127.1.2.3', '::1', 'localhost'])
def test_this_machine_alone_needs_no_token(host):
    assert is_loopback(host) and find_token(host, '', '') == ''


@pytest.mark.parametrize('host', ['0.0.0.0', '::', '192.168.1.4', 'robot.local', ''])
def test_any_other_address_needs_a_token(host):
    with pytest.raises(InputError, match='a token is required'):
        find_token(host, '', '')
    assert find_token(host, TOKEN, '') == TOKEN


def test_a_short_token_is_refused_everywhere(tmp_path):
    for host in ('127.0.0.1', '0.0.0.0'):
        with pytest.raises(InputError, match='16 to 512 ASCII'):
            find_token(host, 'x' * 15, '')
    short = tmp_path / 'token'
    short.write_text('short\n')
    with pytest.raises(InputError, match='it has 5'):
        find_token('0.0.0.0', '', str(short))


def test_a_token_file_is_read_or_its_fault_named(tmp_path):
    path = tmp_path / 'token'
    path.write_text(TOKEN + '\n')
    assert find_token('0.0.0.0', '', str(path)) == TOKEN
    path.write_text('')
    with pytest.raises(InputError, match='the file is empty'):
        find_token('0.0.0.0', '', str(path))
    with pytest.raises(InputError, match='No such file'):
        find_token('0.0.0.0', '', str(tmp_path / 'nowhere'))
    path.write_bytes(bytes(range(256)))
    with pytest.raises(InputError, match='no ASCII'):
        find_token('0.0.0.0', '', str(path))


def test_the_token_buys_a_session_and_nothing_else_does():
    access = Access(TOKEN)
    cookie = access.log_in(TOKEN, 'a', 0.0)
    assert cookie and access.allows(cookie, 1.0)
    for other in ('', TOKEN, cookie + 'x', cookie[:-1]):
        assert not access.allows(other, 1.0)
    assert not access.allows(cookie, 13 * 3600.0)
    assert access.log_in(TOKEN + 'x', 'a', 1.0) is None and access.log_in('', 'a', 1.0) is None


def test_guessing_slows_down_and_hurts_the_guesser_alone():
    access = Access(TOKEN)
    now, waits = 0.0, []
    for _ in range(10):
        access.log_in('wrong', 'guesser', now)
        waits.append(access.wait('guesser', now))
        now += waits[-1]
    assert waits[:3] == [0.0, 0.0, 1.0] and waits[-1] == 60.0
    access.log_in('wrong', 'guesser', now)
    assert access.log_in(TOKEN, 'guesser', now + 1.0) is None, 'even the right one has to wait'
    assert access.log_in(TOKEN, 'operator', now + 1.0)
    assert access.log_in(TOKEN, 'guesser', now + 61.0)


def test_memory_of_guessers_and_sessions_is_bounded():
    access = Access(TOKEN)
    for i in range(3000):
        access.log_in('wrong', str(i), 0.0)
    cookies = [access.log_in(TOKEN, 'a', 0.0) for _ in range(100)]
    assert len(access._failures) <= 1024 and len(access._sessions) <= 64
    assert access.allows(cookies[-1], 1.0)


@given(st.text(max_size=600))
def test_no_other_text_logs_in(text):
    assert (Access(TOKEN).log_in(text, 'a', 0.0) is not None) == (text == TOKEN)


@pytest.mark.parametrize('headers, writes, passes', [
    ({'host': 'localhost:8080'}, False, True),
    ({'host': '127.0.0.1:8080'}, True, True),
    ({'host': '[::1]:8080'}, True, True),
    ({'host': '192.168.7.3:8080', 'origin': 'http://192.168.7.3:8080'}, True, True),
    ({'host': 'robot.example', 'origin': 'https://robot.example'}, True, True),
    ({'host': 'evil.example:8080'}, False, False),  # DNS rebinding
    ({'host': 'evil.example:8080', 'origin': 'http://evil.example:8080'}, True, False),
    ({'host': ''}, False, False),
    ({}, False, False),
    ({'host': '['}, False, False),
    ({'host': 'localhost:8080', 'origin': 'http://evil.example'}, True, False),
    ({'host': 'localhost:8080', 'origin': 'http://localhost:9090'}, True, False),
    ({'host': 'localhost:8080', 'origin': 'null'}, True, False),
    ({'host': 'localhost:8080', 'sec-fetch-site': 'cross-site'}, True, False),
    ({'host': 'localhost:8080', 'sec-fetch-site': 'same-site'}, True, False),
    ({'host': 'localhost:8080', 'origin': 'http://evil.example'}, False, True),  # a mere look
])
def test_where_a_request_may_come_from(headers, writes, passes):
    fault = Names('127.0.0.1', ['Robot.Example']).fault(headers, writes)
    assert (fault == '') is passes


# Words

def test_every_mode_and_guardrail_has_words():
    for mode in ('auto', 'teleop', 'hold', 'stopped', 'unknown'):
        assert words.headline(mode, mode) and words.because(mode, {})
    for each in GUARDRAILS:
        assert '`' not in words.plain(each.clears) and '~/' not in words.plain(each.clears)


def test_why_comes_from_the_guardrail_where_it_says_so():
    assert words.because('hold', {'because': 'the model was surprised'}) == (
        'The model was surprised')
    assert words.because('auto', {'reasons': 'obstacle,braking'}) == 'Limited by obstacle'
    assert 'Reset' in words.because('stopped', {})


def test_the_gauge_of_surprise_goes_by_how_rare_it_is():
    assert words.gauge(0.0) == 0.0 and words.gauge(0.999) == pytest.approx(0.5)
    assert words.gauge(1.0) == 1.0 and words.how_rare(0.5) == 'as expected'
    assert words.how_rare(0.9999) == 'one in 10 000'


@given(st.dictionaries(st.sampled_from(['mode', 'source', 'reasons', 'limit', 'because', 'state',
                                        'goal', 'goal_distance']), st.text(max_size=30)))
def test_any_status_can_be_shown(values):
    latest = Latest()
    latest.put('guardrail', values, 0.0)
    latest.put('controller', values, 0.0)
    assert all(isinstance(text, str) for text in readouts(latest, 0.1).values())


# Ages

def test_what_is_old_is_said_to_be_old_and_its_mode_unknown():
    latest = Latest()
    latest.put('guardrail', {'mode': 'auto', 'source': 'auto'}, 0.0)
    latest.put('odom', (1.0, 2.0, 0.5, 0.3, 0.1), 0.0)
    fresh, old = look(latest, 0.5, {}), look(latest, 4.0, {})
    assert fresh['mode'] == 'auto' and 'odom' not in fresh['stale']
    assert old['mode'] == 'unknown' and {'odom', 'guardrail', 'camera'} <= set(old['stale'])
    assert old['ages']['odom'] == 4.0
    assert readouts(latest, 4.0)['because'] == 'The guardrail has been silent for 4 s'
    assert readouts(latest, 4.0)['speed'] == 'odometry 4.0 s old'
    assert set(FRESH_S) >= {'camera', 'imagination', 'odom', 'scan', 'guardrail', 'controller'}


def test_layers_are_sent_once_and_listened_to_only_while_looked_at():
    latest, sent = Latest(), {}
    latest.put('plan', [0.0, 0.0, 1.0, 0.0], 0.0)
    assert look(latest, 0.1, sent)['layers'] == {'plan': [0.0, 0.0, 1.0, 0.0]}
    assert look(latest, 0.2, sent)['layers'] == {}
    assert latest.wanted('scan', 0.3) and not latest.wanted('scan', 0.3 + INTEREST_S)
    assert not latest.wanted('camera', 0.3)


# Events

def test_the_log_tells_changes_once():
    now = [0.0]
    log = EventLog(lambda: now[0], lambda: '12:00:00')
    for _ in range(3):
        log.guardrail({'mode': 'auto', 'reasons': 'obstacle,braking'})
        log.guardrail({'mode': 'auto', 'reasons': ''})  # it flickers
    log.guardrail({'mode': 'stopped', 'reasons': ''})
    log.controller({'state': 'planning', 'goal': 'pose 1 2'})
    log.controller({'state': 'planning', 'goal': 'pose 1 2'})
    log.complaint('controller', 'goal_image: cannot')
    assert [event.text for event in log.since(0)] == [
        'mode auto', 'guardrail in force: obstacle', 'mode stopped',
        'controller planning, goal pose 1 2', 'controller: goal_image: cannot']
    assert [event.kind for event in log.since(2)] == ['alarm', 'info', 'warn']
    for i in range(1000):
        log.add('info', str(i))
    assert len(log.since(0)) == 200


# Pictures

def encoded(size, form='PNG', **options):
    stream = io.BytesIO()
    Image.fromarray(np.full((size[1], size[0], 3), (200, 30, 90), np.uint8)).save(
        stream, form, **options)
    return stream.getvalue()


@pytest.mark.parametrize('form', ['PNG', 'JPEG', 'WEBP'])
def test_a_picture_is_read_and_made_small(form):
    rgb = read_picture(encoded((2600, 1300), form))
    assert rgb.shape == (640, 1280, 3) and rgb.dtype == np.uint8
    assert np.abs(rgb[100, 100].astype(int) - (200, 30, 90)).max() < 8


def test_a_phone_s_picture_is_turned_upright():
    exif = Image.Exif()
    exif[0x0112] = 6
    assert read_picture(encoded((40, 20), 'JPEG', exif=exif)).shape == (40, 20, 3)


@pytest.mark.parametrize('data', [
    b'', b'GIF89a' + bytes(100), b'<svg/>', encoded((40, 20))[:60], b'\xff\xd8\xff' + bytes(500)])
def test_what_is_no_picture_is_refused_in_words(data):
    with pytest.raises(InputError, match='no picture that can be read'):
        read_picture(data)


def test_size_is_bounded_before_anything_is_decoded():
    with pytest.raises(InputError, match='larger than 12 MB'):
        read_picture(bytes(MOST_BYTES + 1))
    bomb = bytearray(encoded((8, 8)))
    bomb[16:24] = (8000).to_bytes(4, 'big') * 2  # what the header claims
    bomb[29:33] = zlib.crc32(bomb[12:29]).to_bytes(4, 'big')
    with pytest.raises(InputError, match='8000x8000 pixels; send a smaller one'):
        read_picture(bytes(bomb))


@given(st.binary(max_size=300))
def test_no_bytes_bring_it_down(data):
    with pytest.raises(InputError):
        read_picture(data)


def test_jpeg_is_scaled_down_not_up():
    wide = Image.open(io.BytesIO(to_jpeg(np.zeros((480, 1280, 3), np.uint8), 640)))
    small = Image.open(io.BytesIO(to_jpeg(np.zeros((48, 64, 3), np.uint8), 640)))
    assert (wide.size, small.size) == ((640, 240), (64, 48))
