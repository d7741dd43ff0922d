# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""From images and odometry to the latent state, at any camera rate and with frames missing."""

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
import torch

from wm_controller.data.images import fit
from wm_controller.planning.contract import Observation
from wm_controller.safety.geometry import compose, relative
from wm_controller.world_model.bundle import Bundle

Floats = NDArray[np.float64]
STEP_TOLERANCE = 0.45  # a past state this share of a step away from one step back still serves
SURPRISING_FRAMES = 3  # surprise is what so many frames in a row agree on
JUMP_M = 0.5           # odometry that moves further in one step is a reset, not a motion


@dataclass(frozen=True)
class Estimate:
    """The state (1, S) at `stamp`, the features (1, C, h, w) seen, base pose (3,), surprise.

    `jumped`: odometry was reset since the last one, so that places remembered in it are void.
    """

    stamp: float
    state: torch.Tensor
    features: torch.Tensor
    pose: Floats
    twist: Floats | None
    surprise: float
    fresh_start: bool
    jumped: bool


class Estimator:
    """Keeps recent states so that each frame updates the one that is a model step older.

    A camera faster than the model's step gives several interleaved chains of states, each with
    the step it was trained with.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.model = bundle.model
        self.spec = bundle.spec
        self._quantiles = np.asarray(bundle.energy_quantiles, float)
        self._recent_surprise: deque[float] = deque(maxlen=SURPRISING_FRAMES)
        self._past: deque[Estimate] = deque(maxlen=64)
        self._commands: deque[tuple[float, float, float]] = deque(maxlen=128)

    def reset(self) -> None:
        """Forget everything seen."""
        self._past.clear()
        self._commands.clear()
        self._recent_surprise.clear()

    @property
    def latest(self) -> Estimate | None:
        """The newest estimate."""
        return self._past[-1] if self._past else None

    def commanded(self, stamp: float, v: float, w: float) -> None:
        """Note a command that was sent at `stamp`."""
        self._commands.append((stamp, v, w))

    def mean_command(self, start: float, end: float) -> Floats:
        """Average of the commands in force from `start` to `end`, (2,)."""
        if end <= start:
            return self._command_at(end)
        times = [start, *(t for t, _, _ in self._commands if start < t < end), end]
        parts = [self._command_at(t) * (u - t) for t, u in zip(times[:-1], times[1:])]
        return np.asarray(np.sum(parts, 0) / (end - start))

    def _command_at(self, stamp: float) -> Floats:
        for t, v, w in reversed(self._commands):
            if t <= stamp:
                return np.array([v, w])
        return np.zeros(2)

    def encode(self, image: NDArray[np.uint8]) -> tuple[torch.Tensor, torch.Tensor]:
        """Encode one image (H, W, 3) of any size to a latent (1, E) and features."""
        height, width = self.spec.image_size
        pixels = np.ascontiguousarray(fit(image, (width, height)))
        with torch.no_grad():
            return self.model.encode_with_features(torch.from_numpy(pixels)[None])

    def observe(self, observation: Observation) -> Estimate:
        """Take in one frame; frames must come in the order of their stamps."""
        latent, features = self.encode(observation.image)
        before = self._step_before(observation)
        jumped = before is not None and observation.pose is not None and bool(np.hypot(
            *(observation.pose - before.pose)[:2]) > JUMP_M)
        if jumped:
            self._past.clear()
            before = None
        with torch.no_grad():
            estimate = self._updated(observation, latent, features, before, jumped)
        self._past.append(estimate)
        return estimate

    def _step_before(self, observation: Observation) -> Estimate | None:
        period = self.spec.step_period_s
        if not self._past:
            return None
        wanted = observation.stamp - period
        nearest = min(self._past, key=lambda past: abs(past.stamp - wanted))
        if abs(nearest.stamp - wanted) > STEP_TOLERANCE * period:
            return None
        return nearest

    def _updated(self, observation: Observation, latent: torch.Tensor, features: torch.Tensor,
                 before: Estimate | None, jumped: bool) -> Estimate:
        model = self.model
        twist = observation.twist
        if before is None:
            # A late or first frame: start from the newest state there is, else from nothing.
            latest = self.latest
            state = latest.state if latest is not None else model.initial_state(1)
            pose = observation.pose
            if pose is None:
                pose = latest.pose if latest is not None else np.zeros(3)
            proprio = np.full(5, np.nan)
            if twist is not None:
                proprio = np.array([0.0, 0.0, 0.0, *twist])
            action = np.zeros(2)
            surprise, fresh_start = float('nan'), True
        else:
            duration = observation.stamp - before.stamp
            action = self.mean_command(before.stamp, observation.stamp)
            tensor = torch.from_numpy(action.astype(np.float32))[None]
            imagined, change = model.imagine(before.state, tensor[:, None])
            surprise = self._surprise(imagined[:, 1], latent)
            state, fresh_start = before.state, False
            share = self.spec.step_period_s / duration
            if observation.pose is not None:
                pose = observation.pose
                step = relative(before.pose, pose) * share
                measured = twist if twist is not None else step[[0, 2]] / duration
                proprio = np.concatenate([step, measured])
            else:
                pose = compose(before.pose, change[0, 0].numpy().astype(float) / share)
                proprio = np.full(5, np.nan)
        state = model.observe(
            state, latent, torch.from_numpy(action.astype(np.float32))[None],
            torch.from_numpy(proprio.astype(np.float32))[None])
        return Estimate(observation.stamp, state, features, np.asarray(pose, float), twist,
                        surprise, fresh_start, jumped)

    def _surprise(self, imagined: torch.Tensor, latent: torch.Tensor) -> float:
        """Quantile (0..1) of the prediction energy among those of ordinary held-out steps.

        The least of the last few frames: one odd frame must not hold a robot.
        """
        if len(self._quantiles) == 0:
            return float('nan')
        energy = float((self.model.latent_of(imagined) - latent).pow(2).mean())
        self._recent_surprise.append(float(np.interp(
            energy, self._quantiles, np.linspace(0, 1, len(self._quantiles)))))
        return min(self._recent_surprise)
