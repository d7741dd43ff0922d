# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Train the upper level of a finished model, on its detached states.

Half of what it learns is what drives really did, chunk after chunk, from what was seen; the other
half is what the lower level imagines of actions that nobody took. So it knows of alternatives, and
of imagined states. As at the lower level, several steps are predicted at once, and variance and
covariance keep the abstract states, and the macro-actions, from collapse.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wm_controller.data.windows import Windows
from wm_controller.training import augment, batches, losses
from wm_controller.training.collapse.method import shares
from wm_controller.training.counterfactual import random_actions
from wm_controller.training.gates import mean_of_known
from wm_controller.training.objective import Horizon, Objective, REACH_QUANTILE, Weights
from wm_controller.training.part import Batch, NoData, Part, PartOptions, Sampler
from wm_controller.world_model.abstract import AbstractLevel, PARTS
from wm_controller.world_model.bundle import Bundle
from wm_controller.world_model.heads import GAP_MAX, GAP_MIN, GAP_QUANTILES
from wm_controller.world_model.model import WorldModel
from wm_controller.world_model.poses import chained
from wm_controller.world_model.precision import bfloat16_pays

SEEN = 6    # frames before the first chunk
CHUNKS = 4  # in a row that are predicted
CHUNK = 8   # steps
IMAGINED_CHUNKS = 2
IMAGINED_STARTS = 3
BEYOND = 1 / 100  # of the macro-actions of the data on either side, that no plan may use


WEIGHTS = {'prediction': 8.0, 'way': 2.0, 'gap': 1.0, 'actions': 1.0, 'time_to_reach': 0.1,
           'variance': 8.0, 'covariance': 0.125}


@dataclass(frozen=True)
class AbstractOptions(PartOptions):
    """How to train it; `abstract_state` and `macro_action` are widths."""

    batch: int = 16
    learning_rate: float = 1e-3
    abstract_state: int = 64
    macro_action: int = 6


class AbstractPart(Part):
    """The abstract level; the model is frozen and only read."""

    NAME, PREFIX, TERM = 'abstract', 'abstract.', 'prediction'
    window = SEEN + CHUNKS * CHUNK

    def __init__(self, bundle: Bundle, options: AbstractOptions) -> None:
        self.model, self.options = bundle.model, options
        device = next(bundle.model.parameters()).device
        spec = replace(bundle.spec, architecture=replace(
            bundle.spec.architecture, **self.architecture))
        self.module = self.level = AbstractLevel(spec).to(device)
        if bundle.model.abstract is not None and all(
                getattr(bundle.spec.architecture, name) == value
                for name, value in self.architecture.items()):
            self.level.load_state_dict(bundle.model.abstract.state_dict())
        self._reader = Objective(bundle.model, Horizon(), Weights(), bfloat16_pays(device))

    @property
    def architecture(self) -> dict[str, Any]:
        return {'abstract_state': self.options.abstract_state,
                'macro_action': self.options.macro_action, 'chunk_steps': CHUNK}

    @property
    def identity(self) -> dict[str, Any]:
        return self.architecture

    def sampler(self, windows: Windows) -> Sampler:
        """Vary light, hue and side as the model's training does; NoData without commands."""
        if not windows.complete('action').any():
            raise NoData('no drive has commands: nothing says what a macro-action does')
        options, spec = self.options, self.model.spec
        steps = max(1, round(spec.reach_max_s / spec.step_period_s))
        drawn = batches.Sampler(windows, options.seed * 65536 + 7, steps)

        def sample(iteration: int, generator: torch.Generator) -> Batch:
            return augment.vary(drawn.sample(options.batch, iteration), generator, options.mirror)

        return sample

    def loss(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Batch]:
        """Return the weighted sum and each term by name, detached."""
        with torch.no_grad():
            latents, _ = self._reader.encode(batch['pixels'])
            states = self._reader.filter(latents, batch)
            imagined = _imagined(self.model, states, generator)
        level = self.level
        driven = _driven(self.model, states, batch)
        terms = _terms(level, driven)
        for name, value in _terms(level, imagined).items():
            terms[name] = terms[name] + value
        every = torch.cat([level.encode(states[:, SEEN - 1:].flatten(0, 1)),
                           level.encode(imagined.ends.flatten(0, 1))])
        macros = torch.cat([level.macro(each.actions).flatten(0, 1)
                            for each in (driven, imagined)])
        macros = macros[torch.isfinite(macros).all(-1)]
        terms['variance'] = losses.variance_hinge(every) + losses.variance_hinge(macros)
        terms['covariance'] = losses.covariance(every) + losses.covariance(macros)
        terms['time_to_reach'] = _reach(level, states[:, SEEN - 1:], batch)
        self._bound(macros.detach())
        total = sum((WEIGHTS[name] * term for name, term in terms.items()),
                    start=states.new_zeros(()))
        return total, {name: term.detach() for name, term in terms.items()}

    def _bound(self, macros: Tensor) -> None:
        """Follow what the macro-actions of the data lie between."""
        edges = torch.quantile(macros, torch.tensor([BEYOND, 1 - BEYOND], device=macros.device), 0)
        self.level.macro_low.lerp_(edges[0], 0.02)
        self.level.macro_high.lerp_(edges[1], 0.02)

    @torch.no_grad()
    def gates(self, held_out: Windows, sequences: int = 512) -> dict[str, Any]:
        """Errors on held-out drives, chunk by chunk, beside those of no change."""
        steps = min(sequences, len(held_out))
        chosen = torch.linspace(0, len(held_out) - 1, steps).long().unique().numpy()
        rows: list[dict[str, Tensor]] = []
        device = next(self.module.parameters()).device
        rng = np.random.default_rng(5)
        for part in np.array_split(chosen, max(1, len(chosen) // 32)):
            batch = {name: value.to(device) for name, value in batches.assemble(
                held_out, part, rng, 1).items()}
            latents, _ = self._reader.encode(batch['pixels'])
            states = self._reader.filter(latents, batch)
            rows.append(_errors(self.level, _driven(self.model, states, batch)))
        found = {name: torch.cat([row[name] for row in rows]) for name in rows[0]}
        ratio = [_ratio(found['error'][:, i], found['still'][:, i]) for i in range(CHUNKS)]
        seconds = [round((i + 1) * CHUNK * self.model.spec.step_period_s, 2)
                   for i in range(CHUNKS)]

        def by_time(values: Tensor) -> dict[str, float | None]:
            return {f'{s:g} s': mean_of_known(values[:, i]) for i, s in enumerate(seconds)}
        return {'abstract': {
            'persistence_ratio': {f'{s:g} s': ratio[i] for i, s in enumerate(seconds)},
            'effective_rank': round(losses.effective_rank(found['encoded'].flatten(0, 1)), 1),
            'place_error_m': by_time(found['place']),
            'place_no_change_m': by_time(found['place_still']),
            'gap_error_m': by_time(found['gap']), 'gap_constant_m': by_time(found['gap_constant']),
            'action_error': mean_of_known(found['action'])}}


@dataclass(frozen=True)
class _Chunks:
    """N rows of T chunks: states `start` (N, S) and `ends` (N, T, S), `actions` (N, T, K, 2).

    And what they led through: `way` (N, T, PARTS, 3), `gap` (N, T) m. NaN: not known.
    """

    start: Tensor
    ends: Tensor
    actions: Tensor
    way: Tensor
    gap: Tensor


def _driven(model: WorldModel, states: Tensor, batch: Batch) -> _Chunks:
    """What was done after the first frames of sequences (B, L)."""
    first = SEEN - 1
    ends = torch.stack([states[:, first + (i + 1) * CHUNK] for i in range(CHUNKS)], 1)
    span = slice(first, first + CHUNKS * CHUNK)
    actions = batch['action'][:, span].unflatten(1, (CHUNKS, CHUNK))
    moved = batch['proprio'][:, first + 1:first + 1 + CHUNKS * CHUNK, :3]
    way = chained(moved.unflatten(1, (CHUNKS, CHUNK)))[:, :, CHUNK // PARTS::CHUNK // PARTS]
    seen = model.nearest(states[:, first + 1:first + 1 + CHUNKS * CHUNK])
    gap = seen.unflatten(1, (CHUNKS, CHUNK)).amin(-1)
    return _Chunks(states[:, first], ends, actions, way, gap)


def _imagined(model: WorldModel, states: Tensor, generator: torch.Generator) -> _Chunks:
    """What the lower level expects of actions drawn at random, from some frames of (B, L, S)."""
    starts = torch.randint(SEEN - 1, states.shape[1], (IMAGINED_STARTS,), generator=generator)
    start = states[:, starts].flatten(0, 1)
    actions = torch.cat([random_actions(model, len(start), CHUNK, start.device, generator)
                         for _ in range(IMAGINED_CHUNKS)], 1)
    future, changes = model.imagine(start, actions)
    chunks = (IMAGINED_CHUNKS, CHUNK)
    way = chained(changes.unflatten(1, chunks))[:, :, CHUNK // PARTS::CHUNK // PARTS]
    gap = model.nearest(future[:, 1:]).unflatten(1, chunks).amin(-1)
    return _Chunks(start, future[:, CHUNK::CHUNK], actions.unflatten(1, chunks), way, gap)


def _terms(level: AbstractLevel, chunks: _Chunks) -> dict[str, Tensor]:
    """Losses of imagining chunk after chunk, and of what is read from that."""
    known = torch.isfinite(chunks.actions).flatten(1).all(-1)
    start, ends, actions = chunks.start[known], chunks.ends[known], chunks.actions[known]
    if not len(start):
        zero = chunks.start.sum() * 0.0
        return dict.fromkeys(('prediction', 'way', 'gap', 'actions'), zero)
    macros = level.macro(actions)
    imagined = level.imagine(level.encode(start), macros)
    target = level.encode(ends)
    error = (imagined[:, 1:] - target).pow(2).mean((0, 2))
    with torch.no_grad():
        every = torch.cat([imagined[:, :1], target], 1)
        weight = shares(every, len(error))
    before = imagined[:, :-1]
    gap = chunks.gap[known].clamp(GAP_MIN, GAP_MAX).log()
    return {
        'prediction': (weight * error).mean(),
        'way': losses.smooth_l1(level.way(before, macros) / level.way_scale,
                                chunks.way[known] / level.way_scale, 0.2),
        'gap': losses.quantiles(level.gap_log(before, macros), gap, GAP_QUANTILES, -1),
        'actions': losses.smooth_l1(level.actions(before, macros) / level.action_scale,
                                    actions / level.action_scale, 0.2)}


def _reach(level: AbstractLevel, states: Tensor, batch: Batch) -> Tensor:
    goal, time = batch['reach_goal'][:, SEEN - 1:], batch['reach_time'][:, SEEN - 1:]
    known = torch.isfinite(goal).all(-1)
    guess = level.time_to_reach(level.encode(states), torch.nan_to_num(goal))
    return losses.pinball(guess, torch.where(known, time, torch.nan), REACH_QUANTILE)


def _errors(level: AbstractLevel, chunks: _Chunks) -> dict[str, Tensor]:
    macros = level.macro(torch.nan_to_num(chunks.actions))
    imagined = level.imagine(level.encode(chunks.start), macros)
    target, before = level.encode(chunks.ends), imagined[:, :-1]
    way = level.way(before, macros)
    # Each chunk's end in the frame of the first one's beginning.
    path, truth = (chained(each[:, :, -1])[:, 1:, :2] for each in (way, chunks.way))
    gap = level.gap(before, macros)[..., 1]
    middle = chunks.gap.clamp(GAP_MIN, GAP_MAX)
    return {
        'error': (imagined[:, 1:] - target).pow(2).mean(-1),
        'still': (imagined[:, :1] - target).pow(2).mean(-1),
        'encoded': target,
        'place': (path - truth).norm(dim=-1), 'place_still': truth.norm(dim=-1),
        'gap': (gap - middle).abs(), 'gap_constant': (middle - middle.nanmedian()).abs(),
        'action': ((level.actions(before, macros) - chunks.actions) / level.action_scale
                   ).abs().flatten(1)}


def _ratio(error: Tensor, still: Tensor) -> float | None:
    known = torch.isfinite(error) & torch.isfinite(still)
    if not known.any():
        return None
    return round(float(error[known].mean() / still[known].mean().clamp_min(1e-12)), 4)
