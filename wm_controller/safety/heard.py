# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""What was heard of commands and sensors, and what follows from it for this moment."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from wm_controller.safety.geometry import Floats, to_child, to_parent
from wm_controller.safety.inputs import Continuity, is_fresh, Seen
from wm_controller.safety.limits import Limits
from wm_controller.safety.motion import Track
from wm_controller.safety.moving import MovingPoints
from wm_controller.safety.reaction import ReactionTime
from wm_controller.safety.tracking import Command
from wm_controller.safety.view import View


@dataclass
class Heard:
    """What was heard since ROS time last went back; times in s, angles in rad."""

    commands: dict[str, tuple[Command, Seen]] = field(default_factory=dict)
    odometry: Track = field(default_factory=Track)
    odom_seen: Seen | None = None
    continuity: Continuity = field(default_factory=Continuity)
    tilt: float = 0.0
    level_at: float = -np.inf
    scan_seen: Seen | None = None
    points: Floats = field(default_factory=lambda: np.zeros((0, 2)))
    sees_m: float = np.inf
    view: View | None = None
    moving: MovingPoints = field(default_factory=MovingPoints)
    reaction: ReactionTime = field(default_factory=ReactionTime)
    surprise_received: float = -np.inf
    surprised_since: float = np.inf
    commanded: Track = field(default_factory=Track)
    place: Floats = field(default_factory=lambda: np.zeros(3))
    clock_lost: bool = False

    def take_odometry(self, stamp: float, now_steady: float, pose: Floats,
                      twist: tuple[float, float], tilt: float, limits: Limits) -> bool:
        """Take finite odometry; whether its pose (3,) can follow from the last one."""
        counts, jumped = self.continuity.check(stamp, pose, limits)
        if not counts:
            return False
        if jumped:  # nothing lies between the old place and the new one
            self.odometry.clear()
            self.moving.clear()
        v, w = float(twist[0]), float(twist[1])
        self.odom_seen = _next(self.odom_seen, stamp, now_steady)
        self.odometry.add(stamp, pose, (v, w))
        self.reaction.on_odometry(stamp, (v, w))
        self.tilt = tilt
        if tilt <= limits.max_tilt:
            self.level_at = now_steady
        return True

    def take_scan(self, stamp: float, now_ros: float, now_steady: float, points: Floats,
                  sees_m: float, view: View | None, timeout_s: float) -> None:
        """Take a scan's points (N, 2), base frame at its stamp."""
        self.scan_seen = _next(self.scan_seen, stamp, now_steady)
        self.points, self.sees_m, self.view = points, sees_m, view
        self.reaction.on_scan(stamp, now_ros)
        if not is_fresh(self.odom_seen, now_ros, now_steady, timeout_s):
            self.moving.clear()
            return
        pose = self.odometry.at(stamp)
        scanner = view.origin if view is not None else np.zeros(2)
        self.moving.see(stamp, to_parent(pose, points), to_parent(pose, scanner)[0],
                        self.odometry.twist[1])

    def moving_at(self, now_ros: float) -> tuple[Floats, Floats] | None:
        """Points (M, 2) that move, and their velocities (M, 2), in the base frame by now."""
        found = self.moving.found
        if not len(found.points):
            return None
        pose = self.odometry.at(now_ros)
        turned = np.array((0.0, 0.0, pose[2]))
        return to_child(pose, found.at(now_ros)), to_child(turned, found.velocities)


def _next(previous: Seen | None, stamp: float, received: float) -> Seen:
    return previous.then(stamp, received) if previous else Seen(stamp, received)
