# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""`wm evaluate`: how well a model drives, or how well it predicts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.table import Table
import typer

from wm_controller.cli.common import command_line, emit, figure, plain, progress, reports_errors
from wm_controller.errors import InputError, NegativeResult
from wm_controller.planning.ablations import PARTS
from wm_controller.spread import RAY_HELP, Workers


@reports_errors
def evaluate(
    model: str | None = typer.Argument(
        None, help='Bundle file, or the name of a shipped one; for --planner diffusion what '
        '`wm benchmark rival` made. Baselines need none.'
    ),
    episodes: int = typer.Option(100, help='Drives to attempt.', min=1),
    seed: int = typer.Option(0, help='Of rooms, starts, goals and all noise.', min=0),
    planner: str = typer.Option(
        'hierarchical', help='hierarchical, flat, straight (at the goal), random, dynamic-window '
        '(on the laser), diffusion (a policy that imagines nothing), or oracle (true map).'
    ),
    goal: str = typer.Option(
        'pose', help='pose, image (in sight, up to 3 m; see --teach), or '
        'route: driven once by a hand, and repeated another time with the map that was saved.'
    ),
    band: str | None = typer.Option(
        None, help='Length of the shortest path: near 2-4, mid 4-8, far 8-16 m; default 3-8 m.'
    ),
    teach: bool = typer.Option(
        False, '--teach', help='Image goals out of sight: each way is driven there and back by a '
        'hand before, and the picture is taken where it ended.'
    ),
    changed: bool = typer.Option(
        False, '--changed', help='Repeat in a changed room: furniture moved by up to 0.2 m, other '
        'light and exposure. With --goal route, or --teach.'
    ),
    backwards: bool = typer.Option(
        False, '--backwards', help='Repeat a route from its end to its start.'
    ),
    anywhere: bool = typer.Option(
        False, '--anywhere', help='Repeat from somewhere on the way, turned at random.'
    ),
    no_scan: bool = typer.Option(False, '--no-scan', help='Unplug the laser: camera alone.'),
    family: str = typer.Option('evaluation', help='Rooms: evaluation (held out) or training.'),
    people: int | None = typer.Option(
        None, help='Moving people in each room; default: as the room has.', min=0, max=3
    ),
    with_oracle: bool = typer.Option(
        False, '--with-oracle', help='Also drive the oracle; gives the ratio of SPL.'
    ),
    floors: bool = typer.Option(
        False, '--floors', help='Also drive straight and random, on the same tasks.'
    ),
    open_loop: Path | None = typer.Option(
        None, '--open-loop', help='Score predictions on this data set instead of driving.'
    ),
    seen: int = typer.Option(
        8, help='Frames that are seen before each prediction of --open-loop.', min=1
    ),
    require: float | None = typer.Option(
        None, help='Exit with 1 if the success rate is lower than this (0..1).', min=0.0, max=1.0
    ),
    workers: int = typer.Option(
        0, help='Processes; 0: one per core. A plan is charged its own processor time.', min=0
    ),
    ray: str | None = typer.Option(None, metavar='ADDRESS', help=RAY_HELP),
    out: Path = typer.Option(Path('runs'), help='Folder that the run folder is made in.'),
    record: Path | None = typer.Option(
        None, help='Data set (.h5) to write the drives to: for `wm train`, or its --calibrate.'
    ),
    without: list[str] | None = typer.Option(
        None, metavar='PART', help='Leave a part of the planner out, to see what it is worth: '
        f'{", ".join(PARTS)}; may be repeated.'
    ),
    runtime: str = typer.Option('torch', help='What runs the model: torch or onnx.'),
    video: bool = typer.Option(False, '--video/--no-video', help='Film the first drives.'),
    rerun: bool = typer.Option(
        False, '--rerun', help='Log the first drives for the Rerun viewer: drive_000.rrd and on, '
        'in the run folder. Opens no window.'
    ),
    as_json: bool = typer.Option(False, '--json', help='Print the summary as JSON.'),
) -> None:
    """
    Drive in simulated rooms with the timing of the real loop, and write a report.

    The same guardrail code stands behind every planner. Success is to end within 0.4 m of the
    goal without a single bump.
    """
    if open_loop is not None:
        _score_open_loop(model, open_loop, seen, as_json)
        return
    from wm_controller.evaluation.study import run_study, Study
    from wm_controller.evaluation.tasks import BANDS, IMAGE_BAND, Repeat, TaskSpec

    if band is not None and band not in ('near', 'mid', 'far'):
        raise InputError(f'--band {band}: use near, mid or far')
    default = IMAGE_BAND if goal == 'image' and not teach else BANDS['default']
    how = Repeat(changed, backwards, anywhere)
    repeat = how if goal == 'route' or how != Repeat() else None
    study = Study(
        spec=TaskSpec(seed, family, goal, BANDS[band] if band else default, people,
                      taught=teach, repeat=repeat),
        planner=planner,
        episodes=episodes,
        model=model,
        scan=not no_scan,
        with_oracle=with_oracle,
        floors=floors,
        video=video,
        rerun=rerun,
        workers=Workers(workers, ray),
        out=out,
        record=record,
        without=tuple(without or ()),
        runtime=runtime,
        command=command_line(),
    )
    with progress(f'driving ({planner})', total=study.drives) as advance:
        directory, summary = run_study(study, advance)
    emit({**summary, 'report': str(directory / 'report.html')}, as_json, _table)
    rate = summary['success_rate']
    if require is not None and rate < require:
        raise NegativeResult(
            f'success {100 * rate:.0f} %, below the {100 * require:.0f} % required'
        )


def _score_open_loop(model: str | None, data: Path, seen: int, as_json: bool) -> None:
    if model is None:
        raise InputError('--open-loop scores a model: name its file before it')
    from wm_controller.evaluation.open_loop import score

    with progress('predicting') as advance:
        result = score(model, data, advance, seen)
    emit(plain(result), as_json, _open_loop_table)


def _table(summary: Mapping[str, Any]) -> Table:
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column()
    table.add_column(overflow='fold')
    low, high = (100 * bound for bound in summary['success_ci95'])
    latency = summary['latency_ms']
    rows = [
        ('success', f'{100 * summary["success_rate"]:.0f} %  ({low:.0f} to {high:.0f} %)'),
        ('drives', f'{summary["episodes"]}, {summary["timeouts"]} out of time'),
        ('SPL', f'{summary["spl"]:.2f}' + _ratio(summary.get('spl_oracle_ratio'))),
        ('bumps', f'{summary["collisions"]} on {summary["distance_m"]:.0f} m'
         f' ({figure(summary["collisions_per_100m"], 2)} per 100 m)'),
        ('camera to command', f'{figure(latency["p50"])} ms, p99 {figure(latency["p99"])} ms'),
        ('planning', f'{figure(summary["plan_s_per_m"], 2)} s of processor time per metre'),
        ('late plans', f'{summary["deadline_misses"]} of {summary["plans"]}'),
        ('guard interventions', str(summary['interventions'])),
    ]  # fmt: skip
    for name, row in summary.get('baselines', {}).items():
        rows.append((name, f'{100 * row["success_rate"]:.0f} %, SPL {row["spl"]:.2f}'))
    if summary.get('rerun'):
        rows.append(('rerun', f'{len(summary["rerun"])} drives: rerun '
                     f'{Path(summary["report"]).parent}/*.rrd'))
    rows.append(('report', summary['report']))
    for row in rows:
        table.add_row(*row)
    return table


def _open_loop_table(result: Mapping[str, Any]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column('open loop')
    table.add_column(result['data'], justify='right')
    for steps, ratio in result['persistence_ratio'].items():
        mean = figure(result['mean_ratio'][steps], 2)
        table.add_row(
            f'error over no change, {steps} steps', f'{figure(ratio, 2)} (mean: {mean})'
        )
    for name, row in result.get('trajectory', {}).items():
        table.add_row(
            f'{name}: ATE, RPE over {result["horizon_s"]:g} s',
            f'{row["ate_m"]:.3f} m, {row["rpe_m"]:.3f} m',
        )
    for steps, row in result.get('clearance', {}).items():
        low, high = row['ratio_ci95']
        table.add_row(
            f'clearance error over no change, {steps} steps',
            f'{row["ratio"]:.2f} ({low:.2f} to {high:.2f}): {row["error_m"]:.2f} m',
        )
    for steps, row in ((result.get('pictures') or {}).get('steps', {})).items():
        shown = [f'{name} {score["psnr_db"]:.1f} dB' for name, score in row.items()
                 if isinstance(score, Mapping)]
        table.add_row(f'pictures, {steps} steps', ', '.join(shown))
    return table


def _ratio(value: float | None) -> str:
    return '' if value is None else f', {value:.2f} of the oracle'
