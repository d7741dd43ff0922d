# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Ways between places: how long each took, which are blocked, and which lead to a goal."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra

from wm_controller.safety.geometry import compose, relative

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]

BLOCKED_S = 60.0  # that a way is not tried after it failed once; twice as long each time
FIRST_ROOM = 512
_COLUMNS = ('_first', '_second', '_time', '_change', '_sigma', '_failed', '_failed_at', '_sighted')


@dataclass(frozen=True)
class Reach:
    """How long it takes from every place to the goal, (N,) s, and the next place on the way."""

    time_s: Floats
    following: Numbers  # (N,); the goal's own number at the goal, -1 where no way is known

    def route(self, start: int) -> list[int]:
        """Return the places from `start` to the goal, both included; empty without a way."""
        if not np.isfinite(self.time_s[start]):
            return []
        found = [start]
        while self.following[found[-1]] != found[-1]:
            found.append(int(self.following[found[-1]]))
        return found


class Ways:
    """Edges of the graph of places, driven in either direction.

    Each has the time it took, s, and how the second place lies as seen from the first: a pose
    change (3,) with its standard deviations (3,), m and rad, which is what corrects the map. They
    are infinite where that was not measured.
    """

    def __init__(self) -> None:
        self._count = 0
        self._first: Numbers = np.zeros(FIRST_ROOM, np.int64)
        self._second: Numbers = np.zeros(FIRST_ROOM, np.int64)
        self._time = np.zeros(FIRST_ROOM)
        self._change = np.zeros((FIRST_ROOM, 3))
        self._sigma = np.zeros((FIRST_ROOM, 3))
        self._failed: Numbers = np.zeros(FIRST_ROOM, np.int64)
        self._failed_at = np.full(FIRST_ROOM, -np.inf)
        self._sighted: NDArray[np.bool_] = np.zeros(FIRST_ROOM, bool)
        self._between: dict[tuple[int, int], int] = {}

    def __len__(self) -> int:
        return self._count

    @property
    def ends(self) -> Numbers:
        """Numbers (M, 2) of the places that each way joins."""
        return np.stack([self._first[:self._count], self._second[:self._count]], -1)

    @property
    def times(self) -> Floats:
        """How long each took (M,) s."""
        return self._time[:self._count]

    @property
    def changes(self) -> Floats:
        """The second place as seen from the first (M, 3)."""
        return self._change[:self._count]

    @property
    def sigmas(self) -> Floats:
        """Standard deviations (M, 3) of the changes."""
        return self._sigma[:self._count]

    @property
    def failures(self) -> Numbers:
        """How often in a row each could not be driven (M,)."""
        return self._failed[:self._count]

    @property
    def failed_at(self) -> Floats:
        """When that was last (M,) ROS s; -inf: never."""
        return self._failed_at[:self._count]

    @property
    def sighted(self) -> NDArray[np.bool_]:
        """Which changes (M,) were measured by the look of a place, and may be mistaken."""
        return self._sighted[:self._count]

    def between(self, a: int, b: int) -> int | None:
        """Return the number of the way between two places, if there is one."""
        return self._between.get((min(a, b), max(a, b)))

    def join(self, first: int, second: int, time_s: float, change: Floats, sigma: Floats,
             sighted: bool = False) -> int:
        """Note a way of `time_s` between two places; the quicker of two drives counts.

        Of two measured changes the surer counts. Raises ValueError for a way from a place to
        itself, or without a time.
        """
        if first == second or not (np.isfinite(time_s) and time_s > 0.0):
            raise ValueError(f'no way from {first} to {second} in {time_s} s')
        known = self.between(first, second)
        if known is not None:
            self._time[known] = min(self._time[known], time_s)
            if sigma[0] < self._sigma[known, 0]:
                turned = first != self._first[known]
                self._change[known] = relative(change, np.zeros(3)) if turned else change
                self._sigma[known], self._sighted[known] = sigma, sighted
            return known
        if self._count == len(self._first):
            for name in _COLUMNS:
                old = getattr(self, name)
                setattr(self, name, np.concatenate([old, old]))
        number = self._count
        self._first[number], self._second[number], self._time[number] = first, second, time_s
        self._change[number], self._sigma[number] = change, sigma
        self._failed[number], self._failed_at[number] = 0, -np.inf
        self._sighted[number] = sighted
        self._between[min(first, second), max(first, second)] = number
        self._count += 1
        return number

    def failed(self, number: int, stamp: float) -> None:
        """Note that a way could not be driven: it is left out for a while."""
        self._failed[number] += 1
        self._failed_at[number] = stamp

    def driven(self, number: int) -> None:
        """Note that a way was driven after all."""
        self._failed[number], self._failed_at[number] = 0, -np.inf

    def open(self, stamp: float) -> NDArray[np.bool_]:
        """Which ways (M,) may be tried at `stamp`."""
        pause = BLOCKED_S * 2.0 ** np.minimum(self.failures - 1, 10)
        return np.asarray(stamp - self.failed_at >= np.where(self.failures > 0, pause, 0.0))

    def to(self, goals: Numbers, extra_s: Floats, places: int, stamp: float) -> Reach:
        """Return how every place reaches the best of `goals` (G,), each with a time on top (G,) s.

        `places`: how many there are.
        """
        usable = self.open(stamp)
        time_s = self.times[usable]
        first, second = self.ends[usable].T
        # One more place, from which all goals are reached: the best of them is chosen.
        virtual = np.full(len(goals), places)
        rows = np.concatenate([first, second, virtual])
        columns = np.concatenate([second, first, goals])
        graph = csr_matrix((np.concatenate([time_s, time_s, np.maximum(extra_s, 1e-9)]),
                            (rows, columns)), shape=(places + 1, places + 1))
        time, before = dijkstra(graph, indices=places, return_predecessors=True)
        following = before[:places].astype(np.int64)
        at_goal = following == places
        following[at_goal] = np.flatnonzero(at_goal)
        following[~np.isfinite(time[:places])] = -1
        return Reach(time[:places], following)

    def keep(self, kept: Numbers) -> None:
        """Renumber after places were forgotten: kept (K,) are what remains, in the new order.

        The ways that led through a forgotten place lead past it: its neighbours are joined.
        """
        ways: dict[int, dict[int, _Way]] = {}
        for i, (first, second) in enumerate(self.ends.tolist()):
            way = _Way(float(self._time[i]), self._change[i].copy(), self._sigma[i].copy(),
                       int(self._failed[i]), float(self._failed_at[i]), bool(self._sighted[i]))
            ways.setdefault(first, {})[second] = way
            ways.setdefault(second, {})[first] = way.back()
        new = {int(old): number for number, old in enumerate(kept)}
        for forgotten in [place for place in ways if place not in new]:
            onward = ways.pop(forgotten)
            for place in onward:
                del ways[place][forgotten]
            for a, to_a in onward.items():
                for b, to_b in onward.items():
                    if a != b and b not in ways[a]:
                        ways[a][b] = to_a.back().then(to_b)
                        ways[b][a] = ways[a][b].back()
        self.__init__()  # type: ignore[misc]
        for a, found in ways.items():
            for b, way in found.items():
                if a < b:
                    number = self.join(new[a], new[b], way.time_s, way.change, way.sigma,
                                       way.sighted)
                    self._failed[number], self._failed_at[number] = way.failed, way.failed_at


@dataclass(frozen=True)
class _Way:
    time_s: float
    change: Floats
    sigma: Floats
    failed: int
    failed_at: float
    sighted: bool

    def back(self) -> '_Way':
        return _Way(self.time_s, relative(self.change, np.zeros(3)), self.sigma, self.failed,
                    self.failed_at, self.sighted)

    def then(self, other: '_Way') -> '_Way':
        return _Way(self.time_s + other.time_s, compose(self.change, other.change),
                    np.hypot(self.sigma, other.sigma), max(self.failed, other.failed),
                    max(self.failed_at, other.failed_at), self.sighted or other.sighted)
