# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""What a pilot remembers and heads for at a moment: for people to see, never to plan with."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wm_controller.memory.free_space import Known

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]

MOST_PLACES = 400  # the nearest ones: thousands would take longer to show than to plan with


def _points() -> Floats:
    return np.zeros((0, 2))


@dataclass(frozen=True)
class Outline:
    """Places, the ways between them, frontiers and space; points are in odom, m.

    `ways` (W, 2) and `route` (R,) are numbers of `places` (N, 2); `blocked` (W,) says which ways
    could not be driven. `target` (2,): where the robot heads for: the goal, a place on the way to
    it, or a frontier. `frontiers` (F, 2) are those left when the last one was chosen. `space` is
    None where it is not remembered.
    """

    places: Floats = field(default_factory=_points)
    ways: Numbers = field(default_factory=lambda: np.zeros((0, 2), np.int64))
    blocked: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))
    route: Numbers = field(default_factory=lambda: np.zeros(0, np.int64))
    frontiers: Floats = field(default_factory=_points)
    target: Floats | None = None
    space: Known | None = None


def outline(pilot: Any, stamp: float, pose: Floats) -> Outline:
    """Return what a pilot knows at `stamp` s about `pose` (3,) in odom.

    A policy that remembers nothing of a kind, as baselines do, has none of it.
    """
    memory, finder, explorer = (
        getattr(pilot, name, None) for name in ('memory', 'wayfinder', 'explorer'))
    known = Outline(
        frontiers=np.array([] if explorer is None else explorer.left, float).reshape(-1, 2),
        target=getattr(pilot, 'target', None),
        space=None if memory is None else memory.known())
    if finder is None:
        return known
    places = finder.in_odom(finder.current.places.poses)[:, :2]
    near = np.sort(np.argsort(np.hypot(*(places - pose[:2]).T), kind='stable')[:MOST_PLACES])
    number = np.full(len(places), -1)
    number[near] = np.arange(len(near))
    ways = number[finder.current.ways.ends.reshape(-1, 2)]
    shown = (ways >= 0).all(-1)
    route = number[np.array([n for n in finder.route if n < len(places)], np.int64)]
    return replace(known, places=places[near], ways=ways[shown],
                   blocked=~finder.current.ways.open(stamp)[shown], route=route[route >= 0])
