# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Which pictures are not to be driven by, and which ones are."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from wm_controller.nodes.conversions import MessageError
from wm_controller.nodes.picture_watch import noise_of, PictureWatch

PHOTOGRAPHS = sorted((Path(__file__).parent / 'fixtures/openbot/images').glob('*.jpeg'))[::8]
STANDING, AHEAD = np.zeros(3), np.array([0.04, 0.0, 0.0])


def picture(seed=0, noise=2.0, shape=(120, 160, 3)):
    """A wall, a floor, and the grain of a camera."""
    plain = np.full(shape, 90.0)
    plain[shape[0] // 2:] = 160.0
    return np.clip(plain + np.random.default_rng(seed).normal(0, noise, shape), 0, 255).astype(
        np.uint8)


def test_live_pictures_pass_moving_or_not():
    watch = PictureWatch()
    for k in range(50):
        watch.check(picture(k), k * AHEAD)


def test_a_camera_without_noise_may_repeat_itself_while_the_robot_stands():
    watch = PictureWatch()
    for _ in range(50):
        watch.check(picture(), STANDING)


@pytest.mark.parametrize('step', [AHEAD, np.array([0.0, 0.0, 0.06])], ids=['drives', 'turns'])
def test_the_same_picture_while_the_robot_moves_is_frozen_until_it_changes(step):
    watch = PictureWatch()
    watch.check(picture(), STANDING)
    watch.check(picture(), step)
    for k in range(2, 5):
        with pytest.raises(MessageError, match='image: the camera is frozen'):
            watch.check(picture(), k * step)
    with pytest.raises(MessageError):  # standing since, and frozen all the same
        watch.check(picture(), 4 * step)
    watch.check(picture(1), 4 * step)


def test_odometry_that_is_reset_is_no_motion():
    watch = PictureWatch()
    watch.check(picture(), STANDING)
    watch.check(picture(), np.array([5.0, 0.0, 0.0]))
    watch.check(picture(), np.array([5.0, 0.0, 0.0]))


def test_without_odometry_nothing_is_called_frozen():
    watch = PictureWatch()
    for _ in range(20):
        watch.check(picture(), None)


@pytest.mark.parametrize('level, word', [(0, 'black'), (255, 'white')])
def test_a_blank_picture_is_refused(level, word):
    with pytest.raises(MessageError, match=f'blank, all {word}'):
        PictureWatch().check(np.full((48, 64, 3), level, np.uint8), STANDING)


def test_a_plain_wall_is_not_blank():
    PictureWatch().check(np.full((48, 64, 3), 200, np.uint8), STANDING)


def test_snow_is_refused_and_a_dark_room_is_not():
    with pytest.raises(MessageError, match='mostly noise'):
        PictureWatch().check(picture(noise=90.0), STANDING)
    PictureWatch().check(picture(noise=15.0), STANDING)


def test_noise_is_estimated_as_it_was_made():
    flat = np.random.default_rng(0).normal(128, 12.0, (200, 200, 3)).clip(0, 255).astype(np.uint8)
    assert noise_of(flat) == pytest.approx(12.0, rel=0.1)


def test_another_size_is_refused_and_the_old_one_taken_up_again():
    watch = PictureWatch()
    watch.check(picture(0), STANDING)
    with pytest.raises(MessageError, match='size changed from 160x120 to 80x120'):
        watch.check(picture(1)[:, :80], STANDING)
    watch.check(picture(2), STANDING)


@pytest.mark.parametrize('path', PHOTOGRAPHS, ids=lambda path: path.stem)
def test_photographs_of_a_real_robot_pass(path):
    PictureWatch().check(cv2.imread(str(path))[:, :, ::-1], STANDING)
