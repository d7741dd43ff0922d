# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""What is wrong before a robot drives: files, parameters, the order in which nodes start."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import permutations
from pathlib import Path
import subprocess
import time

from wm_controller.evaluation.faults.row import Ground, StartFault
from wm_controller.evaluation.faults.scene import opened, Unexpected
from wm_controller.evaluation.processes import NodeSpec

REFUSED_S, READY_S, DRIVES_S = 20.0, 60.0, 60.0
STAGGER_S = 1.5
ORDERED = ('controller', 'guardrail', 'simulator')


def _refused(line: Sequence[str], ground: Ground, words: str) -> float:
    """Run a command that must end with 2 and one line with these words; seconds it took."""
    began = time.monotonic()
    try:
        done = subprocess.run(line, env=ground.environment, capture_output=True, text=True,
                              timeout=REFUSED_S, cwd=ground.folder)
    except subprocess.TimeoutExpired:
        raise Unexpected(f'not refused within {REFUSED_S:g} s') from None
    said = [text for text in done.stderr.splitlines() if text.strip()]
    if done.returncode != 2 or len(said) != 1 or words not in said[0]:
        raise Unexpected(f'exit {done.returncode}, said {said[-1:] or "nothing"} '
                         f'({len(said)} lines), expected 2 and one line with {words!r}')
    return time.monotonic() - began


def _parameters(node: str, name: str, value: str) -> Callable[[Ground], float]:
    """A parameter file of one value that does not do."""
    def act(ground: Ground) -> float:
        path = ground.folder / f'{node}_{name}.yaml'
        path.write_text(f'/**:\n  ros__parameters:\n    {name}: {value}\n', encoding='utf-8')
        return _refused(NodeSpec(node, {}, path).arguments(), ground, name)
    return act


def _bundle(make: Callable[[Path, Path], None], words: str) -> Callable[[Ground], float]:
    """The controller says in its status that it cannot use the model, and commands nothing."""
    def act(ground: Ground) -> float:
        path = ground.folder / 'foreign.safetensors'
        make(ground.stage.model, path)
        observer = ground.observe()
        node = NodeSpec('controller', {'model': str(path)})
        began = time.monotonic()
        process = subprocess.Popen(node.arguments(), env=ground.environment,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            while time.monotonic() - began < REFUSED_S:
                said = [s for s in list(observer.record.controller)
                        if s.values.get('state') == 'fault']
                if said:
                    return _judged(said[-1].message, words, observer.record, began)
                if process.poll() is not None:
                    raise Unexpected(f'the controller ended ({process.returncode})')
                time.sleep(0.02)
            raise Unexpected('the controller does not report a fault')
        finally:
            process.kill()
            process.wait()
            observer.close()
    return act


def _judged(line: str, words: str, record, began: float) -> float:  # type: ignore[no-untyped-def]
    if words not in line or '\n' in line:
        raise Unexpected(f'the controller says {line!r}, expected {words!r}')
    if record.wanted:
        raise Unexpected('a controller without a model commands')
    return float(time.monotonic() - began)


def _corrupt(model: Path, path: Path) -> None:
    """Cut it off in the middle, as a download does."""
    with open(model, 'rb') as stream:
        path.write_bytes(stream.read(model.stat().st_size // 2))


def _foreign(model: Path, path: Path) -> None:
    """Write tensors of something else."""
    import numpy as np
    from safetensors.numpy import save_file
    save_file({'weight': np.zeros((3, 3), np.float32)}, str(path))


def _any_order(ground: Ground) -> float:
    """Start the nodes in every order, some time between them; the longest until it drives."""
    longest = 0.0
    for number, order in enumerate(permutations(ORDERED)):
        pauses = [(node, STAGGER_S) for node in order] + [('fault_injector', 0.0)]
        folder = ground.folder / f'order{number}'
        with opened(ground.stage, ground.observe, folder, pauses) as scene:
            began = time.monotonic()
            longest = max(longest, scene.drive(DRIVES_S) - began)
    return longest


START_FAULTS = (
    StartFault('bundle_corrupt', 'a model file cut off in the middle',
               '`fault`, in one line that names the file; nothing is commanded', REFUSED_S,
               _bundle(_corrupt, 'foreign.safetensors')),
    StartFault('bundle_foreign', 'a safetensors file of something else',
               '`fault`, in one line that names the file; nothing is commanded', REFUSED_S,
               _bundle(_foreign, 'foreign.safetensors')),
    StartFault('guardrail_wrong_type', 'a parameter file with `max_linear_velocity: fast`',
               'refused in one line, exit 2', REFUSED_S,
               _parameters('guardrail', 'max_linear_velocity', 'fast')),
    StartFault('guardrail_out_of_range', 'a parameter file with `auto_timeout_s: 0.0`',
               'refused in one line, exit 2', REFUSED_S,
               _parameters('guardrail', 'auto_timeout_s', '0.0')),
    StartFault('controller_wrong_type', 'a parameter file with `rate: [1, 2]`',
               'refused in one line, exit 2', REFUSED_S,
               _parameters('controller', 'rate', '[1, 2]')),
    StartFault('controller_out_of_range', 'a parameter file with `image_timeout_s: 30.0`',
               'refused in one line, exit 2', REFUSED_S,
               _parameters('controller', 'image_timeout_s', '30.0')),
    StartFault('started_in_any_order', 'all six orders of controller, guardrail and robot',
               'drives', DRIVES_S, _any_order),
)
