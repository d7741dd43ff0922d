# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""`wm export`, what runs its files, and a controller whose model ONNX Runtime runs."""

import json
from pathlib import Path
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

from learned import with_decoder
from wm_controller.cli.main import run
from wm_controller.errors import InputError
from wm_controller.evaluation.parity import compare, judge_int8, runner
from wm_controller.planning.config import PilotConfig
from wm_controller.planning.runtime import choose, with_onnx
from wm_controller.world_model.bundle import load_bundle
from wm_controller.world_model.export import PARITY, read_folder, to_onnx
from wm_controller.world_model.graphs import graphs
from wm_controller.world_model.onnx_model import OnnxModel, Sessions
from wm_controller.world_model.quantise import PARTS, to_int8

pytest.importorskip('onnxruntime', reason='needs the extra `export`: onnx, onnxruntime')

STEPS = PilotConfig().horizon_steps
PARTS_OF_ALL = {'encoder', 'observe', 'step', 'rollout', 'read'}

# A program that has neither torch nor this package: encode, observe, imagine, read.
FOREIGN = """
import json, sys
sys.modules['torch'] = sys.modules['wm_controller'] = None
import numpy as np, onnxruntime
folder = sys.argv[1]
about = json.load(open(folder + '/model.json'))
def run(name, **values):
    session = onnxruntime.InferenceSession(folder + '/' + about['files'][name]['file'],
                                           providers=['CPUExecutionProvider'])
    return session.run(None, {key: np.ascontiguousarray(v) for key, v in values.items()})
given = np.load(sys.argv[2])
latent, _ = run('encoder', pixels=given['pixels'])
state, = run('observe', state=np.zeros_like(given['state']), latent=latent,
             action=given['action'], proprio=given['proprio'])
width = about['inputs']['rollout'].get('variable')
drawn = {'variable': np.zeros((len(state), *width[1:]), np.float32)} if width else {}
states, changes = run('rollout', state=state, actions=given['actions'], **drawn)
_, clearance, nearest, seconds = run('read', state=states[:, -1], goal=given['goal'])
np.savez(sys.argv[3], latent=latent, state=state, states=states, changes=changes,
         nearest=nearest, seconds=seconds)
"""


@pytest.fixture(scope='module')
def tiny(tmp_path_factory):
    return with_decoder(tmp_path_factory.mktemp('tiny') / 'tiny.safetensors')


def wm_export(capsys, *arguments):
    code = run(['export', *map(str, arguments), '--json'])
    out, err = capsys.readouterr()
    return code, json.loads(out) if out else None, err


@pytest.fixture
def exported(tiny, tmp_path, capsys):
    code, report, err = wm_export(capsys, tiny, '-o', tmp_path / 'out')
    assert (code, err) == (0, ''), err
    return tmp_path / 'out', report


def imagined(model, rows=6, steps=STEPS, ways=1):
    generator = torch.Generator().manual_seed(3)
    state = torch.randn(ways, rows, model.spec.architecture.state, generator=generator)
    actions = torch.rand(ways, rows, steps, 2, generator=generator)
    with torch.no_grad():
        return model.imagine(state, actions, model.draw_variable(
            ways, rows, steps, generator=generator))


@pytest.mark.parametrize('kind', ['onnx', 'torchscript'])
def test_the_shipped_models_parts_answer_as_it_does(kind, tmp_path, capsys):
    code, report, err = wm_export(capsys, 'indoor', '-o', tmp_path, '--format', kind)
    assert (code, err) == (0, '')
    assert set(report['difference']) == PARTS_OF_ALL | {'disagreement'}
    assert 0 <= report['worst'] <= PARITY
    assert report['model_digest'] == load_bundle('indoor').digest
    assert json.loads((tmp_path / 'model.json').read_text())['format'] == kind
    if kind == 'torchscript':
        encoder = torch.jit.load(tmp_path / 'encoder.pt')
        pixels = torch.zeros(4, 72, 96, 3, dtype=torch.uint8)
        off = encoder(pixels)[0] - load_bundle('indoor').model.encode(pixels)
        assert off.abs().max() < PARITY


def test_a_program_without_torch_and_this_package_runs_the_files(exported, tiny, tmp_path):
    model, rng = load_bundle(tiny).model, np.random.default_rng(0)
    rows, a = 4, model.spec.architecture
    given = {'pixels': rng.integers(0, 255, (rows, *model.spec.image_size, 3), np.uint8),
             'state': np.zeros((rows, a.state), np.float32),
             'action': rng.random((rows, 2), np.float32),
             'proprio': np.full((rows, 5), np.nan, np.float32),
             'actions': rng.random((rows, STEPS, 2), np.float32),
             'goal': rng.random((rows, 2), np.float32)}
    np.savez(tmp_path / 'given.npz', **given)
    subprocess.run([sys.executable, '-c', FOREIGN, exported[0], tmp_path / 'given.npz',
                    tmp_path / 'found.npz'], check=True, timeout=120)
    found = np.load(tmp_path / 'found.npz')
    values = {name: torch.from_numpy(value) for name, value in given.items()}
    with torch.no_grad():
        latent = model.encode(values['pixels'])
        state = model.observe(values['state'], latent, values['action'], values['proprio'])
        states, changes = model.imagine(state, values['actions'])
        seconds = model.time_to_reach(states[:, -1], values['goal'])
        expected = {'latent': latent, 'state': state, 'states': states, 'changes': changes,
                    'nearest': model.nearest(states[:, -1]), 'seconds': seconds}
    for name, value in expected.items():
        assert np.abs(found[name] - value.numpy()).max() < PARITY, name


def test_a_model_by_onnx_runtime_imagines_alike_also_shorter_and_with_z():
    bundle = load_bundle('indoor')
    other = with_onnx(bundle, PilotConfig())
    for how in ({}, {'ways': 3}, {'steps': STEPS - 2}, {'steps': 1}, {'steps': STEPS + 1}):
        for mine, theirs in zip(imagined(bundle.model, **how), imagined(other.model, **how)):
            assert mine.shape == theirs.shape
            assert (mine - theirs).abs().max() < PARITY, how
    action = torch.zeros(1, 1, STEPS, 2, requires_grad=True)
    states, _ = other.model.imagine(torch.zeros(1, 1, 256), action)
    states.sum().backward()
    assert action.grad.abs().sum() > 0


def test_a_part_that_differs_is_noticed_and_nothing_is_written(
        tiny, tmp_path, capsys, monkeypatch):
    from wm_controller.world_model import export
    bundle = load_bundle(tiny)
    parts = graphs(bundle.model, STEPS)
    made = {graph.name: to_onnx(graph) for graph in parts}
    with torch.no_grad():
        bundle.model.readout.bias += 2 * PARITY
    found = compare(bundle.model, parts, runner('onnx', made))
    assert {name for name, off in found.items() if max(off.values()) > PARITY} == {'read'}

    def off(graph):
        data = to_onnx(graph)
        with torch.no_grad():
            graph.module.model.readout.bias += 2 * PARITY
        return data
    monkeypatch.setattr(export, 'to_onnx', off)
    code, _, err = wm_export(capsys, tiny, '-o', tmp_path / 'out')
    assert code == 1 and 'nothing is written' in err
    assert not (tmp_path / 'out').exists()


def test_folders_that_are_not_whole_or_of_another_model_are_refused(exported, tiny, tmp_path):
    folder, bundle = exported[0], load_bundle(tiny)
    assert set(read_folder(folder, bundle, STEPS)) == PARTS_OF_ALL

    def refused(match, change, bundle=bundle, steps=STEPS):
        shutil.copytree(folder, tmp_path / 'bad', dirs_exist_ok=True)
        change(tmp_path / 'bad')
        with pytest.raises(InputError, match=match):
            read_folder(tmp_path / 'bad', bundle, steps)

    refused('encoder.onnx: not the file that was exported',
            lambda bad: (bad / 'encoder.onnx').write_bytes(b'cut'))
    refused('encoder.onnx: cannot be read', lambda bad: (bad / 'encoder.onnx').unlink())
    refused('not what `wm export` writes', lambda bad: (bad / 'model.json').write_text('{"a": 1}'))
    refused('model digest', lambda bad: None, bundle=load_bundle('indoor'))
    refused('steps is 12, wanted is 9', lambda bad: None, steps=9)
    with pytest.raises(InputError, match='encoder: not a model for ONNX Runtime'):
        Sessions({'encoder': b'no model'}, 1)
    with pytest.raises(InputError, match='lacks observe, rollout'):
        OnnxModel.of(bundle.model, Sessions(
            {'encoder': (folder / 'encoder.onnx').read_bytes()}, 1), STEPS)


def test_auto_takes_what_is_faster_here_and_warns_where_there_is_no_onnx_runtime(
        tiny, monkeypatch):
    from wm_controller.planning import runtime
    bundle, config = load_bundle(tiny), PilotConfig()
    for times, name in (((0.02, 0.01), 'onnx'), ((0.02, 0.019), 'torch')):
        monkeypatch.setattr(runtime, 'race', lambda *works, times=times: times)
        choice = choose(bundle, config, 'auto')
        assert choice.bundle.model.runtime == name
        assert choice.note == f'{name}: 20.0 ms by torch, {1e3 * times[1]:.1f} ms by onnx'
    monkeypatch.setattr(runtime, 'find_spec', lambda name: None)
    choice = choose(bundle, config, 'auto')
    assert choice.bundle is bundle and 'onnxruntime is missing' in choice.warning
    with pytest.raises(InputError, match="onnxruntime is missing: pip install '"):
        choose(bundle, config, 'onnx')
    assert choose(bundle, config, 'torch').warning == ''


def test_int8_is_judged_on_data_and_refused_where_predictions_get_worse(
        data, plain, tmp_path, capsys, monkeypatch):
    from wm_controller.evaluation import parity
    bundle = load_bundle(plain)
    made = {graph.name: to_onnx(graph) for graph in graphs(bundle.model, STEPS)}
    rounded = {**made, **{name: to_int8(made[name]) for name in PARTS}}
    assert b'MatMulInteger' in rounded['rollout']
    verdict = judge_int8(bundle, STEPS, made, rounded, Path(data), lambda *_, **__: None)
    assert 0.5 < verdict['worse'] < 2.0 and verdict['rollout_time_ratio'] > 0
    rollout = next(graph for graph in graphs(bundle.model, STEPS) if graph.name == 'rollout')
    values = rollout.example(3, seed=0)
    exact, coarse = (Sessions(parts, 1).run(rollout, *values)[0] for parts in (made, rounded))
    assert 0.0 < np.abs(exact - coarse).max() < 0.5
    arguments = (plain, '-o', tmp_path / 'out', '--int8', '--data', data)
    monkeypatch.setattr(parity, 'TOLERANCE', 0.1)
    code, _, err = wm_export(capsys, *arguments)
    assert code == 1 and 'int8 makes predictions on drawn.h5' in err
    assert not (tmp_path / 'out').exists()
    monkeypatch.setattr(parity, 'TOLERANCE', 10.0)
    code, report, _ = wm_export(capsys, *arguments)
    assert code == 0 and report['int8']['parts'] == list(PARTS)
    other = with_onnx(bundle, PilotConfig(), str(tmp_path / 'out'))
    off = imagined(other.model)[0] - imagined(bundle.model)[0]
    assert PARITY < off.abs().max() < 1.0  # it is int8 that runs


@pytest.mark.parametrize('arguments, line', [
    (('--format', 'tflite'), '--format tflite: use onnx or torchscript'),
    (('--int8',), 'is judged on recordings: give --data')])
def test_a_wrong_option_is_one_line(tiny, tmp_path, capsys, arguments, line):
    code, _, err = wm_export(capsys, tiny, '-o', tmp_path / 'out', *arguments)
    assert code == 2 and line in err and err.count('\n') == 1


def test_the_controller_drives_by_onnx_runtime(rig, exported, tiny):
    pytest.importorskip('rclpy')
    from wm_controller.nodes.pilot_factory import make_pilot
    running = rig(make_pilot, model=str(tiny), runtime='onnx', exported=str(exported[0]),
                  planner='flat', allow_ungated=True).ready()
    assert running.node._driver.bundle.model.runtime == 'onnx'
    from ros_probe import pose_goal
    running.goals.publish(pose_goal(3.0, 1.0))
    running.show(100, stop=lambda: len(running.paths) >= 3)
    assert len(running.paths) >= 3 and running.state() == 'planning'
    running.probe.until(lambda: running.figures, what='diagnostics')
    assert running.figures[-1]['runtime'] == 'onnx'
