# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""`wm bench`: the figures are measured, the ratios are of the same run, limits have teeth."""

import json

import numpy as np
import pytest

from wm_controller.cli.main import run
from wm_controller.evaluation import bench_growth, bench_memory, bench_training
from wm_controller.evaluation.bench_processes import peak_memory_mb
from wm_controller.evaluation.bench_timing import time_calls, Timing
from wm_controller.memory.map_correction import fitted, misfit
from wm_controller.planning.config import SolverConfig


@pytest.fixture(scope='module')
def bundle(tmp_path_factory):
    """An untrained model that counts as passed: speed does not depend on the weights."""
    import torch

    from wm_controller.data.schema import CLEARANCE_BEARINGS
    from wm_controller.world_model.bundle import save_bundle
    from wm_controller.world_model.model import WorldModel
    from wm_controller.world_model.spec import Architecture, ModelSpec

    path = tmp_path_factory.mktemp('bundle') / 'untrained.safetensors'
    torch.manual_seed(0)
    spec = ModelSpec(clearance_bearings=tuple(CLEARANCE_BEARINGS.tolist()),
                     architecture=Architecture(abstract_state=16))
    save_bundle(path, WorldModel(spec), gates={'passed': True}, training={},
                energy_quantiles=tuple(np.linspace(0, 1, 101).tolist()))
    return path


def bench(capsys, *arguments):
    """Exit code and result of a run."""
    code = run(['bench', '--json', *arguments])
    captured = capsys.readouterr()
    return code, json.loads(captured.out) if captured.out else None, captured.err


def test_percentiles_are_of_all_calls_but_the_first_few():
    calls = []
    timing = time_calls(lambda: calls.append(1), 50)
    assert len(calls) == 53 and timing.calls == 50
    spread = Timing.of([0.001] * 98 + [0.1, 0.2])
    assert spread.p50_ms == pytest.approx(1.0)
    assert spread.p99_ms > 50


def test_peak_memory_is_that_of_the_process():
    import os

    import psutil

    resident = psutil.Process().memory_info().rss / 1e6
    assert peak_memory_mb(os.getpid()) >= 0.99 * resident


def test_planner_and_peer_get_the_same_candidates_and_cost(bundle, capsys):
    pytest.importorskip('pytorch_mppi', reason='needs pytorch-mppi')
    code, result, _ = bench(capsys, '--only', 'planner', '--model', str(bundle), '--cases', '2',
                            '--calls', '10')
    assert code == 0
    planner, peer = result['planner'], result['planner']['peer']
    assert peer['candidates'] == sum(planner['plan']['candidates'])
    assert peer['steps'] == planner['plan']['steps']
    assert planner['plan']['p50_ms'] > planner['encode']['p50_ms'] > 0
    assert peer['time_ratio_p50'] == pytest.approx(
        peer['ours']['p50_ms'] / peer['mppi']['p50_ms'])
    for planned in (peer['ours'], peer['mppi']):
        # More search never hurts ours; the peer's mean wanders a little.
        assert 0 < planned['cost_warm'] <= 1.2 * planned['cost_first'] < 1e3


def test_the_peer_is_scored_by_our_cost_of_the_same_rollout(bundle):
    pytest.importorskip('pytorch_mppi', reason='needs pytorch-mppi')
    import torch

    from wm_controller.evaluation.bench_planner import make_case
    from wm_controller.world_model.bundle import load_bundle

    case = make_case(load_bundle(bundle), seed=3)
    actions = np.random.default_rng(0).uniform((0, -1), (0.5, 1), (5, 6, 2))
    model = case.pilot.imagination.model
    state, states = case.state.expand(5, -1), [case.state.expand(5, -1)]
    with torch.no_grad(), case.pilot.imagination.precision():
        for t in range(6):
            step = torch.from_numpy(actions[:, t].astype(np.float32))
            state = model.predict(state, step)
            states.append(state)
        rolled = torch.stack(states, 1)
        scaled = torch.from_numpy(actions.astype(np.float32)) / model.action_scale
        changes = model.pose_change(rolled[:, :-1], scaled)
    stepwise = case.pilot.imagination.read(rolled[None], changes, actions, case.goal_in_base)
    at_once = case.pilot.imagination(case.state, actions, case.goal_in_base)
    assert np.allclose(stepwise.poses, at_once.poses, atol=1e-5)
    assert np.allclose(stepwise.nearest, at_once.nearest, atol=1e-4)


def test_the_map_of_places_is_timed_as_it_grows(capsys, monkeypatch):
    from wm_controller.evaluation import bench_places

    monkeypatch.setattr(bench_places.bench_places, '__defaults__', ((100, 2000),))
    code, result, _ = bench(capsys, '--only', 'places', '--calls', '10')
    assert code == 0
    small, large = result['places']
    assert (small['places'], large['places']) == (100, 2000)
    assert large['ways'] == 2 * 2000 - 45 - 45  # a grid, 45 wide
    for name in ('search', 'take_in', 'route', 'save', 'load'):
        assert large[name]['p50_ms'] > 0
    assert large['file_mb'] > 10 * small['file_mb']


def test_guardrail_and_relay_are_timed_in_one_run(capsys):
    pytest.importorskip('rclpy', reason='needs rclpy')
    code, result, error = bench(capsys, '--only', 'guardrail', '--samples', '20')
    assert code == 0, error
    found = result['guardrail']
    for name in ('guardrail', 'relay'):
        assert found[name]['calls'] == 20
        assert 0.05 < found[name]['p50_ms'] < 100
    assert found['ratio_p50'] == pytest.approx(
        found['guardrail']['p50_ms'] / found['relay']['p50_ms'])
    assert set(found['braking_on_busy_cores']) == {'scan', 'command'}
    assert all(timing['p50_ms'] > 0.0 for timing in found['braking_on_busy_cores'].values())


def test_memory_over_its_limit_is_a_negative_result(bundle, capsys, monkeypatch):
    pytest.importorskip('rclpy', reason='needs rclpy')
    monkeypatch.setitem(bench_memory.LIMITS_MB, 'guardrail', 1.0)
    code, result, error = bench(capsys, '--only', 'memory', '--model', str(bundle),
                                '--drive-s', '3')
    assert code == 1 and 'over the memory limit: guardrail' in error
    assert set(result['memory']) == {'controller', 'guardrail', 'simulator'}
    assert result['memory']['controller']['peak_mb'] < 900
    assert result['memory']['guardrail']['peak_mb'] < 120


@pytest.mark.parametrize(('arguments', 'line'), [
    (['--only', 'speed'], '--only speed: use planner'),
    (['--only', 'planner', '--model', 'nowhere'], 'nowhere'),
    (['--only', 'memory', '--model', 'no/where.safetensors'], 'no/where.safetensors'),
    (['--only', 'training', '--data', 'no.h5'], 'no.h5'),
])
def test_wrong_input_is_one_line(arguments, line, capsys):
    code, result, error = bench(capsys, *arguments)
    assert (code, result) == (2, None)
    assert len(error.splitlines()) == 1 and line in error


def test_training_says_how_fast_and_how_big(capsys, monkeypatch):
    monkeypatch.setattr(bench_training, 'ROOMS', 3)
    monkeypatch.setattr(bench_training, 'STEPS', 40)
    code, result, error = bench(capsys, '--only', 'training', '--train-s', '5',
                                '--train-threads', '1')
    assert code == 0, error
    assert result['training']['frames_per_s'] > 1
    assert 100 < result['memory']['training']['peak_mb'] < 4000


def growth(capsys, *arguments):
    code = run(['benchmark', 'growth', '--json', *map(str, arguments)])
    captured = capsys.readouterr()
    return code, json.loads(captured.out) if captured.out else None, captured.err


def test_growth_is_timed_drawn_and_put_in_words(bundle, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(bench_growth, 'CANDIDATES', (24, 192, 768))
    monkeypatch.setattr(bench_growth, 'HORIZONS', (4, 12, 32))
    code, result, error = growth(capsys, bundle, '-o', tmp_path / 'new', '--calls', 5,
                                 '--most-places', 1000)
    assert code == 0, error
    series = result['series']
    assert [row['at'] for row in series['correct']['points']] == [100, 316, 1000]
    for name, grows in (('candidates', 1.5), ('horizon', 1.5), ('correct', 1.5)):
        found = series[name]
        usual, = [row for row in found['points'] if row['at'] == found['default']]
        assert usual['ratio'] == 1.0
        # Even an untrained model takes longer for more; how much is for the figure to say.
        first, last = found['points'][0], found['points'][-1]
        assert last['p50_ms'] > grows * first['p50_ms'] > 0
        assert last['ratio'] == pytest.approx(last['p50_ms'] / usual['p50_ms'])
    folder = tmp_path / 'new'
    assert json.loads((folder / 'growth.json').read_text())['series'] == series
    figure = (folder / 'growth.svg').read_text()
    assert figure.startswith('<svg') and 'places in memory' in figure and '<metadata' not in figure
    text = (folder / 'growth.md').read_text()
    assert series['route']['says'] in text and '| 1,000 |' in text


def test_exponents_are_slopes_of_the_logarithms():
    rows = [{'at': n, 'p50_ms': 0.3 * n ** 1.5} for n in (10, 100, 1000, 10_000)]
    found = bench_growth.exponent(rows)
    assert found['all'] == pytest.approx(1.5) and found['upper_half'] == pytest.approx(1.5)
    flat_first = [{'at': n, 'p50_ms': 5.0 + n} for n in (1, 10, 1e4, 1e5)]
    found = bench_growth.exponent(flat_first)
    assert found['upper_half'] == pytest.approx(1.0, abs=0.01) and found['all'] < 0.95


def test_candidates_are_shared_among_the_rounds_as_by_default():
    default = SolverConfig()
    for total in bench_growth.CANDIDATES:
        solver = bench_growth.shared(default, total)
        assert sum(solver.candidates) == total and len(solver.candidates) == 3
        assert solver.elites <= min(solver.candidates)
    assert bench_growth.shared(default, 192) == default


def test_the_map_that_is_corrected_has_sights_to_correct_it_by():
    drive = bench_growth.recognised_drive(1000)
    poses, ends, changes, sigmas, doubtful, headings, newest = drive
    assert len(poses) == len(headings) == 1000 and 0 < doubtful.sum() < 100 and doubtful[newest]
    fit = fitted(*drive)
    off = misfit(fit, ends, changes, sigmas)
    assert 1 <= (off > 3.4).sum() <= 3 and not (off[~doubtful] > 3.4).any(), 'a few are false'


@pytest.mark.parametrize(('arguments', 'line'), [
    (['nowhere'], 'nowhere'), (['BUNDLE', '--most-places', '100'], '--most-places is 100'),
    (['BUNDLE', '-o', '/dev/null/x'], '/dev/null/x'),
])
def test_growth_refuses_wrong_input_in_one_line(bundle, capsys, arguments, line):
    code, result, error = growth(
        capsys, *(str(bundle) if each == 'BUNDLE' else each for each in arguments))
    assert (code, result) == (2, None)
    assert len(error.splitlines()) == 1 and line in error
