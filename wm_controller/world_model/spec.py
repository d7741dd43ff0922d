# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""What a world model is, apart from its weights: sizes, camera, step, limits, normalisation."""

from dataclasses import asdict, dataclass, field, fields
import math
from typing import Any

from wm_controller.errors import InputError

SCHEMA = 'wm_controller_bundle/1'
COMMAND = 2  # v, w
MAX_LATENT_ACTION = 16


@dataclass(frozen=True)
class Architecture:
    """Widths of the networks, and which encoder (`encoders.py`) makes the latents.

    `ensemble`: predictors on one trunk; `latent_variable`: dimensions of z, which is what of the
    next step neither state nor action tells; 0: none.
    `image_reach`: the head that judges the time to goal pictures. Without `goal_channels` nothing
    says where a goal picture was taken, and without `decoder_channels` there is no decoder.
    `gap`: the head that judges how near anything is, also after actions that were never taken.
    `abstract_state`: width of the upper level's states, 0: no such level; one of its steps is a
    chunk of `chunk_steps`, one of its actions has `macro_action` numbers.
    `compass_width`: of the head that tells the heading against walls, 0: none; `proposal_width`:
    likewise of the head that proposes action sequences.
    `latent_action`: width of actions learned from video; 0: commands are the actions.
    Frozen weights are not in the bundle: `backbone_sha256` is the file they must come from.
    Without `action_conditioned`, states are carried forward as if every action were zero.
    """

    encoder_channels: tuple[int, int, int] = (32, 96, 160)
    latent: int = 192
    state: int = 256
    predictor_hidden: int = 256
    head_hidden: int = 128
    ensemble: int = 1
    latent_variable: int = 0
    encoder: str = 'conv'
    backbone_sha256: str = ''
    action_conditioned: bool = True
    image_reach: bool = False
    decoder_channels: tuple[int, ...] = ()
    latent_action: int = 0
    gap: bool = False
    goal_channels: tuple[int, ...] = ()
    abstract_state: int = 0
    macro_action: int = 6
    chunk_steps: int = 8
    compass_width: int = 0
    proposal_width: int = 0

    @property
    def control(self) -> int:
        """Width of what the predictor is conditioned on: latent action, else command."""
        return self.latent_action or COMMAND


# What `wm train` trains. The defaults above are what a bundle that does not say so has.
CURRENT = Architecture(ensemble=3, latent_variable=6, image_reach=True, gap=True)


@dataclass(frozen=True)
class Normalisation:
    """Means and scales measured on the training data; `value = (raw - mean) / scale`."""

    pixel_mean: tuple[float, float, float] = (127.5, 127.5, 127.5)
    pixel_scale: tuple[float, float, float] = (64.0, 64.0, 64.0)
    action_scale: tuple[float, float] = (0.5, 1.5)
    proprio_scale: tuple[float, ...] = (0.1, 0.02, 0.3, 0.5, 1.5)
    pose_change_scale: tuple[float, float, float] = (0.05, 0.01, 0.1)


@dataclass(frozen=True)
class ModelSpec:
    """Everything but the weights; round-trips through JSON.

    `image_size` is (height, width) in pixels, `step_period_s` the time that one action is held,
    `action_limits` = (min v, max v, max |w|) in m/s and rad/s, `clearance_bearings` in rad, left
    first, `clearance_max` and `reach_max_s` the largest distance (m) and time (s) in training.
    """

    image_size: tuple[int, int] = (72, 96)
    step_period_s: float = 0.2
    action_limits: tuple[float, float, float] = (-0.25, 0.5, 1.5)
    clearance_bearings: tuple[float, ...] = ()
    clearance_max: float = 5.0
    reach_max_s: float = 12.0
    horizontal_fov: float | None = None
    architecture: Architecture = field(default_factory=Architecture)
    normalisation: Normalisation = field(default_factory=Normalisation)

    def to_json(self) -> dict[str, Any]:
        """Return plain dictionaries, lists and numbers."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> 'ModelSpec':
        """Build from `to_json`'s dictionary; raises InputError that names what does not fit."""
        try:
            data = dict(data)
            architecture = _build(Architecture, data.pop('architecture'))
            normalisation = _build(Normalisation, data.pop('normalisation'))
            spec = _build(cls, data, architecture=architecture, normalisation=normalisation)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f'the model description is not one of {SCHEMA}: {error}') from error
        spec._check()
        return spec

    def _check(self) -> None:
        sizes = (*self.image_size, *self.architecture.encoder_channels, self.architecture.latent,
                 self.architecture.state, self.architecture.predictor_hidden,
                 self.architecture.head_hidden, *self.architecture.goal_channels,
                 *self.architecture.decoder_channels)
        if self.architecture.abstract_state:
            sizes += (self.architecture.abstract_state, self.architecture.macro_action,
                      self.architecture.chunk_steps)
        if self.architecture.compass_width:
            sizes += (self.architecture.compass_width,)
        if self.architecture.proposal_width:
            sizes += (self.architecture.proposal_width,)
        if not all(isinstance(n, int) and 0 < n <= 4096 for n in sizes):
            raise InputError(f'the model description has sizes outside 1..4096: {sizes}')
        if not 1 <= self.architecture.ensemble <= 16 or not (
                0 <= self.architecture.latent_variable <= 64):
            raise InputError('the model description has an ensemble outside 1..16, or a latent '
                             'variable outside 0..64 dimensions')
        width = self.architecture.latent_action
        if type(width) is not int or not 0 <= width <= MAX_LATENT_ACTION:
            raise InputError(f'the model description has latent_action = {width!r}, not one of '
                             f'0..{MAX_LATENT_ACTION}')
        scalars = (self.step_period_s, *self.action_limits, *self.clearance_bearings,
                   self.clearance_max, self.reach_max_s)
        if not all(math.isfinite(x) for x in scalars) or self.step_period_s <= 0:
            raise InputError('the model description has limits that are not finite')


def _build(cls: type, data: dict[str, Any], **nested: Any) -> Any:
    known = {f.name for f in fields(cls)}
    unknown = set(data) - known
    if unknown:
        raise ValueError(f'unknown entries {sorted(unknown)}')
    values = {key: tuple(value) if isinstance(value, list) else value
              for key, value in data.items()}
    return cls(**values, **nested)
