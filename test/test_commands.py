# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
The `wm` commands of README and tutorials, run in their order in one folder, as a reader would.

Only how long is changed, see SHORT. It takes a quarter of an hour: `make commands` runs it.
"""

import glob
import os
from pathlib import Path
import shlex
import shutil
import subprocess
import sys

import pytest

from bag_maker import Drive, drive_bag
from docs_commands import commands_of, ROOT

pytestmark = pytest.mark.skipif(
    'WM_COMMANDS' not in os.environ, reason='long: make commands runs it')

TUTORIALS = ('README.md', 'docs/first-drive.md', 'docs/own-robot.md', 'docs/field-test.md')
SHORT = {'--minutes': '0.1', '--goal-picture-minutes': '0.05', '--proposal-minutes': '0.05',
         '--goals': '1', '--episodes': '1', '--rooms': '6', '--steps': '200', '--runs': '1'}
OPTIONS = {'train': ('--minutes', '0.1', '--threads', '1'), 'demo': ('--goals', '1')}
KEPT_BACK = (3, 4)  # held_out.h5 of README and of own-robot.md
ALIVE = {'imagine'}  # they wait for keys: started, and ended
GRAPH = {'doctor'}  # they look at a robot that drives
NEGATIVE_MAY_BE = {'train', 'evaluate', 'demo', 'doctor'}  # six seconds of training fail gates


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """What a reader has: bags of drives, and data sets that earlier lines of the page made."""
    where = tmp_path_factory.mktemp('afternoon')
    for number in range(1, 5):
        # Calibration wants two minutes of what was kept back.
        drive_bag(where / f'drive_{number}',
                  Drive(160.0 if number in KEPT_BACK else 30.0, seed=number))
    for number in (1, 2):
        drive_bag(where / 'recordings' / f'{number}-drive',
                  Drive(30.0, start_s=1000.0 * number, seed=10 + number))
    shutil.copy(ROOT / 'config' / 'robot.yaml', where / 'my_robot.yaml')
    # What is scored is in no training.
    for bag, name in ((3, 'held_out'), (4, 'video'), (1, 'drive')):
        run(where, f'wm ingest drive_{bag} -o {name}.h5')
    run(where, 'wm collect --rooms 6 --steps 200 -o drives.h5')
    return where


def run(where, line):
    program, *words = shlex.split(line)
    assert Path(program).name == 'wm'
    verb, arguments = words[0], []
    for word in words[1:]:
        arguments += sorted(glob.glob(word, root_dir=where)) if '*' in word else [word]
    for flag, value in SHORT.items():
        if flag in arguments:
            arguments[arguments.index(flag) + 1] = value
    for flag, value in zip(OPTIONS.get(verb, ())[::2], OPTIONS.get(verb, ())[1::2]):
        arguments += [] if flag in arguments else [flag, value]
    if verb == 'train' and '--restart' not in arguments:
        arguments.append('--restart')
    done = subprocess.run(
        [sys.executable, '-m', 'wm_controller.cli.main', verb, *arguments], cwd=where,
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600,
        env={**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'})
    allowed = (0, 1) if verb in NEGATIVE_MAY_BE else (0,)
    assert done.returncode in allowed, f'{line}\n{arguments}\n{done.stderr[-2000:]}'
    assert 'Traceback' not in done.stderr, done.stderr[-2000:]


@pytest.mark.parametrize('page, line', [
    pytest.param(page, line, id=f'{page}: {line[:60]}') for page in TUTORIALS
    for line in commands_of(ROOT / page) if Path(shlex.split(line)[0]).name == 'wm'])
def test_it_runs(folder, page, line):
    verb = shlex.split(line)[1]
    if verb in ALIVE:
        pytest.skip('waits for keys: test_imagine.py')
    if verb in GRAPH:
        pytest.skip('looks at a live robot: test_doctor.py')
    run(folder, line)
