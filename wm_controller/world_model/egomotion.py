# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""How far the camera itself says that it turned: two views, slid over each other."""

import math

import torch
from torch import nn, Tensor

from wm_controller.world_model.spec import ModelSpec

ROWS = 48            # of the cylinder that a view is laid on
STEEPEST = 0.62      # tangent of the elevation of the outermost row
SLIDE = 0.375        # of the view's width: the furthest that views are slid
BLUR_COLUMNS = 6.0   # structure coarser than this is light, not texture
AT_ODOMETRY = 1.5    # columns: how well odometry must be met
NOISE = 0.02         # of a correlation, so that two perfect matches do not make a huge ratio


def view_angle(spec: ModelSpec) -> float | None:
    """Horizontal view, rad: as measured, else what the clearance directions span, if any."""
    if spec.horizontal_fov is not None:
        return spec.horizontal_fov
    bearings = spec.clearance_bearings
    if len(bearings) < 2:
        return None
    return abs(bearings[0] - bearings[-1]) * len(bearings) / (len(bearings) - 1)


class VisualCompass:
    """Turns between views, after Labrosse, The visual compass (2006), on a cylinder.

    Views are laid on a cylinder, where a turn is a slide, and freed of their light. Columns are
    counted from left to right, so a turn to the left (positive) slides the scene right.
    """

    def __init__(self, spec: ModelSpec, view: float) -> None:
        height, width = spec.image_size
        self.columns = width
        self.slide = round(SLIDE * width)
        self.per_rad = width / view
        focal = 0.5 * width / math.tan(0.5 * view)
        angle = (torch.arange(width) + 0.5) / self.per_rad - 0.5 * view
        rise = torch.linspace(-STEEPEST, STEEPEST, ROWS)
        x = (focal * angle.tan()).expand(ROWS, width) * 2 / width
        y = focal * rise[:, None] / angle.cos() * 2 / height
        self._grid = torch.stack([x, y], -1)[None]
        reach = round(3 * BLUR_COLUMNS)
        bell = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / BLUR_COLUMNS) ** 2)
        self._bell = bell / bell.sum()
        self._reach = reach

    def signature(self, pixels: Tensor) -> Tensor:
        """Map images (B, H, W, 3) 0..255 to what is compared, (B, R, N)."""
        grey = torch.log(pixels.float().mean(-1) + 8.0)[:, None]
        grid = self._grid.expand(len(grey), -1, -1, -1)
        around = nn.functional.grid_sample(grey, grid, padding_mode='border', align_corners=False)
        blurred = nn.functional.pad(around, (self._reach,) * 2 + (self._reach,) * 2, 'replicate')
        blurred = nn.functional.conv2d(blurred, self._bell.view(1, 1, 1, -1))
        blurred = nn.functional.conv2d(blurred, self._bell.view(1, 1, -1, 1))
        return (around - blurred)[:, 0]

    def matches(self, before: Tensor, now: Tensor) -> Tensor:
        """Correlate signatures (B, R, N) at each slide, furthest left first: (B, 2 slide + 1)."""
        batch, rows, columns = before.shape
        padded = nn.functional.pad(now, (self.slide, self.slide)).reshape(1, batch * rows, -1)
        product = nn.functional.conv1d(padded, before, groups=batch)[0]
        slides = torch.arange(-self.slide, self.slide + 1)
        kept = columns - slides.abs()

        def overlap(energy: Tensor, first: Tensor) -> Tensor:
            total = nn.functional.pad(energy.pow(2).sum(1).cumsum(1), (1, 0))
            return total[:, first + kept] - total[:, first]

        scale = overlap(before, (-slides).clamp(min=0)) * overlap(now, slides.clamp(min=0))
        return product / (scale + 1e-9).sqrt()

    def turn(self, match: Tensor) -> Tensor:
        """Return the turn (B,) rad where matches (B, 2 slide + 1) are best."""
        return (match.argmax(1) - self.slide) / self.per_rad

    def disagreement(self, match: Tensor, yaw: Tensor) -> Tensor:
        """Log ratio (B,) of what is left unexplained at the turn `yaw` (B,) and at the best one.

        0 where the views agree with the turn, or say nothing of it; NaN beyond what is slid.
        """
        at = yaw * self.per_rad + self.slide
        near = (torch.arange(match.shape[1]) - at[:, None]).abs() <= AT_ODOMETRY
        there = match.masked_fill(~near, -1.0).amax(1)
        best = match.amax(1)
        ratio = ((1 - there + NOISE) / (1 - best + NOISE)).log()
        return torch.where(near.any(1), ratio, torch.nan)
