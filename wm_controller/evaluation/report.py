# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Write a run's folder: `summary.json`, `episodes.csv` and a self-contained `report.html`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import csv
from dataclasses import dataclass, field
from datetime import datetime, timezone
import io
import json
import math
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from wm_controller.evaluation import figures, palette
from wm_controller.evaluation.encoded import data_uri
from wm_controller.evaluation.floor import Floor
from wm_controller.evaluation.metrics import success_by_distance
from wm_controller.evaluation.moments import scrubber
from wm_controller.evaluation.records import Episode, Trace
from wm_controller.files import write_whole

LATENCY_LIMIT_S = 0.150
STRIP_FRAMES = 9
SHOWN_FAILURES = 12
EMBEDDED_VIDEO_BYTES = 12_000_000

RoomKey = tuple[str, int, int]  # family, seed and day


@dataclass(frozen=True)
class Run:
    """Everything that a report is made of."""

    title: str
    summary: Mapping[str, Any]
    episodes: Sequence[Episode]
    floors: Mapping[RoomKey, Floor]
    subtitle: str = ''
    command: str = ''
    featured: int = 1  # how many drives are shown whole, with camera strip and guard timeline
    one_room: bool = False  # all drives follow each other in one room: one map of them all first
    video: Path | None = None
    comparison: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # planner: summary


def run_directory(root: Path, name: str) -> Path:
    """Create and return `root/<UTC time>-<name>`; a second run in one second gets a suffix."""
    stamp = datetime.now(timezone.utc).strftime('%Y%m%dT%H%M%SZ')
    for attempt in range(100):
        suffix = f'-{attempt}' if attempt else ''
        path = root / f'{stamp}-{name}{suffix}'
        try:
            path.mkdir(parents=True)
            return path
        except FileExistsError:
            continue
    raise FileExistsError(f'{root}: a hundred runs named {name} within one second')


def write_report(directory: Path, run: Run) -> None:
    """Write the three files, each whole or not at all."""
    write_whole(directory / 'summary.json', (json.dumps(run.summary, indent=2) + '\n').encode())
    write_whole(directory / 'episodes.csv', episodes_csv(run.episodes).encode())
    write_whole(directory / 'report.html', render_html(run).encode())


def episodes_csv(episodes: Sequence[Episode]) -> str:
    """One row per drive."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator='\n')
    writer.writerow(EPISODE_COLUMNS)
    for e in episodes:
        task = e.task
        writer.writerow([
            task.index, e.planner, task.family, task.room_seed, task.goal_kind,
            int(e.success), int(e.reached), int(e.claimed), int(e.timed_out), e.collisions,
            *(f'{value:.3f}' for value in (
                *task.start, *task.goal, task.shortest_m, task.straight_m,
            )),
            int(task.hidden),
            *(f'{value:.3f}' for value in (
                e.final_distance_m, e.distance_m, e.duration_s, e.spl,
            )),
            e.commands, e.deadline_misses, e.interventions,
            _median_ms(e.latencies_s), _median_ms(e.plan_s), f'{e.cpu_s:.2f}', e.end_state,
        ])  # fmt: skip
    return buffer.getvalue()


EPISODE_COLUMNS = (
    'episode', 'planner', 'family', 'room_seed', 'goal_kind',
    'success', 'reached', 'claimed', 'timed_out', 'collisions',
    'start_x', 'start_y', 'start_yaw', 'goal_x', 'goal_y', 'goal_yaw', 'shortest_m', 'straight_m',
    'hidden',
    'final_distance_m', 'distance_m', 'duration_s', 'spl',
    'commands', 'deadline_misses', 'interventions',
    'latency_ms_p50', 'plan_ms_p50', 'cpu_s', 'end_state',
)  # fmt: skip


def _median_ms(seconds: Sequence[float]) -> str:
    return f'{1e3 * sorted(seconds)[len(seconds) // 2]:.1f}' if seconds else ''


def worst_first(episodes: Sequence[Episode]) -> list[Episode]:
    """Order by how bad: bumps, then failures by the distance left, then successes by detour."""
    return sorted(episodes, key=lambda e: (e.success, -e.collisions, -e.final_distance_m, e.spl))


def pick_featured(episodes: Sequence[Episode], count: int) -> list[Episode]:
    """Choose the drives to show whole: behind something and far first, arrived before failed."""
    traced = [e for e in episodes if e.trace is not None and len(e.trace.t) > 1]
    ranked = sorted(traced, key=lambda e: (not e.success, not e.task.hidden, -e.task.shortest_m))
    return sorted(ranked[:count], key=lambda e: e.task.index)


def strip(trace: Trace, count: int = STRIP_FRAMES) -> list[tuple[float, bytes]]:
    """Pick frames evenly over the drive, the first and the last among them."""
    frames = trace.frames
    if len(frames) <= count:
        return list(frames)
    return [frames[round(i * (len(frames) - 1) / (count - 1))] for i in range(count)]


def template(name: str) -> jinja2.Template:
    """Return a page's template of the package, with its filters and the colours."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / 'templates'),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=_number, percent=_percent)
    environment.globals['colours'] = {
        name: value for name, value in vars(palette).items() if name.isupper()
    }
    return environment.get_template(name)


def render_html(run: Run) -> str:
    """Make the page; everything it shows is inside it."""
    summary = run.summary
    latencies = [x for e in run.episodes for x in e.latencies_s]
    distances = [e.task.shortest_m for e in run.episodes]
    featured, failures = _featured_drives(run), _failed_drives(run)
    drives = [_featured(run, e) for e in featured if e.trace is not None]
    wrong = [{'episode': e, 'map': _map(run, [e], 520),
              'moments': None if e in featured else _moments(run, e)}
             for e in failures[:SHOWN_FAILURES]]
    return template('report.html.j2').render(
        run=run,
        summary=summary,
        room_map=_map(run, run.episodes, 1500) if run.one_room else None,
        featured=drives,
        failures=wrong,
        drawn=any(each['moments'] for each in (*drives, *wrong)),
        failures_hidden=max(0, len(failures) - SHOWN_FAILURES),
        episodes=worst_first(run.episodes),
        latency=Markup(figures.latency_histogram(latencies, LATENCY_LIMIT_S)),
        shares=Markup(figures.share_bars(summary.get('guard_shares', {}))),
        by_distance=Markup(
            figures.success_bars(success_by_distance(run.episodes, _edges(distances)))
        ),
        video=_video(run.video),
        summary_json=json.dumps(summary, indent=2),
    )


def shown(run: Run) -> list[Episode]:
    """List the drives that the report draws maps of: their rooms are needed."""
    return [*_featured_drives(run), *_failed_drives(run)[:SHOWN_FAILURES]]


def _featured_drives(run: Run) -> list[Episode]:
    if run.one_room:
        return list(run.episodes)
    return pick_featured(run.episodes, run.featured)


def _failed_drives(run: Run) -> list[Episode]:
    return [] if run.one_room else [e for e in worst_first(run.episodes) if not e.success]


def _featured(run: Run, episode: Episode) -> dict[str, Any]:
    trace = episode.trace
    assert trace is not None
    moments = _moments(run, episode)
    return {
        'episode': episode,
        'moments': moments,
        'map': None if moments else _map(run, [episode], 1100),
        'strip': [(at, data_uri(jpeg, 'image/jpeg')) for at, jpeg in strip(trace)],
        'goal_frame': data_uri(trace.goal_frame, 'image/jpeg') if trace.goal_frame else None,
        'timeline': Markup(figures.guard_timeline(trace)) if len(trace.t) > 1 else '',
    }


def _map(run: Run, episodes: Sequence[Episode], width_px: int) -> str | None:
    if not episodes:
        return None
    task = episodes[0].task
    floor = run.floors.get(task.room_key)
    if floor is None:
        return None
    return data_uri(figures.drive_map(floor, episodes, width_px=width_px), 'image/png')


def _moments(run: Run, episode: Episode) -> dict[str, Any] | None:
    floor = run.floors.get(episode.task.room_key)
    return None if floor is None else moments_of(floor, episode)


def moments_of(floor: Floor, episode: Episode) -> dict[str, Any] | None:
    """Return what a page draws the drive's moments from, and on; None where none were kept."""
    drawn = scrubber(floor, episode)
    if drawn is None:
        return None
    room = figures.drive_map(floor, (), width_px=1200)
    return {'map': drawn, 'picture': data_uri(room, 'image/png')}


def _edges(distances_m: Sequence[float]) -> list[float]:
    """Bins of whole metres that cover the goals' distances: at most six."""
    if not distances_m:
        return [0.0, 1.0]
    low, high = math.floor(min(distances_m)), math.floor(max(distances_m)) + 1
    step = max(1, math.ceil((high - low) / 6))
    return [float(edge) for edge in range(low, high + step, step)]


def _video(path: Path | None) -> str | None:
    if path is None or not path.is_file() or path.stat().st_size > EMBEDDED_VIDEO_BYTES:
        return None
    return data_uri(path.read_bytes(), 'video/mp4')


def _number(value: float | None, digits: int = 1) -> str:
    return '–' if value is None else f'{value:,.{digits}f}'


def _percent(value: float | None, digits: int = 0) -> str:
    return '–' if value is None else f'{100 * value:.{digits}f}'
