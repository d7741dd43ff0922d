# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Furniture: each kind is a function that draws one piece as a list of solids.

A piece stands in its own frame: origin on the floor at its middle, front towards +x. Whatever
begins above the robot (0.35 m) is passed under, so a table blocks with its legs only. What blocks
shows in the laser's plane (0.2 m), but for the low box.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from wm_controller.simulation.shapes import box, cylinder, Solid


@dataclass(frozen=True)
class Piece:
    """A piece of furniture in its own frame, with half its depth (x) and half its width (y), m."""

    kind: str
    solids: tuple[Solid, ...]
    half_depth: float
    half_width: float


Paint = Callable[[str], int]  # 'wood' | 'fabric' | 'plain' | 'metal' -> index of a material


def _legs(rng, hx: float, hy: float, height: float, material: int) -> list[Solid]:
    thick = float(rng.uniform(0.018, 0.035))
    x, y = hx - thick - 0.01, hy - thick - 0.01
    make = cylinder if rng.random() < 0.4 else box
    more = (thick, height / 2) if make is cylinder else (thick, thick, height / 2)
    return [
        make(sx * x, sy * y, height / 2, *more, material=material)
        for sx in (-1, 1) for sy in (-1, 1)
    ]


def _crate(rng, paint: Paint):
    hx, hy, hz = rng.uniform(0.15, 0.4, 3)
    return [box(0, 0, hz, hx, hy, hz, material=paint('plain'))], hx, hy


def _stack(rng, paint: Paint):
    hx, hy, hz = rng.uniform(0.18, 0.32, 3)
    upper = rng.uniform(0.6, 0.95, 3) * (hx, hy, hz)
    solids = [
        box(0, 0, hz, hx, hy, hz, material=paint('plain')),
        box(0, 0, 2 * hz + upper[2], *upper, yaw=float(rng.uniform(-0.5, 0.5)) * 0.4,
            material=paint('plain')),
    ]
    return solids, hx, hy


def _barrel(rng, paint: Paint):
    r, hz = rng.uniform(0.12, 0.3), rng.uniform(0.2, 0.5)
    return [cylinder(0, 0, hz, r, hz, material=paint('metal'))], r, r


def _pillar(rng, paint: Paint):
    r = rng.uniform(0.1, 0.22)
    return [cylinder(0, 0, 1.2, r, 1.2, material=paint('plain'))], r, r


def _table(rng, paint: Paint):
    hx, hy, top = rng.uniform(0.35, 0.5), rng.uniform(0.5, 0.85), rng.uniform(0.68, 0.78)
    wood = paint('wood')
    solids = _legs(rng, hx, hy, top - 0.04, wood)
    return solids + [box(0, 0, top - 0.02, hx, hy, 0.02, material=wood)], hx, hy


def _coffee_table(rng, paint: Paint):
    hx, hy, hz = rng.uniform(0.25, 0.35), rng.uniform(0.4, 0.6), rng.uniform(0.15, 0.22)
    return [box(0, 0, hz, hx, hy, hz, material=paint('wood'))], hx, hy


def _chair(rng, paint: Paint):
    h = float(rng.uniform(0.2, 0.24))
    seat = rng.uniform(0.43, 0.48)
    wood, cover = paint('wood'), paint('fabric')
    solids = _legs(rng, h, h, seat - 0.04, wood)
    solids.append(box(0, 0, seat - 0.02, h, h, 0.02, material=cover))
    solids.append(box(-h + 0.02, 0, seat + 0.24, 0.02, h, 0.24, material=cover))
    return solids, h, h


def _sofa(rng, paint: Paint):
    hx, hy = rng.uniform(0.38, 0.46), rng.uniform(0.65, 1.05)
    cover = paint('fabric')
    solids = [
        box(0, 0, 0.21, hx, hy, 0.21, material=cover),
        box(-hx + 0.1, 0, 0.6, 0.1, hy, 0.2, material=cover),
        box(0, hy - 0.08, 0.5, hx, 0.08, 0.09, material=cover),
        box(0, -hy + 0.08, 0.5, hx, 0.08, 0.09, material=cover),
    ]
    return solids, hx, hy


def _corner_sofa(rng, paint: Paint):
    depth, hy = rng.uniform(0.36, 0.42), rng.uniform(0.9, 1.15)
    hx = rng.uniform(0.7, 0.9)
    cover = paint('fabric')
    side = 1.0 if rng.random() < 0.5 else -1.0
    solids = [
        box(-hx + depth, 0, 0.21, depth, hy, 0.21, material=cover),
        box(-hx + 0.1, 0, 0.6, 0.1, hy, 0.2, material=cover),
        box(0, side * (hy - depth), 0.21, hx, depth, 0.21, material=cover),
        box(0, side * (hy - 0.1), 0.6, hx, 0.1, 0.2, material=cover),
    ]
    return solids, hx, hy


def _shelf(rng, paint: Paint):
    hx, hy, hz = rng.uniform(0.13, 0.22), rng.uniform(0.35, 0.75), rng.uniform(0.5, 1.0)
    wood = paint('wood')
    solids = [
        box(0, 0, 0.15, hx, hy, 0.15, material=wood),  # closed below: the laser sees its front
        box(-hx + 0.01, 0, hz, 0.01, hy, hz, material=wood),
        box(0, hy - 0.015, hz, hx, 0.015, hz, material=wood),
        box(0, -hy + 0.015, hz, hx, 0.015, hz, material=wood),
    ]
    levels = int(rng.integers(3, 6))
    for level in np.linspace(0.37, 2 * hz - 0.015, levels):
        solids.append(box(0, 0, float(level), hx, hy, 0.015, material=wood))
        if level < 2 * hz - 0.3 and rng.random() < 0.8:  # books and boxes on the board
            width, height = rng.uniform(0.1, 0.6) * hy, rng.uniform(0.08, 0.13)
            y = rng.uniform(-1, 1) * (hy - width - 0.03)
            solids.append(box(-0.02, y, float(level) + 0.015 + height, hx - 0.04, width, height,
                              material=paint('plain')))
    return solids, hx, hy


def _cabinet(rng, paint: Paint):
    hx, hy, hz = rng.uniform(0.2, 0.3), rng.uniform(0.3, 0.65), rng.uniform(0.4, 0.95)
    wood = paint('wood')
    solids = [box(0, 0, hz, hx, hy, hz, material=wood)]
    for side in (-1, 1):  # handles
        solids.append(box(hx + 0.01, side * 0.06, max(hz, 0.44), 0.01, 0.012, 0.08,
                          material=paint('metal')))
    return solids, hx, hy


def _bed(rng, paint: Paint):
    hx, hy = rng.uniform(0.95, 1.05), rng.uniform(0.45, 0.7)
    solids = [
        box(0, 0, 0.13, hx, hy, 0.13, material=paint('wood')),
        box(0.02, 0, 0.34, hx - 0.02, hy - 0.02, 0.08, material=paint('fabric')),
        box(-hx + 0.03, 0, 0.4, 0.03, hy, 0.4, material=paint('wood')),
    ]
    return solids, hx, hy


def _bin(rng, paint: Paint):
    r, hz = rng.uniform(0.11, 0.17), rng.uniform(0.15, 0.25)
    return [cylinder(0, 0, hz, r, hz, material=paint('plain'))], r, r


def _low_box(rng, paint: Paint):
    """Draw a box 0.12 m high: below the laser's plane, so that only the camera sees it."""
    hx, hy = rng.uniform(0.15, 0.3, 2)
    return [box(0, 0, 0.06, hx, hy, 0.06, material=paint('plain'))], hx, hy


def _plant(rng, paint: Paint):
    r, hz = rng.uniform(0.14, 0.2), rng.uniform(0.14, 0.2)
    solids = [
        cylinder(0, 0, hz, r, hz, material=paint('plain')),
        cylinder(0, 0, 2 * hz + 0.2, 0.02, 0.2, material=paint('leaf')),
    ]
    for _ in range(5):
        x, y = rng.uniform(-0.1, 0.1, 2)
        height, radius, half = rng.uniform((0.2, 0.06, 0.1), (0.5, 0.14, 0.2))
        middle = max(2 * hz + height, 0.36 + half)  # leaves hang above the robot
        solids.append(cylinder(x, y, middle, radius, half, material=paint('leaf')))
    return solids, r, r


def _round_table(rng, paint: Paint):
    r, top = rng.uniform(0.35, 0.55), rng.uniform(0.68, 0.76)
    wood = paint('wood')
    solids = [
        cylinder(0, 0, top / 2, rng.uniform(0.06, 0.12), top / 2, material=wood),
        cylinder(0, 0, top, r, 0.02, material=wood),
    ]
    return solids, r, r


def _desk(rng, paint: Paint):
    hx, hy, top = rng.uniform(0.3, 0.38), rng.uniform(0.55, 0.75), rng.uniform(0.7, 0.76)
    wood = paint('wood')
    solids = [
        box(0, hy - 0.2, top / 2 - 0.02, hx - 0.02, 0.19, top / 2 - 0.02, material=wood),
        box(0, -hy + 0.02, top / 2 - 0.02, hx - 0.02, 0.02, top / 2 - 0.02, material=wood),
        box(0, 0, top - 0.02, hx, hy, 0.02, material=paint('wood')),
        box(-0.1, 0, top + 0.2, 0.02, 0.26, 0.16, material=paint('metal')),
    ]
    return solids, hx, hy


def _armchair(rng, paint: Paint):
    h = rng.uniform(0.36, 0.42)
    cover = paint('fabric')
    solids = [
        cylinder(0.04, 0, 0.2, h, 0.2, material=cover),
        box(-h + 0.08, 0, 0.5, 0.08, h * 0.9, 0.3, material=cover),
    ]
    return solids, h + 0.04, h


_MAKERS = {
    'crate': _crate, 'stack': _stack, 'barrel': _barrel, 'pillar': _pillar, 'table': _table,
    'coffee_table': _coffee_table, 'chair': _chair, 'sofa': _sofa, 'corner_sofa': _corner_sofa,
    'shelf': _shelf, 'cabinet': _cabinet, 'bed': _bed, 'bin': _bin, 'low_box': _low_box,
    'plant': _plant, 'round_table': _round_table, 'desk': _desk, 'armchair': _armchair,
}

AGAINST_WALL = frozenset({'sofa', 'corner_sofa', 'shelf', 'cabinet', 'bed', 'desk'})

# Weights per family: the last four kinds are seen in evaluation only, `stack`, `barrel` and
# `corner_sofa` in training only; what they share differs in its frequency.
KINDS = {
    'training': {
        'crate': 3, 'stack': 2, 'barrel': 2, 'pillar': 1, 'table': 2, 'coffee_table': 1,
        'chair': 3, 'sofa': 2, 'corner_sofa': 1, 'shelf': 3, 'cabinet': 3, 'bed': 1, 'bin': 2,
        'low_box': 0.35,
    },
    'evaluation': {
        'crate': 2, 'pillar': 1, 'table': 2, 'coffee_table': 2, 'chair': 3, 'sofa': 2,
        'shelf': 2, 'cabinet': 2, 'bed': 1, 'bin': 1, 'low_box': 0.3,
        'plant': 2, 'round_table': 1.5, 'desk': 2, 'armchair': 2,
    },
}


def draw_piece(rng: np.random.Generator, family: str, paint: Paint) -> Piece:
    """Draw a piece of a kind of the family; `paint` gives the material of its parts."""
    weights = KINDS[family]
    chances = np.array(list(weights.values()), float)
    kind = str(rng.choice(list(weights), p=chances / chances.sum()))
    solids, hx, hy = _MAKERS[kind](rng, paint)
    return Piece(kind, tuple(solids), float(hx), float(hy))
