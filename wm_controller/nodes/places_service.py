# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""What services about places ask of what drives; called in the planner's thread."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from wm_controller.errors import InputError
from wm_controller.planning.contract import NO_PLACES


def remember(driver: Any, map_file: str) -> str:
    """Write the places to the map file; raises InputError with the remedy."""
    finder = _wayfinder(driver)
    if not map_file:
        raise InputError('map_file is empty: name a file to remember places in')
    path = Path(map_file).expanduser()
    return f'{finder.save(path)} places remembered in {path}'


def forget(driver: Any, map_file: str) -> str:
    """Forget the places; the map file stays as it is."""
    return f'{_wayfinder(driver).forget()} places forgotten' + (
        f'; {map_file} stays until ~/remember' if map_file else '')


def route(driver: Any, map_file: str) -> str:
    """What the taught route is like; raises InputError where there is none to repeat."""
    places, length_m = _wayfinder(driver).route_taught()
    return f'a route of {places} places, {length_m:.1f} m'


def _wayfinder(driver: Any) -> Any:
    finder = getattr(driver, 'wayfinder', None)
    if finder is None:
        raise InputError(NO_PLACES)
    return finder
