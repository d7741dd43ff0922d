# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Data sets of LeRobot and stable-worldmodel become ours, and ours theirs, by `wm convert`."""

import json
import shutil

import h5py
import numpy as np
import pytest

from drawn_world import write_dataset
from wm_controller.cli.main import run
from wm_controller.data.dataset import Dataset, DatasetWriter

pa = pytest.importorskip('pyarrow', reason='needs pyarrow')
pq = pytest.importorskip('pyarrow.parquet', reason='needs pyarrow')

CAMERA = 'observation.images.front'


@pytest.fixture(scope='module')
def drives(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp('drives') / 'drives.h5', episodes=3, steps=24,
                         truth=True)


@pytest.fixture(scope='module')
def lerobot(drives):
    folder = drives.parent / 'lerobot'
    assert run(['convert', str(drives), '--to', 'lerobot', '-o', str(folder)]) == 0
    return folder


@pytest.fixture
def copy(lerobot, tmp_path):
    return shutil.copytree(lerobot, tmp_path / 'copy')


def converted(source, output, *options):
    assert run(['convert', str(source), '-o', str(output), *options]) == 0
    return Dataset.open(output)


def refused(capsys, source, output, *options):
    """The one line of a refusal; nothing was written."""
    capsys.readouterr()
    before = set(output.parent.iterdir())
    assert run(['convert', str(source), '-o', str(output), *map(str, options)]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count('\n')) == ('', 1), (out, err)
    assert set(output.parent.iterdir()) == before
    return err


def columns(path):
    with h5py.File(path) as file:
        return {name: file[name][()] for name in file}


def rewrite(table_file, change):
    table = pq.read_table(table_file)
    pq.write_table(change(table), table_file)


def edit(file, **changes):
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def as_v21(folder):
    """Turn a data set of layout v3.0 into v2.1: a file an episode, meta in JSON lines."""
    table = pq.read_table(folder / 'data/chunk-000/file-000.parquet')
    lengths = []
    for episode in range(3):
        part = table.filter(pa.compute.equal(table['episode_index'], episode))
        pq.write_table(part, folder / f'data/chunk-000/episode_{episode:06d}.parquet')
        lengths.append(part.num_rows)
    (folder / 'data/chunk-000/file-000.parquet').unlink()
    shutil.rmtree(folder / 'meta/episodes')
    (folder / 'meta/episodes.jsonl').write_text(''.join(
        json.dumps({'episode_index': i, 'tasks': ['drive'], 'length': n}) + '\n'
        for i, n in enumerate(lengths)))
    edit(folder / 'meta/info.json', codebase_version='v2.1', data_path='data/chunk-'
         '{episode_chunk:03d}/episode_{episode_index:06d}.parquet')
    return folder


def as_others(folder, names, camera_names=(CAMERA,)):
    """Take away what says that it was ours; call the two actions `names`."""
    (folder / 'meta/wm_controller.json').unlink()
    info = json.loads((folder / 'meta/info.json').read_text())
    info['features']['action']['names'] = names
    for name in camera_names:
        info['features'][name] = info['features'][CAMERA]
    edit(folder / 'meta/info.json', **info)
    return folder


def test_ours_to_lerobot_and_back_is_the_same_data_set(drives, lerobot, tmp_path):
    with Dataset.open(drives) as before, converted(lerobot, tmp_path / 'b.h5') as after:
        assert after.digest == before.digest  # of every value of every column
        assert after.computed_digest() == before.digest


def test_columns_of_episodes_and_missing_ones_come_back_too(tmp_path):
    path = tmp_path / 'rooms.h5'
    with DatasetWriter(path, 4.0, attributes={'horizontal_fov': 1.5}) as writer:
        for room in ('hall', 'attic'):
            writer.append_episode(np.zeros((12, 9, 12, 3), np.uint8), None,
                                  stamp=1e9 + np.arange(12) / 4, episode_extras={'ep_room': room})
    folder = tmp_path / 'folder'
    assert run(['convert', str(path), '--to', 'lerobot', '-o', str(folder)]) == 0
    assert 'action' not in json.loads((folder / 'meta/info.json').read_text())['features']
    with converted(folder, tmp_path / 'b.h5', '--no-action', '--size', 'same') as back:
        with Dataset.open(path) as data:
            assert back.digest == data.digest
        assert back.attributes['horizontal_fov'] == 1.5


def test_video_comes_back_within_the_error_of_the_codec(drives, tmp_path):
    folder = tmp_path / 'video'
    assert run(['convert', str(drives), '--to', 'lerobot', '--video', '-o', str(folder)]) == 0
    back = columns(converted(folder, tmp_path / 'b.h5').path)
    before = columns(drives)
    difference = np.abs(back.pop('pixels').astype(float) - before['pixels'])
    other_frame = np.abs(before['pixels'][:-1].astype(float) - before['pixels'][1:])
    assert difference.mean() < 0.5 * other_frame.mean() and difference.mean() < 4
    for name, values in back.items():
        np.testing.assert_array_equal(values, before[name], name)


def test_what_lerobot_needs_is_there(drives, lerobot):
    """What its reader looks up, by name, as v0.4.4 does; that itself was run by hand."""
    info = json.loads((lerobot / 'meta/info.json').read_text())
    assert (info['codebase_version'], info['fps'], info['total_frames']) == ('v3.0', 5, 72)
    rows = pq.read_table(lerobot / 'data/chunk-000/file-000.parquet')
    assert set(rows.column_names) == set(info['features'])
    np.testing.assert_allclose(rows['timestamp'].to_numpy()[24:27], [0, 0.2, 0.4], rtol=1e-6)
    episodes = pq.read_table(lerobot / 'meta/episodes/chunk-000/file-000.parquet').to_pylist()
    assert [e['dataset_to_index'] for e in episodes] == [24, 48, 72]
    stats = json.loads((lerobot / 'meta/stats.json').read_text())
    np.testing.assert_allclose(stats['action']['mean'], columns(drives)['action'].mean(0),
                               atol=1e-6)
    assert np.shape(stats[CAMERA]['mean']) == (3, 1, 1)


def test_layout_v21_reads_as_v30_does(copy, drives, tmp_path):
    with converted(as_v21(copy), tmp_path / 'b.h5') as back, Dataset.open(drives) as before:
        assert back.digest == before.digest


def test_speeds_of_others_are_named_never_guessed(copy, drives, tmp_path, capsys):
    as_others(copy, ['x.vel', 'theta.vel'])
    line = refused(capsys, copy, tmp_path / 'b.h5')
    assert 'which numbers of action are v (m/s) and w (rad/s)?' in line and 'theta.vel' in line
    assert "no 'y.vel' in column 'action'" in refused(
        capsys, copy, tmp_path / 'b.h5', '--action', 'x.vel', 'y.vel')
    found = columns(converted(copy, tmp_path / 'b.h5', '--action', 'x.vel', 'theta.vel',
                              '--action-scale', '1', '0.5', '--pose', 'observation.pose/0',
                              'observation.pose/1', 'observation.pose/yaw').path)
    before = columns(drives)
    np.testing.assert_allclose(found['action'], before['action'] * [1, 0.5], rtol=1e-6)
    np.testing.assert_allclose(found['pose'], before['pose'])
    np.testing.assert_allclose(found['proprio'][1:24], before['proprio'][1:24], atol=0.05)
    np.testing.assert_allclose(found['proprio'][:24, :3], before['proprio'][:24, :3], atol=1e-5)


def test_a_lower_rate_takes_every_kth_frame_and_the_mean_of_the_commands(copy, drives, tmp_path,
                                                                       capsys):
    as_others(copy, ['v', 'w'])
    assert 'choose one of 5, 2.5' in refused(capsys, copy, tmp_path / 'b.h5', '--action', 'v',
                                             'w', '--rate', '3')
    found = columns(converted(copy, tmp_path / 'b.h5', '--action', 'v', 'w', '--rate', '2.5').path)
    before = columns(drives)
    np.testing.assert_array_equal(found['pixels'], before['pixels'][::2])
    np.testing.assert_allclose(
        found['action'], before['action'].reshape(-1, 2, 2).mean(axis=1), atol=1e-6)
    assert np.isnan(found['pose']).all()


def swap(table):
    return table.set_column(table.column_names.index('episode_index'), 'episode_index',
                            [[7] * table.num_rows])


@pytest.mark.parametrize(('spoil', 'line'), [
    (lambda f: edit(f / 'meta/info.json', codebase_version='v1.6'), 'layout v1.6'),
    (lambda f: (f / 'meta/info.json').write_text('{'), 'is not JSON'),
    (lambda f: edit(f / 'meta/info.json', fps=0), 'is not the description of a LeRobot data set'),
    (lambda f: edit(f / 'meta/info.json', data_path='../../../etc/{chunk_index}'),
     'leads out of the data set'),
    (lambda f: edit(f / 'meta/info.json', data_path='{chunk_index.__class__}/x.parquet'),
     'cannot be read'),
    (lambda f: as_others(f, ['v', 'w'], ('left', 'right')), '3 cameras; name one with --image'),
    (lambda f: rewrite(f / 'data/chunk-000/file-000.parquet', swap), 'has episode 7 where meta'),
    (lambda f: rewrite(f / 'data/chunk-000/file-000.parquet', lambda t: t.slice(0, 40)),
     'episode 1 has 16 rows, meta says 24'),
    (lambda f: (f / 'data/chunk-000/file-000.parquet').write_bytes(b'PAR1 no'), 'damaged'),
    (lambda f: shutil.rmtree(f / 'meta/episodes'), 'has no meta/episodes'),
])
def test_what_cannot_be_read_is_one_line(copy, tmp_path, capsys, spoil, line):
    spoil(copy)
    assert line in refused(capsys, copy, tmp_path / 'b.h5')


def test_places_and_directions_that_make_no_sense_are_refused(drives, lerobot, tmp_path, capsys):
    b = tmp_path / 'b.h5'
    assert run(['ingest', str(lerobot), '-o', str(b)]) == 2
    assert 'use `wm convert`' in capsys.readouterr().err
    assert 'no such file' in refused(capsys, tmp_path / 'nowhere', b)
    assert 'is no LeRobot data set' in refused(capsys, tmp_path, b)
    assert 'say with --to' in refused(capsys, drives, b)
    assert 'convert it to ours first' in refused(capsys, lerobot, b, '--to', 'stable-worldmodel')
    assert 'exists already' in refused(capsys, drives, lerobot, '--to', 'lerobot')


def test_stable_worldmodel_gets_columns_of_steps_alone(drives, tmp_path, capsys):
    theirs = tmp_path / 'theirs.h5'
    assert run(['convert', str(drives), '--to', 'stable-worldmodel', '-o', str(theirs)]) == 0
    found, before = columns(theirs), columns(drives)
    for name in ('pixels', 'action', 'proprio', 'ep_len', 'ep_offset'):
        np.testing.assert_array_equal(found[name], before[name])
    np.testing.assert_array_equal(found['step_idx'][22:26], [22, 23, 0, 1])
    with h5py.File(theirs, 'r', swmr=True) as file:  # as its reader opens it
        assert all(len(file[name]) == 72 for name in file if name not in ('ep_len', 'ep_offset'))
    back = columns(converted(theirs, tmp_path / 'b.h5', '--action', '0', '1').path)
    np.testing.assert_array_equal(back['pixels'], before['pixels'])
    np.testing.assert_array_equal(back['action'], before['action'])


def test_a_file_as_stable_worldmodel_records_it(tmp_path, capsys):
    """Pictures of 3 x H x W, an action of NaN at the end of each episode, no rate."""
    theirs, b = tmp_path / 'theirs.h5', tmp_path / 'b.h5'
    pixels = np.random.default_rng(0).integers(0, 255, (24, 3, 18, 24), np.uint8)
    action = np.ones((24, 2), np.float32)
    action[[11, 23]] = np.nan
    with h5py.File(theirs, 'w') as file:
        file['pixels'], file['action'], file['reward'] = pixels, action, np.zeros(24)
        file['ep_len'], file['ep_offset'] = [12, 12], [0, 12]
    options = ('--action', '0', '1', '--size', 'same')
    assert 'say it with --source-rate' in refused(capsys, theirs, b, *options)
    found = columns(converted(theirs, b, *options, '--source-rate', '5').path)
    np.testing.assert_array_equal(found['pixels'], pixels.transpose(0, 2, 3, 1))
    assert found['action'].sum() == 44
    with h5py.File(theirs, 'a') as file:
        file['ep_len'][1] = 99
    assert 'do not fit 24 steps' in refused(capsys, theirs, b, *options, '--source-rate', '5')
