# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""What a message must be to count, and how old it is. A cause of refusal is one word."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
import math

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


def all_finite(numbers: Iterable[float]) -> bool:
    """Whether none of the numbers is NaN or infinite."""
    return all(map(math.isfinite, numbers))
