# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Train what tells the heading against the walls, on a finished model's features.

Only simulated rooms say how the robot truly stood in them; their walls lie along the axes. On a
real robot the head says what it learned there: how walls at right angles look. A model that is
fine-tuned on a real robot's drives sees with other features than before: there the head learns to
say of their pictures what it said before.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wm_controller.data.windows import Windows
from wm_controller.safety.geometry import wrap_angle
from wm_controller.training import augment
from wm_controller.training.gates import mean_of_known
from wm_controller.training.part import Batch, NoData, Part, PartOptions, Sampler
from wm_controller.world_model.bundle import Bundle
from wm_controller.world_model.compass import (
    compass_distance,
    compass_loss,
    CompassHead,
    heading_of,
)
from wm_controller.world_model.precision import bfloat16_pays

WIDTH = 64
FLICKER = 0.1
HELD_OUT_FRAMES = 2048
TRUTH = 'world_pose'  # column of collected data: where the robot truly was


@dataclass(frozen=True)
class CompassOptions(PartOptions):
    """How to train it."""

    batch: int = 128
    learning_rate: float = 2e-3
    width: int = WIDTH


class CompassPart(Part):
    """The head `compass` of a model; one that is there, or in `initial`, is trained further."""

    NAME, PREFIX, TERM = 'compass', 'compass.', 'compass'
    extras = (TRUTH,)

    def __init__(self, bundle: Bundle, options: CompassOptions) -> None:
        self.model, self.options = bundle.model, options
        device = next(bundle.model.parameters()).device
        spec = replace(bundle.spec, architecture=replace(
            bundle.spec.architecture, compass_width=options.width))
        self.module = CompassHead(spec, bundle.model.encoder.feature_shape).to(device)
        self.half_precision = bfloat16_pays(device)
        given = self.begin_from(bundle, options.initial)
        # The model as it was, where it had other features than this one has.
        self._before = given if given is not None and given is not bundle else None

    @property
    def architecture(self) -> dict[str, Any]:
        return {'compass_width': self.options.width}

    @property
    def identity(self) -> dict[str, Any]:
        return self.architecture

    def record(self, iterations: int) -> dict[str, Any]:
        """Return which bundle it learned from, where that was not the data alone."""
        return {'begun_from': self._before.digest} if self._before else {}

    def sampler(self, windows: Windows) -> Sampler:
        """Draw frames; vary light, hue and side.

        Raises NoData without true poses, if there is no earlier compass to learn from either.
        """
        options, before = self.options, None
        try:
            known = _known(windows)
        except NoData:
            if self._before is None:
                raise
            known, before = windows.starts, self._before.model

        def sample(iteration: int, generator: torch.Generator) -> Batch:
            rng = np.random.default_rng([options.seed, 47, iteration])
            batch = _frames(windows, rng.choice(known, options.batch))
            batch = augment.vary(batch, generator, options.mirror, FLICKER)
            pixels = batch['pixels'][:, 0]
            if before is None or before.compass is None:
                return {'pixels': pixels, 'heading': batch['goal_pose'][:, 2]}
            with torch.no_grad():
                return {'pixels': pixels, 'before': before.compass(
                    before.encode_with_features(pixels)[1])}

        return sample

    def loss(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Batch]:
        """Likelihood of the true heading, or of the one that was told before."""
        told = self._told(batch['pixels'])
        loss = compass_distance(told, batch['before']) if 'before' in batch else compass_loss(
            told, batch['heading'])
        return loss, {'compass': loss.detach()}

    def _told(self, pixels: Tensor) -> Tensor:
        with torch.autocast(pixels.device.type, torch.bfloat16, enabled=self.half_precision):
            with torch.no_grad():
                _, features = self.model.encode_with_features(pixels)
            told: Tensor = self.module(features)
        return told

    @torch.no_grad()
    def gates(self, held_out: Windows) -> dict[str, Any]:
        """Errors of the heading in degrees, on held-out frames; and of the surer half of them."""
        try:
            known = _known(held_out)
        except NoData:
            return {}
        rng = np.random.default_rng([0, 53])
        device = next(self.module.parameters()).device
        errors, sigmas = [], []
        for rows in np.array_split(rng.permutation(known)[:HELD_OUT_FRAMES], 16):
            if not len(rows):
                continue
            batch = _frames(held_out, rows)
            heading, sigma = heading_of(self._told(batch['pixels'][:, 0].to(device)))
            off = heading.cpu().numpy() - batch['goal_pose'][:, 2].numpy()
            errors.append(np.abs(wrap_angle(4 * off)) / 4)
            sigmas.append(sigma.cpu().numpy())
        error, doubt = np.degrees(np.concatenate(errors)), np.concatenate(sigmas)
        surer = doubt <= np.median(doubt)
        return {'compass_error_deg': mean_of_known(torch.from_numpy(error)),
                'compass_error_surer_deg': mean_of_known(torch.from_numpy(error[surer]))}


def _known(windows: Windows) -> np.ndarray:
    """Frames (F,) whose true pose is known; raises NoData where none is."""
    rows = windows.starts
    known = rows[np.isfinite(windows.column(TRUTH)[rows]).all(-1)]
    if not len(known):
        raise NoData('no drive says how the robot truly stood in its room: only simulated ones '
                     'do (for the compass)')
    return known


def _frames(windows: Windows, rows: np.ndarray) -> Batch:
    """`pixels` (B, 1, H, W, 3), and as `goal_pose` (B, 3) the true pose, to be mirrored alike."""
    truth = windows.column(TRUTH)[rows].astype(np.float32)
    return {'pixels': torch.from_numpy(windows.images(rows)[:, None]),
            'goal_pose': torch.from_numpy(truth)}
