# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The energy of what is seen against what was expected, and its calibration."""

import numpy as np
import pytest
import torch

from drawn_world import draw, write_dataset
from drives import small_bundle
from wm_controller.cli.main import run as wm
from wm_controller.errors import InputError
from wm_controller.planning.contract import Observation
from wm_controller.planning.estimator import Estimator
from wm_controller.safety.geometry import integrate
from wm_controller.training.calibration import recalibrate
from wm_controller.training.nuisance import change_light
from wm_controller.world_model.bundle import load_bundle, save_bundle
from wm_controller.world_model.egomotion import view_angle, VisualCompass
from wm_controller.world_model.energy import STEPS, Watch, whitening


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp('energy')


@pytest.fixture(scope='module')
def plain(folder):
    return small_bundle(folder / 'plain.safetensors')


@pytest.fixture(scope='module')
def calibrated(folder, plain):
    data = write_dataset(folder / 'data.h5', episodes=12, steps=60)
    path = folder / 'calibrated.safetensors'
    recalibrate([data], plain, path)
    return path


def follow(path, count=25, w=0.4, alter=lambda i, image: image, odometry=True, period_s=0.1):
    """Drive an arc in the drawn world; the estimates, one a frame."""
    estimator, pose, found = Estimator(load_bundle(path)), np.zeros(3), []
    for i in range(count):
        known = (pose, np.array([0.2, w])) if odometry else (None, None)
        found.append(estimator.observe(
            Observation(period_s * i, alter(i, draw(pose)), *known)))
        estimator.commanded(period_s * i, 0.2, w)
        pose = integrate(pose, 0.2, w, period_s)
    return found


def test_calibrating_changes_no_weight_and_the_tables_come_back(plain, calibrated):
    before, after = load_bundle(plain), load_bundle(calibrated)
    for name, value in before.model.state_dict().items():
        assert torch.equal(value, after.model.state_dict()[name])
    assert before.energy is None and after.gates == before.gates
    tables = after.energy
    assert tables.basis.shape == (24, 24) and tables.scale.shape == (STEPS, 24)
    assert {f'prediction_{k}' for k in range(1, STEPS + 1)} <= set(tables.tails)
    assert tables.made_of['data'][0]['name'] == 'data.h5' and min(tables.made_of['rooms']) >= 2


def test_the_command_calibrates_and_the_same_data_give_the_same_tables(
        folder, plain, calibrated, capsys):
    again = folder / 'again.safetensors'
    code = wm(['train', str(folder / 'data.h5'), '-o', str(again), '--calibrate', str(plain)])
    assert code == 0 and 'surprise calibrated on' in capsys.readouterr().out
    assert again.read_bytes() == calibrated.read_bytes()


def test_without_tables_surprise_is_what_it_was(plain):
    found = follow(plain)
    quantile = np.array([estimate.energy / 1e6 for estimate in found])  # of `small_bundle`
    expected = [quantile[max(2, i - 2):i + 1].min() for i in range(4, len(found))]
    assert [estimate.surprise for estimate in found[4:]] == pytest.approx(expected)
    assert np.isnan(found[0].surprise) and found[0].fresh_start


@pytest.mark.parametrize('odometry', [True, False])
@pytest.mark.parametrize('period_s', [0.05, 0.1, 0.2])
def test_surprise_is_a_share_at_any_camera_rate_and_without_odometry(
        calibrated, odometry, period_s):
    found = follow(calibrated, odometry=odometry, period_s=period_s)
    surprises = np.array([estimate.surprise for estimate in found])[-10:]
    assert ((surprises >= 0) & (surprises <= 1)).all()


def test_a_frozen_camera_on_a_turning_robot_surprises(calibrated):
    frozen = follow(calibrated, w=1.0, alter=lambda i, image: image if i < 15 else draw(
        np.zeros(3)))
    ordinary = follow(calibrated, w=1.0)
    assert frozen[20].surprise_score > max(e.surprise_score for e in ordinary[5:]) + 1


def test_a_camera_that_turns_the_other_way_disagrees_with_odometry(calibrated):
    def mirrored(i, image):
        return np.ascontiguousarray(image[:, ::-1])

    # Mirrored all along, so that nothing but the sense of turning is wrong.
    wrong = follow(calibrated, w=0.8, alter=mirrored)
    right = follow(calibrated, w=0.8)
    assert wrong[-1].surprise_score > right[-1].surprise_score + 1


def test_a_fork_goes_on_by_itself(calibrated):
    bundle = load_bundle(calibrated)
    one = Estimator(bundle)
    for i in range(6):
        one.observe(Observation(0.1 * i, draw(np.zeros(3)), np.zeros(3), np.zeros(2)))
    other = one.fork()
    other.observe(Observation(0.6, draw(np.ones(3)), np.zeros(3), np.zeros(2)))
    assert one.latest.stamp == pytest.approx(0.5) and other.latest.stamp == pytest.approx(0.6)
    a, b = (each.observe(Observation(0.7, draw(np.zeros(3)), np.zeros(3), np.zeros(2)))
            for each in (one, one.fork()))
    assert a.surprise_score == b.surprise_score


def test_what_is_expected_is_what_the_model_imagines(plain):
    model = load_bundle(plain).model
    watch, generator = Watch(model, None), torch.Generator().manual_seed(0)

    def draws(*shape):
        return torch.randn(*shape, generator=generator)

    pixels = torch.zeros(1, 72, 96, 3)
    trace = watch.begin(pixels, draws(1, 32), draws(1, 24))
    begun, actions = trace.state, draws(3, 1, 2) * 0.2
    for action in actions:
        trace, evidence = watch.follow(trace, pixels, draws(1, 24), action, draws(1, 5))
    imagined, _ = model.imagine(begun, actions.transpose(0, 1))
    torch.testing.assert_close(trace.expected[:, 2], imagined[:, 3])
    assert torch.isnan(trace.expected[:, 3:]).all()
    assert torch.isnan(evidence.prediction[0, 3:]).all()


def look(yaw):
    """Picture (1, 72, 96, 3) of far walls with a random pattern, by a camera that sees 90 deg."""
    pattern = np.random.default_rng(5).uniform(20, 230, 200)
    bearing = yaw - np.arctan((np.arange(96) + 0.5 - 48) / 48)
    columns = np.interp(bearing, np.linspace(-np.pi, np.pi, 200), pattern)
    return torch.from_numpy(np.tile(columns[None, :, None], (72, 1, 3)).astype(np.uint8))[None]


@pytest.mark.parametrize('turn', [-0.3, -0.05, 0.0, 0.12, 0.4])
def test_the_compass_reads_a_turn_and_disagrees_with_another(plain, turn):
    spec = load_bundle(plain).spec
    compass = VisualCompass(spec, view_angle(spec))
    views = [compass.signature(look(yaw)) for yaw in (0.2, 0.2 + turn)]
    match = compass.matches(*views)
    assert float(compass.turn(match)) == pytest.approx(turn, abs=0.035)
    assert float(compass.disagreement(match, torch.tensor([turn]))) < 0.3
    assert float(compass.disagreement(match, torch.tensor([turn + 0.2]))) > 1.0
    assert torch.isnan(compass.disagreement(match, torch.tensor([3.0])))
    darker = compass.signature(0.6 * look(0.2))
    assert float(compass.matches(views[0], darker).amax()) > 0.95


def test_whitening_makes_a_cloud_round():
    cloud = torch.randn(4000, 3, generator=torch.Generator().manual_seed(0)) @ torch.tensor(
        [[3.0, 1, 0], [0, 1, 0], [0, 0, 0.1]])
    white = cloud @ whitening(cloud, 0.0)
    torch.testing.assert_close(white.T @ white / 4000, torch.eye(3), atol=1e-3, rtol=0)


def test_light_changes_in_the_course_of_a_sequence_and_repeats_with_its_seed():
    pixels = torch.full((6, 20, 72, 96, 3), 100, dtype=torch.uint8)
    changed = change_light(pixels, torch.Generator().manual_seed(3))
    assert torch.equal(changed, change_light(pixels, torch.Generator().manual_seed(3)))
    assert (changed[:, -1] - changed[:, 0]).abs().flatten(1).amax(1).min() > 3
    assert changed.min() >= 0 and changed.max() <= 255 and pixels.float().mean() == 100


@pytest.mark.parametrize(('settings', 'reason'), [
    ({'episodes': 2, 'steps': 40}, 'it needs'), ({'rate_hz': 10.0}, '--rate 5')])
def test_data_that_do_not_serve_are_refused(settings, reason, tmp_path, plain):
    data = write_dataset(tmp_path / 'data.h5', **settings)
    with pytest.raises(InputError, match=reason):
        recalibrate([data], plain, tmp_path / 'out.safetensors')
    assert not (tmp_path / 'out.safetensors').exists()


def test_data_that_the_model_was_trained_on_are_refused(folder, plain, calibrated, tmp_path):
    bundle = load_bundle(plain)
    digest = load_bundle(calibrated).energy.made_of['data'][0]['digest']
    save_bundle(tmp_path / 'own.safetensors', bundle.model, gates={}, energy_quantiles=(),
                training={'data': [{'digest': digest}]})
    with pytest.raises(InputError, match='trained on it'):
        recalibrate([folder / 'data.h5'], tmp_path / 'own.safetensors', tmp_path / 'out.st')


def test_a_recording_without_odometry_calibrates_what_it_can(tmp_path, plain):
    data = write_dataset(tmp_path / 'data.h5', episodes=9, odometry=False)
    recalibrate([data], plain, tmp_path / 'out.safetensors')
    tables = load_bundle(tmp_path / 'out.safetensors').energy
    assert 'turn' not in tables.tails and 'inverse_dynamics' not in tables.tails
    assert np.isfinite(follow(tmp_path / 'out.safetensors', odometry=False)[-1].surprise)


def test_damaged_tables_are_refused_in_one_line(calibrated, tmp_path):
    bundle = load_bundle(calibrated)
    from wm_controller.world_model.energy import EnergyTables
    tables, parts = bundle.energy.to_json(), bundle.energy.tensors()
    for data, tensors, reason in (
            ({**tables, 'tails': 3}, parts, 'damaged'), ({}, parts, 'damaged'),
            (tables, {}, 'expected'), (tables, {**parts, 'basis': torch.eye(3)}, 'expected')):
        with pytest.raises(InputError, match=reason):
            EnergyTables.from_parts(data, tensors, bundle.model)

