# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The robot's motion as its odometry, its commands or its gyroscope have it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wm_controller.data.tracks import Commands, make_commands, make_odometry, Odometry
from wm_controller.doctor.record import Record, Stream
from wm_controller.safety.geometry import relative

Floats = NDArray[np.float64]
Rate = Callable[[Floats, Floats], Floats]

STEP_S = 0.1  # of the grid that series are compared on
TURNED_RAD, DROVE_M = 1.0, 0.4  # less motion says nothing


@dataclass(frozen=True)
class Motion:
    """Odometry as motion between two moments, taken from its poses."""

    odometry: Odometry
    sideways: Floats  # (M,) m/s, of the twist

    def mean(self, start: Floats, stop: Floats) -> Floats:
        """(N, 3) mean speed ahead and to the left, m/s, and turning, rad/s, in the base frame."""
        before, after = self.odometry.pose_at(start), self.odometry.pose_at(stop)
        return np.asarray(relative(before, after) / (stop - start)[:, None])

    @property
    def turned_rad(self) -> float:
        return float(np.abs(np.diff(np.unwrap(self.odometry.pose[:, 2]))).sum())

    @property
    def drove_m(self) -> float:
        return float(np.hypot(*np.diff(self.odometry.pose[:, :2], axis=0).T).sum())

    def grid(self) -> tuple[Floats, Floats]:
        """Start and stop (N,) of intervals over the whole record."""
        edges = np.arange(self.odometry.stamp[0], self.odometry.stamp[-1], STEP_S)
        return edges[:-1], edges[1:]


def motion_of(record: Record) -> Motion | None:
    """The odometry of a record; None where there is too little."""
    stream = record.stream('odom')
    if stream is None:
        return None
    rows, times = np.asarray(stream.value, dtype=np.float64), stream.times()
    good = np.isfinite(rows).all(axis=1)
    track = make_odometry(times[good], rows[good, :3], rows[good, 3:5])
    if track is None or len(track) < 10:
        return None
    _, first = np.unique(times[good], return_index=True)
    return Motion(track, rows[good, 5][first])


def commands_of(record: Record, timeout_s: float | None = 1.0) -> Commands | None:
    """The commands of a record; a silent commander commands nothing after `timeout_s`."""
    stream = record.stream('cmd_vel')
    if stream is None:
        return None
    rows = np.asarray(stream.value, dtype=np.float64)
    good = np.isfinite(rows).all(axis=1)
    return make_commands(stream.times()[good], rows[good], timeout_s)


def turn_rate(record: Record) -> tuple[str, Rate] | None:
    """
    Who says how fast the robot turns, and a function of intervals (N,) that gives it.

    Odometry before a gyroscope before commands: the best that is there.
    """
    motion = motion_of(record)
    if motion is not None:
        track = motion.odometry
        return 'odometry', _rate_of(track.stamp, np.unwrap(track.pose[:, 2]))
    imu = record.stream('imu')
    if imu is not None and len(imu) > 10:
        return 'gyroscope', _gyroscope(imu)
    commands = commands_of(record)
    if commands is not None:
        return 'commands', lambda start, stop: commands.mean(start, stop)[:, 1]
    return None


def _gyroscope(stream: Stream) -> Rate:
    times, first = np.unique(stream.times(), return_index=True)
    rate = np.asarray(stream.value, dtype=np.float64)[first]
    angle = np.concatenate([[0.0], np.cumsum(0.5 * (rate[1:] + rate[:-1]) * np.diff(times))])
    return _rate_of(times, angle)


def _rate_of(times: Floats, angle: Floats) -> Rate:
    def mean(start: Floats, stop: Floats) -> Floats:
        turned = np.interp(stop, times, angle) - np.interp(start, times, angle)
        outside = (start < times[0]) | (stop > times[-1])
        return np.where(outside, np.nan, turned / (stop - start))
    return mean
