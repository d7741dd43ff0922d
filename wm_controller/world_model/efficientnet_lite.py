# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""EfficientNet-Lite0 up to its middle: the layers whose features still have places."""

import torch
from torch import nn, Tensor
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

# Kernel, stride, expansion, output channels, repetitions (Tan and Le, EfficientNet, 2019,
# table 1; the Lite variant has ReLU6 and no squeeze-and-excitation).
STAGES = ((3, 1, 1, 16, 1), (3, 2, 6, 24, 2), (5, 2, 6, 40, 2), (3, 2, 6, 80, 3),
          (5, 1, 6, 112, 3))
STEM = 32
BATCH_NORM_EPSILON = 1e-3
PIXEL_MEAN, PIXEL_SCALE = 127.0, 128.0
CONVOLUTIONS = {'_conv_stem': '_bn0', '_expand_conv': '_bn0', '_depthwise_conv': '_bn1',
                '_project_conv': '_bn2'}  # each with the normalisation behind it
FINE, COARSE = 4, 10  # last blocks at strides 8 and 16


class SameConv(nn.Conv2d):
    """Convolution padded as TensorFlow does, where the weights were trained: more at the end."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C', ceil(H / stride), ceil(W / stride))."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        down, across = (max((-(-n // stride) - 1) * stride + kernel - n, 0) for n in x.shape[-2:])
        padded = functional.pad(x, (across // 2, across - across // 2,
                                    down // 2, down - down // 2))
        return super().forward(padded)


class InvertedBottleneck(nn.Module):
    """Widen, filter each channel by itself, narrow; beside a skip where the shape stays."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expand: int) -> None:
        super().__init__()
        inner = inputs * expand
        self.skip = stride == 1 and inputs == outputs
        # Names of the released weights.
        if expand != 1:
            self._expand_conv = SameConv(inputs, inner, 1, bias=False)
            self._bn0 = nn.BatchNorm2d(inner, BATCH_NORM_EPSILON)
        self._depthwise_conv = SameConv(inner, inner, kernel, stride, groups=inner, bias=False)
        self._bn1 = nn.BatchNorm2d(inner, BATCH_NORM_EPSILON)
        self._project_conv = SameConv(inner, outputs, 1, bias=False)
        self._bn2 = nn.BatchNorm2d(outputs, BATCH_NORM_EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C', H', W')."""
        y = x
        if hasattr(self, '_expand_conv'):
            y = functional.relu6(self._bn0(self._expand_conv(y)))
        y = functional.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        return x + y if self.skip else y


class EfficientNetLite0(nn.Module):
    """Features at strides 8 and 16 side by side, on a grid of places."""

    def __init__(self, grid: tuple[int, int]) -> None:
        super().__init__()
        self.grid = grid
        self._conv_stem = SameConv(3, STEM, 3, 2, bias=False)
        self._bn0 = nn.BatchNorm2d(STEM, BATCH_NORM_EPSILON)
        blocks: list[nn.Module] = []
        inputs = STEM
        for kernel, stride, expand, outputs, repetitions in STAGES:
            for i in range(repetitions):
                blocks.append(InvertedBottleneck(inputs, outputs, kernel, 1 if i else stride,
                                                 expand))
                inputs = outputs
        self._blocks = nn.ModuleList(blocks)

    def load(self, weights: dict[str, Tensor]) -> None:
        """Take what these layers need of the released weights; raises RuntimeError.

        Batch normalisation is folded into the convolutions: for inference only.
        """
        self.load_state_dict({name: weights[name] for name in self.state_dict()
                              if name in weights})
        for module in (self.eval(), *self._blocks):
            for convolution, norm in CONVOLUTIONS.items():
                if isinstance(found := getattr(module, convolution, None), nn.Conv2d):
                    setattr(module, convolution, fuse_conv_bn_eval(found, getattr(module, norm)))
                    setattr(module, norm, nn.Identity())
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, pixels: Tensor) -> Tensor:
        """Map (B, 3, H, W), values 0..255, to (B, 152, *grid)."""
        x = (pixels - PIXEL_MEAN) / PIXEL_SCALE
        x = x.contiguous(memory_format=torch.channels_last)
        x = functional.relu6(self._bn0(self._conv_stem(x)))
        found = []
        for i, block in enumerate(self._blocks):
            x = block(x)
            if i in (FINE, COARSE):
                found.append(functional.interpolate(x, self.grid, mode='bilinear',
                                                    align_corners=False))
        return torch.cat(found, 1)
