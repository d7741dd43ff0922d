# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""What is kept of a drive only for a log that is looked through: `--rerun`."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from wm_controller.evaluation.encoded import jpeg

MEASURED_PERIOD_S = 0.1  # odometry may come at any rate
PICTURE_PERIOD_S = 0.5  # imagined pictures take a decoder's time


@dataclass
class Detail:
    """Times t in s since the start of the drive, points in the world, m; in the order of t."""

    measured: list[tuple[float, float, float]] = field(default_factory=list)  # t, v m/s, w rad/s
    scans: list[tuple[float, np.ndarray]] = field(default_factory=list)  # t, points (M,2)
    imagined: list[tuple[float, bytes]] = field(default_factory=list)  # t, JPEG: a strip
    surprise: list[tuple[float, float]] = field(default_factory=list)  # t, 0..1
    plan_ms: list[tuple[float, float]] = field(default_factory=list)

    def measure(self, t: float, v: float, w: float) -> None:
        """Keep a measured speed, m/s and rad/s, if it is due."""
        if not self.measured or t >= self.measured[-1][0] + MEASURED_PERIOD_S - 1e-6:
            self.measured.append((t, float(v), float(w)))

    def scan(self, t: float, points: np.ndarray) -> None:
        """Keep what the laser hit, (M,2) in the world."""
        self.scans.append((t, np.asarray(points, np.float32)))

    def wants_picture(self, t: float) -> bool:
        """Whether an imagined future at t would be kept."""
        return not self.imagined or t >= self.imagined[-1][0] + PICTURE_PERIOD_S - 1e-6

    def imagine(self, t: float, strip: np.ndarray) -> None:
        """Keep a strip (H,W,3) RGB of imagined pictures."""
        self.imagined.append((t, jpeg(strip, strip.shape[1])))

    def think(self, t: float, surprise: float = np.nan, plan_s: float = np.nan) -> None:
        """Keep what a plan says of itself; NaN is not kept."""
        if np.isfinite(surprise):
            self.surprise.append((t, float(surprise)))
        if np.isfinite(plan_s):
            self.plan_ms.append((t, 1e3 * plan_s))
