# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The gap along ways that were not taken: its labels, its loss, and how well it ranks."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from tiny_training import TINY as PLAIN
from wm_controller.cli.benchmark_ranking import ranking
from wm_controller.data.dataset import open_all
from wm_controller.data.schema import CLEARANCE_BEARINGS
from wm_controller.data.windows import Windows
from wm_controller.data.writer import DatasetWriter
from wm_controller.training import augment
from wm_controller.training.batches import assemble
from wm_controller.training.counterfactual import draw_things, gap_loss, gaps, random_actions
from wm_controller.world_model.bundle import save_bundle
from wm_controller.world_model.model import WorldModel
from wm_controller.world_model.spec import ModelSpec

TINY = dataclasses.replace(PLAIN, ensemble=2, latent_variable=2, gap=True)
SPEC = ModelSpec(clearance_bearings=tuple(CLEARANCE_BEARINGS.tolist()), architecture=TINY)
WALL_X = 3.0
START = np.array([10.0, -4.0, 0.7])  # where the drive is in odom must not matter


@pytest.fixture(scope='module')
def towards_a_wall(tmp_path_factory):
    """A drive straight at a wall, 3 m ahead at first and 0.6 m at last."""
    path = tmp_path_factory.mktemp('data') / 'wall.h5'
    steps = 60
    x = np.linspace(0.0, WALL_X - 0.6, steps)
    clearance = np.minimum((WALL_X - x[:, None]) / np.cos(CLEARANCE_BEARINGS), 5.0)
    pose = START + np.stack([x * np.cos(START[2]), x * np.sin(START[2]), 0 * x], -1)
    proprio = np.zeros((steps, 5), np.float32)
    proprio[1:, 0] = np.diff(x)
    with DatasetWriter(path, rate_hz=5.0) as writer:
        writer.append_episode(np.zeros((steps, 72, 96, 3), np.uint8), np.tile([0.2, 0.0], (
            steps, 1)).astype(np.float32), proprio, pose, 1e3 + 0.2 * np.arange(steps),
            clearance.astype(np.float32))
    return path


def test_what_a_drive_saw_says_how_near_each_of_its_places_was(towards_a_wall):
    with open_all([towards_a_wall])[0] as data:
        windows = Windows([data], 16)
        found = draw_things(windows, np.arange(len(windows)), np.random.default_rng(0))
    trail, things = torch.from_numpy(found['trail']), torch.from_numpy(found['things'])
    assert np.allclose(found['trail'][:, 0], 0) and found['trail'][-1, -1, 0] > 0.5
    gap = gaps(trail, things).numpy()
    x = np.linspace(0.0, WALL_X - 0.6, 60)
    rows = np.arange(len(gap))[:, None] + np.arange(16)
    assert np.allclose(gap, np.minimum(WALL_X - x[rows], 1.5), atol=0.06)


def test_where_nothing_was_seen_no_gap_is_claimed():
    poses = torch.zeros(2, 3, 3)
    things = torch.full((2, 5, 2), torch.nan)
    things[1, 0] = torch.tensor([0.3, 0.4])
    gap = gaps(poses, things)
    assert gap[0].isnan().all() and torch.allclose(gap[1], torch.tensor(0.5))


def test_untaken_actions_keep_the_limits_and_are_unlike_each_other():
    model = WorldModel(SPEC)
    actions = random_actions(model, 200, 8, torch.device('cpu'))
    low, high, turn = SPEC.action_limits
    assert actions.shape == (200, 8, 2)
    assert float(actions[..., 0].min()) >= low and float(actions[..., 0].max()) <= high
    assert float(actions[..., 1].abs().max()) <= turn
    assert float(actions[..., 0].std()) > 0.1 and float(actions[..., 1].std()) > 0.4


def test_a_mirrored_drive_is_as_near_to_the_mirrored_things(towards_a_wall):
    with open_all([towards_a_wall])[0] as data:
        batch = assemble(Windows([data], 16), np.arange(4), np.random.default_rng(0), 5,
                         things=True)
    mirrored = augment.mirror(batch, torch.tensor([True] * 4))
    assert torch.allclose(mirrored['things'][..., 1].nan_to_num(),
                          -batch['things'][..., 1].nan_to_num())
    assert torch.allclose(gaps(batch['trail'], batch['things']),
                          gaps(mirrored['trail'], mirrored['things']), atol=1e-5)


def test_the_loss_teaches_which_untaken_actions_come_near(towards_a_wall):
    """From before the wall: after training, going on is imagined to be nearer than staying."""
    torch.manual_seed(0)
    model = WorldModel(SPEC)
    with open_all([towards_a_wall])[0] as data:
        windows = Windows([data], 16)
        batch = assemble(windows, np.arange(len(windows)), np.random.default_rng(0), 5,
                         things=True)
    # The state is told where the wall is: what is under test is the loss, not the encoder.
    away = torch.from_numpy(WALL_X - np.linspace(0, WALL_X - 0.6, 60)).float()
    rows = torch.arange(len(windows))[:, None] + torch.arange(16)
    states = torch.tanh(torch.stack([away[rows] - 1.5] * 32, -1) * torch.linspace(-1, 1, 32))
    learned = [*model.predictor.parameters(), *model.gap_head.parameters()]
    optimizer = torch.optim.Adam(learned, lr=3e-3)
    # How the base moves is taken as known: by commands alone.
    model.pose_change.forward = lambda state, action: torch.stack(
        [action[..., 0] * model.action_scale[0] * 0.2, 0 * action[..., 0],
         action[..., 1] * model.action_scale[1] * 0.2], -1)
    for _ in range(250):
        futures, _ = model.imagine(states[:, 4], batch['action'][:, 4:12], shared_out=True)
        loss = gap_loss(model, states, futures[:, 1:], [4], batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        near = states[-1:, -1].expand(3, -1)  # the wall is 0.6 m ahead
        actions = torch.tensor([[0.4, 0.0], [0.0, 0.0], [-0.2, 0.0]]).view(3, 1, 2).expand(3, 8, 2)
        after = model.gap(model.imagine(near, actions)[0][:, -1])[:, 1]
    assert float(after[0]) < float(after[1]) - 0.1 < float(after[2])


def test_ranking_compares_with_floors_and_the_lot_ranks_nothing(tmp_path, capsys):
    torch.manual_seed(0)
    path = tmp_path / 'model.safetensors'
    save_bundle(path, WorldModel(dataclasses.replace(SPEC)), gates={'passed': True}, training={},
                energy_quantiles=())
    ranking(str(path), rooms=2, seed=3, as_json=True)
    result = json.loads(capsys.readouterr().out)
    assert result['states'] == 12 and 0 < result['states_with_both'] <= 12
    rows = result['rows']
    assert abs(rows['floor: at random']['auc']['mean'] - 0.5) < 0.15
    assert rows['floor: slower is safer']['auc']['mean'] > 0.55
    low, high = rows['imagined']['auc']['ci95']
    assert 0 <= low <= rows['imagined']['auc']['mean'] <= high <= 1
