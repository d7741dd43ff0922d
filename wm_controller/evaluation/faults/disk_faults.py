# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""A disk that is full: files are limited to a few bytes, as no test may fill a real one."""

from __future__ import annotations

import resource
import subprocess
import sys
import time

import psutil

from wm_controller.errors import InputError
from wm_controller.evaluation.faults.row import Fault, Ground, StartFault
from wm_controller.evaluation.faults.scene import Scene, Unexpected
from wm_controller.evaluation.processes import NodeSpec
from wm_controller.resources import find_config

FULL_BYTES = 512
ANSWER_S, RECORDING_S, COLLECT_S = 5.0, 15.0, 60.0
MARK, REMEMBER = 'recorder/mark', 'controller/remember'


def _map_saved(scene: Scene) -> float:
    """Refused in a line, nothing left behind, the old map untouched; the robot drives on."""
    done, line = scene.observer.trigger(REMEMBER)
    if not done:
        raise Unexpected(f'the map cannot be saved on a disk with room: {line}')
    path = scene.folder / 'places.h5'
    before, there = path.read_bytes(), set(path.parent.iterdir())
    process = psutil.Process(scene.graph.process('controller').pid)
    limits = process.rlimit(psutil.RLIMIT_FSIZE)
    process.rlimit(psutil.RLIMIT_FSIZE, (FULL_BYTES, limits[1]))
    try:
        since = time.monotonic()
        done, line = scene.observer.trigger(REMEMBER)
        reaction = time.monotonic() - since
        if done or 'places.h5' not in line or '\n' in line:
            raise Unexpected(f'~/remember on a full disk says {line!r}')
        scene.drives_on(since + 1)
    finally:
        process.rlimit(psutil.RLIMIT_FSIZE, limits)
    if path.read_bytes() != before or set(path.parent.iterdir()) != there:
        raise Unexpected('the old map is changed, or something half-written is left')
    return reaction


def _recording(scene: Scene) -> float:
    """Said by the next mark; the recorder lives and the robot drives on; with room it records."""
    node = NodeSpec('recorder', {
        'use_sim_time': True, 'folder': str(scene.folder / 'recordings'), 'record_all': True,
        'min_free_mb': 0}, find_config('robot'))
    process = psutil.Process(scene.graph.start(node).pid)
    try:
        scene.until(lambda: _mark(scene)[0], 30.0, 'the recorder recording')
        limits = process.rlimit(psutil.RLIMIT_FSIZE)
        process.rlimit(psutil.RLIMIT_FSIZE, (FULL_BYTES, limits[1]))
        since = time.monotonic()
        scene.until(lambda: _mark(scene)[1].startswith('not recorded'),
                    2 * RECORDING_S, 'the recorder saying that it cannot')
        reaction = time.monotonic() - since
        scene.drives_on(since + 1)
        process.rlimit(psutil.RLIMIT_FSIZE, limits)
        scene.until(lambda: _mark(scene)[0], 60.0, 'it recording again')
        return reaction
    finally:
        scene.graph.stop_node('recorder')


def _mark(scene: Scene) -> tuple[bool, str]:
    """Mark a moment; a recorder that has only just started may not answer yet."""
    try:
        return scene.observer.trigger(MARK)
    except InputError:
        return False, ''


def _collect(ground: Ground) -> float:
    """Exit 2 and one line; nothing left behind."""
    folder = ground.folder / 'collected'
    folder.mkdir(exist_ok=True)
    line = [sys.executable, '-m', 'wm_controller.cli.main', 'collect', '--rooms', '1', '--steps',
            '30', '-o', str(folder / 'data.h5')]
    began = time.monotonic()
    done = subprocess.run(
        line, env=ground.environment, capture_output=True, text=True, timeout=2 * COLLECT_S,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)))
    reaction = time.monotonic() - began
    said = [text for text in done.stderr.splitlines() if text.strip()]
    if done.returncode != 2 or len(said) != 1:
        raise Unexpected(f'exit {done.returncode}, {len(said)} lines: {said[-1:]}')
    if left := list(folder.iterdir()):
        raise Unexpected(f'left behind: {left[0].name}')
    return reaction


DISK_FAULTS = (
    Fault('disk_full_map', 'no room for the map of places (~/remember)',
          'refused in one line that names the file; the old map stays; the robot drives on',
          ANSWER_S, _map_saved),
    Fault('disk_full_recording', 'no room for the bags of `recorder_node`',
          'a mark is refused in one line; the robot drives on; with room it records again',
          RECORDING_S, _recording),
)
DISK_START_FAULTS = (
    StartFault('disk_full_collect', 'no room for the data of `wm collect`',
               'one line, exit 2, nothing left behind', COLLECT_S, _collect),
)
