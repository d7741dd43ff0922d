# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""From the last command towards the wanted one, as far as acceleration, braking and jerk allow.

The change goes along the straight line between the two twists, so that v and w are cut together:
from rest, and to rest, the curve stays the curve.
"""

from __future__ import annotations

from dataclasses import dataclass
import math

from wm_controller.safety.limits import Limits


@dataclass(frozen=True)
class Command:
    """A twist: v m/s forwards, w rad/s to the left."""

    v: float = 0.0
    w: float = 0.0

    def scaled(self, scale: float) -> Command:
        """The same curve at another speed."""
        return Command(self.v * scale, self.w * scale)

    def is_zero(self) -> bool:
        """Whether this commands to stand still."""
        return self.v == 0.0 and self.w == 0.0


ZERO = Command()


def throttle_after(before: Command, after: Command, dt_s: float) -> float:
    """Acceleration (m/s^2) of a command that speeds up; 0 where it brakes or holds."""
    if dt_s <= 0.0 or before.v * after.v < 0.0:
        return 0.0
    return max(0.0, abs(after.v) - abs(before.v)) / dt_s


def toward(
        last: Command, target: Command, throttle: float, dt_s: float, limits: Limits,
        taper: bool = True) -> Command:
    """The command nearest to `target` that may follow `last` after `dt_s`.

    `throttle` is the acceleration that `last` was reached with. With `taper` the acceleration
    fades before the target so that it can end there within the jerk limit. A throttle that must
    be let go faster than jerk allows is braking: the speed then falls, if only a little.
    """
    if dt_s <= 0.0:
        return last
    dv, dw = target.v - last.v, target.w - last.w
    turn_share = _share(limits.max_angular_acceleration * dt_s, dw)
    reverses = last.v * target.v < 0.0
    if reverses or abs(target.v) < abs(last.v):
        share = min(turn_share, _share(limits.max_linear_deceleration * dt_s, dv))
        to_zero = last.v / -dv if reverses else 1.0
        if reverses and share >= to_zero:
            return Command(0.0, last.w + to_zero * dw)
        return _between(last, target, share)
    jerk_step = limits.max_linear_jerk * dt_s
    most = min(limits.max_linear_acceleration, throttle + jerk_step)
    if taper:
        most = min(most, _fading(abs(dv), limits.max_linear_jerk, dt_s))
    share = min(turn_share, _share(most * dt_s, dv))
    if share * abs(dv) < (throttle - jerk_step) * dt_s * (1.0 - 1e-9):
        give = min(jerk_step * dt_s, limits.max_linear_deceleration * dt_s, abs(last.v))
        return Command(
            last.v - math.copysign(give, last.v), last.w + turn_share * dw)
    return _between(last, target, share)


def _fading(gap: float, jerk: float, dt_s: float) -> float:
    """Largest acceleration now that can fade to none before the speed has risen by `gap`."""
    step = jerk * dt_s
    return math.sqrt(step * step + 2.0 * jerk * gap) - step


def _share(allowed: float, wanted: float) -> float:
    """Share of the wanted change that is allowed; rounding does not count as a limit."""
    return 1.0 if abs(wanted) <= allowed * (1.0 + 1e-9) else allowed / abs(wanted)


def _between(last: Command, target: Command, share: float) -> Command:
    if share >= 1.0:
        return target
    return Command(last.v + share * (target.v - last.v), last.w + share * (target.w - last.w))
