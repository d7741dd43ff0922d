# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""What a message must be to count, and how old it is. A cause of refusal is one word."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
import math

from wm_controller.safety.geometry import Floats
from wm_controller.safety.limits import Limits

SLACK_M, SLACK_RAD = 0.1, 0.2
"""Odometry that moves by more, beyond twice the velocity limits, has jumped."""
LONGEST_GAP_S = 0.2
"""After a longer gap the robot may be anywhere: that too has to be agreed on."""
AGREEING, RETURNING = 5, 3
"""So many messages in a row after a jump that follow from each other are the new truth, or that
follow from what was before it the old one: what jumps to and fro is neither."""
MOST_AHEAD_S = 0.1
"""A stamp further in the future than this is refused."""


@dataclass(frozen=True)
class Seen:
    """When a message was stamped (ROS time, s) and when it came (steady time, s)."""

    stamp: float
    received: float

    def age(self, now_ros: float, now_steady: float) -> float:
        """Seconds since the older of stamp and receipt."""
        return max(now_ros - self.stamp, now_steady - self.received)

    def then(self, stamp: float, received: float) -> Seen:
        """The next message. One with the same stamp is not newer, whenever it came."""
        return self if stamp == self.stamp else Seen(stamp, received)


def is_fresh(seen: Seen | None, now_ros: float, now_steady: float, timeout_s: float) -> bool:
    """Whether anything was heard, and not longer ago than the timeout."""
    return seen is not None and seen.age(now_ros, now_steady) <= timeout_s


def stamp_fault(stamp: float, now_ros: float, previous: Seen | None) -> str | None:
    """Why a message with this stamp is dropped, or None."""
    if not math.isfinite(stamp):
        return 'not_finite'
    if stamp <= 0.0:
        return 'zero_stamp'
    if now_ros <= 0.0:
        return 'no_clock'
    if stamp > now_ros + MOST_AHEAD_S:
        return 'future_stamp'
    if previous is not None and stamp < previous.stamp:
        return 'out_of_order'
    return None


class Continuity:
    """Tells a pose that cannot follow from the one before, until several in a row agree."""

    def __init__(self) -> None:
        self._taken: tuple[float, Floats] | None = None
        self._candidate: tuple[float, Floats] | None = None
        self._agreeing = self._back = 0

    def check(self, stamp: float, pose: Floats, limits: Limits) -> tuple[bool, bool]:
        """Whether the pose (3,) at a time (s) counts, and whether it is a jump taken up."""
        if self._taken is None or _follows(self._taken, stamp, pose, limits):
            self._back = self._back + 1 if self._candidate is not None else RETURNING
            self._agreeing = 0
            if self._back < RETURNING:
                return False, False
            self._taken, self._candidate, self._agreeing = (stamp, pose), None, 0
            return True, False
        self._back = 0
        agrees = self._candidate is not None and _follows(self._candidate, stamp, pose, limits)
        self._candidate, self._agreeing = (stamp, pose), self._agreeing + 1 if agrees else 1
        if self._agreeing < AGREEING:
            return False, False
        self._taken, self._candidate, self._agreeing = (stamp, pose), None, 0
        return True, True


def _follows(before: tuple[float, Floats], stamp: float, pose: Floats, limits: Limits) -> bool:
    elapsed = min(stamp - before[0], LONGEST_GAP_S)
    fastest = max(limits.max_linear_velocity, -limits.min_linear_velocity)
    moved = math.hypot(pose[0] - before[1][0], pose[1] - before[1][1])
    turned = abs(math.remainder(pose[2] - before[1][2], 2.0 * math.pi))
    return (moved <= 2.0 * fastest * elapsed + SLACK_M
            and turned <= 2.0 * limits.max_angular_velocity * elapsed + SLACK_RAD)


def all_finite(numbers: Iterable[float]) -> bool:
    """Whether none of the numbers is NaN or infinite."""
    return all(map(math.isfinite, numbers))
