# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Changes that must not change what a sequence means: light and colour, and its mirror image."""

from itertools import permutations

import torch
from torch import Tensor

from wm_controller.training.crew import Share, WHOLE

Batch = dict[str, Tensor]
PERMUTATIONS = tuple(permutations(range(3)))  # the first changes nothing


def jitter_colours(pixels: Tensor, generator: torch.Generator, flicker: float = 0.03,
                   share: Share = WHOLE) -> Tensor:
    """Vary brightness, contrast and colour of (B, L, H, W, 3), alike within each sequence.

    Returns float32 in 0..255. Light flickers from frame to frame by a share, as exposure does.
    With `share`, the pixels are one of a batch, which is varied alike by all processes.
    """
    batch, length = share.count * len(pixels), pixels.shape[1]

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        value = torch.rand(*shape, generator=generator, device='cpu') * (high - low) + low
        return share.of(value).to(pixels.device)

    gain = uniform(0.7, 1.3, batch, 1, 1, 1, 1) * uniform(
        1 - flicker, 1 + flicker, batch, length, 1, 1, 1)
    colour = uniform(0.85, 1.15, batch, 1, 1, 1, 3)
    offset = uniform(-20, 20, batch, 1, 1, 1, 1)
    contrast = uniform(0.75, 1.25, batch, 1, 1, 1, 1)
    # ((x gain colour) - grey) contrast + grey + offset, as one pass over the pixels.
    grey = 127.5
    scale, shift = gain * colour * contrast, grey * (1 - contrast) + offset
    return torch.addcmul(shift, pixels.float(), scale).clamp_(0, 255)


def vary(batch: Batch, generator: torch.Generator, mirrored: bool, flicker: float = 0.03) -> Batch:
    """Vary side (where `mirrored`), hue and light of sequences, as training of parts does."""
    if mirrored:
        batch = mirror(batch, torch.rand(len(batch['pixels']), generator=generator) < 0.5)
    batch = exchange_colours(batch, generator)
    return {**batch, 'pixels': jitter_colours(batch['pixels'], generator, flicker)}


def exchange_colours(batch: Batch, generator: torch.Generator, share: Share = WHOLE) -> Batch:
    """Permute red, green and blue in half of the sequences, their goal pictures alike.

    Rooms of other colours for nothing: geometry does not hang on hue.
    """
    count = len(batch['pixels'])
    total = share.count * count
    which = torch.randint(1, len(PERMUTATIONS), (total,), generator=generator)
    which[torch.rand(total, generator=generator) >= 0.5] = 0
    order = torch.tensor(PERMUTATIONS)[share.of(which)].to(batch['pixels'].device)
    result = dict(batch)
    for key in _pictures(batch):
        images = batch[key]
        index = order.view(count, *(1,) * (images.ndim - 2), 3)
        result[key] = images.gather(-1, index.expand_as(images))
    return result


def _pictures(batch: Batch) -> list[str]:
    return [key for key in ('pixels', 'reach_pixels') if key in batch]


def mirror(batch: Batch, chosen: Tensor) -> Batch:
    """Exchange left and right in the chosen (B,) sequences: images, turns, directions, goals."""
    def choose(values: Tensor, mirrored: Tensor) -> Tensor:
        shape = (-1,) + (1,) * (values.ndim - 1)
        return torch.where(chosen.view(shape), mirrored, values)

    def flip_chosen(images: Tensor, axis: int) -> Tensor:
        images = images.clone()
        images[chosen] = images[chosen].flip(axis)
        return images

    result = dict(batch)
    for key in _pictures(batch):
        result[key] = flip_chosen(batch[key], batch[key].ndim - 2)
    if 'clearance' in batch:
        result['clearance'] = choose(batch['clearance'], batch['clearance'].flip(-1))
    signs = {'action': (1, -1), 'previous_action': (1, -1), 'proprio': (1, -1, -1, 1, -1),
             'reach_goal': (1, -1), 'goal_pose': (1, -1, -1), 'things': (1, -1),
             'trail': (1, -1, -1)}
    for key, sign in signs.items():
        if key not in batch:
            continue
        values = batch[key]
        result[key] = choose(values, values * values.new_tensor(sign))
    return result
