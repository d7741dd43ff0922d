# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""How many frames a second training takes in, and how much memory."""

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
WM = (sys.executable, '-m', 'wm_controller.cli.main')
POLL_S = 0.1


def bench_training(seconds: float, data: Path | None, threads: int) -> dict[str, Any]:
    """Train for a while on a data set, a small collected one by default, in a process."""
    if data is not None and not data.is_file():
        raise InputError(f'{data}: no such data set')
    with tempfile.TemporaryDirectory(prefix='wm_bench_') as name:
        folder = Path(name)
        if data is None:
            data = folder / 'data.h5'
            _run(*WM, 'collect', '--rooms', str(ROOMS), '--steps', str(STEPS), '-o', str(data))
        bundle = folder / 'model.safetensors'
        peak_mb = _run(
            *WM,
            'train',
            str(data),
            '-o',
            str(bundle),
            '--minutes',
            str(seconds / 60),
            '--threads',
            str(threads),
            '--goal-picture-minutes',
            '0',
            '--compass-minutes',
            '0',
            '--abstract-minutes',
            '0',
            '--decoder-minutes',
            '0',
            '--proposal-minutes',
            '0',
            '--runs',
            str(folder),
            negative_ok=True,
        )
        return {**_record(bundle), 'peak_mb': peak_mb, 'limit_mb': LIMITS_MB['training']}


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
            raise InputError(f'`wm {command[3]}` did not work: {said.splitlines()[-1:] or "?"}')
    return peak_mb
