# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The planner without one of its parts: what each of them is worth is measured, not believed."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from wm_controller.planning.config import PilotConfig

PARTS: dict[str, Callable[[PilotConfig], PilotConfig]] = {
    'ensemble': lambda c: replace(c, weights=replace(c.weights, disagreement=0.0)),
    'latent-variable': lambda c: replace(c, drawn_futures=0),
    'learned-cost': lambda c: replace(c, weights=replace(
        c.weights, time_to_reach=0.0, time_to_picture=0.0)),
    'imagined-gap': lambda c: replace(c, weights=replace(c.weights, imagined_near=0.0)),
    'space-memory': lambda c: replace(c, use_memory=False),
    'moving': lambda c: replace(c, use_movers=False),
    'latency': lambda c: replace(c, compensate_latency=False),
    'cmd-vel': lambda c: replace(c, hear_admitted=False),
    'effort': lambda c: replace(c, effort=replace(c.effort, candidates=0, enough=0.0)),
    'proposal': lambda c: replace(c, use_proposals=False),
    'search': lambda c: replace(c, effort=replace(c.effort, search=False)),
    'upper-level': lambda c: replace(c, use_upper_level=False),
    'compass': lambda c: replace(c, use_compass=False),
    'places': lambda c: replace(c, use_places=False),
}


def without(config: PilotConfig, parts: Sequence[str]) -> PilotConfig:
    """Return the configuration without these parts; raises KeyError for one that is unknown."""
    for part in parts:
        config = PARTS[part](config)
    return config
