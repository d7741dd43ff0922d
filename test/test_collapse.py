# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
import dataclasses
import json
import math

import numpy as np
import pytest
import torch

from drawn_world import write_dataset
from tiny_training import TINY
from wm_controller.cli.main import run as wm
from wm_controller.data.dataset import open_all
from wm_controller.data.windows import Windows
from wm_controller.errors import InputError
from wm_controller.training import batches, losses
from wm_controller.training.collapse import distillation
from wm_controller.training.collapse.coding_rate import coding_rate, coding_rate_reduction
from wm_controller.training.collapse.contrastive import info_nce
from wm_controller.training.collapse.method import Method
from wm_controller.training.collapse.methods import method_class, METHODS
from wm_controller.training.collapse.mmcr import manifold_capacity
from wm_controller.training.collapse.sigreg import epps_pulley, sigreg
from wm_controller.training.loop import checkpoint_path, train
from wm_controller.training.objective import Horizon, Objective, Weights
from wm_controller.training.options import TrainingOptions
from wm_controller.training.statistics import describe
from wm_controller.world_model.bundle import load_bundle
from wm_controller.world_model.model import WorldModel

GAUSSIAN_AREA = math.sqrt(2 * math.pi)  # integral of exp(-t^2 / 2)


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp('data') / 'drawn.h5', episodes=6)


@pytest.fixture(scope='module')
def drawn(data):
    datasets = open_all([data])
    yield datasets, Windows(datasets, 16)
    for dataset in datasets:
        dataset.close()


def make(drawn, name):
    datasets, windows = drawn
    torch.manual_seed(0)
    method = METHODS[name]
    model = WorldModel(describe(datasets, windows, method.architecture(TINY)))
    batch = batches.Sampler(windows, 0, 60).sample(4, 0)
    return Objective(model, Horizon(), Weights(), method=method), batch


def test_epps_pulley_against_its_integral():
    """Of a Gaussian the expected statistic, of a single point the distance of 1 from it."""
    torch.manual_seed(0)
    statistic = epps_pulley(torch.randn(400, 3000).double())
    expected = GAUSSIAN_AREA * (1 - 1 / math.sqrt(3))
    assert float(statistic.mean()) == pytest.approx(expected, rel=0.03)
    point = GAUSSIAN_AREA * (1 - 2 / math.sqrt(2) + 1 / math.sqrt(3))
    assert float(epps_pulley(torch.zeros(50, 1).double())) == pytest.approx(50 * point, rel=1e-3)
    assert float(epps_pulley(2 * torch.randn(400, 1))) > 10 * expected


def test_coding_rate_against_its_definition():
    vectors = torch.randn(7, 5, generator=torch.Generator().manual_seed(0)).double()
    for some in (vectors, vectors.T.contiguous()):  # more vectors than dimensions, and fewer
        count, size = some.shape
        matrix = np.eye(size) + size / (count * 0.5) * some.numpy().T @ some.numpy()
        assert float(coding_rate(some)) == pytest.approx(0.5 * np.linalg.slogdet(matrix)[1])


def test_manifold_capacity_at_its_bounds():
    basis = torch.eye(12).unsqueeze(1)
    assert float(manifold_capacity(basis.repeat(1, 3, 1))) == pytest.approx(0.0, abs=1e-3)
    opposite = torch.cat([basis, -basis], 1)  # views that disagree have no centre
    assert float(manifold_capacity(opposite)) == pytest.approx(1.0, abs=0.01)
    alike = torch.ones(12, 2, 12)
    assert float(manifold_capacity(alike)) == pytest.approx(1 - 1 / math.sqrt(12), abs=0.01)


def test_info_nce_is_zero_when_all_is_told_apart_and_log_n_when_nothing_is():
    apart = 20.0 * torch.eye(16)
    assert float(info_nce(apart, apart)) == pytest.approx(0.0, abs=1e-4)
    same = torch.ones(16, 8)
    assert float(info_nce(same, same)) == pytest.approx(math.log(16))
    assert float(info_nce(apart, apart.roll(1, 0))) > 100


def of_latents(name, latents):
    """The term against collapse, of latents (N, E) that are predicted without error."""
    directions = torch.randn(latents.shape[1], 64, generator=torch.Generator().manual_seed(1))
    pairs = torch.stack([latents, latents], 1)
    return {'variance': lambda: losses.variance_hinge(latents),
            'covariance': lambda: losses.covariance(latents),
            'sigreg': lambda: sigreg(latents, directions),
            'mmcr': lambda: manifold_capacity(pairs),
            'coding_rate': lambda: 1 - coding_rate_reduction(pairs),
            'contrastive': lambda: info_nce(latents, latents)}[name]()


@pytest.mark.parametrize('name', ['variance', 'covariance', 'sigreg', 'mmcr', 'coding_rate',
                                  'contrastive'])
def test_collapse_costs_more_than_an_isotropic_set_and_gradients_are_finite(name):
    generator = torch.Generator().manual_seed(0)
    isotropic = torch.randn(512, 24, generator=generator)
    line = isotropic[:, :1] * torch.ones(24)  # all dimensions alike
    nearly_a_point = torch.ones(512, 24) + 1e-3 * isotropic
    costs = []
    for latents in (isotropic, line, nearly_a_point):
        latents = latents.clone().requires_grad_()
        cost = of_latents(name, latents)
        cost.backward()
        assert torch.isfinite(latents.grad).all()
        costs.append(float(cost.detach()))
    assert costs[0] < 0.8 * costs[1] or name == 'variance'  # a line varies in every dimension
    assert costs[0] < 0.8 * costs[2] or name == 'covariance'  # a point's dimensions do not covary
    exactly_a_point = torch.ones(512, 24, requires_grad=True)
    of_latents(name, exactly_a_point).backward()
    assert torch.isfinite(exactly_a_point.grad).all()


@pytest.mark.parametrize('name', sorted(METHODS))
def test_every_method_trains_every_part_that_it_should(name, drawn):
    objective, batch = make(drawn, name)
    objective.train()
    first = None
    optimizer = torch.optim.AdamW(objective.model.parameters(), 3e-3)
    for _ in range(6):
        loss, terms = objective(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        first = first if first is not None else float(loss.detach())
    assert math.isfinite(first) and float(loss.detach()) < first
    assert set(terms) <= {f.name for f in dataclasses.fields(Weights)}
    for key, parameter in objective.model.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), key


def test_the_default_pays_for_prediction_variance_and_covariance_as_before(drawn):
    objective, batch = make(drawn, 'vicreg')
    _, terms = objective(batch)
    latents = objective.encode(batch['pixels'])[0].flatten(0, 1)
    assert float(terms['variance']) == pytest.approx(float(losses.variance_hinge(latents)))
    assert float(terms['covariance']) == pytest.approx(float(losses.covariance(latents)))
    assert set(terms) == {'prediction', 'variance', 'covariance', 'inverse_dynamics',
                          'clearance', 'pose_change', 'time_to_reach', 'latent_variable',
                          'image_reach'}


def test_the_target_follows_the_encoder_and_gets_no_gradient(drawn):
    objective, batch = make(drawn, 'ema')
    objective.train()
    with torch.no_grad():
        for parameter in objective.model.encoder.parameters():
            parameter.add_(1.0)
    before = [p.clone() for p in objective.method.target.parameters()]
    objective(batch)[0].backward()
    moved = list(objective.method.target.parameters())
    for old, new, online in zip(before, moved, objective.model.encoder.parameters()):
        torch.testing.assert_close(new, old.lerp(online, 1 - distillation.DECAY))
        assert new.grad is None
    objective.eval()
    objective(batch)
    assert all(torch.equal(a, b) for a, b in zip(moved, objective.method.target.parameters()))


def test_without_actions_the_future_is_the_same_whatever_is_done(drawn):
    told, untold = make(drawn, 'generative-action')[0].model, make(drawn, 'generative')[0].model
    state, actions = torch.randn(2, 32), torch.rand(2, 4, 2)
    for model, same in ((told, False), (untold, True)):
        states = [model.imagine(state, a)[0] for a in (actions, -actions)]
        assert torch.equal(*states) is same


class Stopped(Exception):
    pass


@pytest.mark.parametrize('name', ['ema', 'sigreg'])
def test_a_stopped_run_resumes_exactly_with_the_methods_own_state(name, data, tmp_path,
                                                                  monkeypatch):
    import wm_controller.training.loop as loop

    ticks = iter(range(10 ** 9))

    class Time:  # every iteration takes two seconds: a report and a checkpoint each
        monotonic = process_time = staticmethod(lambda: 2.0 * next(ticks))

    def run(file, stop_at):
        def report(progress, fraction, terms):
            if progress.iteration >= stop_at:
                raise Stopped
        train([data], TrainingOptions(
            output=tmp_path / file, steps=6, batch=4, threads=1, architecture=TINY,
            half_precision=False, regulariser=name, checkpoint_every_s=0.0), report)
        return load_bundle(tmp_path / file).model.state_dict()

    through = run('through.safetensors', 99)
    with monkeypatch.context() as patch:
        patch.setattr(loop, 'time', Time)
        with pytest.raises(Stopped):
            run('broken.safetensors', 4)
    assert checkpoint_path(tmp_path / 'broken.safetensors').exists()
    resumed = run('broken.safetensors', 99)
    assert all(torch.equal(through[key], resumed[key]) for key in through)


def test_a_checkpoint_of_another_method_is_refused(data, tmp_path, monkeypatch):
    from wm_controller.training import checkpoint
    options = TrainingOptions(output=tmp_path / 'm.safetensors', steps=1, batch=4, threads=1,
                              architecture=TINY, half_precision=False)
    keep = checkpoint.save_checkpoint
    saved = []

    def remember(path, *arguments):
        keep(path, *arguments)
        saved.append(path.read_bytes())

    monkeypatch.setattr(checkpoint, 'save_checkpoint', remember)
    train([data], options, lambda *arguments: None)
    checkpoint_path(options.output).write_bytes(saved[-1])
    with pytest.raises(InputError, match='other data or settings'):
        train([data], dataclasses.replace(options, regulariser='mmcr'), lambda *arguments: None)


def test_methods_and_encoders_that_are_not_there_are_named_in_one_line(data, tmp_path, capsys):
    with pytest.raises(InputError, match='vicreg, sigreg'):
        method_class('byol')
    output = ['-o', str(tmp_path / 'm.safetensors'), '--steps', '1', '--threads', '1']
    for wrong in (['--regulariser', 'byol'], ['--encoder', 'resnet'],
                  ['--regulariser', 'generative', '--encoder', 'resnet']):
        assert wm(['train', str(data), *output, *wrong]) == 2
        assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert not (tmp_path / 'm.safetensors').exists()


def test_the_comparison_makes_a_row_of_each_and_trains_none_twice(data, tmp_path, capsys):
    other = write_dataset(tmp_path / 'other.h5', episodes=4, seed=5)
    out = tmp_path / 'rows'
    command = ['benchmark', 'collapse', str(data), '--held-out', str(other), '-o', str(out),
               '--steps', '1', '--only', 'mcr2', '--only', 'generative', '--json']
    assert wm(command) == 0
    rows = {row['name']: row for row in json.loads(capsys.readouterr().out)['rows']}
    assert set(rows) == {'mcr2', 'generative'}
    for row in rows.values():
        assert row['iterations'] == 1 and row['processor_minutes'] > 0
        for ratio, low, high in row['clearance_ratio'].values():
            assert low <= ratio <= high or math.isnan(ratio)
        assert set(row['persistence_ratio']) == {'1', '2', '4', '8'}
    assert load_bundle(out / 'generative.safetensors').spec.architecture.encoder == 'picture'
    made = (out / 'mcr2.safetensors').stat().st_mtime_ns
    assert wm(command) == 0
    assert (out / 'mcr2.safetensors').stat().st_mtime_ns == made
    capsys.readouterr()
    assert wm([*command[:3], '--held-out', str(data), *command[5:]]) == 2
    assert 'other rooms' in capsys.readouterr().err


def test_each_predicted_step_counts_by_what_no_change_would_miss():
    generator = torch.Generator().manual_seed(0)
    walk = torch.randn(16, 20, 4, generator=generator).cumsum(1)  # twice the way, twice the error
    target = torch.zeros(6, 4, 4)

    def prediction(wrong):
        predicted = target.clone()
        predicted[:, wrong] = 1.0
        return Method.terms(None, walk, predicted, target)['prediction']
    parts = torch.stack([prediction(step) for step in range(4)])
    assert parts.sum() == pytest.approx(1.0, abs=1e-5)  # as much in all as the mean of the steps
    assert (parts[0] / parts[1:]).tolist() == pytest.approx([2.0, 3.0, 4.0], rel=0.15)
    # Nothing moves at all: the steps count alike, and nothing is divided by zero.
    still = Method.terms(None, torch.ones(2, 9, 4), target + 1, target)['prediction']
    assert still == pytest.approx(1.0)
