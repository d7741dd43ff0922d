# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The pictures of a recording, as `wm ingest` reads them: encodings, damage, field of view."""


import numpy as np
import pytest

from bag_maker import Drive, Messages, STORE1, STORE2, WIDTH
from wm_controller.data.summary import summarise


@pytest.mark.parametrize('encoding', ['rgb8', 'bgr8', 'rgba8', 'bgra8', 'mono8', 'yuv422_yuy2'])
@pytest.mark.parametrize('pad', [0, 12])
def test_every_encoding_gives_the_picture(tmp_path, wm, encoding, pad):
    drive, messages = Drive(duration_s=3.0), Messages()
    for time in drive.frame_times():
        messages.add_image(time, drive.image(time), encoding=encoding, pad=pad)
        messages.add_command(time, 0.5, 0.1)
    _, data = wm(messages.write(tmp_path / 'bag'))
    expected = np.stack([drive.image(t) for t in data.stamp]).astype(int)
    if encoding == 'mono8':
        grey = expected @ [0.299, 0.587, 0.114]
        expected = np.repeat(grey[..., None], 3, axis=-1)
    difference = np.abs(data.pixels[:].astype(int) - expected)
    assert difference.mean() < (12.0 if 'yuv' in encoding else 0.6)
    assert data.pixels[:].std() > 20


def bag_of_images(path, change=None, count=40, drive=None, **fields):
    """Bag of drive and commands; `change(i)` gives the fields to spoil in image i."""
    drive, messages = drive or Drive(), Messages()
    for i, time in enumerate(drive.frame_times()[:count]):
        messages.add_image(time, drive.image(time), **(change(i) if change else fields))
        messages.add_command(time, 0.5, 0.1)
    return messages.write(path)


def test_unreadable_images_are_dropped_counted_and_named(tmp_path, wm):
    empty = {'height': 0, 'width': 0, 'step': 0, 'data': np.zeros(0, np.uint8)}
    bag = bag_of_images(tmp_path / 'bag', lambda i: {
        10: {'encoding': 'weird7'}, 20: empty,
        30: {'data': np.zeros(5, np.uint8)}}.get(i, {}), count=100)
    dropped = wm(bag)[0]['bags'][0]['dropped']
    assert dropped["unreadable image: unknown encoding 'weird7'"] == 1
    assert dropped['unreadable image: zero size (0x0)'] == 1
    assert sum(n for what, n in dropped.items() if 'do not hold' in what) == 1


@pytest.mark.parametrize('fields, reason', [
    ({'encoding': 'weird7'}, "unknown encoding 'weird7' (40)"),
    ({'height': 0, 'width': 0, 'step': 0, 'data': np.zeros(0, np.uint8)}, 'zero size (0x0) (40)'),
    ({'data': np.zeros(7, np.uint8)}, '7 bytes do not hold')])
def test_a_bag_of_unreadable_images_is_refused(tmp_path, refusal, fields, reason):
    line = refusal(bag_of_images(tmp_path / 'bag', **fields))
    assert 'none of the 40 images on /camera/image_raw' in line and reason in line


def test_a_cut_off_jpeg_is_not_taken_for_a_picture(tmp_path, wm):
    drive, messages = Drive(duration_s=5.0), Messages()
    for i, time in enumerate(drive.frame_times()):
        messages.add_compressed(time, drive.image(time))
        messages.add_command(time, 0.5, 0.1)
        if i == 50:
            content = messages.rows[-2][3]
            object.__setattr__(content, 'data', content.data[:-40])
    report, _ = wm(messages.write(tmp_path / 'bag'))
    assert report['bags'][0]['dropped']['unreadable image: cut off JPEG'] == 1


@pytest.mark.parametrize('store', [STORE1, STORE2])
@pytest.mark.parametrize('options, model, degrees', [
    ((), 'plumb_bob', 90.0), (('--size', '24x24'), 'plumb_bob', 73.74), ((), 'equidistant', None),
    (('--fov', 60), 'equidistant', 60.0)])
def test_the_field_of_view_is_that_of_the_stored_picture(tmp_path, wm, store, options, model,
                                                         degrees):
    drive, messages = Drive(duration_s=3.0), Messages(store)
    for time in drive.frame_times():
        messages.add_image(time, drive.image(time))
        messages.add_command(time, 0.5, 0.1)
        messages.add_camera_info(time, WIDTH / 2, model=model)
    report, data = wm(messages.write(tmp_path / 'x.bag'), *options)
    found = data.attributes.get('horizontal_fov')
    if degrees is None:
        assert found is None and report['bags'][0]['horizontal_fov_rad'] is None
    else:
        assert np.rad2deg(found) == pytest.approx(degrees, abs=0.01)


def test_video_alone_is_ingested_when_asked_for_and_knows_no_actions(tmp_path, wm):
    report, data = wm(bag_of_images(tmp_path / 'bag'), '--odom-topic', '', '--cmd-topic', '')
    assert report['bags'][0]['action_source'] == 'none'
    assert report['steps'] == data.n_steps > 5
    assert np.isnan(data.action).all() and np.isnan(data.proprio).all()
    assert summarise(data)['still_share'] == 0.0
