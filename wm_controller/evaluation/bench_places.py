# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""How the map of places grows: time to recognise one, to take in a frame, to route, to save."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
import tempfile
from typing import Any

import numpy as np

from wm_controller.evaluation.bench_timing import time_calls
from wm_controller.memory.map_file import load_map, save_map
from wm_controller.memory.place_map import PlaceMap, PlaceMapParameters

COUNTS = (1_000, 10_000, 100_000)
WIDTH = 192  # numbers of the shipped model's latents
SEARCH_LIMIT_MS = 10.0  # for the most places
PICTURE = bytes(3000)  # about what one takes as JPEG


def bench_places(calls: int, counts: Sequence[int] = COUNTS) -> list[dict[str, Any]]:
    """Return a row for each number of places, on a grid of ways with a place every half metre."""
    return [_row(count, calls) for count in counts]


def _row(count: int, calls: int) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    place_map = place_grid(count, rng)
    places = place_map.places
    asked = places.descriptors[count // 2] + 0.1 * rng.standard_normal(WIDTH)
    here = places.poses[count // 3]
    stamps = iter(range(1, 10**9))

    def take_in() -> None:
        place_map.update(float(next(stamps)), here, asked, lambda: PICTURE)

    route_calls = max(5, min(calls, 200_000 // count))
    row = {
        'places': count,
        'ways': len(place_map.ways),
        'search': asdict(time_calls(lambda: places.alike(asked, 8), calls)),
        'take_in': asdict(time_calls(take_in, calls)),
        'route': asdict(time_calls(lambda: place_map.reach(here[:2] + 0.2, 0.0), route_calls)),
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'map.safetensors'
        row['save'] = asdict(time_calls(lambda: save_map(path, place_map, ''), 3))
        row['load'] = asdict(time_calls(lambda: load_map(path, ''), 3))
        row['file_mb'] = path.stat().st_size / 1e6
    return row


def place_grid(count: int, rng: np.random.Generator) -> PlaceMap:
    place_map = PlaceMap(WIDTH, PlaceMapParameters(limit=10 * count))
    side = int(np.ceil(np.sqrt(count)))
    for number in range(count):
        row, column = divmod(number, side)
        pose = np.array([0.5 * column, 0.5 * row, 0.0])
        place_map.places.add(pose, rng.standard_normal(WIDTH), 0.0, PICTURE)
        for other in (number - 1 if column else -1, number - side):
            if other >= 0:
                change = place_map.places.poses[other] - pose
                place_map.ways.join(number, other, 1.5, change, np.full(3, 0.05))
    return place_map
