# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Procedural rooms: one frozen description, from which MuJoCo, maps and plots are made.

Two families are kept apart. They draw from separate random streams (the same seed gives unrelated
rooms) and from different distributions: `evaluation` has layouts (L-shaped corridor, island),
furniture (plants, round tables, desks, armchairs), textures (bricks, dots, herringbone) and hues
that `training` never shows, and the other way round. See floor_plans.LAYOUTS, furniture.KINDS,
appearance.FLOORS, WALLS and HUES.
"""

from wm_controller.errors import InputError
from wm_controller.simulation.description import Panel, Person, Room
from wm_controller.simulation.furnishing import draw_room

FAMILIES = ('training', 'evaluation')

__all__ = ['FAMILIES', 'Panel', 'Person', 'Room', 'make_room']


def make_room(seed: int, family: str = 'training', people: int | None = None) -> Room:
    """
    Make the room of a seed, in a few tens of milliseconds, the same on every machine.

    `people` is the number of people who walk about, 0 to 3; None draws it from the seed (mostly
    none or one). The rest of the room does not depend on it.
    """
    if family not in FAMILIES:
        raise InputError(f'room family {family!r} is unknown: use one of {", ".join(FAMILIES)}')
    if not 0 <= int(seed) < 2**63:
        raise InputError(f'room seed {seed} is out of range: use 0 to 2^63 - 1')
    if people is not None and not 0 <= people <= 3:
        raise InputError(f'people is {people}: use 0 to 3')
    return draw_room(int(seed), family, people)
