# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""One evaluation from options to the written report: drives, baselines beside them, figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import contextlib
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from wm_controller.data.writer import check_output
from wm_controller.errors import InputError
from wm_controller.evaluation.drive_log import write_recordings
from wm_controller.evaluation.floor import Floor
from wm_controller.evaluation.metrics import summarise
from wm_controller.evaluation.recorder import Keep
from wm_controller.evaluation.records import Episode
from wm_controller.evaluation.report import RoomKey, Run, run_directory, shown, write_report
from wm_controller.evaluation.rerun_log import log_episode, require_rerun
from wm_controller.evaluation.runner import (
    BASELINES,
    check_pilot,
    DIFFUSION,
    Job,
    PILOTS,
    PLANNERS,
    run_jobs,
)
from wm_controller.evaluation.tasks import room_of, TaskSpec
from wm_controller.evaluation.video import write_video
from wm_controller.planning.ablations import PARTS
from wm_controller.planning.contract import NO_PLACES
from wm_controller.spread import Workers

FILMED = 5
UNSEEN = Keep(trace=False, frame_period_s=None)


@dataclass(frozen=True)
class Study:
    """What to evaluate, and what to put beside it."""

    spec: TaskSpec
    planner: str
    episodes: int
    model: str | None = None  # file or name of a shipped bundle
    scan: bool = True
    with_oracle: bool = False
    floors: bool = False  # also drive straight and at random
    video: bool = False
    rerun: bool = False  # write logs of the first drives for the Rerun viewer
    workers: Workers = Workers(1)
    out: Path = Path('runs')
    record: Path | None = None  # data set of the planner's drives
    command: str = ''
    without: tuple[str, ...] = ()  # parts of the planner
    runtime: str = 'torch'  # what runs the model

    def __post_init__(self) -> None:
        if self.episodes < 1:
            raise InputError(f'--episodes is {self.episodes}: at least 1')
        if self.planner not in PLANNERS:
            raise InputError(f'planner {self.planner!r} is unknown: use {", ".join(PLANNERS)}')
        unknown = [part for part in self.without if part not in PARTS]
        if unknown:
            raise InputError(f'--without {unknown[0]}: use {", ".join(PARTS)}')
        if self.spec.goal_kind == 'route' and self.planner in ('flat', DIFFUSION):
            raise InputError(f'--goal route: {NO_PLACES}')
        if self.runtime not in ('torch', 'onnx'):
            raise InputError(f'--runtime {self.runtime}: use torch or onnx')
        if self.runtime == 'onnx' and find_spec('onnxruntime') is None:
            raise InputError("--runtime onnx: onnxruntime is missing: pip install "
                             "'wm_controller[export]'")
        if self.without and self.planner not in PILOTS:
            raise InputError(f'--without: {self.planner} has no parts to be left out')

    @property
    def beside(self) -> tuple[str, ...]:
        """Baselines to run on the same drives."""
        wanted = ('straight', 'random') * self.floors + ('oracle',) * self.with_oracle
        return tuple(name for name in BASELINES if name in wanted and name != self.planner)

    @property
    def drives(self) -> int:
        """Drives to attempt in all."""
        return self.episodes * (1 + len(self.beside))


def run_study(study: Study, on_done: Callable[[], None]) -> tuple[Path, dict[str, Any]]:
    """Attempt all drives, write the report, return its folder and the summary."""
    digest, model = _check_model(study)
    if study.rerun:
        require_rerun()
    if study.record is not None:
        check_output(study.record)
    directory = run_directory(study.out, _name(study))  # before hours of work, not after
    try:
        episodes, comparison = _drive(study, model, on_done)
        summary = _summarise(study, digest, episodes, comparison)
        if study.rerun:
            summary['rerun'] = write_logs(directory, episodes)
        _report(directory, study, summary, episodes, comparison)
        if study.record is not None:
            summary['recorded_steps'] = write_recordings(study.record, [
                (e.task.room_seed, e.task.family, e.recording)
                for e in episodes if e.recording], study.command)
    except BaseException:
        with contextlib.suppress(OSError):
            directory.rmdir()  # of a run that was cut short nothing is left but what it wrote
        raise
    return directory, summary


def _drive(
    study: Study, model: Path | None, on_done: Callable[[], None]
) -> tuple[list[Episode], dict[str, dict[str, Any]]]:
    """Attempt all drives; those of the planner, and the baselines' summaries by name."""
    shown_whole = min(FILMED, study.episodes)
    main = Job(study.spec, study.planner, model,
               settings={'scan': study.scan, 'teach': study.spec.lesson,
                         'repeat': study.spec.repeat},
               filmed=shown_whole * study.video, detailed=shown_whole * study.rerun,
               keep=Keep(steps=study.record is not None), without=study.without,
               runtime=study.runtime)
    jobs = [main]
    for name in study.beside:
        jobs.append(replace(main, planner=name, filmed=0, detailed=0, keep=UNSEEN, without=()))
    results = run_jobs([(job, range(study.episodes)) for job in jobs], study.workers, on_done)
    return results[0], {
        name: summarise(found, seed=study.spec.seed, model_digest=None)
        for name, found in zip(study.beside, results[1:])
    }


def _summarise(
    study: Study,
    digest: str | None,
    episodes: Sequence[Episode],
    comparison: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    summary = summarise(
        episodes,
        seed=study.spec.seed,
        model_digest=digest,
        planner=study.planner,
        without=list(study.without),
        family=study.spec.family,
        goal=study.spec.goal_kind,
        band_m=list(study.spec.band_m),
        repeated=repeated_as(study.spec),
        scan=study.scan,
        hidden_goals=sum(e.task.hidden for e in episodes),
        **_beside(comparison),
    )
    if 'oracle' in comparison:
        ceiling = comparison['oracle']['spl']
        summary['spl_oracle_ratio'] = summary['spl'] / ceiling if ceiling else None
    return summary


def _check_model(study: Study) -> tuple[str | None, Path | None]:
    """Load the bundle here once, so that a bad one is refused before any worker starts."""
    if study.planner in BASELINES:
        return None, None
    if study.model is None and study.planner == DIFFUSION:
        raise InputError('planner diffusion needs a policy: make one with `wm benchmark rival '
                         'DATA -o FILE`, then wm evaluate FILE --planner diffusion')
    if study.model is None:
        raise InputError(
            f'planner {study.planner} needs a model: wm evaluate models/indoor.safetensors, or '
            'choose --planner straight, random or oracle'
        )
    if study.planner == DIFFUSION:
        from wm_controller.evaluation.diffusion_file import load_rival

        rival = load_rival(study.model)
        return rival.digest, rival.path
    from wm_controller.world_model.bundle import load_bundle

    bundle = load_bundle(study.model)
    check_pilot(study.planner, bundle, study.without)
    return bundle.digest, bundle.path


def _beside(comparison: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    keys = ('success_rate', 'success_ci95', 'spl', 'collisions_per_100m', 'distance_m')
    rows = {name: {key: row[key] for key in keys} for name, row in comparison.items()}
    return {'baselines': rows} if rows else {}


def _name(study: Study) -> str:
    parts = ['evaluate', study.planner]
    parts += ['image'] if study.spec.goal_kind == 'image' else []
    parts += ['route'] if study.spec.goal_kind == 'route' else []
    parts += ['taught'] if study.spec.taught else []
    parts += repeated_as(study.spec)
    parts += [] if study.scan else ['no-scan']
    parts += [f'without-{part}' for part in study.without]
    return '-'.join(parts)


def _report(
    directory: Path,
    study: Study,
    summary: Mapping[str, Any],
    episodes: Sequence[Episode],
    comparison: Mapping[str, Mapping[str, Any]],
) -> None:
    run = Run(
        title=_title(study),
        subtitle=_subtitle(study, summary),
        command=study.command,
        summary=summary,
        episodes=episodes,
        floors={},
        featured=FILMED if study.video else 2,
        comparison={study.planner: summary, **comparison} if comparison else {},
    )
    films = [e for e in episodes if e.trace and len(e.trace.frames) > 1][:FILMED]
    pictured = [*shown(run), *(films if study.video else [])]
    floors = floors_of(pictured)
    film = directory / 'drive.mp4'
    filmed = study.video and write_video(film, films, floors)
    write_report(directory, replace(run, floors=floors, video=film if filmed else None))


def write_logs(directory: Path, episodes: Sequence[Episode]) -> list[str]:
    """Write a log for the Rerun viewer of each drive that kept enough for it; their names."""
    logged = [e for e in episodes if e.trace is not None and e.trace.detail is not None]
    floors, names = floors_of(logged), []
    for episode in logged:
        names.append(f'drive_{episode.task.index:03d}.rrd')
        log_episode(directory / names[-1], episode, floors[episode.task.room_key])
    return names


def floors_of(episodes: Sequence[Episode]) -> dict[RoomKey, Floor]:
    """Rasters of the rooms that these drives were in."""
    tasks = {e.task.room_key: e.task for e in episodes}
    return {key: Floor.of(room_of(task)) for key, task in tasks.items()}


def repeated_as(spec: TaskSpec) -> list[str]:
    """Return how what was taught is repeated, a word each."""
    return [name for name, is_so in asdict(spec.repeat).items() if is_so] if spec.repeat else []


def _title(study: Study) -> str:
    where = 'rooms it has never seen' if study.spec.family == 'evaluation' else 'training rooms'
    goals = {'image': 'image goals', 'route': 'routes'}.get(study.spec.goal_kind, 'goals')
    sight = ' after a teach drive' if study.spec.lesson else ''
    sight += ''.join(f', {word}' for word in repeated_as(study.spec))
    sight += '' if study.scan else ', camera alone'
    sight += f', without {" and ".join(study.without)}' if study.without else ''
    return f'{study.episodes} {goals} in {where}: {study.planner}{sight}'


def _subtitle(study: Study, summary: Mapping[str, Any]) -> str:
    low, high = study.spec.band_m
    parts = [
        datetime.now(timezone.utc).strftime('%-d %B %Y, %H:%M UTC'),
        f'seed {study.spec.seed}',
        f'goals {low:g} to {high:g} m away, {summary["hidden_goals"]} behind something',
    ]
    if summary['model_digest']:
        parts.append(f'model {summary["model_digest"][:12]}')
    return ' · '.join(parts)
