# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Work spread over processes or a cluster: order, errors, workers that die, the same result."""

from functools import partial
import json
import os
from pathlib import Path
import time

import pytest

from bag_maker import Drive, drive_bag
from wm_controller.cli.main import run
from wm_controller.data.dataset import Dataset
from wm_controller.errors import InputError
from wm_controller.spread import spread, Workers

TWO = Workers(2)


def late_is_even(number):
    time.sleep(0.3 if number % 2 == 0 else 0.0)
    return number * number, os.getpid()


def fail_at(number, bad):
    if number == bad:
        raise InputError(f'number {number} is bad: leave it out')
    return number


def end_at(number):
    if number == 2:
        os._exit(9)
    return number


def test_results_come_in_order_where_that_is_asked_and_each_once_in_any_case():
    calls = [(number,) for number in range(7)]
    found = list(spread(late_is_even, calls, TWO, in_order=True))
    assert [(n, square) for n, (square, _) in found] == [(n, n * n) for n in range(7)]
    assert {pid for _, (_, pid) in found} - {os.getpid()}
    as_they_end = dict(spread(late_is_even, calls, TWO))
    assert {n: square for n, (square, _) in as_they_end.items()} == {n: n * n for n in range(7)}


def test_few_calls_are_under_way_before_a_slow_reader(tmp_path):
    results = spread(partial(touch, str(tmp_path)), [(n,) for n in range(40)], TWO, in_order=True)
    next(results)
    time.sleep(1.0)
    assert len(list(tmp_path.iterdir())) <= 2 * 2 + 2
    results.close()


def touch(folder, number):
    open(os.path.join(folder, str(number)), 'w').close()


def test_what_a_call_raises_is_raised_here_and_a_worker_that_dies_is_one_line():
    with pytest.raises(InputError, match='number 3 is bad'):
        list(spread(fail_at, [(n, 3) for n in range(6)], TWO))
    with pytest.raises(InputError, match='worker was ended from outside'):
        list(spread(end_at, [(n,) for n in range(6)], TWO))


def test_one_process_needs_no_other_where_it_may_be_this_one():
    [(_, (_, pid))] = spread(late_is_even, [(1,)], Workers(1, here=True))
    assert pid == os.getpid()
    with pytest.raises(InputError, match='--workers is -1'):
        Workers(-1)


def test_bags_read_by_several_processes_give_the_data_set_that_one_gives(tmp_path, capsys):
    bags = [str(drive_bag(tmp_path / f'bag_{n}', Drive(duration_s=5.0 + n, seed=n)))
            for n in range(2)]
    digests, reports = [], []
    for workers in ('1', '2'):
        output = tmp_path / f'{workers}.h5'
        assert run(['ingest', *bags, '-o', str(output), '--rate', '4', '--workers', workers,
                    '--json']) == 0
        reports.append(json.loads(capsys.readouterr().out))
        with Dataset.open(output) as data:
            assert data.computed_digest() == data.digest
            digests.append(data.digest)
    assert digests[0] == digests[1]
    assert reports[0]['bags'] == reports[1]['bags']
    assert sorted(p.suffix for p in tmp_path.iterdir() if p.is_file()) == ['.h5', '.h5']


def test_a_cluster_answers_as_processes_do(monkeypatch):
    pytest.importorskip('ray', reason='needs Ray: the extra `cluster`')
    # Its workers import the function by its module, as on another host.
    monkeypatch.setenv('PYTHONPATH', str(Path(__file__).parent), prepend=os.pathsep)
    cluster = Workers(2, 'local')
    try:
        found = list(spread(late_is_even, [(n,) for n in range(4)], cluster, in_order=True))
    except InputError as error:
        assert 'did not start' in str(error)
        pytest.skip(f'this machine is too busy for Ray, which waits 30 s for itself: {error}')
    assert [square for _, (square, _) in found] == [0, 1, 4, 9]
    assert os.getpid() not in {pid for _, (_, pid) in found}
    with pytest.raises(InputError, match='^number 1 is bad: leave it out$'):
        list(spread(fail_at, [(n, 1) for n in range(3)], cluster))


def test_a_cluster_that_is_not_there_is_said_in_one_line(tmp_path, capfd):
    pytest.importorskip('ray', reason='needs Ray: the extra `cluster`')
    assert run(['evaluate', '--planner', 'straight', '--episodes', '1', '--ray', '127.0.0.1:1',
                '--out', str(tmp_path)]) == 2
    error = capfd.readouterr().err
    assert error.count('\n') == 1 and 'ray start --head' in error
