# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The table of bands: its rows, that it goes on where it stopped, how seeds are joined."""

import json
from pathlib import Path

import pytest

from wm_controller.cli.main import run as wm
from wm_controller.errors import InputError
from wm_controller.evaluation import bands_study
from wm_controller.evaluation.bands_study import DEFAULT, Extent, pooled, Row
from wm_controller.planning.ablations import PARTS

SHIPPED = Path(__file__).parents[1] / 'models' / 'indoor.safetensors'


@pytest.mark.parametrize('name', [*DEFAULT, *(f'hierarchical:-{part}' for part in PARTS),
                                  'flat:image:camera:-places:-compass'])
def test_rows_are_read_by_their_names(name):
    row = Row.named(name)
    job = row.job(SHIPPED, 'far', 1)
    assert job.planner == name.split(':')[0] and job.spec.seed == 1
    assert job.settings['scan'] == ('camera' not in name)
    assert job.spec.taught == job.settings['teach'] == ('image' in name)
    assert (row.goal == 'image') == ('image' in name)
    assert len(row.without) == name.count(':-')


@pytest.mark.parametrize('name', ['teleop', 'flat:laser', 'flat:-brain', 'oracle:camera',
                                  'straight:-places', ''])
def test_rows_that_are_none_are_refused(name):
    with pytest.raises(InputError, match='row'):
        Row.named(name)


def test_pictures_nearby_are_in_sight_and_others_taught():
    near, far = (Row.named('flat:image').job(SHIPPED, band, 0) for band in ('near', 'far'))
    assert near.spec.in_sight and not far.spec.in_sight
    assert near.spec.band_m[1] <= 3.0 and far.spec.band_m[0] >= 8.0


def cell(wins, drives, **figures):
    return {'success_rate': wins / drives, 'episodes': drives, 'spl': 0.5, 'collisions': 1,
            'distance_m': 50.0, 'plans': 100, 'deadline_misses': 2, 'timeouts': 0,
            'driven_s': 10.0, 'plan_s_per_m': 0.4, 'plan_ms': {'p50': 20.0}, **figures}


def test_seeds_are_joined_drive_by_drive():
    both = pooled([cell(3, 4, spl=0.8), cell(9, 12, plan_s_per_m=0.8, distance_m=150.0)])
    assert both['drives'] == 16 and both['success_rate'] == 0.75
    assert both['spl'] == pytest.approx((0.8 * 4 + 0.5 * 12) / 16)
    assert both['collisions_per_100m'] == pytest.approx(1.0)
    assert both['plan_s_per_m'] == pytest.approx((0.4 * 50 + 0.8 * 150) / 200)
    low, high = both['success_ci95']
    assert low < 0.75 < high


def test_what_was_driven_is_not_driven_again_and_more_is_added(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(bands_study, 'BLOCK', 1)
    arguments = ['benchmark', 'bands', str(SHIPPED), '-o', str(tmp_path / 'cells'), '--only',
                 'straight', '--band', 'near', '--episodes', '1', '--seeds', '1', '--workers',
                 '1', '--json']
    assert wm(arguments) == 0
    first = json.loads(capsys.readouterr().out)
    file, = (tmp_path / 'cells').iterdir()
    written = json.loads(file.read_text())
    file.write_text(json.dumps({**written, 'collisions': 7}))
    assert wm(arguments) == 0
    again = json.loads(capsys.readouterr().out)
    assert again['rows']['straight']['near']['collisions'] == 7
    assert first['rows']['straight']['near']['collisions'] == written['collisions']
    arguments[arguments.index('--episodes') + 1] = '2'
    assert wm(arguments) == 0
    more = json.loads(capsys.readouterr().out)['rows']['straight']['near']
    assert more['drives'] == 2 and more['collisions'] >= 7
    assert wm([*arguments, '--episodes', '0']) == 2


def test_no_drives_are_refused():
    with pytest.raises(InputError, match='at least'):
        Extent(bands=('nearby',))
