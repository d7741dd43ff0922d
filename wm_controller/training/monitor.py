# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""What is watched while a model trains: collapse, prediction and clearance on held-out windows.

Training loss says least about success; rank, variance and the persistence ratio show a collapse
within minutes (Garrido et al., RankMe, 2023).
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from wm_controller.data.windows import Windows
from wm_controller.training import losses
from wm_controller.training.batches import assemble
from wm_controller.training.gates import mean_of_known, predicted
from wm_controller.training.objective import Objective

WATCHED_STEPS = (1, 4, 8)
SEQUENCES = 192
BATCH = 48
EVERY_SHARE = 1 / 40  # of the run, but
EVERY_S = 30.0        # not more often than this
COLLAPSED_DEVIATION = 0.1
COLLAPSED_RANK = 8.0


class Monitor:
    """Measures the model now and then on the same held-out windows; changes nothing."""

    def __init__(self, objective: Objective, held_out: Windows) -> None:
        self._objective, self._windows = objective, held_out
        self._chosen = np.random.default_rng(11).permutation(len(held_out))[:SEQUENCES]

    def due(self, fraction: float, elapsed_s: float, curve: list[dict[str, Any]]) -> bool:
        """Whether it is time for another point of the curve, which holds the ones so far."""
        if not curve:
            return True
        last = curve[-1]
        return (fraction - last['fraction'] >= EVERY_SHARE
                and elapsed_s - last['elapsed_s'] >= EVERY_S)

    @torch.no_grad()
    def measure(self) -> dict[str, Any]:
        """Return `persistence_ratio` by step, `effective_rank`, `deviation` and clearance in m."""
        model = self._objective.model
        training = model.training
        model.eval()
        try:
            parts = np.array_split(self._chosen, max(1, len(self._chosen) // BATCH))
            rows = [self._score(part) for part in parts]
        finally:
            model.train(training)
        found = {key: torch.cat([row[key] for row in rows]) for key in rows[0]}
        ratio = found['error'].mean(0) / found['still'].mean(0).clamp_min(1e-12)
        latents = found['latents'].flatten(0, 1)
        return {
            'persistence_ratio': {str(k): round(float(ratio[k - 1]), 4) for k in WATCHED_STEPS},
            'effective_rank': round(losses.effective_rank(latents), 1),
            'deviation': round(float(latents.std(0).mean()), 4),
            'clearance_error_m': mean_of_known(found['clearance_now']),
            'clearance_error_8_steps_m': mean_of_known(found['clearance_later']),
        }

    def _score(self, part: np.ndarray) -> dict[str, Tensor]:
        objective, model = self._objective, self._objective.model
        device = next(model.parameters()).device
        data = {name: value.to(device) for name, value in assemble(
            self._windows, part, np.random.default_rng(0), 1).items()}
        latents, _ = objective.encode(data['pixels'])
        states = objective.filter(latents, data)
        steps = max(WATCHED_STEPS)
        now = latents.shape[1] - 1 - steps
        imagined, _ = model.imagine(states[:, now], data['action'][:, now:now + steps])
        errors = predicted(objective, latents, states, imagined, data['clearance'], now)
        return {name: value.cpu() for name, value in {**errors, 'latents': latents}.items()}


def has_collapsed(point: dict[str, Any]) -> bool:
    """Whether latents hardly differ from frame to frame: the run is worth nothing."""
    return bool(point['deviation'] < COLLAPSED_DEVIATION
                or point['effective_rank'] < COLLAPSED_RANK)
