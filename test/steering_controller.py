# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The controller node with a driver that steers straight at the goal: no model, and no fear."""

import numpy as np

from wm_controller.nodes import runtime
from wm_controller.nodes.controller import ControllerNode
from wm_controller.planning.contract import Plan
from wm_controller.safety.geometry import wrap_angle


class Steering:
    """Turns to the goal and drives there by odometry, at 0.5 m/s."""

    def __init__(self, tolerance):
        self.goal, self.observation, self.tolerance = None, None, tolerance

    def set_goal(self, goal):
        self.goal = goal

    def observe(self, observation):
        self.observation = observation

    def plan(self, now, deadline_s):
        seen, goal = self.observation, self.goal
        if goal is None or seen.pose is None:
            return Plan(seen.stamp)
        offset = np.array([goal.x, goal.y]) - seen.pose[:2]
        distance = float(np.hypot(*offset))
        if distance < self.tolerance:
            return Plan(seen.stamp, state='reached', goal_distance=distance)
        bearing = float(wrap_angle(np.arctan2(offset[1], offset[0]) - seen.pose[2]))
        return Plan(seen.stamp, v=0.5 * max(0.0, 1.0 - abs(bearing)), w=float(
            np.clip(2.0 * bearing, -1.0, 1.0)), state='planning', goal_distance=distance)

    def admitted(self, stamp, v, w):
        pass

    def reset(self):
        self.goal = None


if __name__ == '__main__':
    runtime.run(lambda: ControllerNode(
        lambda settings: (Steering(settings.goal_tolerance), 'steering', 0.2)))
