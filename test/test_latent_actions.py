# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
import json
import math

import numpy as np
import pytest
import torch

from drawn_world import write_dataset
from tiny_training import quiet, tiny_options
from wm_controller.cli.main import run as wm
from wm_controller.data.dataset import Dataset, open_all
from wm_controller.data.part import write_part
from wm_controller.data.windows import Windows
from wm_controller.errors import InputError
from wm_controller.evaluation.imagined import imagine_futures, INFERRED, NO_COMMANDS
from wm_controller.training import batches, frozen, labels, latent_actions
from wm_controller.training.loop import train
from wm_controller.training.statistics import describe
from wm_controller.world_model.bundle import load_bundle
from wm_controller.world_model.latent_actions import CUES, motion_cues
from wm_controller.world_model.model import WorldModel
from wm_controller.world_model.spec import Architecture, ModelSpec

TINY = Architecture(encoder_channels=(8, 16, 16), latent=24, state=32, predictor_hidden=32,
                    head_hidden=32, latent_action=2)
LENGTH = 18


def options(tmp_path, **changes):
    return tiny_options(tmp_path, TINY, 4, **changes)


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp('data') / 'drawn.h5', episodes=8)


@pytest.fixture
def windows(data):
    datasets = open_all([data])
    yield Windows(datasets, LENGTH)
    datasets[0].close()



def with_true_latents(windows, width):
    """Latents and cues that follow from where the robot looks and stands: a perfect encoder."""
    pose = windows.column('pose')
    mixing = np.random.default_rng(0).normal(size=(6, width))
    moved = np.zeros((len(pose), 3))
    moved[:-1] = windows.column('proprio')[1:, :3]
    shown = np.random.default_rng(1).normal(size=(2, CUES))

    def mixed(sign):
        yaw = sign * pose[:, 2]
        state = np.stack([np.cos(yaw), np.sin(yaw), np.cos(2 * yaw), np.sin(2 * yaw),
                          pose[:, 0], sign * pose[:, 1]], -1)
        latent = state @ mixing
        return (latent / latent.std()).astype(np.float32)

    def shifts(sign):
        motion = np.stack([moved[:, 0] * 10, sign * moved[:, 2] * 5], -1)
        return (motion @ shown).astype(np.float32)

    return windows.with_columns({
        frozen.LATENT: mixed(1), frozen.MIRRORED[frozen.LATENT]: mixed(-1),
        frozen.CUE: shifts(1), frozen.MIRRORED[frozen.CUE]: shifts(-1)})


def fitted(windows, share, video, width=2, steps=250, seed=0):
    spec = describe(windows._rows.datasets, windows, TINY)
    spec = ModelSpec.from_json({**spec.to_json(), 'architecture': {
        **spec.to_json()['architecture'], 'latent_action': width if video else 0}})
    known = labels.keep(windows, share, seed, video)
    return frozen.train_dynamics(spec, known,
                                 frozen.DynamicsOptions(steps=steps, batch=32, seed=seed))


def ratio(model, windows, by='commands', step=8):
    futures = imagine_futures(model, windows, by)
    return float(futures.error[:, step - 1].mean() / futures.still[:, step - 1].mean())


def test_a_bundle_without_latent_actions_has_the_same_weights_as_ever():
    before = WorldModel(ModelSpec()).state_dict()
    assert not [name for name in before if 'latent_actions' in name]
    assert ModelSpec.from_json(ModelSpec().to_json()) == ModelSpec()
    description = ModelSpec().to_json()
    del description['architecture']['latent_action']  # as older bundles are described
    assert ModelSpec.from_json(description) == ModelSpec()
    assert load_bundle('indoor').model.latent_actions is None


@pytest.mark.parametrize('width', [-1, 17, 2.5, True])
def test_a_width_of_latent_actions_that_cannot_be_is_refused(width):
    description = ModelSpec().to_json()
    description['architecture']['latent_action'] = width
    with pytest.raises(InputError, match='latent_action'):
        ModelSpec.from_json(description)


def test_commands_act_through_their_latent_actions_and_latent_ones_directly():
    torch.manual_seed(0)
    model = WorldModel(ModelSpec(architecture=TINY)).eval()
    state, command = torch.randn(3, TINY.state), torch.randn(3, 2)
    action = model.control(command)
    assert action.shape == (3, 2) and not torch.allclose(action, command / model.action_scale)
    by_command = model.predict(state, command)
    with model.latent_actions.as_given():
        torch.testing.assert_close(model.predict(state, action), by_command)
    torch.testing.assert_close(model.predict(state, command), by_command)  # the mode has ended
    with pytest.raises(RuntimeError, match='stop'), model.latent_actions.as_given():
        raise RuntimeError('stop')
    assert model.latent_actions.given is False


def test_motion_cues_tell_how_far_pictures_shifted_whatever_they_show():
    torch.manual_seed(0)
    found = {}
    for shift in (-2, 0, 2):
        wide = torch.randn(16, 12, 9, 20)
        before, after = wide[..., 4:16], wide[..., 4 - shift:16 - shift]
        across = motion_cues(before, after).unflatten(1, (6, 2))[..., 1].mean(1)
        found[shift] = across
    assert found[-2].max() < found[0].min() and found[0].max() < found[2].min()
    assert abs(float(found[0].mean())) < 0.2
    # Light and contrast are not motion.
    torch.testing.assert_close(motion_cues(before, 3 * after + 5), motion_cues(before, after),
                               atol=1e-4, rtol=1e-4)


def test_a_share_of_labels_keeps_whole_stretches_and_hides_the_rest(windows):
    for share in (0.1, 0.4):
        marked = labels.labelled_rows(windows, share, seed=1)
        assert abs(marked.mean() - share) < 0.06
        hidden = labels.hide(windows, marked)
        for name in labels.LABELS:
            known = np.isfinite(hidden.column(name)).all(-1)
            np.testing.assert_array_equal(known, marked)
        assert hidden.complete('action').any()
    assert np.isfinite(windows.column('action')).all()  # the original is untouched
    assert not labels.labelled_rows(windows, 0.0, seed=1).any()
    other = labels.labelled_rows(windows, 0.4, seed=2)
    assert (other != marked).any()
    with pytest.raises(InputError, match='between 0 and 1'):
        labels.labelled_rows(windows, 1.5, seed=0)


def test_without_video_only_labelled_windows_are_left_and_none_at_all_without_actions(windows):
    alone = labels.keep(windows, 0.3, 0, video=False)
    marked = labels.labelled_rows(windows, 0.3, 0)
    assert 0 < len(alone) < len(windows)
    assert marked[alone.starts].all() and marked[alone.starts + LENGTH - 1].all()
    blind = labels.keep(windows, 0.0, 0, video=False)
    assert len(blind) == len(windows) and not blind.column('action').any()
    assert np.isnan(blind.column('proprio')).all()


def test_batches_draw_labelled_windows_more_often_where_they_are_rare(windows):
    hidden = labels.keep(windows, 0.08, 0, video=True)
    assert hidden.complete('action').mean() < 0.1
    batch = batches.Sampler(hidden, 0, 60).sample(400, 0)
    share = torch.isfinite(batch['action']).all(-1).all(-1).float().mean()
    assert 0.08 < float(share) < 0.2


def test_a_video_without_commands_trains_but_no_robot_may_drive_with_it(tmp_path):
    video = write_dataset(tmp_path / 'video.h5', episodes=6, commands=False, odometry=False)
    gates = train([video], options(tmp_path), quiet)
    assert 'commands' in gates['failed'] and gates['persistence_ratio']['1'] is None
    bundle = load_bundle(tmp_path / 'model.safetensors')
    assert not bundle.passed and bundle.spec.architecture.latent_action == 2


def test_few_commands_beside_video_make_a_bundle_that_is_driven_by_commands(data, tmp_path):
    gates = train([data], options(tmp_path, labels=0.2), quiet)
    assert all(math.isfinite(x) for x in gates['persistence_ratio'].values())
    model = load_bundle(tmp_path / 'model.safetensors').model
    states, changes = model.imagine(model.initial_state(2), torch.tensor(
        [[[0.3, 0.5]] * 5, [[0.3, -0.5]] * 5]))
    assert states.shape == (2, 6, TINY.state) and changes.shape == (2, 5, 3)
    assert not torch.allclose(states[0, -1], states[1, -1])


def test_the_loss_teaches_the_map_only_where_commands_are_known(windows):
    torch.manual_seed(0)
    model = WorldModel(describe(windows._rows.datasets, windows, TINY))
    cues = torch.randn(4, LENGTH - 1, CUES)

    def gradient(action):
        batch = {'action': action, 'previous_action': torch.zeros(4, LENGTH, 2)}
        given, terms = latent_actions.substitute(model, cues, batch)
        assert given['action'].shape == (4, LENGTH, 2)
        model.zero_grad()
        (terms['latent_bottleneck'] + terms['latent_command']).backward()
        weight = model.latent_actions.commands[0].weight.grad
        return 0.0 if weight is None else float(weight.abs().sum())

    unknown = torch.full((4, LENGTH, 2), math.nan)
    assert gradient(unknown) == 0.0
    assert gradient(torch.randn(4, LENGTH, 2)) > 0.0


def test_video_with_few_commands_predicts_better_than_without_actions(windows):
    windows = with_true_latents(windows, TINY.latent)
    training, held_out = windows.split(0.25, seed=0)
    few = fitted(training, 0.15, video=True)
    none = fitted(training, 0.0, video=False)
    assert ratio(few, held_out) < 0.8 * ratio(none, held_out, NO_COMMANDS)
    assert ratio(few, held_out, INFERRED) < 0.8 * ratio(none, held_out, NO_COMMANDS)


def test_latent_actions_of_video_alone_tell_the_turn(windows):
    windows = with_true_latents(windows, TINY.latent)
    training, held_out = windows.split(0.25, seed=0)
    model = fitted(training, 0.0, video=True)
    from wm_controller.evaluation.transfer import measure_transfer
    found = measure_transfer(model, training, held_out, seed=0)
    assert abs(found['commands']['linear']['w']) > 0.5
    assert abs(found['commands']['shuffled']['w']) < 0.2
    assert found['motion']['own scene']['turn'] > 0.5
    assert found['motion']['other scene']['turn'] > found['motion']['shuffled']['turn'] + 0.2


def test_a_part_of_a_data_set_is_its_first_episodes(data, tmp_path):
    part = write_part(data, tmp_path / 'part.h5', 3)
    with Dataset.open(data) as whole, Dataset.open(part) as some:
        assert some.n_episodes == 3 and some.rate_hz == whole.rate_hz
        rows = whole.steps(2)
        np.testing.assert_array_equal(some.pixels[some.steps(2)], whole.pixels[rows])
        np.testing.assert_array_equal(some.action[some.steps(2)], whole.action[rows])
    with pytest.raises(InputError, match='1 or more'):
        write_part(data, tmp_path / 'none.h5', 0)


def test_commands_that_are_missing_are_named_with_the_remedy(tmp_path, capsys):
    video = write_dataset(tmp_path / 'video.h5', episodes=3, commands=False)
    assert wm(['train', str(video), '-o', str(tmp_path / 'm.safetensors'), '--steps', '1']) == 2
    line = capsys.readouterr().err
    assert '--latent-actions' in line and line.count('\n') == 1


@pytest.mark.parametrize('arguments', [['--labels', '1.5'], ['--pretrain-minutes', '60']])
def test_shares_and_times_that_cannot_be_are_refused(arguments, data, tmp_path, capsys):
    output = tmp_path / 'm.safetensors'
    assert wm(['train', str(data), '-o', str(output), *arguments]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1 and not output.exists()


def test_the_benchmark_compares_all_ways_on_one_encoder(data, capsys):
    code = wm(['benchmark', 'latent-actions', str(data), '--encoder-steps', '2', '--seconds',
               '0.2', '--seeds', '1', '--share', '0.2', '--json'])
    assert code == 0
    report = json.loads(capsys.readouterr().out)
    names = [row['row'] for row in report['rows']]
    assert len(names) == len(set(names)) == 5
    full = report['rows'][0]
    none = report['rows'][1]
    assert (full['recovered']['8'], none['recovered']['8']) in ((1.0, 0.0), (None, None))
    for row in report['rows']:
        low, high = row['ci95']['8']
        assert 0 < low <= row['persistence_ratio']['8'] <= high
    assert {row['row'] for row in report['transfer']} <= set(names)
