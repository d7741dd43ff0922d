# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""MMCR: views of one thing close together, the centres of all things spread out."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from wm_controller.training.collapse.method import Method
from wm_controller.training.crew import everywhere

EPSILON = 1e-6  # keeps the gradient of the square root finite where a dimension is empty


class MMCR(Method):
    """Maximum manifold capacity (Yerxa et al., NeurIPS 2023).

    The views of a moment are the latent that was predicted of it and the one that was seen.
    """

    def terms(self, latents: Tensor, predicted: Tensor, target: Tensor) -> dict[str, Tensor]:
        """As `Method.terms`."""
        views = everywhere(torch.stack([predicted.flatten(0, 1), target.flatten(0, 1)], 1))
        return {**super().terms(latents, predicted, target), 'mmcr': manifold_capacity(views)}


def manifold_capacity(views: Tensor) -> Tensor:
    """One minus the nuclear norm of the centroids of views (P, V, E), as a share of its bound.

    Views are put on the unit sphere; P centroids of E dimensions have a nuclear norm of at most
    sqrt(P min(P, E)) (Schaeffer et al., 2024, section 3). 0: views agree and fill all dimensions.
    """
    centroids = normalize(views, dim=-1).mean(1)
    count, size = centroids.shape
    gram = centroids.T @ centroids if count > size else centroids @ centroids.T
    singular = torch.linalg.eigvalsh(gram).clamp_min(EPSILON).sqrt()
    return 1 - singular.sum() / (count * min(count, size)) ** 0.5
