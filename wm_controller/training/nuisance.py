# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Changes of light during a drive: they alter the picture and must not surprise anybody."""

import torch
from torch import nn, Tensor

PATCHES = (3, 5)  # rows and columns of the coarse grid on which light is uneven


def change_light(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Change the light of (B, L, H, W, 3) once on the way, differently in each sequence.

    From a random frame on, within up to four frames: brightness (factor 0.55 to 1.8), the balance
    of colours, and an uneven field of light that moves across the view. Float, 0..255.
    """
    batch, length, height, width, _ = pixels.shape

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator) * (high - low) + low

    start = uniform(0.0, length, batch, 1)
    ramp = uniform(0.2, 4.0, batch, 1)
    share = ((torch.arange(length) - start) / ramp).clamp(0, 1)
    log_gain = uniform(-0.6, 0.6, batch, 1) + uniform(-0.2, 0.2, batch, 3)
    # A coarse field wider than the view slides over it, one way, at most its spare width.
    rows, columns = PATCHES
    field = torch.randn(batch, 1, rows, 2 * columns, generator=generator) * uniform(
        0.0, 0.4, batch, 1, 1, 1)
    wide = nn.functional.interpolate(field, (height, 2 * width), mode='bicubic',
                                     align_corners=False)[:, 0]
    out = pixels.float()
    speed = uniform(-0.1, 0.1, batch) * width
    for b in range(batch):
        begin = 0.0 if speed[b] >= 0 else float(width)
        for t in range(int(start[b]), length):
            slid = begin + float(speed[b] * (t - start[b]))
            first = int(min(max(slid, 0.0), width))
            log_light = log_gain[b] + wide[b, :, first:first + width, None]
            out[b, t] = out[b, t] * (share[b, t] * log_light).exp().to(out.device)
    return out.clamp_(0, 255)
