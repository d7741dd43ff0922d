# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Things that move: what stands where the robot had seen free floor, followed frame by frame.

Memory of space holds the world for still. What intrudes into floor that it knows to be free has
come there; a Kalman filter of constant velocity follows it, and says where it may be next. All in
the odometry frame.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wm_controller.memory.free_space import FreeSpace

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class MoversParameters:
    """Lengths in m, times in s, speeds in m/s.

    Directions less than `together` apart in depth see one thing. It is followed where it is no
    further than `view_range`, no wider than `widest`, and where a share `intruding` of them sees
    it on floor remembered as free, that deep `inside` it; its `body` is taken for that radius.

    The sigmas are those of the filter: of a place, with the bearing's for each metre away; of the
    speed of what is new; of the acceleration. What is seen within the `gate` of a track is its.
    A track moves once it was seen `seen_times` and has `moved` so far, while it is faster than
    `moving`; `near` the robot, it may hold it up. It is dropped `forgotten_s` after it was last
    seen. Where it will be is known well while the standard deviation is `sure_within`.
    """

    view_range: float = 3.2
    inside: tuple[float, ...] = (0.0, 0.15)
    together: float = 0.3
    widest: float = 0.8
    intruding: float = 0.3
    body: float = 0.2
    position_sigma: float = 0.2
    bearing_sigma: float = 0.03  # rad
    speed_sigma: float = 0.5  # of what is seen for the first time
    acceleration_sigma: float = 0.5  # m/s^2
    gate: float = 0.7
    seen_times: int = 3
    moved: float = 0.2
    moving: float = 0.25
    forgotten_s: float = 0.8
    sure_within: float = 0.5
    near: float = 1.0


@dataclass
class Track:
    """One thing that is followed: state (4,) x, y, vx, vy in odom, and its covariance (4, 4)."""

    stamp: float
    state: Floats
    covariance: Floats
    first: Floats
    seen_at: float
    seen: int = 1
    travelled: bool = False

    def predict(self, stamp: float, acceleration_sigma: float) -> None:
        """Carry the estimate on to `stamp` s."""
        self.state, self.covariance = _carried(
            self.state, self.covariance, stamp - self.stamp, acceleration_sigma)
        self.stamp = stamp

    def correct(self, place: Floats, sigma: float) -> None:
        """Take in that it was seen at a place (2,), to within sigma m."""
        innovation = self.covariance[:2, :2] + sigma ** 2 * np.eye(2)
        gain = np.linalg.solve(innovation, self.covariance[:, :2].T).T
        self.state = self.state + gain @ (place - self.state[:2])
        self.covariance = self.covariance - gain @ self.covariance[:2]
        self.seen_at, self.seen = self.stamp, self.seen + 1


@dataclass(frozen=True)
class Forecast:
    """Where M things will be at each of T steps: `places` (M, T, 2) m in odom, `sigma` (M, T) m.

    `body`: their radius, m; `sure` (M, T): that is known well enough to keep out of their way.
    """

    places: Floats
    sigma: Floats
    body: float
    sure: NDArray[np.bool_]


class Movers:
    """Follows what moves."""

    def __init__(self, parameters: MoversParameters = MoversParameters()) -> None:
        self.parameters = parameters
        self.tracks: list[Track] = []

    def see(self, stamp: float, pose: Floats, bearings: Floats, clearance: Floats,
            memory: FreeSpace) -> Floats:
        """Take in clearance quantiles (3, K) m seen at `pose` (3,), before memory does.

        Returns those that memory is to take in: no wall stands where something moves, though the
        floor before it is free all the same.
        """
        p = self.parameters
        for track in self.tracks:
            track.predict(stamp, p.acceleration_sigma)
        moving = np.zeros(len(bearings), bool)
        free = list(self.tracks)
        for members, place, sigma in self._intruders(pose, bearings, clearance[1], memory):
            near = [(float(np.hypot(*(t.state[:2] - place))), i) for i, t in enumerate(free)]
            off, which = min(near, default=(np.inf, 0))
            if off < p.gate:
                track = free.pop(which)
                track.correct(place, sigma)
            else:
                track = Track(stamp, np.array([*place, 0.0, 0.0]), np.diag(
                    [sigma ** 2] * 2 + [p.speed_sigma ** 2] * 2), place, stamp)
                self.tracks.append(track)
            gone = float(np.hypot(*(track.state[:2] - track.first)))
            track.travelled = track.travelled or (track.seen >= p.seen_times and gone > p.moved)
            moving[members] = self._moves(track)
        self.tracks = [t for t in self.tracks if stamp - t.seen_at <= p.forgotten_s]
        return np.where(moving & (np.arange(3) > 0)[:, None], np.inf, clearance)

    def _moves(self, track: Track) -> bool:
        return track.travelled and float(np.hypot(*track.state[2:])) > self.parameters.moving

    def forecast(self, period_s: float, steps: int) -> Forecast | None:
        """Where all that has come will be, every `period_s` from the last frame; None: nothing.

        Also of what may only just have come to stand there: memory takes its time to believe it.
        """
        p = self.parameters
        come = [track for track in self.tracks if track.seen >= p.seen_times]
        if not come:
            return None
        ahead = [[_carried(t.state, t.covariance, period_s * (i + 1), p.acceleration_sigma)
                  for i in range(steps)] for t in come]
        sigma = np.array([[np.sqrt(np.trace(c[:2, :2]) / 2) for _, c in row] for row in ahead])
        return Forecast(np.array([[s[:2] for s, _ in row] for row in ahead]), sigma, p.body,
                        sigma < p.sure_within)

    def near(self, place: Floats) -> bool:
        """Whether something moves so close to a place (2,) that it may hold the robot up."""
        return any(self._moves(t) and np.hypot(*(t.state[:2] - place)) < self.parameters.near
                   for t in self.tracks)

    def _intruders(self, pose: Floats, bearings: Floats, median: Floats, memory: FreeSpace
                   ) -> list[tuple[NDArray[np.int64], Floats, float]]:
        """Clusters of directions in which something stands on free floor; place (2,), sigma m."""
        p = self.parameters
        order = np.argsort(bearings)
        angle = pose[2] + bearings[order]
        direction = np.stack([np.cos(angle), np.sin(angle)], -1)
        reach = median[order]
        intrudes = reach < p.view_range
        for inside in p.inside:
            intrudes &= memory.known_free(pose[:2] + (reach + inside)[:, None] * direction)
        edges = np.flatnonzero(np.abs(np.diff(reach)) >= p.together) + 1
        found = []
        for members in np.split(np.arange(len(order)), edges):
            near = float(reach[members].min())
            wide = near * (angle[members[-1]] - angle[members[0]])
            beside = reach[[i for i in (members[0] - 1, members[-1] + 1) if 0 <= i < len(reach)]]
            # What is nearer on one side and further on the other is an edge, blurred.
            edge = bool((beside < near).any())
            if edge or wide > p.widest or intrudes[members].mean() < p.intruding:
                continue
            middle = direction[members].mean(0)
            place = pose[:2] + (near + p.body) * middle / np.hypot(*middle)
            found.append((order[members], place, float(np.hypot(
                p.position_sigma, p.bearing_sigma * near))))
        return found


def _carried(state: Floats, covariance: Floats, dt: float, acceleration_sigma: float
             ) -> tuple[Floats, Floats]:
    move = np.eye(4)
    move[:2, 2:] = dt * np.eye(2)
    push = np.concatenate([0.5 * dt ** 2 * np.eye(2), dt * np.eye(2)])
    return move @ state, move @ covariance @ move.T + acceleration_sigma ** 2 * push @ push.T
