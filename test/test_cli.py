# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The frame of the `wm` command: verbs by file, exit codes, one line for what is wrong."""

import errno
import json
from pathlib import Path
import subprocess
import sys

import numpy as np
import pytest
import typer

from wm_controller import __version__
from wm_controller.cli.common import emit, plain, progress, reports_errors
from wm_controller.cli.main import run, verbs
from wm_controller.errors import InputError, NegativeResult

ROOT = Path(__file__).resolve().parents[1]
HEAVY = ('torch', 'mujoco', 'h5py', 'matplotlib', 'rclpy', 'cv2', 'scipy')


def fails_with(error):
    @reports_errors
    def verb():
        raise error
    return verb


def code_and_line(verb, capsys):
    with pytest.raises(typer.Exit) as ended:
        verb()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    return ended.value.exit_code, lines[0]


def test_help_lists_every_verb_that_has_a_file(capsys):
    files = {path.stem for path in (ROOT / 'wm_controller' / 'cli').glob('*.py')}
    assert set(verbs()) <= files
    assert {'collect', 'ingest', 'inspect', 'train', 'evaluate', 'bench', 'demo'} <= set(verbs())
    assert run(['--help']) == 0
    shown = capsys.readouterr().out
    for verb in verbs():
        assert f'\n  {verb} ' in shown


def test_no_arguments_show_the_help(capsys):
    assert run([]) == 0
    assert 'Usage' in capsys.readouterr().out


BENCHMARKS = [path.stem.removeprefix('benchmark_').replace('_', '-') for path in (
    ROOT / 'wm_controller' / 'cli').glob('benchmark_*.py')]


@pytest.mark.parametrize('verb', [*(verb for verb in verbs() if verb != 'benchmark'),
                                  *(f'benchmark {name}' for name in BENCHMARKS)])
def test_every_verb_has_help_and_json(verb, capsys):
    assert run([*verb.split(), '--help']) == 0
    assert '--json' in capsys.readouterr().out


@pytest.mark.parametrize('arguments', [['--help'], *([verb, '--help'] for verb in verbs())],
                         ids=' '.join)
def test_help_comes_without_heavy_imports(arguments):
    program = (f'import sys; from wm_controller.cli.main import run; run({arguments!r});'
               f'print([m for m in {HEAVY!r} if m in sys.modules])')
    done = subprocess.run([sys.executable, '-c', program], cwd=ROOT, capture_output=True,
                          text=True, check=True)
    assert done.stdout.splitlines()[-1] == '[]'


def test_the_version_is_the_packages(capsys):
    assert run(['--version']) == 0
    assert capsys.readouterr().out.strip() == f'wm_controller {__version__}'


@pytest.mark.parametrize('arguments', [['drive'], ['train', '--no-such-option'], ['train']])
def test_wrong_usage_is_one_line_and_exit_code_2(arguments, capsys):
    assert run(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ''
    assert len(captured.err.splitlines()) == 1
    assert captured.err.startswith('wm') and '--help' in captured.err


def test_wrong_input_is_one_line_and_exit_code_2(capsys):
    code, line = code_and_line(fails_with(InputError('x.h5: not\n a data set')), capsys)
    assert (code, line) == (2, 'wm verb: x.h5: not a data set')


def test_a_full_disk_is_one_line_and_exit_code_2(capsys):
    full = OSError(errno.ENOSPC, 'No space left on device', 'out.h5')
    code, line = code_and_line(fails_with(full), capsys)
    assert (code, line) == (2, 'wm verb: out.h5: No space left on device')


def test_a_negative_result_is_exit_code_1(capsys):
    code, line = code_and_line(fails_with(NegativeResult('gates failed: rank')), capsys)
    assert (code, line) == (1, 'wm verb: gates failed: rank')


def test_an_interrupt_is_exit_code_130(capsys):
    code, _ = code_and_line(fails_with(KeyboardInterrupt()), capsys)
    assert code == 130


def test_a_fault_of_ours_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        fails_with(ZeroDivisionError())()


def test_json_is_one_strict_object(capsys):
    result = {'ratio': np.float32('nan'), 'steps': np.arange(3), 'path': Path('a/b'),
              4: np.int64(7), 'worst': float('inf'), 'passed': np.True_}
    emit(result, True, render=pytest.fail)
    printed = capsys.readouterr().out
    assert len(printed.splitlines()) == 1
    assert json.loads(printed) == {'ratio': None, 'steps': [0, 1, 2], 'path': 'a/b', '4': 7,
                                   'worst': None, 'passed': True}


def test_what_json_does_not_know_is_not_guessed():
    with pytest.raises(TypeError, match='object'):
        plain(object())


def test_people_get_what_render_returns(capsys):
    emit({'a': 1}, False, render=lambda result: f'a is {result["a"]}')
    assert capsys.readouterr().out.strip() == 'a is 1'


def test_no_progress_bar_where_nobody_looks(capsys):
    with progress('working', total=2) as advance:
        advance()
        advance(0.5, description='more')
    captured = capsys.readouterr()
    assert captured.out == '' and captured.err.strip() == ''
