# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Who comes towards the robot: points of a scan where an earlier scan saw free ground.

A stopping envelope for a world that stands still is too short for a world that walks. A robot that
stands when it is reached has done what it can.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from wm_controller.safety.geometry import Floats, Footprint
from wm_controller.safety.limits import Limits
from wm_controller.safety.tracking import Command

LEAST_LAG_S, MOST_LAG_S = 0.15, 0.6
"""Age difference of the two scans that are compared."""
WITHIN_M = 3.0
STILL_M, STILL_RAD = 0.1, 0.04
"""A point of a still world is no further than this (plus this share of its range) from a place
where something was seen before."""
CELL_M = 0.07
"""Two points in one cell of this size are nearer than STILL_M."""
COMPANY_M = 0.15
"""A moving point has another one this near: a single one is noise."""
LASTING_S = 0.5
"""For so long somebody who was seen to move, and is still there, is taken to come on."""
FASTEST = 2.0
"""Nobody indoors comes faster than this, m/s."""
AHEAD_S = 0.05


def _none() -> Floats:
    return np.zeros((0, 2))


@dataclass(frozen=True, eq=False)
class _Scan:
    stamp: float
    points: Floats  # (N, 2) in the fixed frame
    scanner: Floats  # (2,)
    turning: float  # rad/s


@dataclass(frozen=True, eq=False)
class Moving:
    """Points (M, 2) m that move, and their velocities (M, 2) m/s, in one fixed frame.

    `since` (M,): when each was last seen to have moved.
    """

    stamp: float = 0.0
    points: Floats = field(default_factory=_none)
    velocities: Floats = field(default_factory=_none)
    since: Floats = field(default_factory=lambda: np.zeros(0))

    def at(self, now: float) -> Floats:
        """Where they are by now."""
        return self.points + self.velocities * max(0.0, now - self.stamp)


class MovingPoints:
    """Compares every scan with one a little older."""

    def __init__(self) -> None:
        self._scans: deque[_Scan] = deque()
        self.found = Moving()

    def see(self, stamp: float, points: Floats, scanner: Floats, turning: float,
            every_s: float = 0.1) -> None:
        """Take a scan's points (N, 2) and its scanner (2,) m, in a fixed frame.

        `turning` (rad/s) of the robot: a scanner needs up to `every_s` for a turn, so a change of
        it shears what it sees.
        """
        now = _Scan(stamp, points, scanner, turning)
        while self._scans and stamp - self._scans[0].stamp > MOST_LAG_S:
            self._scans.popleft()
        older = [each for each in self._scans if stamp - each.stamp >= LEAST_LAG_S]
        # The nearest in time knows who has just set off, the oldest who walks slowly.
        fresh = [_compare(each, now, every_s) for each in {id(e): e for e in (
            *older[:1], *older[-1:])}.values()]
        self.found = _together(stamp, [*fresh, self._still_coming(stamp, points)])
        self._scans.append(now)

    def _still_coming(self, stamp: float, points: Floats) -> Moving:
        """Those of the last time where something is seen by now: one scan does not undo them."""
        last = self.found
        lasting = stamp - last.since < LASTING_S
        if not lasting.any() or not len(points):
            return Moving()
        places, velocities = last.at(stamp)[lasting], last.velocities[lasting]
        gaps = np.sqrt(((places[:, None] - points[None]) ** 2).sum(-1))
        seen = gaps.min(1) < COMPANY_M
        return Moving(stamp, points[gaps.argmin(1)][seen], velocities[seen],
                      last.since[lasting][seen])

    def clear(self) -> None:
        """Forget what was seen: its frame is not the present one."""
        self._scans.clear()
        self.found = Moving()


def _compare(old: _Scan, new: _Scan, every_s: float) -> Moving:
    off = new.points - new.scanner
    points = new.points[(off ** 2).sum(-1) < WITHIN_M ** 2]
    # Most of the world stands still: it is told by cells, and the rest by every distance.
    points = points[~np.isin(_cells(points), _cells(old.points))]
    if not len(points) or not len(old.points):
        return Moving()
    # |a - b|^2 by one matrix product.
    seen = old.points - new.scanner
    near = points - new.scanner
    nearest = ((seen ** 2).sum(-1) - 2.0 * near @ seen.T).argmin(1)
    apart = np.sqrt(((near - seen[nearest]) ** 2).sum(-1))
    reach = np.sqrt(((points - old.scanner) ** 2).sum(-1))
    slack = STILL_M + reach * (STILL_RAD + every_s * abs(new.turning - old.turning))
    moved = apart > slack
    moved[moved] = _was_free(old, points[moved], slack[moved])
    if moved.sum() < 2:
        return Moving()
    found, source = points[moved], old.points[nearest[moved]]
    among = np.sqrt(((found[:, None] - found[None]) ** 2).sum(-1))
    np.fill_diagonal(among, np.inf)
    kept = among.min(1) < COMPANY_M
    velocity = (found - source)[kept] / (new.stamp - old.stamp)
    speed = np.maximum(np.sqrt((velocity ** 2).sum(-1)), 1e-9)
    return Moving(new.stamp, found[kept], velocity * np.minimum(1.0, FASTEST / speed)[:, None],
                  np.full(int(kept.sum()), new.stamp))


def _cells(points: Floats) -> NDArray[np.int64]:
    """The cells (N,) that points (N, 2) lie in."""
    column, row = np.floor(points / CELL_M).astype(np.int64).T
    return np.asarray((column << 32) + row)


def _together(stamp: float, parts: list[Moving]) -> Moving:
    return Moving(stamp, np.concatenate([each.points for each in parts]),
                  np.concatenate([each.velocities for each in parts]),
                  np.concatenate([each.since for each in parts]))


def _was_free(old: _Scan, points: Floats, slack: Floats) -> Floats:
    """Whether the older scan looked past each of the points (M, 2)."""
    seen = old.points - old.scanner
    bearing, reach = np.arctan2(seen[:, 1], seen[:, 0]), np.sqrt((seen ** 2).sum(-1))
    off = points - old.scanner
    turn = np.arctan2(off[:, 1], off[:, 0])[:, None] - bearing[None]
    apart = np.abs((turn + np.pi) % (2.0 * np.pi) - np.pi)
    # The nearest return of the neighbouring beams; none at all is nothing in range.
    beside = np.where(apart < 0.03, reach[None], np.inf).min(1)
    return np.asarray(beside > np.sqrt((off ** 2).sum(-1)) + slack)


def yielding_scale(limits: Limits, command: Command, points: Floats, velocities: Floats) -> float:
    """How much of the command lets the robot stand before the points (M, 2) have come to it, 0..1.

    Points and velocities are in the base frame. While a share s of the twist is driven for the
    reaction time and then braked, the robot nears a point by its own way and the point by its:
    u (s t + s^2 b / 2) + c (t + s b) <= gap, with closing speeds u and c and braking time b.
    """
    gap, own, closing = _closing(limits.outline, command, points, velocities)
    coming = closing > 0.0
    gap, own, closing = gap[coming] - limits.margin, own[coming], closing[coming]
    reaction = limits.reaction_time_s
    braking = limits.braking_time(command.v, command.w)
    left = np.maximum(gap - closing * reaction, 0.0)
    linear = own * reaction + closing * braking
    # The root without a cancellation, and without a division by `own`, which may be zero.
    root = np.sqrt(linear ** 2 + 2.0 * own * braking * left)
    share = 2.0 * left / np.maximum(linear + root, 1e-12)
    return float(share.min(initial=1.0))


def _closing(footprint: Footprint, command: Command, points: Floats, velocities: Floats
             ) -> tuple[Floats, Floats, Floats]:
    """Gaps (M,) m, and at what speeds (M,) m/s the robot and the points close them."""
    gap = footprint.distance(points)
    own = np.column_stack((command.v - command.w * points[:, 1], command.w * points[:, 0]))
    by_robot = (gap - footprint.distance(points - own * AHEAD_S)) / AHEAD_S
    by_point = (gap - footprint.distance(points + velocities * AHEAD_S)) / AHEAD_S
    return gap, np.maximum(by_robot, 0.0), by_point
