# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The world model: encoder, state filter, predictor and the heads that read the state."""

import torch
from torch import nn, Tensor

from wm_controller.world_model.dynamics import Predictor, StateFilter
from wm_controller.world_model.encoder import ConvEncoder
from wm_controller.world_model.goal_pose import GoalPoseHead
from wm_controller.world_model.heads import (
    CLEARANCE_MIN,
    ClearanceHead,
    InverseDynamicsHead,
    PoseChangeHead,
    TimeToReachHead,
)
from wm_controller.world_model.latent_actions import LatentActions
from wm_controller.world_model.spec import ModelSpec


class WorldModel(nn.Module):
    """h = Enc(x), s = Filter(Pred(s, a), h, odometry), s' = Pred(s, a), and read-outs.

    Shapes: B batch, T time, E latent, S state, K bearings. Actions and proprio are given in SI
    units at the public methods and normalised inside.
    """

    action_scale: Tensor
    proprio_scale: Tensor

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.spec = spec
        self.encoder = ConvEncoder(spec)
        self.filter = StateFilter(spec)
        self.predictor = Predictor(spec)
        self.readout = nn.Linear(spec.architecture.state, spec.architecture.latent)
        self.pose_change = PoseChangeHead(spec)
        self.clearance_head = ClearanceHead(spec)
        self.time_to_reach = TimeToReachHead(spec)
        self.inverse_dynamics = InverseDynamicsHead(spec)
        self.goal_pose = GoalPoseHead(spec, self.encoder.feature_shape)
        self.latent_actions = LatentActions(spec) if spec.architecture.latent_action else None
        normalisation = spec.normalisation
        self.register_buffer('action_scale', torch.tensor(normalisation.action_scale),
                             persistent=False)
        self.register_buffer('proprio_scale', torch.tensor(normalisation.proprio_scale),
                             persistent=False)

    def initial_state(self, batch: int) -> Tensor:
        """Return the state before anything was seen, (batch, S)."""
        return self.readout.weight.new_zeros(batch, self.spec.architecture.state)

    def encode(self, pixels: Tensor) -> Tensor:
        """Encode uint8 or float images (B, H, W, 3), RGB 0..255, to latents (B, E)."""
        return self.encode_with_features(pixels)[0]

    def encode_with_features(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """As `encode`, and the features (B, C, h, w) that `goal_pose` compares."""
        # Planar layout: bfloat16 convolutions take half the time of interleaved colours.
        return self.encoder(pixels.permute(0, 3, 1, 2).contiguous())

    def observe(self, state: Tensor, latent: Tensor, action: Tensor, proprio: Tensor) -> Tensor:
        """Update states (B, S) by latents (B, E), the last action (B, 2) and proprio (B, 5).

        Predict, then correct: what the filter compares with the camera is what it expected after
        the action, so that what has left the view moves on with the predictor's knowledge.
        """
        return self.filter(self.predict(state, action), latent, self.control(action),
                           proprio / self.proprio_scale)

    def control(self, action: Tensor) -> Tensor:
        """Return what the networks are conditioned on for actions (..., 2) in m/s and rad/s.

        Normalised commands (..., 2), or, where latent actions were learned, the mean latent
        action (..., Z) of the command; a latent action within `latent_actions.as_given` is itself.
        """
        if self.latent_actions is None:
            return action / self.action_scale
        if self.latent_actions.given:
            return action
        return self.latent_actions.of_command(action / self.action_scale)[0]

    def predict(self, state: Tensor, action: Tensor) -> Tensor:
        """Carry states (..., S) one step forward under actions (..., 2) in m/s and rad/s."""
        return self.predictor(state, self.control(action))

    def imagine(self, state: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Roll states (B, S) out under actions (B, T, 2).

        Returns the states (B, T + 1, S), the first being the given one, and the pose changes
        (B, T, 3) of each step in the frame where the step begins.
        """
        states = [state]
        for action in actions.unbind(1):
            states.append(self.predict(states[-1], action))
        stacked = torch.stack(states, 1)
        return stacked, self.pose_change(stacked[:, :-1], self.control(actions))

    def latent_of(self, state: Tensor) -> Tensor:
        """Return the latent (..., E) that states (..., S) expect to be seen."""
        return self.readout(state)

    def clearance(self, state: Tensor) -> Tensor:
        """Return clearance quantiles (..., 3, K) in metres for states (..., S)."""
        log_metres = self.clearance_head(state)
        return log_metres.exp().clamp(CLEARANCE_MIN, self.spec.clearance_max)
