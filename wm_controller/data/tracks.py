# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Odometry, commands and scans of a recording as functions of time; NaN where they know nothing.

Every time is in the clock of the header stamps, in seconds.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wm_controller.data import schema
from wm_controller.data.static_frames import Transform
from wm_controller.safety.geometry import relative, wrap_angle

Floats = NDArray[np.float64]

MIN_COVER_S = 0.5
"""Odometry with a larger hole than this, and than three of its periods, is unknown there."""
JUMP_M, JUMP_RAD = 0.25, 0.5
"""Pose changes between messages that the twist explains this badly are jumps, not motion."""


@dataclass(frozen=True)
class Odometry:
    """stamp (M,) increasing, pose (M, 3) [x, y, yaw], twist (M, 2) [v, w]; M may be 0."""

    stamp: Floats
    pose: Floats
    twist: Floats

    def __len__(self) -> int:
        return int(self.stamp.size)

    @cached_property
    def _cover_s(self) -> float:
        return max(MIN_COVER_S, 3 * float(np.median(np.diff(self.stamp))))

    @cached_property
    def jumps(self) -> Floats:
        """(J,) stamps of the first message behind each jump of the pose."""
        dt = np.diff(self.stamp)
        change = relative(self.pose[:-1], self.pose[1:])
        speed = np.maximum(np.abs(self.twist[1:]), np.abs(self.twist[:-1]))
        far = np.hypot(change[:, 0], change[:, 1]) > JUMP_M + 2 * speed[:, 0] * dt
        turned = np.abs(change[:, 2]) > JUMP_RAD + 2 * speed[:, 1] * dt
        return self.stamp[1:][far | turned]

    def pose_at(self, time: ArrayLike) -> Floats:
        """(N, 3), interpolated between messages."""
        time = np.asarray(time, dtype=np.float64)
        pose = np.stack([np.interp(time, self.stamp, column) for column in
                         (self.pose[:, 0], self.pose[:, 1], np.unwrap(self.pose[:, 2]))], axis=-1)
        pose[..., 2] = wrap_angle(pose[..., 2])
        pose[~self._known(time)] = np.nan
        return pose

    def twist_at(self, time: ArrayLike) -> Floats:
        """(N, 2), interpolated between messages."""
        time = np.asarray(time, dtype=np.float64)
        twist = np.stack([np.interp(time, self.stamp, column) for column in self.twist.T], axis=-1)
        twist[~self._known(time)] = np.nan
        return twist

    def mean_twist(self, start: ArrayLike, stop: ArrayLike) -> Floats:
        """(N, 2), averaged over each interval."""
        start, stop = np.asarray(start, dtype=np.float64), np.asarray(stop, dtype=np.float64)
        width, area = np.diff(self.stamp)[:, None], self._area

        def integral(time: Floats) -> Floats:
            i = np.clip(np.searchsorted(self.stamp, time, side='right') - 1, 0, len(self) - 2)
            part = (time - self.stamp[i])[..., None]
            slope = (self.twist[i + 1] - self.twist[i]) / width[i]
            return area[i] + self.twist[i] * part + 0.5 * slope * part ** 2

        mean = (integral(stop) - integral(start)) / (stop - start)[..., None]
        mean[~(self._known(start) & self._known(stop))] = np.nan
        return mean

    @cached_property
    def _area(self) -> Floats:
        """(M, 2) integral of the twist from the first message to each."""
        width = np.diff(self.stamp)[:, None]
        return np.vstack([np.zeros((1, 2)), np.cumsum(
            0.5 * (self.twist[1:] + self.twist[:-1]) * width, axis=0)])

    def _known(self, time: Floats) -> NDArray[np.bool_]:
        after = np.clip(np.searchsorted(self.stamp, time), 1, len(self) - 1)
        inside = (time >= self.stamp[0]) & (time <= self.stamp[-1])
        whole = self.stamp[after] - self.stamp[after - 1] <= self._cover_s
        jumped = np.isin(self.stamp[after], self.jumps)
        exact = np.isin(time, self.stamp)  # a message is true, whatever came before it
        return inside & ((whole & ~jumped) | exact)


def make_odometry(stamp: Floats, pose: Floats, twist: Floats) -> Odometry | None:
    """Sort by stamp; None if there is too little to interpolate."""
    stamp, first = np.unique(stamp, return_index=True)
    if stamp.size < 2:
        return None
    return Odometry(stamp, pose[first], twist[first])


def twist_from_poses(stamp: Floats, pose: Floats) -> Floats:
    """(M, 2) for drivers that leave the twist empty: finite differences along the heading."""
    change = relative(pose[:-1], pose[1:]) / np.maximum(np.diff(stamp), 1e-3)[:, None]
    between = change[:, [0, 2]]
    return np.vstack([between[:1], 0.5 * (between[1:] + between[:-1]), between[-1:]])


@dataclass(frozen=True)
class Commands:
    """Commands, each held until the next: stamp (M,) increasing, value (M, 2) [v, w]; M >= 1."""

    stamp: Floats
    value: Floats

    def mean(self, start: ArrayLike, stop: ArrayLike) -> Floats:
        """(N, 2), averaged over each interval; NaN before the first command."""
        start, stop = np.asarray(start, dtype=np.float64), np.asarray(stop, dtype=np.float64)
        area = np.vstack([np.zeros((1, 2)),
                          np.cumsum(self.value[:-1] * np.diff(self.stamp)[:, None], axis=0)])

        def integral(time: Floats) -> Floats:
            i = np.clip(np.searchsorted(self.stamp, time, side='right') - 1, 0, None)
            return area[i] + self.value[i] * (time - self.stamp[i])[..., None]

        mean = (integral(stop) - integral(start)) / (stop - start)[..., None]
        mean[start < self.stamp[0]] = np.nan
        return mean


def make_commands(stamp: Floats, value: Floats, timeout_s: float | None) -> Commands | None:
    """Sort by stamp; with a time-out, a command not repeated for that long becomes zero."""
    order = np.argsort(stamp, kind='stable')
    stamp, value = stamp[order], value[order]
    if stamp.size == 0:
        return None
    keep = np.append(np.diff(stamp) > 0, True)  # of equal stamps the last one counts
    stamp, value = stamp[keep], value[keep]
    if timeout_s is not None:
        ends = np.flatnonzero(np.diff(stamp, append=np.inf) > timeout_s)
        stamp = np.insert(stamp, ends + 1, stamp[ends] + timeout_s)
        value = np.insert(value, ends + 1, 0.0, axis=0)
    return Commands(stamp, value)


@dataclass(frozen=True)
class Scans:
    """Clearances of scans: stamp (M,) increasing, clearance (M, K) m; M >= 1."""

    stamp: Floats
    clearance: Floats

    def at(self, time: Floats, tolerance_s: float) -> Floats:
        """(N, K) of the nearest scan, NaN if that is further away in time than the tolerance."""
        after = np.clip(np.searchsorted(self.stamp, time), 1, max(self.stamp.size - 1, 1))
        before = after - 1
        after = np.minimum(after, self.stamp.size - 1)
        nearest = np.where(np.abs(self.stamp[after] - time) < np.abs(self.stamp[before] - time),
                           after, before)
        result = self.clearance[nearest].copy()
        result[np.abs(self.stamp[nearest] - time) > tolerance_s] = np.nan
        return result


def make_scans(stamp: Floats, clearance: Floats) -> Scans | None:
    """Sort by stamp."""
    stamp, first = np.unique(stamp, return_index=True)
    return Scans(stamp, clearance[first]) if stamp.size else None


def clearance(ranges: ArrayLike, angle_min: float, angle_increment: float, range_min: float,
              range_max: float, to_base: Transform, bearings: Floats) -> Floats:
    """(K,) m: distance from base_link to the nearest return in the sector of each bearing.

    A beam without return is free as far as the laser sees. A sector in which no beam is valid
    is NaN. `to_base` takes points of the laser's frame to base_link, also from a laser mounted
    upside down.
    """
    ranges = np.asarray(ranges, dtype=np.float64)
    angle = angle_min + angle_increment * np.arange(ranges.size)
    with np.errstate(invalid='ignore'):
        nothing = np.isposinf(ranges) | (ranges > range_max)
        valid = nothing | ((ranges >= max(range_min, 1e-3)) & np.isfinite(ranges))
    reach = np.where(nothing, schema.CLEARANCE_MAX + np.hypot(*to_base[:2, 3]), ranges)[valid]
    points = np.stack([reach * np.cos(angle[valid]), reach * np.sin(angle[valid])])
    x, y = to_base[:2, :2] @ points + to_base[:2, 3:4]
    distance, bearing = np.hypot(x, y), np.arctan2(y, x)
    half = 0.5 * abs(bearings[1] - bearings[0]) if bearings.size > 1 else np.deg2rad(3.0)
    result = np.full(bearings.size, np.nan)
    for k, centre in enumerate(bearings):
        sector = np.abs(wrap_angle(bearing - centre)) <= half
        if sector.any():
            result[k] = min(distance[sector].min(), schema.CLEARANCE_MAX)
    return result
