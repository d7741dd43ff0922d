# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The film of a run: the camera on the left, the room from above on the right, a status line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from wm_controller.evaluation import palette
from wm_controller.evaluation.floor import Floor
from wm_controller.evaluation.mp4 import mp4_writer
from wm_controller.evaluation.records import Episode, PlanTrace, Trace
from wm_controller.evaluation.report import RoomKey

WIDTH, HEIGHT, STATUS = 1280, 560, 80  # px; the status line is the lowest STATUS rows
PANEL = 620  # px, width of the camera's and the map's panels
GAP = (WIDTH - 2 * PANEL) // 3
FONT = cv2.FONT_HERSHEY_SIMPLEX
SUBPIXEL = 4  # bits of fraction that cv2 draws with, for smooth lines
HOLD_S = 1.0  # the last frame of each drive stays for so long
ROBOT_RADIUS_M = 0.18


def write_video(
    path: Path,
    episodes: Sequence[Episode],
    floors: Mapping[RoomKey, Floor],
    *,
    rate_hz: int = 10,
) -> bool:
    """Write the drives that have camera frames, one after the other; False when none has."""
    shown = [e for e in episodes if e.trace is not None and len(e.trace.frames) > 1]
    if not shown:
        return False
    with mp4_writer(path, (WIDTH, HEIGHT), rate_hz) as add:
        for episode in shown:
            floor = floors[episode.task.room_key]
            for image in film(episode, floor, rate_hz, total=len(episodes)):
                add(image)
    return True


def film(episode: Episode, floor: Floor, rate_hz: int, total: int) -> Iterator[np.ndarray]:
    """Yield the pictures (HEIGHT,WIDTH,3) RGB of one drive."""
    trace = episode.trace
    assert trace is not None
    view = MapView(floor, episode)
    times = np.array([at for at, _ in trace.frames])
    plan_times = np.array([plan.t for plan in trace.plans])
    picture = np.zeros((0, 0, 3), np.uint8)
    for now in np.arange(times[0], trace.t[-1] + 1e-6, 1.0 / rate_hz):
        jpeg = trace.frames[_last_before(times, now)][1]
        plan = trace.plans[_last_before(plan_times, now)] if len(plan_times) else None
        fan = next(
            (p for p in reversed(trace.plans[: _last_before(plan_times, now) + 1]) if _has_fan(p)),
            None,
        ) if plan is not None else None  # fmt: skip
        step = _last_before(trace.t, now)
        picture = np.full((HEIGHT, WIDTH, 3), palette.rgb('#f2f1ed'), np.uint8)
        _place(picture, _camera_panel(jpeg), GAP)
        _place(picture, view.draw(step, plan, fan if fan and now - fan.t < 0.5 else None), 2)
        _draw_status(picture, episode, trace, step, total)
        yield picture
    for _ in range(round(HOLD_S * rate_hz)):
        yield picture


def _has_fan(plan: PlanTrace) -> bool:
    return plan.fan is not None


def _last_before(times: np.ndarray, now: float) -> int:
    return max(0, int(np.searchsorted(times, now + 1e-9)) - 1)


def _place(picture: np.ndarray, panel: np.ndarray, column: int) -> None:
    left = GAP if column == GAP else 2 * GAP + PANEL
    top = (HEIGHT - STATUS - panel.shape[0]) // 2
    picture[top : top + panel.shape[0], left : left + panel.shape[1]] = panel


def _camera_panel(jpeg: bytes) -> np.ndarray:
    image = np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR))[..., ::-1]
    scale = min(PANEL / image.shape[1], (HEIGHT - STATUS - 2 * GAP) / image.shape[0])
    size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
    resized = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
    panel = np.full((size[1], PANEL, 3), palette.rgb('#f2f1ed'), np.uint8)
    left = (PANEL - size[0]) // 2
    panel[:, left : left + size[0]] = resized
    return panel


class MapView:
    """The room from above with the drive so far; draws one picture (h,PANEL,3) RGB a step."""

    def __init__(self, floor: Floor, episode: Episode) -> None:
        trace = episode.trace
        assert trace is not None
        wide, high = floor.size_m
        limit = HEIGHT - STATUS - 2 * GAP
        self._scale = min(PANEL / wide, limit / high)  # px per m
        self._size = round(wide * self._scale), round(high * self._scale)
        self._low = float(floor.x[0]), float(floor.y[0])
        self._trace: Trace = trace
        self._goal = np.array(episode.task.goal)
        self._base = self._draw_base(floor, episode)

    def draw(self, step: int, plan: PlanTrace | None, fan: PlanTrace | None) -> np.ndarray:
        """Draw the state at a step of the trace."""
        image = self._base.copy()
        if fan is not None and fan.fan is not None:
            layer = image.copy()
            for candidate in fan.fan:
                self._line(layer, candidate, palette.IMAGINED, 1)
            image = cv2.addWeighted(layer, 0.40, image, 0.60, 0)
        self._line(image, self._trace.pose[: step + 1], palette.DRIVEN, 3)
        if plan is not None:
            self._line(image, plan.path, palette.IMAGINED, 3)
        for at, x, y in self._trace.bumps:
            if at <= self._trace.t[step]:
                at_px, colour = self._whole(x, y), palette.rgb(palette.BUMP)
                cv2.drawMarker(image, at_px, colour, cv2.MARKER_TILTED_CROSS, 18, 4)
        self._robot(image, self._trace.pose[step])
        panel = np.full((image.shape[0], PANEL, 3), palette.rgb('#f2f1ed'), np.uint8)
        left = (PANEL - image.shape[1]) // 2
        panel[:, left : left + image.shape[1]] = image
        return panel

    def _draw_base(self, floor: Floor, episode: Episode) -> np.ndarray:
        distance = cv2.resize(floor.distance[::-1], self._size, interpolation=cv2.INTER_LINEAR)
        solid = np.clip(0.5 - distance * self._scale / 2, 0, 1)[..., None]  # smooth edge, 2 px
        shade = 0.10 * np.clip(1 - distance / 0.35, 0, 1)[..., None] ** 2
        ground = np.array(palette.rgb(palette.FLOOR)) * (1 - shade)
        mixed = ground * (1 - solid) + np.array(palette.rgb(palette.WALL)) * solid
        image = np.ascontiguousarray(mixed.astype(np.uint8))
        for outline in floor.furniture:
            corners = self._pixels(outline).reshape(-1, 1, 2)
            cv2.fillPoly(image, [corners], palette.rgb(palette.FURNITURE), cv2.LINE_AA, SUBPIXEL)
        for outline in floor.overhead:
            self._line(image, np.vstack([outline, outline[:1]]), palette.FURNITURE, 1)
        layer = image.copy()
        self._disc(layer, self._goal, 0.4, palette.GOAL)
        image = cv2.addWeighted(layer, 0.3, image, 0.7, 0)
        self._disc(image, self._goal, 0.09, palette.GOAL)
        self._disc(image, np.array(episode.task.start), 0.09, palette.DRIVEN)
        self._disc(image, np.array(episode.task.start), 0.05, palette.PAPER)
        return image

    def _pixels(self, points: np.ndarray) -> np.ndarray:
        """Map (N,>=2) m to (N,2) fixed-point pixels for cv2."""
        x = (points[:, 0] - self._low[0]) * self._scale
        y = self._size[1] - (points[:, 1] - self._low[1]) * self._scale
        return np.round(np.stack([x, y], axis=1) * 2**SUBPIXEL).astype(np.int32)

    def _whole(self, x: float, y: float) -> tuple[int, int]:
        px, py = self._pixels(np.array([[x, y]]))[0] >> SUBPIXEL
        return int(px), int(py)

    def _line(self, image: np.ndarray, points: np.ndarray, colour: str, width: int) -> None:
        if len(points) > 1:
            corners = self._pixels(points).reshape(-1, 1, 2)
            cv2.polylines(
                image, [corners], False, palette.rgb(colour), width, cv2.LINE_AA, SUBPIXEL
            )

    def _disc(self, image: np.ndarray, at: np.ndarray, radius_m: float, colour: str) -> None:
        centre = tuple(int(v) for v in self._pixels(at[None, :2])[0])
        radius = round(radius_m * self._scale * 2**SUBPIXEL)
        cv2.circle(image, centre, radius, palette.rgb(colour), -1, cv2.LINE_AA, SUBPIXEL)

    def _robot(self, image: np.ndarray, pose: np.ndarray) -> None:
        self._disc(image, pose, ROBOT_RADIUS_M, palette.DRIVEN)
        self._disc(image, pose, ROBOT_RADIUS_M * 0.78, palette.PAPER)
        tip = pose[:2] + ROBOT_RADIUS_M * np.array([np.cos(pose[2]), np.sin(pose[2])])
        self._line(image, np.array([pose[:2], tip]), palette.DRIVEN, 3)


def _draw_status(
    picture: np.ndarray, episode: Episode, trace: Trace, step: int, total: int
) -> None:
    top = HEIGHT - STATUS
    picture[top:] = palette.rgb(palette.INK)
    wanted, admitted = trace.wanted[step], trace.admitted[step]
    left_m = float(np.hypot(*(trace.pose[step, :2] - np.array(episode.task.goal[:2]))))
    number = f'drive {episode.task.index + 1} of {total}'
    _text(picture, f'{number}   {episode.planner}', (GAP, top + 32), 0.62, '#ffffff')
    last = step == len(trace.t) - 1
    state = episode.outcome if last else f'{trace.t[step]:5.1f} s'
    colour = palette.SKY if not last else (palette.PAPER if episode.success else palette.IMAGINED)
    _text(picture, state, (GAP, top + 62), 0.62, colour)
    _text(picture, f'goal {left_m:4.1f} m', (330, top + 32), 0.62, '#ffffff')
    _text(
        picture,
        f'{admitted[0]:+.2f} m/s  {admitted[1]:+.2f} rad/s',
        (330, top + 62),
        0.62,
        '#ffffff',
    )
    _bar(picture, (660, top + 17), 240, wanted[0], admitted[0])
    reasons = ', '.join(trace.reasons[step]) or 'nothing'
    _text(picture, f'guard limits: {reasons}', (660, top + 62), 0.62, palette.YELLOW)


def _bar(
    picture: np.ndarray, at: tuple[int, int], width: int, wanted: float, admitted: float
) -> None:
    """Show the speed wanted (outline) and admitted (filled) on a scale of 0.5 m/s."""
    x, y = at
    cv2.rectangle(picture, (x, y), (x + width, y + 16), palette.rgb('#4a525c'), -1)
    for value, colour, inset in ((wanted, palette.IMAGINED, 0), (admitted, palette.SKY, 4)):
        end = x + round(width * min(1.0, abs(float(value)) / 0.5))
        cv2.rectangle(picture, (x, y + inset), (end, y + 16 - inset), palette.rgb(colour), -1)
    _text(picture, 'wanted', (x + width + 14, y + 14), 0.5, palette.IMAGINED)
    _text(picture, 'admitted', (x + width + 84, y + 14), 0.5, palette.SKY)


def _text(picture: np.ndarray, text: str, at: tuple[int, int], size: float, colour: str) -> None:
    cv2.putText(picture, text, at, FONT, size, palette.rgb(colour), 1, cv2.LINE_AA)
