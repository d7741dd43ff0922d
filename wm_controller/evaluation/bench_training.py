# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""How many frames a second training takes in, and how much memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
import subprocess
import sys
import tempfile
import time
from typing import Any

from wm_controller.errors import InputError
from wm_controller.evaluation.bench_memory import LIMITS_MB
from wm_controller.evaluation.bench_processes import peak_memory_mb

ROOMS, STEPS = 12, 120
TURNS = 2  # of one process and of two, by turns: what else the machine does meets both
WM = (sys.executable, '-m', 'wm_controller.cli.main')
TORCHRUN = (sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node')
PARTS = ('goal-picture', 'compass', 'abstract', 'decoder', 'proposal')
POLL_S = 0.1


def bench_training(seconds: float, data: Path | None, threads: int) -> dict[str, Any]:
    """Train for a while on a data set, a small collected one by default, in a process."""
    with _data(data) as (data, folder):
        return {**_train(data, folder, seconds, threads), 'limit_mb': LIMITS_MB['training']}


def bench_scaling(seconds: float, data: Path | None) -> dict[str, Any]:
    """Train with one process and with two, of one thread each; frames a second and their ratio."""
    rates: dict[int, list[float]] = {1: [], 2: []}
    with _data(data) as (data, folder):
        for _ in range(TURNS):
            for processes, found in rates.items():
                found.append(_train(data, folder, seconds, 1, processes)['frames_per_s'])
    one, two = (sum(found) / len(found) for found in rates.values())
    return {'one_frames_per_s': rates[1], 'two_frames_per_s': rates[2], 'ratio': two / one}


@contextmanager
def _data(given: Path | None) -> Iterator[tuple[Path, Path]]:
    """Give a data set, a small collected one by default, and a folder for models."""
    if given is not None and not given.is_file():
        raise InputError(f'{given}: no such data set')
    with tempfile.TemporaryDirectory(prefix='wm_bench_') as name:
        if given is None:
            given = Path(name) / 'data.h5'
            _run(*WM, 'collect', '--rooms', str(ROOMS), '--steps', str(STEPS), '-o', str(given))
        yield given, Path(name)


def _train(data: Path, folder: Path, seconds: float, threads: int, processes: int = 1
           ) -> dict[str, Any]:
    bundle = folder / 'model.safetensors'
    start = WM if processes == 1 else (*TORCHRUN, str(processes), *WM[1:])
    none = [word for part in PARTS for word in (f'--{part}-minutes', '0')]
    peak_mb = _run(*start, 'train', str(data), '-o', str(bundle), '--minutes', str(seconds / 60),
                   '--threads', str(threads), *none, '--runs', str(folder), '--restart',
                   negative_ok=True)
    return {**_record(bundle), 'peak_mb': peak_mb}


def _record(bundle: Path) -> dict[str, Any]:
    from wm_controller.world_model.bundle import load_bundle

    training = load_bundle(bundle).training
    return {
        'frames_per_s': training['frames'] / (60 * training['minutes']),
        'batch': training['batch'],
        'window': training['window'],
    }


def _run(*command: str, negative_ok: bool = False) -> float:
    """Run to the end and return the peak of resident memory, MB; a failed gate is no failure."""
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors)
        peak_mb = 0.0
        try:
            while process.poll() is None:
                peak_mb = max(peak_mb, peak_memory_mb(process.pid))
                time.sleep(POLL_S)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
        if process.returncode not in ((0, 1) if negative_ok else (0,)):
            errors.seek(0)
            said = errors.read().decode(errors='replace').strip()
            raise InputError(f'`{" ".join(command[1:])}` did not work: '
                             f'{said.splitlines()[-1:] or "?"}')
    return peak_mb
