# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The control cycle, as timelines with a fake clock: what is sent, what never, who stops."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from wm_controller.nodes.conversions import MessageError, OdometryReading
from wm_controller.nodes.drive_loop import DriveLoop, LoopSettings
from wm_controller.nodes.odometry_buffer import OdometryBuffer
from wm_controller.planning.contract import Plan, PoseGoal

WAIT_S = 5.0
PICTURE = np.full((4, 4, 3), 90, np.uint8)
GOAL = PoseGoal(1.0, 0.0)


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class Driver:
    """Drives at 0.3 m/s towards any goal; `hold` makes a plan take until it is released."""

    def __init__(self):
        self.observations, self.goal, self.resets, self.heard = [], None, 0, []
        self.hold, self.planning = None, threading.Event()
        self.late, self.v, self.error = False, 0.3, None

    def set_goal(self, goal):
        self.goal = goal

    def observe(self, observation):
        self.observations.append(observation)

    def plan(self, now, deadline_s):
        self.deadline_s = deadline_s
        self.planning.set()
        if self.hold is not None:
            assert self.hold.wait(WAIT_S)
        if self.error is not None:
            raise self.error
        stamp = self.observations[-1].stamp
        if self.goal is None:
            return Plan(stamp)
        return Plan(stamp, v=self.v, state='planning', late=self.late)

    def admitted(self, stamp, v, w):
        self.heard.append((v, w))

    def reset(self):
        self.resets += 1


class Outlet:
    """Remembers everything that went out, in order."""

    def __init__(self):
        self.events, self.changed = [], threading.Condition()

    def _put(self, event):
        with self.changed:
            self.events.append(event)
            self.changed.notify_all()

    def send(self, plan):
        self._put(plan)

    def halt(self):
        self._put('halt')

    def last_word(self):
        self.halt()

    def complain(self, line):
        self._put(line)

    def wait(self, count):
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.events) >= count, WAIT_S), self.events
            return self.events


class Rig:
    def __init__(self, **settings):
        self.clock, self.driver, self.outlet = Clock(), Driver(), Outlet()
        self.odometry = OdometryBuffer()
        self.decode = lambda message: message
        self.loop = DriveLoop(self.driver, self.odometry, LoopSettings(**settings), self.clock,
                              lambda message: self.decode(message), self.outlet)

    def image(self, age_s=0.02, message=PICTURE):
        self.loop.on_image(self.clock.now - age_s, message)

    def settle(self):
        for _ in range(500):
            if self.loop._worker.idle:
                return
            threading.Event().wait(0.01)
        raise AssertionError('the worker is not idle')


@pytest.fixture
def rig():
    rig = Rig()
    yield rig
    if rig.driver.hold is not None:
        rig.driver.hold.set()
    rig.loop.stop()


def test_an_image_becomes_a_command_with_the_stamp_of_the_image(rig):
    rig.loop.set_goal(GOAL)
    rig.image(age_s=0.03)
    plan, = rig.outlet.wait(1)
    assert plan.stamp == pytest.approx(99.97)
    assert plan.v == 0.3
    assert rig.loop.condition.state == 'planning'
    assert rig.loop.latencies_s[-1] == pytest.approx(0.03)


def test_the_driver_hears_what_guardrails_let_through(rig):
    rig.loop.on_admitted(99.9, 0.1, 0.0)
    rig.loop.on_admitted(99.92, float('nan'), 0.0)
    rig.loop.on_admitted(99.94, 0.2, 0.5)
    rig.image()
    rig.outlet.wait(1)
    assert rig.driver.heard == [(0.1, 0.0), (0.2, 0.5)]


def test_without_a_goal_zero_goes_out_so_that_the_guardrail_hears_us(rig):
    rig.image()
    plan, = rig.outlet.wait(1)
    assert (plan.v, plan.w, plan.state) == (0.0, 0.0, 'idle')


def test_odometry_is_taken_at_the_stamp_of_the_image_and_may_be_missing(rig):
    rig.image()
    rig.outlet.wait(1)
    assert rig.driver.observations[0].pose is None
    rig.clock.now += 0.1
    for stamp, x in ((100.06, 1.0), (100.10, 2.0)):
        rig.odometry.add(OdometryReading(stamp, np.array([x, 0.0, 0.0]), np.zeros(2)))
    rig.image(age_s=0.02)
    rig.outlet.wait(2)
    np.testing.assert_allclose(rig.driver.observations[1].pose, [1.5, 0.0, 0.0])
    assert rig.loop.counts['images_without_odometry'] == 1


def test_a_question_during_a_plan_is_answered_after_it_without_another_image(rig):
    rig.image()
    rig.outlet.wait(1)
    rig.settle()
    rig.driver.hold = threading.Event()
    rig.driver.planning.clear()
    rig.clock.now += 0.1
    rig.image()
    assert rig.driver.planning.wait(WAIT_S)
    threading.Timer(0.1, rig.driver.hold.set).start()
    assert rig.loop.ask(lambda driver: f'{len(driver.observations)} seen', WAIT_S) == '2 seen'


def test_late_plan_is_counted_and_keeps_the_stamp_of_its_image(rig):
    rig.loop.set_goal(GOAL)
    rig.driver.hold = threading.Event()
    rig.image(age_s=0.02)
    assert rig.driver.planning.wait(WAIT_S)
    rig.clock.now += 0.2
    rig.driver.hold.set()
    plan, = rig.outlet.wait(1)
    assert plan.stamp == pytest.approx(99.98)
    rig.settle()
    assert rig.loop.counts['deadline_misses'] == 1


def test_plan_over_its_time_but_within_the_period_is_no_miss(rig):
    rig.loop.set_goal(GOAL)
    rig.driver.late = True
    rig.image()
    rig.outlet.wait(1)
    rig.settle()
    assert rig.loop.counts['plans_over_time'] == 1
    assert rig.loop.counts['deadline_misses'] == 0


def test_plan_whose_image_is_too_old_is_never_sent(rig):
    rig.loop.set_goal(GOAL)
    rig.driver.hold = threading.Event()
    rig.image()
    assert rig.driver.planning.wait(WAIT_S)
    rig.clock.now += 0.5
    rig.driver.hold.set()
    rig.settle()
    assert rig.outlet.events == []
    assert rig.loop.counts['plans_too_old'] == 1


def test_newest_image_wins_while_a_plan_is_made(rig):
    rig.driver.hold = threading.Event()
    rig.image()
    assert rig.driver.planning.wait(WAIT_S)
    for _ in range(3):
        rig.clock.now += 0.1
        rig.image()
    rig.driver.hold.set()
    rig.outlet.wait(2)
    rig.settle()
    assert [o.stamp for o in rig.driver.observations] == pytest.approx([99.98, 100.28])
    assert rig.loop.counts['images_skipped'] == 2


def test_cancel_halts_at_once_and_the_plan_under_way_is_not_sent(rig):
    rig.loop.set_goal(GOAL)
    rig.driver.hold = threading.Event()
    rig.image()
    assert rig.driver.planning.wait(WAIT_S)
    rig.loop.set_goal(None)
    assert rig.outlet.events == ['halt']
    rig.driver.hold.set()
    rig.settle()
    assert rig.outlet.events == ['halt']
    assert rig.loop.counts['plans_overtaken'] == 1


def test_stop_is_the_last_thing_that_goes_out(rig):
    rig.loop.set_goal(GOAL)
    rig.driver.hold = threading.Event()
    rig.image()
    assert rig.driver.planning.wait(WAIT_S)
    stopper = threading.Thread(target=rig.loop.stop)
    stopper.start()
    while not rig.loop._worker.stopping:
        threading.Event().wait(0.001)
    rig.driver.hold.set()
    stopper.join(WAIT_S)
    assert rig.outlet.events == ['halt']


def test_slow_camera_does_not_slow_the_loop_down_until_its_image_is_old(rig):
    rig.loop.set_goal(GOAL)
    rig.image()
    rig.outlet.wait(1)
    for _ in range(6):
        rig.settle()
        rig.clock.now += 0.13
        rig.loop.on_tick()
    rig.settle()
    sent = [plan.stamp for plan in rig.outlet.events]
    assert sent == pytest.approx([99.98] * 3), 'planned again at 0.15 and 0.28 s, then too old'
    assert len(rig.driver.observations) == 1


def test_late_images_and_ticks_together_do_not_exceed_the_rate(rig):
    began = rig.clock.now
    for step in range(300):  # of 10 ms; a 10 Hz camera whose images come in pairs, one late
        if step % 20 in (0, 1):
            rig.image(age_s=0.15 - 0.09 * (step % 20))
        rig.loop.on_tick()
        rig.settle()
        rig.clock.now += 0.01
    seconds = rig.clock.now - began
    assert 7.0 * seconds < len(rig.outlet.events) <= 10.0 * seconds + 1


def test_tick_does_nothing_while_the_camera_holds_the_rate(rig):
    rig.image()
    rig.outlet.wait(1)
    rig.settle()
    rig.clock.now += 0.09
    rig.loop.on_tick()
    rig.settle()
    assert len(rig.outlet.events) == 1


@pytest.mark.parametrize(('age_s', 'line'), [
    (-3.0, '3 s in the future; do camera and controller share a clock'),
    (9.0, '9 s old on arrival, over 0.4 s')])
def test_image_from_another_clock_is_refused_with_a_hint(rig, age_s, line):
    with pytest.raises(MessageError, match=line):
        rig.image(age_s=age_s)
    rig.settle()
    assert rig.outlet.events == []


def test_repeated_stamp_is_refused(rig):
    rig.image()
    with pytest.raises(MessageError, match='is not newer than the one before'):
        rig.image()


def test_bad_image_is_one_line_and_the_loop_goes_on(rig):
    def refuse(message):
        raise MessageError('image: unknown encoding')
    rig.decode = refuse
    rig.image()
    assert rig.outlet.wait(1) == ['image: unknown encoding']
    rig.settle()
    rig.decode = lambda message: message
    rig.clock.now += 0.1
    rig.image()
    assert isinstance(rig.outlet.wait(2)[1], Plan)
    assert rig.loop.counts['bad_images'] == 1


@pytest.mark.parametrize('v', [float('nan'), float('inf')])
def test_plan_that_is_not_finite_halts_and_is_a_fault(rig, v):
    rig.loop.set_goal(GOAL)
    rig.driver.v = v
    rig.image()
    halt, line = rig.outlet.wait(2)
    assert halt == 'halt'
    assert 'the plan is not finite' in line
    assert rig.loop.condition.state == 'fault'


def test_exception_while_planning_halts_and_the_next_image_is_tried(rig):
    rig.loop.set_goal(GOAL)
    rig.driver.error = RuntimeError('shape')
    rig.image()
    assert rig.outlet.wait(2) == ['halt', 'planning failed: RuntimeError: shape']
    rig.settle()
    rig.driver.error = None
    rig.clock.now += 0.1
    rig.image()
    assert rig.outlet.wait(3)[2].v == 0.3


def test_reset_forgets_goal_images_and_state_and_halts(rig):
    rig.loop.set_goal(GOAL)
    rig.image()
    rig.outlet.wait(1)
    rig.settle()
    rig.clock.now = 5.0
    rig.loop.reset()
    assert rig.outlet.events[1] == 'halt'
    rig.image()
    rig.outlet.wait(3)
    assert (rig.driver.goal, rig.driver.resets) == (None, 1)
    assert rig.outlet.events[2].v == 0.0


def test_planner_gets_what_decoding_has_left_of_its_time(rig):
    rig.image()
    rig.outlet.wait(1)
    assert 0.005 <= rig.driver.deadline_s <= 0.07
