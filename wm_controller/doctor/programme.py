# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""A gentle drive that shows the doctor what it needs: turns, and straight ways there and back."""

import math

TURN_S, STRAIGHT_S = 6.0, 6.0
LEG_S = 2.2  # of each straight way
FORWARD_M_S, BACK_M_S = 0.2, -0.18
TURN_RAD_S, BIAS_RAD_S = 0.6, 0.25


def command_at(time_s: float) -> tuple[float, float]:
    """
    Speed m/s and turning rad/s, `time_s` after the begin.

    It turns to and fro, each time ending a bit further round, and drives 0.4 m ahead and back;
    it needs 0.7 m of free space around the robot.
    """
    number, phase = divmod(time_s, TURN_S + STRAIGHT_S)
    if phase < TURN_S:
        swing = math.sin(2 * math.pi * phase / 3.1) + 0.5 * math.sin(2 * math.pi * phase / 1.9
                                                                     + number)
        return 0.0, BIAS_RAD_S + TURN_RAD_S * swing / 1.5
    leg = phase - TURN_S
    if leg < LEG_S:
        return FORWARD_M_S, 0.0
    if 0.5 * STRAIGHT_S <= leg < 0.5 * STRAIGHT_S + LEG_S * FORWARD_M_S / -BACK_M_S:
        return BACK_M_S, 0.0
    return 0.0, 0.0
