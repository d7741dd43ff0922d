# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""What drives in an evaluation: the pilot itself, or a baseline with the same methods."""

from __future__ import annotations

from typing import Protocol

from wm_controller.planning.contract import Goal, Observation, Plan


class Policy(Protocol):
    """Turns observations into commands; times are ROS seconds, poses in the odometry's frame."""

    def set_goal(self, goal: Goal | None) -> None:
        """Head for a goal from now on; None stops."""

    def observe(self, observation: Observation) -> None:
        """Take in a camera frame with the odometry of its moment."""

    def plan(self, now: float, deadline_s: float) -> Plan:
        """Command what is best as far as known at `now`, within `deadline_s` of it."""

    def reset(self) -> None:
        """Forget the past, the goal included."""
