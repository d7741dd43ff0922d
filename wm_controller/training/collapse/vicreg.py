# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""VICReg: every dimension varies, and no two vary together."""

from torch import Tensor

from wm_controller.training import losses
from wm_controller.training.collapse.method import Method
from wm_controller.training.crew import everywhere


class VICReg(Method):
    """Variance hinge and covariance (Bardes, Ponce and LeCun, ICLR 2022); prediction besides."""

    def terms(self, latents: Tensor, predicted: Tensor, target: Tensor) -> dict[str, Tensor]:
        """As `Method.terms`."""
        flat = everywhere(latents.flatten(0, 1))
        return {**super().terms(latents, predicted, target),
                'variance': losses.variance_hinge(flat), 'covariance': losses.covariance(flat)}
