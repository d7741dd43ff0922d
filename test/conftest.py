# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""What every test may use: a ROS domain of its own, and nodes as processes that end with it."""

import contextlib
import json
import os
from pathlib import Path
import random
import signal
import subprocess
import sys

from hypothesis import Phase, settings
import pytest

# WM_EXAMPLES: so many examples of each property, as `make properties` wants them. WM_SHRINK=0: one
# that fails is enough, as `make mutants` asks of each mutant; the smallest one takes a minute.
settings.register_profile(
    'wm', max_examples=int(os.environ.get('WM_EXAMPLES', 100)), deadline=None,
    phases=[phase for phase in Phase
            if phase not in (Phase.shrink, Phase.explain) or os.environ.get('WM_SHRINK') != '0'])
settings.load_profile('wm')

ROOT = Path(__file__).resolve().parents[1]

# A shell's background job ignores Ctrl-C, and what it starts inherits that: the tests send it.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope='session')
def data(tmp_path_factory):
    """A data set of a drawn world; read it, and leave it as it is."""
    from drawn_world import write_dataset
    return write_dataset(tmp_path_factory.mktemp('data') / 'drawn.h5', episodes=6)


@pytest.fixture(scope='session')
def plain(data, tmp_path_factory):
    """A bundle trained on `data` for seconds, with none of the parts that are trained after it."""
    from tiny_training import tiny_bundle
    return tiny_bundle(tmp_path_factory.mktemp('model') / 'plain.safetensors', data)


@pytest.fixture
def ros_domain(monkeypatch):
    """Give the test a random ROS_DOMAIN_ID, so that runs side by side do not hear each other."""
    # Workers side by side draw from ranges of their own.
    worker = int(os.environ.get('PYTEST_XDIST_WORKER', 'gw0').removeprefix('gw')) % 10
    domain = 1 + 10 * worker + random.SystemRandom().randrange(10)
    monkeypatch.setenv('ROS_DOMAIN_ID', str(domain))
    monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    return domain


@pytest.fixture
def spawn_node(ros_domain, tmp_path):
    """Start `python -m module args...` in the domain: spawn_node(module, *args) -> Popen.

    Output goes to the file named by the process's attribute `log`. Teardown kills what is left.
    """
    processes = []

    def spawn(module, *args, preexec_fn=None, **environment):
        log = tmp_path / f'{module.rsplit(".", 1)[-1]}_{len(processes)}.log'
        with log.open('wb') as stream:
            process = subprocess.Popen(
                [sys.executable, '-m', module, *map(str, args)], cwd=ROOT, stdout=stream,
                stderr=subprocess.STDOUT, env={**os.environ, **environment},
                start_new_session=True, preexec_fn=preexec_fn)
        process.log = log
        processes.append(process)
        return process

    yield spawn
    for process in processes:
        # The session's group: the node and whatever it started, nobody else's processes.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=60)


@pytest.fixture
def refusal(tmp_path, capsys):
    """Run `wm ingest` and expect exit code 2, one line on stderr, and no file."""
    from wm_controller.cli.main import run

    def ingest(*arguments):
        path = tmp_path / 'refused.h5'
        code = run(['ingest', *map(str, arguments), '-o', str(path)])
        out, err = capsys.readouterr()
        assert (code, out, err.count('\n')) == (2, '', 1), (code, out, err)
        assert not list(tmp_path.glob('*refused*'))
        return err
    return ingest


@pytest.fixture
def wm(tmp_path, capsys):
    """Run `wm ingest`: (report, open data set)."""
    from bag_maker import HEIGHT, WIDTH
    from wm_controller.cli.main import run
    from wm_controller.data.dataset import Dataset

    opened = []

    def ingest(*arguments, output='out.h5'):
        path = tmp_path / output
        code = run(['ingest', '-o', str(path), '--size', f'{WIDTH}x{HEIGHT}', '--json',
                    *map(str, arguments)])
        out, err = capsys.readouterr()
        assert (code, err) == (0, ''), err
        opened.append(Dataset.open(path))
        return json.loads(out), opened[-1]

    yield ingest
    for data in opened:
        data.close()


@pytest.fixture
def probe(ros_domain):
    """A node that talks to those under test, and hears them."""
    from ros_probe import Probe

    with Probe() as probe:
        yield probe


@pytest.fixture
def rig(probe):
    """Make controllers with a driver of a few lines."""
    from controller_rig import rigs

    with rigs(probe) as make:
        yield make
