# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Messages to numbers and back, and every kind of bad message with its one line."""

import array
import math

import cv2
from geometry_msgs.msg import PoseStamped
from hypothesis import given
from hypothesis import strategies as st
from nav_msgs.msg import Odometry
import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage, Image, LaserScan

from wm_controller.nodes import conversions as conv
from wm_controller.nodes import images


def picture(height=6, width=8):
    """Smooth colours, so that chroma subsampling loses little."""
    y, x = np.mgrid[0:height, 0:width]
    u, v = x / width, y / height
    return np.stack([40 + 90 * u, 60 + 90 * v, 90 + 50 * u + 50 * v], axis=-1).astype(np.uint8)


def image_message(pixels, encoding, padding=0):
    """Image whose rows carry `padding` bytes of rubbish at their end, as some drivers do."""
    height, width = pixels.shape[:2]
    rows = pixels.reshape(height, -1)
    rows = np.concatenate([rows, np.full((height, padding), 255, np.uint8)], axis=1)
    message = Image(height=height, width=width, encoding=encoding, step=rows.shape[1])
    message.data = array.array('B', rows.tobytes())
    return message


@pytest.mark.parametrize('padding', [0, 5])
@pytest.mark.parametrize(('encoding', 'code'), [
    ('rgb8', None), ('bgr8', cv2.COLOR_RGB2BGR), ('rgba8', cv2.COLOR_RGB2RGBA),
    ('bgra8', cv2.COLOR_RGB2BGRA)])
def test_colour_encodings_come_back_exactly_whatever_the_step(encoding, code, padding):
    rgb = picture()
    pixels = rgb if code is None else cv2.cvtColor(rgb, code)
    decoded = images.read_image(image_message(pixels, encoding, padding))
    assert decoded.dtype == np.uint8
    np.testing.assert_array_equal(decoded, rgb)


@pytest.mark.parametrize('encoding', ['mono8', '8UC1'])
def test_grey_becomes_three_equal_channels(encoding):
    grey = picture()[:, :, 0].copy()
    decoded = images.read_image(image_message(grey, encoding, padding=3))
    np.testing.assert_array_equal(decoded, np.repeat(grey[:, :, None], 3, axis=2))


@pytest.mark.parametrize(('encodings', 'code'), [
    (('yuv422', 'uyvy'), cv2.COLOR_RGB2YUV_UYVY), (('yuv422_yuy2', 'yuyv'),
                                                   cv2.COLOR_RGB2YUV_YUY2)])
def test_yuv_comes_back_within_its_chroma_loss(encodings, code):
    rgb = picture(16, 16)
    pixels = cv2.cvtColor(rgb, code)
    for encoding in encodings:
        decoded = images.read_image(image_message(pixels, encoding, padding=2))
        assert np.abs(decoded.astype(int) - rgb).max() < 12


@pytest.mark.parametrize(('encoding', 'first_two_rows'), [
    ('bayer_rggb8', 'RGGB'), ('bayer_bggr8', 'BGGR'), ('bayer_gbrg8', 'GBRG'),
    ('bayer_grbg8', 'GRBG')])
def test_bayer_patterns_give_the_right_colour(encoding, first_two_rows):
    values = {'R': 200, 'G': 100, 'B': 30}
    tile = np.array([values[c] for c in first_two_rows], np.uint8).reshape(2, 2)
    decoded = images.read_image(image_message(np.tile(tile, (4, 4)), encoding))
    np.testing.assert_array_equal(decoded[4, 4], [200, 100, 30])


def test_rgb_is_not_copied_even_with_padding():
    message = image_message(picture(), 'rgb8', padding=5)
    decoded = images.read_image(message)
    message.data[0] = 7
    assert decoded[0, 0, 0] == 7


@pytest.mark.parametrize(('change', 'line'), [
    ({'height': 0}, 'image: the image has zero size (8x0)'),
    ({'width': 0, 'height': 0, 'step': 0}, 'image: the image has zero size (0x0)'),
    ({'encoding': '16UC1'}, "image: unknown encoding '16UC1'; known are rgb8"),
    ({'encoding': ''}, "image: unknown encoding ''"),
    ({'step': 20}, 'image: step 20 is less than the 24 bytes of a row (8 pixels, rgb8)'),
    ({'height': 7}, 'image: 144 bytes of data, but step 24 x height 7 are 168'),
    ({'width': 7, 'encoding': 'yuv422'}, 'image: yuv422 needs an even width, not 7')])
def test_bad_image_is_refused_with_one_line(change, line):
    message = image_message(picture(), 'rgb8')
    for field, value in change.items():
        setattr(message, field, value)
    with pytest.raises(conv.MessageError) as refusal:
        images.read_image(message)
    assert str(refusal.value).startswith(line)
    assert '\n' not in str(refusal.value)


def test_image_round_trip_keeps_pixels_stamp_and_frame():
    rgb = picture()[:, ::-1]
    message = images.to_image(rgb, 12.25, 'camera')
    np.testing.assert_array_equal(images.read_image(message), rgb)
    assert conv.seconds(message.header.stamp) == 12.25
    assert message.header.frame_id == 'camera'


def test_compressed_round_trip_keeps_the_colours():
    rgb = picture(48, 64)
    decoded = images.read_compressed(images.to_compressed(rgb, 1.0, 'camera'))
    assert decoded.shape == rgb.shape
    assert np.abs(decoded.astype(int) - rgb).mean() < 3


def test_bad_compressed_images_are_refused_with_one_line():
    good = images.to_compressed(picture(48, 64), 1.0, 'camera')
    cut = CompressedImage(format='jpeg', data=good.data[:len(good.data) // 2])
    for message, line in ((CompressedImage(format='jpeg'), 'zero size'),
                          (CompressedImage(format='png', data=[1, 2, 3]), '3 bytes of form'),
                          (cut, 'is cut off')):
        with pytest.raises(conv.MessageError, match=line):
            images.read_compressed(message)


def test_camera_info_of_ninety_degrees_has_a_focal_length_of_half_the_width():
    info = images.to_camera_info(1.0, 'camera', 320, 240, math.pi / 2)
    assert info.k[0] == pytest.approx(160.0)
    assert info.k[4] == pytest.approx(160.0)
    assert (info.k[2], info.k[5]) == (160.0, 120.0)


@given(st.integers(min_value=0, max_value=4_000_000_000_000_000_000 // 2))
def test_stamps_survive_to_a_microsecond(nanoseconds):
    time_s = nanoseconds * 1e-9
    stamp = conv.to_stamp(time_s)
    assert 0 <= stamp.nanosec < 1_000_000_000
    assert conv.seconds(stamp) == pytest.approx(time_s, abs=1e-6)


def odometry(**changes):
    message = conv.to_odometry(3.5, np.array([1.0, -2.0, 2.5]), np.array([0.4, -0.3]),
                               'odom', 'base_link')
    for path, value in changes.items():
        target = message
        *parents, field = path.split('__')
        for parent in parents:
            target = getattr(target, parent)
        setattr(target, field, value)
    return message


def test_odometry_round_trip():
    reading = conv.read_odometry(odometry(), 'odom', 'base_link')
    assert reading.stamp == 3.5
    np.testing.assert_allclose(reading.pose, [1.0, -2.0, 2.5])
    np.testing.assert_allclose(reading.twist, [0.4, -0.3])


def test_base_footprint_and_leading_slashes_are_accepted():
    message = odometry(child_frame_id='/base_footprint', header__frame_id='/odom')
    assert conv.read_odometry(message, 'odom', 'base_link').stamp == 3.5


@pytest.mark.parametrize(('changes', 'line'), [
    ({'pose__pose__position__x': math.nan}, 'position is not finite'),
    ({'twist__twist__angular__z': math.inf}, 'twist is not finite'),
    ({'pose__pose__orientation__w': 0.2}, 'quaternion has length'),
    ({'pose__pose__orientation__z': math.nan}, 'orientation is not finite'),
    ({'header__frame_id': 'map'}, "frame_id is 'map', the parameter odom_frame 'odom'"),
    ({'child_frame_id': 'wheel'}, "child_frame_id is 'wheel'"),
    ({'header__stamp__sec': 0, 'header__stamp__nanosec': 0}, 'the stamp is zero'),
    ({'header__stamp__nanosec': 1_000_000_000}, 'nanoseconds is out of range')])
def test_bad_odometry_is_refused_with_one_line(changes, line):
    with pytest.raises(conv.MessageError, match=line) as refusal:
        conv.read_odometry(odometry(**changes), 'odom', 'base_link')
    assert '\n' not in str(refusal.value)


def test_tilted_odometry_keeps_its_heading():
    roll, yaw = 0.1, 0.7
    message = odometry()
    q = message.pose.pose.orientation
    q.x, q.y = math.sin(roll / 2) * math.cos(yaw / 2), math.sin(roll / 2) * math.sin(yaw / 2)
    q.z, q.w = math.cos(roll / 2) * math.sin(yaw / 2), math.cos(roll / 2) * math.cos(yaw / 2)
    assert conv.read_odometry(message, 'odom', 'base_link').pose[2] == pytest.approx(yaw)


def goal(x=1.0, frame='odom', w=1.0):
    message = PoseStamped()
    message.header.frame_id = frame
    message.pose.position.x = x
    message.pose.orientation.w = w
    return message


def test_goal_is_read_with_its_frame():
    reading = conv.read_goal(goal(frame='/map'))
    assert (reading.x, reading.y, reading.yaw, reading.frame_id) == (1.0, 0.0, 0.0, 'map')


@pytest.mark.parametrize(('message', 'line'), [
    (goal(x=math.nan), 'goal_pose: the position is not finite'),
    (goal(frame=''), 'goal_pose: the frame_id is empty'),
    (goal(w=0.0), 'goal_pose: the orientation quaternion has length 0, not 1')])
def test_bad_goal_is_refused_with_one_line(message, line):
    with pytest.raises(conv.MessageError, match=line):
        conv.read_goal(message)


def test_path_carries_the_time_of_each_imagined_pose():
    path = conv.to_path(10.0, np.array([[0.0, 0.0, 0.0], [0.1, 0.0, 0.5]]), 'odom', 0.2)
    assert [conv.seconds(p.header.stamp) for p in path.poses] == [10.0, 10.2]
    assert path.poses[1].pose.position.x == 0.1


def test_scan_points_keep_hits_and_drop_what_is_out_of_range():
    message = conv.to_scan(1.0, 'laser', 0.0, math.pi / 2, 0.1, 5.0,
                           np.array([1.0, np.inf, 2.0, np.nan]))
    np.testing.assert_allclose(conv.scan_points(message), [[1.0, 0.0], [-2.0, 0.0]], atol=1e-6)


def test_a_return_too_near_to_measure_is_still_a_point():
    message = conv.to_scan(1.0, 'laser', 0.0, 0.1, 0.1, 5.0, np.array([-np.inf]))
    np.testing.assert_allclose(conv.scan_points(message), [[0.1, 0.0]], atol=1e-6)


@pytest.mark.parametrize(('changes', 'line'), [
    ({'ranges': []}, 'scan: no ranges'),
    ({'angle_increment': math.nan}, 'angle_min or angle_increment'),
    ({'range_max': 0.0}, 'fit no laser')])
def test_bad_scan_is_refused_with_one_line(changes, line):
    message = LaserScan(range_min=0.1, range_max=5.0, angle_increment=0.1, ranges=[1.0])
    for field, value in changes.items():
        setattr(message, field, value)
    with pytest.raises(conv.MessageError, match=line):
        conv.scan_points(message)


def test_odometry_message_defaults_are_refused_rather_than_read_as_the_origin():
    with pytest.raises(conv.MessageError):
        conv.read_odometry(Odometry(), 'odom', 'base_link')


def test_a_scan_without_one_valid_beam_is_no_empty_room():
    message = conv.to_scan(5.0, 'laser', -math.pi, 0.1, 0.05, 8.0, np.full(60, np.nan))
    with pytest.raises(conv.MessageError, match='not one of 60 beams is valid'):
        conv.scan_points(message)
    message.ranges[7] = math.inf  # one that saw that nothing is there
    assert conv.scan_points(message).shape == (0, 2)
