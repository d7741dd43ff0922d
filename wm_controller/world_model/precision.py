# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Where bfloat16 pays, and a copy of a model that multiplies its matrices in it."""

import copy

import torch
from torch import nn

from wm_controller.world_model.model import WorldModel


def bfloat16_pays(device: torch.device | str = 'cpu') -> bool:
    """Whether the device has instructions for it: elsewhere bfloat16 is slower, not faster."""
    if torch.device(device).type == 'cuda':
        return torch.cuda.is_bf16_supported()
    return bool(getattr(torch.cpu, '_is_avx512_bf16_supported', lambda: False)())


def for_imagination(model: WorldModel) -> WorldModel:
    """Return the model, or a copy with its linear layers in bfloat16, to be run under autocast.

    States stay float32: over a dozen steps positions differ by millimetres. What ONNX Runtime
    runs is as exported.
    """
    if not bfloat16_pays() or model.runtime != 'torch':
        return model
    quick = copy.deepcopy(model)
    for module in quick.modules():
        if isinstance(module, nn.Linear):
            module.to(torch.bfloat16)
    return quick
