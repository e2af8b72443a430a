from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from prodrec.core.base.errors import BadOption
from prodrec.models.backbone import Backbone
from prodrec.models.stages import all_stages, stages
from prodrec.models.torchvision_backbones import build_backbone

STAGES = {"resnet18": "layer3", "vgg11": "features.15", "mobilenet_v2": "features.13", "squeezenet1_1": "features.5"}


@pytest.fixture(scope="module", params=STAGES)
def backbone(request: pytest.FixtureRequest) -> Backbone:
    torch.manual_seed(1)
    backbone = build_backbone(request.param, weights=None)
    with torch.no_grad():  # batch norm by the statistics of a batch: random weights alone let the maps fade away
        backbone(torch.randn(8, 3, 64, 64))
    return backbone.eval()


def test_the_trunk_can_be_run_in_two_parts(backbone: Backbone) -> None:
    at = STAGES[backbone.name]
    images_BCHW = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        plain_BDHW = backbone.maps(images_BCHW)
        inner_BDHW = backbone.maps(images_BCHW, until=at)
        torch.testing.assert_close(backbone.maps_after(inner_BDHW, at), plain_BDHW)
        assert backbone.map_shape(64, 64, at=at) == tuple(inner_BDHW.shape[1:])
        hooked: list[Tensor] = []
        module = backbone.trunk.get_submodule(at)
        handle = module.register_forward_hook(lambda _m, _i, out: hooked.append(out))
        backbone.trunk(images_BCHW)
        handle.remove()
        torch.testing.assert_close(inner_BDHW, hooked[0])
        doubled_BDHW = backbone.maps_after(2 * inner_BDHW + 1, at)
        assert not torch.allclose(doubled_BDHW, plain_BDHW, rtol=0.01)
        torch.testing.assert_close(backbone.maps_after(2 * plain_BDHW, None), 2 * plain_BDHW)


def test_freezing_keeps_weights_and_statistics_up_to_the_stage() -> None:
    torch.manual_seed(1)
    backbone = build_backbone("resnet18", weights=None)
    backbone.freeze_until("layer1")
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    backbone.train()
    backbone(torch.randn(2, 3, 64, 64)).sum().backward()
    frozen = ("trunk.conv1", "trunk.bn1", "trunk.layer1")
    for name, parameter in backbone.named_parameters():
        assert parameter.requires_grad != name.startswith(frozen), name
        assert (parameter.grad is None) == name.startswith(frozen), name
    for name, value in backbone.state_dict().items():
        if "running" in name:
            assert torch.equal(value, before[name]) == name.startswith(frozen), name


def test_a_backbone_is_held_and_released() -> None:
    backbone = build_backbone("resnet18", weights=None)
    backbone.freeze_until("conv1")
    trained = {name for name, parameter in backbone.named_parameters() if parameter.requires_grad}
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    backbone.hold(True)
    backbone.hold(True)
    backbone.train()
    assert not backbone(torch.randn(2, 3, 64, 64)).requires_grad
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())
    backbone.hold(False)
    backbone.train()
    backbone(torch.randn(2, 3, 64, 64))
    assert {name for name, parameter in backbone.named_parameters() if parameter.requires_grad} == trained
    assert not torch.equal(backbone.state_dict()["trunk.bn1.running_mean"], before["trunk.bn1.running_mean"])


def test_stages_are_opened_only_as_far_as_needed() -> None:
    trunk = nn.Sequential()
    trunk.add_module("a", nn.Sequential(nn.ReLU(), nn.Sequential(nn.Tanh(), nn.ReLU())))
    trunk.add_module("b", nn.Conv2d(1, 1, 1))
    assert [name for name, _ in stages(trunk, None)] == ["a", "b"]
    assert [name for name, _ in stages(trunk, "a.1")] == ["a.0", "a.1", "b"]
    assert [name for name, _ in stages(trunk, "a.1.0")] == ["a.0", "a.1.0", "a.1.1", "b"]
    assert [name for name, _ in all_stages(trunk)] == ["a", "a.0", "a.1", "a.1.0", "a.1.1", "b"]


@pytest.mark.parametrize(
    ("name", "at", "message"),
    [
        ("resnet18", "layer9", r"attention_at=layer9 is not a stage of backbone resnet18 \(did you mean layer4\?\)"),
        ("mobilenet_v2", "features.99", "it has features, features.0, features.1, "),
        ("resnet18", "layer1.0.conv1", "is not a stage of backbone resnet18"),
    ],
)
def test_stages_that_do_not_exist(name: str, at: str, message: str) -> None:
    backbone = build_backbone(name, weights=None)
    with pytest.raises(BadOption, match=message):
        backbone.map_shape(64, 64, at=at)
    with pytest.raises(BadOption, match="freeze_until="):
        backbone.freeze_until(at)


def test_networks_without_feature_maps_cannot_attend() -> None:
    with pytest.raises(BadOption, match="vit_b_32 has no feature maps to attend to; take another backbone, or attent"):
        build_backbone("vit_b_32", weights=None).map_shape(224, 224, at=None)
    swin = build_backbone("swin_t", weights=None)
    assert swin.map_shape(96, 96, at=None) == (768, 3, 3)
    with pytest.raises(BadOption, match="swin_t has no feature maps to attend to inside; omit attention_at"):
        swin.map_shape(96, 96, at="features.1")


def test_private_layers_are_the_networks_second_ones() -> None:
    """S §3.4: VGG-16's fc7, its weights with it; a copy for every task. Most networks have none."""
    torch.manual_seed(1)
    vgg = build_backbone("vgg11", weights=None)
    (first, width), (second, _) = (vgg.private_layers(4096, None, dropout=0.2) for _ in range(2))
    assert [type(layer) for layer in first] == [nn.Linear, nn.ReLU, nn.Dropout] and width == 4096
    assert torch.equal(first[0].weight, second[0].weight) and first[0].weight is not second[0].weight
    assert first[2].p == 0.2 and vgg.private_layers(4096, None, dropout=None)[0][2].p == 0.5
    assert not any("private" in name for name in vgg.state_dict())
    assert vgg.private_layers(4096, 0, dropout=None)[1] == 4096 and not len(
        vgg.private_layers(4096, 0, dropout=None)[0]
    )
    layers, width = vgg.private_layers(32, 8, dropout=None)
    assert width == 8 and layers[0].weight.shape == (8, 32)
    assert vgg.private_layers(32, None, dropout=None)[1] == 32  # embed changed the width: the network's own do not fit
    assert build_backbone("alexnet", weights=None).private_layers(4096, None, dropout=None)[1] == 4096
    for name in ("resnet18", "mobilenet_v2", "mobilenet_v3_small", "squeezenet1_1"):
        backbone = build_backbone(name, weights=None)
        assert backbone.private_layers(backbone.width, None, dropout=None)[1] == backbone.width and not backbone.private


def test_private_layers_start_from_the_weights_file(tmp_path: object) -> None:
    """Trunk, neck and private layers compute what the whole network computes before its last layer."""
    import torchvision

    torch.manual_seed(2)
    whole = torchvision.models.alexnet(weights=None).eval()  # VGG's head, and half as many weights
    path = tmp_path / "alexnet.pth"  # type: ignore[operator]
    torch.save(whole.state_dict(), path)
    backbone = build_backbone("alexnet", weights=str(path)).eval()
    private = backbone.private_layers(4096, None, dropout=None)[0].eval()
    images_BCHW = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        scores_BC = whole.classifier[6](private(backbone(images_BCHW)))
        torch.testing.assert_close(scores_BC, whole(images_BCHW))
