# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""A drive of the simulated robot by the doctor's programme, as messages, to plant faults into."""

from copy import deepcopy
from dataclasses import dataclass, field

import numpy as np

from bag_maker import Messages
from wm_controller.doctor.programme import command_at
from wm_controller.simulation.rooms import make_room
from wm_controller.simulation.simulator import CameraSpec, Simulator

START_S = 1000.0
DRIVEN_S, TICK_S = 24.0, 0.02
ROLES = {'image': '/camera/image_raw', 'odom': '/odom', 'scan': '/scan', 'cmd_vel': '/cmd_vel'}


@dataclass
class Drive:
    """Rows (receipt s, message) by role."""

    rows: dict = field(default_factory=dict)

    def changed(self, role, change):
        """The drive with `change(message, k)` done to copies of a role's messages."""
        rows = []
        for k, (receipt, message) in enumerate(self.rows[role]):
            message = deepcopy(message)
            made = change(message, k)
            if made is None:
                rows.append((receipt, message))
            elif made is not False:  # False: lost on the way
                rows.append((made, message))
        return Drive({**self.rows, role: rows})

    def without(self, *roles):
        return Drive({role: rows for role, rows in self.rows.items() if role not in roles})

    def times(self, role):
        return [receipt for receipt, _ in self.rows[role]]


def drive(seed=1, seconds=DRIVEN_S):
    """Drive in a room of the evaluation family."""
    room = make_room(seed, 'evaluation', people=0)
    start = room.sample_free_pose(np.random.default_rng(seed), 0.75)
    simulator = Simulator(room, CameraSpec(96, 72), seed=seed)
    simulator.reset(start)
    messages = Messages()
    try:
        for tick in range(round(seconds / TICK_S)):
            now = START_S + tick * TICK_S
            if tick % 3 == 0:
                v, w = command_at(tick * TICK_S)
                simulator.command(v, w)
                messages.add_command(now, v, w, stamped=True)
            simulator.step(TICK_S)
            now += TICK_S
            odometry = simulator.odometry
            messages.add_odometry(now, odometry.pose, *odometry.twist)
            if tick % 4 == 0:
                messages.add_image(now, simulator.image())
            if tick % 5 == 0:
                scan = simulator.scan()
                messages.add_scan(now, scan.ranges, angle_min=scan.angle_min, frame='base_link')
    finally:
        simulator.close()
    names = {topic: role for role, topic in ROLES.items()}
    made = Drive({role: [] for role in ROLES})
    for topic, _, receipt, message in messages.rows:
        made.rows[names[topic]].append((receipt, message))
    return made
