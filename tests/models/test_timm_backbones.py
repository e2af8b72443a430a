"""timm's networks as backbones. All weights are random; files are written here, because nothing can be downloaded."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

timm = pytest.importorskip("timm")

from prodrec.core.base.errors import BadOption, Mismatch, NotFound, ProdrecError  # noqa: E402
from prodrec.models.backbones import build_backbone, describe_source  # noqa: E402
from prodrec.models.timm_backbones import IN_ORDER, set_constants  # noqa: E402

SMALL = {  # a small network of each class in IN_ORDER that is quick to build
    "ByobNet": "test_byobnet",
    "ConvNeXt": "test_convnext",
    "CspNet": "cs3darknet_focus_s",
    "DenseNet": "densenet121",
    "EdgeNeXt": "edgenext_xx_small",
    "EfficientNet": "test_efficientnet",
    "EfficientVit": "efficientvit_b0",
    "FastVit": "fastvit_t8",
    "GhostNet": "ghostnet_050",
    "HighPerfGpuNet": "hgnetv2_b0",
    "MaxxVit": "test_coatnet",
    "MetaFormer": "poolformerv2_s12",
    "MobileNetV3": "mobilenetv4_conv_small",
    "NormFreeNet": "test_nfnet",
    "RDNet": "rdnet_tiny",
    "RegNet": "regnetx_002",
    "ResNet": "test_resnet",
    "ResNetV2": "resnetv2_18",
    "RexNet": "rexnet_100",
    "StarNet": "starnet_s050",
    "TinyVit": "tiny_vit_5m_224",
    "VovNet": "ese_vovnet19b_dw",
}
WITHOUT_MAPS = ("test_vit", "test_mambaout", "eva02_tiny_patch14_224", "swin_tiny_patch4_window7_224", "levit_128s")


def network_of(name: str) -> nn.Module:
    torch.manual_seed(5)
    network: nn.Module = timm.create_model(name).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):  # give them an effect, so that a wrong order is noticed
            assert module.running_mean is not None
            module.running_mean.uniform_(-0.2, 0.2)
            module.bias.data.uniform_(-0.2, 0.2)
    return network


def test_every_class_that_is_split_has_a_network_here() -> None:
    assert set(SMALL) == IN_ORDER


@pytest.mark.parametrize("name", [*SMALL.values(), *WITHOUT_MAPS])
def test_trunk_and_neck_compute_what_timm_computes(name: str, tmp_path: Path) -> None:
    whole = network_of(name)
    torch.save(whole.state_dict(), tmp_path / "weights.pth")
    backbone = build_backbone(f"timm:{name}", weights=str(tmp_path / "weights.pth")).eval()
    side = whole.pretrained_cfg["input_size"][-1]
    photos_BCHW = torch.randn(1, 3, side, side)
    with torch.no_grad():
        maps = whole.forward_features(photos_BCHW)
        own = backbone.maps(photos_BCHW)
        torch.testing.assert_close(backbone.neck(own), whole.forward_head(maps, pre_logits=True), rtol=1e-3, atol=1e-4)
    assert backbone(photos_BCHW).shape == (1, backbone.width)
    if name in WITHOUT_MAPS:
        assert own.shape == (1, backbone.width)
        with pytest.raises(BadOption, match=f"timm:{name} has no feature maps to attend to; take another backbone"):
            backbone.map_shape(side, side, at=None)
    else:
        assert type(whole).__name__ in IN_ORDER
        torch.testing.assert_close(own, maps, rtol=1e-3, atol=1e-4)


def test_stages_can_be_run_in_two_parts_and_frozen() -> None:
    backbone = build_backbone("timm:test_convnext", weights=None).eval()
    photos_BCHW = torch.randn(2, 3, 64, 64)
    inner = backbone.maps(photos_BCHW, until="stages.1")
    torch.testing.assert_close(backbone.maps_after(inner, "stages.1"), backbone.maps(photos_BCHW))
    assert backbone.map_shape(64, 64, at="stages.1") == tuple(inner.shape[1:])
    vit = build_backbone("timm:test_vit", weights=None)
    vit.freeze_until("blocks.2")
    frozen = {name for name, parameter in vit.named_parameters() if not parameter.requires_grad}
    assert {"trunk.cls_token", "trunk.pos_embed", "trunk.patch_embed.proj.weight"} < frozen
    assert {name.split(".")[2] for name in frozen if ".blocks." in name} == {"0", "1", "2"}
    assert "trunk.norm.weight" not in frozen
    with pytest.raises(BadOption, match=r"freeze_until=blocks.99 is not a stage of backbone timm:test_vit"):
        vit.freeze_until("blocks.99")


def test_a_transformer_is_adapted_to_the_size_of_photos(tmp_path: Path) -> None:
    whole = network_of("test_vit")
    torch.save(whole.state_dict(), tmp_path / "weights.pth")
    backbone = build_backbone("timm:test_vit", weights=str(tmp_path / "weights.pth"), photo_size=(64, 48))
    assert backbone(torch.randn(2, 3, 64, 48)).shape == (2, 64)
    assert torch.equal(backbone.state_dict()["trunk.blocks.0.attn.qkv.weight"], whole.blocks[0].attn.qkv.weight)
    deit = build_backbone("timm:deit_tiny_patch16_224", weights=None, photo_size=(64, 64))
    deit.check_photo_size(64, 64)
    with pytest.raises(BadOption, match="deit_tiny_patch16_224 cannot take photos of 96x96: Input height"):
        deit.check_photo_size(96, 96)
    with pytest.raises(
        BadOption, match=r"mvitv2_tiny cannot be built for photos of 96x80 .* own size is image_size=224"
    ):
        build_backbone("timm:mvitv2_tiny", weights=None, photo_size=(96, 80))


def test_weights_from_files(tmp_path: Path) -> None:
    torch.save(network_of("test_resnet").state_dict(), tmp_path / "resnet.pth")
    with pytest.raises(Mismatch, match=r"resnet\.pth are not those of timm:test_vit: it lacks cls_token, "):
        build_backbone("timm:test_vit", weights=str(tmp_path / "resnet.pth"))
    with pytest.raises(NotFound, match=r"weights file nowhere\.pth does not exist"):
        build_backbone("timm:test_vit", weights="nowhere.pth")
    seven: nn.Module = timm.create_model("test_resnet", num_classes=7)
    torch.save({"state_dict": seven.state_dict()}, tmp_path / "seven.pth")
    backbone = build_backbone("timm:test_resnet", weights=str(tmp_path / "seven.pth"))
    assert torch.equal(backbone.state_dict()["trunk.conv1.0.weight"], seven.state_dict()["conv1.0.weight"])


def test_weights_of_a_run(tmp_path: Path) -> None:
    source = build_backbone("timm:test_vit", weights=None)
    save_file({f"backbone.{key}": value for key, value in source.state_dict().items()}, tmp_path / "model.safetensors")
    backbone = build_backbone("timm:test_vit", weights=str(tmp_path))
    assert all(torch.equal(value, source.state_dict()[key]) for key, value in backbone.state_dict().items())
    with pytest.raises(Mismatch, match=r"the backbone of the run .* is not timm:test_resnet"):
        build_backbone("timm:test_resnet", weights=str(tmp_path))


def test_published_weights_are_loaded_by_timm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole way of timm's loading, with a file in place of the download."""
    whole = network_of("test_resnet")
    asked: list[str] = []

    def from_hub(hub_id: str, *_: object, **__: object) -> dict[str, torch.Tensor]:
        asked.append(hub_id)
        return dict(whole.state_dict())

    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", from_hub)
    for name, weights in (
        ("test_resnet", "imagenet"),
        ("test_resnet.r160_in1k", "imagenet"),
        ("test_resnet", "r160_in1k"),
    ):
        backbone = build_backbone(f"timm:{name}", weights=weights)
        assert torch.equal(backbone.state_dict()["trunk.layer4.0.conv1.weight"], whole.layer4[0].conv1.weight)
    assert asked == ["timm/test_resnet.r160_in1k"] * 3
    build_backbone("timm:test_resnet", weights="imagenet", load_weights=False)
    assert len(asked) == 3


def test_a_failed_download_names_the_remedies(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", offline)
    with pytest.raises(
        ProdrecError, match=r"timm:test_vit could not be loaded \(no route to host\); give .* weights=FILE"
    ):
        build_backbone("timm:test_vit", weights="imagenet")


def test_unknown_names_fail_with_the_nearest() -> None:
    with pytest.raises(BadOption, match=r"backbone=timm:test_vitt is no network of timm \(did you mean test_vit\?\)"):
        build_backbone("timm:test_vitt", weights=None)
    with pytest.raises(BadOption, match=r"test_resnet has no weights 'r161_in1k' \(did you mean r160_in1k\?\)"):
        build_backbone("timm:test_resnet.r161_in1k", weights=None)


def test_timm_states_size_normalisation_and_licence() -> None:
    source = describe_source("timm:vit_tiny_patch16_224", "imagenet")
    assert source is not None and source.image_size == "224" and source.mean == source.std == (0.5, 0.5, 0.5)
    assert source.licence == "apache-2.0"
    assert source.origin == "https://huggingface.co/timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k"
    source = describe_source("timm:convnextv2_tiny", "fcmae")
    assert source is not None and source.licence == "cc-by-nc-4.0" and source.origin.endswith("convnextv2_tiny.fcmae")
    source = describe_source("timm:test_vit", "weights.pth")
    assert source is not None and source.image_size == "160" and source.origin is None


@pytest.mark.parametrize("name", ["swin_tiny_patch4_window7_224", "eva02_tiny_patch14_224", "test_maxvit"])
def test_constants_outside_of_the_state_dict_are_computed_anew(name: str) -> None:
    """A saved network is built on torch's device `meta`, where tables of positions have no values."""
    backbone = build_backbone(f"timm:{name}", weights=None).eval()
    with torch.device("meta"):
        restored = build_backbone(f"timm:{name}", weights=None, load_weights=False)
    restored.load_state_dict(backbone.state_dict(), assign=True)
    assert any(buffer.is_meta for buffer in restored.buffers())
    set_constants(restored)
    side = timm.get_pretrained_cfg(name).input_size[-1]
    photos_BCHW = torch.randn(1, 3, side, side)
    with torch.no_grad():
        torch.testing.assert_close(restored.eval()(photos_BCHW), backbone(photos_BCHW))
