# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Floor plans: inner walls with doors, corridors and stubs, drawn from a random generator."""

from dataclasses import dataclass, replace

import numpy as np

Rect = tuple[float, float, float, float]  # x0, y0, x1, y1 in metres

DOOR_WIDTH = (0.9, 1.2)
CORRIDOR_WIDTH = (1.2, 1.6)
SMALLEST_ROOM = 2.3

# What each family draws its plan from, with weights. `l_corridor` and `island` are seen in
# evaluation only, `stubs` (one room cut up by long stubs) in training only.
LAYOUTS = {
    'training': {'single': 0.15, 'stubs': 0.15, 'split': 0.4, 'corridor': 0.3},
    'evaluation': {
        'single': 0.15, 'split': 0.3, 'corridor': 0.25, 'l_corridor': 0.2, 'island': 0.1,
    },
}


@dataclass(frozen=True)
class Door:
    """An opening in a wall: its middle, its width, and the wall's direction and thickness, m."""

    x: float
    y: float
    width: float
    along_x: bool
    thickness: float


@dataclass(frozen=True)
class FloorPlan:
    """Inner size (x, y) with the origin in a corner, inner walls, doors, and the rooms."""

    layout: str
    size: tuple[float, float]
    walls: tuple[Rect, ...]
    doors: tuple[Door, ...]
    rooms: tuple[Rect, ...]

    def transposed(self) -> 'FloorPlan':
        """Swap x and y, so that a layout is written for one orientation only."""
        return replace(
            self,
            size=(self.size[1], self.size[0]),
            walls=tuple((y0, x0, y1, x1) for x0, y0, x1, y1 in self.walls),
            doors=tuple(replace(d, x=d.y, y=d.x, along_x=not d.along_x) for d in self.doors),
            rooms=tuple((y0, x0, y1, x1) for x0, y0, x1, y1 in self.rooms),
        )

    def mirrored(self) -> 'FloorPlan':
        """Mirror along x."""
        w = self.size[0]
        return replace(
            self,
            walls=tuple((w - x1, y0, w - x0, y1) for x0, y0, x1, y1 in self.walls),
            doors=tuple(replace(d, x=w - d.x) for d in self.doors),
            rooms=tuple((w - x1, y0, w - x0, y1) for x0, y0, x1, y1 in self.rooms),
        )


class _Draft:
    """A plan in the making: walls are added, doors cut as they are."""

    def __init__(self, rng: np.random.Generator, size: tuple[float, float]):
        self.rng, self.size = rng, size
        self.thickness = float(rng.uniform(0.08, 0.16))
        self.walls: list[Rect] = []
        self.doors: list[Door] = []
        self.rooms: list[Rect] = []

    def wall(self, along_x: bool, at: float, lo: float, hi: float, doors: int = 0) -> None:
        """Add a wall at y = at (or x = at) from lo to hi, with doors at random places in it."""
        openings: list[tuple[float, float]] = []
        for _ in range(30 * doors):
            if len(openings) == doors:
                break
            width = float(self.rng.uniform(*DOOR_WIDTH))
            room = width / 2 + 0.12
            if hi - lo <= 2 * room:
                continue
            middle = float(self.rng.uniform(lo + room, hi - room))
            if all(abs(middle - m) > (width + w) / 2 + 0.4 for m, w in openings):
                openings.append((middle, width))
        start, half = lo, self.thickness / 2
        for middle, width in sorted(openings) + [(hi + 0.5, 1.0)]:
            end = middle - width / 2
            if end - start > 0.02:
                rect = (start, at - half, end, at + half)
                self.walls.append(rect if along_x else (rect[1], rect[0], rect[3], rect[2]))
            start = middle + width / 2
        for middle, width in openings:
            x, y = (middle, at) if along_x else (at, middle)
            self.doors.append(Door(x, y, width, along_x, self.thickness))

    def blocks_a_door(self, *points: tuple[float, float]) -> bool:
        """Say whether a wall that ends at one of the points would stand in a door."""
        return any(
            np.hypot(d.x - x, d.y - y) < d.width / 2 + 0.25 for d in self.doors for x, y in points
        )

    def split(self, rect: Rect, doors: int = 1) -> tuple[Rect, Rect] | None:
        """Cut a rectangle in two across its longer side; None where that does not fit."""
        x0, y0, x1, y1 = rect
        along_x = (y1 - y0) > (x1 - x0) * self.rng.uniform(0.8, 1.25)
        lo, hi = (y0, y1) if along_x else (x0, x1)
        if hi - lo < 2 * SMALLEST_ROOM:
            return None
        for _ in range(20):
            at = float(self.rng.uniform(lo + SMALLEST_ROOM, hi - SMALLEST_ROOM))
            ends = ((x0, at), (x1, at)) if along_x else ((at, y0), (at, y1))
            if self.blocks_a_door(*ends):
                continue
            if along_x:
                self.wall(True, at, x0, x1, doors)
                return (x0, y0, x1, at), (x0, at, x1, y1)
            self.wall(False, at, y0, y1, doors)
            return (x0, y0, at, y1), (at, y0, x1, y1)
        return None

    def stub(self, rect: Rect, longest: float) -> None:
        """Add a stub that sticks out of one side of a rectangle."""
        x0, y0, x1, y1 = rect
        along_x = bool(self.rng.random() < 0.5)
        width, depth = (y1 - y0, x1 - x0) if along_x else (x1 - x0, y1 - y0)
        length = float(self.rng.uniform(0.6, min(longest, depth - 1.3)))
        if width < 2.6 or depth < 2.2:
            return
        base = y0 if along_x else x0
        at = base + float(self.rng.uniform(1.1, width - 1.1))
        near = bool(self.rng.random() < 0.5)
        lo, hi = (x0, x1) if along_x else (y0, y1)
        lo, hi = (lo, lo + length) if near else (hi - length, hi)
        end = lo if near else hi
        if self.blocks_a_door((end, at) if along_x else (at, end)):
            return
        if all(self._apart(along_x, at, lo, hi, wall) for wall in self.walls):
            self.wall(along_x, at, lo, hi)

    def _apart(self, along_x: bool, at: float, lo: float, hi: float, wall: Rect) -> bool:
        x0, y0, x1, y1 = (lo, at, hi, at) if along_x else (at, lo, at, hi)
        gap_x = max(wall[0] - x1, x0 - wall[2])
        gap_y = max(wall[1] - y1, y0 - wall[3])
        gap = max(gap_x, gap_y)
        return gap > 0.9 or gap < self.thickness  # apart enough to pass, or joined

    def done(self, layout: str) -> FloorPlan:
        return FloorPlan(
            layout, self.size, tuple(self.walls), tuple(self.doors), tuple(self.rooms)
        )


def _single(draft: _Draft) -> None:
    w, h = draft.size
    draft.rooms = [(0.0, 0.0, w, h)]
    for _ in range(int(draft.rng.integers(0, 3))):
        draft.stub(draft.rooms[0], 1.6)


def _stubs(draft: _Draft) -> None:
    w, h = draft.size
    draft.rooms = [(0.0, 0.0, w, h)]
    for _ in range(int(draft.rng.integers(4, 9))):
        draft.stub(draft.rooms[0], 3.2)


def _split(draft: _Draft) -> None:
    w, h = draft.size
    draft.rooms = [(0.0, 0.0, w, h)]
    for _ in range(int(draft.rng.integers(1, 4))):
        draft.rooms.sort(key=lambda r: (r[2] - r[0]) * (r[3] - r[1]))
        doors = 2 if draft.rng.random() < 0.25 else 1
        halves = draft.split(draft.rooms[-1], doors)
        if halves:
            draft.rooms[-1:] = halves
    if draft.rng.random() < 0.4:
        draft.stub(draft.rooms[-1], 1.2)


def _row_of_rooms(draft: _Draft, rect: Rect, at: float) -> None:
    """Cut a side of a corridor (whose wall is at y = at) into rooms, each with its door."""
    x0, y0, x1, y1 = rect
    count = int(draft.rng.integers(1, max(2, min(3, int((x1 - x0) // 2.6)) + 1)))
    cuts = np.linspace(x0, x1, count + 1)
    cuts[1:-1] += draft.rng.uniform(-0.25, 0.25, count - 1)
    for left, right in zip(cuts[:-1], cuts[1:]):
        draft.wall(True, at, float(left), float(right), 1)
        draft.rooms.append((float(left), y0, float(right), y1))
    for cut in cuts[1:-1]:
        draft.wall(False, float(cut), y0, y1, int(draft.rng.random() < 0.3))


def _corridor(draft: _Draft) -> None:
    w, h = draft.size
    width = float(draft.rng.uniform(*CORRIDOR_WIDTH)) + draft.thickness
    if h < 2 * SMALLEST_ROOM + width or draft.rng.random() < 0.3:
        low = 0.0  # along one outer wall
    else:
        low = float(draft.rng.uniform(SMALLEST_ROOM, h - width - SMALLEST_ROOM))
        _row_of_rooms(draft, (0.0, 0.0, w, low), low)
    high = low + width
    _row_of_rooms(draft, (0.0, high, w, h), high)
    draft.rooms.append((0.0, low, w, high))


def _l_corridor(draft: _Draft) -> None:
    w, h = draft.size
    width = float(draft.rng.uniform(*CORRIDOR_WIDTH)) + draft.thickness
    _row_of_rooms(draft, (0.0, width, w - width, h), width)
    draft.wall(False, w - width, width, h, int(draft.rng.random() < 0.6))
    draft.rooms += [(0.0, 0.0, w, width), (w - width, width, w, h)]


def _island(draft: _Draft) -> None:
    w, h = draft.size
    margin = draft.rng.uniform(1.5, 2.2, 4)
    x0, x1 = float(margin[0]), float(w - margin[1])
    y0, y1 = float(margin[2]), float(h - margin[3])
    draft.wall(True, y0, x0, x1, 1)
    draft.wall(True, y1, x0, x1, int(draft.rng.random() < 0.5))
    draft.wall(False, x0, y0, y1)
    draft.wall(False, x1, y0, y1)
    draft.rooms = [(x0, y0, x1, y1), (0.0, 0.0, w, y0), (0.0, y1, w, h)]
    draft.rooms += [(0.0, y0, x0, y1), (x1, y0, w, y1)]


_BUILDERS = {
    'single': _single, 'stubs': _stubs, 'split': _split, 'corridor': _corridor,
    'l_corridor': _l_corridor, 'island': _island,
}


def draw_floor_plan(rng: np.random.Generator, family: str) -> FloorPlan:
    """Draw a plan of about 6x6 to 10x10 m in a layout of the family, randomly turned."""
    weights = LAYOUTS[family]
    chances = np.array(list(weights.values()))
    layout = str(rng.choice(list(weights), p=chances / chances.sum()))
    size = rng.uniform(6.0, 10.0, 2)
    if layout in ('corridor', 'l_corridor', 'island'):
        size = np.maximum(size, 6.8)
    draft = _Draft(rng, (float(size[0]), float(size[1])))
    _BUILDERS[layout](draft)
    plan = draft.done(layout)
    if rng.random() < 0.5:
        plan = plan.transposed()
    if rng.random() < 0.5:
        plan = plan.mirrored()
    return plan
