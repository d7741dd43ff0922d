# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""A guard with a clock in hand, and what may happen to it."""

import math
import os

from hypothesis import settings
from hypothesis import strategies as st
import numpy as np

from wm_controller.safety.guard import Guard
from wm_controller.safety.limits import Limits

PERIOD = 0.02


def examples(count):
    """So many examples of a property, or as many as WM_EXAMPLES asks for."""
    return settings(max_examples=int(os.environ.get('WM_EXAMPLES', count)), deadline=None)


LIMITS = Limits()


class Timeline:
    """A guard with a clock in hand: ROS time starts at 100 s, steady time at 0."""

    def __init__(self, limits=LIMITS, **options):
        self.guard = Guard(limits, **options)
        self.ros, self.steady = 100.0, 0.0
        self.verdict = self.guard.step(self.ros, self.steady)

    def command(self, v, w=0.0, source='auto', age=0.0):
        return self.guard.on_command(source, v, w, self.ros - age, self.ros, self.steady)

    def scan(self, points, age=0.0, **options):
        return self.guard.on_scan(points, self.ros - age, self.ros, self.steady, **options)

    def odometry(self, pose, twist=(0.0, 0.0), age=0.0, **options):
        return self.guard.on_odometry(
            pose, twist, self.ros - age, self.ros, self.steady, **options)

    def step(self, dt=PERIOD):
        self.ros += dt
        self.steady += dt
        self.verdict = self.guard.step(self.ros, self.steady)
        return self.verdict

    def run(self, seconds, v=None, w=0.0, source='auto', points=None):
        """Let time pass; the source keeps commanding if v is given, a scan if points are."""
        for _ in range(round(seconds / PERIOD)):
            if v is not None:
                self.command(v, w, source)
            if points is not None:
                self.scan(points)
            self.step()
        return self.verdict

    def reset(self):
        return self.guard.reset(self.steady)[0]

    def enable(self):
        return self.guard.enable(True, self.ros, self.steady)[0]


def wall(x, half_width=1.0):
    y = np.linspace(-half_width, half_width, 101)
    return np.column_stack((np.full_like(y, x), y))


ANY_SPEED = st.one_of(
    st.floats(-2.0, 2.0), st.just(0.0), st.sampled_from((1e308, -1e308, 5e-324, math.nan,
                                                         math.inf, 0.5, -0.25)))
EVENTS = st.one_of(
    st.tuples(st.just('command'), st.sampled_from(('auto', 'teleop')), ANY_SPEED, ANY_SPEED,
              st.floats(-0.2, 0.7)),
    st.tuples(st.just('scan'), st.floats(0.1, 3.0), st.floats(-3.2, 3.2)),
    st.tuples(st.just('stop'), st.booleans()),
    st.tuples(st.just('reset')), st.tuples(st.just('enable')),
    st.tuples(st.just('odometry'), st.floats(-0.6, 0.6), st.floats(-2.0, 2.0),
              st.sampled_from((0.0, 0.0, 0.0, 0.3, 3.0))),
    st.tuples(st.just('tilt'), st.floats(0.0, 0.7)),
    st.tuples(st.just('speed_scale'), st.floats(-0.1, 1.1)),
    st.tuples(st.just('disable')),
    st.tuples(st.just('surprise'), st.one_of(st.floats(0.0, 1.0), st.just(math.nan))),
    st.tuples(st.just('jump'), st.floats(-5.0, 5.0)),
)
STEPS = st.one_of(st.just(0.02), st.just(0.0), st.floats(1e-5, 0.3))
SEQUENCES = st.lists(st.tuples(st.lists(EVENTS, max_size=3), STEPS, st.integers(1, 25)),
                     max_size=20)


def play(line, event):
    kind, *rest = event
    if kind == 'command':
        source, v, w, age = rest
        line.command(v, w, source, age)
    elif kind == 'scan':
        distance, bearing = rest
        line.scan([[distance * math.cos(bearing), distance * math.sin(bearing)]])
    elif kind == 'stop':
        line.guard.on_emergency_stop(rest[0])
    elif kind == 'reset':
        line.reset()
    elif kind == 'enable':
        line.enable()
    elif kind == 'odometry':
        v, w, x = rest
        line.odometry((x, 0.0, 0.0), (v, w))
    elif kind == 'tilt':
        line.odometry(np.zeros(3), tilt=rest[0])
    elif kind == 'speed_scale':
        line.guard.on_speed_scale(rest[0])
    elif kind == 'disable':
        line.guard.enable(False, line.ros, line.steady)
    elif kind == 'surprise':
        line.guard.on_surprise(rest[0], line.steady)
    else:
        line.ros += rest[0]
