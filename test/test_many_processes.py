# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""One training by several processes: the model of one; one is lost; another number resumes."""

import os
from pathlib import Path
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
import torch

from crew_training import crew_options
from tiny_training import quiet
from wm_controller.cli.main import run as wm
from wm_controller.data.dataset import open_all
from wm_controller.data.rows import HostCrew
from wm_controller.data.windows import Windows
from wm_controller.errors import InputError
from wm_controller.training import batches
from wm_controller.training.checkpoint import read_progress
from wm_controller.training.crew import launch, Share
from wm_controller.training.loop import checkpoint_path, train
from wm_controller.world_model.bundle import load_bundle
from wm_controller.world_model.precision import bfloat16_pays

TEST = Path(__file__).parent
ROUNDED = 2e-3  # weights lie in half precision in a bundle


def torchrun(*arguments):
    """Start two processes that train; stdout and stderr are those of both and of torchrun."""
    path = os.pathsep.join([str(TEST.parent), str(TEST)])
    return subprocess.Popen(
        [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', '2',
         str(TEST / 'crew_training.py'), *map(str, arguments)],
        env={**os.environ, 'PYTHONPATH': path, 'OMP_NUM_THREADS': '1'},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_two_processes_train_the_model_of_one_and_the_first_alone_writes(data, tmp_path):
    one, two = tmp_path / 'one.safetensors', tmp_path / 'two.safetensors'
    process = torchrun(two, data, 5)
    said, complaints = process.communicate(timeout=240)
    assert process.returncode == 0, complaints
    assert sorted(said.split('\n')[:2]) == ['gates', 'no gates']
    train([data], crew_options(one, 5), quiet)
    bundles = load_bundle(one), load_bundle(two)
    a, b = (bundle.model.state_dict() for bundle in bundles)
    for name in a:
        torch.testing.assert_close(b[name], a[name], atol=ROUNDED, rtol=ROUNDED, msg=name)
    records = [bundle.training for bundle in bundles]
    assert records[0]['frames'] == records[1]['frames'] == 5 * 8 * 16
    assert not list(tmp_path.glob('.*')) and not list(data.parent.glob('.*.frames'))


def test_a_lost_process_ends_all_with_one_line_and_any_number_goes_on_from_there(data, tmp_path):
    output = tmp_path / 'model.safetensors'
    process = torchrun(output, data, 100_000)
    deadline = time.monotonic() + 200
    while not checkpoint_path(output).exists():
        assert process.poll() is None and time.monotonic() < deadline, process.stderr.read()
        time.sleep(0.1)
    children = [child for child in psutil.Process(process.pid).children(recursive=True)
                if 'crew_training.py' in ' '.join(child.cmdline())]
    [second] = [child for child in children if child.environ().get('RANK') == '1']
    second.send_signal(signal.SIGKILL)
    _, complaints = process.communicate(timeout=120)
    assert process.returncode != 0 and not output.exists()
    assert not psutil.wait_procs(children, timeout=5)[1]
    said = [line for line in complaints.splitlines() if line.startswith('wm run:')]
    assert len(said) <= 1 and all('resumes' in line for line in said)  # torchrun may be first
    assert 'crew.py' not in complaints

    reached = read_progress(checkpoint_path(output))['iteration']
    assert reached > 0
    train([data], crew_options(output, reached + 2), quiet)
    assert load_bundle(output).training['iterations'] == reached + 2


def test_shares_of_a_batch_are_the_batch(data):
    datasets = open_all([data])
    windows = Windows(datasets, 16)

    def drawn(share):
        return batches.Sampler(windows, 3, 60, 3.0, True, True, share).sample(12, 7)

    whole, parts = drawn(Share()), [drawn(Share(rank, 3)) for rank in range(3)]
    for name, values in whole.items():
        joined = torch.cat([part[name] for part in parts])
        assert torch.equal(torch.nan_to_num(joined), torch.nan_to_num(values)), name
    for dataset in datasets:
        dataset.close()


def test_processes_of_a_host_unpack_frames_together_and_read_the_same(data):
    from threading import Barrier, Thread

    datasets = [open_all([data]) for _ in range(2)]
    meet, found = Barrier(2), {}

    def open_windows(rank):
        found[rank] = Windows(datasets[rank], 16, crew=HostCrew(rank, 2, 77, meet.wait))

    threads = [Thread(target=open_windows, args=(rank,)) for rank in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    alone = Windows(datasets[0], 16)
    indices = np.arange(0, len(alone), 7)
    for windows in found.values():
        assert windows.unpacked and not windows.in_memory
        assert np.array_equal(windows.batch(indices)['pixels'], alone.batch(indices)['pixels'])
    assert not list(data.parent.glob('.*.frames'))
    for dataset in (*datasets[0], *datasets[1]):
        dataset.close()


def test_a_batch_without_shares_and_a_precision_without_instructions_are_refused(
        data, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv('WORLD_SIZE', '3')
    with pytest.raises(InputError, match='--batch 8.*multiple of 3'):
        launch(8)
    monkeypatch.delenv('WORLD_SIZE')
    arguments = ['train', str(data), '-o', str(tmp_path / 'm.safetensors'), '--precision']
    assert wm([*arguments, '16-mixed']) == 2
    assert 'bf16-mixed' in capsys.readouterr().err
    if bfloat16_pays('cuda' if torch.cuda.is_available() else 'cpu'):
        pytest.skip('this device has instructions for bfloat16: it has nothing to refuse')
    assert wm([*arguments, 'bf16-mixed']) == 2
    error = capsys.readouterr().err
    assert '32-true' in error and len(error.strip().splitlines()) == 1
