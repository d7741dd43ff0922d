# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Topic `imagination`: what is shown, when, and that no plan waits for it."""

from dataclasses import replace
import threading
import time

import numpy as np
import pytest
from sensor_msgs.msg import Image
import torch

from controller_rig import PICTURE, Rig
from learned import with_decoder
from ros_probe import pose_goal
from wm_controller.nodes.images import read_image
from wm_controller.nodes.imagination_outlet import draw_strip, ImaginationOutlet
from wm_controller.planning.contract import Imagined, Observation, Plan, PoseGoal
from wm_controller.planning.film import Film, shown_steps
from wm_controller.planning.pilot import Pilot
from wm_controller.world_model.bundle import load_bundle

PERIOD_S = 0.2
HORIZON = 6


class Publisher:
    def __init__(self):
        self.listeners, self.sent = 1, []

    def get_subscription_count(self):
        return self.listeners

    def publish(self, message):
        self.sent.append(message)

    def create_lifecycle_publisher(self, kind, topic, profile):
        assert (kind, topic) == (Image, 'imagination')
        return self


class DrawnFilm:
    """Pictures whose grey level says how many steps ahead they are; may be slow."""

    period_s = PERIOD_S

    def __init__(self):
        self.release, self.seen = threading.Event(), []
        self.release.set()

    def __call__(self, imagined, seen, steps):
        assert self.release.wait(10.0)
        self.seen.append(int(seen.max()))
        return np.stack([np.full((12, 16, 3), 10 * step, np.uint8) for step in steps])


class Rigged:
    """An outlet, with frames every 0.1 s whose grey level is the tenth of a second."""

    def __init__(self, film='drawn'):
        self.publisher, self.complaints = Publisher(), []
        self.film = DrawnFilm() if film == 'drawn' else film
        self.outlet = ImaginationOutlet(
            self.publisher, lambda topic, line: self.complaints.append(line))
        self.outlet.begin(self.film, 'base_link')
        self.tick = 0

    def run(self, ticks):
        """Longest that one cycle's two calls took, s."""
        longest = 0.0
        for _ in range(ticks):
            began = time.perf_counter()
            stamp = 0.1 * self.tick
            self.outlet.saw(Observation(stamp, np.full((24, 32, 3), self.tick, np.uint8)))
            self.outlet.planned(Plan(stamp, imagined=Imagined(None, np.zeros((HORIZON, 2)))))
            longest = max(longest, time.perf_counter() - began)
            self.tick += 1
        return longest

    def wait(self, count):
        end = time.monotonic() + 10.0
        while len(self.publisher.sent) < count:
            assert time.monotonic() < end, self.complaints
            time.sleep(0.005)
        return self.publisher.sent


@pytest.fixture
def rigged():
    made = []

    def make(*args):
        made.append(Rigged(*args))
        return made[-1]
    yield make
    for rig in made:
        rig.outlet.end()


def test_upper_row_is_what_was_imagined_lower_row_what_came_then(rigged):
    rig = rigged()
    rig.run(12)
    assert rig.publisher.sent == [] and not rig.film.seen, 'the future has not come yet'
    rig.run(1)  # the frame at 1.2 s: all six steps of the plan of 0.0 s have come
    strip = read_image(rig.wait(1)[0])
    rows = strip.reshape(2, -1, 6, 16, 3).transpose(0, 2, 1, 3, 4)[:, :, -12:]
    np.testing.assert_array_equal(rows.max((2, 3, 4)), [
        [10, 20, 30, 40, 50, 60], [2, 4, 6, 8, 10, 12]])
    assert rig.film.seen == [0], 'its colours are those of the frame it was planned from'
    assert rig.publisher.sent[0].header.stamp.sec == 1


def test_a_slow_decoder_makes_no_cycle_wait_and_nothing_queues_up(rigged):
    rig = rigged()
    rig.film.release.clear()
    assert rig.run(60) < 1.0, 'it would have taken until the release'
    rig.film.release.set()
    rig.wait(1)
    time.sleep(0.2)
    assert len(rig.film.seen) == 1, 'what could not be drawn in time is not drawn later'


def test_a_few_strips_a_second_are_enough(rigged):
    rig = rigged()
    for _ in range(40):
        rig.run(1)
        while rig.outlet._worker is not None and not rig.outlet._worker.idle:
            time.sleep(0.001)
    assert len(rig.publisher.sent) == 6  # one at 1.2 s, then every 0.5 s up to 3.9 s


def test_nothing_is_kept_or_drawn_while_nobody_listens(rigged):
    rig = rigged()
    rig.run(10)
    rig.publisher.listeners = 0
    rig.run(10)
    assert not rig.outlet._frames and not rig.outlet._plans and rig.publisher.sent == []
    rig.publisher.listeners = 1
    rig.run(13)
    rig.wait(1)


def test_without_a_decoder_there_is_one_warning_and_no_image(rigged):
    rig = rigged(None)
    rig.run(30)
    assert len(rig.complaints) == 1 and '--decoder-of' in rig.complaints[0]
    assert rig.publisher.sent == []


def test_a_clock_that_goes_back_begins_anew(rigged):
    rig = rigged()
    rig.run(10)
    rig.tick = 0
    rig.run(12)
    assert not rig.film.seen
    rig.run(1)
    rig.wait(1)


def test_a_fault_of_the_decoder_is_told_and_stops_nothing(rigged):
    def broken(imagined, seen, steps):
        raise RuntimeError('no such tensor')
    broken.period_s = PERIOD_S
    rig = rigged(broken)
    rig.run(14)
    end = time.monotonic() + 5.0
    while not rig.complaints and time.monotonic() < end:
        time.sleep(0.01)
    assert rig.complaints[0] == 'imagination: RuntimeError: no such tensor'


@pytest.mark.parametrize('horizon', [1, 3, 6, 12, 17])
def test_steps_shown_end_with_the_last_one(horizon):
    steps = shown_steps(horizon)
    assert steps[-1] == horizon and len(steps) == min(6, horizon) and steps[0] >= 1


def test_a_frame_that_never_came_stays_black():
    pictures = np.full((2, 12, 16, 3), 9, np.uint8)
    strip = draw_strip(pictures, [None, pictures[0]], (1, 2), PERIOD_S)
    lower = strip[-12:]
    assert not lower[:, :16].any() and lower[:, 16:].all()


def test_film_draws_the_states_that_the_actions_lead_to(tmp_path):
    bundle = load_bundle(with_decoder(tmp_path / 'tiny.safetensors'))
    film = Film(bundle)
    state, actions = torch.randn(1, 32), np.random.default_rng(0).uniform(-0.2, 0.5, (6, 2))
    frame = np.random.default_rng(1).integers(0, 256, (144, 192, 3), dtype=np.uint8)
    pictures = film(Imagined(state, actions), frame, (1, 4))
    assert pictures.shape == (2, 72, 96, 3)
    again = film(Imagined(state, np.vstack([actions[:1], actions[::-1]])), frame, (1, 4))
    np.testing.assert_array_equal(pictures[0], again[0])
    assert (pictures[1] != again[1]).any()


def test_the_plan_carries_the_future_that_its_command_begins(tmp_path):
    bundle = load_bundle(with_decoder(tmp_path / 'tiny.safetensors'))
    pilot = Pilot(bundle)
    pilot.set_goal(PoseGoal(2.0, 0.5))
    grey = np.full((72, 96, 3), 127, np.uint8)
    pilot.observe(Observation(1.0, grey, np.zeros(3), np.zeros(2)))
    plan = pilot.plan(1.0, 1.0)
    assert plan.imagined.actions.shape == (pilot.config.horizon_steps, 2)
    np.testing.assert_allclose(plan.imagined.actions[1:, 0].max(), 0.5, atol=0.5)
    assert pilot.film(plan.imagined, grey, (1, 12)).shape == (2, 72, 96, 3)
    blind = Pilot(load_bundle(with_decoder(tmp_path / 'blind.safetensors', channels=())))
    assert blind.film is None


def test_the_controller_publishes_it_only_with_a_decoder_and_a_listener(ros_domain):
    from ros_probe import Probe

    with Probe() as probe:
        rig = Rig(probe)
        drive = rig.driver.plan
        rig.driver.film = DrawnFilm()
        rig.driver.plan = lambda now, deadline_s: replace(
            drive(now, deadline_s), imagined=Imagined(None, np.zeros((2, 2))))
        try:
            rig.node.bring_down()
            rig.node.bring_up()  # the film is asked for when the model is loaded
            rig.ready()
            rig.goals.publish(pose_goal(3.0, 1.0))
            rig.show(20)
            assert not rig.driver.film.seen, 'nobody listens'
            strips = probe.listen(Image, 'imagination')
            rig.show(100, stop=lambda: bool(strips))
            assert read_image(strips[0]).shape == (2 * (12 + 14), 2 * 16, 3)
            assert rig.driver.film.seen[0] == PICTURE.max()
        finally:
            rig.close()
