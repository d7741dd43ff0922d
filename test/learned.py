# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Tiny untrained bundles, for tests of what is done with one."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from tiny_training import TINY
from wm_controller.data.schema import CLEARANCE_BEARINGS
from wm_controller.world_model.bundle import save_bundle
from wm_controller.world_model.model import WorldModel
from wm_controller.world_model.spec import ModelSpec

ROOT = Path(__file__).resolve().parents[1]


def with_decoder(path, channels=(4, 16, 8)):
    """Save one with a decoder and return its path."""
    return _untrained(path, decoder_channels=channels)


def with_comparison(path, channels=(8, 8, 8)):
    """Save one that compares goal pictures and return its path."""
    return _untrained(path, goal_channels=channels)


def _untrained(path, **architecture):
    torch.manual_seed(0)
    model = WorldModel(ModelSpec(
        clearance_bearings=tuple(CLEARANCE_BEARINGS.tolist()),
        architecture=replace(TINY, **architecture))).eval()
    save_bundle(path, model, gates={'passed': True}, training={},
                energy_quantiles=tuple(np.linspace(0, 4, 101)))
    return path
