# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
A map of places that grows while driving: what they look like, and how long it is between them.

Poses on the map are odometry's, corrected: when a place is recognised by what it looks like, and
odometry does not speak against it, the drift since it was last seen is spread over the way there.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wm_controller.memory.fixes import Fix, Fixes
from wm_controller.memory.map_correction import fitted
from wm_controller.memory.places import Places
from wm_controller.memory.trail import visited
from wm_controller.memory.ways import Reach, Ways
from wm_controller.safety.geometry import compose, relative, wrap_angle

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]

# Where each of some remembered pictures was taken, seen from here: poses (K, 3), and how far each
# may be wrong, (K,) m.
Compare = Callable[[Sequence[bytes]], tuple[Floats, Floats]]


@dataclass(frozen=True)
class PlaceMapParameters:
    """Lengths in m, angles in rad, times in s."""

    spacing: float = 0.5  # between places that look the same way
    turning: float = 0.6
    at_end: float = 0.1  # of a route: a place lies no further from where it ends
    limit: int = 20_000  # places; then the most crowded are forgotten
    forget_share: float = 0.1
    dwell_s: float = 1.0  # that a way may take longer than its length does at `speed`
    drift: float = 0.05  # of odometry, per metre driven,
    drift_turning: float = 0.02  # per radian turned, in rad; what a loop may be closed over
    slack: float = 0.4
    slack_turning: float = 0.2
    recognise_every_s: float = 1.0
    recognise_lost_s: float = 0.3  # likewise, while it is not known where the robot is;
    sure_lost: float = 0.3  # nothing else tells by then, and two that agree seldom err
    candidates_lost: int = 8
    recognise_after_s: float = 20.0  # what was seen later than that closes no loop
    refresh: float = 0.15  # m and rad from a place, where it may look otherwise by now
    candidates: int = 4
    sure: float = 0.2  # of where a picture was taken,
    sight_turning: float = 0.03  # and of how it is turned
    farthest: float = 1.0
    agreeing: int = 2  # recognitions in a row that must tell the same
    agree: float = 0.25
    agree_turning: float = 0.15
    walls_off: float = 0.3  # from what was seen: no further, the walls tell the heading
    other_view: float = 0.1  # m or rad from the one before: what is seen again confirms nothing
    speed: float = 0.3  # m/s of ways that were never driven,
    unknown: float = 2.0  # which are so much longer than they look
    at: float = 1.0  # a place, from where a goal there is seen
    beyond: float = 8.0  # that a goal may lie from the nearest place


class PlaceMap:
    """Places and the ways between them; where odometry's frame lies on the map."""

    def __init__(self, width: int, parameters: PlaceMapParameters | None = None) -> None:
        """`width`: numbers of a descriptor."""
        self.parameters = parameters or PlaceMapParameters()
        self.places = Places(width)
        self.ways = Ways()
        self.frame = np.zeros(3)  # of odometry, on the map
        self.corrections = 0
        self.located = True
        self.trail: list[int] = []  # places as they were come to,
        self.trail_ended = False  # until the map was first remembered
        self.walls: float | None = None  # their direction on the map, rad, but for quarter turns
        self._walls_in_odom: float | None = None
        self._along_walls = False  # the frame is turned by them: odometry began anew
        self._here: int | None = None  # the place that the robot is at
        self._since = -math.inf
        self._anchor: int | None = None  # the place that odometry is counted from
        self._anchored_at = np.zeros(3)  # where that is in odometry's frame
        self._last: Floats | None = None
        self._driven = self._turned = 0.0  # since the anchor, m and rad,
        self._driven_blind = self._turned_blind = 0.0  # and since anything was recognised
        self._recognised_at = -math.inf
        self._heading_sigma = math.inf
        self._anchor_sigma = np.zeros(3)  # of where the anchor was left
        self._fixes = Fixes()
        self._latest: Callable[[], None] = lambda: None  # notes the place that was seen last

    @property
    def route(self) -> list[int]:
        """The places of the route that was taught, in their order; none, or at least two."""
        return self.trail if self.trail_ended and len(self.trail) > 1 else []

    @property
    def here(self) -> int | None:
        """The place where the robot is, if it is at one."""
        return self._here

    def on_map(self, pose: ArrayLike) -> Floats:
        """Poses (..., 3) in odometry's frame, on the map."""
        return compose(self.frame, pose)

    def in_odom(self, pose: ArrayLike) -> Floats:
        """Poses (..., 3) on the map, in odometry's frame as it is now."""
        return compose(relative(self.frame, np.zeros(3)), pose)

    def jumped(self) -> None:
        """Note that odometry was reset or the robot carried: where it is must be found out."""
        self._here = self._anchor = self._last = None
        self._fixes.clear()
        self.located = len(self.places) == 0
        self._along_walls = self.walls is not None

    def restart(self) -> None:
        """Keep what is known when time begins anew: all of it was long ago."""
        self.jumped()
        self._latest = lambda: None
        self.places.stamps[:] = self.places.seen[:] = -math.inf
        self.ways.failures[:], self.ways.failed_at[:] = 0, -math.inf
        self._recognised_at = self._since = -math.inf

    def update(self, stamp: float, pose: ArrayLike, descriptor: ArrayLike,
               picture: Callable[[], bytes], compare: Compare | None = None,
               heading_sigma: float = math.inf, walls: float | None = None) -> None:
        """Take in what is seen at `pose` (3,) in odometry's frame: descriptor (E,), a picture.

        The picture is asked for only where it is kept. `heading_sigma`, rad: how far the pose's
        yaw may be wrong, where walls hold it; infinite: it drifts as odometry does. `walls`, rad:
        their direction in odometry's frame, where that is sure.
        """
        odom = np.asarray(pose, float)
        self._walls_in_odom = walls
        if self.located and walls is not None:
            if self._along_walls:
                self.frame = self._turned_by_walls(self.frame, odom)
            else:
                self.walls = float(wrap_angle(walls + self.frame[2]))
        self._heading_sigma = heading_sigma
        self._count_drift(odom)
        p = self.parameters
        if compare is not None and stamp - self._recognised_at >= (
                p.recognise_every_s if self.located else p.recognise_lost_s):
            self._recognised_at = stamp
            self._recognise(stamp, odom, descriptor, compare)
        if self.located:
            self._settle(stamp, odom, descriptor, picture)
        self._latest = lambda: self._settle(stamp, odom, descriptor, picture, p.at_end)

    def _count_drift(self, odom: Floats) -> None:
        if self._last is not None:
            change = relative(self._last, odom)
            driven, turned = float(np.hypot(change[0], change[1])), abs(float(change[2]))
            self._driven, self._turned = self._driven + driven, self._turned + turned
            self._driven_blind += driven
            self._turned_blind += turned
        self._last = odom

    def end_trail(self) -> None:
        """End the route that was taught where the robot is: there is a place right there."""
        if self.trail_ended:
            return
        if self.located and self.trail:
            self._latest()
        self.trail_ended = len(self.trail) > 1

    # Where the robot is

    def _settle(self, stamp: float, odom: Floats, descriptor: ArrayLike,
                picture: Callable[[], bytes], spacing: float | None = None) -> None:
        p, here = self.parameters, self.on_map(odom)
        spacing = p.spacing if spacing is None else spacing
        place = self.places.view(here, spacing, p.turning)
        if place is None:
            if len(self.places) >= p.limit:
                self._forget()
            place = self.places.add(here, descriptor, stamp, picture(), self._heading_sigma)
            if self._anchor is not None:
                change = relative(self._anchored_at, odom)
                taken = stamp - self._since if self._anchor == self._here else math.inf
                self.ways.join(self._anchor, place, self._time(taken, change), change,
                               self._sigma())
            self._move_anchor(place, odom)
        elif self.places.seen[place] < stamp - p.recognise_after_s and self._is_at(place, here):
            # Only where it is known to be: a place must not confirm what it was told itself.
            self.places.refresh(place, descriptor, stamp, picture())
        if place != self._here:
            self._arrive(place, stamp)
        if self._anchor is None:
            self._move_anchor(place, self.in_odom(self.places.poses[place]))

    def _is_at(self, place: int, here: Floats) -> bool:
        p, off = self.parameters, relative(self.places.poses[place], here)
        doubt = p.drift * self._driven_blind + p.drift_turning * self._turned_blind
        return bool(np.hypot(off[0], off[1]) + doubt < p.refresh and abs(off[2]) < p.refresh)

    def _arrive(self, place: int, stamp: float) -> None:
        """Go over to another place: that took as long as it took, and is thereby possible."""
        before, self._here = self._here, place
        self._note(place)
        taken, self._since = stamp - self._since, stamp
        if before is None:
            return
        known = self.ways.between(before, place)
        if known is not None:
            self.ways.driven(known)
            return
        change = relative(self.places.poses[before], self.places.poses[place])
        # By how the map lies, and not measured: it must not hold the map together.
        self.ways.join(before, place, self._time(taken, change), change, np.full(3, np.inf))

    def _note(self, place: int) -> None:
        if not self.trail_ended:
            visited(self.trail, place)
            del self.trail[:-self.parameters.limit]

    def _time(self, taken: float, change: Floats) -> float:
        """How long a way takes that took so long, s: standing about on it does not count."""
        length = float(np.hypot(change[0], change[1]))
        return float(np.clip(taken, 0.1, length / self.parameters.speed + self.parameters.dwell_s))

    def _move_anchor(self, place: int, at: Floats, sigma: Floats | None = None) -> None:
        self._anchor, self._anchored_at = place, at
        self._anchor_sigma = np.zeros(3) if sigma is None else sigma
        self._driven = self._turned = 0.0

    def _sigma(self) -> Floats:
        """Standard deviations (3,) of where the anchor is seen from here, by odometry."""
        p = self.parameters
        along = 0.02 + p.drift * self._driven
        own = np.array([along, along, 0.01 + p.drift_turning * self._turned
                        + 0.02 * self._driven])
        return np.asarray(np.hypot(own, self._anchor_sigma))

    # Recognition

    def _recognise(self, stamp: float, odom: Floats, descriptor: ArrayLike,
                   compare: Compare) -> None:
        p, here = self.parameters, self.on_map(odom)
        among = self.places.seen < stamp - p.recognise_after_s
        if self.located:
            gate, gate_turning = self._gate()
            poses = self.places.poses
            among = among & (np.hypot(poses[:, 0] - here[0], poses[:, 1] - here[1])
                             < gate + p.farthest)
            among &= np.abs(wrap_angle(poses[:, 2] - here[2])) < gate_turning + p.turning
        if not among.any():
            return
        numbers, _ = self.places.alike(
            descriptor, p.candidates if self.located else p.candidates_lost, among)
        seen, sigma = compare([self.places.pictures[number] for number in numbers])
        best = int(np.argmin(sigma))
        sure = p.sure if self.located else p.sure_lost
        if sigma[best] > sure or np.hypot(*seen[best, :2]) > p.farthest:
            return
        place = int(numbers[best])
        # Here on the map is the place's pose, less how it is seen from here.
        on_map = compose(self.places.poses[place], relative(seen[best], np.zeros(3)))
        frame = compose(on_map, relative(odom, np.zeros(3)))
        if self.located and not self._within_gate(here, on_map):
            return
        self._agree(Fix(stamp, place, seen[best], float(sigma[best]), frame, odom), odom)

    def _gate(self) -> tuple[float, float]:
        p, driven, turned = self.parameters, self._driven_blind, self._turned_blind
        return (p.slack + p.drift * driven + p.drift_turning * turned,
                p.slack_turning + p.drift_turning * turned + 0.02 * driven)

    def _within_gate(self, here: Floats, other: Floats) -> bool:
        gate, gate_turning = self._gate()
        off = relative(here, other)
        return bool(np.hypot(*off[:2]) < gate and abs(off[2]) < gate_turning)

    def _agree(self, fix: Fix, odom: Floats) -> None:
        """Believe what several recognitions in a row tell alike."""
        p = self.parameters
        if not self._fixes.confirm(fix, p):
            return
        sigma = np.array([fix.sigma, fix.sigma, p.sight_turning])
        if self.located and self._anchor is not None:
            sigma = self._close(fix, odom, sigma)
        else:
            self.frame, self.located = self._turned_by_walls(fix.frame, odom), True
        self._driven_blind = self._turned_blind = 0.0
        self._here, self._since = fix.place, fix.stamp
        self._move_anchor(fix.place, self.in_odom(self.places.poses[fix.place]), sigma)

    def _turned_by_walls(self, frame: Floats, odom: Floats) -> Floats:
        """Odometry's frame (3,), turned about the robot so that its walls are the map's.

        What stands nearest to the camera says most about a sight's heading; and it was moved,
        perhaps.
        """
        if self.walls is None or self._walls_in_odom is None:
            return frame
        off = float(wrap_angle(4 * (self.walls - self._walls_in_odom - frame[2]))) / 4
        if abs(off) > self.parameters.walls_off:
            return frame
        here = compose(frame, odom)
        here[2] += off
        return compose(here, relative(odom, np.zeros(3)))

    def _close(self, fix: Fix, odom: Floats, sight: Floats) -> Floats:
        """Join the place that odometry is counted from with the one recognised; fit the map.

        Returns the standard deviations (3,) of the robot's pose as odometry and sight, which is
        as far off as `sight` (3,), tell it together.
        """
        assert self._anchor is not None
        counted = self._sigma()
        change = compose(relative(self._anchored_at, odom), fix.here)
        if fix.place != self._anchor:
            newest = self.ways.join(self._anchor, fix.place, self._time(math.inf, change), change,
                                    np.hypot(counted, sight), sighted=True)
            self.places.poses[:] = fitted(self.places.poses, self.ways.ends, self.ways.changes,
                                          self.ways.sigmas, self.ways.sighted,
                                          self.places.headings, newest)
        by_odometry = compose(self.places.poses[self._anchor], relative(self._anchored_at, odom))
        if math.isfinite(self._heading_sigma):  # walls know better than what was counted
            by_odometry[2] = self.on_map(odom)[2]
            counted[2] = 0.0 if self._along_walls else self._heading_sigma
        by_sight = compose(self.places.poses[fix.place], relative(fix.here, np.zeros(3)))
        share = counted ** 2 / (counted ** 2 + sight ** 2)
        off = by_sight - by_odometry
        off[2] = wrap_angle(off[2])
        self.frame = compose(by_odometry + share * off, relative(odom, np.zeros(3)))
        self.corrections += 1
        return np.asarray(sight * np.sqrt(share))

    def absorb(self, piece: 'PlaceMap') -> Floats:
        """Take over what another map learned while it was not known where the robot is on this.

        Both have the same odometry. Returns where the other's frame lies on this map (3,).
        """
        there = compose(self.frame, relative(piece.frame, np.zeros(3)))
        headings = piece.places.headings + [there[2], 0.0]
        numbers = []
        for i, pose in enumerate(compose(there, piece.places.poses)):
            numbers.append(self.places.add(
                pose, piece.places.descriptors[i], float(piece.places.stamps[i]),
                piece.places.pictures[i]))
            self.places.headings[-1] = headings[i]
        for i, (first, second) in enumerate(piece.ways.ends.tolist()):
            self.ways.join(numbers[first], numbers[second], float(piece.ways.times[i]),
                           piece.ways.changes[i], piece.ways.sigmas[i],
                           bool(piece.ways.sighted[i]))
        if piece.here is not None and self._here is not None:
            last = numbers[piece.here]
            change = relative(self.places.poses[last], self.places.poses[self._here])
            self.ways.join(last, self._here, self._time(math.inf, change), change,
                           np.hypot(self._anchor_sigma, piece._sigma()), sighted=True)
        while len(self.places) > self.parameters.limit:
            self._forget()
        return there

    # Ways

    def reach(self, goal: ArrayLike, stamp: float) -> Reach | None:
        """How every place reaches a point (2,) on the map; None where no place is near enough.

        Where nobody was `at` it, the last stretch counts as `unknown` times as long.
        """
        p = self.parameters
        near = self.places.near(goal, p.at)
        if not len(near):
            near = self.places.near(goal, p.beyond)
        if not len(near):
            return None
        x, y = np.asarray(goal, float)[:2]
        away = np.hypot(self.places.poses[near, 0] - x, self.places.poses[near, 1] - y)
        return self.ways.to(near, p.unknown * away / p.speed, len(self.places), stamp)

    def _forget(self) -> None:
        """Forget the most crowded places, but not where the robot is."""
        count = len(self.places)
        wanted = count - max(1, int(self.parameters.forget_share * count))
        gap = self.places.spacing()
        for place in (self._here, self._anchor):
            if place is not None:
                gap[place] = math.inf
        kept = np.sort(np.argsort(-gap, kind='stable')[:wanted])
        new = {int(old): number for number, old in enumerate(kept)}
        self.places.keep(kept)
        self.ways.keep(kept)
        self._here = None if self._here is None else new[self._here]
        self._anchor = None if self._anchor is None else new[self._anchor]
        self.trail = [new[place] for place in self.trail if place in new]
        self._fixes.clear()
