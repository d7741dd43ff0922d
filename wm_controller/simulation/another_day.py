# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""What a room is like another day: furniture was moved a little, and the light is another."""

from dataclasses import replace

import numpy as np

from wm_controller.errors import InputError
from wm_controller.simulation.appearance import Lights
from wm_controller.simulation.description import PASSAGE_RADIUS, ROBOT_HEIGHT, Room
from wm_controller.simulation.furnishing import SHARE_CONNECTED
from wm_controller.simulation.grid import rasterise
from wm_controller.simulation.shapes import Footprints, Solid
from wm_controller.simulation.specs import CameraSpec

SHIFT = 0.2  # m that a piece is moved at most,
TURN = 0.15  # rad that it is turned at most
TRIES = 6  # to find a place for a piece, before it stays where it is
STAYS = frozenset({'pillar'})
GAP = 0.01  # m between two pieces
LAMPS, EVERYWHERE = 0.7, 0.35  # spread of the light's brightness, as a logarithm,
WARMTH = 0.12  # of its colour,
EXPOSURE = 0.3  # and of the camera's, likewise a logarithm


def another_day(room: Room, day: int) -> Room:
    """
    Return the room as it is on another day, the same on every machine; day 0 is the room itself.

    Each piece of furniture is moved by up to 0.2 m and turned by up to 0.15 rad, where it then
    stands free of the others and the floor stays in one piece. Lamps and the light that comes
    from everywhere are brighter or darker, warmer or colder. Raises InputError for a day below 0.
    """
    if day < 0:
        raise InputError(f'day {day} of a room: use 0 or more')
    if day == 0:
        return room
    rng = _stream(room, day)
    return replace(room, furniture=_moved(rng, room), lights=_other_light(rng, room.lights))


def other_exposure(camera: CameraSpec, room: Room, day: int) -> CameraSpec:
    """Return the camera as it is exposed in the room on another day; day 0 changes nothing."""
    if day == 0:
        return camera
    factor = np.exp(_stream(room, day).spawn(1)[0].uniform(-EXPOSURE, EXPOSURE))
    return replace(camera, exposure=camera.exposure * float(factor))


def _stream(room: Room, day: int) -> np.random.Generator:
    return np.random.default_rng((0xDA7, room.seed & 0xFFFFFFFF, room.seed >> 32, day))


def _moved(rng: np.random.Generator, room: Room) -> tuple[Solid, ...]:
    ends = np.cumsum((0, *room.parts))
    pieces = [room.furniture[a:b] for a, b in zip(ends, ends[1:])]
    floor = room.grid.main_part(PASSAGE_RADIUS)[0].mean()
    doors = np.array([[d.x, d.y] for d in room.doors]).reshape(-1, 2)
    for number in rng.permutation(len(pieces)):
        if room.kinds[number] in STAYS:
            continue
        others = room.walls + sum(pieces[:number] + pieces[number + 1:], ())
        for _ in range(TRIES):
            piece = _shifted(rng, pieces[number])
            if _fits(room, piece, others, doors, 0.9 * floor):
                pieces[number] = piece
                break
    return sum(pieces, ())


def _shifted(rng: np.random.Generator, piece: tuple[Solid, ...]) -> tuple[Solid, ...]:
    """Move a piece as a whole, and turn it about its middle."""
    x, y = np.mean([(solid.x, solid.y) for solid in piece], 0)
    away, bearing = SHIFT * np.sqrt(rng.random()), rng.uniform(-np.pi, np.pi)
    turn = float(rng.uniform(-TURN, TURN))
    to = float(x + away * np.cos(bearing)), float(y + away * np.sin(bearing))
    return tuple(replace(solid, x=float(solid.x - x), y=float(solid.y - y)).placed(*to, turn)
                 for solid in piece)


def _fits(room: Room, piece: tuple[Solid, ...], others: tuple[Solid, ...], doors: np.ndarray,
          floor: float) -> bool:
    """Whether a piece touches nothing, leaves doors open and the floor (a share) in one part."""
    about, own = Footprints(others), Footprints(piece)
    edges = np.concatenate([_edge(solid) for solid in piece])
    x0, y0, x1, y1 = room.bounds
    inside = np.minimum(edges - (x0, y0), (x1, y1) - edges).min() > GAP
    if not inside or about.distance(edges).min() < GAP:
        return False
    if (own.distance(about.centre) < 0.0).any() or (
            len(doors) and (own.distance(doors) < 0.6).any()):
        return False
    low = Footprints(s for s in others + piece if s.bottom < ROBOT_HEIGHT)
    mask, share = rasterise(room.bounds, low, 0.1).main_part(PASSAGE_RADIUS)
    return share >= SHARE_CONNECTED and bool(mask.mean() >= floor)


def _edge(solid: Solid) -> np.ndarray:
    """Points (M, 2) along a footprint's edge, and its middle."""
    corners = solid.outline()
    share = np.linspace(0, 1, 5)[:, None]
    sides = [a + share * (b - a) for a, b in zip(corners, np.roll(corners, -1, axis=0))]
    return np.concatenate([*sides, [(solid.x, solid.y)]])


def _other_light(rng: np.random.Generator, lights: Lights) -> Lights:
    tint = 1.0 + rng.uniform(-WARMTH, WARMTH) * np.array([1.0, 0.0, -1.0])
    everywhere = float(np.exp(rng.uniform(-EVERYWHERE, EVERYWHERE)))
    lamps = []
    for lamp in lights.lamps:
        red, green, blue = (np.array(lamp.colour) * tint * np.exp(
            rng.uniform(-LAMPS, LAMPS))).tolist()
        lamps.append(replace(lamp, colour=(red, green, blue)))
    return Lights(everywhere * lights.ambient, everywhere * lights.headlight, tuple(lamps))
