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
from wm_controller.world_model.energy import Evidence, Trace, Watch
from wm_controller.world_model.surprise import Steady

Floats = NDArray[np.float64]
STEP_TOLERANCE = 0.45  # a past state this share of a step away from one step back still serves
SURPRISING_FRAMES = 3  # without energy tables, surprise is what so many frames in a row agree on
ADMITTED_S = 0.3  # after the last word of what the wheels were told, what was sent counts again
JUMP_M = 0.5           # odometry that moves further in one step is a reset, not a motion


@dataclass(frozen=True)
class Estimate:
    """The state (1, S) at `stamp`, the pixels (1, H, W, 3) seen, base pose (3,), surprise.

    `features` (1, C, h, w) are the encoder's of these pixels.

    `surprise` (0..1) is the conformal quantile of `surprise_score` (nats, steadied); both, and
    `energy` (mean squared error of the latent predicted one step before), are NaN where nothing
    was predicted. `jumped`: odometry was reset since the last one, so that places remembered in
    it are void.
    """

    stamp: float
    trace: Trace
    pixels: torch.Tensor
    features: torch.Tensor
    pose: Floats
    twist: Floats | None
    surprise: float
    surprise_score: float
    energy: float
    fresh_start: bool
    jumped: bool

    @property
    def state(self) -> torch.Tensor:
        """The state (1, S)."""
        return self.trace.state


class Estimator:
    """Keeps recent states so that each frame updates the one that is a model step older.

    A camera faster than the model's step gives several interleaved chains of states, each with
    the step it was trained with.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.model = bundle.model
        self.spec = bundle.spec
        self._bundle = bundle
        self._quantiles = np.asarray(bundle.energy_quantiles, float)
        self._tables = bundle.energy
        self._watch = Watch(bundle.model, self._tables.turn_gain if self._tables else None)
        self._steady = Steady()
        self._recent_surprise: deque[float] = deque(maxlen=SURPRISING_FRAMES)
        self._past: deque[Estimate] = deque(maxlen=64)
        self._commands: deque[tuple[float, float, float]] = deque(maxlen=128)
        self._admitted: deque[tuple[float, float, float]] = deque(maxlen=256)

    def reset(self) -> None:
        """Forget everything seen."""
        self._past.clear()
        self._commands.clear()
        self._admitted.clear()
        self._recent_surprise.clear()
        self._steady.reset()

    def fork(self) -> 'Estimator':
        """Return an estimator that goes on from here by itself."""
        other = Estimator(self._bundle)
        other._past, other._commands = self._past.copy(), self._commands.copy()
        other._admitted = self._admitted.copy()
        other._recent_surprise = self._recent_surprise.copy()
        other._steady = self._steady.fork()
        return other

    @property
    def latest(self) -> Estimate | None:
        """The newest estimate."""
        return self._past[-1] if self._past else None

    def commanded(self, stamp: float, v: float, w: float) -> None:
        """Note a command that was sent at `stamp`."""
        self._commands.append((stamp, v, w))

    def admitted(self, stamp: float, v: float, w: float) -> None:
        """Note what guardrails let through to the wheels at `stamp`; better than what was sent."""
        self._admitted.append((stamp, v, w))

    def mean_command(self, start: float, end: float) -> Floats:
        """Average of the commands in force from `start` to `end`, (2,)."""
        heard = bool(self._admitted) and end - self._admitted[-1][0] <= ADMITTED_S
        log = self._admitted if heard else self._commands
        times = [start, *(t for t, _, _ in log if start < t < end), end]
        if end <= start:
            return _in_force(log, end)
        parts = [_in_force(log, t) * (u - t) for t, u in zip(times[:-1], times[1:])]
        return np.asarray(np.sum(parts, 0) / (end - start))

    def encode(self, image: NDArray[np.uint8]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the latent (1, E) of an image (H, W, 3) of any size, and its pixels."""
        pixels = self._pixels(image)
        with torch.no_grad():
            return self.model.encode(pixels), pixels

    def _pixels(self, image: NDArray[np.uint8]) -> torch.Tensor:
        height, width = self.spec.image_size
        return torch.from_numpy(np.ascontiguousarray(fit(image, (width, height))))[None]

    def observe(self, observation: Observation) -> Estimate:
        """Take in one frame; frames must come in the order of their stamps."""
        before = self._step_before(observation)
        jumped = before is not None and observation.pose is not None and bool(np.hypot(
            *(observation.pose - before.pose)[:2]) > JUMP_M)
        if jumped:
            self._past.clear()
            before = None
        with torch.no_grad():
            estimate = self._updated(observation, before, jumped)
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

    def _updated(self, observation: Observation, before: Estimate | None,
                 jumped: bool) -> Estimate:
        pixels = self._pixels(observation.image)
        latent, features = self.model.encode_with_features(pixels)
        stamp, twist = observation.stamp, observation.twist
        if before is None:
            trace, pose = self._started(observation, pixels, latent)
            score, energy = self._steady.update(stamp, np.nan), np.nan
            surprise = np.nan if self._tables is None else self._tables.published.surprise(score)
        else:
            trace, evidence, pose = self._followed(observation, before, pixels, latent)
            energy = float(evidence.one_step_energy)
            surprise, score = self._surprise(stamp, evidence, energy)
        return Estimate(stamp, trace, pixels, features, np.asarray(pose, float), twist, surprise,
                        score, energy, before is None, jumped)

    def _started(self, observation: Observation, pixels: torch.Tensor,
                 latent: torch.Tensor) -> tuple[Trace, Floats]:
        """After a late or first frame: start from the newest state there is, else from nothing."""
        latest, twist = self.latest, observation.twist
        state = latest.state if latest is not None else self.model.initial_state(1)
        pose = observation.pose
        if pose is None:
            pose = latest.pose if latest is not None else np.zeros(3)
        proprio = np.full(5, np.nan)
        if twist is not None:
            proprio = np.array([0.0, 0.0, 0.0, *twist])
        state = self.model.observe(state, latent, _row(np.zeros(2)), _row(proprio))
        return self._watch.begin(pixels, state, latent), pose

    def _followed(self, observation: Observation, before: Estimate, pixels: torch.Tensor,
                  latent: torch.Tensor) -> tuple[Trace, Evidence, Floats]:
        """Update the state that is a step older."""
        duration = observation.stamp - before.stamp
        action = self.mean_command(before.stamp, observation.stamp)
        share = self.spec.step_period_s / duration
        if observation.pose is not None:
            pose, twist = observation.pose, observation.twist
            step = relative(before.pose, pose) * share
            measured = twist if twist is not None else step[[0, 2]] / duration
            proprio = np.concatenate([step, measured])
        else:
            change = self.model.imagine(before.state, _row(action)[:, None])[1]
            pose = compose(before.pose, change[0, 0].numpy().astype(float) / share)
            proprio = np.full(5, np.nan)
        trace, evidence = self._watch.follow(before.trace, pixels, latent, _row(action),
                                             _row(proprio))
        return trace, evidence, pose

    def _surprise(self, stamp: float, evidence: Evidence, energy: float) -> tuple[float, float]:
        """Surprise and its score: steadied, and a quantile of those of ordinary held-out frames.

        Without energy tables: the least quantile of the one-step energy of the last few frames.
        """
        if self._tables is not None:
            score = self._steady.update(stamp, float(self._tables.score(evidence)[0]))
            return self._tables.published.surprise(score), score
        if len(self._quantiles) == 0:
            return float('nan'), float('nan')
        self._recent_surprise.append(float(np.interp(
            energy, self._quantiles, np.linspace(0, 1, len(self._quantiles)))))
        return min(self._recent_surprise), min(self._recent_surprise)


def _in_force(log: deque[tuple[float, float, float]], stamp: float) -> Floats:
    for t, v, w in reversed(log):
        if t <= stamp:
            return np.array([v, w])
    return np.zeros(2)


def _row(values: Floats) -> torch.Tensor:
    return torch.from_numpy(np.asarray(values, np.float32))[None]
