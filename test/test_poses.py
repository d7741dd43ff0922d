# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Poses as tensors are those of safety.geometry, and gradients pass."""

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest
import torch

from wm_controller.safety import geometry
from wm_controller.world_model import poses


@given(st.integers(0, 10_000))
def test_they_are_the_same_as_in_numpy(seed):
    rng = np.random.default_rng(seed)
    changes = rng.normal(0, 0.5, (3, 7, 3))
    chain, origin = poses.chained(torch.from_numpy(changes)), rng.normal(0, 3, (3, 1, 3))

    def same(found, expected):
        assert found[..., :2].numpy() == pytest.approx(expected[..., :2])
        assert np.abs(geometry.wrap_angle(found[..., 2].numpy() - expected[..., 2])).max() < 1e-9
    same(chain, geometry.chained(changes))
    same(poses.placed(torch.from_numpy(origin), chain), geometry.compose(origin, chain.numpy()))
    point = rng.normal(0, 3, 2)
    seen = poses.seen_from(chain, torch.from_numpy(point))
    expected = geometry.relative(chain.numpy(), np.array([*point, 0.0]))[..., :2]
    assert seen.numpy() == pytest.approx(expected)


def test_gradients_pass():
    changes = torch.randn(2, 5, 3, dtype=torch.float64, requires_grad=True)
    origin = torch.randn(2, 1, 3, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda c: poses.placed(origin, poses.chained(c)), changes)
