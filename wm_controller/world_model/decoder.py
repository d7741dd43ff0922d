# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""From a state to the picture that it stands for: for people's eyes, never for planning."""

import torch
from torch import nn, Tensor

from wm_controller.errors import InputError
from wm_controller.world_model.pixels import PixelScale
from wm_controller.world_model.spec import ModelSpec

GROUPS = 8
BANDS = 6  # horizontal, of a frame's palette
COLOURS = BANDS + 2
CONTRAST = 1.5  # spreads of a frame between its mean and its dark and bright colours
HIDDEN_SHARE = 4 / 5  # of the state's width


class Decoder(nn.Module):
    """Picture of a state, seen or imagined, in the colours of the last frame that was seen.

    A state knows shapes and not colours: the encoder's GroupNorm takes light and hue out of each
    frame. So the decoder is given a palette, which has no left and right: the mean colours of
    BANDS bands of the last seen frame, from the top to the bottom, a dark and a bright one. It
    draws how much of each goes where, at half the size, and a correction at the full size: hues
    need not be learned.

    `Architecture.decoder_channels` = (seed, width, ...): the state is spread over a coarse map of
    `seed` channels, so that bearing keeps its place, and the map doubles in size after each width.
    Enlarged by repetition and not by strided deconvolution, which leaves a chequered pattern
    (Odena et al., Deconvolution and Checkerboard Artifacts, 2016); the last doubling moves
    channels to pixels (Shi et al., Sub-Pixel Convolution, 2016), which costs a quarter.
    """

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
            nn.Linear(state + 3 * COLOURS, hidden), nn.SiLU(),
            nn.Linear(hidden, seed * height * width), nn.Unflatten(-1, (seed, height, width)))
        layers: list[nn.Module] = []
        for before, after in zip(channels, widths):
            if layers:
                layers.append(nn.Upsample(scale_factor=2))
            layers += [nn.Conv2d(before, after, 3, 1, 1), nn.GroupNorm(GROUPS, after), nn.SiLU()]
        layers.append(nn.Conv2d(widths[-1], COLOURS + 12, 3, 1, 1))
        self.draw = nn.Sequential(*layers)
        self.pixel_scale = PixelScale(spec)

    def forward(self, state: Tensor, palette: Tensor) -> Tensor:
        """Map states (B, S), palettes (B, COLOURS, 3) to (B, 3, H, W), in normalised colours."""
        height, width = self.size
        drawn = self.draw(self.spread(torch.cat([state, palette.flatten(1)], -1)))
        share, correction = drawn.float().split((COLOURS, 12), 1)
        mixed = torch.einsum('bkhw,bkc->bchw', share.softmax(1), palette)
        whole = nn.functional.interpolate(mixed, scale_factor=2.0, mode='bilinear')
        return (whole + nn.functional.pixel_shuffle(correction, 2))[..., :height, :width]

    def normalised(self, pixels: Tensor) -> Tensor:
        """Return what `forward` should give for pictures (B, H, W, 3), RGB 0..255."""
        return self.pixel_scale(pixels.permute(0, 3, 1, 2))

    def palette(self, pixels: Tensor) -> Tensor:
        """Return the palettes (B, COLOURS, 3) of frames (B, H, W, 3), RGB 0..255."""
        frame = self.normalised(pixels)
        mean, spread = frame.mean((2, 3)), CONTRAST * frame.std((2, 3))
        bands = [band.mean((2, 3)) for band in frame.tensor_split(BANDS, 2)]
        return torch.stack([*bands, mean - spread, mean + spread], 1)

    @torch.no_grad()
    def pictures(self, states: Tensor, seen: Tensor) -> Tensor:
        """Map states (B, T, S) to uint8 pictures (B, T, H, W, 3), RGB.

        `seen` (B, H, W, 3), RGB 0..255, is the last frame before each.
        """
        batch, steps = states.shape[:2]
        palette = self.palette(seen).repeat_interleave(steps, 0)
        flat = self(states.flatten(0, 1), palette)
        pixels = self.pixel_scale.undo(flat).round().clamp(0, 255)
        return pixels.to(torch.uint8).permute(0, 2, 3, 1).contiguous().unflatten(
            0, (batch, steps))
