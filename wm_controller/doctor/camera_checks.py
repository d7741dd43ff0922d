# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The camera: alive, and its picture moving with the robot, in time and the right way."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wm_controller.data.lag import estimate_lag, Lag, MIN_CORRELATION
from wm_controller.doctor.expected import Expected
from wm_controller.doctor.finding import Finding, FIX, NOT_SEEN, OK, WARN
from wm_controller.doctor.fit import gain_of
from wm_controller.doctor.motion import Motion, Rate, turn_rate
from wm_controller.doctor.record import Frame, Record

Floats = NDArray[np.float64]

BLACK_LEVEL, FLAT_LEVELS = 12.0, 3.0  # grey levels: mean, deviation
FROZEN_RATE = 0.15  # rad/s, at which no picture stays what it was
FROZEN_CHANGE = 0.3  # grey levels
FROZEN_SHARE, DOUBLE_SHARE = 0.8, 0.2
LAG_WARN_S, LAG_FIX_S = 0.1, 0.2
VIEW_OFF = 0.25  # of the angle
LEAST_SHIFT, LEAST_VOTES = 0.004, 60  # picture widths; frames
ALIKE, VOTE_SIGMAS, VOTE_LEAD = 4.0, 4.0, 0.4  # so many neighbours count as one
SPOT_M_S, SPOT_RATE = 0.03, 0.2  # turning on the spot, where nearness plays no part


@dataclass(frozen=True)
class Look:
    """How the picture follows turning: `sign` -1: the wrong way, 0: not known; `by`: whose."""

    lag: Lag
    sign: int
    by: str
    view_rad: float = float('nan')
    reason: str = ''


def alive_finding(record: Record) -> Finding:
    """Say whether there is a picture, and whether it changes while the robot turns."""
    stream = record.streams['image']
    frames: list[Frame] = stream.value
    read = [f for f in frames if np.isfinite(f.mean)]
    if not read:
        return Finding('image_alive', NOT_SEEN, 'no image can be read', 'see image_encoding')
    mean = float(np.median([f.mean for f in read]))
    deviation = float(np.median([f.deviation for f in read]))
    change = np.array([f.change for f in frames])
    repeated = float(np.mean([f.repeated for f in frames]))
    seen = f'grey {mean:.0f} ± {deviation:.0f}, {repeated:.0%} repeated'
    figures = {'mean': mean, 'deviation': deviation, 'repeated': repeated}
    if deviation < FLAT_LEVELS:
        what = 'black' if mean < BLACK_LEVEL else 'of one colour'
        return Finding('image_alive', FIX, f'{what}: {seen}', 'is the lens covered, the exposure '
                       'zero, or the driver without a camera?', figures)
    times = stream.times()
    turning = np.ones(len(frames), bool)
    source = turn_rate(record)
    if source is not None and len(frames) > 1:
        rate = source[1](times[:-1], times[1:] + 1e-6)
        turning[1:] = np.abs(np.nan_to_num(rate)) > FROZEN_RATE
    turning[0] = False
    if turning.sum() >= 10:
        still = float((change[turning] < FROZEN_CHANGE).mean())
        if still > FROZEN_SHARE:
            return Finding('image_alive', FIX, f'frozen: {still:.0%} of the pictures do not '
                           'change while the robot turns', 'restart the camera; let its driver '
                           'fall silent when no new picture comes', figures)
        if still > DOUBLE_SHARE:
            return Finding('image_alive', WARN, f'{still:.0%} of the pictures do not change while '
                           'the robot turns', 'the driver repeats pictures: publish each once, '
                           'at the rate of the camera', figures)
        return Finding('image_alive', OK, seen, figures=figures)
    if repeated > DOUBLE_SHARE and source is None:
        return Finding('image_alive', WARN, seen, 'the driver repeats pictures: publish each '
                       'once, at the rate of the camera', figures)
    return Finding('image_alive', OK, seen, figures=figures)


def look_of(record: Record, motion: Motion | None) -> Look:
    """Find lag and direction of the picture's shift against whoever knows the turning."""
    source = turn_rate(record)
    nan = float('nan')
    nothing = Lag(nan, nan, nan, nan, 0, False, '')
    if source is None:
        return Look(nothing, 0, '', reason='nothing tells how the robot turns')
    by, rate = source
    stream = record.streams['image']
    times = stream.times()
    shift = np.array([f.shift for f in stream.value])[1:]
    start, stop = times[:-1], times[1:]
    usual = stop - start < 3 * max(float(np.median(stop - start)), 1e-3)
    start, stop, shift = start[usual], stop[usual], shift[usual]
    found = [estimate_lag(start, stop, sign * shift, rate) for sign in (1, -1)]
    found = [lag if np.isfinite(lag.correlation) else nothing for lag in found]
    if not np.isfinite(found[0].correlation):
        lag = estimate_lag(start, stop, shift, rate)
        return Look(lag, 0, by, reason=lag.reason)
    best = int(found[1].correlation > found[0].correlation)
    lag = found[best]
    if lag.correlation < MIN_CORRELATION:
        return Look(lag, _vote(start, stop, shift, rate), by, reason=lag.reason)
    return Look(lag, 1 - 2 * best, by, _view(start, stop, shift, lag.lag_s, motion),
                lag.reason)


def _vote(start: Floats, stop: Floats, shift: Floats, rate: Rate) -> int:
    """
    Direction of the picture by how many frames agree with the turning, whatever their shifts.

    Before walls without texture the shifts are wild, and say little of the lag; most of their
    signs are right. 0: they do not tell.
    """
    turning = rate(start, stop)
    with np.errstate(invalid='ignore'):
        clear = (np.abs(turning) > SPOT_RATE) & (np.abs(shift) > LEAST_SHIFT)
    if clear.sum() < LEAST_VOTES:
        return 0
    lead = float(np.sign(turning[clear] * shift[clear]).mean())
    sure = abs(lead) * np.sqrt(clear.sum() / ALIKE) > VOTE_SIGMAS and abs(lead) > VOTE_LEAD
    return int(np.sign(lead)) if sure else 0


def _view(start: Floats, stop: Floats, shift: Floats, lag_s: float,
          motion: Motion | None) -> float:
    """Horizontal field of view, rad, by turning on the spot; NaN where too little was seen."""
    if motion is None:
        return float('nan')
    twist = motion.mean(start - lag_s, stop - lag_s)
    with np.errstate(invalid='ignore'):
        spot = (np.hypot(twist[:, 0], twist[:, 1]) < SPOT_M_S) & (
            np.abs(twist[:, 2]) > SPOT_RATE) & np.isfinite(shift)
    if spot.sum() < 40:
        return float('nan')
    turned = twist[spot, 2] * (stop - start)[spot]
    ratio = shift[spot] / turned
    keep = np.abs(ratio - np.median(ratio)) < 0.5 * abs(np.median(ratio))
    return float(2 * np.arctan(0.5 / max(abs(gain_of(turned[keep], shift[spot][keep])), 1e-3)))


def look_findings(look: Look, record: Record, expected: Expected) -> Iterator[Finding]:
    """Judge lag and field of view; whether it turns the right way is in `sign_checks`."""
    lag = look.lag
    if not lag.correlation >= MIN_CORRELATION:
        yield Finding('image_lag', NOT_SEEN, look.reason, 'turn to and fro for half a minute '
                      'before something with texture')
        return
    seen = (f'{lag.lag_s:.2f} ± {2 * max(lag.spread_s, 0.01):.2f} s behind {look.by}, correlation '
            f'{lag.correlation:.2f}')
    figures = {'lag_s': lag.lag_s, 'spread_s': lag.spread_s, 'correlation': lag.correlation}
    if not lag.convincing:
        yield Finding('image_lag', NOT_SEEN, f'{seen}: {look.reason}', 'turn to and fro for half '
                      'a minute', figures)
    elif look.by == 'commands':
        yield Finding('image_lag', OK, f'{seen}; base and camera together', figures=figures)
    else:
        late = max(abs(lag.lag_s) - lag.spread_s, 0.0)
        who = 'image' if lag.lag_s > 0 else look.by
        yield Finding(
            'image_lag', FIX if late > LAG_FIX_S else WARN if late > LAG_WARN_S else OK, seen,
            f'the stamps of the {who} are {abs(lag.lag_s):.2f} s too late: stamp when the '
            'picture is taken or the wheels are read, not when the message is sent; `wm ingest` '
            'aligns recordings by itself' if late > LAG_WARN_S else '', figures)
    if np.isfinite(look.view_rad):
        yield _view_finding(look.view_rad, record.view, expected.horizontal_fov or None)


def _view_finding(seen_rad: float, info_rad: float | None, wanted_rad: float | None) -> Finding:
    text = f'about {np.degrees(seen_rad):.0f} degrees, by turning on the spot'
    said = {name: rad for name, rad in (('camera_info', info_rad), ('the model or parameter '
            'horizontal_fov', wanted_rad)) if rad}
    text += ''.join(f', {np.degrees(rad):.0f} by {name}' for name, rad in said.items())
    for name, rad in said.items():
        if abs(seen_rad - rad) > VIEW_OFF * rad:
            return Finding('image_view', WARN, text, f'the picture does not move as {name} says: '
                           "calibrate the camera, or check odometry's turning",
                           {'view_rad': seen_rad})
    return Finding('image_view', OK, text, figures={'view_rad': seen_rad})
