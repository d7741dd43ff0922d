# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""A teach drive before the drive that counts: somebody who knows the way drives it there and back.

The policy looks on. What the camera sees where the way ends is the goal picture of the drive that
follows, so that a goal can lie out of sight, rooms away.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from wm_controller.evaluation.baselines import Oracle
from wm_controller.evaluation.policy import Policy
from wm_controller.evaluation.records import Task
from wm_controller.evaluation.tasks import timeout_s
from wm_controller.planning.contract import Observation, PoseGoal
from wm_controller.safety.guard import Guard
from wm_controller.simulation.paths import DistanceField
from wm_controller.simulation.simulator import Simulator

TRIES = 3  # of the time that a drive may take: people may stand in the way


class Teacher:
    """Drives a simulated robot by hand, as it were: along the true map, behind the same guard."""

    def __init__(self, simulator: Simulator, policy: Policy, guard: Guard, *, tick_s: float,
                 camera_period_s: float, clock_start_s: float) -> None:
        self._simulator, self._policy, self._guard = simulator, policy, guard
        self._tick_s, self._clock_start_s = tick_s, clock_start_s
        self._every_camera = round(camera_period_s / tick_s)
        self._tell: Callable[[float, float, float], None] | None = getattr(
            policy, 'admitted', None)

    def show(self, task: Task) -> tuple[Task, np.ndarray]:
        """Drive to the goal and back; the task as it then stands, and the goal picture (H, W, 3).

        Where somebody stands in the way for good, the goal is where the drive got to.
        """
        self._drive(task.goal, task.timeout_s)
        goal, picture = self._simulator.pose.copy(), self._simulator.image()
        self._drive(task.start, task.timeout_s)
        start = self._simulator.pose.copy()
        shortest = float(DistanceField(self._simulator.room, goal[:2]).distance(start[:2]))
        robot = self._simulator.robot
        return replace(
            task, start=_tuple(start), goal=_tuple(goal), shortest_m=shortest,
            timeout_s=timeout_s(shortest, robot.max_linear, robot.max_angular)), picture

    def _drive(self, goal: tuple[float, float, float], limit_s: float) -> None:
        simulator, robot = self._simulator, self._simulator.robot
        driver = Oracle(simulator.room, goal, lambda: simulator.pose, lambda: simulator.people,
                        robot.max_linear, robot.max_angular)
        x, y, _ = simulator.world_to_odom(np.array(goal))
        driver.reset()
        driver.set_goal(PoseGoal(float(x), float(y)))
        until, tick = simulator.time + TRIES * limit_s, 0
        while simulator.time < until:
            now = self._clock_start_s + simulator.time
            odometry = simulator.odometry
            self._guard.on_odometry(odometry.pose, tuple(odometry.twist),
                                    self._clock_start_s + odometry.stamp, now, now)
            if tick % self._every_camera == 0:
                scan = simulator.scan()
                self._guard.on_scan(scan.points(), now, now, now, sees_m=scan.range_max)
                seen = Observation(now, simulator.image(), odometry.pose, odometry.twist)
                self._policy.observe(seen)
                driver.observe(seen)
                plan = driver.plan(now, self._tick_s)
                if plan.state == 'reached':
                    return
                self._guard.on_command('auto', plan.v, plan.w, now, now, now)
            verdict = self._guard.step(now, now)
            simulator.command(verdict.v, verdict.w)
            if self._tell:
                self._tell(now, verdict.v, verdict.w)
            simulator.step(self._tick_s)
            tick += 1


def _tuple(pose: np.ndarray) -> tuple[float, float, float]:
    x, y, yaw = pose.tolist()
    return x, y, yaw
