# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Training of everything behind the encoder on latents computed once: a hundred times cheaper.

Models trained so share a latent space, so that their errors can be compared.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
import torch
from torch import Tensor

from wm_controller.data.windows import Windows
from wm_controller.training import latent_actions, losses
from wm_controller.training.batches import LABELLED_SHARE
from wm_controller.training.loop import parameter_groups
from wm_controller.training.objective import Weights
from wm_controller.training.options import schedule
from wm_controller.world_model.latent_actions import motion_cues
from wm_controller.world_model.model import WorldModel
from wm_controller.world_model.spec import ModelSpec

LATENT, CUE = 'latent', 'motion cues to the next frame'
MIRRORED = {LATENT: 'latent of the mirror image', CUE: 'motion cues of the mirror image'}
ENCODED_AT_ONCE = 256
RIDGE = 1e-3  # of the mean variance, so that what hardly varies is not blown up
MIRROR = {'action': (1, -1), 'proprio': (1, -1, -1, 1, -1)}


@dataclass(frozen=True)
class DynamicsOptions:
    """How to train behind a frozen encoder: so many seconds of processor time, or steps."""

    seconds: float = 30.0
    steps: int | None = None
    batch: int = 64
    learning_rate: float = 3e-3
    weight_decay: float = 0.05
    seed: int = 0
    observed: int = 5
    predicted: int = 8
    # Latents are given here: nothing has to be held up against their prediction.
    weights: Weights = field(default_factory=Weights)


@torch.no_grad()
def encode_rows(model: WorldModel, windows: Windows,
                mirror: bool = True) -> dict[str, NDArray[np.float32]]:
    """Latents (N, E) and motion cues (N, CUES) of all frames, and of their mirror images.

    Columns for `Windows.with_columns`; the cues of a row are those from it to the next.
    """
    columns: dict[str, NDArray[np.float32]] = {}
    count = len(windows.column('stamp'))
    for mirrored in (False, True)[:1 + mirror]:
        latents, cues = [], []
        for rows in np.array_split(np.arange(count), max(1, count // ENCODED_AT_ONCE)):
            following = min(rows[-1] + 1, count - 1)
            pixels = torch.from_numpy(windows.images(np.append(rows, following)))
            found, features = model.encode_with_features(pixels.flip(2) if mirrored else pixels)
            latents.append(found[:-1].numpy())
            cues.append(motion_cues(features[:-1], features[1:]).numpy())
        for name, parts in ((LATENT, latents), (CUE, cues)):
            columns[MIRRORED[name] if mirrored else name] = np.concatenate(parts)
    return columns


def slow_components(windows: Windows, count: int, lag: int = 4) -> NDArray[np.float64]:
    """Affine map (E + 1, count) to the slowest components of the windows' latents, of variance 1.

    Time-lagged component analysis (Molgedey and Schuster, 1994; slow features: Wiskott and
    Sejnowski, 2002): what stays the same for `lag` steps changes because the camera moved, and
    so hangs on actions; the rest of a latent is new at every frame and hides what they do.
    """
    before, after = [], []
    for first, stop in windows.episode_rows[np.unique(windows.episode)]:
        for name in (LATENT, MIRRORED[LATENT]):
            rows = windows.column(name)[first:stop].astype(np.float64)
            before.append(rows[:-lag])
            after.append(rows[lag:])
    x, y = np.concatenate(before), np.concatenate(after)
    mean = (x.mean(0) + y.mean(0)) / 2
    x, y = x - mean, y - mean
    together, lagged = (x.T @ x + y.T @ y) / (2 * len(x)), (x.T @ y + y.T @ x) / (2 * len(x))
    value, vector = np.linalg.eigh(together)
    whiten = vector / np.sqrt(value + RIDGE * value.mean())
    rotate = np.linalg.eigh(whiten.T @ lagged @ whiten)[1][:, ::-1][:, :count]
    matrix = whiten @ rotate
    return np.vstack([matrix, -mean @ matrix])


def project(windows: Windows, components: NDArray[np.float64]) -> Windows:
    """Return the windows with latents (N, E) mapped to components (N, count)."""
    columns = {}
    for name in (LATENT, MIRRORED[LATENT]):
        if windows.has_column(name):
            values = windows.column(name) @ components[:-1] + components[-1]
            columns[name] = values.astype(np.float32)
    return windows.with_columns(columns)


def train_dynamics(spec: ModelSpec, windows: Windows, options: DynamicsOptions) -> WorldModel:
    """Train a model of `spec` on windows with latents as `encode_rows` gives them.

    Pictures are not looked at: its own encoder and heads that compare them stay untrained.
    """
    torch.manual_seed(options.seed)
    model = WorldModel(spec)
    optimizer = torch.optim.AdamW(parameter_groups(model, options.weight_decay),
                                  lr=options.learning_rate)
    rng = np.random.default_rng([options.seed, 3])
    labelled = np.flatnonzero(windows.complete('action'))
    start, step = time.process_time(), 0
    while (done := _done(options, step, time.process_time() - start)) < 1:
        step += 1
        for group in optimizer.param_groups:
            group['lr'] = options.learning_rate * schedule(done)
        chosen = rng.integers(len(windows), size=options.batch)
        count = round(options.batch * LABELLED_SHARE)
        if 0 < len(labelled) < len(windows) * LABELLED_SHARE:
            chosen[:count] = labelled[rng.integers(len(labelled), size=count)]
        batch = gather(windows, chosen, mirrored=rng.random(options.batch) < 0.5)
        loss = _loss(model, batch, options)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return model.eval().requires_grad_(False)


def _loss(model: WorldModel, batch: dict[str, Tensor], options: DynamicsOptions) -> Tensor:
    """As `objective.Objective`, from one frame a sequence and of what is scored, and no more."""
    latents = batch[LATENT]
    now, steps = options.observed - 1, options.predicted
    terms: dict[str, Tensor] = {}
    if model.latent_actions is not None:
        batch, terms = latent_actions.substitute(model, batch[CUE], batch)
    with latent_actions.as_given(model):
        seen = slice(now + 1)
        state = model.follow(latents[:, seen], batch['previous_action'][:, seen],
                             batch['seen_proprio'][:, seen])[:, -1]
        states, changes = model.imagine(state, batch['action'][:, now:now + steps])
    error = model.latent_of(states[:, 1:]) - latents[:, now + 1:now + 1 + steps]
    scale = model.pose_change.scale
    moved = batch['proprio'][:, now + 1:now + 1 + steps, :3] / scale
    terms['prediction'] = error.pow(2).mean()
    terms['pose_change'] = losses.smooth_l1(changes / scale, moved, 0.2)
    return sum((getattr(options.weights, name) * term for name, term in terms.items()),
               start=latents.new_zeros(()))


def _done(options: DynamicsOptions, step: int, elapsed_s: float) -> float:
    return elapsed_s / options.seconds if options.steps is None else step / options.steps


def gather(windows: Windows, indices: NDArray[np.int64],
           mirrored: NDArray[np.bool_] | None = None) -> dict[str, Tensor]:
    """Batch as `objective.Objective` takes it, but latents, actions and odometry alone.

    `mirrored` (B,): sequences taken as seen in a mirror.
    """
    starts = windows.starts[indices]
    rows = starts[:, None] + np.arange(windows.length)
    first = windows.episode_rows[windows.episode[indices]][:, :1]
    flip = (np.zeros(len(rows), bool) if mirrored is None else mirrored)[:, None, None]
    seen = {LATENT: windows.column(LATENT)[rows], CUE: windows.column(CUE)[rows[:, :-1]]}
    if mirrored is not None:
        for name, values in seen.items():
            other = windows.column(MIRRORED[name])[rows[:, :values.shape[1]]]
            seen[name] = np.where(flip, other, values)
    before = windows.column('action')[np.maximum(rows - 1, first)].copy()
    before[rows - 1 < first] = 0.0
    arrays: Mapping[str, NDArray[Any]] = {
        **seen, 'action': _flip(windows.column('action')[rows], 'action', flip),
        'previous_action': _flip(before, 'action', flip),
        'proprio': _flip(windows.column('proprio')[rows], 'proprio', flip),
    }
    batch = {name: torch.from_numpy(values.astype(np.float32)) for name, values in arrays.items()}
    batch['seen_proprio'] = torch.full_like(batch['proprio'], torch.nan)
    return batch


def _flip(values: NDArray[np.float32], name: str, flip: NDArray[np.bool_]) -> NDArray[np.float32]:
    return np.where(flip, values * np.asarray(MIRROR[name], np.float32), values)
