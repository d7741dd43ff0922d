# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Fine-tuning keeps what the data do not teach; the study of what it is worth."""

import numpy as np
import pytest
import torch

from drawn_world import write_dataset
from tiny_training import part_weights, quiet, TINY, tiny_bundle, tiny_options
from wm_controller.data.dataset import Dataset
from wm_controller.data.part import write_rows
from wm_controller.data.windows import Windows
from wm_controller.errors import InputError
from wm_controller.evaluation.fine_tuning import coarse, Extent, Yardstick
from wm_controller.training.compass import CompassOptions, CompassPart
from wm_controller.training.goal_pictures import GoalPictureOptions, GoalPicturePart
from wm_controller.training.loop import train
from wm_controller.training.objective import Weights
from wm_controller.training.part import train_part
from wm_controller.world_model.bundle import load_bundle

PART = {'steps': 40, 'batch': 16, 'threads': 1}


@pytest.fixture(scope='module')
def simulated(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp('data') / 'simulated.h5', episodes=6, truth=True)


@pytest.fixture(scope='module')
def real(tmp_path_factory):
    """Camera and commands alone."""
    return write_dataset(tmp_path_factory.mktemp('data') / 'real.h5', episodes=4, seed=5,
                         odometry=False)


@pytest.fixture(scope='module')
def shipped(simulated, tmp_path_factory):
    """A bundle with a compass and a head for goal pictures."""
    path = tiny_bundle(tmp_path_factory.mktemp('model') / 'shipped.safetensors', simulated)
    for options, part in ((CompassOptions(path, path, width=16, **PART), CompassPart),
                          (GoalPictureOptions(path, path, channels=(8, 8, 8), **{
                              **PART, 'steps': 3}),
                           GoalPicturePart)):
        train_part([simulated], options, part, quiet)
    return path


def tune(real, shipped, output, **weights):
    """So roughly that nothing of the encoder stays as it was."""
    train([real], tiny_options(output.parent, TINY, 30, output=output, initial=shipped,
                               learning_rate=1e-2, weights=Weights(**weights)), quiet)
    return output


@pytest.fixture(scope='module')
def tuned(real, shipped, tmp_path_factory):
    return tune(real, shipped, tmp_path_factory.mktemp('tuned') / 'tuned.safetensors')


def distances(path, drives):
    """What a bundle says of how far things are, log m, in frames of drives."""
    model = load_bundle(path).model
    with Dataset.open(drives) as data:
        batch = {name: torch.from_numpy(values) for name, values in Windows(
            [data], 12).batch(range(0, 200, 10)).items()}
    with torch.no_grad():
        latents = model.encode(batch['pixels'].flatten(0, 1)).unflatten(0, (20, 12))
        before = batch['action'].roll(1, 1)
        return model.clearance_head(model.follow(latents, before, batch['proprio']))


def test_without_a_scan_it_goes_on_to_say_how_far_things_are(real, shipped, tuned, tmp_path):
    before, kept = distances(shipped, real), distances(tuned, real)
    lost = distances(tune(real, shipped, tmp_path / 'lost.safetensors', kept=0), real)
    # 0.67 when it was written; after 30 steps
    assert (kept - before).abs().mean() < 0.85 * (lost - before).abs().mean()


def test_data_that_label_every_step_need_no_keeper(simulated, real, shipped):
    from wm_controller.training.keeping import Keeper

    for path, needed in ((simulated, False), (real, True)):
        with Dataset.open(path) as data:
            windows = Windows([data], 16)
            assert (Keeper.where_needed(load_bundle(shipped), windows) is not None) is needed
            assert Keeper.where_needed(None, windows) is None


def test_the_compass_learns_from_what_it_said_before(real, shipped, tuned, tmp_path):
    record = train_part([real], CompassOptions(
        tuned, tmp_path / 'with.safetensors', initial=str(shipped), width=16,
        mirror=False, **{**PART, 'steps': 80}), CompassPart, quiet)
    assert record['begun_from'] == load_bundle(shipped).digest
    with Dataset.open(real) as data:
        pixels = torch.from_numpy(data.pixels[::3])
    before = load_bundle(shipped).model
    after = load_bundle(tmp_path / 'with.safetensors').model

    def says(model, head):
        with torch.no_grad():
            return head(model.encode_with_features(pixels)[1])[:, :2]

    said = says(before, before.compass)
    learned = (says(after, after.compass) * said).sum(-1).mean()
    carried_over = (says(after, before.compass) * said).sum(-1).mean()
    assert learned > carried_over + 0.2  # 0.83 and 0.27 when it was written


def test_what_compares_goal_pictures_is_kept_as_it_was(real, shipped, tuned, tmp_path):
    output = tmp_path / 'with.safetensors'
    record = train_part([real], GoalPictureOptions(
        tuned, output, initial=str(shipped), channels=(8, 8, 8), **PART), GoalPicturePart, quiet)
    assert record == {'kept_from': load_bundle(shipped).digest}
    one, two = (part_weights(path, 'goal_pose.', True) for path in (shipped, output))
    assert one and all(torch.equal(one[name], two[name]) for name in one)


def test_a_recording_is_cut_in_two_and_nothing_is_lost(real, tmp_path):
    with Dataset.open(real) as data:
        cut = 100  # of 240 steps, in the second of four episodes of 60
        parts = [write_rows(data, tmp_path / f'{rows.start}.h5', rows)
                 for rows in (range(cut), range(cut, data.n_steps))]
        with Dataset.open(parts[0]) as earlier, Dataset.open(parts[1]) as later:
            assert (earlier.ep_len.tolist(), later.ep_len.tolist()) == ([60, 40], [20, 60, 60])
            for name in ('action', 'stamp'):
                both = np.concatenate([earlier.column(name), later.column(name)])
                assert np.array_equal(both, data.column(name))


def test_the_yardstick_is_one_for_no_change_and_its_interval_holds_the_ratio(real, shipped):
    yardstick = Yardstick(real, real)
    errors = yardstick.errors(load_bundle(shipped))
    assert errors['latent'].shape == (yardstick.windows, 8)
    for kind in ('latent', 'picture'):
        still = errors[f'{kind}_still']
        assert set(map(tuple, yardstick.ratio(still, still).values())) == {(1.0, 1.0, 1.0)}
        for ratio, low, high in yardstick.ratio(errors[kind], still).values():
            assert low <= ratio <= high
        for difference, low, high in yardstick.difference(kind, [errors], [errors]).values():
            assert difference == low == high == 0.0
    grey = coarse(np.full((2, 72, 96, 3), 51, np.uint8))
    assert grey.shape == (2, 9 * 12 * 3) and np.allclose(grey, 0.2)
    with pytest.raises(InputError, match='--minutes'):
        Extent(minutes=0)
