# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The laser: what its beams say, whether it sees the robot itself, and how it is mounted."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wm_controller.data.static_frames import describe
from wm_controller.doctor.expected import Expected
from wm_controller.doctor.finding import Finding, FIX, NOT_SEEN, OK, WARN, worst
from wm_controller.doctor.fit import Fit, fit_lagged, unknown
from wm_controller.doctor.motion import Motion
from wm_controller.doctor.record import Beams, Record
from wm_controller.doctor.scan_match import match, pairs, Step
from wm_controller.safety.geometry import wrap_angle

Floats = NDArray[np.float64]

LAGS = np.arange(-0.3, 0.61, 0.02)
MOST_PAIRS = 120
NAN_FIX, ZERO_WARN = 0.5, 0.2  # share of the beams
BODY_M, BODY_SPREAD_M = 0.6, 0.02  # nearer than this, and this steady while all else moves
BODY_SEEN = 0.8  # share of the scans that show it
LEAST_BODY_BEAMS = 3
MOUNT_WARN, MOUNT_FIX = np.deg2rad(4.0), np.deg2rad(8.0)
SCALE_WARN, SCALE_FIX = 0.1, 0.25
LAG_WARN_S, LAG_FIX_S = 0.1, 0.25
STRAIGHT_RAD, WAY_M = 0.08, 0.05  # of a pair that tells the direction of driving
LEAST_WAYS, LEAST_TURNS = 5, 8  # pairs; each is measured over a while, and well
UNEXPLAINED = 0.3  # of the scans' motion, by that of odometry


def beam_findings(record: Record) -> Iterator[Finding]:
    """Look at the numbers of the scans."""
    scans: list[Beams] = record.streams['scan'].value
    one = scans[len(scans) // 2]
    ranges = np.concatenate([scan.ranges for scan in scans[::max(1, len(scans) // 50)]])
    size = max(ranges.size, 1)
    with np.errstate(invalid='ignore'):
        nan, zero = np.isnan(ranges).sum() / size, (ranges == 0).sum() / size
        hit = (np.isfinite(ranges) & (ranges >= one.low) & (ranges <= one.high)).sum() / size
        beyond = (np.isfinite(ranges) & (ranges > 1.01 * one.high)).sum() / size
    field = abs(one.step) * max(one.ranges.size - 1, 0)
    end = one.first + one.step * (one.ranges.size - 1)
    seen = (f'{one.ranges.size} beams over {np.degrees(field):.0f} degrees, {one.low:.2f} to '
            f'{one.high:.1f} m, {hit:.0%} hit something')
    advice, verdict = worst({
        'no ranges: look at what the driver of the laser says': FIX if not ranges.size else OK,
        f'range_min {one.low:g} and range_max {one.high:g} fit no laser: set them in its driver':
            OK if one.high > one.low >= 0 else FIX,
        f'{nan:.0%} of the beams are NaN: nothing is known there; let the driver say inf where '
        'nothing is in range': FIX if nan > NAN_FIX else WARN if nan > ZERO_WARN else OK,
        f'{zero:.0%} of the beams are 0, which counts as hidden by the robot itself: let the '
        'driver say inf where nothing is in range': FIX if zero > NAN_FIX
            else WARN if zero > ZERO_WARN else OK,
        'not one beam hits anything: is its window covered, or the room larger than its range?':
            WARN if hit == 0 else OK,
        f'{beyond:.0%} of the ranges are over range_max: set range_max in its driver':
            WARN if beyond > 0.05 else OK,
        f'angle_max is {one.last:.2f}, but the beams end at {end:.2f} rad: correct '
        'angle_increment in its driver':
            WARN if abs(one.last - end) > max(0.05, 2.5 * abs(one.step)) else OK})
    yield Finding('scan_beams', verdict, seen, advice, {
        'nan': float(nan), 'zero': float(zero), 'hit': float(hit)})


def body_finding(record: Record, motion: Motion | None) -> Finding:
    """Look for near returns that stay where they are while the robot turns and drives."""
    if motion is None or not (np.ptp(np.unwrap(motion.odometry.pose[:, 2])) > 0.7 or np.hypot(
            *np.ptp(motion.odometry.pose[:, :2], axis=0)) > 0.8):
        return Finding('scan_body', NOT_SEEN, 'not enough motion to tell the robot from walls',
                       'turn the robot by a quarter or more')
    scans: list[Beams] = record.streams['scan'].value
    size = scans[-1].ranges.size
    some = [scan for scan in scans[::max(1, len(scans) // 200)] if scan.ranges.size == size]
    ranges = np.stack([np.where(scan.measured, scan.ranges, np.nan) for scan in some])
    shown = np.isfinite(ranges).mean(axis=0)
    steady = np.zeros(size, bool)
    often = shown > BODY_SEEN
    if often.any():
        low, middle, high = np.nanquantile(ranges[:, often], [0.1, 0.5, 0.9], axis=0)
        steady[often] = (middle < BODY_M) & (high - low < 2 * BODY_SPREAD_M)
    if steady.sum() < LEAST_BODY_BEAMS:
        return Finding('scan_body', OK, 'nothing near moves along with the robot')
    angles = np.degrees(scans[-1].angles[steady])
    near = float(np.nanmedian(ranges[:, steady]))
    return Finding(
        'scan_body', FIX, f'{steady.sum()} beams from {angles.min():.0f} to {angles.max():.0f} '
        f'degrees always end at {near:.2f} m: the robot sees itself', 'the guardrail would never '
        'let it move that way: cut these angles off (laser_filters, or the angles of the '
        f'driver), or set range_min over {float(np.nanmax(ranges[:, steady])):.2f} m',
        {'beams': int(steady.sum()), 'range_m': near})


@dataclass(frozen=True)
class Sight:
    """
    What successive scans say of the motion: `turn`: of the scans over that of odometry.

    `sign` is -1 where they turn otherwise than a scanner placed as tf says (perhaps upside down).
    """

    turn: Fit
    mount_rad: float  # of the scanner in the base, less what tf or parameters say
    mount_se: float
    scale: float  # way that the scans show over that of odometry
    scale_se: float
    ways: int
    reason: str = ''
    hangs: bool = False  # upside down, by tf

    @property
    def sign(self) -> int:
        return -self.turn.sign if self.hangs else self.turn.sign


def sight_of(record: Record, motion: Motion | None, expected: Expected) -> Sight:
    """Match scans with each other, and what comes of it with odometry."""
    nan = float('nan')
    if motion is None:
        return Sight(unknown('no odometry'), nan, nan, nan, nan, 0, 'no odometry')
    stream = record.streams['scan']
    times = stream.times()
    poses = motion.odometry.pose_at(times)
    turned = np.full(len(times), np.nan)
    known = np.isfinite(poses).all(axis=1)
    turned[known] = np.unwrap(poses[known, 2])
    chosen = pairs(times, turned, poses[:, :2], MOST_PAIRS)
    steps = [(a, b, match(stream.value[a], stream.value[b])) for a, b in chosen]
    seen = [(a, b, step) for a, b, step in steps if step is not None]
    if len(seen) < LEAST_WAYS:
        reason = (f'only {len(chosen)} pairs of scans with motion between them'
                  if len(chosen) < LEAST_WAYS else 'the scans show too little to match them')
        return Sight(unknown(reason), nan, nan, nan, nan, 0, reason)
    turn = _turn(motion, times, seen)
    mount = _mount(record, expected)
    hangs = mount[3]
    mirrored = turn.sign < 0 or (turn.sign == 0 and hangs)
    return Sight(turn, *_direction(motion, times, seen, mount[:3], mirrored), hangs)


def _turn(motion: Motion, times: Floats, seen: list[tuple[int, int, Step]]) -> Fit:
    sure = [(a, b, step) for a, b, step in seen if step.covariance[2, 2] < np.deg2rad(2.0) ** 2]
    first = np.array([times[a] for a, _, _ in sure])
    last = np.array([times[b] for _, b, _ in sure])
    rate = np.array([step.turn for _, _, step in sure]) / np.maximum(last - first, 1e-3)
    if len(sure) < LEAST_TURNS:
        return unknown(f'only {len(sure)} pairs of scans with turning')
    return fit_lagged(lambda lag: motion.mean(first - lag, last - lag)[:, 2], rate, LAGS, 0.05,
                      'turning', rows=LEAST_TURNS)


def _mount(record: Record, expected: Expected) -> tuple[float, float, float, bool]:
    """x, y (m), yaw (rad) of the scanner and whether it hangs, by tf, else by parameters."""
    stream = record.streams['scan']
    found = record.frames.to_base(next(iter(stream.frames), ''))
    if found is None:
        return expected.scan_x, expected.scan_y, expected.scan_yaw, False
    placed = describe(found)
    return placed['x_m'], placed['y_m'], placed['yaw_rad'], bool(found[2, 2] < 0)


def _direction(motion: Motion, times: Floats, seen: list[tuple[int, int, Step]],
               mount: tuple[float, float, float], mirrored: bool
               ) -> tuple[float, float, float, float, int, str]:
    """Yaw of the scanner beyond `mount` and scale of its way, by pairs that drive straight."""
    x, y, yaw = mount
    lever = np.array([x, y])
    rows, values, weights = [], [], []
    for a, b, step in seen:
        ahead, left, w = (motion.mean(times[[a]], times[[b]])[0] * (times[b] - times[a]))
        way = np.array([ahead, left])
        if not np.isfinite(way).all() or abs(w) > STRAIGHT_RAD or np.hypot(*way) < WAY_M:
            continue
        c, s = np.cos(w), np.sin(w)
        way = way + np.array([[c, -s], [s, c]]) @ lever - lever
        sign = -1.0 if mirrored else 1.0  # an upside-down scanner sees left for right
        rows += [[way[0], way[1]], [sign * way[1], -sign * way[0]]]
        values += list(step.shift)
        spread = np.linalg.inv(step.covariance[:2, :2] + 0.005 ** 2 * np.eye(2))
        weights.append(spread)
    nan = float('nan')
    if len(weights) < LEAST_WAYS:
        return nan, nan, nan, nan, len(weights), 'not enough straight driving seen'
    design, target = np.array(rows).reshape(-1, 2, 2), np.array(values).reshape(-1, 2)
    weight = np.stack(weights)

    def solve(keep: NDArray[np.bool_]) -> Floats:
        d, t, g = design[keep], target[keep], weight[keep]
        normal = np.einsum('nki,nkl,nlj->ij', d, g, d) + 1e-9 * np.eye(2)
        return np.asarray(np.linalg.solve(normal, np.einsum('nki,nkl,nl->i', d, g, t)))
    every = np.ones(len(weight), bool)
    a, b = solve(every)
    parts = np.array_split(np.arange(len(weight)), min(8, len(weight)))
    others = []
    for part in parts:
        keep = every.copy()
        keep[part] = False
        others.append(solve(keep))
    n = len(others)
    angles = wrap_angle(np.array([np.arctan2(o[1], o[0]) for o in others]) - np.arctan2(b, a))
    scales = np.array([np.hypot(*o) for o in others])
    angle_se = float(np.sqrt((n - 1) / n * ((angles - angles.mean()) ** 2).sum()))
    scale_se = float(np.sqrt((n - 1) / n * ((scales - scales.mean()) ** 2).sum()))
    left = target - np.einsum('nki,i->nk', design, np.array([a, b]))
    missed, whole = (float(np.einsum('nk,nkl,nl->', v, weight, v)) for v in (left, target))
    reason = ''
    if missed > UNEXPLAINED * whole:
        reason = 'scans and odometry do not go together'
    elif angle_se > MOUNT_FIX or scale_se > SCALE_FIX:
        reason = 'the scans show too little of the way, as in a corridor'
    off = float(wrap_angle(np.arctan2(b, a) - yaw))
    return off, angle_se, float(np.hypot(a, b)), scale_se, len(weight), reason


def sight_findings(sight: Sight) -> Iterator[Finding]:
    """Judge lag, direction and scale; whether it turns the right way is in `sign_checks`."""
    if sight.turn.known:
        fit = sight.turn
        late = max(abs(fit.lag_s) - 2 * fit.lag_se, 0.0)
        yield Finding(
            'scan_lag', FIX if late > LAG_FIX_S else WARN if late > LAG_WARN_S else OK,
            f'{fit.lag_s:.2f} ± {2 * fit.lag_se:.2f} s behind odometry', 'stamp scans (and '
            'odometry) when they are measured, not when they are sent' if late > LAG_WARN_S
            else '', {'lag_s': fit.lag_s})
    else:
        yield Finding('scan_lag', NOT_SEEN, sight.turn.reason, 'turn the robot to and fro')
    if sight.reason:
        yield Finding('scan_mount', NOT_SEEN, sight.reason,
                      'drive half a metre straight ahead and back, in a room, not a corridor')
        return
    off = max(abs(sight.mount_rad) - 2 * sight.mount_se, 0.0)
    degrees = round(float(np.degrees(sight.mount_rad)))
    seen = (f'turned by {degrees} ± {np.degrees(2 * sight.mount_se):.0f} degrees from where '
            f'tf or parameters say, by {sight.ways} straight ways')
    yield Finding(
        'scan_mount', FIX if off > MOUNT_FIX else WARN if off > MOUNT_WARN else OK, seen,
        f'add {sight.mount_rad:.2f} rad to the yaw of the laser in tf, or to scan_yaw without tf'
        if off > MOUNT_WARN else '', {'off_rad': sight.mount_rad, 'se_rad': sight.mount_se})
    off = max(abs(sight.scale - 1.0) - 2 * sight.scale_se, 0.0)
    yield Finding(
        'odom_scale', FIX if off > SCALE_FIX else WARN if off > SCALE_WARN else OK,
        f'the laser sees {sight.scale:.2f} ± {2 * sight.scale_se:.2f} of the way that odometry '
        'counts', f'multiply the wheel radius in the base driver by {sight.scale:.2f}'
        if off > SCALE_WARN else '', {'scale': sight.scale})
