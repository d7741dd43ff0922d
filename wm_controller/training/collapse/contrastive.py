# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Contrastive prediction: what came is told apart from what other sequences saw."""

import torch
from torch import Tensor

from wm_controller.training.collapse.method import Method
from wm_controller.training.crew import everywhere

TEMPERATURE = 0.1


class Contrastive(Method):
    """InfoNCE (van den Oord et al., CPC, 2018) over the energies of predicted and seen latents."""

    def terms(self, latents: Tensor, predicted: Tensor, target: Tensor) -> dict[str, Tensor]:
        """As `Method.terms`: no squared error, only who belongs to whom."""
        return {'contrastive': info_nce(
            everywhere(predicted).transpose(0, 1), everywhere(target).transpose(0, 1))}


def info_nce(predicted: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of finding the own target among N, for (..., N, E); log N is chance.

    The score is minus the energy that the planner and the surprise use, the mean squared error,
    so that predicted latents come to lie where seen ones do.
    """
    squares = predicted.pow(2).sum(-1).unsqueeze(-1) + target.pow(2).sum(-1).unsqueeze(-2)
    energy = (squares - 2 * predicted @ target.transpose(-1, -2)) / predicted.shape[-1]
    return -torch.log_softmax(-energy / TEMPERATURE, -1).diagonal(dim1=-2, dim2=-1).mean()
