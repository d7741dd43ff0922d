# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Whether odometry agrees with itself, and what became of the commands."""

from collections.abc import Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray

from wm_controller.data.tracks import Commands
from wm_controller.doctor.expected import Expected
from wm_controller.doctor.finding import Finding, FIX, NOT_SEEN, OK, WARN, worst
from wm_controller.doctor.fit import Fit, fit_lagged, unknown
from wm_controller.doctor.motion import Motion

Floats = NDArray[np.float64]

LAGS = np.arange(-0.2, 1.005, 0.02)
NO_LAG = np.zeros(1)
LEAST_V, LEAST_W = 0.03, 0.08  # m/s, rad/s, root mean square: less motion says nothing
OFF_WARN, OFF_FIX = 0.15, 0.4  # of a gain that should be 1
COMMAND_OFF_FIX = 0.5  # commands are also cut off by what stands in the way
ODOM_FRAME_SHARE = 0.3  # of the error that is left when the twist is read in the odometry's frame
MIN_JUMPS = 2
WIDE_S = 0.3  # positions are quantised, differences of near ones noisy
LATE_S = 0.15  # beyond command_delay_s and the motors' own lag
MOTORS_S = 0.1


def odometry_findings(motion: Motion) -> Iterator[Finding]:
    """Compare the twist of odometry with how its pose changes."""
    odometry = motion.odometry
    jumps = odometry.jumps
    yield Finding(
        'odom_pose', FIX if len(jumps) > MIN_JUMPS else WARN if len(jumps) else OK,
        f'{motion.drove_m:.1f} m and {np.degrees(motion.turned_rad):.0f} degrees driven, '
        f'{len(jumps)} jumps', 'poses jump: corrections belong into map -> odom, not into '
        'odometry' if len(jumps) else '', {'jumps': len(jumps)})
    start, stop = motion.grid()
    stop = start + WIDE_S
    posed, said = motion.mean(start, stop), odometry.mean_twist(start, stop)
    rows = np.isfinite(posed).all(axis=1) & np.isfinite(said).all(axis=1)
    if rows.sum() < 20:
        return
    posed, said = posed[rows], said[rows]
    moved = np.sqrt((posed ** 2).mean(axis=0))
    claimed = np.sqrt((said ** 2).mean(axis=0))
    if max(moved[0], moved[1], claimed[0]) < LEAST_V and max(moved[2], claimed[1]) < LEAST_W:
        yield Finding('odom_twist', NOT_SEEN, 'the robot hardly moved', 'drive a minute')
        return
    if moved[0] < 0.1 * claimed[0] and moved[2] < 0.1 * claimed[1]:
        yield Finding('odom_twist', FIX, 'the pose stands still while the twist moves',
                      'let the base driver integrate its pose, or use another odometry')
        return
    if claimed[0] < 0.1 * moved[0] and claimed[1] < 0.1 * moved[2]:
        yield Finding('odom_twist', FIX, 'the twist is empty while the pose moves', 'let the base '
                      'driver fill twist: guardrail and controller read the speed there')
        return
    framed = _in_odom_frame(motion, start[rows], stop[rows], posed, said)
    if framed is not None:
        yield framed
        return
    fits = {'ahead': (posed[:, 0], said[:, 0], LEAST_V), 'turning': (
        posed[:, 2], said[:, 1], LEAST_W)}
    found = {name: fit_lagged(partial(_at_once, x), y, NO_LAG, least, 'motion')
             for name, (x, y, least) in fits.items()}
    verdicts: dict[str, str] = {}
    for name, fit in found.items():
        if not fit.known:
            continue
        if fit.gain < 0:
            verdicts[f'twist and pose have opposite signs {name}: negate one of them in the base '
                     'driver'] = FIX
        else:
            verdicts[f'the twist says {fit.gain:.2f} times what the pose does {name}: correct '
                     'wheel radius, wheel separation or units where the twist is made'] = _off(fit)
    if not verdicts:
        yield Finding('odom_twist', NOT_SEEN, '; '.join(f.reason for f in found.values()),
                      'drive a minute')
        return
    advice, verdict = worst(verdicts)
    yield Finding('odom_twist', verdict, ', '.join(
        f'{name} {fit.gain:.2f} ± {2 * fit.gain_se:.2f}' for name, fit in found.items()
        if fit.known) + ' of the pose', advice, {n: f.gain for n, f in found.items()})


def _in_odom_frame(motion: Motion, start: Floats, stop: Floats, posed: Floats,
                   said: Floats) -> Finding | None:
    """Whether linear.x is the speed along the odometry's x axis, not along the robot's."""
    before, after = motion.odometry.pose_at(start), motion.odometry.pose_at(stop)
    along_x = (after[:, 0] - before[:, 0]) / (stop - start)
    as_base = float(((said[:, 0] - posed[:, 0]) ** 2).sum())
    as_odom = float(((said[:, 0] - along_x) ** 2).sum())
    whole = float((posed[:, 0] ** 2).sum())
    if as_base < 0.1 * whole or as_odom > ODOM_FRAME_SHARE * as_base:
        return None
    return Finding('odom_twist', FIX, 'linear.x is the speed along the x axis of the odometry, '
                   'not of the robot', 'the twist of nav_msgs/Odometry belongs into '
                   'child_frame_id: turn it by the heading in the base driver')


def command_fits(motion: Motion | None, commands: Commands | None) -> dict[str, Fit]:
    """How speed ahead ('ahead') and turning ('turning') of odometry follow the commands."""
    if motion is None or commands is None:
        reason = 'no odometry' if motion is None else 'no commands'
        return {'ahead': unknown(reason), 'turning': unknown(reason)}
    start, stop = motion.grid()
    done = motion.mean(start, stop)
    asked = {lag: commands.mean(start - lag, stop - lag) for lag in LAGS}
    return {name: fit_lagged(partial(_column, asked, column), done[:, row], LAGS, least,
                             f'commanded {what}')
            for name, column, row, least, what in (
                ('ahead', 0, 0, LEAST_V, 'driving'), ('turning', 1, 2, LEAST_W, 'turning'))}


def _at_once(values: Floats, _: float) -> Floats:
    return values


def _column(asked: dict[float, Floats], column: int, lag: float) -> Floats:
    return np.asarray(asked[lag][:, column])


def command_findings(motion: Motion, commands: Commands, fits: dict[str, Fit],
                     expected: Expected) -> Iterator[Finding]:
    """What was achieved of what was commanded; signs are judged in `sign_checks`."""
    limits = {'ahead': ('max_linear_velocity', expected.max_linear_velocity, 'm/s', 0),
              'turning': ('max_angular_velocity', expected.max_angular_velocity, 'rad/s', 1)}
    for name, fit in fits.items():
        check = f'command_{name}'
        if not fit.known:
            yield Finding(check, NOT_SEEN, fit.reason, 'drive the robot by hand, to and fro and '
                          'round, while the doctor listens')
            continue
        parameter, limit, unit, column = limits[name]
        top = float(np.quantile(np.abs(commands.value[:, column]), 0.99))
        dead = _dead_band(motion, commands, column)
        seen = f'{fit.words()}, commanded up to {top:.2f} {unit}'
        delay = expected.command_delay_s
        verdicts = {
            f'the robot does {abs(fit.gain):.2f} of what it is told: set {parameter} to what it '
            f'can do (now {limit:g}), or scale the command in its driver':
                _off(fit, COMMAND_OFF_FIX),
            f'it moves {fit.lag_s:.2f} s after the command: set command_delay_s to that (now '
            f'{delay:g}) and reaction_time_s to no less':
                WARN if fit.lag_s - 2 * fit.lag_se > delay + MOTORS_S + LATE_S else OK}
        if fit.lag_s + 2 * fit.lag_se < -0.1:
            verdicts['odometry moves before the command: its stamps or those of the commands are '
                     'wrong'] = WARN
        if dead is not None:
            seen += f', nothing below {dead:.2f} {unit}'
            verdicts[f'commands below {dead:.2f} {unit} do not move it: the planner steers by '
                     'small ones; lower the dead band of its driver'] = WARN
        advice, verdict = worst(verdicts)
        yield Finding(check, verdict, seen, advice, {
            'gain': fit.gain, 'gain_se': fit.gain_se, 'lag_s': fit.lag_s, 'top': top})


def _dead_band(motion: Motion, commands: Commands, column: int) -> float | None:
    """Largest steady command, while others move the robot, that does not; None: there is none."""
    stamp, value = commands.stamp, commands.value[:, column]
    edges = np.flatnonzero(np.append(True, np.abs(np.diff(value)) > 0.02 * np.abs(value).max()))
    ends = np.append(edges[1:], stamp.size - 1)
    asked, done = [], []
    for first, last in zip(edges, ends):
        if stamp[last] - stamp[first] > 0.8 and abs(value[first]) > 1e-3:
            middle = np.array([stamp[first] + 0.4]), np.array([stamp[last]])
            mean = motion.mean(*middle)[0]
            asked.append(abs(value[first]))
            done.append(abs(mean[(0, 2)[column]]))
    share = np.array(done) / np.maximum(np.array(asked), 1e-9)
    still, moving = np.array(asked)[share < 0.15], np.array(asked)[share > 0.5]
    if len(still) < 2 or len(moving) < 2 or still.max() > moving.min():
        return None
    least = 0.03 if column == 0 else 0.06
    return float(still.max()) if still.max() > least else None


def _off(fit: Fit, fix: float = OFF_FIX) -> str:
    """Verdict of a gain that should be 1, as far as its error is left out of account."""
    off = max(abs(abs(fit.gain) - 1.0) - 2 * fit.gain_se, 0.0)
    return FIX if off > fix else WARN if off > OFF_WARN else OK
