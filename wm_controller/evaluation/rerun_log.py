# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
A drive as a file for the Rerun viewer, to be looked through in time: `rerun drive_000.rrd`.

Nothing here opens a window or a connection. Entities are named as the topics of the graph; colours
are those of the report.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from wm_controller.errors import InputError
from wm_controller.evaluation import palette
from wm_controller.evaluation.figures import ROBOT_RADIUS_M
from wm_controller.evaluation.floor import Floor
from wm_controller.evaluation.records import Episode, Moment, Trace
from wm_controller.files import replacing

SIM_TIME = 'sim_time'
APPLICATION = 'wm_controller'
WANTED, ADMITTED, MEASURED = 'wanted', 'admitted', 'measured'
LINE_M, THIN_M, POINT_M = 0.02, 0.006, 0.03
CURVES = {  # entity: name, colour, width of the line in points
    'speed/wanted': ('wanted', palette.IMAGINED, 1.0),
    'speed/admitted': ('let through', palette.DRIVEN, 3.0),
    'speed/measured': ('measured', palette.INK, 1.0),
    'turn/wanted': ('wanted', palette.IMAGINED, 1.0),
    'turn/admitted': ('let through', palette.DRIVEN, 3.0),
    'turn/measured': ('measured', palette.INK, 1.0),
    'surprise': ('surprise', palette.PURPLE, 2.0),
    'guardrail/limit': ('share of speed let through', palette.DRIVEN, 1.0),
    'plan_ms': ('time of a plan, ms', palette.IMAGINED, 2.0),
}


def require_rerun() -> Any:
    """Return the module; InputError where it is not installed."""
    try:
        import rerun
    except ImportError as error:
        raise InputError(f'--rerun needs rerun-sdk ({error}): pip install -c constraints.txt '
                         "'wm_controller[rerun]'") from None
    return rerun


class RerunLog:
    """Takes what was seen, thought and done; times in s on one timeline, poses (x, y, yaw)."""

    def __init__(self, stream: Any, timeline: str) -> None:
        self._rr, self._stream, self._timeline = require_rerun(), stream, timeline
        self._last_words: dict[str, str] = {}
        rr = self._rr
        self._still('world', rr.ViewCoordinates.RIGHT_HAND_Z_UP)
        self._still('world/robot/body', rr.LineStrips3D(
            [_circle(ROBOT_RADIUS_M), [[0, 0, 0], [ROBOT_RADIUS_M, 0, 0]]], radii=LINE_M,
            colors=_rgb(palette.DRIVEN)))
        for entity, (name, colour, width) in CURVES.items():
            self._still(entity, rr.SeriesLines(names=name, colors=_rgb(colour), widths=width))

    def _still(self, entity: str, what: Any) -> None:
        self._stream.log(entity, what, static=True)

    def _at(self, t: float, entity: str, what: Any) -> None:
        self._stream.set_time(self._timeline, duration=float(t))
        self._stream.log(entity, what)

    def room(self, floor: Floor) -> None:
        """Draw walls and furniture, for all time."""
        rr = self._rr
        self._still('world/walls', rr.LineStrips3D(
            [_flat(line) for line in _walls(floor)], radii=LINE_M, colors=_rgb(palette.WALL)))
        self._still('world/furniture', rr.LineStrips3D(
            [_flat(np.vstack([line, line[:1]])) for line in floor.furniture], radii=THIN_M,
            colors=_rgb(palette.FURNITURE)))

    def way(self, places: np.ndarray) -> None:
        """Draw the whole way (N,>=2) that was driven, for all time."""
        self._still('world/driven', self._rr.LineStrips3D(
            [_flat(places)], radii=THIN_M, colors=_rgb(palette.DRIVEN)))

    def start_and_goal(self, start: Sequence[float], goal: Sequence[float]) -> None:
        """Mark both, for all time."""
        marks = ('start', start, palette.DRIVEN), ('goal', goal, palette.GOAL)
        for name, place, colour in marks:
            self._still(f'world/{name}', self._rr.Points3D(
                _flat(np.asarray([place])), radii=0.08, colors=_rgb(colour), labels=name))

    def poses(self, t: Iterable[float], poses: np.ndarray) -> None:
        """Move the robot: times (N,), poses (N,3)."""
        poses = np.asarray(poses, float).reshape(-1, 3)
        turn = np.zeros((len(poses), 4))
        turn[:, 2], turn[:, 3] = np.sin(0.5 * poses[:, 2]), np.cos(0.5 * poses[:, 2])
        self._columns('world/robot', t, self._rr.Transform3D.columns(
            translation=_flat(poses), quaternion=turn))

    def curve(self, entity: str, t: Iterable[float], values: Iterable[float]) -> None:
        """Add a curve of `CURVES`: times (N,), values (N,)."""
        self._columns(entity, t, self._rr.Scalars.columns(scalars=np.asarray(values, float)))

    def _columns(self, entity: str, t: Iterable[float], columns: Any) -> None:
        times = np.asarray(t, float)
        if len(times):
            index = self._rr.TimeColumn(self._timeline, duration=times)
            self._stream.send_columns(entity, [index], columns)

    def picture(self, t: float | None, entity: str, data: bytes) -> None:
        """Show a JPEG from t on, or for all time."""
        image = self._rr.EncodedImage(contents=data, media_type='image/jpeg')
        if t is None:
            self._still(entity, image)
        else:
            self._at(t, entity, image)

    def lines(self, t: float, entity: str, lines: Iterable[np.ndarray], colour: str,
              radius_m: float = LINE_M, height_m: float = 0.02) -> None:
        """Show lines, each (N,>=2), from t on; none takes away what was there."""
        self._at(t, entity, self._rr.LineStrips3D(
            [_flat(line, height_m) for line in lines if len(line) > 1], radii=radius_m,
            colors=_rgb(colour)))

    def points(self, t: float, entity: str, places: np.ndarray, colour: str,
               radii: Any = POINT_M) -> None:
        """Show points (N,>=2) from t on; none takes away what was there."""
        self._at(t, entity, self._rr.Points3D(
            _flat(places, 0.03), radii=radii, colors=_rgb(colour)))

    def words(self, t: float, entity: str, text: str) -> None:
        """Note a line at t, if it is another than the last."""
        if text != self._last_words.get(entity):
            self._last_words[entity] = text
            self._at(t, entity, self._rr.TextLog(text or 'nothing'))


@contextmanager
def rerun_log(path: Path, name: str, timeline: str = SIM_TIME) -> Iterator[RerunLog]:
    """Give a log that becomes the file `path` (.rrd) at the end of a good block."""
    rr = require_rerun()
    stream = rr.RecordingStream(APPLICATION)  # an id of its own: the viewer joins what shares one
    stream.set_log_time_enabled(False)
    stream.set_log_tick_enabled(False)
    with replacing(path) as partial:
        stream.save(partial, default_blueprint=_arrangement(timeline))
        try:
            stream.send_recording_name(name)
            yield RerunLog(stream, timeline)
        finally:
            stream.flush()
            stream.disconnect()


def _arrangement(timeline: str) -> Any:
    import rerun.blueprint as views

    return views.Blueprint(
        views.Horizontal(
            views.Spatial3DView(origin='/world', name='From above'),
            views.Vertical(
                views.Spatial2DView(origin='/camera/image', name='Camera'),
                views.Spatial2DView(origin='/camera/imagined', name='Imagined future'),
                views.TextLogView(origin='/guardrail/reasons', name='What limited it')),
            views.Vertical(
                views.TimeSeriesView(origin='/speed', name='Speed, m/s'),
                views.TimeSeriesView(origin='/turn', name='Turning, rad/s'),
                views.TimeSeriesView(contents=['/surprise', '/guardrail/limit'],
                                     name='Surprise; speed let through'),
                views.TimeSeriesView(contents=['/plan_ms'], name='Time of a plan, ms')),
            column_shares=[3, 2, 2]),
        views.TimePanel(timeline=timeline, state='collapsed'),
        views.SelectionPanel(state='collapsed'),
        views.BlueprintPanel(state='collapsed'))


def log_episode(path: Path, episode: Episode, floor: Floor | None = None) -> None:
    """Write the log of a simulated drive that has a trace."""
    trace, task = episode.trace, episode.task
    assert trace is not None, 'the drive has no trace'
    with rerun_log(path, f'drive {task.index}: room {task.room_seed}, {episode.outcome}') as log:
        if floor is not None:
            log.room(floor)
        log.start_and_goal(task.start, task.goal)
        log.way(trace.pose)
        log.poses(trace.t, trace.pose)
        for column, entity in ((0, 'speed'), (1, 'turn')):
            log.curve(f'{entity}/{WANTED}', trace.t, trace.wanted[:, column])
            log.curve(f'{entity}/{ADMITTED}', trace.t, trace.admitted[:, column])
        log.curve('guardrail/limit', trace.t, trace.limit)
        for t, reasons in zip(trace.t, trace.reasons):
            log.words(t, 'guardrail/reasons', ', '.join(reasons))
        if trace.goal_frame:
            log.picture(None, 'camera/goal', trace.goal_frame)
        for t, frame in trace.frames:
            log.picture(t, 'camera/image', frame)
        _log_plans(log, trace)
        for t, people in zip(trace.t, trace.people):
            if len(people):
                log.points(t, 'world/people', people[:, :2], palette.BUMP, people[:, 2])
        for t, x, y in trace.bumps:
            log.points(t, 'world/bumps', np.array([[x, y]]), palette.BUMP, 0.1)
        _log_detail(log, trace)


def _log_plans(log: RerunLog, trace: Trace) -> None:
    for plan in trace.plans:
        log.lines(plan.t, 'world/plan/chosen', [plan.path], palette.IMAGINED, height_m=0.05)
        if plan.fan is not None:
            log.lines(plan.t, 'world/plan/candidates', plan.fan, palette.IMAGINED, THIN_M)
    for moment in trace.moments:
        log.lines(moment.t, 'world/plan/far', [moment.far_path], palette.PURPLE, height_m=0.04)
        log_memory(log, moment)


def log_memory(log: RerunLog, moment: Moment) -> None:
    """Show what was remembered at a moment, and where it headed for."""
    at, t = moment.places, moment.t
    log.points(t, 'world/memory/places', at, palette.INK)
    log.lines(t, 'world/memory/ways', at[moment.ways[~moment.blocked]], palette.FAINT, THIN_M)
    log.lines(t, 'world/memory/blocked', at[moment.ways[moment.blocked]], palette.BUMP)
    log.lines(t, 'world/memory/route', [at[moment.route]], palette.GOAL)
    log.points(t, 'world/memory/frontiers', moment.frontiers, palette.YELLOW, 0.1)
    log.points(t, 'world/memory/target', moment.target, palette.PURPLE, 0.1)
    log.points(t, 'world/memory/space', _occupied(moment), palette.FAINT, 0.5 * moment.cell_m)


def _log_detail(log: RerunLog, trace: Trace) -> None:
    detail = trace.detail
    if detail is None:
        return
    measured = np.array(detail.measured).reshape(-1, 3)
    log.curve(f'speed/{MEASURED}', measured[:, 0], measured[:, 1])
    log.curve(f'turn/{MEASURED}', measured[:, 0], measured[:, 2])
    for name, rows in (('surprise', detail.surprise), ('plan_ms', detail.plan_ms)):
        values = np.array(rows).reshape(-1, 2)
        log.curve(name, values[:, 0], values[:, 1])
    for t, points in detail.scans:
        log.points(t, 'world/scan', points, palette.BUMP)
    for t, strip in detail.imagined:
        log.picture(t, 'camera/imagined', strip)


def _occupied(moment: Moment) -> np.ndarray:
    """Middles (N,2) of the cells that are remembered as occupied, in the world."""
    if not moment.space:
        return np.zeros((0, 2))
    cells = cv2.imdecode(np.frombuffer(moment.space, np.uint8), cv2.IMREAD_GRAYSCALE)
    rows, columns = np.nonzero(np.asarray(cells) == 2)
    x, y, yaw = moment.space_pose
    along, aside = moment.cell_m * (columns + 0.5), moment.cell_m * (rows + 0.5)
    return np.stack([x + along * np.cos(yaw) - aside * np.sin(yaw),
                     y + along * np.sin(yaw) + aside * np.cos(yaw)], -1)


def _walls(floor: Floor) -> list[np.ndarray]:
    """Outlines (N,2) of all that stands in the room."""
    solid = (floor.distance <= 0).astype(np.uint8)
    found, _ = cv2.findContours(solid, cv2.RETR_LIST, cv2.CHAIN_APPROX_TC89_L1)
    corners = [np.vstack([each[:, 0], each[:1, 0]]) for each in found if len(each) > 2]
    return [np.stack([floor.x[line[:, 0]], floor.y[line[:, 1]]], -1) for line in corners]


def _flat(places: np.ndarray, height_m: float = 0.0) -> np.ndarray:
    """Places (N,>=2) as (N,3) on one height."""
    places = np.asarray(places, np.float32)
    return np.column_stack([places[:, :2], np.full(len(places), height_m, np.float32)])


def _circle(radius_m: float) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, 33)
    return _flat(radius_m * np.stack([np.cos(angle), np.sin(angle)], -1))


def _rgb(colour: str) -> tuple[int, int, int]:
    return palette.rgb(colour)
