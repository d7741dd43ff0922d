# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""MCR²: all latents together need many bits, the views of one moment few."""

import math

import torch
from torch import Tensor
from torch.nn.functional import normalize

from wm_controller.training.collapse.method import Method
from wm_controller.training.crew import everywhere

DISTORTION = 0.5  # epsilon squared


class CodingRate(Method):
    """Maximal coding rate reduction (Yu et al., NeurIPS 2020), without labels.

    A class is a moment: its members are the latent predicted of it and the one seen.
    """

    def terms(self, latents: Tensor, predicted: Tensor, target: Tensor) -> dict[str, Tensor]:
        """As `Method.terms`."""
        views = everywhere(torch.stack([predicted.flatten(0, 1), target.flatten(0, 1)], 1))
        return {**super().terms(latents, predicted, target),
                'coding_rate': 1 - coding_rate_reduction(views)}


def coding_rate(vectors: Tensor) -> Tensor:
    """R of vectors (..., N, E), in nats: half log det(I + E / (N eps^2) Z^T Z) (eq. 2)."""
    count, size = vectors.shape[-2:]
    transposed = vectors.transpose(-1, -2)
    gram = vectors @ transposed if count < size else transposed @ vectors
    identity = torch.eye(gram.shape[-1]).to(vectors)
    factor = torch.linalg.cholesky(identity + size / (count * DISTORTION) * gram)
    return factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)


def coding_rate_reduction(views: Tensor) -> Tensor:
    """R of all minus the mean R of each of P moments' views (P, V, E) (eq. 5).

    As a share of the largest R that vectors of unit length can have, E / 2 log(1 + 1 / eps^2).
    """
    views = normalize(views, dim=-1)
    bound = 0.5 * views.shape[-1] * math.log(1 + 1 / DISTORTION)
    return (coding_rate(views.flatten(0, 1)) - coding_rate(views).mean()) / bound
