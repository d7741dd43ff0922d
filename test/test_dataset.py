# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Data set files: what is written comes back, what is broken is refused with one line."""

import os
from pathlib import Path
import subprocess
import sys
from types import SimpleNamespace

import h5py
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from wm_controller.data import schema
from wm_controller.data.dataset import Dataset, DatasetWriter, open_all
from wm_controller.data.windows import Windows
from wm_controller.errors import InputError


def episode(n, seed=0, size=(12, 9)):
    rng = np.random.default_rng([seed, n])
    return {
        'pixels': rng.integers(0, 256, (n, size[1], size[0], 3), dtype=np.uint8),
        'action': rng.normal(size=(n, 2)), 'proprio': rng.normal(size=(n, 5)),
        'pose': rng.normal(size=(n, 3)), 'stamp': 100.0 * seed + 0.2 * np.arange(n),
        'clearance': rng.uniform(0, 5, (n, 15))}


def write(path, lengths=(20, 30), rate=5.0, size=(12, 9), rooms=None, **options):
    with DatasetWriter(path, rate, **options) as writer:
        for i, n in enumerate(lengths):
            extra = {'ep_room': rooms[i]} if rooms else None
            writer.append_episode(**episode(n, i, size), episode_extras=extra)
    return path


def refusal(function, *arguments):
    with pytest.raises(InputError) as caught:
        function(*arguments)
    assert '\n' not in str(caught.value)
    return str(caught.value)


def spoil(path, change):
    with h5py.File(path, 'r+') as file:
        change(file)
    return path


def test_what_is_written_comes_back(tmp_path):
    path = write(tmp_path / 'a.h5', command='wm collect', sources=[{'path': 'x', 'sha256': 'y'}])
    with Dataset.open(path) as data:
        assert (data.n_episodes, data.n_steps, data.rate_hz) == (2, 50, 5.0)
        assert data.image_size == (12, 9)
        assert data.ep_offset.tolist() == [0, 20]
        for i, n in enumerate((20, 30)):
            rows, given = data.steps(i), episode(n, i)
            assert np.array_equal(data.pixels[rows], given['pixels'])
            for name in ('action', 'proprio', 'pose', 'stamp', 'clearance'):
                assert np.allclose(data.column(name)[rows], given[name], atol=1e-6), name
        assert np.allclose(data.bearings, schema.CLEARANCE_BEARINGS)


def test_other_programs_find_the_columns_with_plain_h5py(tmp_path):
    with h5py.File(write(tmp_path / 'a.h5')) as file:
        assert file.attrs['schema'] == 'wm_controller/1'
        for column in (*schema.STEP_COLUMNS, *schema.EPISODE_COLUMNS):
            assert file[column.name].dtype == np.dtype(column.dtype)
        assert file['pixels'].compression == 'gzip'  # part of every HDF5 library
        assert file['pose'].dtype == np.float64 and file['stamp'].shape == (50,)


def test_what_a_recording_does_not_have_is_nan(tmp_path):
    with DatasetWriter(tmp_path / 'a.h5', 5.0) as writer:
        rows = episode(10)
        writer.append_episode(rows['pixels'], rows['action'], stamp=rows['stamp'])
    with Dataset.open(tmp_path / 'a.h5') as data:
        assert np.isnan(data.proprio).all() and data.proprio.shape == (10, 5)
        assert np.isnan(data.pose).all() and np.isnan(data.clearance).all()


def test_extra_columns_per_step_and_per_episode(tmp_path):
    with DatasetWriter(tmp_path / 'a.h5', 5.0) as writer:
        for i in range(3):
            writer.append_episode(**episode(10, i), extras={'world_pose': np.full((10, 3), i)},
                                  episode_extras={'ep_room': 7 + i, 'ep_family': 'training'})
    with Dataset.open(tmp_path / 'a.h5') as data:
        assert data.extras == ('ep_family', 'ep_room', 'world_pose')
        assert data.column('ep_room').tolist() == [7, 8, 9]
        assert data.column('ep_family').tolist() == [b'training'] * 3
        assert data.column('world_pose')[25].tolist() == [2, 2, 2]
        assert data.computed_digest() == data.digest


def test_the_digest_is_of_the_content_not_of_the_file(tmp_path):
    with Dataset.open(write(tmp_path / 'a.h5', command='one')) as a, \
            Dataset.open(write(tmp_path / 'b.h5', command='two')) as b, \
            Dataset.open(write(tmp_path / 'c.h5', lengths=(20, 31))) as c:
        assert a.digest == b.digest == a.computed_digest()
        assert a.digest != c.digest


def test_one_changed_pixel_changes_the_digest(tmp_path):
    path = write(tmp_path / 'a.h5')

    def flip(file):
        file['pixels'][3, 2, 1, 0] = 255 - file['pixels'][3, 2, 1, 0]

    with Dataset.open(spoil(path, flip)) as data:
        assert data.computed_digest() != data.digest


def test_an_error_leaves_no_file_and_keeps_the_older_one(tmp_path):
    path = write(tmp_path / 'a.h5')
    before = path.read_bytes()
    with pytest.raises(RuntimeError), DatasetWriter(path, 5.0) as writer:
        writer.append_episode(**episode(5))
        raise RuntimeError('the simulator fell over')
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ['a.h5']


@pytest.mark.parametrize('change, text', [
    ({'pixels': np.zeros((10, 9, 12, 3))}, 'uint8'),
    ({'action': np.full((10, 2), [np.nan, 0.0])}, 'finite'),
    ({'action': np.zeros((9, 2))}, 'shape'),
    ({'stamp': np.zeros(10)}, 'increase'),
    ({'clearance': np.zeros((10, 14))}, 'shape')])
def test_the_writer_refuses_rows_that_do_not_fit(tmp_path, change, text):
    with pytest.raises(ValueError, match=text), DatasetWriter(tmp_path / 'a.h5', 5.0) as writer:
        writer.append_episode(**{**episode(10), **change})
    assert not list(tmp_path.iterdir())


def test_a_data_set_without_episodes_is_not_written(tmp_path):
    with pytest.raises(InputError, match='no episode'), DatasetWriter(tmp_path / 'a.h5', 5.0):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='needs limits of POSIX')
@pytest.mark.parametrize('limit', [200, 40_000, 700_000])
def test_a_full_disk_gives_one_line_and_leaves_nothing(tmp_path, limit):
    """The size limit of the process makes writes fail for real, wherever HDF5 is just then."""
    script = (
        'import resource, sys, numpy as np\n'
        f'resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n'
        'from wm_controller.data.dataset import DatasetWriter\n'
        'from wm_controller.errors import InputError\n'
        'pixels = np.random.default_rng(0).integers(0, 256, (60, 72, 96, 3), dtype=np.uint8)\n'
        'try:\n'
        '    with DatasetWriter(sys.argv[1], 5.0) as writer:\n'
        '        for _ in range(3):\n'
        '            writer.append_episode(pixels, np.zeros((60, 2)), stamp=np.arange(60.0))\n'
        'except InputError as error:\n'
        '    print(error)\n')
    path = tmp_path / 'full.h5'
    done = subprocess.run([sys.executable, '-B', '-c', script, str(path)], capture_output=True,
                          text=True, cwd=Path(__file__).parents[1], timeout=60)
    assert (done.returncode, done.stderr) == (0, '')
    assert done.stdout.startswith(f'{path}: cannot be written:') and done.stdout.count('\n') == 1
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_refused_at_once(tmp_path):
    text = tmp_path / 'notes.txt'
    text.write_text('not to be lost')
    for path, reason in ((tmp_path, 'directory'), (tmp_path / 'no' / 'a.h5', 'no such directory'),
                         (text, 'not a data set')):
        assert reason in refusal(DatasetWriter(path, 5.0).__enter__)
    assert text.read_text() == 'not to be lost'


def test_files_that_are_no_data_set_are_refused(tmp_path):
    text, empty, foreign = tmp_path / 'a.h5', tmp_path / 'b.h5', tmp_path / 'c.h5'
    text.write_text('hello')
    empty.touch()
    h5py.File(foreign, 'w').close()
    for path, reason in ((tmp_path / 'no.h5', 'no such file'), (text, 'not an HDF5'),
                         (empty, 'empty file'), (tmp_path, 'directory'), (foreign, 'schema')):
        line = refusal(Dataset.open, path)
        assert line.startswith(str(path)) and reason in line


@pytest.mark.parametrize('keep', [0.1, 0.5, 0.99])
def test_a_truncated_file_is_refused(tmp_path, keep):
    path = write(tmp_path / 'a.h5')
    data = path.read_bytes()
    path.write_bytes(data[:int(len(data) * keep)])
    assert 'truncated' in refusal(Dataset.open, path)


def test_damage_inside_a_file_is_named_when_it_is_read(tmp_path):
    path = write(tmp_path / 'a.h5')
    with h5py.File(path) as file:
        start = file['pixels'].id.get_chunk_info(0).byte_offset
    content = bytearray(path.read_bytes())
    content[start + 500:start + 520] = bytes(20)
    path.write_bytes(content)
    with Dataset.open(path) as data:
        assert f'{path}: damaged in column pixels' in refusal(data.computed_digest)


def replace(name, values):
    def change(file):
        del file[name]
        file[name] = values
    return change


@pytest.mark.parametrize('change, reason', [
    (lambda f: f.attrs.__setitem__('schema', 'other/7'), "schema is 'other/7'"),
    (lambda f: f.attrs.__setitem__('rate_hz', 0.0), 'rate_hz'),
    (lambda f: f.attrs.__delitem__('rate_hz'), 'rate_hz'),
    (lambda f: f.attrs.__setitem__('rate_hz', 'fast'), 'rate_hz'),
    (lambda f: f.__delitem__('proprio'), 'missing columns proprio'),
    (lambda f: f['stamp'].resize(49, axis=0), '50 rows of pixels but 49 of stamp'),
    (replace('action', np.zeros((50, 3), np.float32)), 'column action is float32 (50, 3)'),
    (replace('action', np.zeros((50, 2))), 'expected float32 Nx2'),
    (replace('ep_len', np.array([20, 29])), 'add up to 49'),
    (replace('ep_offset', np.array([0, 21])), 'ep_offset'),
    (replace('ep_len', np.array([50])), 'ep_offset'),
    (lambda f: f.attrs.__setitem__('clearance_bearings', np.zeros(14)), '14 clearance_bearings')])
def test_an_inconsistent_data_set_is_refused(tmp_path, change, reason):
    path = spoil(write(tmp_path / 'a.h5'), change)
    line = refusal(Dataset.open, path)
    assert line.startswith(str(path)) and reason in line


def test_an_empty_data_set_is_refused(tmp_path):
    def empty(file):
        for name in list(file):
            file[name].resize(0, axis=0)
    assert 'empty data set' in refusal(Dataset.open, spoil(write(tmp_path / 'a.h5'), empty))


def test_data_sets_that_do_not_fit_together_are_refused_with_both_values(tmp_path):
    a = write(tmp_path / 'a.h5')
    b = write(tmp_path / 'b.h5', rate=4.0)
    c = write(tmp_path / 'c.h5', size=(16, 9))
    d = write(tmp_path / 'd.h5', bearings=schema.CLEARANCE_BEARINGS * 0.5)
    for other, values in ((b, ('0.2 s', '0.25 s')), (c, ('12x9', '16x9')),
                          (d, ('42', '21 to -21'))):
        line = refusal(open_all, [a, other])
        assert all(text in line for text in (str(a), str(other), *values)), line
    assert 'no data set' in refusal(open_all, [])


# Windows

@given(lengths=st.lists(st.integers(1, 12), min_size=1, max_size=6), length=st.integers(1, 6),
       stride=st.integers(1, 3))
@settings(max_examples=25)
def test_windows_are_all_runs_of_steps_inside_episodes(tmp_path_factory, lengths, length, stride):
    path = write(tmp_path_factory.mktemp('w') / 'a.h5', lengths)
    with Dataset.open(path) as data:
        if max(lengths) < length:
            assert 'longest has' in refusal(lambda: Windows([data], length))
            return
        windows = Windows([data], length, stride=stride)
        expected = [int(offset) + i for offset, n in zip(data.ep_offset, lengths)
                    for i in range(0, n - length + 1, stride)]
        assert windows.starts.tolist() == expected
        batch = windows.batch(np.arange(len(windows)))
        assert batch['pixels'].shape == (len(windows), length, 9, 12, 3)
        assert np.allclose(np.diff(batch['stamp'], axis=1), 0.2)  # never across episodes


@pytest.mark.parametrize('room_on_disk', [True, False])
def test_windows_from_disk_equal_windows_from_memory(tmp_path, monkeypatch, room_on_disk):
    a, b = write(tmp_path / 'a.h5'), write(tmp_path / 'b.h5', lengths=(25,))
    data = open_all([a, b])
    if not room_on_disk:
        monkeypatch.setattr('shutil.disk_usage', lambda _: SimpleNamespace(free=0))
    memory, disk = Windows(data, 8), Windows(data, 8, max_memory_gb=0.0)
    assert memory.in_memory and not disk.in_memory and disk.unpacked == room_on_disk
    assert sorted(p.name for p in tmp_path.iterdir()) == ['a.h5', 'b.h5']
    chosen = np.random.default_rng(0).integers(0, len(memory), 40)
    for name, values in memory.batch(chosen).items():
        assert np.array_equal(values, disk.batch(chosen)[name]), name
    assert np.array_equal(memory.images([3, 60, 7]), disk.images([3, 60, 7]))
    assert np.array_equal(memory.images([60])[0], data[1].pixels[10])


def test_held_out_rooms_are_never_trained_on(tmp_path):
    a = write(tmp_path / 'a.h5', [20] * 6, rooms=[1, 2, 3, 1, 2, 3])
    b = write(tmp_path / 'b.h5', [20] * 3, rooms=[3, 4, 5])
    data = open_all([a, b])
    rooms = np.repeat(np.concatenate([d.column('ep_room') for d in data]), 20)
    training, held_out = Windows(data, 5).split(0.25, seed=3)
    assert set(rooms[training.starts]).isdisjoint(rooms[held_out.starts])
    assert len(training) + len(held_out) == 9 * 16
    assert 0.1 < len(held_out) / (9 * 16) < 0.45
    again, _ = Windows(open_all([b, a]), 5).split(0.25, seed=3)
    assert len(again) == len(training)  # the order of the files does not matter


def test_whole_episodes_are_held_out_without_rooms(tmp_path):
    data = open_all([write(tmp_path / 'a.h5', [20] * 10)])
    training, held_out = Windows(data, 5).split(0.2, seed=1)
    assert set(training.episode).isdisjoint(held_out.episode)
    assert len(np.unique(held_out.episode)) == 2
    assert Windows(data, 5).split(0.2, seed=1)[1].starts.tolist() == held_out.starts.tolist()


def test_one_episode_is_cut_in_time_without_shared_rows(tmp_path):
    data = open_all([write(tmp_path / 'a.h5', [60])])
    training, held_out = Windows(data, 5).split(0.2)
    assert not (training.used_rows() & held_out.used_rows()).any()
    assert training.episode_rows.tolist() == [[0, 48]]
    assert held_out.episode_rows.tolist() == [[48, 60]]
    short = Windows(open_all([write(tmp_path / 'b.h5', [9])]), 5)
    assert 'too short' in refusal(short.split, 0.5)
