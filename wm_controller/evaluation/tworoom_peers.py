# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""LeWM and PLDM of `stable-worldmodel`, trained and planned with on our data and compute.

Runs in that package's environment. Models, losses, weights of the terms, solver and policy are
the package's (its scripts/train and scripts/plan); what a processor forces on us is named here.
"""

from pathlib import Path
import time
from typing import Any, IO

import h5py
import numpy as np
from numpy.typing import NDArray

from wm_controller.evaluation.tworoom_pipe import IMAGE_PX, send, shrink

# Published: 224 px in patches of 14, batches of 128, learning rate 5e-5 for 100 epochs on a GPU.
# On a processor that is some ten steps in our time, so the peers get our picture size, smaller
# batches and a rate that suits few steps: all of it in their favour.
PATCH_PX = 8
BATCH = 32
LEARNING_RATE = 3e-4
WEIGHT_DECAY = 1e-3
# As published.
HISTORY, FRAMESKIP, WIDTH, ACTION_SIZE = 3, 5, 192, 2
SIGREG_WEIGHT = 0.09
PLDM_WEIGHTS = {'std_loss': 18.0, 'std_t_loss': 0.7, 'cov_loss': 12.0, 'temp_align_loss': 0.2}
# Published: 300 samples x 30 rounds, 30 elites, which is half a minute for one plan here.
PLAN_SAMPLES, PLAN_ROUNDS, PLAN_ELITES = 128, 5, 16
IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], dtype=np.float32)
IMAGENET_SCALE = np.array([0.229, 0.224, 0.225], dtype=np.float32)


def train_peer(answer: IO[bytes], kind: str, data: str, output: str, cpu_s: float,
               seed: int) -> dict[str, Any]:
    """Train `kind` ('lewm', 'pldm') for `cpu_s` of processor time on a data set of ours."""
    from safetensors.torch import save_file
    import torch
    torch.manual_seed(seed)
    rng = np.random.default_rng([seed, 17])
    with h5py.File(data) as file:
        pixels, action = file['pixels'][:], file['action'][:]
        length, offset = file['ep_len'][:], file['ep_offset'][:]
    span = (HISTORY + 1) * FRAMESKIP
    starts = np.concatenate([first + np.arange(max(0, n - span + 1))
                             for first, n in zip(offset, length)])
    mean, scale = action.mean(0), action.std(0)
    action = (action - mean) / scale
    model, loss_of = _build(kind), _loss(kind)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE,
                                  weight_decay=WEIGHT_DECAY)
    begun, steps, said = time.process_time(), 0, 0.0
    while (done := (time.process_time() - begun) / cpu_s) < 1.0:
        rows = rng.choice(starts, BATCH)[:, None] + np.arange(span)
        frames = pixels[rows[:, ::FRAMESKIP]]
        batch = {'pixels': torch.from_numpy(_normalised(frames.reshape(-1, *frames.shape[2:]))
                                            ).unflatten(0, frames.shape[:2]),
                 'action': torch.from_numpy(action[rows].reshape(BATCH, HISTORY + 1, -1))}
        for group in optimizer.param_groups:
            group['lr'] = LEARNING_RATE * min(1.0, steps / 20) * 0.5 * (1 + np.cos(np.pi * done))
        loss = loss_of(model, batch)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        steps += 1
        if time.monotonic() - said > 1.0:
            said = time.monotonic()
            send(answer, {'done': done, 'loss': float(loss.detach())})
    part = Path(f'{output}.part')
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, part,
              {'mean': str(mean.tolist()), 'scale': str(scale.tolist())})
    part.rename(output)
    return {'steps': steps, 'cpu_s': time.process_time() - begun,
            'parameters': sum(p.numel() for p in model.parameters())}


def peer_policy(policy: dict[str, Any], seed: int) -> Any:
    """Return the package's planner with the trained model; it notes its processor time."""
    from safetensors.torch import load_file
    from stable_worldmodel.data.normalization import ZScoreScaler
    from stable_worldmodel.policy import PlanConfig, WorldModelPolicy
    from stable_worldmodel.solver import CEMSolver
    import torch

    class Timed(CEMSolver):  # type: ignore[misc]
        """Notes the processor time of each plan, seconds."""

        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self.spent: list[float] = []

        def solve(self, info_dict: dict[str, Any], init_action: Any = None) -> Any:
            begun = time.process_time()
            found = super().solve(info_dict, init_action)
            count = len(next(iter(info_dict.values())))
            self.spent += [(time.process_time() - begun) / count] * count
            return found

    model = _build(policy['name'])
    model.load_state_dict(load_file(policy['model']))
    model.eval().requires_grad_(False)
    solver = Timed(model, num_samples=PLAN_SAMPLES, n_steps=PLAN_ROUNDS, topk=PLAN_ELITES,
                   seed=seed)

    def picture(image: Any) -> Any:
        frames = np.asarray(image).transpose(1, 2, 0)[None]
        return torch.from_numpy(_normalised(shrink(frames))[0])

    with h5py.File(policy['data']) as file:
        # Our data sets hold m/s; the environment wants -1..1.
        found = file['action'][:] / policy['speed']
    scaler = ZScoreScaler(found.mean(0), found.std(0))
    driver = WorldModelPolicy(
        solver, PlanConfig(horizon=5, receding_horizon=5, action_block=FRAMESKIP),
        process={'action': scaler}, transform={'pixels': picture, 'goal': picture})
    driver.plan_cpu_s = solver.spent
    return driver


def _normalised(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Frames (N, H, W, 3) as (N, 3, H, W), normalised as the package does."""
    values = (frames.astype(np.float32) / 255 - IMAGENET_MEAN) / IMAGENET_SCALE
    return np.ascontiguousarray(values.transpose(0, 3, 1, 2), dtype=np.float32)


def _build(kind: str) -> Any:
    """Build the published architecture: ViT-tiny, and a predictor of six conditioned blocks."""
    from stable_worldmodel.wm.lewm import LeWM
    from stable_worldmodel.wm.lewm.module import Embedder, MLP, Predictor
    from stable_worldmodel.wm.pldm import PLDM
    from torch import nn
    from transformers import ViTConfig, ViTModel
    encoder = ViTModel(ViTConfig(
        hidden_size=WIDTH, num_hidden_layers=12, num_attention_heads=3, intermediate_size=768,
        image_size=IMAGE_PX, patch_size=PATCH_PX), add_pooling_layer=False)
    projectors = [MLP(WIDTH, 2048, WIDTH, norm_fn=nn.BatchNorm1d) for _ in range(2)]
    return {'lewm': LeWM, 'pldm': PLDM}[kind](
        encoder,
        Predictor(num_frames=HISTORY, input_dim=WIDTH, hidden_dim=WIDTH, output_dim=WIDTH, depth=6,
                  heads=16, mlp_dim=2048, dim_head=64, dropout=0.1),
        Embedder(input_dim=FRAMESKIP * ACTION_SIZE, emb_dim=WIDTH), *projectors)


def _loss(kind: str) -> Any:
    """Return the published objective as a function of model and batch."""
    from stable_worldmodel.wm.loss import PLDMLoss, SIGReg
    regularise = SIGReg(knots=17, num_proj=1024) if kind == 'lewm' else PLDMLoss()

    def loss(model: Any, batch: dict[str, Any]) -> Any:
        found = model.encode(batch)
        latents = found['emb']
        guess = model.predict(latents[:, :HISTORY], found['act_emb'][:, :HISTORY])
        error = (guess - latents[:, 1:]).square().mean()
        if kind == 'lewm':
            return error + SIGREG_WEIGHT * regularise(latents.transpose(0, 1))
        terms = regularise(latents)
        return error + sum(weight * terms[name] for name, weight in PLDM_WEIGHTS.items())

    return loss
