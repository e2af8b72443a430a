from __future__ import annotations

import urllib.error
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn

from prodrec.core.base.errors import BadOption, Mismatch, NotFound, ProdrecError
from prodrec.models.torchvision_backbones import RescaleChannels, build_backbone, known_backbones

# One small network of every class in torchvision, and the dropped layers of its head.
ONE_OF_EACH = {
    "alexnet": ("AlexNet", "classifier.3:"),
    "convnext_tiny": ("ConvNeXt", "classifier.2"),
    "densenet121": ("DenseNet", "classifier"),
    "efficientnet_b0": ("EfficientNet", "classifier.1"),
    "googlenet": ("GoogLeNet", "fc"),
    "inception_v3": ("Inception3", "fc"),
    "maxvit_t": ("MaxVit", "classifier.5"),
    "mnasnet0_5": ("MNASNet", "classifier.1"),
    "mobilenet_v2": ("MobileNetV2", "classifier.1"),
    "mobilenet_v3_small": ("MobileNetV3", "classifier.3"),
    "regnet_x_400mf": ("RegNet", "fc"),
    "resnet18": ("ResNet", "fc"),
    "shufflenet_v2_x0_5": ("ShuffleNetV2", "fc"),
    "squeezenet1_1": ("SqueezeNet", "classifier"),
    "swin_t": ("SwinTransformer", "head"),
    "vgg11": ("VGG", "classifier.3:"),
    "vit_b_32": ("VisionTransformer", "heads.head"),
}


def torchvision_network(name: str, **options: Any) -> nn.Module:
    torch.manual_seed(5)
    if name in ("googlenet", "inception_v3"):
        options |= {"aux_logits": False, "init_weights": False}
    network: nn.Module = torchvision.models.get_model(name, weights=None, **options)
    return network.eval()


def randomise_batch_norms(network: nn.Module) -> None:
    """Give the batch norms an effect, without which a test might not notice parts in a wrong order."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2)
            module.bias.data.uniform_(-0.2, 0.2)


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_parts_compute_what_the_whole_computes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kind, dropped = ONE_OF_EACH[name]
    whole = torchvision_network(name)
    randomise_batch_norms(whole)
    assert type(whole).__name__ == kind
    side = 224 if name.startswith(("vit", "maxvit")) else 96
    photos = torch.randn(1, 3, side, side)
    with torch.no_grad():
        expected = whole(photos)
        head, _, rest = dropped.partition(".")
        last: nn.Module = getattr(whole, head)
        if rest.endswith(":"):
            assert isinstance(last, nn.Sequential)
            last = last[int(rest[:-1]) :]
        elif rest:
            last = last.get_submodule(rest)
        monkeypatch.setattr("prodrec.models.torchvision_backbones._torchvision_network", lambda *_: whole)
        backbone = build_backbone(name, weights=None).eval()
        maps_BDHW = backbone.maps(photos)
        feature_BD = backbone.neck(maps_BDHW)
        scores = last(maps_BDHW).flatten(1) if name == "squeezenet1_1" else last(feature_BD)
    torch.testing.assert_close(scores, expected, rtol=1e-4, atol=1e-5)
    assert feature_BD.shape == (1, backbone.width)
    assert maps_BDHW.ndim == (2 if kind == "VisionTransformer" else 4)


def test_every_class_of_torchvision_is_covered() -> None:
    kinds = {module.__name__ for module in vars(torchvision.models).values() if isinstance(module, type)}
    covered = {kind for kind, _ in ONE_OF_EACH.values()}
    assert covered <= kinds
    families = {name.split("_")[0].rstrip("0123456789") for name in known_backbones()}
    same = {"resnext": "resnet", "wide": "resnet", "inception": "inception"}
    known = {name.split("_")[0].rstrip("0123456789") for name in ONE_OF_EACH}
    assert {same.get(family, family) for family in families} == known


@pytest.mark.parametrize(
    "name", ["resnet18", "mobilenet_v2", "squeezenet1_1", "shufflenet_v2_x0_5", "densenet121", "vgg11"]
)
@pytest.mark.parametrize("size", [(96, 80), (32, 40)])
def test_photos_of_other_sizes(name: str, size: tuple[int, int]) -> None:
    backbone = build_backbone(name, weights=None).eval()
    with torch.no_grad():
        assert backbone(torch.randn(2, 3, *size)).shape == (2, backbone.width)


def test_photo_sizes_that_do_not_fit_are_refused() -> None:
    vit = build_backbone("vit_b_32", weights=None)
    with pytest.raises(BadOption, match="vit_b_32 takes photos of 224x224 only, not 96x80: use image_size=224"):
        vit(torch.zeros(1, 3, 96, 80))
    inception = build_backbone("inception_v3", weights=None)
    inception.train()
    with pytest.raises(BadOption, match="inception_v3 cannot take photos of 32x32: "):
        inception.check_photo_size(32, 32)
    assert inception.training
    inception.check_photo_size(96, 96)


def test_unknown_names_fail_with_the_nearest() -> None:
    with pytest.raises(BadOption, match=r"backbone=resnet_50 is no .* \(did you mean resnet50\?\)"):
        build_backbone("resnet_50", weights=None)
    with pytest.raises(BadOption, match="no torchvision classification network"):
        build_backbone("fasterrcnn_resnet50_fpn", weights=None)


def saved(network: nn.Module, path: Path) -> Path:
    torch.save(network.state_dict(), path)
    return path


@pytest.mark.parametrize("classes", [1000, 7])
def test_weights_from_a_file(tmp_path: Path, classes: int) -> None:
    whole = torchvision_network("shufflenet_v2_x0_5", num_classes=classes)
    path = saved(whole, tmp_path / "weights.pth")
    backbone = build_backbone("shufflenet_v2_x0_5", weights=str(path)).eval()
    whole.fc = nn.Identity()
    photos = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(backbone(photos), whole(photos))


def test_weights_without_a_classifier(tmp_path: Path) -> None:
    state = torchvision_network("squeezenet1_1").state_dict()
    headless = {key: value for key, value in state.items() if not key.startswith("classifier")}
    torch.save(headless, tmp_path / "weights.pth")
    backbone = build_backbone("squeezenet1_1", weights=str(tmp_path / "weights.pth"))
    assert torch.equal(backbone.state_dict()["trunk.features.0.weight"], state["features.0.weight"])


def test_weights_of_another_network(tmp_path: Path) -> None:
    path = saved(torchvision_network("squeezenet1_0"), tmp_path / "weights.pth")
    with pytest.raises(Mismatch, match=r"are not those of squeezenet1_1: it lacks features\.6\.squeeze\.weight, "):
        build_backbone("squeezenet1_1", weights=str(path))
    torch.save({f"other{number}": torch.zeros(2) for number in range(9)}, path)
    with pytest.raises(Mismatch, match=r"it lacks .* and \d+ more; it has unknown other0, other1, other2 and 6 more"):
        build_backbone("resnet18", weights=str(path))
    build_backbone("resnet18", weights=str(path), load_weights=False)


def test_weights_of_a_run(tmp_path: Path) -> None:
    source = build_backbone("squeezenet1_1", weights=None)
    state = {f"backbone.{key}": value for key, value in source.state_dict().items()}
    save_file({**state, "classifier.weight": torch.zeros(5, 512)}, tmp_path / "model.safetensors")
    backbone = build_backbone("squeezenet1_1", weights=str(tmp_path / "model.safetensors"))
    assert all(torch.equal(value, source.state_dict()[key]) for key, value in backbone.state_dict().items())
    build_backbone("squeezenet1_1", weights=str(tmp_path))
    with pytest.raises(Mismatch, match=r"the backbone of the run .* is not resnet18: it lacks trunk\.conv1\.weight"):
        build_backbone("resnet18", weights=str(tmp_path / "model.safetensors"))


def test_a_failed_download_names_the_remedies(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", offline)
    with pytest.raises(ProdrecError, match=r"resnet18 could not be downloaded .*no route to host.* --set weights=FILE"):
        build_backbone("resnet18", weights="imagenet")


def test_imagenet_weights_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = torchvision_network("mnasnet0_5")
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", lambda *_, **__: whole.state_dict())
    backbone = build_backbone("mnasnet0_5", weights="imagenet")
    assert torch.equal(backbone.state_dict()["trunk.layers.0.weight"], whole.state_dict()["layers.0.weight"])


def test_weights_are_chosen_by_their_torchvision_name(monkeypatch: pytest.MonkeyPatch) -> None:
    urls = []
    whole = torchvision_network("mobilenet_v3_small")

    def download(url: str, *_: object, **__: object) -> dict[str, torch.Tensor]:
        urls.append(url)
        return whole.state_dict()

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", download)
    build_backbone("mobilenet_v3_small", weights="IMAGENET1K_V1")
    assert urls == [torchvision.models.MobileNet_V3_Small_Weights.IMAGENET1K_V1.url]
    first, second = (torchvision.models.ResNet50_Weights[name].url for name in ("IMAGENET1K_V1", "IMAGENET1K_V2"))
    whole = torchvision_network("resnet50")
    build_backbone("resnet50", weights="IMAGENET1K_V1")
    build_backbone("resnet50", weights="imagenet")
    assert urls[1:] == [first, second]
    with pytest.raises(NotFound):
        build_backbone("mobilenet_v3_small", weights="IMAGENET1K_V2")


def test_inception_weights_expect_another_normalisation() -> None:
    """The pretrained GoogLeNet and Inception of torchvision set transform_input."""
    photos = torch.randn(2, 3, 8, 8)
    whole = torchvision_network("googlenet", transform_input=True)
    assert callable(whole._transform_input)
    torch.testing.assert_close(RescaleChannels()(photos), whole._transform_input(photos))
    names = [
        name for name, _ in build_backbone("googlenet", weights="imagenet", load_weights=False).trunk.named_children()
    ]
    assert names[:2] == ["rescale", "conv1"]
    assert "rescale" not in dict(build_backbone("googlenet", weights=None).trunk.named_children())


def run_in_training(backbone: nn.Module) -> dict[str, Tensor]:
    backbone.train()
    backbone(torch.randn(4, 3, 64, 64)).sum().backward()
    return {key: value.clone() for key, value in backbone.state_dict().items() if "running" in key}


@pytest.mark.parametrize("affine", [True, False])
def test_frozen_batch_norm(affine: bool) -> None:
    backbone = build_backbone("shufflenet_v2_x0_5", weights=None)
    randomise_batch_norms(backbone)
    before = {key: value.clone() for key, value in backbone.state_dict().items() if "running" in key}
    backbone.freeze_batch_norm(affine=affine)
    after = run_in_training(backbone)
    assert before and all(torch.equal(before[key], after[key]) for key in before)
    norms = [module for module in backbone.modules() if isinstance(module, nn.BatchNorm2d)]
    assert all(not norm.training and (norm.weight.grad is not None) == affine for norm in norms)
    assert backbone.training and backbone.trunk.training


def test_batch_norm_moves_unless_frozen() -> None:
    backbone = build_backbone("shufflenet_v2_x0_5", weights=None)
    before = {key: value.clone() for key, value in backbone.state_dict().items() if "running" in key}
    after = run_in_training(backbone)
    assert not any(torch.equal(before[key], after[key]) for key in before)


def test_dropout_of_the_neck_is_replaced() -> None:
    backbone = build_backbone("mobilenet_v3_small", weights=None)
    keys = list(backbone.state_dict())
    backbone.replace_dropout(0.25)
    shares = [module.p for module in backbone.neck.modules() if isinstance(module, nn.Dropout)]
    assert shares == [0.25] and list(backbone.state_dict()) == keys


def test_real_weights_of_mobilenet_v2(real_data: Path) -> None:
    path = real_data / "mobilenet_v2-imagenet" / "mobilenet_v2_imagenet.pth"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    state = torch.load(path, weights_only=True)
    backbone = build_backbone("mobilenet_v2", weights=str(path)).eval()
    loaded = backbone.state_dict()["trunk.features.18.0.weight"]
    assert loaded.dtype == torch.float32 and torch.equal(loaded, state["features.18.0.weight"].float())
    with torch.no_grad():
        features = backbone(torch.randn(2, 3, 96, 80))
    assert features.shape == (2, 1280) and features.std() > 0.05
