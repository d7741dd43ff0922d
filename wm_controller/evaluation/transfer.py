# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Whether a latent action does the same thing in different scenes.

A latent action is inferred from what happened in scene A and applied in the imagination of
scene B; a probe reads from B's imagined latents how the robot moved (or, without odometry, how
the picture shifted), to be compared with how A moved. Floor: the same with another A.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
import torch
from torch import nn, Tensor

from wm_controller.data.lag import ShiftMeter
from wm_controller.data.windows import Windows
from wm_controller.evaluation.imagined import driven, imagine, INFERRED, observe, OBSERVED
from wm_controller.training import frozen
from wm_controller.world_model.model import WorldModel

STEPS = 4  # that a borrowed sequence of latent actions is applied
APART = 100  # steps between scenes of one episode
PROBE_HIDDEN = 64
PROBE_STEPS = 600
SHIFT = 'picture shift'
MOVES = ('forward', 'turn')


def measure_transfer(model: WorldModel, training: Windows, held_out: Windows,
                     seed: int) -> dict[str, Any]:
    """Correlations of latent actions with commands, and of motion in B with motion in A.

    `commands`: of a linear map fitted on the training windows (all of whose commands are used, to
    measure only); `mapped`: of the model's own read-out. `motion`: in A's own scene, in B's, and
    the floor of shuffled pairs; `motion_seen`: the probe on frames that were seen.
    """
    rng = np.random.default_rng([seed, 5])
    names, probe = _probe(training, rng)
    batch = driven(model, frozen.gather(held_out, np.arange(len(held_out))), INFERRED)
    latents = batch[frozen.LATENT]
    now = OBSERVED - 1
    with torch.no_grad():
        seen = probe(latents[:, now], latents[:, now + STEPS]).numpy()
    true = _over_steps(_motion(held_out))[held_out.starts + now]
    here = _imagined_motion(model, probe, batch, np.arange(len(held_out)))
    other = _elsewhere(held_out, rng)
    there = _imagined_motion(model, probe, batch, other)
    shuffled = true[rng.permutation(len(true))]
    return {
        'commands': _commands(model, training, held_out),
        'motion_seen': _named(names, seen, true),
        'motion': {'own scene': _named(names, here, true), 'other scene': _named(
            names, there, true), 'shuffled': _named(names, there, shuffled)},
    }


class Probe(nn.Module):
    """Motion (..., M) over STEPS between two latents (..., E)."""

    def __init__(self, width: int, motions: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(2 * width, PROBE_HIDDEN), nn.SiLU(),
                                  nn.Dropout(0.2), nn.Linear(PROBE_HIDDEN, motions))

    def forward(self, before: Tensor, after: Tensor) -> Tensor:
        return self.body(torch.cat([before, after], -1))


def _probe(windows: Windows, rng: np.random.Generator) -> tuple[tuple[str, ...], Probe]:
    """Train a probe on frames of the training windows, STEPS apart; it never sees a model."""
    motion = _over_steps(_motion(windows))
    rows = windows.starts[np.isfinite(motion[windows.starts]).all(-1)]
    latents = torch.from_numpy(windows.column(frozen.LATENT))
    target = torch.from_numpy(motion.astype(np.float32))
    scale = target[rows].std(0)
    torch.manual_seed(0)
    probe = Probe(latents.shape[1], target.shape[1])
    optimizer = torch.optim.AdamW(probe.parameters(), 2e-3, weight_decay=0.05)
    for _ in range(PROBE_STEPS):
        chosen = rows[rng.integers(len(rows), size=256)]
        guess = probe(latents[chosen], latents[chosen + STEPS])
        loss = nn.functional.smooth_l1_loss(guess, target[chosen] / scale)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return (MOVES if motion.shape[1] == 2 else (SHIFT,)), probe.eval()


def _motion(windows: Windows) -> NDArray[np.float64]:
    """Motion (N, M) that led to each row: forward m and turn rad, else the picture's shift."""
    proprio = windows.column('proprio')
    if np.isfinite(proprio[:, :3]).any():
        return np.asarray(proprio[:, [0, 2]], dtype=np.float64)
    meter = ShiftMeter()
    return np.array([[meter.add(windows.images(row)[0])] for row in range(len(proprio))])


def _over_steps(motion: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum (N, M) of the motions that lead from each row to the one STEPS later, NaN at the end."""
    total = np.full_like(motion, np.nan)
    total[:-STEPS] = sum(motion[i:len(motion) - STEPS + i] for i in range(1, STEPS + 1))
    return total


def _imagined_motion(model: WorldModel, probe: Probe, batch: dict[str, Tensor],
                     scene: NDArray[np.int64]) -> NDArray[np.float64]:
    """Motion (W, M) over STEPS in the scenes (W,) of other windows, by each window's actions."""
    state = observe(model, batch)[torch.from_numpy(scene)]
    states, _ = imagine(model, batch, state)
    with torch.no_grad():
        latents = model.latent_of(states[:, [0, STEPS]])
        return probe(latents[:, 0], latents[:, 1]).double().numpy()


def _elsewhere(windows: Windows, rng: np.random.Generator) -> NDArray[np.int64]:
    """For each window (W,) another one of another episode, or far off in the same."""
    count = len(windows)
    drawn = rng.integers(count, size=(64, count))
    apart = (windows.episode[drawn] != windows.episode) | (
        np.abs(windows.starts[drawn] - windows.starts) > APART)
    return np.asarray(drawn[apart.argmax(0), np.arange(count)])


def _commands(model: WorldModel, training: Windows, held_out: Windows) -> dict[str, Any]:
    """Correlation of commands with latent actions, over scenes that the fit has not seen."""
    def latent_and_command(windows: Windows) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        batch = driven(model, frozen.gather(windows, np.arange(0, len(windows), 4)), INFERRED)
        rows = windows.starts[::4, None] + np.arange(windows.length - 1)
        latent = batch['action'][:, :-1].reshape(-1, batch['action'].shape[-1])
        return latent.double().numpy(), windows.column('action')[rows].reshape(-1, 2).astype(float)

    z, command = latent_and_command(training)
    z_held, command_held = latent_and_command(held_out)
    fit, *_ = np.linalg.lstsq(np.column_stack([z, np.ones(len(z))]), command, rcond=None)
    linear = np.column_stack([z_held, np.ones(len(z_held))]) @ fit
    assert model.latent_actions is not None
    with torch.no_grad():
        mapped = model.latent_actions.to_command(torch.from_numpy(z_held).float()).numpy()
    shuffled = command_held[np.random.default_rng(0).permutation(len(command_held))]
    names = ('v', 'w')
    return {'linear': _named(names, linear, command_held),
            'mapped': _named(names, mapped, command_held),
            'shuffled': _named(names, linear, shuffled)}


def _named(names: tuple[str, ...], guess: NDArray[np.float64],
           true: NDArray[np.float64]) -> dict[str, float | None]:
    """Pearson correlation of each column, over rows where both are known."""
    known = np.isfinite(guess).all(-1) & np.isfinite(true).all(-1)
    return {name: _correlation(guess[known, i], true[known, i]) for i, name in enumerate(names)}


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float | None:
    """Pearson's; None where one of them does not vary."""
    if min(a.std(), b.std()) < 1e-9:
        return None
    return round(float(np.corrcoef(a, b)[0, 1]), 3)
