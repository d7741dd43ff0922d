# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""SIGReg: latents are distributed as an isotropic Gaussian, in every direction looked at."""

import torch
from torch import Tensor

from wm_controller.training.collapse.method import Method
from wm_controller.training.crew import everywhere
from wm_controller.world_model.model import WorldModel

DIRECTIONS = 256
LIMIT, KNOTS = 5.0, 17  # of the integral over [-5, 5]


class SIGReg(Method):
    """Sketched isotropic Gaussian regularisation (Balestriero and LeCun, LeJEPA, 2025, alg. 1)."""

    step: Tensor

    def __init__(self, model: WorldModel) -> None:
        super().__init__(model)
        # Counts batches: a resumed run must look in the directions that one without stop would.
        self.register_buffer('step', torch.zeros((), dtype=torch.long))

    def terms(self, latents: Tensor, predicted: Tensor, target: Tensor) -> dict[str, Tensor]:
        """As `Method.terms`."""
        generator = torch.Generator().manual_seed(int(self.step))
        self.step += 1
        drawn = torch.randn(latents.shape[-1], DIRECTIONS, generator=generator)
        return {**super().terms(latents, predicted, target),
                'sigreg': sigreg(everywhere(latents.flatten(0, 1)), drawn.to(latents))}


def sigreg(latents: Tensor, directions: Tensor) -> Tensor:
    """Mean Epps-Pulley statistic of (N, E) along the columns of (E, K), of any length.

    About 1.06 for a standard Gaussian, of the order of N for a collapsed set.
    """
    return epps_pulley(latents @ (directions / directions.norm(dim=0, keepdim=True))).mean()


def epps_pulley(samples: Tensor) -> Tensor:
    """Distance of samples (N, K) from a standard Gaussian, (K,), one for each column.

    N times the integral of |empirical - Gaussian characteristic function|^2 exp(-t^2 / 2) over t
    (Epps and Pulley, Biometrika 1983), by the trapezoidal rule. The integrand is even, so half of
    the knots are computed.
    """
    t = torch.linspace(0.0, LIMIT, KNOTS // 2 + 1).to(samples)
    weight = torch.full_like(t, 2 * float(t[1]))
    weight[0] = weight[-1] = float(t[1])
    gaussian = torch.exp(-0.5 * t.pow(2))
    angle = samples.unsqueeze(-1) * t
    distance = (angle.cos().mean(0) - gaussian).pow(2) + angle.sin().mean(0).pow(2)
    return samples.shape[0] * (distance * gaussian * weight).sum(-1)
