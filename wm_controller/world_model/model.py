# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The world model: encoder, state filter, predictor and the heads that read the state."""

import torch
from torch import nn, Tensor

from wm_controller.world_model.abstract import AbstractLevel
from wm_controller.world_model.compass import CompassHead
from wm_controller.world_model.decoder import Decoder
from wm_controller.world_model.dynamics import Predictor, StateFilter, VariableInference
from wm_controller.world_model.encoders import make_encoder
from wm_controller.world_model.goal_pose import GoalPoseHead
from wm_controller.world_model.heads import (
    CLEARANCE_MIN,
    ClearanceHead,
    GAP_MAX,
    GAP_MIN,
    GapHead,
    InverseDynamicsHead,
    PoseChangeHead,
    TimeToReachHead,
)
from wm_controller.world_model.latent_actions import LatentActions
from wm_controller.world_model.proposal import ProposalHead
from wm_controller.world_model.reach import ImageReachHead
from wm_controller.world_model.spec import ModelSpec


class WorldModel(nn.Module):
    """h = Enc(x), s = Filter(Pred(s, a), h, odometry), s' = Pred(s, z, a), and read-outs.

    Shapes: B batch, T time, E latent, S state, K bearings, Z latent variable. Actions and proprio
    are given in SI units at the public methods and normalised inside.
    """

    action_scale: Tensor
    proprio_scale: Tensor
    runtime = 'torch'  # what runs it

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.spec = spec
        self.encoder = make_encoder(spec)
        self.filter = StateFilter(spec)
        self.predictor = Predictor(spec)
        self.infer_variable = VariableInference(spec) if (
            spec.architecture.latent_variable) else None
        self.readout = nn.Linear(spec.architecture.state, spec.architecture.latent)
        self.pose_change = PoseChangeHead(spec)
        self.clearance_head = ClearanceHead(spec)
        self.time_to_reach = TimeToReachHead(spec)
        self.inverse_dynamics = InverseDynamicsHead(spec)
        self.goal_pose = GoalPoseHead(spec) if spec.architecture.goal_channels else None
        if spec.architecture.image_reach:
            self.image_reach = ImageReachHead(spec)
        if spec.architecture.gap:
            self.gap_head = GapHead(spec)
        self.decoder = Decoder(spec) if spec.architecture.decoder_channels else None
        self.abstract = AbstractLevel(spec) if spec.architecture.abstract_state else None
        self.compass = CompassHead(spec, self.encoder.feature_shape) if (
            spec.architecture.compass_width) else None
        self.proposal = ProposalHead(spec) if spec.architecture.proposal_width else None
        self.latent_actions = LatentActions(spec) if spec.architecture.latent_action else None
        normalisation = spec.normalisation
        self.register_buffer('action_scale', torch.tensor(normalisation.action_scale),
                             persistent=False)
        self.register_buffer('proprio_scale', torch.tensor(normalisation.proprio_scale),
                             persistent=False)

    def initial_state(self, batch: int) -> Tensor:
        """Return the state before anything was seen, (batch, S)."""
        return self.action_scale.new_zeros(batch, self.spec.architecture.state)

    def encode(self, pixels: Tensor) -> Tensor:
        """Encode uint8 or float images (B, H, W, 3), RGB 0..255, to latents (B, E)."""
        return self.encode_with_features(pixels)[0]

    def encode_with_features(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """As `encode`, and the features (B, C, h, w) that the latents are made of."""
        # Planar layout: bfloat16 convolutions take half the time of interleaved colours.
        return self.encoder(pixels.permute(0, 3, 1, 2).contiguous())

    def observe(self, state: Tensor, latent: Tensor, action: Tensor, proprio: Tensor) -> Tensor:
        """Update states (B, S) by latents (B, E), the last action (B, 2) and proprio (B, 5).

        Predict, then correct: what the filter compares with the camera is what it expected after
        the action, so that what has left the view moves on with the predictor's knowledge.
        """
        return self.filter(self.predict(state, action), latent, self.condition(action),
                           proprio / self.proprio_scale)

    def control(self, action: Tensor) -> Tensor:
        """Return what the networks are conditioned on for actions (..., 2) in m/s and rad/s.

        Normalised commands (..., 2), or, where latent actions were learned, the mean latent
        action (..., Z) of the command; a latent action within `latent_actions.as_given` is itself.
        NaN, a command that nobody recorded, is then 0, the most ordinary latent action.
        """
        if self.latent_actions is None:
            return action / self.action_scale
        if self.latent_actions.given:
            return action
        known = torch.isfinite(action).all(-1, keepdim=True)
        mean = self.latent_actions.of_command(torch.nan_to_num(action) / self.action_scale)[0]
        return torch.where(known, mean, torch.zeros_like(mean))

    def follow(self, latents: Tensor, before: Tensor, proprio: Tensor) -> Tensor:
        """States (B, L, S) of sequences from their beginning: latents (B, L, E), the actions
        (B, L, 2) that led to each, and proprio (B, L, 5).
        """
        state, states = self.initial_state(len(latents)), []
        for t in range(latents.shape[1]):
            state = self.observe(state, latents[:, t], before[:, t], proprio[:, t])
            states.append(state)
        return torch.stack(states, 1)

    def predict(self, state: Tensor, action: Tensor) -> Tensor:
        """Carry states (..., S) one step forward under actions (..., 2) in m/s and rad/s."""
        return self.predictor(state, self.condition(action))

    def condition(self, action: Tensor) -> Tensor:
        """What states are carried forward under: the control, or none of it."""
        control = self.control(action)
        conditioned = self.spec.architecture.action_conditioned
        return control if conditioned else torch.zeros_like(control)

    def imagine(self, state: Tensor, actions: Tensor, variable: Tensor | None = None,
                shared_out: bool = False) -> tuple[Tensor, Tensor]:
        """Roll states (..., S) out under actions (..., T, 2).

        Returns the states (..., T + 1, S), the first being the given one, and the pose changes
        (..., T, 3) of each step in the frame where the step begins. `variable` (..., T, Z + 1) and
        `shared_out` are as in `Predictor`; without them the first member says what it expects.
        """
        states = [state]
        for t, action in enumerate(self.condition(actions).unbind(-2)):
            states.append(self.predictor(
                states[-1], action, None if variable is None else variable[..., t, :], shared_out))
        stacked = torch.stack(states, -2)
        return stacked, self.pose_change(stacked[..., :-1, :], self.control(actions))

    def draw_variable(self, *shape: int, generator: torch.Generator | None = None
                      ) -> Tensor | None:
        """Draw z (*shape, Z + 1) from its prior, a unit Gaussian; None where there is no z."""
        width = self.spec.architecture.latent_variable
        if not width:
            return None
        drawn = torch.randn(*shape, width, generator=generator, device=self.action_scale.device)
        return torch.cat([drawn, torch.ones_like(drawn[..., :1])], -1)

    def latent_of(self, state: Tensor) -> Tensor:
        """Return the latent (..., E) that states (..., S) expect to be seen."""
        return self.readout(state)

    def clearance(self, state: Tensor) -> Tensor:
        """Return clearance quantiles (..., 3, K) in metres for states (..., S)."""
        log_metres = self.clearance_head(state)
        return log_metres.exp().clamp(CLEARANCE_MIN, self.spec.clearance_max)

    def time_to_image(self, state: Tensor, goal_latent: Tensor) -> Tensor:
        """Return the time (...,) s from states (..., S) to pictures' latents (..., E), broadcast.

        Raises AttributeError for a model without `Architecture.image_reach`.
        """
        return torch.expm1(self.image_reach(state, goal_latent)) * self.spec.step_period_s

    def gap(self, state: Tensor) -> Tensor:
        """Return the gap all round (..., 2) in metres, low and median, for states (..., S).

        Raises AttributeError for a model without `Architecture.gap`.
        """
        return self.gap_head(state).exp().clamp(GAP_MIN, GAP_MAX)

    def nearest(self, state: Tensor) -> Tensor:
        """Return the median distance (...,) m of the nearest thing: all round, else in view."""
        if self.spec.architecture.gap:
            return self.gap(state)[..., 1]
        return self.clearance(state)[..., 1, :].amin(-1)
