# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Places that were seen: where they are, what they looked like, and how to find one again."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from wm_controller.safety.geometry import wrap_angle

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]

COARSE = 64  # numbers of a descriptor that the first look compares
SHORTLIST = 256  # places whose whole descriptors are compared
FIRST_ROOM = 256

_COLUMNS = ('_poses', '_headings', '_stamps', '_seen', '_descriptors', '_coarse', '_square')


class Places:
    """Poses on the map, descriptors (latents) and pictures of N places, numbered from 0.

    A search compares a part of every descriptor and the whole of the nearest few: 100,000 places
    in 2 ms of one core.
    """

    def __init__(self, width: int, seed: int = 0) -> None:
        """`width`: numbers of a descriptor."""
        self.width = width
        rng = np.random.default_rng(seed)
        # Distances hold in a random direction as in any other; the first axes need not.
        coarse = min(COARSE, width)
        self._mix = np.linalg.qr(rng.standard_normal((width, width)))[0][:, :coarse].astype(
            np.float32) * np.float32(np.sqrt(width / coarse))
        self._count = 0
        self._poses = np.zeros((FIRST_ROOM, 3))
        self._headings = np.full((FIRST_ROOM, 2), np.inf)
        self._stamps = np.zeros(FIRST_ROOM)
        self._seen = np.zeros(FIRST_ROOM)
        self._descriptors: NDArray[np.float32] = np.zeros((FIRST_ROOM, width), np.float32)
        self._coarse: NDArray[np.float32] = np.zeros((FIRST_ROOM, coarse), np.float32)
        self._square: NDArray[np.float32] = np.zeros(FIRST_ROOM, np.float32)
        self.pictures: list[bytes] = []

    def __len__(self) -> int:
        return self._count

    @property
    def poses(self) -> Floats:
        """Poses (N, 3) on the map: x m, y m, yaw rad. Written to when the map is corrected."""
        return self._poses[:self._count]

    @property
    def headings(self) -> Floats:
        """Yaw on the map as walls told it, and its standard deviation, (N, 2) rad; else inf."""
        return self._headings[:self._count]

    @property
    def stamps(self) -> Floats:
        """When each was added (N,), ROS s."""
        return self._stamps[:self._count]

    @property
    def seen(self) -> Floats:
        """When each was looked at last, from where it lies (N,), ROS s."""
        return self._seen[:self._count]

    @property
    def descriptors(self) -> NDArray[np.float32]:
        """What each looked like (N, E)."""
        return self._descriptors[:self._count]

    def add(self, pose: ArrayLike, descriptor: ArrayLike, stamp: float,
            picture: bytes = b'', heading_sigma: float = np.inf) -> int:
        """Remember a place; returns its number. `descriptor` (E,), `pose` (3,).

        `heading_sigma`, rad: how far the pose's yaw may be wrong, where something else than
        odometry told it.
        """
        if self._count == len(self._poses):
            self._grow()
        number = self._count
        self._poses[number] = pose
        self._stamps[number] = self._seen[number] = stamp
        yaw = self._poses[number, 2]
        self._headings[number] = (yaw, heading_sigma) if np.isfinite(heading_sigma) else np.inf
        self._describe(number, np.asarray(descriptor, np.float32))
        self.pictures.append(picture)
        self._count += 1
        return number

    def refresh(self, number: int, descriptor: ArrayLike, stamp: float, picture: bytes) -> None:
        """Note what a place looks like by now, seen from it: light and furniture change."""
        self._describe(number, np.asarray(descriptor, np.float32))
        self._seen[number], self.pictures[number] = stamp, picture

    def _describe(self, number: int, descriptor: NDArray[np.float32]) -> None:
        self._descriptors[number] = descriptor
        self._coarse[number] = descriptor @ self._mix
        self._square[number] = self._coarse[number] @ self._coarse[number]

    def _grow(self) -> None:
        for name in _COLUMNS:
            old = getattr(self, name)
            setattr(self, name, np.concatenate([old, np.zeros_like(old)]))

    def alike(self, descriptor: ArrayLike, count: int,
              among: NDArray[np.bool_] | None = None) -> tuple[Numbers, Floats]:
        """Return the numbers (K,) of what looks most like it, best first, and how far off each is.

        `among` (N,): only these. The distance is that of descriptors, root of the mean square.
        """
        asked = np.asarray(descriptor, np.float32)
        mixed = asked @ self._mix
        if among is None:
            far = self._square[:self._count] - 2 * (self._coarse[:self._count] @ mixed)
            found = _least(far, max(count, SHORTLIST))
        else:
            chosen = np.flatnonzero(among)
            far = self._square[chosen] - 2 * (self._coarse[chosen] @ mixed)
            found = chosen[_least(far, max(count, SHORTLIST))]
        off = np.sqrt(np.mean((self._descriptors[found] - asked) ** 2, -1, dtype=np.float64))
        order = np.argsort(off)[:count]
        return found[order], off[order]

    def near(self, point: ArrayLike, within: float) -> Numbers:
        """Return the numbers (K,) of places within `within` m of a point (2,), nearest first."""
        x, y = np.asarray(point, float)[:2]
        away = np.hypot(self.poses[:, 0] - x, self.poses[:, 1] - y)
        found = np.flatnonzero(away <= within)
        return found[np.argsort(away[found], kind='stable')]

    def view(self, pose: ArrayLike, within: float, turned: float) -> int | None:
        """Return the nearest place within `within` m seen at most `turned` rad aside, if any."""
        here = np.asarray(pose, float)
        near = self.near(here[:2], within)
        near = near[np.abs(wrap_angle(self.poses[near, 2] - here[2])) <= turned]
        return int(near[0]) if len(near) else None

    def spacing(self) -> Floats:
        """Distance (N,) of each pose from the nearest other, a radian counting as a metre.

        Of two that are nearest to each other only the later counts as crowded.
        """
        poses = self.poses
        points = np.column_stack([poses[:, :2], np.cos(poses[:, 2]), np.sin(poses[:, 2])])
        away, other = cKDTree(points).query(points, k=2)
        gap, nearest = away[:, 1].copy(), other[:, 1]
        first = (nearest[nearest] == np.arange(len(poses))) & (np.arange(len(poses)) < nearest)
        gap[first] = np.inf
        return np.asarray(gap)

    def keep(self, numbers: Sequence[int] | Numbers) -> None:
        """Forget all but these (K,), which are numbered anew in their order."""
        kept = np.asarray(numbers, np.int64)
        for name in _COLUMNS:
            values = getattr(self, name)
            values[:len(kept)] = values[kept]
        self.pictures = [self.pictures[number] for number in kept]
        self._count = len(kept)


def _least(values: NDArray[np.float32], count: int) -> Numbers:
    if count >= len(values):
        return np.arange(len(values))
    return np.asarray(np.argpartition(values, count)[:count])
