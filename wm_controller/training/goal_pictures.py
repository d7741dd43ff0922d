# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Train what tells where a goal picture was taken, after the model and apart from it.

Pairs of frames of one drive, and odometry between them, are all that it needs: thousands a
minute, where sequences for the model would give hundreds.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
import torch
from torch import Tensor

from wm_controller.data.windows import Windows
from wm_controller.safety.geometry import relative, wrap_angle
from wm_controller.training import augment, losses
from wm_controller.training.gates import mean_of_known
from wm_controller.training.part import Batch, NoData, Part, PartOptions, Sampler
from wm_controller.world_model.bundle import Bundle
from wm_controller.world_model.goal_pose import GoalPoseHead
from wm_controller.world_model.precision import bfloat16_pays

CHANNELS = (48, 96, 128)
MAX_M = 4.0      # a goal picture is taken no further away
MAX_TURN = 1.3   # and turned by no more, rad: the views could share nothing
IN_SIGHT = 0.8   # rad: no further aside, and turned by no more, a picture shows what is seen
IN_SIGHT_SHARE = 0.7  # of these pairs, at least: that is where people take goal pictures
ANYWHERE_SHARE = 0.25  # of all pairs: of any two frames, so that it knows when it cannot know
DRAWS = 64       # rows of a drive that a picture is chosen from
FLICKER = 0.1    # by which the light of the two pictures differs, as exposure does
HELD_OUT_PAIRS = 2048
BANDS_M = (0.0, 0.3, 0.6, 1.0, 1.5, 2.0, 3.0)  # edges of the distances that gates tell apart
GATED_M = (1.0, 3.0)  # distances of the one figure that sums them up


@dataclass(frozen=True)
class GoalPictureOptions(PartOptions):
    """How to train it."""

    batch: int = 64
    learning_rate: float = 1e-3
    channels: tuple[int, ...] = CHANNELS


class GoalPicturePart(Part):
    """The head `goal_pose` of a model; one that is there, or in `initial`, is trained further."""

    NAME, PREFIX, TERM = 'goal_pictures', 'goal_pose.', 'goal_pose'

    def __init__(self, bundle: Bundle, options: GoalPictureOptions) -> None:
        self.options = options
        device = next(bundle.model.parameters()).device
        architecture = replace(bundle.spec.architecture, goal_channels=options.channels)
        self.module = GoalPoseHead(replace(bundle.spec, architecture=architecture)).to(device)
        self.half_precision = bfloat16_pays(device)
        given = self.begin_from(bundle, options.initial)
        self._begun_from = given.digest if given else None

    @property
    def architecture(self) -> dict[str, Any]:
        return {'goal_channels': list(self.options.channels)}

    @property
    def identity(self) -> dict[str, Any]:
        return {'channels': list(self.options.channels)}

    def record(self, iterations: int) -> dict[str, Any]:
        """Return how many pairs were compared, and which bundle's weights it began from."""
        return {'pairs': iterations * self.options.batch, 'begun_from': self._begun_from}

    def kept_without_data(self) -> dict[str, Any] | None:
        """As it was in the bundle begun from: it shares nothing with the model that changed."""
        return {'kept_from': self._begun_from} if self._begun_from else None

    def sampler(self, windows: Windows) -> Sampler:
        """Draw pairs; vary light, hue and side of both alike. Raises NoData without poses."""
        options = self.options
        if not np.isfinite(windows.column('pose')[windows.starts]).all(-1).any():
            raise NoData('no drive has odometry: nothing says where its pictures were taken')

        def sample(iteration: int, generator: torch.Generator) -> Batch:
            rng = np.random.default_rng([options.seed, 41, iteration])
            batch = draw_pairs(windows, options.batch, rng, ANYWHERE_SHARE)
            return augment.vary(batch, generator, options.mirror, FLICKER)

        return sample

    def loss(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Batch]:
        """Laplace likelihood of place and heading."""
        pixels = batch['pixels']
        with torch.autocast(pixels.device.type, torch.bfloat16, enabled=self.half_precision):
            guess = self.module(pixels[:, 0], pixels[:, 1])
        loss = goal_pose_loss(guess, batch['goal_pose'])
        return loss, {'goal_pose': loss.detach()}

    @torch.no_grad()
    def gates(self, held_out: Windows) -> dict[str, Any]:
        """Errors of the place, m, on pairs of held-out drives."""
        rng = np.random.default_rng([0, 43])
        device = next(self.module.parameters()).device
        errors, places = [], []
        for _ in range(HELD_OUT_PAIRS // 64):
            batch = draw_pairs(held_out, 64, rng)
            pixels, pose = batch['pixels'].to(device), batch['goal_pose']
            guess = self.module(pixels[:, 0], pixels[:, 1]).cpu()
            errors.append((guess[:, :2] - pose[:, :2]).norm(dim=-1))
            places.append(pose[:, :2])
        return judge(torch.cat(errors), torch.cat(places))


def goal_pose_loss(guess: Tensor, target: Tensor) -> Tensor:
    """Laplace likelihood of places and headings guessed (P, 5) for poses (P, 3), NaN: unknown."""
    known = torch.isfinite(target).all(-1)
    target = torch.nan_to_num(target)
    distance = (guess[:, :2] - target[:, :2]).norm(dim=-1)
    facing = torch.stack([target[:, 2].cos(), target[:, 2].sin()], -1)
    turn = (guess[:, 2:4] - facing).norm(dim=-1)
    return losses.laplace(distance, guess[:, 4].clamp(-4, 3), known) + losses.laplace(
        turn, torch.zeros_like(turn), known)


def judge(error: Tensor, place: Tensor) -> dict[str, Any]:
    """Mean errors (P,) m, NaN unknown, of places (P, 2) by distance, and of the best constant."""
    known = torch.isfinite(error)
    distance = place.norm(dim=-1)
    chosen = known & (distance > GATED_M[0]) & (distance < GATED_M[1])
    middle = place[chosen].median(0).values if bool(chosen.any()) else place.new_zeros(2)
    bands = {f'{low:g} to {high:g} m': known & (distance >= low) & (distance < high)
             for low, high in zip(BANDS_M, BANDS_M[1:])}
    return {'goal_picture_error_m': mean_of_known(error[chosen]),
            'goal_picture_constant_m': mean_of_known((place[chosen] - middle).norm(dim=-1)),
            'goal_picture_errors_m': {
                name: mean_of_known(error[rows]) for name, rows in bands.items()}}


def draw_pairs(windows: Windows, count: int, rng: np.random.Generator,
               anywhere: float = 0.0) -> Batch:
    """Pairs of frames of one drive: `pixels` (B, 2, H, W, 3), here and the picture.

    `goal_pose` (B, 3) m, rad: that of the picture from here. A share `anywhere` of the pictures
    are any of the drive; of the others it is NaN where the two can share nothing.
    """
    drawn = rng.integers(len(windows), size=count)
    here = windows.starts[drawn]
    first, stop = windows.episode_rows[windows.episode[drawn]].T
    pose = windows.column('pose')
    there = _pictures(pose, here, first, stop, rng)
    free = rng.random(count) < anywhere
    there[free] = (first + rng.random(count) * (stop - first)).astype(np.int64)[free]
    goal = relative(pose[here], pose[there])
    goal[~_comparable(goal) & ~free] = np.nan
    pixels = np.stack([windows.images(here), windows.images(there)], 1)
    return {'pixels': torch.from_numpy(pixels),
            'goal_pose': torch.from_numpy(goal.astype(np.float32))}


def _comparable(relative_pose: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether a picture at this relative pose (..., 3) may share something with the view."""
    distance = np.hypot(relative_pose[..., 0], relative_pose[..., 1])
    return np.asarray((distance <= MAX_M) & (
        np.abs(wrap_angle(relative_pose[..., 2])) <= MAX_TURN))


def _pictures(pose: NDArray[Any], here: NDArray[Any], first: NDArray[Any], stop: NDArray[Any],
              rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw a row (B,) of the same drive for each row `here`: all distances alike often.

    IN_SIGHT_SHARE of them, where the drive has such, lie in sight.
    """
    drawn = first[:, None] + (rng.random((len(here), DRAWS)) * (
        stop - first)[:, None]).astype(np.int64)
    seen = relative(pose[here][:, None, :], pose[drawn])
    wanted = rng.uniform(0, MAX_M, (len(here), 1))
    # A drive without odometry has distances that are NaN: any row does, none is learned.
    miss = np.nan_to_num(np.abs(np.hypot(seen[..., 0], seen[..., 1]) - wanted), nan=0.0)
    miss[~_comparable(np.nan_to_num(seen))] += 100.0
    aside = np.abs(np.arctan2(seen[..., 1], seen[..., 0])) > IN_SIGHT
    turned = np.abs(wrap_angle(seen[..., 2])) > IN_SIGHT
    asked = rng.random((len(here), 1)) < IN_SIGHT_SHARE
    miss[asked & (aside | turned)] += 10.0
    return np.asarray(drawn[np.arange(len(here)), miss.argmin(1)])
