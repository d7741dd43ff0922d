# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
The report's maps through a drive: what was considered, chosen and remembered, moment by moment.

Everything is in centimetres of a picture of the room, x to the right and y down, rounded: the page
draws it as SVG.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from wm_controller.evaluation import palette
from wm_controller.evaluation.encoded import data_uri, png
from wm_controller.evaluation.floor import Floor
from wm_controller.evaluation.records import Episode, Moment, Trace

MOST_MOMENTS = 40  # of a drive on the page, besides the telling ones
DRIVEN_EVERY = 2  # samples of the driven way: 5 Hz
FAN_EVERY = 2  # points of a candidate
LIMITED = 0.98  # of the wanted speed: less is a cut


@dataclass(frozen=True)
class Sheet:
    """The picture of a room that a drive is drawn on: its origin is the upper left corner."""

    floor: Floor

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, cm."""
        wide, high = self.floor.size_m
        return round(100 * wide), round(100 * high)

    def points(self, places: np.ndarray) -> np.ndarray:
        """Return places (...,2) in the world as (...,2) int."""
        x, y = places[..., 0] - self.floor.x[0], self.floor.y[-1] - places[..., 1]
        return np.asarray(np.rint(100 * np.stack([x, y], -1)), int)

    def line(self, places: np.ndarray) -> str:
        """Return places (N,2) as the points of an SVG line."""
        return ' '.join(f'{x},{y}' for x, y in self.points(places).tolist())

    def matrix(self, corner: np.ndarray, cell_m: float) -> str:
        """Return the SVG matrix of a raster whose pixel (0, 0) lies at `corner` (3,), rows up."""
        (x, y), cm = self.points(corner[:2]), 100 * cell_m
        along, aside = cm * np.cos(corner[2]), cm * np.sin(corner[2])
        return f'matrix({along:.3f} {-aside:.3f} {-aside:.3f} {-along:.3f} {x} {y})'


def scrubber(floor: Floor, episode: Episode) -> dict[str, Any] | None:
    """Return what the page's map of a drive is made of; None where nothing was kept of it."""
    trace = episode.trace
    if trace is None or not trace.moments or not len(trace.t):
        return None
    sheet, task = Sheet(floor), episode.task
    jumps = telling(trace)
    shown = _chosen(len(trace.moments), [index for _, index in jumps])
    number = {index: i for i, index in enumerate(shown)}
    width, height = sheet.size
    return {
        'width': width,
        'height': height,
        'start': sheet.points(np.array(task.start[:2])).tolist(),
        'goal': sheet.points(np.array(task.goal[:2])).tolist(),
        'exploring': task.goal_kind == 'explore',
        'driven': sheet.line(trace.pose[::DRIVEN_EVERY, :2]),
        'cuts': [sheet.line(trace.pose[span, :2]) for span in cuts(trace)],
        'bumps': sheet.points(trace.bumps[:, 1:]).tolist(),
        'jumps': [(label, number[index]) for label, index in jumps],
        'data': {
            'moments': [_moment(sheet, trace, trace.moments[index]) for index in shown],
            'first': number[jumps[0][1]],
        },
    }


def cuts(trace: Trace) -> list[slice]:
    """Return the stretches of a trace in which guardrails took speed away, each of two samples."""
    limited = np.array([bool(names) for names in trace.reasons]) & (trace.limit < LIMITED)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], limited.astype(int), [0]])))
    return [slice(int(first), int(last) + 1) for first, last in zip(edges[::2], edges[1::2])]


def telling(trace: Trace) -> list[tuple[str, int]]:
    """Name moments worth a look, and their numbers: where most was open first."""
    moments, found = trace.moments, []
    widest = int(np.argmax([_spread(moment) for moment in moments]))
    found.append(('widest choice', widest))
    found.append(('start', 0))
    held = cuts(trace)
    if held:
        longest = max(held, key=lambda span: span.stop - span.start)
        found.append(('longest held back', _nearest(moments, trace.t[longest.start])))
    if len(trace.bumps):
        found.append(('bump', _nearest(moments, trace.bumps[0, 0])))
    blocked = np.array([moment.blocked.sum() for moment in moments])
    if blocked.max():
        found.append(('way found blocked', int(np.argmax(blocked > 0))))
    found.append(('end', len(moments) - 1))
    return found


def _spread(moment: Moment) -> float:
    """How far apart, m, the candidates end."""
    fan = moment.plan.fan
    return 0.0 if fan is None or not len(fan) else float(np.hypot(*fan[:, -1].std(0)))


def _nearest(moments: Sequence[Moment], t: float) -> int:
    return int(np.argmin([abs(moment.t - t) for moment in moments]))


def _chosen(count: int, wanted: Sequence[int]) -> list[int]:
    evenly = np.linspace(0, count - 1, min(count, MOST_MOMENTS)).astype(int)
    return sorted({*evenly.tolist(), *wanted})


def _moment(sheet: Sheet, trace: Trace, moment: Moment) -> dict[str, Any]:
    now = min(int(np.searchsorted(trace.t, moment.t)), len(trace.t) - 1)
    pose, places = trace.pose[now], sheet.points(moment.places).tolist()
    fan = moment.plan.path[:0] if moment.plan.fan is None else moment.plan.fan
    drawn = {
        'at': [*sheet.points(pose[:2]).tolist(), round(-float(np.rad2deg(pose[2])), 1)],
        'driven': now // DRIVEN_EVERY + 1,
        'says': _says(moment, trace.reasons[now]),
        'chosen': sheet.line(moment.plan.path),
        'fan': [sheet.line(path[::FAN_EVERY]) for path in fan],
        'far': sheet.line(moment.far_path),
        'target': sheet.points(moment.target).tolist(),
        'places': places,
        'ways': moment.ways[~moment.blocked].tolist(),
        'blocked': moment.ways[moment.blocked].tolist(),
        'route': moment.route.tolist(),
        'frontiers': sheet.points(moment.frontiers).tolist(),
        'space': space_picture(moment.space),
        'matrix': sheet.matrix(moment.space_pose, moment.cell_m),
    }
    return {key: value for key, value in drawn.items() if value != '' and value != []}


def _says(moment: Moment, reasons: Sequence[str]) -> str:
    fan = moment.plan.fan
    says = [f'{moment.t:.1f} s']
    if len(moment.plan.path) == 0:
        says.append('no candidate chosen: it stands, turns or backs off')
    elif fan is not None:
        says.append(f'{len(fan)} of the best candidates')
    if len(moment.places):
        says.append(f'{_count(len(moment.places), "place")}, '
                    f'{_count(int(moment.blocked.sum()), "way")} blocked')
    if len(moment.frontiers):
        says.append(_count(len(moment.frontiers), 'frontier'))
    if reasons:
        says.append(f'limited by {", ".join(reasons)}')
    return ' · '.join(says)


def _count(number: int, name: str) -> str:
    return f'{number} {name}{"" if number == 1 else "s"}'


def space_picture(data: bytes) -> str:
    """Colour a raster as recorded; the data of a page's image, or nothing."""
    if not data:
        return ''
    cells = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    colours = np.zeros((3, 4), np.uint8)  # BGRA
    colours[1] = (*palette.rgb(palette.SKY)[::-1], 70)
    colours[2] = (*palette.rgb(palette.INK)[::-1], 120)
    return data_uri(png(colours[cells]), 'image/png')
