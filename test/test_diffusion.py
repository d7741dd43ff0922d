# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The diffusion policy, a rival: that it learns, is trained alike, drives, and what is refused."""

import json

import numpy as np
import pytest
import torch

from drawn_world import draw, write_dataset
from learned import with_comparison
from tiny_training import equal, quiet, stop_part_at, tiny_bundle
from wm_controller.cli.main import run as wm
from wm_controller.data.dataset import open_all
from wm_controller.errors import InputError
from wm_controller.evaluation.bands_study import Extent, Row, run_bands_study
from wm_controller.evaluation.diffusion import PolicyShape, signal_kept
from wm_controller.evaluation.diffusion_data import PICTURE_STEPS, Ways
from wm_controller.evaluation.diffusion_file import load_rival
from wm_controller.evaluation.diffusion_policy import (
    BACK_M_S,
    DiffusionDriver,
    DRAWN,
    TURN_RAD_S,
)
from wm_controller.evaluation.diffusion_training import RivalOptions, train_rival
from wm_controller.evaluation.runner import Job, run_jobs
from wm_controller.evaluation.tasks import BANDS, IMAGE_BAND, TaskSpec
from wm_controller.planning.config import RobotLimits
from wm_controller.planning.contract import ExploreGoal, ImageGoal, Observation, PoseGoal
from wm_controller.safety.geometry import integrate
from wm_controller.spread import Workers
from wm_controller.training.part import part_checkpoint

SHAPE = PolicyShape(token=32, width=64, condition=32, blocks=2)


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp('data') / 'drawn.h5', episodes=40)


@pytest.fixture(scope='module')
def eyes(tmp_path_factory):
    return with_comparison(tmp_path_factory.mktemp('eyes') / 'eyes.safetensors')


def options(eyes, output, **changes):
    return RivalOptions(**{'source': eyes, 'output': output, 'steps': 8, 'batch': 16,
                           'threads': 1, 'shape': SHAPE, **changes})


@pytest.fixture(scope='module')
def rival(data, eyes, tmp_path_factory):
    """A policy of 300 steps."""
    output = tmp_path_factory.mktemp('rival') / 'rival.safetensors'
    train_rival([data], options(eyes, output, steps=300, batch=64, learning_rate=4e-3), quiet)
    return output


def weights(path):
    found = load_rival(path)
    return {**found.policy.state_dict(), **found.eyes.state_dict()}


def driver(path, seed=0):
    return DiffusionDriver(load_rival(path), RobotLimits(), seed)


def driven(policy, goal, steps=12, start=(0.0, 0.0, 0.0)):
    """Poses (T, 3) of a drive in the drawn world, and the plans."""
    pose, poses, plans = np.array(start), [], []
    policy.reset()
    policy.set_goal(goal)
    for step in range(steps):
        policy.observe(Observation(100.0 + 0.2 * step, draw(pose), pose))
        plans.append(policy.plan(100.0 + 0.2 * step, 0.1))
        pose = integrate(pose, plans[-1].v, plans[-1].w, 0.2)
        poses.append(pose)
    return np.array(poses), plans


def test_actions_become_noise_by_steps():
    kept = signal_kept(10)
    assert (kept[1:] < kept[:-1]).all() and kept[0] > 0.9 and kept[-1] < 1e-2


def test_goals_lie_ahead_in_the_same_drive_at_all_distances(data):
    [opened] = open_all([data])
    ways = Ways.of([opened])
    opened.close()
    here = np.random.default_rng(0).choice(ways.lessons(8), 256)
    goal = ways.goals(here, 2.0, PICTURE_STEPS, np.random.default_rng(1))
    assert (ways.drive[goal] == ways.drive[here]).all()
    assert (goal > here).all() and (goal - here).max() <= PICTURE_STEPS
    distance = np.hypot(*(ways.pose[goal] - ways.pose[here])[:, :2].T)
    assert (distance < 0.5).any() and (distance > 1.0).any()
    # No lesson reaches beyond its drive.
    assert (here + 8 < ways.stop[here]).all()


def test_it_learns_what_leads_to_a_goal(data, eyes, rival):
    said = load_rival(rival).training
    error = said['action_error']
    assert error['place_given'] < 0.95 * error['place_masked']
    assert said['chunks'] == 300 * 64 and said['seed'] == 0


def test_the_same_seed_makes_the_same_policy_and_another_another(data, eyes, tmp_path):
    one, two, three = (tmp_path / f'{name}.safetensors' for name in ('one', 'two', 'three'))
    train_rival([data], options(eyes, one), quiet)
    train_rival([data], options(eyes, two), quiet)
    train_rival([data], options(eyes, three, seed=1), quiet)
    assert equal(weights(one), weights(two))
    assert not equal(weights(one), weights(three))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        'one.safetensors', 'three.safetensors', 'two.safetensors']


def test_a_run_that_was_stopped_ends_as_one_that_was_not(data, eyes, tmp_path, monkeypatch):
    whole, parts = tmp_path / 'whole.safetensors', tmp_path / 'parts.safetensors'
    train_rival([data], options(eyes, whole), quiet)
    stop_part_at(4, monkeypatch, lambda report: train_rival(
        [data], options(eyes, parts, checkpoint_every_s=0.0), report))
    assert part_checkpoint(parts, 'rival').exists() and not parts.exists()
    with pytest.raises(InputError, match='--restart'):
        train_rival([data], options(eyes, parts, batch=24), quiet)
    train_rival([data], options(eyes, parts), quiet)
    assert equal(weights(whole), weights(parts))


def test_what_the_eyes_saw_serves_again_but_not_for_other_data(data, eyes, tmp_path):
    features = tmp_path / 'seen'
    first, second = tmp_path / 'first.safetensors', tmp_path / 'second.safetensors'
    train_rival([data], options(eyes, first, features=features), quiet)
    shares = []
    train_rival([data], options(eyes, second, features=features), quiet, shares.append)
    assert not shares and equal(weights(first), weights(second))
    other = write_dataset(tmp_path / 'other.h5', episodes=2, seed=5)
    with pytest.raises(InputError, match='--features'):
        train_rival([other], options(eyes, second, features=features), quiet)


def test_the_goal_is_masked_to_explore_and_changes_what_is_driven(rival):
    nowhere = driven(driver(rival), ExploreGoal())[1]
    assert all(plan.state == 'planning' and len(plan.candidates) == DRAWN for plan in nowhere)
    again = driven(driver(rival), ExploreGoal())[1]
    assert [plan.v for plan in nowhere] == [plan.v for plan in again]
    found = load_rival(rival)
    torch.manual_seed(0)
    latents = torch.randn(1, SHAPE.context, found.spec.architecture.latent)
    masked, *given = (found.policy.condition(latents, token) for token in (
        found.policy.token_of_nowhere(1), found.policy.token_of_place(torch.tensor([[1.0, 1.0]])),
        found.policy.token_of_picture(torch.randn(1, found.eyes.compared))))
    assert all((masked - each).norm() > 0.05 * masked.norm() for each in given)


def test_it_says_when_it_is_there_and_stands_without_a_goal(rival):
    policy = driver(rival)
    assert policy.plan(0.0, 0.1).state == 'idle'
    plans = driven(policy, PoseGoal(0.1, 0.0))[1]
    assert plans[0].state == 'reached' and (plans[0].v, plans[0].w) == (0.0, 0.0)
    far = driven(policy, PoseGoal(3.0, 0.0))[1][0]
    assert far.state == 'planning' and far.goal_distance == pytest.approx(3.0)
    assert np.isfinite(far.path).all() and far.path.shape == (SHAPE.chunk + 1, 3)
    policy.reset()
    policy.set_goal(PoseGoal(3.0, 0.0))
    policy.observe(Observation(1.0, draw(np.zeros(3))))
    assert policy.plan(1.0, 0.1).state == 'lost'  # without odometry


def test_pictures_need_no_odometry(rival):
    policy = driver(rival)
    policy.set_goal(ImageGoal(draw(np.array([1.0, 0.0, 0.0]))))
    policy.observe(Observation(1.0, draw(np.zeros(3))))
    assert policy.plan(1.0, 0.1).state in ('planning', 'reached')


def test_it_frees_itself_where_something_holds_it(rival):
    policy, here = driver(rival), np.zeros(3)
    policy.set_goal(PoseGoal(3.0, 0.0))
    plans = []
    for step in range(60):
        policy.observe(Observation(100.0 + 0.1 * step, draw(here), here))
        plans.append(policy.plan(100.0 + 0.1 * step, 0.1))
    back = [step for step, plan in enumerate(plans) if plan.v == -BACK_M_S and plan.w == 0.0]
    assert 15 <= back[0] <= 17 and back[9] == back[0] + 9
    turn = plans[back[0] + 12]
    assert turn.v == 0.0 and abs(turn.w) == TURN_RAD_S
    after = plans[back[0] + 19:back[0] + 30]
    assert all(len(plan.path) > 1 for plan in after)  # it goes on by itself
    assert any(step > back[0] + 30 for step in back)  # and tries again


@pytest.mark.parametrize('goal', ['pose', 'image'])
def test_it_drives_in_the_simulator_behind_the_guard(rival, goal):
    spec = TaskSpec(3, goal_kind=goal, band_m=BANDS['near'] if goal == 'pose' else IMAGE_BAND)
    [[episode]] = run_jobs([(Job(spec, 'diffusion', rival), range(1))], Workers(1), lambda: None)
    assert episode.planner == 'diffusion' and episode.plans > 5
    assert episode.end_state in ('planning', 'reached')


def test_the_command_trains_and_the_policy_is_evaluated(data, eyes, tmp_path, capsys):
    out = tmp_path / 'rival.safetensors'
    command = ['benchmark', 'rival', str(data), '-o', str(out), '--eyes', str(eyes), '--steps',
               '5', '--batch', '16', '--threads', '1', '--json']
    assert wm(command) == 0
    said = json.loads(capsys.readouterr().out)
    assert said['rival'] == str(out) and said['iterations'] == 5
    assert wm(['evaluate', str(out), '--planner', 'diffusion', '--goal', 'image', '--episodes',
               '1', '--seed', '3', '--workers', '1', '--out', str(tmp_path), '--json']) == 0
    assert json.loads(capsys.readouterr().out)['model_digest'] == load_rival(out).digest
    assert wm([*command, '--minutes', '0']) == 2


def test_the_table_of_bands_has_a_row_for_it(eyes, rival, tmp_path):
    row = Row.named('diffusion:image:camera')
    assert row.planner == 'diffusion' and row.goal == 'image' and not row.scan
    extent = Extent(1, (3,), ('near',))
    table = run_bands_study(eyes, ['diffusion'], extent, tmp_path, lambda: None, rival)
    assert table['rows']['diffusion']['near']['drives'] == 1
    [cell] = tmp_path.iterdir()
    assert json.loads(cell.read_text())['model_digest'] == load_rival(rival).digest
    with pytest.raises(InputError, match='--rival'):
        run_bands_study(eyes, ['diffusion'], extent, tmp_path, lambda: None)
    with pytest.raises(InputError, match='no parts'):
        Row.named('diffusion:-places')


def test_files_of_the_wrong_kind_are_refused_both_ways(data, eyes, rival, tmp_path, capsys):
    def refused(*arguments):
        assert wm(['evaluate', *map(str, arguments), '--episodes', '1']) == 2
        [line] = capsys.readouterr().err.strip().splitlines()
        return line

    assert 'a world model, not a diffusion policy' in refused(eyes, '--planner', 'diffusion')
    assert 'not a model bundle' in refused(rival, '--planner', 'flat')
    assert 'wm benchmark rival' in refused('--planner', 'diffusion')
    assert 'no such file' in refused(tmp_path / 'none', '--planner', 'diffusion')
    assert 'no parts' in refused(rival, '--planner', 'diffusion', '--without', 'places')
    cut = tmp_path / 'cut.safetensors'
    cut.write_bytes(rival.read_bytes()[:-100])
    assert 'whole .safetensors' in refused(cut, '--planner', 'diffusion')
    blind = tiny_bundle(tmp_path / 'blind.safetensors', data)
    with pytest.raises(InputError, match='--goal-pictures-of'):
        train_rival([data], options(blind, tmp_path / 'x.safetensors'), quiet)
    mute = write_dataset(tmp_path / 'mute.h5', episodes=2, commands=False)
    with pytest.raises(InputError, match='commands'):
        train_rival([mute], options(eyes, tmp_path / 'x.safetensors'), quiet)
    single = write_dataset(tmp_path / 'single.h5', episodes=1)
    with pytest.raises(InputError, match='more data'):
        train_rival([single], options(eyes, tmp_path / 'x.safetensors'), quiet)
