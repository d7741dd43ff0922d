# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""A tiny untrained bundle, with a decoder, for tests of what is done with one."""

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
    """Save it and return its path."""
    torch.manual_seed(0)
    model = WorldModel(ModelSpec(
        clearance_bearings=tuple(CLEARANCE_BEARINGS.tolist()),
        architecture=replace(TINY, decoder_channels=channels))).eval()
    save_bundle(path, model, gates={'passed': True}, training={},
                energy_quantiles=tuple(np.linspace(0, 4, 101)))
    return path
