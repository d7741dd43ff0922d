# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Where to go, for every kind of goal: by what is seen, and by what is remembered of places."""

from dataclasses import dataclass
import math

import numpy as np
from numpy.typing import NDArray

from wm_controller.memory.free_space import FreeSpace
from wm_controller.planning.config import PilotConfig
from wm_controller.planning.contract import ExploreGoal, RouteGoal
from wm_controller.planning.estimator import Estimate
from wm_controller.planning.exploration import Explorer
from wm_controller.planning.goal_estimate import GoalEstimate
from wm_controller.planning.wayfinder import Wayfinder

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Destination:
    """A place (2,) in odom and how to stand there, rad, None: any way.

    `via` (2,): where the way there has to lead first. `ends`: the drive, once it is reached.
    Without a place there is nowhere to go: `instead` says what to do, look round (`look`), or
    stand and be in that state.
    """

    place: Floats | None = None
    yaw: float | None = None
    via: Floats | None = None
    ends: bool = True
    instead: str = 'planning'

    @property
    def wanders(self) -> bool:
        """Whether any other place would do as well."""
        return not self.ends and self.via is None


class Destinations:
    """Finds the destination of one goal, anew with every plan."""

    def __init__(self, wayfinder: Wayfinder | None, memory: FreeSpace, config: PilotConfig
                 ) -> None:
        self._wayfinder, self._memory, self._config = wayfinder, memory, config
        self.explorer = Explorer(config.footprint.reach)
        self._found: Floats | None = None  # of a goal picture, among places: its pose on the map
        self._found_at = -math.inf
        self._searching_since: float | None = None  # for where on the map the robot is

    @property
    def found(self) -> bool:
        """Whether a goal picture was found among the places."""
        return self._found is not None

    def give_up(self, now: float) -> None:
        """Leave what is wandered to alone: there is no getting there."""
        self.explorer.give_up(now)

    def of(self, goal: GoalEstimate, estimate: Estimate, now: float) -> Destination:
        """Where to go for the goal, as things look now."""
        if isinstance(goal.goal, ExploreGoal):
            return self._wander(estimate, now, 'reached')
        if self._wayfinder is None:
            return Destination(goal.place, goal.yaw)
        if isinstance(goal.goal, RouteGoal):
            return self._along_route(self._wayfinder, estimate, now)
        pinned = self._wayfinder.pinned
        if pinned is not None:
            return Destination(pinned[:2], None if goal.yaw is None else float(pinned[2]))
        return self._picture(self._wayfinder, goal, now)

    def _picture(self, wayfinder: Wayfinder, goal: GoalEstimate, now: float) -> Destination:
        if goal.picture is not None and goal.pixels is not None and self._found is None and (
                now - self._found_at > self._config.find_every_s):
            self._found_at = now
            self._found = wayfinder.find(goal.picture, goal.pixels)
        if self._found is None:
            return Destination(goal.place, goal.yaw)
        found = wayfinder.in_odom(self._found)
        # Of two pictures taken close together the one that is seen now tells more; but one of
        # another place that looks alike is not believed.
        if goal.known and goal.place is not None and float(
                np.hypot(*(goal.place - found[:2]))) < self._config.found_within:
            return Destination(goal.place, goal.yaw)
        return Destination(found[:2], float(found[2]))

    def _along_route(self, wayfinder: Wayfinder, estimate: Estimate, now: float) -> Destination:
        found = wayfinder.along_route(estimate.pose)
        if found is None:
            return self._search(estimate, now)
        self._searching_since = None
        ahead, end, nothing_else = found
        return Destination(end, via=None if nothing_else else ahead, ends=nothing_else)

    def _search(self, estimate: Estimate, now: float) -> Destination:
        """Find out where on the map the robot is: look round, go elsewhere, look round again."""
        if self._searching_since is None:
            self._searching_since = now
        config = self._config
        looked_s = config.look_all_round_s
        rounds, since_s = divmod(now - self._searching_since, looked_s + config.look_elsewhere_s)
        if since_s < looked_s and rounds <= config.look_rounds:
            return Destination(instead='look')
        if rounds >= config.look_rounds:
            return Destination(instead='lost')
        return self._wander(estimate, now, 'look')

    def _wander(self, estimate: Estimate, now: float, else_: str) -> Destination:
        place = self.explorer.target(self._memory, estimate.pose, now)
        return Destination(place, ends=False, instead=else_)
