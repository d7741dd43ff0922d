# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""`wm imagine`: by a list of actions, from a recording, from a room, and by keys at a terminal."""

import io
import json
import os
import pty
import select
import subprocess
import sys
import termios
import time

import av
import numpy as np
import pytest

from drawn_world import write_dataset
from learned import ROOT, with_decoder
from wm_controller.cli.imagine_screen import split_keys, steer
from wm_controller.cli.main import run as wm

LIMITS = (-0.25, 0.5, 1.5)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp('imagine')


@pytest.fixture(scope='module')
def bundle(folder):
    return with_decoder(folder / 'tiny.safetensors')


@pytest.fixture(scope='module')
def data(folder):
    return write_dataset(folder / 'drawn.h5', episodes=2, steps=40)


def frames_of(path):
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format='rgb24') for frame in container.decode(video=0)]


def imagine(capsys, *arguments):
    code = wm(['imagine', *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err


def test_actions_drive_in_a_room_beside_the_truth_and_are_filmed(bundle, folder, capsys):
    film = folder / 'room.mp4'
    code, out, err = imagine(capsys, bundle, '--start', '3', '--people', '0', '--actions',
                             '0.3,0*4; 0.2,-0.5', '-o', film, '--json')
    result = json.loads(out)
    assert (result['steps'], result['seconds'], result['start']) == (5, 1.0, 'room evaluation/3')
    assert result['truth']['steps'] == 5 and result['video'] == str(film)
    assert set(result['truth']['psnr_db_last_frame_at']) == {'1', '4'}
    assert 0.1 < result['truth']['position_error_of_standing_m'] < 0.35
    # an untrained decoder draws nothing: the photograph is better, and the exit code says so
    assert code == 1 and not result['truth']['nearer_than_last_frame']
    assert 'no nearer to what came' in err and err.count('\n') == 1
    assert len(frames_of(film)) == 6  # the start, then each step
    assert list(folder.glob('.*partial*')) == []


def test_a_recording_knows_what_came_as_long_as_its_actions_are_taken(bundle, data, capsys):
    _, out, _ = imagine(capsys, bundle, '--start', data, '--at', 45, '--actions', 'recorded',
                        '--steps', 6, '--no-video', '--json')
    truth = json.loads(out)['truth']
    assert json.loads(out)['start'] == 'drawn.h5, frame 45' and truth['steps'] == 6
    code, out, _ = imagine(capsys, bundle, '--start', data, '--actions', '0,0*3', '--no-video',
                           '--json')
    assert code == 0 and json.loads(out)['truth'] is None


def test_a_file_of_actions_and_the_text_for_people(bundle, data, folder, capsys):
    path = folder / 'actions.txt'
    path.write_text('# ahead, then left\n0.3,0*2\n0.1, 1e-1 ; 0,0\n')
    code, out, _ = imagine(capsys, bundle, '--start', data, '--actions', path, '--no-video')
    assert code == 0 and 'drawn.h5, frame 7: 4 steps, 0.8 s imagined' in out


@pytest.mark.parametrize(('arguments', 'line'), [
    (['--actions', 'left'], "'left' is no action: write v,w"),
    (['--actions', ' ; '], 'no action in it'),
    (['--actions', '0.3,0*5000'], 'more than 3000 steps'),
    (['--actions', '0.9,0'], 'action 0.9,0 is outside what tiny.safetensors has learned'),
    (['--actions', '0,0', '--start', 'kitchen'], '--start kitchen: give the seed of a room'),
    (['--actions', '0,0', '--start', 'none.h5'], 'none.h5: no such file'),
    (['--actions', '0,0', '--at', '3'], '--at names a frame of a data set'),
    (['--actions', 'recorded'], 'is no recording'),
    (['--actions', '0,0', '-o', 'film.avi'], 'film.avi: name the video *.mp4'),
    ([], 'there is no terminal to take keys from: give --actions')])
def test_wrong_input_is_one_line_and_exit_code_2(bundle, arguments, line, capsys, monkeypatch):
    monkeypatch.setattr('sys.stdin', io.StringIO())
    code, out, err = imagine(capsys, bundle, *arguments)
    assert (code, out, err.count('\n')) == (2, '', 1)
    assert line in err


def test_the_last_frame_of_a_recording_is_no_start(bundle, data, capsys):
    code, _, err = imagine(capsys, bundle, '--start', data, '--at', 39, '--actions', '0,0')
    assert code == 2 and 'is the last frame of episode 0' in err
    code, _, err = imagine(capsys, bundle, '--start', data, '--at', 99, '--actions', '0,0')
    assert code == 2 and 'it has frames 0 to 79' in err


def test_a_bundle_without_a_decoder_is_refused_with_the_remedy(folder, capsys):
    path = with_decoder(folder / 'blind.safetensors', channels=())
    code, _, err = imagine(capsys, path, '--actions', '0,0')
    assert code == 2 and 'has no decoder: add one with `wm train' in err


def test_keys_at_a_terminal_drive_and_q_ends_and_saves(bundle, data, folder):
    """The command in a pseudo-terminal: arrows and letters in, half-block pictures out."""
    film = folder / 'keys.mp4'
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    environment = {key: value for key, value in os.environ.items()
                   if key not in ('DISPLAY', 'WAYLAND_DISPLAY')}
    process = subprocess.Popen(
        [sys.executable, '-m', 'wm_controller.cli.main', 'imagine', str(bundle), '--start',
         str(data), '-o', str(film), '--json'], stdin=slave, stdout=subprocess.PIPE,
        stderr=slave, cwd=ROOT, env=environment, start_new_session=True)
    shown = b''
    try:
        keys = [b'\x1b[A', b'w', b'\x1b[D', b'q']
        end = time.monotonic() + 90
        while process.poll() is None and time.monotonic() < end:
            if select.select([master], [], [], 0.5)[0]:
                shown += os.read(master, 65536)
            # once pictures come, press a key after each of them
            if keys and shown.count(b'\x1b[H') > 2 * (5 - len(keys)):
                os.write(master, keys.pop(0))
        out = process.stdout.read()
        assert process.wait(timeout=10) == 0, shown[-500:]
    finally:
        process.kill()
        process.wait()
        after = termios.tcgetattr(slave)
        os.close(master)
        os.close(slave)
    assert after == before, 'the terminal is as it was'
    assert '\u2580'.encode() in shown
    result = json.loads(out)
    assert result['steps'] >= 4
    assert len(frames_of(film)) == result['steps'] + 1


def test_arrows_and_letters_steer_alike_within_what_the_model_knows():
    assert split_keys('\x1b[Aw\x1b[DD q') == ['w', 'w', 'a', 'd', ' ', 'q']
    command = (0.0, 0.0)
    for key in 'wwwa':
        command = steer(command, key, LIMITS)
    assert command == (0.3, 0.3)
    for key in 'ssssssssd':
        command = steer(command, key, LIMITS)
    assert command == (-0.25, 0.0)
    assert steer((0.4, 1.4), 'a', LIMITS) == (0.4, 1.5)
    assert steer((0.4, 1.4), ' ', LIMITS) == (0.0, 0.0)
    assert steer((0.4, 1.4), 'x', LIMITS) == (0.4, 1.4)


def test_the_terminal_screen_draws_two_rows_of_pixels_a_line(capsys, monkeypatch):
    from wm_controller.cli.imagine_screen import TerminalScreen

    monkeypatch.setattr('shutil.get_terminal_size', lambda: os.terminal_size((20, 50)))
    picture = np.zeros((40, 40, 3), np.uint8)
    picture[:20] = (200, 0, 0)
    TerminalScreen().show(picture)
    text = capsys.readouterr().err
    assert text.count('\u2580') == 20 * 10
    assert text.count('38;2;200;0;0;48;2;200;0;0m') == 20 * 5
