# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""From a state to the picture that it stands for: for people's eyes, never for planning."""

import torch
from torch import nn, Tensor

from wm_controller.errors import InputError
from wm_controller.world_model.spec import ModelSpec

GROUPS = 8
BANDS = 6  # horizontal, of a frame's palette
PALETTE = BANDS * 2 * 3
HIDDEN_SHARE = 4 / 5  # of the state's width


class Decoder(nn.Module):
    """Picture of a state, seen or imagined, in the colours of the last frame that was seen.

    A state knows shapes and not colours: the encoder's GroupNorm takes light and hue out of each
    frame. So the decoder is given a palette, which has no left and right: mean and spread of the
    colours in BANDS bands of the last seen frame, from the top to the bottom.

    `Architecture.decoder_channels` = (seed, width, ...): the state is spread over a coarse map of
    `seed` channels, so that bearing keeps its place, and the map doubles in size after each width.
    Enlarged by repetition and not by strided deconvolution, which leaves a chequered pattern
    (Odena et al., Deconvolution and Checkerboard Artifacts, 2016); the last doubling moves
    channels to pixels (Shi et al., Sub-Pixel Convolution, 2016), which costs a quarter.
    """

    pixel_mean: Tensor
    pixel_scale: Tensor

    def __init__(self, spec: ModelSpec) -> None:
        """Raise InputError where the channels are none that can be built."""
        super().__init__()
        channels = spec.architecture.decoder_channels
        if len(channels) < 2 or any(width % GROUPS for width in channels[1:]):
            raise InputError(f'decoder_channels {channels} must be a seed and widths that are '
                             f'multiples of {GROUPS}')
        seed, *widths = channels
        state, self.size = spec.architecture.state, spec.image_size
        height, width = (-(-side // 2 ** len(widths)) for side in self.size)
        hidden = round(HIDDEN_SHARE * state)
        self.spread = nn.Sequential(
            nn.Linear(state + PALETTE, hidden), nn.SiLU(),
            nn.Linear(hidden, seed * height * width), nn.Unflatten(-1, (seed, height, width)))
        layers: list[nn.Module] = []
        for before, after in zip(channels, widths):
            if layers:
                layers.append(nn.Upsample(scale_factor=2))
            layers += [nn.Conv2d(before, after, 3, 1, 1), nn.GroupNorm(GROUPS, after), nn.SiLU()]
        layers += [nn.Conv2d(widths[-1], 12, 3, 1, 1), nn.PixelShuffle(2)]
        self.draw = nn.Sequential(*layers)
        self.register_buffer('pixel_mean', torch.tensor(
            spec.normalisation.pixel_mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer('pixel_scale', torch.tensor(
            spec.normalisation.pixel_scale).view(1, 3, 1, 1), persistent=False)

    def forward(self, state: Tensor, palette: Tensor) -> Tensor:
        """Map states (B, S) and palettes (B, P) to (B, 3, H, W), in normalised colours."""
        height, width = self.size
        return self.draw(self.spread(torch.cat([state, palette], -1)))[
            ..., :height, :width].float()

    def normalised(self, pixels: Tensor) -> Tensor:
        """Return what `forward` should give for pictures (B, H, W, 3), RGB 0..255."""
        return (pixels.permute(0, 3, 1, 2).float() - self.pixel_mean) / self.pixel_scale

    def palette(self, pixels: Tensor) -> Tensor:
        """Return the palettes (B, P) of frames (B, H, W, 3), RGB 0..255."""
        return torch.cat([torch.cat([band.mean((2, 3)), band.std((2, 3))], -1) for band in
                          self.normalised(pixels).tensor_split(BANDS, 2)], -1)

    @torch.no_grad()
    def pictures(self, states: Tensor, seen: Tensor) -> Tensor:
        """Map states (B, T, S) to uint8 pictures (B, T, H, W, 3), RGB.

        `seen` (B, H, W, 3), RGB 0..255, is the last frame before each.
        """
        batch, steps = states.shape[:2]
        palette = self.palette(seen)[:, None].expand(batch, steps, PALETTE)
        flat = self(states.flatten(0, 1), palette.flatten(0, 1))
        pixels = (flat * self.pixel_scale + self.pixel_mean).round().clamp(0, 255)
        return pixels.to(torch.uint8).permute(0, 2, 3, 1).contiguous().unflatten(
            0, (batch, steps))
