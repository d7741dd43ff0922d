# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The parts that nodes are made of, without ROS running: mailbox, pacing, odometry, frames."""

from __future__ import annotations

import math
import threading

from geometry_msgs.msg import Transform
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from wm_controller.nodes import frames
from wm_controller.nodes.conversions import GoalReading, MessageError, OdometryReading
from wm_controller.nodes.odometry_buffer import OdometryBuffer
from wm_controller.nodes.pace import Every, Pace
from wm_controller.nodes.worker import Pacer, Worker

WAIT_S = 5.0


def test_newest_job_wins_and_nothing_queues_up():
    started, go_on, done = threading.Event(), threading.Event(), threading.Event()
    worked: list[int] = []

    def work(job: int) -> None:
        started.set()
        go_on.wait(WAIT_S)
        worked.append(job)
        if job == 3:
            done.set()

    worker = Worker(work, on_error=pytest.fail)
    assert not worker.offer(1)
    assert started.wait(WAIT_S)
    assert not worker.idle
    assert not worker.offer(2)
    assert worker.offer(3), 'job 2 must be thrown away'
    go_on.set()
    assert done.wait(WAIT_S)
    assert worker.stop(WAIT_S)
    assert worked == [1, 3]


def test_worker_outlives_an_exception():
    errors: list[Exception] = []
    done = threading.Event()

    def work(job: str) -> None:
        if job == 'bad':
            raise ValueError('bad job')
        done.set()

    worker = Worker(work, on_error=lambda error: (errors.append(error), done.set()))
    worker.offer('bad')
    assert done.wait(WAIT_S)
    done.clear()
    worker.offer('good')
    assert done.wait(WAIT_S)
    assert [str(error) for error in errors] == ['bad job']
    assert worker.stop(WAIT_S)


def test_stop_waits_for_the_running_job_and_starts_no_other():
    started, go_on = threading.Event(), threading.Event()
    worked: list[int] = []

    def work(job: int) -> None:
        started.set()
        go_on.wait(WAIT_S)
        worked.append(job)

    worker = Worker(work, on_error=pytest.fail)
    worker.offer(1)
    assert started.wait(WAIT_S)
    worker.offer(2)
    assert not worker.stop(0.01), 'the job still runs'
    go_on.set()
    assert worker.stop(WAIT_S)
    assert worked == [1]


@pytest.mark.parametrize(('camera_hz', 'expected_hz'), [(10, 10), (15, 10), (20, 10), (30, 10),
                                                        (7, 7)])
def test_pacer_makes_the_rate_of_any_camera(camera_hz, expected_hz):
    jitter = np.random.default_rng(0).uniform(-0.15, 0.15, 300)
    stamps = (np.arange(300) + jitter) / camera_hz
    pacer = Pacer(10.0)
    used = [s for s in stamps if pacer.take(float(s))]
    assert (len(used) - 1) / (used[-1] - used[0]) == pytest.approx(expected_hz, rel=0.03)


def test_pacer_sends_no_burst_after_a_pause():
    pacer = Pacer(10.0)
    assert pacer.take(0.0)
    taken = [pacer.take(5.0 + k / 100) for k in range(10)]
    assert sum(taken) <= 2


def test_simulation_keeps_step_with_the_wall_and_catches_up_a_short_delay():
    pace = Pace(1.0, tick_s=0.01)
    pace.due(0.0)
    ran = sum(pace.due(0.005 * k) for k in range(1, 11))
    assert ran == 5
    ran += pace.due(0.14) + pace.due(0.141) + pace.due(0.142) + pace.due(0.143) + pace.due(0.144)
    assert ran == 14


def test_simulation_forgets_a_debt_that_it_cannot_pay():
    pace = Pace(2.0, tick_s=0.01)
    pace.due(0.0)
    assert pace.due(10.0) == 1
    assert pace.due(10.005) == 1
    assert pace.lap(10.005) == pytest.approx(0.02 / 10.005)


@settings(max_examples=50, deadline=None)
@given(st.floats(0.1, 20.0), st.lists(st.floats(0.0005, 0.05), min_size=50, max_size=200))
def test_simulation_is_never_ahead_of_the_wall(factor, waits):
    pace, now, ran = Pace(factor, tick_s=0.01), 0.0, 0
    pace.due(now)
    for wait in waits:
        now += wait
        ran += pace.due(now)
        assert ran * 0.01 <= now * factor + 1e-6


def test_free_running_simulation_is_always_due():
    pace = Pace(0.0, tick_s=0.01)
    assert pace.due(0.0) > 0
    assert pace.due(0.0) > 0


def test_sensors_keep_their_rate_and_survive_a_jump_of_time():
    every = Every(10.0)
    times = [k / 100 for k in range(1, 101)]
    assert sum(every.due(t) for t in times) == 10
    assert every.due(50.0)
    assert not every.due(50.05)
    assert every.due(0.01)


def reading(stamp, x=0.0, yaw=0.0, v=0.0, w=0.0):
    return OdometryReading(stamp, np.array([x, 0.0, yaw]), np.array([v, w]))


def test_odometry_is_interpolated_at_the_stamp_of_the_image():
    buffer = OdometryBuffer()
    buffer.add(reading(1.0, x=0.0, yaw=3.1, v=0.2))
    buffer.add(reading(1.1, x=0.1, yaw=-3.1, v=0.4))
    middle = buffer.at(1.05)
    np.testing.assert_allclose(middle.pose[:2], [0.05, 0.0])
    assert abs(middle.pose[2]) == pytest.approx(math.pi)
    np.testing.assert_allclose(middle.twist, [0.3, 0.0])


def test_odometry_is_carried_a_little_beyond_the_newest_reading():
    buffer = OdometryBuffer(ahead_s=0.15)
    buffer.add(reading(1.0, v=0.5))
    np.testing.assert_allclose(buffer.at(1.1).pose, [0.05, 0.0, 0.0])
    assert buffer.at(1.2) is None


def test_odometry_from_before_the_buffer_or_across_a_gap_is_none():
    buffer = OdometryBuffer(gap_s=0.5)
    assert buffer.at(1.0) is None
    buffer.add(reading(1.0))
    buffer.add(reading(2.0))
    assert buffer.at(0.9) is None
    assert buffer.at(1.5) is None


def test_out_of_order_odometry_is_dropped_and_old_odometry_forgotten():
    buffer = OdometryBuffer(length_s=3.0)
    assert buffer.add(reading(1.0))
    assert not buffer.add(reading(1.0))
    assert not buffer.add(reading(0.5))
    assert buffer.add(reading(9.0))
    assert buffer.at(1.0) is None


def test_goal_in_odom_needs_no_tf2_and_one_in_map_is_refused_without(monkeypatch):
    monkeypatch.setattr(frames, 'tf2_ros', None)
    to_odom = frames.GoalFrames(None, 'odom').to_odom
    goal = GoalReading(1.0, 2.0, 0.5, 'odom', 0.0)
    assert to_odom(goal) == goal
    with pytest.raises(MessageError, match="frame 'map' cannot be transformed, as tf2 is not"):
        to_odom(GoalReading(1.0, 2.0, 0.5, 'map', 0.0))


def test_goal_is_moved_by_a_transform():
    transform = Transform()
    transform.translation.x = 1.0
    transform.rotation.z = transform.rotation.w = math.sqrt(0.5)
    moved = frames.transformed(GoalReading(2.0, 0.0, 3.0, 'map', 0.0), transform, 'odom')
    assert (moved.x, moved.y, moved.frame_id) == (pytest.approx(1.0), pytest.approx(2.0), 'odom')
    assert moved.yaw == pytest.approx(3.0 + math.pi / 2 - 2 * math.pi)
