# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""`wm inspect`: what it says of data sets and bundles, and what it refuses."""

import json
import struct
import sys

import cv2
import h5py
import numpy as np
import pytest
from safetensors.numpy import save_file

from bag_maker import Drive, drive_bag
from wm_controller.cli.inspect import bars
from wm_controller.cli.main import run
from wm_controller.data.dataset import DatasetWriter


@pytest.fixture
def data_set(tmp_path):
    """Two episodes, one with a late step; 30 % still, reverse in one step of ten."""
    path = tmp_path / 'a.h5'
    rng = np.random.default_rng(0)
    with DatasetWriter(path, 5.0, command='wm collect --rooms 2') as writer:
        for e, n in enumerate((40, 60)):
            action = np.tile([[0.4, 0.5]], (n, 1))
            action[:n * 3 // 10] = 0.0
            action[-n // 10:] = [-0.2, 0.0]
            stamp = 100.0 * e + 0.2 * np.arange(n)
            stamp[n // 2:] += 0.1
            clearance = np.full((n, 15), 3.0)
            clearance[:, 4] = 1.25
            proprio = np.tile([0.1, 0.0, 0.0, 0.4, 0.5], (n, 1))
            writer.append_episode(
                rng.integers(0, 256, (n, 18, 24, 3), dtype=np.uint8), action, stamp=stamp,
                proprio=proprio if e else None, clearance=clearance)
    return path


@pytest.fixture
def bundle(tmp_path):
    path = tmp_path / 'm.safetensors'
    description = {
        'schema': 'wm_controller_bundle/1', 'image_size': [72, 96], 'step_period_s': 0.2,
        'action_limits': [-0.25, 0.5, 1.5], 'architecture': {'latent': 192},
        'normalisation': {'pixel_mean': [1.5, 2.5, 3.5]}, 'energy_quantiles': [0.5] * 101,
        'training': {'data': [{'name': 'rooms.h5', 'digest': 'abc'}], 'minutes': 30},
        'gates': {'passed': False, 'persistence_ratio': {'4': 0.912345}}}
    save_file({'encoder.w': np.zeros((3, 4), np.float32), 'head.b': np.zeros(5, np.float32)},
              path, {'wm_controller': json.dumps(description)})
    return path


@pytest.fixture
def wm(capsys):
    def inspect(*arguments, code=0):
        found = run(['inspect', *map(str, arguments)])
        out, err = capsys.readouterr()
        assert found == code, err
        if code == 2:
            assert out == '' and err.count('\n') == 1
            return err
        return json.loads(out) if '--json' in arguments else out
    return inspect


def test_a_data_set_is_counted(data_set, wm):
    report = wm(data_set, '--json')
    assert (report['kind'], report['episodes'], report['steps']) == ('dataset', 2, 100)
    assert report['rate_hz'] == 5.0 and report['image_size'] == [24, 18]
    assert report['still_share'] == pytest.approx(0.3) and report['reverse_share'] == 0.1
    assert report['nan_share'] == {'proprio': pytest.approx(0.4), 'pose': 1.0, 'clearance': 0.0}
    assert report['timing']['step_s']['max'] == pytest.approx(0.3)
    assert report['timing']['uneven_share'] == pytest.approx(2 / 98)
    assert report['timing']['longest_pause_s'] == pytest.approx(100 - 39 * 0.2 - 0.1)
    assert report['distance_m'] == pytest.approx(6.0)
    assert sum(report['histograms']['action v, m/s']['counts']) == 100
    assert report['histograms']['nearest clearance, m']['median'] == 1.25
    assert report['digest_verified'] is True


def test_a_person_sees_it_too(data_set, wm):
    out = wm(data_set)
    for text in ('100 of 0.2 s (5 Hz)', '40 to 60 steps', 'still 30.0%', 'action v, m/s',
                 'content verified', 'wm collect --rooms 2', '█'):
        assert text in out, text


def test_an_ingested_recording_says_what_was_dropped(tmp_path, wm, capsys):
    bag = drive_bag(tmp_path / 'bag', Drive(camera_lag_s=0.2))
    assert run(['ingest', str(bag), '-o', str(tmp_path / 'a.h5')]) == 0
    capsys.readouterr()
    report = wm(tmp_path / 'a.h5', '--json')
    assert report['ingested'][0]['frames'] == 240
    assert report['ingested'][0]['lag']['lag_s'] == pytest.approx(0.2, abs=0.03)
    assert report['sources'][0]['path'] == str(bag)
    assert 'frames between steps' in wm(tmp_path / 'a.h5')


def test_sample_frames_are_the_frames(data_set, tmp_path, wm):
    wm(data_set, '--frames', tmp_path / 'f.png')
    sheet = cv2.cvtColor(cv2.imread(str(tmp_path / 'f.png')), cv2.COLOR_BGR2RGB)
    with h5py.File(data_set) as file:
        first = cv2.resize(file['pixels'][0], (160, 120), interpolation=cv2.INTER_NEAREST)
    assert np.array_equal(sheet[3:123, 3:163], first)


def test_the_page_needs_nothing_from_elsewhere(data_set, bundle, tmp_path, wm):
    for path in (data_set, bundle):
        wm(path, '--html', tmp_path / 'page.html')
        page = (tmp_path / 'page.html').read_text()
        assert path.name in page and 'http' not in page and '<script' not in page
    wm(data_set, '--html', tmp_path / 'page.html')
    page = (tmp_path / 'page.html').read_text()
    assert 'data:image/png;base64,' in page and page.count('<svg') >= 4


def test_content_that_was_changed_is_noticed(data_set, wm):
    with h5py.File(data_set, 'r+') as file:
        file['action'][7, 0] = 9.0
    assert 'CONTENT DIFFERS' in wm(data_set, code=1)
    assert 'content verified' not in wm(data_set, '--no-verify')


def test_a_bundle_tells_its_gates_and_all_else_it_holds(bundle, wm):
    report = wm(bundle, '--json')
    assert (report['kind'], report['parameters'], report['tensors']) == ('bundle', 17, 2)
    assert report['passed'] is False
    assert report['gates']['persistence_ratio']['4'] == 0.912345
    out = wm(bundle)
    for text in ('FAILED', 'persistence_ratio.4', '0.9123', 'latent', '192', 'pixel_mean',
                 '1.5, 2.5, 3.5', 'rooms.h5', '101 values from 0.5 to 0.5', '-0.25, 0.5, 1.5'):
        assert text in out, text


def test_a_bundle_is_read_without_torch(bundle, monkeypatch, wm):
    monkeypatch.setitem(sys.modules, 'torch', None)  # importing it would fail
    assert wm(bundle, '--json')['kind'] == 'bundle'


def test_a_bundle_is_known_by_its_content_too(bundle, wm):
    renamed = bundle.rename(bundle.with_suffix('.bin'))
    assert wm(renamed, '--json')['kind'] == 'bundle'


def test_what_is_neither_is_refused_with_one_line(tmp_path, data_set, bundle, wm):
    text, foreign, damaged = (tmp_path / n for n in ('a.txt', 'f.safetensors', 'd.safetensors'))
    text.write_text('hello')
    save_file({'w': np.zeros(3, np.float32)}, foreign)
    save_file({'w': np.zeros(3, np.float32)}, damaged, {'wm_controller': '{'})
    truncated = tmp_path / 't.safetensors'
    truncated.write_bytes(bundle.read_bytes()[:-9])
    huge = tmp_path / 'h.safetensors'
    huge.write_bytes(struct.pack('<Q', 1 << 60) + b'{}')
    for path, reason in (
            (text, 'not an HDF5 file'), (foreign, 'not a model bundle of wm_controller'),
            (damaged, 'description is damaged'), (truncated, 'not a whole .safetensors'),
            (huge, 'not a whole .safetensors'), (tmp_path / 'no.h5', 'no such file'),
            (tmp_path, 'directory')):
        line = wm(path, code=2)
        assert str(path) in line and reason in line
    assert 'no frames' in wm(bundle, '--frames', tmp_path / 'x.png', code=2)
    assert 'no such file' in wm('nosuchmodel', code=2)


def test_pictures_that_cannot_be_written_leave_one_line(data_set, tmp_path, wm):
    line = wm(data_set, '--frames', tmp_path / 'no' / 'f.png', code=2)
    assert 'cannot be written: No such file' in line


def test_bars_keep_small_counts_visible():
    assert bars([0, 1, 500, 1000]) == ' ▁▄█'
    assert bars([0, 0]) == '  '
