# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The world model as a simulator: commands in; decoded pictures, odometry, clearance out."""

from __future__ import annotations

from collections.abc import Sequence
import math
from typing import NoReturn

import numpy as np
import torch

from wm_controller.errors import InputError
from wm_controller.safety.geometry import compose
from wm_controller.simulation.specs import CameraSpec, Odometry, Scan
from wm_controller.world_model.attach import decoder_of
from wm_controller.world_model.bundle import Bundle

ODOMETRY_PERIOD_S = 0.02
MEDIAN = 1  # of the quantiles of clearance
HFOV = math.pi / 2  # where neither the model nor the caller says otherwise


class LearnedWorld:
    """A `simulation.world.World` without physics: what happens is what the model imagines.

    The state moves on by whole model steps, each under the mean of the commands in it, as in
    training. Between two steps the pose is interpolated, and the picture is that of a step under
    the same share of the command. The frame of the world is where the drive began.

    What the model has not learned does not happen here: nothing is hit, so that `collisions`
    stays 0, and after seconds of imagining a room may turn into another.
    """

    collisions = 0

    def __init__(self, bundle: Bundle, start: torch.Tensor, seen: np.ndarray,
                 hfov: float | None = None) -> None:
        """Begin at state `start` (1, S), after the frame `seen` (H, W, 3) RGB.

        Raises InputError where the bundle has no decoder.
        """
        self._decoder, self._model, self._spec = decoder_of(bundle), bundle.model, bundle.spec
        height, width = self._spec.image_size
        self.camera = CameraSpec(width=width, height=height, noise=0.0,
                                 hfov=hfov or self._spec.horizontal_fov or HFOV)
        self._start, self._seen = start, torch.from_numpy(seen.copy())[None]
        self.reset()

    def reset(self, pose: np.ndarray | None = None) -> None:
        """Begin anew at the start; a model cannot be put elsewhere, so `pose` is not used."""
        self._state, self._origin = self._start, np.zeros(3)
        self._steps, self._elapsed = 0, 0.0
        self._command, self._held = np.zeros(2), np.zeros(2)
        self._odometry_due = 0.0
        self._keep_odometry()

    def command(self, v: float, w: float) -> None:
        """Command a twist from now on, cut to what the model has learned."""
        if not (np.isfinite(v) and np.isfinite(w)):
            raise InputError(f'command v {v}, w {w} must be finite')
        low, high, turn = self._spec.action_limits
        self._command = np.array([np.clip(v, low, high), np.clip(w, -turn, turn)])

    def step(self, duration_s: float) -> None:
        """Let time pass."""
        if not 0.0 <= duration_s < 1e6:
            raise InputError(f'step duration {duration_s} s must be positive and finite')
        period = self._spec.step_period_s
        left = duration_s
        while left > 1e-9:
            part = min(left, period - self._elapsed)
            self._held = self._held + part * self._command
            self._elapsed += part
            left -= part
            if self._elapsed >= period - 1e-9:
                self._move_on()
        if self.time >= self._odometry_due - 1e-9:
            self._keep_odometry()

    @torch.no_grad()
    def _move_on(self) -> None:
        self._origin = compose(self._origin, self._change())
        self._state = self._model.predict(self._state, self._action()[None])
        self._steps += 1
        self._elapsed, self._held = 0.0, np.zeros(2)

    def _action(self) -> torch.Tensor:
        """Mean command (2,) of this step so far."""
        mean = self._held / self._elapsed if self._elapsed > 0 else self._command
        return torch.from_numpy(mean.astype(np.float32))

    @torch.no_grad()
    def _change(self) -> np.ndarray:
        """How the base moves (3,) over this whole step under its commands so far."""
        _, changes = self._model.imagine(self._state, self._action()[None, None])
        return changes[0, 0].double().numpy()

    @property
    def time(self) -> float:
        """Simulated time since the reset, s."""
        return self._steps * self._spec.step_period_s + self._elapsed

    @property
    def pose(self) -> np.ndarray:
        """Imagined pose, in the frame of the start."""
        return compose(self._origin, self._elapsed / self._spec.step_period_s * self._change())

    @property
    def twist(self) -> np.ndarray:
        """Imagined twist."""
        return self._change()[[0, 2]] / self._spec.step_period_s

    @property
    def odometry(self) -> Odometry:
        """The latest odometry, at most 20 ms old: the imagined motion, which does not drift."""
        return self._odometry

    def _keep_odometry(self) -> None:
        self._odometry = Odometry(self.time, self.pose, self.twist)
        self._odometry_due = self.time + ODOMETRY_PERIOD_S

    def world_to_odom(self, pose: np.ndarray) -> np.ndarray:
        """Return it as it is: this world has no other frame."""
        return np.asarray(pose, float)

    @property
    def state(self) -> torch.Tensor:
        """Imagined state (1, S) now."""
        share = self._elapsed / self._spec.step_period_s
        if share < 1e-6:
            return self._state
        with torch.no_grad():
            return self._model.predict(self._state, share * self._action()[None])

    def image(self) -> np.ndarray:
        """Decode what the camera would see now: (H, W, 3) uint8 RGB, of the model's size."""
        return self._decoder.pictures(self.state[None], self._seen)[0, 0].numpy()

    @torch.no_grad()
    def clearance(self) -> np.ndarray:
        """Imagined free distance (K,) m in the model's directions, left first; the median."""
        return self._model.clearance(self.state)[0, MEDIAN].double().numpy()

    def scan(self) -> Scan:
        """Clearance as a laser's beams: only ahead, as far as the model knows; inf beyond."""
        bearings = self._spec.clearance_bearings
        if not bearings:
            return Scan(self.time, 0.0, 0.0, self._spec.clearance_max, np.zeros(0))
        ranges = self.clearance()[::-1].copy()  # lasers count from the right
        ranges[ranges >= 0.98 * self._spec.clearance_max] = np.inf
        width = (bearings[0] - bearings[-1]) / max(len(bearings) - 1, 1)
        return Scan(self.time, bearings[-1], width, self._spec.clearance_max, ranges)

    def open_window(self) -> NoReturn:
        """Refuse: what there is to see is the image."""
        raise InputError('a learned world has no window: set headless to true and look at the '
                         'topic image')

    def close(self) -> None:
        """Nothing to free."""


def check_actions(actions: Sequence[Sequence[float]], bundle: Bundle) -> np.ndarray:
    """Return actions (N, 2) as an array; raises InputError for one the model has not learned."""
    array = np.asarray(actions, float).reshape(-1, 2)
    low, high, turn = bundle.spec.action_limits
    for v, w in array:
        if not (low <= v <= high and abs(w) <= turn):
            raise InputError(f'action {v:g},{w:g} is outside what {bundle.path.name} has learned: '
                             f'v {low:g} to {high:g} m/s, w {-turn:g} to {turn:g} rad/s')
    return array
