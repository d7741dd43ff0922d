# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The pilot: observe, imagine, choose. Shared by the controller node and the evaluation."""

from collections.abc import Callable
from dataclasses import replace
import math
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wm_controller.errors import InputError
from wm_controller.memory.free_space import CostToGo, FreeSpace
from wm_controller.memory.movers import Movers
from wm_controller.planning import recovery
from wm_controller.planning.config import PilotConfig
from wm_controller.planning.contract import (
    Goal,
    ImageGoal,
    Imagined,
    NO_PLACES,
    Observation,
    Plan,
    PoseGoal,
    RouteGoal,
)
from wm_controller.planning.destination import Destination, Destinations
from wm_controller.planning.estimator import Estimate, Estimator
from wm_controller.planning.exploration import Explorer
from wm_controller.planning.film import Film
from wm_controller.planning.goal_estimate import GoalEstimate
from wm_controller.planning.hierarchy import UpperLevel
from wm_controller.planning.imagination import Imagination
from wm_controller.planning.lower_level import LowerLevel, Pending
from wm_controller.planning.objectives import Situation
from wm_controller.planning.proposals import Proposer
from wm_controller.planning.wayfinder import Wayfinder, WayfinderConfig
from wm_controller.safety.geometry import wrap_angle
from wm_controller.world_model.attach import upper_level
from wm_controller.world_model.bundle import Bundle

__all__ = ['Goal', 'ImageGoal', 'Observation', 'Pilot', 'Plan', 'PoseGoal']

Floats = NDArray[np.float64]
MIN_PLAN_S = 0.005
STANDING_M_S = 0.03
WARM_UP_CYCLES = 3


class Pilot:
    """Drives towards a goal with a world model.

    `observe` takes in a frame, `plan` answers with a command for the moment when it will act.
    Times are ROS seconds; the caller's two calls may come at any rate, in one thread. `clock`
    measures the work of a plan: processor time, not the wall's, where many drives share a core.
    Raises InputError where the configuration asks for a hierarchy that the model does not have.
    """

    def __init__(self, bundle: Bundle, config: PilotConfig | None = None, seed: int = 0,
                 clock: Callable[[], float] = time.perf_counter) -> None:
        config = config or PilotConfig()
        self._clock = clock
        # The model knows only actions that it has seen: what is asked of it stays inside.
        self.config = replace(config, limits=config.limits.within(bundle.spec.action_limits))
        self.bundle = bundle
        self.runtime, self.runtime_warning = bundle.model.runtime, ''  # for people to read
        self.estimator = Estimator(bundle)
        self.memory = FreeSpace(self.config.footprint.reach, areas=self.config.areas)
        self.imagination = Imagination.of(bundle, self.config.drawn_futures, seed)
        self.film = Film(bundle) if bundle.model.decoder is not None else None
        self._bearings = np.asarray(bundle.spec.clearance_bearings, float)
        self._stall = recovery.StallDetector(config.stalled_after_s, config.stalled_within)
        self._stuck = recovery.StuckDetector(self.config.stuck_after_s)
        self._upper = UpperLevel(upper_level(bundle), self.config, seed) if (
            self.config.hierarchical and self.config.use_upper_level) else None
        self.wayfinder = Wayfinder(bundle, WayfinderConfig(
            use_compass=self.config.use_compass)) if (
                self.config.hierarchical and self.config.use_places) else None
        self._seed = seed
        head = bundle.model.proposal if self.config.use_proposals else None
        self._proposer = None if head is None else Proposer(head)
        self._lower = self._lower_level()
        self._goal: GoalEstimate | None = None
        self._start_anew()

    def _lower_level(self) -> LowerLevel:
        return LowerLevel(self.imagination, self.config, self._seed, self._clock, self._proposer)

    def _start_anew(self) -> None:
        self.movers = Movers()
        if self._upper is not None:
            self._upper.forget()
        self._lower.forget()
        self._last_action = np.zeros(2)
        self._way: CostToGo | None = None
        self._way_at = -math.inf
        self._target: Floats | None = None  # where the way leads: the goal, or a place before it
        self.target: Floats | None = None  # (2,) in odom, that the last plan leads to
        self.destinations = Destinations(self.wayfinder, self.memory, self.config)
        self._back_off_until = -math.inf
        self._no_way_since: float | None = None
        self._doubted_at = -math.inf
        self._uncertain_since: float | None = None
        self._reached = False
        self._facing_since: float | None = None
        self._looked_round = 0
        self._look_until, self._look_turn = -math.inf, 1.0
        self._stuck.reset()
        self._stall.reset()

    def reset(self) -> None:
        """Forget the past, the goal included; but not the places that the wayfinder knows."""
        self.estimator.reset()
        self.memory.clear()
        self._goal = None
        self._lower = self._lower_level()
        if self.wayfinder is not None:
            self.wayfinder.restart()
        self._start_anew()

    def warm_up(self) -> None:
        """Plan on grey images, and forget them: first plans are slow, and none is to be late."""
        grey = np.full((*self.bundle.spec.image_size, 3), 127, np.uint8)
        self.set_goal(PoseGoal(4.0, 0.0))
        for cycle in range(WARM_UP_CYCLES):
            stamp = 1.0 + 0.1 * cycle
            self.observe(Observation(stamp, grey, np.zeros(3), np.zeros(2)))
            self.plan(stamp, deadline_s=1.0)
        if self.wayfinder is not None:
            self.wayfinder.forget()
        self.reset()

    def set_goal(self, goal: Goal | None) -> None:
        """Head for a goal from now on; None stops. What was seen is remembered.

        Raises InputError, and stops, for a picture where not `takes_pictures`, and for a route
        where none was taught.
        """
        self._goal = None
        self._start_anew()
        if isinstance(goal, RouteGoal):
            if self.wayfinder is None:
                raise InputError(NO_PLACES)
            self.wayfinder.repeat(goal.backwards)
        if goal is not None:
            self._goal = GoalEstimate(goal, self.estimator)
        if self.wayfinder is not None:
            self.wayfinder.pin([goal.x, goal.y, goal.yaw or 0.0] if isinstance(
                goal, PoseGoal) else None)

    @property
    def takes_pictures(self) -> bool:
        """Whether the model can tell where a goal picture was taken."""
        return self.bundle.model.goal_pose is not None

    @property
    def explores(self) -> bool:
        """Whether the model sees where there is room, so that it can go and look for more."""
        return self.config.use_memory and len(self._bearings) > 0

    @property
    def explorer(self) -> Explorer:
        """What says where more would be seen."""
        return self.destinations.explorer

    def observe(self, observation: Observation) -> None:
        """Take in a frame: update the latent state and the memory of space."""
        estimate = self.estimator.observe(observation)
        if self.wayfinder is not None:
            self.wayfinder.observe(estimate)
        if estimate.jumped:
            self.memory.clear()
            self.set_goal(self._goal.goal if self._goal else None)
        if self.explores:
            self._remember(estimate)
        if self._goal is not None:
            self._goal.update(estimate)

    def admitted(self, stamp: float, v: float, w: float) -> None:
        """Hear what guardrails let through to the wheels at `stamp` s: m/s, rad/s."""
        if self.config.hear_admitted:
            self.estimator.admitted(stamp, v, w)

    def _remember(self, estimate: Estimate) -> None:
        clearance = self.bundle.model.clearance(estimate.state)[0].numpy().astype(float)
        still = self.movers.see(estimate.stamp, estimate.pose, self._bearings, clearance,
                                self.memory) if self.config.use_movers else clearance
        self.memory.see(estimate.stamp, estimate.pose, self._bearings, still)
        held_up = 0 if self.movers.near(estimate.pose[:2]) else self._stuck.update(
            estimate.stamp, estimate.pose, float(self._last_action[0]))
        if held_up:
            self.memory.block(estimate.stamp, estimate.pose, *recovery.held_up_by(
                held_up, self._bearings, clearance[1], self.config.footprint.reach))
            self._way_at = -math.inf
            if self.wayfinder is not None:
                self.wayfinder.held_up(estimate.pose, estimate.stamp)
            if held_up > 0:
                self._back_off_until = estimate.stamp + self.config.back_off_s
        else:
            self.memory.occupy_track(estimate.stamp, estimate.pose)

    def plan(self, now: float, deadline_s: float) -> Plan:
        """Choose the command to send at about `now`, within `deadline_s` seconds of work."""
        begun = self._clock()
        estimate = self.estimator.latest
        if estimate is None or self._goal is None:
            stamp = now if estimate is None else estimate.stamp
            return self._finish(Plan(stamp=stamp), now, begun)
        plan = self._towards(self._goal, estimate, now, begun + max(deadline_s, MIN_PLAN_S))
        return self._finish(replace(plan, surprise=estimate.surprise), now, begun, deadline_s)

    def _finish(self, plan: Plan, now: float, begun: float, deadline_s: float = math.inf) -> Plan:
        taken = self._clock() - begun
        self._last_action = np.array([plan.v, plan.w])
        self.estimator.commanded(now, plan.v, plan.w)
        return replace(plan, plan_s=taken, late=taken > deadline_s)

    def _towards(self, goal: GoalEstimate, estimate: Estimate, now: float,
                 deadline: float) -> Plan:
        to = self.destinations.of(goal, estimate, now)
        stopped = Plan(stamp=estimate.stamp, path=estimate.pose[None])
        if to.place is None and to.instead == 'look' or (
                goal.picture is not None and now < self._look_until):
            return self._looking(stopped)
        if to.place is None:
            return replace(stopped, state=to.instead)
        distance = float(np.hypot(*(to.place - estimate.pose[:2])))
        stopped = replace(stopped, goal_distance=distance)
        arrived = self._arrived(goal, distance, to.yaw, estimate, now) if to.ends else None
        if arrived is not None:
            return replace(stopped, **arrived)
        if goal.picture is not None and not self.destinations.found and self._lost(goal, now):
            if self._look_round(goal, now):
                return self._looking(stopped)
            return replace(stopped, state='lost')
        situation = self._situation(estimate, to, now)
        if self._unreachable(situation, now):
            if not to.wanders:
                return replace(stopped, state='unreachable')
            self.destinations.give_up(now)
        if self._no_way_since is not None:
            situation = replace(situation, way=None)  # as the crow flies, while it looks again
        if now < self._back_off_until:
            v, w = recovery.back_off(estimate.pose, self.memory, self.config)
            return replace(stopped, v=float(v), w=float(w), state='planning', cost=math.inf)
        if now < self._look_until:
            return self._looking(stopped)
        if self._stall.update(now, estimate.pose):
            # Nothing imagined is better than staying: what is remembered about here must be
            # wrong. Doubt it, and look round for what is really there.
            self.memory.doubt(estimate.pose[:2], self.config.doubt_within)
            self._way_at = -math.inf
            if self.wayfinder is not None:
                self.wayfinder.held_up(estimate.pose, now)
            self.destinations.give_up(now)
            self._look_until, self._look_turn = now + self.config.look_around_s, -self._look_turn
        # Along a route that was taught there is nothing left to plan from above.
        if self._upper is not None and to.via is None and (
                distance > self.config.hierarchy.flat_within):
            situation = self._upper.look_ahead(estimate.stamp, estimate.state, situation,
                                               self.memory, deadline, self._clock)
        return self._optimise(situation, estimate, now, deadline, stopped, goal.picture)

    def _arrived(self, goal: GoalEstimate, distance: float, yaw: float | None,
                 estimate: Estimate, now: float) -> dict[str, Any] | None:
        """What to do at the goal: turn to its heading, rad in odom, and hold still there.

        Where a picture was taken is best seen from there, facing what it shows: until it has
        been compared so for a while, it is not held to be reached.
        """
        slack = 1.6 if self._reached else 1.0  # once there, drift does not start it again
        tolerance = self.config.goal_tolerance
        if goal.picture is not None and self._facing_since is None:
            tolerance *= self.config.picture_share  # the place itself is uncertain by as much
        if distance > slack * tolerance:
            self._reached, self._facing_since = False, None
            return None
        if yaw is not None and not self._reached:
            turn = float(wrap_angle(yaw - estimate.pose[2]))
            if abs(turn) > 0.15:
                self._facing_since = None
                limit = self.config.look_speed
                return {'state': 'planning', 'w': float(np.clip(1.5 * turn, -limit, limit))}
        if self._facing_since is None:
            self._facing_since = now
        standing_s = now - self._facing_since
        compared = goal.picture is None or standing_s >= self.config.compare_s
        if not self._reached and not (compared and goal.certain):
            if standing_s <= self.config.doubt_picture_s:
                return {'state': 'planning'}
            if self._look_round(goal, now):
                return {'state': 'planning', 'w': self._look_speed}
            return {'state': 'lost'}
        self._reached = True
        return {'state': 'reached'}

    def _looking(self, stopped: Plan) -> Plan:
        return replace(stopped, w=self._look_speed, state='planning', cost=math.inf)

    @property
    def _look_speed(self) -> float:
        return self.config.look_speed * self._look_turn

    def _look_round(self, goal: GoalEstimate, now: float) -> bool:
        """Forget where a picture was thought to be and begin a whole turn to see it anew.

        False where that was done often enough.
        """
        if goal.picture is None or self._looked_round >= self.config.look_rounds:
            return False
        self._looked_round += 1
        goal.refute()
        self._facing_since = self._uncertain_since = None
        self._look_until = now + self.config.look_all_round_s
        return True

    def _lost(self, goal: GoalEstimate, now: float) -> bool:
        if goal.known:
            self._uncertain_since = None
            return False
        if self._uncertain_since is None:
            self._uncertain_since = now
        return now - self._uncertain_since > self.config.lost_after_s

    def _situation(self, estimate: Estimate, to: Destination, now: float) -> Situation:
        config = self.config
        if config.use_memory and now - self._way_at > config.cost_to_go_period_s:
            self._way, self._target = self._way_to(to, estimate, now)
            self._way_at = now
        assert to.place is not None
        self.target = place = to.place if self._target is None else self._target
        obstacles = self.memory.obstacles_near(estimate.pose, config.obstacle_range)
        movers = self.movers.forecast(self.imagination.period_s, config.horizon_steps)
        return Situation(estimate.pose, place, obstacles, self._way if config.use_memory else None,
                         self._last_action, movers=movers)

    def _way_to(self, to: Destination, estimate: Estimate, now: float
                ) -> tuple[CostToGo, Floats | None]:
        """The way through what is known of space, and the place it leads to if not the goal."""
        place = to.place
        assert place is not None
        if self.wayfinder is None:
            return self.memory.cost_to_go(place), None
        driven = self.wayfinder.ways_about(estimate.pose, now)
        target = to.via
        if target is None and not self.memory.covers(place):
            target = self.wayfinder.next_place(place, now)
        if target is None or not self.memory.covers(target):
            return self.memory.cost_to_go(place, driven), None
        return self.memory.cost_to_go(target, driven), target

    def _unreachable(self, situation: Situation, now: float) -> bool:
        """Whether memory, doubted again and again, still knows of no way through the unknown."""
        if situation.way is None or recovery.leads_from(situation.way, situation.pose):
            self._no_way_since = None
            return False
        if self._no_way_since is None:
            self._no_way_since = self._doubted_at = now
        if now - self._doubted_at > self.config.doubt_after_s:
            self.memory.doubt()
            self._doubted_at, self._way_at = now, -math.inf
        return now - self._no_way_since > self.config.unreachable_after_s

    def _optimise(self, situation: Situation, estimate: Estimate, now: float, deadline: float,
                  stopped: Plan, picture: Any = None) -> Plan:
        config = self.config
        # The frame is old by the time that the command acts; until then the commands already
        # sent are in force.
        period = self.imagination.period_s
        latency = min(max(0.0, now - estimate.stamp) + config.command_delay_s, period)
        pending = Pending(self.estimator.mean_command(
            estimate.stamp - config.command_delay_s, estimate.stamp + latency),
            latency / period if config.compensate_latency else 0.0)
        above = self._upper if situation.subgoal is not None else None
        meant = above.meant(estimate.stamp) if above else None
        if above and above.outlook:
            stopped = replace(stopped, far_path=above.outlook.poses)
        course = self._lower.plan(estimate.state, situation, self.memory, pending, now, deadline,
                                  meant, picture)
        if not np.isfinite(course.cost):
            moving = self._last_action[0] if estimate.twist is None else estimate.twist[0]
            v, w = self._lower.brake(now, float(moving)) if abs(moving) > STANDING_M_S else (
                recovery.back_off(estimate.pose, self.memory, config))
            return replace(stopped, v=float(v), w=float(w), state='planning', cost=math.inf,
                           rounds=course.rounds)
        v, w = course.actions[0]
        return replace(stopped, v=float(v), w=float(w), state='planning', cost=course.cost,
                       rounds=course.rounds, path=course.path, candidates=course.candidates,
                       imagined=Imagined(estimate.state, course.acted))
