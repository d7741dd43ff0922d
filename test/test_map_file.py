# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""A map that was saved is the same when it is loaded, or it is refused in one line."""

import os

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest
from safetensors.numpy import load, save_file

from wm_controller.errors import InputError
from wm_controller.memory import map_file
from wm_controller.memory.map_file import load_map, save_map
from wm_controller.memory.place_map import PlaceMap

MODEL = 'a' * 64


@pytest.fixture(scope='module')
def driven():
    """A map of a straight drive, with a way that failed."""
    place_map = PlaceMap(16)
    rng = np.random.default_rng(0)
    for i in range(60):
        place_map.update(0.2 * i, [0.1 * i, 0.0, 0.0], rng.standard_normal(16),
                         lambda i=i: bytes(i))
    place_map.ways.failed(2, 7.0)
    return place_map


@pytest.fixture(scope='module')
def saved(driven, tmp_path_factory):
    path = tmp_path_factory.mktemp('maps') / 'home.safetensors'
    save_map(path, driven, MODEL)
    return path


def test_the_end_of_a_route_is_where_the_robot_stood(tmp_path):
    place_map = PlaceMap(16)
    rng = np.random.default_rng(0)
    for i in range(29):  # 0.3 m on from the last place that lies half a metre from its neighbour
        place_map.update(0.2 * i, [0.1 * i, 0.0, 0.0], rng.standard_normal(16), bytes)
    assert not place_map.route
    place_map.end_trail()
    place_map.end_trail()
    save_map(tmp_path / 'route.safetensors', place_map, MODEL)
    loaded = load_map(tmp_path / 'route.safetensors', MODEL)
    assert loaded.route == place_map.route == place_map.trail
    assert loaded.places.poses[loaded.route[-1]] == pytest.approx([2.8, 0.0, 0.0])


def test_a_map_comes_back_as_it_was(driven, saved):
    loaded = load_map(saved, MODEL)
    assert len(loaded.places) == len(driven.places) > 8
    for name in ('poses', 'descriptors'):
        assert (getattr(loaded.places, name) == getattr(driven.places, name)).all()
    for name in ('ends', 'times', 'changes', 'sigmas', 'sighted'):
        assert (getattr(loaded.ways, name) == getattr(driven.ways, name)).all()
    assert loaded.ways.open(0.0).all()  # what was blocked then is tried again
    assert loaded.places.pictures == driven.places.pictures
    assert loaded.trail == driven.trail == list(range(len(driven.places)))
    assert not loaded.located  # where the robot was set down is not in the file


def test_an_empty_map_comes_back_too(tmp_path):
    save_map(tmp_path / 'new' / 'empty.safetensors', PlaceMap(16), MODEL)
    assert len(load_map(tmp_path / 'new' / 'empty.safetensors', MODEL).places) == 0


def test_a_map_of_another_model_is_refused_by_name(saved):
    with pytest.raises(InputError, match='made with model aaaaaaaaaaaa, not with bbbbbbbbbbbb'):
        load_map(saved, 'b' * 64)


def test_a_save_that_fails_leaves_the_old_map(driven, saved, tmp_path, monkeypatch):
    path = tmp_path / 'home.safetensors'
    path.write_bytes(saved.read_bytes())

    def full(*_):
        raise OSError(28, 'No space left on device')
    monkeypatch.setattr(os, 'fsync', full)
    with pytest.raises(InputError, match='No space left'):
        save_map(path, driven, MODEL)
    assert path.read_bytes() == saved.read_bytes()
    assert os.listdir(tmp_path) == ['home.safetensors']


def test_a_missing_a_huge_and_a_foreign_file_are_refused(saved, tmp_path, monkeypatch):
    with pytest.raises(InputError, match='no such map'):
        load_map(tmp_path / 'none.safetensors', MODEL)
    save_file({'x': np.zeros(3)}, tmp_path / 'foreign.safetensors')
    with pytest.raises(InputError, match='not a map that can be read'):
        load_map(tmp_path / 'foreign.safetensors', MODEL)
    monkeypatch.setattr(map_file, 'MAX_BYTES', 1000)
    with pytest.raises(InputError, match='too much for a map'):
        load_map(saved, MODEL)


@settings(max_examples=60)
@given(st.data())
def test_a_damaged_file_is_never_believed(driven, saved, tmp_path_factory, data):
    whole = saved.read_bytes()
    path = tmp_path_factory.mktemp('damaged') / 'home.safetensors'
    if data.draw(st.booleans(), 'truncate'):
        path.write_bytes(whole[:data.draw(st.integers(0, len(whole) - 1))])
    else:
        at, bit = data.draw(st.integers(0, len(whole) - 1)), data.draw(st.integers(0, 7))
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1:])
    try:
        loaded = load_map(path, MODEL)
    except InputError as error:
        assert '\n' not in str(error) and str(path) in str(error)
    else:  # a space of the header became another blank: nothing that counts
        assert (loaded.places.poses == driven.places.poses).all()


@pytest.mark.parametrize('name, value', [
    ('ends', 10_000), ('ends', -1), ('times', -1.0), ('times', np.nan), ('poses', np.inf),
    ('picture_sizes', -5), ('sigmas', 0.0)])
def test_what_points_nowhere_is_refused_though_its_sum_is_right(saved, tmp_path, name, value):
    arrays = {key: each.copy() for key, each in load(saved.read_bytes()).items()}
    arrays[name].flat[0] = value
    header = map_file.json.dumps({'schema': map_file.SCHEMA, 'model_digest': MODEL,
                                  'sha256': map_file._digest(arrays)})
    path = tmp_path / 'odd.safetensors'
    save_file(arrays, path, {map_file.METADATA_KEY: header})
    with pytest.raises(InputError, match='is damaged'):
        load_map(path, MODEL)
