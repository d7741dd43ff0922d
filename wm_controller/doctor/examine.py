# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""All checks over one record, in the order in which a user mends things."""

from dataclasses import replace

from wm_controller.doctor.camera_checks import alive_finding, look_findings, look_of
from wm_controller.doctor.expected import Expected
from wm_controller.doctor.finding import Finding, FIX, NOT_SEEN, OK, WARN
from wm_controller.doctor.graph_checks import graph_findings
from wm_controller.doctor.message_checks import message_findings
from wm_controller.doctor.motion import commands_of, motion_of
from wm_controller.doctor.odom_checks import command_findings, command_fits, odometry_findings
from wm_controller.doctor.record import Record
from wm_controller.doctor.scan_checks import (
    beam_findings,
    body_finding,
    sight_findings,
    sight_of,
)
from wm_controller.doctor.sign_checks import drive_findings, opposite, turn_findings


def examine(record: Record, expected: Expected) -> list[Finding]:
    """Every finding of a record; what is stamped wrongly is not compared with anything."""
    found = [*graph_findings(record, expected), *message_findings(record, expected)]
    untimed = {each.check.removesuffix('_stamps') for each in found
               if each.check.endswith('_stamps') and each.verdict == FIX}
    motion, commands = motion_of(record), commands_of(record)
    turns: dict[str, int] = {}
    drives: dict[str, int] = {}
    against = 'odometry'
    if motion is not None and 'odom' not in untimed:
        found += odometry_findings(motion)
    else:
        motion = None
    if motion is not None and commands is not None:
        fits = command_fits(motion, commands)
        found += command_findings(motion, commands, fits, expected)
        turns['commands'], drives['commands'] = fits['turning'].sign, fits['ahead'].sign
    if record.stream('image') is not None:
        found.append(alive_finding(record))
        if not untimed & {'image', 'odom'}:
            look = look_of(record, motion)
            found += look_findings(look, record, expected)
            turns['camera'], against = look.sign, look.by or against
    if record.stream('scan') is not None:
        found += beam_findings(record)
        found.append(body_finding(record, motion))
        if not untimed & {'scan', 'odom'}:
            sight = sight_of(record, motion, expected)
            backwards = 0 if sight.reason else opposite(sight.mount_rad, sight.mount_se)
            turns['laser'], drives['laser'] = sight.sign, backwards
            found += [_unless_backwards(each, drives) for each in sight_findings(sight)]
            if not sight.reason:
                found = [_unless_scaled(each, sight.scale) for each in found]
    if untimed:
        found.append(Finding('motion', NOT_SEEN, f'not compared: {" and ".join(sorted(untimed))} '
                             'not stamped in time', 'mend the stamps first'))
    if turns:
        found += turn_findings(turns, against)
    if drives:
        found += drive_findings(drives, against)
    return found


def _unless_backwards(finding: Finding, drives: dict[str, int]) -> Finding:
    """A scan that sees odometry go backwards says nothing of its mount: `drive_sign` does."""
    if finding.check == 'scan_mount' and drives['laser'] < 0:
        return replace(finding, verdict=OK, advice='', seen=finding.seen + ': see drive_sign')
    return finding


def _unless_scaled(finding: Finding, scale: float) -> Finding:
    """Commands that seem not to be obeyed, where it is odometry that counts too little."""
    gain = abs(finding.figures.get('gain', 1.0))
    if finding.check == 'command_ahead' and finding.verdict == FIX and (
            abs(gain * scale - 1.0) < 0.5 * abs(gain - 1.0)):
        return replace(finding, verdict=WARN, advice='this is for odometry that counts too '
                       'little or too much: see odom_scale')
    return finding
