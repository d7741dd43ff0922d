# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""What runs the model: torch, or ONNX Runtime where that is faster."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
import time

import numpy as np
import torch

from wm_controller.errors import InputError
from wm_controller.planning.config import PilotConfig
from wm_controller.planning.imagination import Imagination
from wm_controller.world_model.bundle import Bundle
from wm_controller.world_model.export import INSTALL, read_folder
from wm_controller.world_model.model import WorldModel
from wm_controller.world_model.onnx_model import faithful, made_here, OnnxModel, Sessions

MARGIN = 0.9  # of torch's time, that is worth another program in the loop
ROUNDS = 7    # of the race, of which the median counts


@dataclass(frozen=True)
class Choice:
    """The bundle to drive with, what runs it, why, and what the user should hear of."""

    bundle: Bundle
    note: str
    warning: str = ''


def with_onnx(bundle: Bundle, config: PilotConfig, exported: str = '') -> Bundle:
    """Return the bundle with its model run by ONNX Runtime, with torch's number of threads.

    `exported`: the folder of `wm export`; without, the model is exported in memory. Raises
    InputError where that cannot be, or answers differ.
    """
    if find_spec('onnxruntime') is None:
        raise InputError(f'onnxruntime is missing: {INSTALL}')
    steps, threads = config.horizon_steps, torch.get_num_threads()
    if exported:
        # What was written may be int8, and was compared when it was.
        parts = read_folder(Path(exported).expanduser(), bundle, steps)
        return replace(bundle, model=OnnxModel.of(bundle.model, Sessions(parts, threads), steps))
    sessions = Sessions(made_here(bundle.model, steps), threads)
    return replace(bundle, model=faithful(OnnxModel.of(bundle.model, sessions, steps)))


def choose(bundle: Bundle, config: PilotConfig, runtime: str, exported: str = '') -> Choice:
    """Run a bundle by what `runtime` says; `auto`: by what is faster here, measured now.

    Raises InputError for `onnx` where ONNX Runtime cannot run it; `auto` then warns, and keeps
    torch.
    """
    if runtime == 'torch':
        return Choice(bundle, 'torch')
    try:
        other = with_onnx(bundle, config, exported)
    except InputError as error:
        if runtime == 'onnx':
            raise InputError(f'runtime onnx: {error}') from error
        return Choice(bundle, 'torch', f'runtime auto: the model is run by torch: {error}')
    if runtime == 'onnx':
        return Choice(other, 'onnx')
    torch_s, onnx_s = race(_work(bundle.model, config), _work(other.model, config))
    note = f'{1e3 * torch_s:.1f} ms by torch, {1e3 * onnx_s:.1f} ms by onnx'
    if onnx_s <= MARGIN * torch_s:
        return Choice(other, f'onnx: {note}')
    return Choice(bundle, f'torch: {note}')


def race(*works: Callable[[], object]) -> list[float]:
    """Median time, s, of each of some works."""
    return [float(np.median(taken)) for taken in race_times(ROUNDS, *works)]


def race_times(rounds: int, *works: Callable[[], object]) -> list[list[float]]:
    """Times, s, of each of some works, taken in turns so that all meet the same load."""
    # Of one thread the processor's time, which other programs' load does not lengthen.
    clock = time.thread_time if torch.get_num_threads() == 1 else time.perf_counter
    for work in works:
        work()
    times: list[list[float]] = [[] for _ in works]
    for _ in range(rounds):
        for work, taken in zip(works, times):
            begun = clock()
            work()
            taken.append(clock() - begun)
    return times


def _work(model: WorldModel, config: PilotConfig) -> Callable[[], None]:
    """What a plan asks of the model: one image, and the futures of each round."""
    rng = np.random.default_rng(0)
    height, width = model.spec.image_size
    pixels = torch.from_numpy(rng.integers(0, 255, (1, height, width, 3), np.uint8))
    imagination = Imagination(model, (1.0,), config.drawn_futures)
    low, high = config.limits.low, config.limits.high
    rounds = [rng.uniform(low, high, (count, config.horizon_steps, 2))
              for count in config.solver.candidates]
    goal, variable = np.array([2.0, 0.5]), imagination.draw(config.horizon_steps)

    @torch.no_grad()
    def work() -> None:
        latent = model.encode_with_features(pixels)[0]
        state = model.observe(model.initial_state(1), latent, torch.zeros(1, 2),
                              torch.zeros(1, 5))
        for actions in rounds:
            imagination(state, actions, goal, variable)

    return work
