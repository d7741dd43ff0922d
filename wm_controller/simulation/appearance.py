# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Colours, textures and lights of a room, and the small images that textures are made of."""

import colorsys
from dataclasses import dataclass

import numpy as np

Colour = tuple[float, float, float]  # red, green, blue in 0..1

# Texture kinds per family; bricks, dots and herringbone are seen in evaluation only, stripes and
# checker floors in training only.
FLOORS = {
    'training': ('planks', 'tiles', 'carpet', 'checker', 'plain'),
    'evaluation': ('planks', 'tiles', 'carpet', 'herringbone', 'dots'),
}
WALLS = {
    'training': ('plain', 'plain', 'stripes', 'gradient', 'noise'),
    'evaluation': ('plain', 'plain', 'bricks', 'gradient', 'noise'),
}
# Hue ranges of wall and floor colours: each family has hues the other lacks.
HUES = {
    'training': ((0.0, 0.16), (0.5, 0.7)),
    'evaluation': ((0.05, 0.2), (0.25, 0.45), (0.6, 0.8)),
}


@dataclass(frozen=True)
class Material:
    """A surface: kind of texture, its two colours, the side of one repeat in metres, its seed."""

    name: str
    texture: str
    colour: Colour
    second: Colour
    scale: float
    seed: int
    shine: float = 0.1


@dataclass(frozen=True)
class Light:
    """A lamp at a point, m, and the brightness it gives, 0..1."""

    x: float
    y: float
    z: float
    colour: Colour


@dataclass(frozen=True)
class Lights:
    """The lamps of a room and the light that comes from everywhere."""

    ambient: float
    headlight: float
    lamps: tuple[Light, ...]


def _hsv(hue: float, saturation: float, value: float) -> Colour:
    r, g, b = colorsys.hsv_to_rgb(hue % 1.0, saturation, value)
    return float(r), float(g), float(b)


def _muted(rng, family: str) -> Colour:
    """Draw a colour that walls and floors have."""
    low, high = HUES[family][int(rng.integers(len(HUES[family])))]
    return _hsv(rng.uniform(low, high), rng.uniform(0.05, 0.45), rng.uniform(0.5, 0.95))


def _vivid(rng) -> Colour:
    """Draw a colour that furniture and clothes have."""
    return _hsv(rng.random(), rng.uniform(0.2, 0.85), rng.uniform(0.25, 0.95))


def _wood(rng) -> Colour:
    return _hsv(rng.uniform(0.05, 0.1), rng.uniform(0.3, 0.7), rng.uniform(0.25, 0.85))


def _shade(colour: Colour, factor: float) -> Colour:
    r, g, b = (min(1.0, c * factor) for c in colour)
    return r, g, b


def draw_materials(rng: np.random.Generator, family: str) -> tuple[Material, ...]:
    """
    Draw a room's materials: floor, ceiling, trim, two walls, then what furniture is made of.

    The first five are always at indices 0 to 4; furniture and pictures find theirs by name.
    """
    def make(name, texture, colour, scale, contrast=(0.6, 0.9), shine=0.1, second=None):
        factor = rng.uniform(*contrast)
        factor = factor if rng.random() < 0.6 else 1 / factor
        return Material(name, texture, colour, second or _shade(colour, factor), float(scale),
                        int(rng.integers(2**31)), shine)

    floor = str(rng.choice(FLOORS[family]))
    floor_colour = _wood(rng) if floor in ('planks', 'herringbone') else _muted(rng, family)
    materials = [
        make('floor', floor, floor_colour, rng.uniform(0.8, 1.8), (0.55, 0.9)),
        make('ceiling', 'plain', _hsv(rng.random(), 0.05, rng.uniform(0.75, 1.0)), 2.0),
        make('trim', 'plain', _shade(_muted(rng, family), rng.uniform(0.3, 1.2)), 1.0),
    ]
    for _ in range(2):
        texture = str(rng.choice(WALLS[family]))
        materials.append(make('wall', texture, _muted(rng, family), rng.uniform(0.8, 2.5)))
    for _ in range(3):
        materials.append(make('wood', 'planks', _wood(rng), rng.uniform(0.5, 1.2), (0.75, 0.95)))
    for _ in range(3):
        texture = str(rng.choice(('carpet', 'stripes', 'plain', 'noise')))
        materials.append(make('fabric', texture, _vivid(rng), rng.uniform(0.2, 0.6)))
    for _ in range(5):
        texture = str(rng.choice(('plain', 'plain', 'checker', 'stripes', 'noise')))
        materials.append(make('plain', texture, _vivid(rng), rng.uniform(0.3, 0.8), (0.4, 0.8)))
    grey = _hsv(0.6, 0.1, rng.uniform(0.3, 0.8))
    materials.append(make('metal', 'gradient', grey, 0.5, shine=0.6))
    materials.append(make('leaf', 'noise', _hsv(rng.uniform(0.25, 0.4), 0.6, 0.5), 0.2))
    for _ in range(4):
        texture = str(rng.choice(('picture', 'picture', 'checker', 'gradient')))
        materials.append(make('picture', texture, _vivid(rng), 1.0, second=_vivid(rng)))
    materials.append(make('door', 'planks', _wood(rng), 0.9))
    sky = _hsv(0.58, 0.25, 1.0)
    materials.append(make('window', 'gradient', sky, 1.0, second=(1.0, 1.0, 1.0)))
    return tuple(materials)


def draw_lights(rng: np.random.Generator, rooms: tuple, height: float) -> Lights:
    """Draw a lamp under the ceiling of up to four rooms, with one brightness for all."""
    warmth = rng.uniform(-0.1, 0.1)
    strength = rng.uniform(0.25, 0.6) / np.sqrt(min(len(rooms), 4))
    lamps = []
    for x0, y0, x1, y1 in rooms[:4]:
        level = strength * rng.uniform(0.7, 1.3)
        lamps.append(Light(
            float(rng.uniform(0.7 * x0 + 0.3 * x1, 0.3 * x0 + 0.7 * x1)),
            float(rng.uniform(0.7 * y0 + 0.3 * y1, 0.3 * y0 + 0.7 * y1)),
            float(height - rng.uniform(0.1, 0.6)),
            (float(level * (1 + warmth)), float(level), float(level * (1 - warmth))),
        ))
    return Lights(float(rng.uniform(0.3, 0.5)), float(rng.uniform(0.1, 0.3)), tuple(lamps))


def draw_person_colours(rng: np.random.Generator) -> tuple[Colour, Colour]:
    """Draw the colours of a person's upper and lower clothes."""
    return _vivid(rng), _shade(_vivid(rng), 0.6)


def texture_image(material: Material, size: int = 128) -> np.ndarray:
    """Paint one repeat of a material's texture: (size, size, 3) uint8 RGB."""
    rng = np.random.default_rng(material.seed)
    y, x = np.mgrid[0:size, 0:size] / size
    mix = _PATTERNS[material.texture](rng, x, y)[..., None]
    colour = np.array(material.colour) * mix + np.array(material.second) * (1 - mix)
    grain = rng.normal(0.0, 0.02, (size, size, 1))
    return (np.clip(colour + grain, 0.0, 1.0) * 255).astype(np.uint8)


def _smooth_noise(rng, size: int, cells: int) -> np.ndarray:
    """Periodic value noise (size, size) in 0..1."""
    grid = rng.random((cells, cells))
    at = np.arange(size) * cells / size
    low = at.astype(int)
    part = at - low
    high = (low + 1) % cells
    rows = grid[low] * (1 - part)[:, None] + grid[high] * part[:, None]
    return rows[:, low] * (1 - part) + rows[:, high] * part


def _plain(rng, x, y):
    return 0.85 + 0.15 * _smooth_noise(rng, len(x), 4)


def _checker(rng, x, y):
    n = int(rng.integers(1, 3)) * 2
    return ((np.floor(x * n) + np.floor(y * n)) % 2).astype(float)


def _stripes(rng, x, y):
    n = int(rng.integers(2, 7))
    return (np.mod(x * n, 1.0) < rng.uniform(0.3, 0.7)).astype(float)


def _gradient(rng, x, y):
    return 0.5 - 0.5 * np.cos(2 * np.pi * y)


def _noise(rng, x, y):
    fine, coarse = (_smooth_noise(rng, len(x), n) for n in (32, 8))
    return np.clip(0.5 * fine + 0.5 * coarse + 0.25, 0.0, 1.0)


def _carpet(rng, x, y):
    return np.clip(0.6 + 0.25 * rng.standard_normal(x.shape), 0.0, 1.0)


def _grid(x, y, nx: int, ny: int, joint: float, shift: float):
    """Joints of a running bond: 0 in the joints, else the number of the stone."""
    row = np.floor(y * ny)
    u = x * nx + shift * (row % 2)
    inside = (np.mod(u, 1.0) > joint * nx / ny) & (np.mod(y * ny, 1.0) > joint)
    return inside, ((np.floor(u) % nx) * 7 + row * 13).astype(int)


def _stones(rng, x, y, nx: int, ny: int, joint: float, shift: float, spread: float):
    inside, number = _grid(x, y, nx, ny, joint, shift)
    tone = 1.0 - spread * rng.random(number.max() + 1)
    return np.where(inside, tone[number], 0.0)


def _planks(rng, x, y):
    return _stones(rng, x, y, 1, int(rng.integers(5, 9)), 0.06, 0.5, 0.8)


def _tiles(rng, x, y):
    n = int(rng.integers(2, 5))
    return _stones(rng, x, y, n, n, 0.05, 0.0, 0.25)


def _bricks(rng, x, y):
    return _stones(rng, x, y, 3, 8, 0.1, 0.5, 0.6)


def _herringbone(rng, x, y):
    n = 4
    across = np.floor(y * n) % 2 == 0
    u = np.where(across, x, y) * 2 * n + np.where(across, y, x) * 2 * n
    return np.where(np.mod(u, 1.0) < 0.12, 0.0, 0.6 + 0.4 * across)


def _dots(rng, x, y):
    n = int(rng.integers(3, 7))
    return (np.hypot(np.mod(x * n, 1.0) - 0.5, np.mod(y * n, 1.0) - 0.5) > 0.28).astype(float)


def _picture(rng, x, y):
    mix = (_smooth_noise(rng, len(x), int(rng.integers(3, 7))) > 0.5).astype(float)
    frame = (np.minimum(x, 1 - x) < 0.06) | (np.minimum(y, 1 - y) < 0.06)
    return np.where(frame, 0.2, mix)


_PATTERNS = {
    'plain': _plain, 'checker': _checker, 'stripes': _stripes, 'gradient': _gradient,
    'noise': _noise, 'carpet': _carpet, 'planks': _planks, 'tiles': _tiles, 'bricks': _bricks,
    'herringbone': _herringbone, 'dots': _dots, 'picture': _picture,
}
