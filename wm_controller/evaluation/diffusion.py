# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
A rival that does not imagine: a policy that draws action sequences by diffusion.

After NoMaD (Sridhar et al., Goal masked diffusion policies for navigation and exploration, 2023):
a few frames and a goal picture, which is masked in a share of the training, make one context
vector; a denoiser conditioned on it makes actions of noise; a head tells the steps to the goal.
Otherwise than there, the pictures are seen by eyes that are trained already and stay as they are,
the goal may be a place instead of a picture, and perceptrons do what a transformer and a U-Net do
there: a core must train it in minutes.
"""

from dataclasses import dataclass
import math

import torch
from torch import nn, Tensor

from wm_controller.world_model.attach import goal_pose_head
from wm_controller.world_model.bundle import Bundle
from wm_controller.world_model.encoders import make_encoder
from wm_controller.world_model.goal_pose import GoalPoseHead, OUTPUTS
from wm_controller.world_model.spec import ModelSpec

FAR_M = 8.0  # goals further away only tell the direction
PLACE = 4  # numbers that tell where a place is: direction (2), distance (2)


@dataclass(frozen=True)
class PolicyShape:
    """Widths; `context` frames of one step each, `chunk` actions, `steps` of denoising."""

    context: int = 4
    chunk: int = 8
    steps: int = 10
    token: int = 128
    width: int = 256
    condition: int = 192
    blocks: int = 2


class Eyes(nn.Module):
    """What the policy sees with: encoder and comparison of pictures, of a world model's bundle."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.encoder = make_encoder(spec)
        self.goal_pose = GoalPoseHead(spec)
        self.compared = 2 * spec.architecture.head_hidden + OUTPUTS  # width of `compare`

    @classmethod
    def of(cls, bundle: Bundle) -> 'Eyes':
        """Copy those of a bundle; raises InputError where it cannot compare pictures."""
        comparison = goal_pose_head(bundle.model)
        eyes = cls(bundle.spec)
        eyes.encoder.load_state_dict(bundle.model.encoder.state_dict())
        eyes.goal_pose.load_state_dict(comparison.state_dict())
        return eyes.eval().requires_grad_(False)

    def see(self, pixels: Tensor) -> Tensor:
        """Latents (B, E) of images (B, H, W, 3), RGB 0..255."""
        return self.encoder(pixels.permute(0, 3, 1, 2).contiguous())[0].float()

    def compare(self, here: Tensor, goal: Tensor) -> Tensor:
        """What views have to do with goal pictures, both (B, H, W, 3): (B, `compared`)."""
        features = self.goal_pose.features(here, goal)
        return torch.cat([features, self.goal_pose.body[-1](features)], -1).float()


class DiffusionPolicy(nn.Module):
    """Context, distance head and denoiser; actions are normalised to -1..1 by `action_scale`.

    B batch, C frames of context, E latent, T actions of a chunk, K width of the condition.
    """

    action_scale: Tensor
    kept: Tensor

    def __init__(self, spec: ModelSpec, shape: PolicyShape, compared: int) -> None:
        super().__init__()
        self.shape = shape
        token, width, latent = shape.token, shape.width, spec.architecture.latent
        self.picture = nn.Sequential(nn.LayerNorm(compared), nn.Linear(compared, token), nn.SiLU(),
                                     nn.Linear(token, token))
        self.place = nn.Sequential(nn.Linear(PLACE, token), nn.SiLU(), nn.Linear(token, token))
        self.nowhere = nn.Parameter(torch.zeros(token))
        self.context = nn.Sequential(
            nn.Linear(shape.context * latent + token, width), nn.LayerNorm(width), nn.SiLU(),
            nn.Dropout(0.1), nn.Linear(width, width), nn.SiLU(),
            nn.Linear(width, shape.condition))
        self.far = nn.Sequential(nn.SiLU(), nn.Linear(shape.condition, token), nn.SiLU(),
                                 nn.Linear(token, 1))
        self.denoiser = Denoiser(shape)
        low, high, turn = spec.action_limits
        self.register_buffer('action_scale', torch.tensor([max(high, -low), turn]),
                             persistent=False)
        self.register_buffer('kept', signal_kept(shape.steps), persistent=False)

    def token_of_picture(self, compared: Tensor) -> Tensor:
        """Goal tokens (B, token) of what `Eyes.compare` found (B, compared)."""
        return self.picture(compared)

    def token_of_place(self, place: Tensor) -> Tensor:
        """Goal tokens (B, token) of places (B, 2), m, in the robot's frame."""
        distance = place.norm(dim=-1, keepdim=True)
        return self.place(torch.cat([place / distance.clamp_min(1e-3), torch.log1p(distance),
                                     (distance / FAR_M).clamp_max(1.0)], -1))

    def token_of_nowhere(self, count: int) -> Tensor:
        """Tokens (count, token) of a goal that is masked."""
        return self.nowhere.expand(count, -1)

    def condition(self, latents: Tensor, token: Tensor) -> Tensor:
        """Conditions (B, K) of frames (B, C, E), oldest first, and goal tokens (B, token)."""
        return self.context(torch.cat([latents.flatten(1), token], -1))

    def log_steps(self, condition: Tensor) -> Tensor:
        """Logarithm of one more than the steps to the goal, (B,)."""
        return self.far(condition)[:, 0].float()

    def noised(self, actions: Tensor, noise: Tensor, step: Tensor) -> Tensor:
        """Actions (B, T, 2) after `step` (B,), from 0, of the steps that turn them into noise."""
        kept = self.kept[step].view(-1, 1, 1)
        return kept.sqrt() * actions + (1 - kept).sqrt() * noise

    def expected(self, condition: Tensor, generator: torch.Generator) -> Tensor:
        """Mean (B, T, 2) of the normalised actions that conditions (B, K) lead one to expect."""
        noise = torch.randn(len(condition), self.shape.chunk, 2, generator=generator)
        return self.denoiser(noise, torch.full((len(noise),), self.shape.steps - 1), condition)

    @torch.no_grad()
    def draw(self, condition: Tensor, unguided: Tensor, guidance: float,
             generator: torch.Generator) -> Tensor:
        """Draw normalised actions (B, T, 2) for conditions (B, K), as DDPM does (Ho et al., 2020).

        `unguided` (B, K) is the condition with the goal masked; with a `guidance` over 1 what the
        goal changes is made larger (Ho and Salimans, Classifier-free guidance, 2022).
        """
        count = len(condition)
        x = torch.randn(count, self.shape.chunk, 2, generator=generator)
        for step in reversed(range(self.shape.steps)):
            at = torch.full((count,), step)
            clean = self.denoiser(x, at, condition)
            if guidance != 1.0:
                free = self.denoiser(x, at, unguided)
                clean = free + guidance * (clean - free)
            clean = clean.clamp(-1, 1)
            kept = self.kept[step]
            before = self.kept[step - 1] if step else torch.ones(())
            share = kept / before
            mean = (before.sqrt() * (1 - share) * clean
                    + share.sqrt() * (1 - before) * x) / (1 - kept)
            spread = ((1 - before) / (1 - kept) * (1 - share)).sqrt()
            x = mean + spread * torch.randn(x.shape, generator=generator)
        return x


class Denoiser(nn.Module):
    """Tells what actions were before they were noised: residual blocks, modulated by a condition.

    The actions and not the noise, as in NoMaD: where hardly anything but noise is left, the noise
    tells nothing of them, and its errors are blown up.
    """

    def __init__(self, shape: PolicyShape) -> None:
        super().__init__()
        self.step = nn.Embedding(shape.steps, shape.condition)
        self.enter = nn.Linear(2 * shape.chunk, shape.width)
        self.blocks = nn.ModuleList(Block(shape.width, shape.condition)
                                    for _ in range(shape.blocks))
        self.leave = nn.Sequential(nn.LayerNorm(shape.width),
                                   nn.Linear(shape.width, 2 * shape.chunk))

    def forward(self, actions: Tensor, step: Tensor, condition: Tensor) -> Tensor:
        """Actions (B, T, 2) that became these (B, T, 2) in `step` (B,) noising steps and one."""
        about = nn.functional.silu(condition + self.step(step))
        x = self.enter(actions.flatten(1))
        for block in self.blocks:
            x = block(x, about)
        return self.leave(x).float().view_as(actions)


class Block(nn.Module):
    """x + MLP(scale(c) norm(x) + shift(c)) (FiLM, Perez et al., 2018)."""

    def __init__(self, width: int, condition: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.modulate = nn.Linear(condition, 2 * width)
        self.body = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Map (B, W) to the same shape."""
        scale, shift = self.modulate(condition).chunk(2, -1)
        return x + self.body(self.norm(x) * (1 + scale) + shift)


def signal_kept(steps: int) -> Tensor:
    """Share (steps,) of the variance that is signal after each noising step.

    The squared cosine schedule (Nichol and Dhariwal, Improved DDPM, 2021).
    """
    def cosine(t: float) -> float:
        return math.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2

    change = [min(1 - cosine((i + 1) / steps) / cosine(i / steps), 0.999) for i in range(steps)]
    return torch.cumprod(1 - torch.tensor(change), 0)
