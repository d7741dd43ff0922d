# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""What is watched while a model trains, and the page that is left of it."""

from dataclasses import replace
import json
import re

import numpy as np
import pytest

from drawn_world import write_dataset
from tiny_training import TINY as PLAIN
from wm_controller.cli.main import run as wm
from wm_controller.data.dataset import open_all
from wm_controller.data.windows import Windows
from wm_controller.training import monitor
from wm_controller.training.loop import train, TrainingOptions
from wm_controller.training.objective import Horizon, Objective, Weights
from wm_controller.training.samples import sample_futures
from wm_controller.world_model.bundle import load_bundle

TINY = replace(PLAIN, ensemble=2, latent_variable=2)


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp('data') / 'drawn.h5', episodes=6)


@pytest.fixture(scope='module')
def outcome(data, tmp_path_factory):
    found = []
    output = tmp_path_factory.mktemp('model') / 'model.safetensors'
    train([data], TrainingOptions(output=output, steps=8, batch=8, threads=1, architecture=TINY,
                                  half_precision=False), lambda *_: None, found.append)
    return found[0], load_bundle(output)


def test_the_curve_begins_with_the_run_and_holds_what_tells_a_collapse(outcome):
    point = outcome[0].curve[0]
    assert point['iteration'] == 0 and set(point['persistence_ratio']) == {'1', '4', '8'}
    assert point['effective_rank'] > 1 and point['deviation'] > 0
    assert point['clearance_error_m'] > 0 and point['terms']['prediction'] > 0
    assert not monitor.has_collapsed({'deviation': 1.0, 'effective_rank': 60.0})
    assert monitor.has_collapsed({'deviation': 0.01, 'effective_rank': 60.0})
    assert monitor.has_collapsed({'deviation': 1.0, 'effective_rank': 2.0})


def test_watching_changes_neither_the_model_nor_itself(data, outcome):
    objective = Objective(outcome[1].model, Horizon(), Weights())
    with open_all([data])[0] as opened:
        held_out = Windows([opened], 16).split(0.3)[1]
        watch = monitor.Monitor(objective, held_out)
        before = {name: value.clone() for name, value in objective.state_dict().items()}
        assert watch.measure() == watch.measure()
        assert all((value == before[name]).all() for name, value in objective.state_dict().items())


def test_points_come_at_the_start_and_then_neither_too_often_nor_too_seldom():
    watch = object.__new__(monitor.Monitor)
    assert watch.due(0.0, 0.0, [])
    curve = [{'fraction': 0.1, 'elapsed_s': 600.0}]
    assert not watch.due(0.11, 700.0, curve)
    assert not watch.due(0.2, 610.0, curve)
    assert watch.due(0.13, 640.0, curve)


def test_futures_to_look_at_begin_where_the_frames_do(data, outcome):
    objective = Objective(outcome[1].model, Horizon(), Weights())
    with open_all([data])[0] as opened:
        found = sample_futures(objective, Windows([opened], 16).split(0.3)[1], 3)
    assert len(found) == 3
    for sample in found:
        assert sample.frames.shape == (9, 72, 96, 3) and sample.states.shape == (9, 32)
        assert (sample.path[0] == 0).all() and (sample.imagined_path[0] == 0).all()
        assert np.isfinite(sample.imagined_clearance).all()
        assert np.hypot(*(sample.path[-1] - sample.path[0])[:2]) > 0.01  # something happens


def test_the_command_leaves_a_page_that_needs_nothing_else_and_a_summary(data, tmp_path, capsys):
    code = wm(['train', str(data), '-o', str(tmp_path / 'm.safetensors'), '--steps', '3',
               '--batch', '8', '--threads', '1', '--proposal-minutes', '0',
               '--runs', str(tmp_path / 'runs'), '--json'])
    printed = json.loads(capsys.readouterr().out)
    assert code == 1  # three steps pass no gate
    page = (tmp_path / 'runs').glob('*-train/report.html')
    text = next(page).read_text()
    assert printed['report'].endswith('report.html')
    assert text.count('<svg') >= 5 + 2 * 6 and 'persistence ratio, 8 steps' in text
    assert not re.search(r'\b(src|href)="(?!data:|#)', text)
    summary = json.loads(next((tmp_path / 'runs').glob('*-train/summary.json')).read_text())
    assert summary['curve'] and summary['model_digest'] == load_bundle(
        tmp_path / 'm.safetensors').digest
