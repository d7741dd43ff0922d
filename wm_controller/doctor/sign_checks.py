# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Which way it turns and drives: the witnesses are compared, and the one that disagrees is named.

Odometry is what the others are measured against; where two of them contradict it, it is wrong.
"""

from collections.abc import Iterator, Mapping

import numpy as np

from wm_controller.doctor.finding import Finding, FIX, NOT_SEEN, OK

TURN_ADVICE = {
    'commands': 'the base turns against its commands: exchange or reverse its motors, or negate '
                'angular.z in its driver (REP-103: positive is to the left)',
    'camera': 'the picture moves the wrong way: the camera is mirrored or upside down; flip it in '
              'its driver (both axes where it hangs upside down)',
    'laser': 'scans turn the wrong way: the scanner is upside down or counts its beams clockwise; '
             'give it a roll of pi in tf, or let its driver reverse the beams',
}
ODOMETRY_TURNS = ('odometry counts turns the wrong way: negate yaw and angular.z in the base '
                  'driver (exchanged encoders, or a gyroscope upside down)')
DRIVE_ADVICE = {
    'commands': 'the base drives against its commands: reverse both motors, or negate linear.x '
                'in its driver',
    'laser': 'the laser looks backwards: correct its yaw in tf (or scan_yaw) by pi',
}
ODOMETRY_DRIVES = 'odometry counts the way backwards: reverse both encoders in the base driver'


def turn_findings(signs: Mapping[str, int], against: str) -> Iterator[Finding]:
    """`signs`: +1, -1 or 0 (not known) of each witness against the turning of `against`."""
    yield from _judge('turn_sign', signs, against, TURN_ADVICE, ODOMETRY_TURNS,
                      'turn the robot to and fro')


def drive_findings(signs: Mapping[str, int], against: str) -> Iterator[Finding]:
    """Likewise for driving ahead."""
    yield from _judge('drive_sign', signs, against, DRIVE_ADVICE, ODOMETRY_DRIVES,
                      'drive half a metre ahead and back')


def _judge(check: str, signs: Mapping[str, int], against: str, advice: Mapping[str, str],
           accused: str, remedy: str) -> Iterator[Finding]:
    known = {name: sign for name, sign in signs.items() if sign}
    if not known:
        yield Finding(check, NOT_SEEN, 'nobody to compare with', remedy)
        return
    agree = [name for name, sign in known.items() if sign > 0]
    differ = [name for name, sign in known.items() if sign < 0]
    seen = '; '.join(f'{text}: {" and ".join(names)}' for text, names in (
        (f'with {against}', agree), (f'against {"it" if agree else against}', differ)) if names)
    figures = {'agree': agree, 'differ': differ}
    if not differ:
        yield Finding(check, OK, seen, figures=figures)
    elif len(differ) > 1 and against == 'odometry':
        yield Finding(check, FIX, seen, accused, figures)
    elif agree or against != 'odometry':
        yield Finding(check, FIX, seen, '; '.join(advice[name] for name in differ), figures)
    else:
        yield Finding(check, FIX, seen, f'one of the two is wrong: {advice[differ[0]]}; or '
                      f'{accused}', figures)


def opposite(angle_rad: float, se_rad: float) -> int:
    """-1 for a direction that is backwards, +1 for any other; 0 where it is not known."""
    if not np.isfinite(angle_rad):
        return 0
    return -1 if abs(abs(angle_rad) - np.pi) < max(np.deg2rad(15.0), 2 * se_rad) else 1
