# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""`wm demo`: the whole ROS graph, each node a process, drives to goals in a held-out room."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
import os
from pathlib import Path
import signal
import sys
import time
from typing import Any

from rich.console import Console
from rich.table import Table
import typer

from wm_controller.cli.common import command_line, emit, progress, reports_errors
from wm_controller.errors import InputError, NegativeResult

READY_S = 90.0


@reports_errors
def demo(
    goals: int = typer.Option(5, help='Goals, one after the other.', min=1, max=100),
    model: str = typer.Option('indoor', help='Bundle file, or the name of a shipped one.'),
    planner: str = typer.Option('hierarchical', help='hierarchical, or flat: no map of places.'),
    room_seed: int = typer.Option(7, help='Seed of the room.', min=0),
    family: str = typer.Option('evaluation', help='Rooms: evaluation (held out) or training.'),
    people: int | None = typer.Option(
        None, help='Moving people in the room; default: as the room has.', min=0, max=3
    ),
    speed_factor: float = typer.Option(
        1.0,
        help='Simulated seconds per second. Above 1 the planner has less time.',
        min=0.1,
        max=20,
    ),
    timeout: float | None = typer.Option(
        None, help='Simulated seconds for one goal; default: by its distance.', min=1.0
    ),
    allow_ungated: bool = typer.Option(
        False, '--allow-ungated', help='Drive a model that failed the gates of its training.'
    ),
    out: Path = typer.Option(Path('runs'), help='Folder that the run folder is made in.'),
    video: bool = typer.Option(True, '--video/--no-video', help='Film the drives.'),
    rerun: bool = typer.Option(
        False, '--rerun', help='Log each drive for the Rerun viewer: drive_000.rrd and on, in the '
        'run folder. Opens no window.'
    ),
    as_json: bool = typer.Option(False, '--json', help='Print the summary as JSON.'),
) -> None:
    """
    Start simulator, controller and guardrail, send goals, watch, and write a report.

    Needs no ROS installation, no GPU and no screen. All processes are stopped at the end.
    """
    try:
        from wm_controller.nodes.demo_client import connect, disconnect
    except ImportError as error:
        raise InputError(
            f'rclpy is not installed ({error}): source a ROS 2 workspace, or pip install '
            "'wm_controller[ros]'"
        ) from None
    from wm_controller.evaluation.processes import NodeDied
    from wm_controller.evaluation.rerun_log import require_rerun
    from wm_controller.evaluation.runner import check_pilot
    from wm_controller.resources import find_model

    signal.signal(signal.SIGTERM, _interrupt)  # a service manager's stop is our Ctrl-C
    check_pilot(planner)
    if rerun:
        require_rerun()
    plan = _prepare(find_model(model), goals, room_seed, family, people)
    plan = replace(plan, planner=planner, speed_factor=speed_factor, timeout_s=timeout,
                   allow_ungated=allow_ungated, rerun=rerun)
    try:
        summary, directory = _drive_all(plan, out, video, as_json, connect, disconnect)
    except NodeDied as death:
        for line in death.tail:
            print(f'  | {line}', file=sys.stderr)
        raise
    emit({**summary, 'report': str(directory / 'report.html')}, as_json, _closing)
    if not summary['reached_rate']:
        raise NegativeResult(f'none of {goals} goals was reached; see {directory}/report.html')


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


@dataclass(frozen=True)
class _Preparation:
    """A demonstration, before anything is started."""

    model: Path
    goals: int
    spec: Any  # TaskSpec
    room: Any  # Room
    start: Any  # (3,) world
    planner: str = 'hierarchical'
    speed_factor: float = 1.0
    timeout_s: float | None = None
    allow_ungated: bool = False
    rerun: bool = False  # log each drive


def _prepare(
    model: Path,
    goals: int,
    room_seed: int,
    family: str,
    people: int | None,
) -> _Preparation:
    import numpy as np

    from wm_controller.evaluation.tasks import START_CLEARANCE_M, TaskSpec
    from wm_controller.simulation.rooms import make_room

    room = make_room(room_seed, family, people=people)
    spec = TaskSpec(seed=room_seed, family=family, people=people)
    start = room.sample_free_pose(np.random.default_rng(room_seed), START_CLEARANCE_M)
    return _Preparation(model, goals, spec, room, start)


def _nodes(plan: _Preparation) -> list[Any]:
    """The three nodes, in the order in which they are to be stopped."""
    from wm_controller.evaluation.processes import NodeSpec
    from wm_controller.resources import find_config

    simulated = {'use_sim_time': True}
    robot = find_config('robot')
    return [
        NodeSpec(
            'controller',
            {
                **simulated,
                'model': str(plan.model.resolve()),
                'planner': plan.planner,
                'allow_ungated': plan.allow_ungated,
            },
            robot,
        ),
        NodeSpec('guardrail', simulated, robot),
        NodeSpec(
            'simulator',
            {
                'room_seed': plan.room.seed,
                'family': plan.room.family,
                'people': -1 if plan.spec.people is None else plan.spec.people,
                'start_pose': [float(value) for value in plan.start],
                'speed_factor': float(plan.speed_factor),
            },
            find_config('simulator'),
        ),
    ]


def _drive_all(
    plan: _Preparation, out: Path, video: bool, as_json: bool, connect: Any, disconnect: Any
) -> tuple[dict[str, Any], Path]:
    """Start the graph, drive to every goal, stop the graph, write the report."""
    from wm_controller.evaluation.processes import Graph, ros_environment
    from wm_controller.evaluation.report import run_directory
    from wm_controller.evaluation.study import write_logs

    directory = run_directory(out, 'demo')
    environment = ros_environment()
    os.environ.update(environment)  # the client joins the same graph
    screen = None if as_json else Console()
    episodes = []
    client = None
    began = time.monotonic()
    with Graph(_nodes(plan), directory / 'logs', environment) as graph:
        try:
            client = connect(plan.start, plan.speed_factor, graph.check, plan.rerun)
            with progress('starting simulator, controller and guardrail'):
                client.wait_until_ready(READY_S)
            _say(
                screen,
                f'ready after {time.monotonic() - began:.1f} s; driving in room '
                f'{plan.room.seed} of the {plan.room.family} family ({plan.room.layout})',
            )
            with progress('driving', total=plan.goals) as advance:
                for index in range(plan.goals):
                    episode = _drive_one(plan, client, graph, index, video)
                    episodes.append(episode)
                    _say(screen, _line(episode))
                    advance()
            model = client.controller.get('model') if client.controller else ''
            memory = graph.memory_mib()
        finally:
            disconnect(client)
    summary = _summary(plan, episodes, model, memory)
    with progress('writing the report'):
        if plan.rerun:
            summary['rerun'] = write_logs(directory, episodes)
        _write(plan, directory, summary, episodes, video)
    if screen is not None:
        screen.print(_table(episodes))
    return summary, directory


def _drive_one(plan: _Preparation, client: Any, graph: Any, index: int, video: bool) -> Any:
    import numpy as np

    from wm_controller.evaluation.recorder import DriveRecorder, Keep
    from wm_controller.evaluation.tasks import next_goal

    seed = plan.room.seed
    rng = np.random.default_rng([seed, index])
    task = next_goal(plan.room, rng, plan.spec, client.pose, index, seed)
    task = replace(task, timeout_s=plan.timeout_s or task.timeout_s)
    keep = Keep.everything() if plan.rerun else Keep.film() if video else Keep()
    recorder = DriveRecorder(task, keep)
    before = graph.cpu_seconds() + time.process_time()
    duration_s, state = client.drive(task, recorder)
    cpu_s = graph.cpu_seconds() + time.process_time() - before
    return recorder.finish(
        duration_s, planner=plan.planner, claimed=state == 'reached', end_state=state, cpu_s=cpu_s
    )


def _summary(
    plan: _Preparation, episodes: Sequence[Any], model: str, memory: Mapping[str, float]
) -> dict[str, Any]:
    import hashlib

    from wm_controller.evaluation.metrics import summarise

    return summarise(
        episodes,
        seed=plan.room.seed,
        model_digest=hashlib.sha256(plan.model.read_bytes()).hexdigest(),
        model=model,
        family=plan.room.family,
        layout=plan.room.layout,
        goal='pose',
        speed_factor=plan.speed_factor,
        memory_mib=dict(memory),
    )


def _write(
    plan: _Preparation,
    directory: Path,
    summary: Mapping[str, Any],
    episodes: Sequence[Any],
    video: bool,
) -> None:
    from wm_controller.evaluation.floor import Floor
    from wm_controller.evaluation.report import Run, write_report
    from wm_controller.evaluation.video import write_video

    floors = {(plan.room.family, plan.room.seed, 0): Floor.of(plan.room)}
    run = Run(
        title=f'{len(episodes)} goal{"s" * (len(episodes) != 1)} in a '
        + ('room it has never seen' if plan.room.family == 'evaluation' else 'training room'),
        subtitle=f'whole ROS graph: simulator, controller, guardrail · room {plan.room.seed}, '
        f'{plan.room.layout.replace("_", " ")} · model {summary["model"]}',
        command=command_line(),
        summary=summary,
        episodes=episodes,
        floors=floors,
        one_room=True,
    )
    film = directory / 'drive.mp4'
    if video and write_video(film, episodes, floors):
        run = replace(run, video=film)
    write_report(directory, run)


def _say(screen: Console | None, line: str) -> None:
    if screen is not None:
        screen.print(line, highlight=False, soft_wrap=True)


def _line(episode: Any) -> str:
    task = episode.task
    return (
        f'goal {task.index + 1}: {task.shortest_m:.1f} m by the shortest path'
        f'{", behind something" if task.hidden else ""} - {episode.outcome} after '
        f'{episode.duration_s:.0f} s, {episode.final_distance_m:.2f} m from it'
    )


def _table(episodes: Sequence[Any]) -> Table:
    from wm_controller.evaluation.metrics import percentiles_ms

    table = Table(box=None, padding=(0, 1, 0, 0))
    for name in ('goal', 'way m', 'driven', 'time s', 'left m', 'bumps', 'held', 'Hz', 'late'):
        table.add_column(name, justify='right', no_wrap=True)
    table.add_column('ms p50/p99', justify='right', no_wrap=True)
    table.add_column('outcome', no_wrap=True)
    for e in episodes:
        latency = percentiles_ms(e.latencies_s)
        p50, p99 = latency['p50'], latency['p99']
        table.add_row(
            str(e.task.index + 1),
            f'{e.task.shortest_m:.1f}',
            f'{e.distance_m:.1f}',
            f'{e.duration_s:.1f}',
            f'{e.final_distance_m:.2f}',
            str(e.collisions),
            str(e.interventions),
            f'{e.commands / e.duration_s if e.duration_s else 0.0:.1f}',
            str(e.deadline_misses),
            '–' if p50 is None or p99 is None else f'{p50:.0f}/{p99:.0f}',
            f'[green]{e.outcome}' if e.success else f'[yellow]{e.outcome}',
        )
    return table


def _closing(summary: Mapping[str, Any]) -> str:
    return (
        f'{round(summary["success_rate"] * summary["episodes"])} of {summary["episodes"]} goals '
        f'without a bump, {summary["distance_m"]:.0f} m driven; report: {summary["report"]}'
    )
