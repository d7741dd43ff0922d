# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The same model by torch, by ONNX Runtime, and with its roll-outs in int8: times in turns."""

from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch

from wm_controller.evaluation.bench_timing import Timing
from wm_controller.planning.runtime import race_times
from wm_controller.world_model.bundle import Bundle
from wm_controller.world_model.onnx_model import made_here, OnnxModel, Sessions
from wm_controller.world_model.quantise import to_int8


def bench_runtimes(bundle: Bundle, calls: int) -> dict[str, Any] | None:
    """Times of encoding and of a search by each, and their ratios to torch's; None: not here."""
    from wm_controller.evaluation.bench_planner import make_case

    if find_spec('onnxruntime') is None or find_spec('onnx') is None:
        return None
    case = make_case(bundle, 0)
    steps, threads = case.pilot.config.horizon_steps, torch.get_num_threads()
    parts = made_here(bundle.model, steps)
    kinds = {'onnx': parts, 'int8': {**parts, 'rollout': to_int8(parts['rollout'])}}
    cases = {'torch': case}
    for name, made in kinds.items():
        model = OnnxModel.of(bundle.model, Sessions(made, threads), steps)
        cases[name] = make_case(replace(bundle, model=model), 0)
    image = np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8)
    rng = np.random.default_rng(0)
    rounds = [rng.uniform((-0.2, -1.0), (0.5, 1.0), (count, steps, 2))
              for count in case.pilot.config.solver.candidates]
    works = {
        'encode': [lambda e=each.pilot.estimator: e.encode(image) for each in cases.values()],
        'search': [lambda e=each: [e.cost_of(actions) for actions in rounds]
                   for each in cases.values()],
    }
    result: dict[str, Any] = {}
    for what, called in works.items():
        times = race_times(calls, *called)
        middle = np.median(times, 1)
        result[what] = {name: {**vars(Timing.of(taken)), 'ratio': float(mid / middle[0])}
                        for name, taken, mid in zip(cases, times, middle)}
    return result
