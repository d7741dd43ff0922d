# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
How long seeing and planning take, and the planner beside `pytorch-mppi`.

The peer gets the same world model, the same cost, the same noise and as many candidates in all as
the planner's rounds together, in the same situations: robots that have looked about in rooms of
the evaluation family. Its temperature is the best of several for it.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from importlib.util import find_spec
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
import torch

from wm_controller.errors import InputError
from wm_controller.evaluation.bench_runtime import bench_runtimes
from wm_controller.evaluation.bench_timing import time_calls, Timing
from wm_controller.planning.candidates import arcs
from wm_controller.planning.config import PilotConfig
from wm_controller.planning.contract import Observation, PoseGoal
from wm_controller.planning.objectives import cost, Situation
from wm_controller.planning.pilot import Pilot
from wm_controller.planning.solvers import make_solver, Search
from wm_controller.simulation.rooms import make_room
from wm_controller.simulation.simulator import Simulator
from wm_controller.world_model.bundle import Bundle

Floats = NDArray[np.float64]
LOOK_S, TURN_RAD_S, FRAME_S = 4.0, 1.2, 0.1  # the look about, before the planning
GOAL_M = (2.0, 6.0)
ROLLOUTS = ((64, 8), (128, 12), (256, 12), (512, 20))  # candidates, steps
TEMPERATURES = (0.01, 0.03, 0.1, 0.3)
REPLANS = 3
FORBIDDEN = 1e3  # what the peer is told instead of infinity, which its weights cannot take


@dataclass(frozen=True)
class Case:
    """A pilot that has looked about, a goal in sight of it, and what a sequence there costs."""

    pilot: Pilot
    situation: Situation
    goal_in_base: Floats
    bearing: float

    @property
    def state(self) -> torch.Tensor:
        """Latent state (1, S) now."""
        estimate = self.pilot.estimator.latest
        assert estimate is not None
        return estimate.state

    def cost_of(self, actions: Floats) -> Floats:
        """Cost (N,) of sequences (N, T, 2)."""
        future = self.pilot.imagination(self.state, actions, self.goal_in_base)
        config = self.pilot.config
        return cost(future, self.situation, self.pilot.memory, config, config.solver.ranked)


def make_case(bundle: Bundle, seed: int) -> Case:
    """Put a robot into a room of the evaluation family and let it look about."""
    room = make_room(seed, 'evaluation', people=0)
    robot = Simulator(room, seed=seed)
    pilot = Pilot(bundle, PilotConfig(), seed)
    start = robot.pose.copy()
    robot.command(0.0, TURN_RAD_S)
    for _ in range(round(LOOK_S / FRAME_S)):
        robot.step(FRAME_S)
        pilot.observe(
            Observation(robot.time, robot.image(), robot.odometry.pose, robot.odometry.twist)
        )
        pilot.estimator.commanded(robot.time, 0.0, TURN_RAD_S)
    estimate = pilot.estimator.latest
    assert estimate is not None
    rng = np.random.default_rng(seed)
    places = np.array([room.sample_free_pose(rng)[:2] for _ in range(64)])
    distance = np.hypot(*(places - start[:2]).T)
    near = places[(distance > GOAL_M[0]) & (distance < GOAL_M[1])]
    goal = robot.world_to_odom(np.append(near[0] if len(near) else places[0], 0.0))[:2]
    offset = goal - estimate.pose[:2]
    cos, sin = np.cos(estimate.pose[2]), np.sin(estimate.pose[2])
    in_base = np.array([cos * offset[0] + sin * offset[1], -sin * offset[0] + cos * offset[1]])
    pilot.set_goal(PoseGoal(*goal.tolist()))
    situation = Situation(
        estimate.pose,
        goal,
        pilot.memory.obstacles_near(estimate.pose, pilot.config.obstacle_range),
        pilot.memory.cost_to_go(goal),
        np.zeros(2),
    )
    return Case(pilot, situation, in_base, float(np.arctan2(in_base[1], in_base[0])))


def bench_planner(
    bundle: Bundle, cases: int, calls: int, advance: Callable[[], None]
) -> dict[str, Any]:
    """Return times of encoding, planning and imagining, and the comparison with the peer."""
    made = []
    for seed in range(cases):
        made.append(make_case(bundle, seed))
        advance()
    pilot = made[0].pilot
    image = np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8)
    config = pilot.config
    latest = pilot.estimator.latest
    assert latest is not None
    result: dict[str, Any] = {
        'threads': torch.get_num_threads(),
        'encode': {
            'image': '320x240',
            **asdict(time_calls(lambda: pilot.estimator.encode(image), calls)),
        },
        'plan': {
            'candidates': list(config.solver.candidates),
            'steps': config.horizon_steps,
            'rounds': len(config.solver.candidates),
            **asdict(time_calls(lambda: pilot.plan(latest.stamp + 0.05, 10.0), calls)),
        },
        'imagine': [],
    }
    rng = np.random.default_rng(0)
    for count, steps in ROLLOUTS:
        actions = rng.uniform((-0.2, -1.0), (0.5, 1.0), (count, steps, 2))
        timing = time_calls(partial(made[0].cost_of, actions), calls // 2)
        result['imagine'].append({'candidates': count, 'steps': steps, **asdict(timing)})
    advance()
    result['runtimes'] = bench_runtimes(bundle, calls // 4)
    advance()
    result['peer'] = compare(made)
    advance()
    return result


def compare(cases: list[Case]) -> dict[str, Any]:
    """Plan in every case with both; `cost` is the median over the cases, lower is better."""
    if find_spec('pytorch_mppi') is None:
        raise InputError("pytorch-mppi is missing: pip install 'wm_controller[peers]'")
    ours = [_plan_ours(case) for case in cases]
    theirs = {t: [_plan_mppi(case, t) for case in cases] for t in TEMPERATURES}
    best = min(TEMPERATURES, key=lambda t: np.median([run[1][-1] for run in theirs[t]]))
    first, warm = (np.array([run[1][i] for run in ours]) for i in (0, -1))
    peer_first, peer_warm = (np.array([run[1][i] for run in theirs[best]]) for i in (0, -1))
    time_ours = Timing.of([t for run in ours for t in run[0]])
    time_peer = Timing.of([t for run in theirs[best] for t in run[0]])
    config = cases[0].pilot.config
    return {
        'cases': len(cases),
        'candidates': sum(config.solver.candidates),
        'steps': config.horizon_steps,
        'mppi_temperature': best,
        'ours': {
            **asdict(time_ours),
            'cost_first': float(np.median(first)),
            'cost_warm': float(np.median(warm)),
        },
        'mppi': {
            **asdict(time_peer),
            'cost_first': float(np.median(peer_first)),
            'cost_warm': float(np.median(peer_warm)),
        },
        'time_ratio_p50': time_ours.p50_ms / time_peer.p50_ms,
        'better_first': float(np.mean(first < peer_first)),
        'better_warm': float(np.mean(warm < peer_warm)),
    }


def _plan_ours(case: Case) -> tuple[list[float], list[float]]:
    """Seconds and costs of the first plan and of plans that go on from it."""
    config = case.pilot.config
    rng, solver = np.random.default_rng(0), make_solver(config.solver)
    proposals = arcs(config.limits, config.horizon_steps, case.bearing)
    sequence = np.zeros((config.horizon_steps, 2))
    seconds, costs = [], []
    for _ in range(1 + REPLANS):
        begun = time.perf_counter()
        found = solver(
            Search(
                case.cost_of,
                sequence,
                proposals,
                config.limits.low,
                config.limits.high,
                config.solver.sigma,
                rng,
                begun + 10.0,
            )
        )
        seconds.append(time.perf_counter() - begun)
        sequence = found.actions
        costs.append(min(found.cost, FORBIDDEN))
    return seconds, costs


def _plan_mppi(case: Case, temperature: float) -> tuple[list[float], list[float]]:
    """Do the same with the peer."""
    from pytorch_mppi import MPPI

    config = case.pilot.config
    model, imagination = case.pilot.imagination.model, case.pilot.imagination
    limits, solver = config.limits, config.solver
    start = case.state

    def step(state: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        with imagination.precision():
            return model.predict(state, action)

    def terminal(states: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
        rolled = torch.cat([start.expand(states.shape[1], 1, -1), states[0]], 1)
        with imagination.precision():
            changes = model.pose_change(rolled[:, :-1], model.control(actions[0]))
        future = imagination.read(
            rolled[None], changes, actions[0].numpy().astype(float), case.goal_in_base
        )
        total = cost(future, case.situation, case.pilot.memory, config)
        return torch.from_numpy(np.minimum(total, FORBIDDEN).astype(np.float32))

    torch.manual_seed(0)
    with torch.no_grad():
        mppi = MPPI(
            step,
            lambda state, action: torch.zeros(len(state)),
            start.shape[1],
            torch.diag(torch.tensor([solver.sigma_v, solver.sigma_w]) ** 2),
            num_samples=sum(solver.candidates),
            horizon=config.horizon_steps,
            lambda_=temperature,
            terminal_state_cost=terminal,
            sample_null_action=True,
            u_min=torch.tensor([limits.min_v, -limits.max_w]),
            u_max=torch.tensor([limits.max_v, limits.max_w]),
            U_init=torch.zeros(config.horizon_steps, 2),
        )
        seconds, costs = [], []
        for _ in range(1 + REPLANS):
            begun = time.perf_counter()
            mppi.command(start[0], shift_nominal_trajectory=False)
            seconds.append(time.perf_counter() - begun)
            found = mppi.get_action_sequence().numpy().astype(float)
            costs.append(min(float(case.cost_of(found[None])[0]), FORBIDDEN))
    return seconds, costs
