# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""How a room is drawn: walls from a floor plan, furniture that leaves a way, pictures, people."""

import zlib

import numpy as np

from wm_controller.simulation.appearance import (
    draw_lights,
    draw_materials,
    draw_person_colours,
    Material,
)
from wm_controller.simulation.description import (
    Panel,
    PASSAGE_RADIUS,
    Person,
    ROBOT_HEIGHT,
    Room,
    WALL_HEIGHT,
)
from wm_controller.simulation.floor_plans import Door, draw_floor_plan, FloorPlan
from wm_controller.simulation.furniture import AGAINST_WALL, draw_piece, Piece
from wm_controller.simulation.grid import Bounds, rasterise
from wm_controller.simulation.paths import DistanceField
from wm_controller.simulation.shapes import box, Footprints, Solid

DOOR_HEIGHT = 2.05  # m
OUTER = 0.15  # m, thickness of the outer walls
SHARE_CONNECTED = 0.93  # of the floor that the robot fits on hangs together


def draw_room(seed: int, family: str, people: int | None) -> Room:
    """Draw the room of a seed; a draw whose floor falls apart is thrown away for the next."""
    for attempt in range(20):
        # the family's name is part of the key, so families never share a stream
        key = (zlib.crc32(family.encode()), seed & 0xFFFFFFFF, seed >> 32, attempt)
        room = _draw(np.random.default_rng(key), seed, family)
        reachable, share = room.grid.main_part(PASSAGE_RADIUS)
        if share >= SHARE_CONNECTED and reachable.mean() > 0.25 and _doors_open(room, reachable):
            crowd = _draw_people(np.random.default_rng((*key, 1)), room, people)
            return _with_people(room, crowd)
    raise RuntimeError(f'no connected room for seed {seed} of {family}')  # pragma: no cover


def _draw(rng: np.random.Generator, seed: int, family: str) -> Room:
    plan = draw_floor_plan(rng, family)
    w, h = plan.size
    bounds = (-w / 2, -h / 2, w / 2, h / 2)
    materials = draw_materials(rng, family)
    walls = _raise_walls(rng, plan, materials)
    furniture, kinds, parts = _furnish(rng, family, plan, bounds, walls, materials)
    doors = tuple(
        Door(d.x - w / 2, d.y - h / 2, d.width, d.along_x, d.thickness) for d in plan.doors
    )
    rooms = tuple(
        (x0 - w / 2, y0 - h / 2, x1 - w / 2, y1 - h / 2) for x0, y0, x1, y1 in plan.rooms
    )
    return Room(
        seed=seed, family=family, layout=plan.layout, bounds=bounds, walls=walls,
        furniture=furniture, kinds=kinds, parts=parts, doors=doors,
        panels=_hang_pictures(rng, walls, bounds, materials), people=(),
        lights=draw_lights(rng, rooms, WALL_HEIGHT), materials=materials,
    )


def _with_people(room: Room, people: tuple[Person, ...]) -> Room:
    fields = {name: getattr(room, name) for name in Room.__dataclass_fields__}
    return Room(**{**fields, 'people': people})


def _doors_open(room: Room, reachable: np.ndarray) -> bool:
    points = np.array([[d.x, d.y] for d in room.doors]).reshape(-1, 2)
    cells = room.grid.cells(points)
    return bool(reachable[cells[:, 0], cells[:, 1]].all())


def _raise_walls(rng, plan: FloorPlan, materials) -> tuple[Solid, ...]:
    w, h = plan.size
    z = WALL_HEIGHT / 2
    paints = [i for i, m in enumerate(materials) if m.name == 'wall']
    outer, inner = int(rng.choice(paints)), int(rng.choice(paints))
    half = OUTER / 2
    walls = [
        box(0, side * (h / 2 + half), z, w / 2 + OUTER, half, z, material=outer)
        for side in (-1, 1)
    ]
    walls += [
        box(side * (w / 2 + half), 0, z, half, h / 2, z, material=outer) for side in (-1, 1)
    ]
    for x0, y0, x1, y1 in plan.walls:
        walls.append(box((x0 + x1 - w) / 2, (y0 + y1 - h) / 2, z, (x1 - x0) / 2, (y1 - y0) / 2, z,
                         material=inner))
    lintel = (WALL_HEIGHT - DOOR_HEIGHT) / 2
    for door in plan.doors:
        hx, hy = door.width / 2, door.thickness / 2
        hx, hy = (hx, hy) if door.along_x else (hy, hx)
        walls.append(box(door.x - w / 2, door.y - h / 2, DOOR_HEIGHT + lintel, hx, hy, lintel,
                         material=inner))
    return tuple(walls)


def _furnish(rng, family: str, plan: FloorPlan, bounds: Bounds, walls, materials):
    """Place 5 to 14 pieces, each only where the floor stays connected with it."""
    wanted = int(np.clip(rng.normal(plan.size[0] * plan.size[1] / 6.5, 2.0), 5, 14))
    rooms = [r for r in plan.rooms if min(r[2] - r[0], r[3] - r[1]) > 1.9]
    areas = np.array([(r[2] - r[0]) * (r[3] - r[1]) for r in rooms])
    shift = np.array([bounds[0], bounds[1]])
    doors = np.array([[d.x, d.y] for d in plan.doors]).reshape(-1, 2) + shift
    standing = [w for w in walls if w.bottom < ROBOT_HEIGHT]
    kept: list[Solid] = []
    kinds: list[str] = []
    parts: list[int] = []
    start = rasterise(bounds, Footprints(standing), 0.1).main_part(PASSAGE_RADIUS)[0].sum()
    for _ in range(wanted * 6):
        if len(kinds) == wanted:
            break
        piece = draw_piece(rng, family, _painter(rng, materials))
        room = rooms[int(rng.choice(len(rooms), p=areas / areas.sum()))]
        placed = _place(rng, piece, np.array(room) + np.tile(shift, 2))
        if placed is None:
            continue
        x, y, yaw = placed
        own = Footprints([box(x, y, 1, piece.half_depth, piece.half_width, 1, yaw=yaw)])
        reach = float(own.reach[0])
        if len(doors) and (own.distance(doors) < 0.65).any():
            continue
        solids = [s.placed(x, y, yaw) for s in piece.solids]
        others = Footprints(standing + kept)
        border = _border(own.solids[0])
        near = others.distance(border)
        if near.min() < 0.005 or _inside(own, kept, reach):
            continue
        low = [s for s in solids if s.bottom < ROBOT_HEIGHT]
        grid = rasterise(bounds, Footprints(standing + kept + low), 0.1)
        mask, share = grid.main_part(PASSAGE_RADIUS)
        if share < SHARE_CONNECTED + 0.02 or mask.sum() < 0.5 * start:
            continue
        kept += solids
        kinds.append(piece.kind)
        parts.append(len(solids))
    return tuple(kept), tuple(kinds), tuple(parts)


def _inside(own: Footprints, kept: list[Solid], reach: float) -> bool:
    """Say whether a solid already kept has its middle within the new piece."""
    if not kept:
        return False
    return bool((own.distance(np.array([[s.x, s.y] for s in kept])) < 0.0).any())


def _border(piece: Solid) -> np.ndarray:
    """Points (M, 2) along a footprint's edge and across it."""
    corners = piece.outline()
    share = np.linspace(0, 1, 7)[:, None]
    edges = [a + share * (b - a) for a, b in zip(corners, np.roll(corners, -1, axis=0))]
    return np.concatenate([*edges, [(piece.x, piece.y)], (corners + (piece.x, piece.y)) / 2])


def _place(rng, piece: Piece, rect: np.ndarray) -> tuple[float, float, float] | None:
    """Draw a place in a rectangle: with the back to a wall, or anywhere, turned at random."""
    x0, y0, x1, y1 = rect
    if piece.kind in AGAINST_WALL and rng.random() < 0.85 or rng.random() < 0.35:
        side = int(rng.integers(4))  # the wall the back is to: west, south, east, north
        yaw = (0.0, np.pi / 2, np.pi, -np.pi / 2)[side]
        along_x = side % 2 == 1
        lo, hi = (x0, x1) if along_x else (y0, y1)
        slack = piece.half_width + 0.12
        if hi - lo < 2 * slack:
            return None
        at = float(rng.uniform(lo + slack, hi - slack))
        off = piece.half_depth + float(rng.uniform(0.1, 0.16))  # clear of the wall's half
        middle = (x0 + off, y0 + off, x1 - off, y1 - off)[side]
        return (at, middle, yaw) if along_x else (middle, at, yaw)
    reach = max(piece.half_depth, piece.half_width) + 0.1
    if x1 - x0 < 2 * reach or y1 - y0 < 2 * reach:
        return None
    turned = rng.random() < 0.6
    yaw = float(rng.uniform(-np.pi, np.pi)) if turned else float(rng.integers(4)) * np.pi / 2
    return (float(rng.uniform(x0 + reach, x1 - reach)), float(rng.uniform(y0 + reach, y1 - reach)),
            yaw)


def _painter(rng, materials: tuple[Material, ...]):
    """Give the parts of one piece their materials: one wood or fabric for the whole piece."""
    chosen: dict[str, int] = {}

    def paint(name: str) -> int:
        options = [i for i, m in enumerate(materials) if m.name == name]
        if name == 'plain':
            return int(rng.choice(options))
        return chosen.setdefault(name, int(rng.choice(options)))

    return paint


def _hang_pictures(rng, walls, bounds: Bounds, materials) -> tuple[Panel, ...]:
    """Hang pictures, windows and closed door leaves on the inner faces of long walls."""
    panels: list[Panel] = []
    options = {n: [i for i, m in enumerate(materials) if m.name == n]
               for n in ('picture', 'window', 'door')}
    for wall in walls:
        if wall.bottom > 0 or max(wall.hx, wall.hy) < 0.5:
            continue
        along_x = wall.hx > wall.hy
        half_length = min(max(wall.hx, wall.hy), (bounds[2] if along_x else bounds[3]))
        for side in (-1, 1):
            for _ in range(int(rng.poisson(half_length * 0.5))):
                kind = str(rng.choice(('picture', 'picture', 'window', 'door')))
                if kind == 'door':
                    width, height, z = 0.43, 1.0, 1.0
                elif kind == 'window':
                    width, height, z = rng.uniform(0.4, 0.8), rng.uniform(0.4, 0.6), 1.45
                else:
                    width, height = rng.uniform(0.15, 0.5, 2)
                    z = rng.uniform(0.9, 1.6)
                if half_length < width + 0.1:
                    continue
                at = rng.uniform(-half_length + width + 0.05, half_length - width - 0.05)
                off = side * ((wall.hy if along_x else wall.hx) + 0.006)
                x, y = (wall.x + at, wall.y + off) if along_x else (wall.x + off, wall.y + at)
                outside = abs(x) > bounds[2] or abs(y) > bounds[3]
                if outside or any(np.hypot(x - p.x, y - p.y) < width + p.half_width + 0.05
                                  for p in panels):
                    continue
                yaw = side * np.pi / 2 if along_x else (0.0 if side > 0 else np.pi)
                panels.append(Panel(float(x), float(y), float(z), float(yaw), float(width),
                                    float(height), int(rng.choice(options[kind]))))
    return tuple(panels)


def _draw_people(rng, room: Room, people: int | None) -> tuple[Person, ...]:
    count = int(rng.choice(4, p=(0.45, 0.35, 0.15, 0.05)))  # drawn always: one stream for all
    count = count if people is None else people
    if not count:
        return ()
    crowd = []
    for _ in range(count):
        goal = room.sample_free_pose(rng, 0.35)[:2]
        field = DistanceField(room, goal, radius=0.3)
        paths = [field.path(room.sample_free_pose(rng, 0.35)[:2]) for _ in range(4)]
        path = max(paths, key=lambda p: np.hypot(*np.diff(p, axis=0).T).sum() if len(p) else 0.0)
        if len(path) < 2:
            path = np.array([goal, goal])
        crowd.append(Person(
            tuple((float(x), float(y)) for x, y in path), float(rng.uniform(0.3, 0.9)),
            float(rng.uniform(0.5, 4.0)), float(rng.uniform(0.2, 0.6)),
            float(rng.uniform(0.18, 0.24)), float(rng.uniform(1.5, 1.9)),
            draw_person_colours(rng),
        ))
    return tuple(crowd)
