# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Train the diffusion policy on drives that frozen eyes have seen: seeded, resumable, by time."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
import torch
from torch import Tensor

from wm_controller.data.dataset import open_all
from wm_controller.errors import InputError
from wm_controller.evaluation.diffusion import DiffusionPolicy, Eyes, PolicyShape
from wm_controller.evaluation.diffusion_data import PLACE_M, PLACE_STEPS, Seen, seen_by, Ways
from wm_controller.evaluation.diffusion_file import save_rival
from wm_controller.safety.geometry import relative
from wm_controller.training import checkpoint, losses
from wm_controller.training.part import (
    Batch,
    iterate,
    part_checkpoint,
    PartOptions,
    PartProgress,
    Report,
)
from wm_controller.world_model.bundle import Bundle, load_bundle
from wm_controller.world_model.precision import bfloat16_pays
from wm_controller.world_model.recordings import check_fit

PICTURES, PLACES = 0.45, 0.3  # share of a batch with such a goal; the goal of the others is masked
CHOSEN_FROM = 4  # drives to places, by what is to be learned from them
NOISES = 2  # draws of noise for each chunk: its context is made once
STEPS_WEIGHT = 0.1
MIRRORED_ACTION = np.array([1.0, -1.0])
JUDGED = 1024  # held-out chunks of each kind of goal


@dataclass(frozen=True)
class RivalOptions(PartOptions):
    """How to train it; `source` is the bundle whose eyes it gets, `features` a file for its view.

    Without `features` what the eyes see is kept beside the output until the end of the run.
    """

    minutes: float = 20.0
    batch: int = 256
    learning_rate: float = 1e-3
    features: Path | None = None
    shape: PolicyShape = field(default_factory=PolicyShape)


class Lessons:
    """Draws batches: chunks of commands, the frames before them and what they led to."""

    def __init__(self, ways: Ways, seen: Seen, shape: PolicyShape, held_out: float) -> None:
        """`held_out`: share of the drives, the last ones, that `draw` takes where it is asked."""
        self._ways, self._seen, self._shape = ways, seen, shape
        last = ways.drive[-1] + 1
        cut = last - max(1, round(held_out * last))
        rows, paired = ways.lessons(shape.chunk), ways.drive[seen.here.numpy()]
        here, shown = seen.here.numpy(), seen.goal.numpy()
        worth = ways.worth(here, np.maximum(shown, here))
        worth[shown < 0] = worth[shown >= 0].mean() if (shown >= 0).any() else 1.0
        self._worth = worth
        self._rows = [rows[ways.drive[rows] < cut], rows[ways.drive[rows] >= cut]]
        self._pairs = [np.flatnonzero(paired < cut), np.flatnonzero(paired >= cut)]
        if not all(len(each) for each in (*self._rows, *self._pairs)):
            raise InputError('too few drives with odometry and commands that touch nothing, to '
                             'train on some and hold out others: give more data')

    def draw(self, pictures: int, places: int, masked: int, rng: np.random.Generator,
             held_out: bool = False) -> Batch:
        """So many chunks towards a picture, a place, nothing; in that order.

        `latents` (B, C, E), `actions` (B, T, 2) m/s and rad/s; of pictures `compared` (P, F), of
        places `place` (Q, 2) m; `steps` (B,) to the goal, NaN without one, infinite to a picture
        of elsewhere.
        """
        ways, seen = self._ways, self._seen
        pairs = _chosen(self._pairs[held_out], self._worth[self._pairs[held_out]], pictures, rng)
        known = rng.choice(self._rows[held_out], CHOSEN_FROM * places)
        goal = ways.goals(known, PLACE_M, PLACE_STEPS, rng)
        towards = _chosen(np.arange(len(known)), ways.worth(known, goal), places, rng)
        goal = goal[towards]
        rows = np.concatenate([known[towards], rng.choice(self._rows[held_out], masked)])
        here = np.concatenate([seen.here.numpy()[pairs], rows])
        mirrored = np.concatenate([seen.mirrored.numpy()[pairs], rng.random(len(rows)) < 0.5])
        place = relative(ways.pose[rows[:places]], ways.pose[goal])[:, :2]
        steps = np.full(len(here), np.nan)
        shown = seen.goal.numpy()[pairs]
        steps[:pictures] = np.where(shown < 0, np.inf, shown - here[:pictures])
        steps[pictures:pictures + places] = goal - rows[:places]
        before = np.maximum(here[:, None] - np.arange(self._shape.context)[::-1],
                            ways.first[here][:, None])
        actions = ways.action[here[:, None] + np.arange(self._shape.chunk)]
        sign = np.where(mirrored[:, None], MIRRORED_ACTION, 1.0)
        return {'latents': seen.latents[torch.from_numpy(mirrored.astype(np.int64))[:, None],
                                        torch.from_numpy(before)].float(),
                'actions': _tensor(actions * sign[:, None]),
                'compared': seen.compared[torch.from_numpy(pairs)].float(),
                'place': _tensor(place * sign[pictures:pictures + places]),
                'steps': _tensor(steps)}


class RivalPart:
    """The policy as `part.iterate` trains it: the eyes see nothing new, so they are not here."""

    NAME = 'rival'

    def __init__(self, bundle: Bundle, options: RivalOptions, compared: int) -> None:
        self.module = self.policy = DiffusionPolicy(bundle.spec, options.shape, compared)
        self.half_precision = bfloat16_pays()

    def conditions(self, batch: Batch, masked: bool = False) -> Tensor:
        """Conditions (B, K) of a batch of `Lessons`; `masked`: as if no goal were given."""
        policy, count = self.policy, len(batch['latents'])
        if masked:
            return policy.condition(batch['latents'], policy.token_of_nowhere(count))
        known = [policy.token_of_picture(batch['compared']), policy.token_of_place(batch['place'])]
        rest = count - len(known[0]) - len(known[1])
        return policy.condition(batch['latents'], torch.cat(
            [*known, policy.token_of_nowhere(rest).to(known[0].dtype)]))

    def normalised(self, batch: Batch) -> Tensor:
        """Actions (B, T, 2) as the denoiser takes them."""
        return (batch['actions'] / self.policy.action_scale).clamp(-1, 1)

    def loss(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Batch]:
        """Squared error of the actions; Huber loss of the logarithm of the steps to the goal."""
        actions = self.normalised(batch).repeat_interleave(NOISES, 0)
        noise = torch.randn(actions.shape, generator=generator)
        step = torch.randint(self.policy.shape.steps, (len(actions),), generator=generator)
        with torch.autocast('cpu', torch.bfloat16, enabled=self.half_precision):
            condition = self.conditions(batch)
            told = self.policy.denoiser(self.policy.noised(actions, noise, step), step,
                                        condition.repeat_interleave(NOISES, 0))
            far = self.policy.log_steps(condition)
        # A picture of elsewhere is as far as any can be.
        wanted = torch.log1p(batch['steps'].clamp_max(2.0 * PLACE_STEPS))
        terms = {'actions': (told - actions).pow(2).mean(), 'steps': losses.smooth_l1(far, wanted)}
        total = terms['actions'] + STEPS_WEIGHT * terms['steps']
        return total, {name: term.detach() for name, term in terms.items()}

    @torch.no_grad()
    def figures(self, lessons: Lessons) -> dict[str, Any]:
        """Of held-out drives: errors of expected chunks, goal given and masked; of the steps.

        Errors are mean distances of normalised actions; that of the mean action is beside them.
        """
        rng, generator = np.random.default_rng([0, 67]), torch.Generator().manual_seed(0)
        batch = lessons.draw(JUDGED, JUDGED, 0, rng, held_out=True)
        actions, found = self.normalised(batch), {}
        given, free = self.conditions(batch), self.conditions(batch, masked=True)
        kinds = {'picture': slice(0, JUDGED), 'place': slice(JUDGED, 2 * JUDGED)}
        for name, condition in (('given', given), ('masked', free)):
            error = (self.policy.expected(condition, generator) - actions).norm(dim=-1).mean(-1)
            for kind, rows in kinds.items():
                found[f'{kind}_{name}'] = round(float(error[rows].mean()), 4)
        still = (actions - actions.mean((0, 1))).norm(dim=-1).mean()
        near = torch.isfinite(batch['steps'][kinds['picture']])
        steps = batch['steps'][kinds['picture']][near]
        told = torch.expm1(self.policy.log_steps(given)[kinds['picture']][near])
        return {'action_error': {**found, 'mean_action': round(float(still), 4)},
                'steps_error': round(float((told - steps).abs().mean()), 3),
                'steps_constant': round(float((steps - steps.median()).abs().mean()), 3)}


def train_rival(paths: list[Path], options: RivalOptions, report: Report,
                on_seen: Callable[[float], Any] = lambda share: None) -> dict[str, Any]:
    """Train on data sets, write the file, return what it says of the training.

    `on_seen(share)` is called while frames are encoded, `report` about once a second afterwards.
    Raises InputError where data and eyes do not fit, or where the checkpoint is of another run.
    """
    if options.threads:
        torch.set_num_threads(options.threads)
    bundle = load_bundle(options.source)
    eyes = Eyes.of(bundle)
    datasets = open_all(paths)
    try:
        check_fit(bundle.spec, datasets[0])
        digests = [data.digest for data in datasets]
        names = [data.path.name for data in datasets]
        begun, ways = time.process_time(), Ways.of(datasets)
        kept = options.features or options.output.with_name(options.output.name + '.features')
        seen = seen_by(bundle, datasets, ways, options.shape.chunk, options.seed, kept, on_seen)
        seeing_s = time.process_time() - begun
    finally:
        for data in datasets:
            data.close()
    lessons = Lessons(ways, seen, options.shape, options.held_out)
    torch.manual_seed(options.seed)
    part = RivalPart(bundle, options, eyes.compared)
    progress, terms = _train(part, lessons, options, {
        'eyes': bundle.digest, 'data': digests, 'seed': options.seed, 'batch': options.batch,
        'shape': asdict(options.shape), 'held_out': options.held_out}, report)
    record = {
        'eyes': bundle.digest, 'data': [{'name': name, 'digest': digest}
                                        for name, digest in zip(names, digests)],
        'seeing_minutes': round(seeing_s / 60, 2), 'minutes': round(progress.elapsed_s / 60, 2),
        'iterations': progress.iteration, 'chunks': progress.iteration * options.batch,
        'seed': options.seed, 'batch': options.batch,
        'parameters': sum(p.numel() for p in part.policy.parameters()),
        'loss': {name: round(value, 4) for name, value in terms.items()},
        **part.figures(lessons)}
    save_rival(options.output, eyes, part.policy, bundle.spec, record)
    part_checkpoint(options.output, part.NAME).unlink(missing_ok=True)
    if options.features is None:
        kept.unlink(missing_ok=True)
    return record


def _train(part: RivalPart, lessons: Lessons, options: RivalOptions, identity: dict[str, Any],
           report: Report) -> tuple[PartProgress, dict[str, float]]:
    """Run to the end from the beginning or from the checkpoint; leaves a checkpoint."""
    optimizer = torch.optim.AdamW(part.module.parameters(), lr=options.learning_rate)
    progress, path = PartProgress(), part_checkpoint(options.output, part.NAME)
    if path.exists() and not options.restart:
        progress = PartProgress(**checkpoint.resume(
            path, identity, part.module, optimizer, 'checkpoint of a policy with other eyes, data '
            'or settings; pass --restart to begin anew'))

    def keep() -> None:
        checkpoint.save_checkpoint(path, part.module, optimizer,
                                   {**asdict(progress), 'identity': identity})

    pictures, places = (round(share * options.batch) for share in (PICTURES, PLACES))

    def sample(iteration: int, generator: torch.Generator) -> Batch:
        torch.manual_seed(options.seed * 1_000_003 + iteration)  # of what dropout leaves out
        rng = np.random.default_rng([options.seed, 61, iteration])
        return lessons.draw(pictures, places, options.batch - pictures - places, rng)

    part.module.train()
    terms = iterate(part, optimizer, sample, options, progress, report, keep)
    part.module.eval()
    keep()
    return progress, terms


def _chosen(values: NDArray[Any], weight: NDArray[Any], count: int, rng: np.random.Generator
            ) -> NDArray[Any]:
    """Draw `count` of the values (N,) in proportion to their weights (N,)."""
    if not count:
        return values[:0]
    share = np.cumsum(weight)
    return values[np.searchsorted(share, rng.random(count) * share[-1], side='right').clip(
        max=len(values) - 1)]


def _tensor(values: NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, np.float32))
