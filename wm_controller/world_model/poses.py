# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Poses in the plane as tensors, so that gradients pass; yaw is not wrapped.

The same formulas for numpy arrays are in `safety.geometry`, which knows no torch.
"""

import torch
from torch import Tensor
from torch.nn.functional import pad


def chained(changes: Tensor) -> Tensor:
    """Poses (..., T + 1, 3) after changes (..., T, 3), each in the frame where its step begins.

    In the frame of the first pose, which is zero.
    """
    yaw = pad(changes[..., 2].cumsum(-1), (1, 0))
    cos, sin = torch.cos(yaw[..., :-1]), torch.sin(yaw[..., :-1])
    x = (cos * changes[..., 0] - sin * changes[..., 1]).cumsum(-1)
    y = (sin * changes[..., 0] + cos * changes[..., 1]).cumsum(-1)
    return torch.cat([pad(torch.stack([x, y], -1), (0, 0, 1, 0)), yaw[..., None]], -1)


def placed(origin: Tensor, poses: Tensor) -> Tensor:
    """Poses (..., 3) given in the frame of poses `origin` (..., 3), in the frame of the latter."""
    x, y, yaw = origin.unbind(-1)
    cos, sin = torch.cos(yaw), torch.sin(yaw)
    return torch.stack([x + cos * poses[..., 0] - sin * poses[..., 1],
                        y + sin * poses[..., 0] + cos * poses[..., 1], yaw + poses[..., 2]], -1)


def seen_from(poses: Tensor, points: Tensor) -> Tensor:
    """Points (..., 2) as seen from poses (..., 3), (..., 2)."""
    dx, dy = (points - poses[..., :2]).unbind(-1)
    cos, sin = torch.cos(poses[..., 2]), torch.sin(poses[..., 2])
    return torch.stack([cos * dx + sin * dy, cos * dy - sin * dx], -1)
