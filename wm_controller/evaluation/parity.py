# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Whether an exported model answers as the model does, and what int8 costs its predictions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wm_controller.data.images import fit
from wm_controller.evaluation.open_loop import score_bundle
from wm_controller.planning.runtime import race
from wm_controller.safety.geometry import relative
from wm_controller.simulation.rooms import make_room
from wm_controller.simulation.simulator import Simulator
from wm_controller.world_model.bundle import Bundle
from wm_controller.world_model.export import difference
from wm_controller.world_model.graphs import Graph
from wm_controller.world_model.model import WorldModel
from wm_controller.world_model.onnx_model import OnnxModel, Sessions

RANDOM_ROWS = (1, 37)
FRAMES, COMMAND = 16, (0.2, 0.6)  # of a drive in a simulated room: m/s, rad/s
TIMED_ROWS = 96
TOLERANCE = 1.02  # times the error over no change that int8 may have
WINDOWS = 256
Runner = Callable[[Graph, tuple[Tensor, ...]], Sequence[Any]]


def runner(kind: str, parts: Mapping[str, bytes]) -> Runner:
    """Return what runs exported parts: ONNX Runtime, or `torch.jit` for what was just traced."""
    if kind == 'onnx':
        sessions = Sessions(parts, torch.get_num_threads())
        return lambda graph, values: sessions.run(graph, *values)
    loaded = {name: torch.jit.load(io.BytesIO(data)) for name, data in parts.items()}

    def run(graph: Graph, values: tuple[Tensor, ...]) -> Sequence[Any]:
        with torch.no_grad():
            found = loaded[graph.name](*values)
        return found if isinstance(found, tuple) else (found,)
    return run


def compare(model: WorldModel, parts: Sequence[Graph], run: Runner) -> dict[str, dict[str, float]]:
    """Largest absolute difference of each part's outputs, on random inputs and on a drive's."""
    real = _on_a_drive(model)
    found: dict[str, dict[str, float]] = {}
    for graph in parts:
        cases = [graph.example(rows, seed=rows) for rows in RANDOM_ROWS]
        drawn = graph.example(FRAMES, seed=2)
        cases.append(tuple(real.get(name, value) for name, value in zip(graph.inputs, drawn)))
        worst: dict[str, float] = {}
        for values in cases:
            for name, off in difference(graph, values, run(graph, values)).items():
                worst[name] = max(off, worst.get(name, 0.0))
        found[graph.name] = worst
    return found


@torch.no_grad()
def _on_a_drive(model: WorldModel) -> dict[str, Tensor]:
    """Inputs by name, of `FRAMES` rows each, as they come on a drive in a simulated room."""
    robot, period = Simulator(make_room(0, 'evaluation', people=0), seed=0), (
        model.spec.step_period_s)
    height, width = model.spec.image_size
    frames, poses, twists = [], [robot.odometry.pose.copy()], []
    robot.command(*COMMAND)
    for _ in range(FRAMES):
        robot.step(period)
        frames.append(np.array(fit(robot.image(), (width, height))))
        poses.append(robot.odometry.pose.copy())
        twists.append(robot.odometry.twist)
    steps = [relative(before, after) for before, after in zip(poses, poses[1:])]
    pixels = torch.from_numpy(np.stack(frames))
    proprio = torch.from_numpy(np.concatenate([steps, twists], 1)).float()
    action = torch.tensor(COMMAND).expand(FRAMES, 2).contiguous()
    latent = model.encode(pixels)
    state = model.follow(latent[None], action[None], proprio[None])[0]
    return {'pixels': pixels, 'latent': latent, 'action': action, 'proprio': proprio,
            'state': state}


def judge_int8(bundle: Bundle, steps: int, exact: Mapping[str, bytes],
               rounded: Mapping[str, bytes], data: Path, on_progress: Callable[..., None]
               ) -> dict[str, Any]:
    """What int8 costs and gains: prediction on recordings, and a roll-out's time.

    `persistence_ratio` (error over that of predicting no change, by steps) and `rpe_m` of both;
    `worse` is the largest ratio of the two; `holds`: within TOLERANCE.
    """
    threads = torch.get_num_threads()
    models = [OnnxModel.of(bundle.model, Sessions(parts, threads), steps)
              for parts in (exact, rounded)]
    rows = []
    for model in models:
        found = score_bundle(replace(bundle, model=model), data, on_progress, most=WINDOWS)
        errors = dict(found['persistence_ratio'])
        driven = found['trajectory'].get('model', {})  # none without odometry
        rows.append({'persistence_ratio': errors, 'rpe_m': driven.get('rpe_m')})
    float_, int8 = rows
    ratios = [int8['persistence_ratio'][step] / error
              for step, error in float_['persistence_ratio'].items()]
    if float_['rpe_m']:
        ratios.append(int8['rpe_m'] / float_['rpe_m'])
    worse = float(np.max(ratios))
    state = torch.zeros(TIMED_ROWS, bundle.spec.architecture.state)
    actions = 0.3 * torch.ones(TIMED_ROWS, steps, 2)

    def work(model: OnnxModel) -> Callable[[], object]:
        return torch.no_grad()(lambda: model.imagine(state, actions))
    times = race(*(work(model) for model in models))
    return {'data': data.name, 'float': float_, 'int8': int8, 'worse': worse,
            'tolerance': TOLERANCE, 'holds': worse <= TOLERANCE,
            'rollout_ms': {'float': 1e3 * times[0], 'int8': 1e3 * times[1]},
            'rollout_time_ratio': times[1] / times[0]}
