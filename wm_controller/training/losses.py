# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Loss terms, each a function of tensors to a scalar, each ignoring rows that are NaN."""

from collections.abc import Sequence

import torch
from torch import Tensor


def variance_hinge(latents: Tensor, target: float = 1.0) -> Tensor:
    """How far the standard deviation of each dimension of (N, E) falls below the target.

    Variance term of VICReg (Bardes, Ponce, LeCun, 2022, eq. 1).
    """
    deviation = torch.sqrt(latents.var(0) + 1e-4)
    return torch.relu(target - deviation).mean()


def covariance(latents: Tensor) -> Tensor:
    """Sum of squared off-diagonal covariances of (N, E) over E (VICReg, eq. 3 and 4)."""
    centred = latents - latents.mean(0)
    matrix = centred.T @ centred / max(1, latents.shape[0] - 1)
    off_diagonal = matrix.pow(2).sum() - matrix.diagonal().pow(2).sum()
    return off_diagonal / latents.shape[1]


def pinball(predicted: Tensor, target: Tensor, quantile: float) -> Tensor:
    """Quantile regression (Koenker and Bassett, 1978), mean over the finite targets."""
    known = torch.isfinite(target)
    error = torch.where(known, target, predicted.detach()) - predicted
    loss = torch.maximum(quantile * error, (quantile - 1) * error)
    return _mean_over(loss, known)


def quantiles(predicted: Tensor, target: Tensor, levels: Sequence[float], dim: int) -> Tensor:
    """Sum of the quantile regressions that stand beside each other in dimension `dim`."""
    return sum((pinball(each, target, level)
                for each, level in zip(predicted.unbind(dim), levels)),
               start=predicted.new_zeros(()))


def smooth_l1(predicted: Tensor, target: Tensor, beta: float = 1.0) -> Tensor:
    """Huber loss over the finite targets."""
    known = torch.isfinite(target)
    loss = torch.nn.functional.smooth_l1_loss(
        predicted, torch.where(known, target, predicted.detach()), beta=beta, reduction='none')
    return _mean_over(loss, known)


def laplace(error: Tensor, log_scale: Tensor, known: Tensor) -> Tensor:
    """Negative log-likelihood of absolute errors (...,) under Laplace scales exp(log_scale)."""
    error = torch.where(known, error, torch.zeros_like(error))
    return _mean_over(error * torch.exp(-log_scale) + log_scale, known)


def gaussian_kl(mean: Tensor, log_variance: Tensor, free_nats: float) -> Tensor:
    """KL divergence of Gaussians (N, Z) from the unit one, summed over Z, mean over N.

    Dimensions below `free_nats` cost nothing, so that they are not driven to say nothing at all
    (free bits, Kingma et al. 2016).
    """
    divergence = 0.5 * (mean.pow(2) + log_variance.exp() - 1 - log_variance)
    return divergence.mean(0).clamp_min(free_nats).sum()


def effective_rank(latents: Tensor) -> float:
    """Exp of the entropy of the normalised singular values of (N, E) (RankMe, Garrido 2023)."""
    singular = torch.linalg.svdvals((latents - latents.mean(0)).double())
    share = singular / singular.sum().clamp_min(1e-12)
    return float(torch.exp(-(share * torch.log(share + 1e-12)).sum()))


def _mean_over(values: Tensor, known: Tensor) -> Tensor:
    known = known.expand_as(values)
    return (values * known).sum() / known.sum().clamp_min(1)
