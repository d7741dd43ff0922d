# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
import dataclasses
import json
import math

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest
import torch

from drawn_world import write_dataset
from tiny_training import quiet, tiny_options
from tiny_training import TINY as PLAIN
from wm_controller.cli.main import run as wm
from wm_controller.data.dataset import open_all
from wm_controller.data.windows import Windows
from wm_controller.errors import InputError
from wm_controller.training import augment, batches, losses
from wm_controller.training.loop import checkpoint_path, train
from wm_controller.training.objective import Objective
from wm_controller.training.options import Progress, schedule
from wm_controller.world_model.bundle import load_bundle

TINY = dataclasses.replace(PLAIN, ensemble=3, latent_variable=4, image_reach=True, gap=True)


def options(tmp_path, **changes):
    return tiny_options(tmp_path, **{'architecture': TINY, 'steps': 12, **changes})


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp('data') / 'drawn.h5', episodes=6)


def weights(path):
    return load_bundle(path).model.state_dict()


def test_the_same_seed_gives_the_same_model_and_another_seed_another(data, tmp_path):
    for name, seed in (('a', 1), ('b', 1), ('c', 2)):
        train([data], options(tmp_path, output=tmp_path / f'{name}.safetensors', seed=seed), quiet)
    a, b, c = (weights(tmp_path / f'{name}.safetensors') for name in 'abc')
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert not all(torch.equal(a[key], c[key]) for key in a)


class Stopped(Exception):
    pass


def test_a_stopped_run_resumes_to_exactly_the_model_of_one_that_ran_through(data, tmp_path):
    through = options(tmp_path, output=tmp_path / 'through.safetensors')
    train([data], through, quiet)

    def stop(progress, fraction, terms):
        if progress.iteration >= 7:
            raise Stopped

    broken = options(tmp_path, checkpoint_every_s=0.0)
    with pytest.raises(Stopped):
        train([data], broken, _every_iteration(stop))
    assert checkpoint_path(broken.output).exists() and not broken.output.exists()
    train([data], broken, quiet)
    assert not checkpoint_path(broken.output).exists()
    one, two = weights(through.output), weights(broken.output)
    assert all(torch.equal(one[key], two[key]) for key in one)


def _every_iteration(report):
    """The loop reports once a second; a test cannot wait for that."""
    import wm_controller.training.loop as loop
    ticks = iter(range(10 ** 9))

    class Time:
        monotonic = process_time = staticmethod(lambda: 2.0 * next(ticks))

    original = loop.time

    def wrapped(progress, fraction, terms):
        try:
            report(progress, fraction, terms)
        except BaseException:
            loop.time = original
            raise

    loop.time = Time
    return wrapped


def test_fine_tuning_begins_from_the_weights_that_fit_and_says_which_do_not(data, tmp_path,
                                                                           capsys):
    first = options(tmp_path, output=tmp_path / 'first.safetensors', steps=30)
    train([data], first, quiet)
    second = options(tmp_path, output=tmp_path / 'second.safetensors', steps=1, seed=5,
                     initial=first.output, learning_rate=1e-9)
    train([data], second, quiet)
    one, two = weights(first.output), weights(second.output)
    assert all(torch.allclose(one[key], two[key], atol=1e-5) for key in one)
    record = load_bundle(second.output).training
    assert record['initial'] == load_bundle(first.output).digest

    wider = dataclasses.replace(TINY, head_hidden=24)
    third = options(tmp_path, output=tmp_path / 'third.safetensors', steps=1, learning_rate=1e-9,
                    initial=first.output, architecture=wider)
    train([data], third, quiet)
    three = weights(third.output)
    assert torch.allclose(three['filter.cell.weight_hh'], one['filter.cell.weight_hh'], atol=1e-5)
    assert three['clearance_head.body.0.weight'].shape != one['clearance_head.body.0.weight'].shape

    other = write_dataset(tmp_path / 'other.h5', episodes=4, rate_hz=4.0)
    with pytest.raises(InputError, match='first.safetensors.*step_period_s'):
        train([other], options(tmp_path, initial=first.output), quiet)


def test_a_checkpoint_of_other_data_is_refused_and_restart_ignores_it(data, tmp_path):
    other = write_dataset(tmp_path / 'other.h5', episodes=3, seed=9)
    path = checkpoint_path(options(tmp_path).output)
    train([data], options(tmp_path, steps=2), quiet)
    objective_options = options(tmp_path, steps=2)
    from wm_controller.training import checkpoint as files
    bundle = load_bundle(objective_options.output)
    optimizer = torch.optim.AdamW(bundle.model.parameters())
    files.save_checkpoint(path, bundle.model, optimizer,
                          {'iteration': 1, 'elapsed_s': 1.0, 'frames': 8, 'identity': {}})
    with pytest.raises(InputError, match='--restart'):
        train([other], objective_options, quiet)
    train([other], options(tmp_path, steps=2, restart=True), quiet)
    path.write_bytes(b'torn')
    with pytest.raises(InputError, match='not a checkpoint'):
        train([other], options(tmp_path, steps=2), quiet)


def test_recordings_without_odometry_train_on_what_there_is(tmp_path):
    path = write_dataset(tmp_path / 'blind.h5', episodes=4, odometry=False)
    gates = train([path], options(tmp_path, steps=6), quiet)
    assert gates['reach_correlation'] is None and gates['clearance_error_m'] is None
    assert all(math.isfinite(x) for x in gates['persistence_ratio'].values())
    assert all(torch.isfinite(v).all() for v in weights(tmp_path / 'model.safetensors').values())


def test_learning_lowers_every_term_it_is_paid_for(data):
    datasets = open_all([data])
    windows = Windows(datasets, 16)
    from wm_controller.training.objective import Horizon, Weights
    from wm_controller.training.statistics import describe
    from wm_controller.world_model.model import WorldModel
    torch.manual_seed(0)
    objective = Objective(WorldModel(describe(datasets, windows, TINY)), Horizon(), Weights())
    optimizer = torch.optim.AdamW(objective.parameters(), 3e-3)
    batch = batches.Sampler(windows, 0, 60, image_reach=True, things=True).sample(8, 0)
    first = None
    for _ in range(40):
        loss, terms = objective(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        first = first or {k: float(v) for k, v in terms.items()}
    for name in ('pose_change', 'clearance', 'time_to_reach', 'variance',
                 'inverse_dynamics', 'image_reach', 'gap'):
        assert float(terms[name]) < first[name], name
    for dataset in datasets:
        dataset.close()


def test_batches_know_where_the_goal_is_from_each_frame(data):
    datasets = open_all([data])
    windows = Windows(datasets, 16)
    batch = batches.Sampler(windows, 3, 60, near_weight=3.0).sample(32, 4)
    again = batches.Sampler(windows, 3, 60, near_weight=3.0).sample(32, 4)
    assert all(torch.equal(torch.nan_to_num(batch[k]), torch.nan_to_num(again[k])) for k in batch)
    moved = batch['proprio'][:, 1:, :3].double()
    goal = batch['reach_goal'].double()
    later = goal[:, :-1] - moved[..., :2]
    cos, sin = torch.cos(moved[..., 2]), torch.sin(moved[..., 2])
    turned = torch.stack([cos * later[..., 0] + sin * later[..., 1],
                          -sin * later[..., 0] + cos * later[..., 1]], -1)
    known = torch.isfinite(goal[:, 1:]).all(-1)
    assert known.any()
    torch.testing.assert_close(turned[known], goal[:, 1:][known], atol=1e-3, rtol=1e-3)
    assert (batch['reach_time'][torch.isfinite(batch['reach_goal']).all(-1)] > 0).all()
    for dataset in datasets:
        dataset.close()


def test_mirroring_twice_changes_nothing_and_once_turns_the_other_way(data):
    datasets = open_all([data])
    batch = batches.Sampler(Windows(datasets, 16), 0, 60).sample(4, 0)
    every = torch.ones(4, dtype=torch.bool)
    once = augment.mirror(batch, every)
    twice = augment.mirror(once, every)
    for key in batch:
        assert torch.equal(torch.nan_to_num(batch[key]), torch.nan_to_num(twice[key])), key
    assert torch.equal(once['action'][..., 1], -batch['action'][..., 1])
    assert torch.equal(once['pixels'], batch['pixels'].flip(3))
    none = augment.mirror(batch, ~every)
    assert torch.equal(none['pixels'], batch['pixels'])
    for dataset in datasets:
        dataset.close()


def test_exchanged_colours_are_the_same_in_a_sequence_and_its_goal_picture():
    one = torch.arange(3, dtype=torch.uint8).expand(64, 4, 5, 6, 3).contiguous()
    batch = {'pixels': one, 'reach_pixels': one[:, 0].contiguous()}
    result = augment.exchange_colours(batch, torch.Generator().manual_seed(0))
    orders = result['reach_pixels'][:, 0, 0]
    assert (result['pixels'] == orders[:, None, None, None]).all()
    assert 10 < (orders != one[:, 0, 0, 0]).any(-1).sum() < 54
    assert (orders.sort(-1).values == one[:, 0, 0, 0]).all()


@given(st.floats(0, 1))
def test_the_learning_rate_stays_between_its_floor_and_its_peak(fraction):
    assert 0.0099 <= schedule(fraction) <= 1.0


def test_progress_by_steps_and_by_minutes(tmp_path):
    progress = Progress(iteration=5, elapsed_s=30.0)
    assert progress.fraction(options(tmp_path, steps=10)) == 0.5
    assert progress.fraction(options(tmp_path, steps=None, minutes=1.0)) == 0.5


def test_losses_against_their_definitions():
    rng = np.random.default_rng(0)
    latents = torch.from_numpy(rng.normal(size=(500, 6)))
    matrix = np.cov(latents.numpy().T)
    expected = (matrix ** 2).sum() - (np.diag(matrix) ** 2).sum()
    assert float(losses.covariance(latents)) == pytest.approx(expected / 6)
    assert float(losses.variance_hinge(latents * 3)) == 0.0
    assert float(losses.variance_hinge(latents * 0)) == pytest.approx(0.99, abs=0.01)
    assert losses.effective_rank(latents) == pytest.approx(6, abs=0.2)
    assert losses.effective_rank(latents[:, :1].repeat(1, 6)) == pytest.approx(1, abs=0.01)
    target = torch.from_numpy(rng.normal(size=20000))
    guess = torch.zeros((), dtype=torch.double, requires_grad=True)
    for _ in range(300):
        loss = losses.pinball(guess.expand(20000), target, 0.2)
        guess = (guess - 0.2 * torch.autograd.grad(loss, guess)[0]).detach().requires_grad_()
    assert float(guess) == pytest.approx(np.quantile(target.numpy(), 0.2), abs=0.03)


def test_missing_targets_do_not_count():
    guess = torch.tensor([1.0, 5.0], requires_grad=True)
    loss = losses.smooth_l1(guess, torch.tensor([1.5, float('nan')]))
    loss.backward()
    assert guess.grad[1] == 0 and torch.isfinite(loss)


def test_the_command_trains_prints_gates_and_exits_1_when_one_fails(data, tmp_path, capsys):
    path = tmp_path / 'm.safetensors'
    code = wm(['train', str(data), '-o', str(path), '--steps', '2', '--batch', '4', '--threads',
               '1', '--weight', 'clearance=2.5', '--weight', 'gap=0',
               '--proposal-minutes', '0', '--json'])
    assert code == 1
    weights = load_bundle(path).training['weights']
    assert (weights['clearance'], weights['gap'], weights['variance']) == (2.5, 0.0, 8.0)
    gates = json.loads(capsys.readouterr().out)
    assert gates['passed'] is False and 'persistence_1' in gates['failed']
    assert load_bundle(path).passed is False


@pytest.mark.parametrize('case', ['no file', 'other rate', 'bad output', 'no minutes',
                                  'no such term', 'no weight'])
def test_bad_input_ends_with_one_line_and_exit_code_2(case, data, tmp_path, capsys):
    output = tmp_path / 'm.safetensors'
    arguments = {
        'no file': [tmp_path / 'none.h5', '-o', output],
        'other rate': [data, write_dataset(tmp_path / 'slow.h5', episodes=2, rate_hz=2.0),
                       '-o', output],
        'bad output': [data, '-o', tmp_path / 'model.bin'],
        'no minutes': [data, '-o', output, '--minutes', 0],
        'no such term': [data, '-o', output, '--weight', 'comfort=1'],
        'no weight': [data, '-o', output, '--weight', 'gap=nan'],
    }[case]
    assert wm(['train', *map(str, arguments)]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert not output.exists()
