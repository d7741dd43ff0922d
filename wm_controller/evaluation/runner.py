# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Attempt many drives, one processor core each, in worker processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
import time
from typing import Any, TYPE_CHECKING

from wm_controller.errors import InputError
from wm_controller.evaluation.recorder import Keep
from wm_controller.evaluation.records import Episode
from wm_controller.evaluation.tasks import make_task, TaskSpec
from wm_controller.spread import spread, Workers

if TYPE_CHECKING:
    from wm_controller.evaluation.diffusion_file import Rival
    from wm_controller.evaluation.episodes import LoopSettings, PolicyFactory
    from wm_controller.evaluation.policy import Policy
    from wm_controller.evaluation.records import Task
    from wm_controller.planning.config import RobotLimits
    from wm_controller.safety.guard import Guard
    from wm_controller.simulation.simulator import RobotSpec, Simulator
    from wm_controller.world_model.bundle import Bundle

BASELINES = ('straight', 'random', 'dynamic-window', 'oracle')
DIFFUSION = 'diffusion'  # a rival with a model of its own kind
PILOTS = ('hierarchical', 'flat')  # ours
PLANNERS = (*PILOTS, DIFFUSION, *BASELINES)


@dataclass(frozen=True)
class Job:
    """Drives to attempt with one planner; `settings` are keyword arguments of LoopSettings."""

    spec: TaskSpec
    planner: str
    model: Path | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    filmed: int = 0  # the first drives, with every camera frame
    detailed: int = 0  # the first drives, with all that `rerun_log` shows
    keep: Keep = field(default_factory=Keep)
    without: tuple[str, ...] = ()  # parts of the planner, see `planning.ablations`
    runtime: str = 'torch'  # what runs the model

    def __post_init__(self) -> None:
        if self.planner not in BASELINES and self.model is None:
            raise InputError(f'planner {self.planner} needs a model: give its file or its name')


def run_jobs(
    jobs: Sequence[tuple[Job, range]], workers: Workers, on_done: Callable[[], None]
) -> list[list[Episode]]:
    """Attempt, for each job, the drives of these numbers; the results keep the jobs' order."""
    todo = [(which, index) for which, (_, drives) in enumerate(jobs) for index in drives]
    results: dict[tuple[int, int], Episode] = {}
    calls = [(jobs[which][0], index) for which, index in todo]
    for number, episode in spread(_drive, calls, workers):
        results[todo[number]] = episode
        on_done()
    return [[results[w, i] for i in drives] for w, (_, drives) in enumerate(jobs)]


def _drive(job: Job, index: int) -> Episode:
    """Attempt the drive of an index; runs in a worker."""
    from wm_controller.evaluation.episodes import LoopSettings, run_episode

    task = make_task(index, job.spec)
    settings = LoopSettings(**job.settings)
    keep = job.keep
    if index < job.filmed:
        keep = replace(Keep.film(), trace=keep.trace, steps=keep.steps)
    if index < job.detailed:
        keep = replace(Keep.everything(), steps=keep.steps)
    return run_episode(
        task,
        policy_factory(job, settings),
        lambda: make_guard(settings),
        planner=job.planner,
        settings=settings,
        keep=keep,
    )


def policy_factory(job: Job, settings: LoopSettings) -> PolicyFactory:
    """Return what builds the job's policy for one drive."""
    limits = settings.robot.max_linear, settings.robot.max_angular

    def build(simulator: Simulator, task: Task) -> Policy:
        from wm_controller.evaluation.baselines import Oracle, Random, Straight
        from wm_controller.evaluation.dynamic_window import DynamicWindow

        if job.planner == 'straight':
            return Straight(*limits)
        if job.planner == 'random':
            return Random(task.seed, *limits)
        if job.planner == 'dynamic-window':
            return DynamicWindow(
                lambda: simulator.scan().points(), simulator.robot.radius, *limits)
        if job.planner == 'oracle':
            return Oracle(
                simulator.room,
                task.goal,
                lambda: simulator.pose,
                lambda: simulator.people,
                *limits,
            )
        assert job.model is not None
        if job.planner == DIFFUSION:
            return make_diffusion_driver(job.model, settings.robot, task.seed)
        return make_pilot(job.model, job.planner, settings.robot, settings.scan, job.without,
                          job.runtime)

    return build


def check_pilot(planner: str, bundle: Bundle | None = None, without: Sequence[str] = ()) -> None:
    """Raise InputError unless `planner` is ours, and the bundle (if given) has what it needs."""
    if planner not in PILOTS:
        raise InputError(f'--planner {planner}: use {" or ".join(PILOTS)}')
    if bundle is not None and planner == 'hierarchical' and 'upper-level' not in without:
        from wm_controller.world_model.attach import upper_level

        upper_level(bundle)


def make_guard(settings: LoopSettings) -> Guard:
    """Build the guard of every planner, within the robot's limits."""
    from wm_controller.safety.guard import Guard
    from wm_controller.safety.limits import Limits

    robot = settings.robot
    return Guard(
        Limits(
            footprint_radius=robot.radius,
            max_linear_velocity=robot.max_linear,
            min_linear_velocity=robot.min_linear,
            max_angular_velocity=robot.max_angular,
            max_linear_acceleration=robot.linear_acceleration,
            max_linear_deceleration=robot.linear_deceleration,
            max_angular_acceleration=robot.angular_acceleration,
            scan_required=settings.scan,
            odom_required=True,
        ),
        simulated_time=True,
    )


def make_pilot(
    model: Path,
    planner: str,
    robot: RobotSpec,
    scan: bool = True,
    parts_left_out: Sequence[str] = (),
    runtime: str = 'torch',
) -> Policy:
    """Load the bundle (once a process) and build its pilot within the robot's limits."""
    from wm_controller.planning.ablations import without
    from wm_controller.planning.config import MARGIN_M, MARGIN_WITHOUT_LASER_M, PilotConfig
    from wm_controller.planning.pilot import Pilot
    from wm_controller.safety.geometry import Footprint

    margin = MARGIN_M if scan else MARGIN_WITHOUT_LASER_M
    config = PilotConfig(
        footprint=Footprint.circle(robot.radius),
        limits=_limits(robot),
        margin=margin,
        hierarchical=planner == 'hierarchical',
    )
    # A core shared with other drives is not the robot's: only work counts against the deadline.
    pilot = Pilot(_bundle(model, runtime), without(config, parts_left_out), clock=time.thread_time)
    pilot.warm_up()
    return pilot


def make_diffusion_driver(model: Path, robot: RobotSpec, seed: int) -> Policy:
    """Load a diffusion policy (once a process) and drive it within the robot's limits."""
    from wm_controller.evaluation.diffusion_policy import DiffusionDriver

    return DiffusionDriver(_rival(model), _limits(robot), seed)


def _limits(robot: RobotSpec) -> RobotLimits:
    from wm_controller.planning.config import RobotLimits

    return RobotLimits(robot.min_linear, robot.max_linear, robot.max_angular)


@lru_cache(maxsize=2)
def _rival(model: Path) -> Rival:
    import torch

    from wm_controller.evaluation.diffusion_file import load_rival

    torch.set_num_threads(1)
    return load_rival(model)


@lru_cache(maxsize=2)
def _bundle(model: Path, runtime: str) -> Bundle:
    import torch

    from wm_controller.planning.config import PilotConfig
    from wm_controller.planning.runtime import choose
    from wm_controller.world_model.bundle import load_bundle

    torch.set_num_threads(1)
    return choose(load_bundle(model), PilotConfig(), runtime).bundle
