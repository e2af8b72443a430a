"""open_clip's image towers as backbones. All weights are random; checkpoints are written here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

open_clip = pytest.importorskip("open_clip")

from prodrec.core.base.errors import BadOption, Mismatch, ProdrecError  # noqa: E402
from prodrec.models.backbones import build_backbone, describe_source  # noqa: E402

TEXT = {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
VISION = {
    "tiny-resnet": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 16, "patch_size": None},
    "tiny-timm": {
        "image_size": 64,
        "timm_model_name": "test_convnext",
        "timm_model_pretrained": False,
        "timm_pool": "",
        "timm_proj": "linear",
        "timm_drop": 0.0,
        "timm_drop_path": 0.1,
    },
    "tiny-timm-vit": {"image_size": 160, "timm_model_name": "test_vit", "timm_pool": "token", "timm_proj": "linear"},
}


@pytest.fixture(scope="module", autouse=True)
def more_models(tmp_path_factory: pytest.TempPathFactory, tiny_open_clip: str) -> None:
    folder = tmp_path_factory.mktemp("models")
    for name, vision in VISION.items():
        config = {"embed_dim": 16, "vision_cfg": vision, "text_cfg": TEXT}
        (folder / f"{name}.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder)


def model_of(name: str) -> Any:
    torch.manual_seed(5)
    return open_clip.create_model(name, pretrained_text=False).eval()


@pytest.mark.parametrize("name", ["tiny", *VISION])
def test_the_visual_feature_is_the_image_embedding(name: str, tmp_path: Path) -> None:
    model = model_of(name)
    torch.save({"state_dict": {f"module.{key}": value for key, value in model.state_dict().items()}}, tmp_path / "w.pt")
    backbone = build_backbone(f"open_clip:{name}", weights=str(tmp_path / "w.pt")).eval()
    side = 160 if name == "tiny-timm-vit" else 64
    photos_BCHW = torch.randn(2, 3, side, side)
    with torch.no_grad():
        torch.testing.assert_close(backbone(photos_BCHW), model.encode_image(photos_BCHW), rtol=1e-4, atol=1e-5)
    assert backbone.width == 16 and not any("text" in key for key in backbone.state_dict())
    if name in ("tiny-resnet", "tiny-timm"):
        assert backbone.map_shape(64, 64, at=None)[1:] == (2, 2)
    else:
        with pytest.raises(BadOption, match="has no feature maps to attend to; take another backbone"):
            backbone.map_shape(side, side, at=None)


@pytest.mark.parametrize("name", ["tiny", "tiny-timm-vit"])
def test_a_transformer_is_adapted_to_the_size_of_photos(name: str, tmp_path: Path) -> None:
    torch.save(model_of(name).state_dict(), tmp_path / "w.pt")
    backbone = build_backbone(f"open_clip:{name}", weights=str(tmp_path / "w.pt"), photo_size=(48, 96))
    assert backbone(torch.randn(2, 3, 48, 96)).shape == (2, 16)


def test_stages_of_a_tower_are_frozen() -> None:
    backbone = build_backbone("open_clip:tiny", weights=None)
    backbone.freeze_until("transformer.resblocks.1")
    trained = {name for name, parameter in backbone.named_parameters() if parameter.requires_grad}
    assert {name for name in trained if "resblocks" not in name} == {
        "trunk.ln_post.weight",
        "trunk.ln_post.bias",
        "neck.projection.weight",
    }
    assert {name.split(".")[3] for name in trained if "resblocks" in name} == {"2"}


def test_weights_of_another_model_and_of_a_run(tmp_path: Path) -> None:
    torch.save(model_of("tiny-resnet").state_dict(), tmp_path / "w.pt")
    with pytest.raises(Mismatch, match=r"w\.pt are not those of open_clip:tiny: it lacks visual\.class_embedding, "):
        build_backbone("open_clip:tiny", weights=str(tmp_path / "w.pt"))
    source = build_backbone("open_clip:tiny", weights=None)
    save_file({f"backbone.{key}": value for key, value in source.state_dict().items()}, tmp_path / "model.safetensors")
    backbone = build_backbone("open_clip:tiny", weights=str(tmp_path))
    assert all(torch.equal(value, source.state_dict()[key]) for key, value in backbone.state_dict().items())


def test_published_weights_are_loaded_by_open_clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole way of open_clip's loading, with a file in place of the download."""
    torch.manual_seed(5)
    model = open_clip.create_model("ViT-S-32-alt", pretrained_text=False)
    torch.save(model.state_dict(), tmp_path / "w.pt")
    config = {"hf_hub": "someone/vit/", "mean": (0.5, 0.4, 0.3), "std": (0.2, 0.2, 0.2), "quick_gelu": False}
    for module in ("open_clip.pretrained", "open_clip.factory"):
        monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "ViT-S-32-alt", {"laion": config})
        monkeypatch.setattr(f"{module}.download_pretrained", lambda *_, **__: str(tmp_path / "w.pt"))
    for weights in ("imagenet", "laion"):
        backbone = build_backbone("open_clip:ViT-S-32-alt", weights=weights)
        assert torch.equal(backbone.state_dict()["trunk.conv1.weight"], model.visual.conv1.weight)
    source = describe_source("open_clip:ViT-S-32-alt", "laion")
    assert source is not None and source.mean == (0.5, 0.4, 0.3) and source.licence is None
    assert source.origin == "https://huggingface.co/someone/vit"

    def offline(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr("open_clip.factory.download_pretrained", offline)
    with pytest.raises(
        ProdrecError, match=r"laion of open_clip:ViT-S-32-alt could not .*no route to host.*weights=FILE"
    ):
        build_backbone("open_clip:ViT-S-32-alt", weights="imagenet")


def test_names_and_weights_that_do_not_exist() -> None:
    with pytest.raises(BadOption, match=r"open_clip:ViT-B-33 is no model of open_clip .*\(did you mean ViT-B-32\?\)"):
        build_backbone("open_clip:ViT-B-33", weights=None)
    with pytest.raises(BadOption, match="open_clip:roberta-ViT-B-32 is no model of open_clip that prodrec can use"):
        build_backbone("open_clip:roberta-ViT-B-32", weights=None)
    with pytest.raises(
        BadOption, match="open_clip publishes no weights of tiny; give a weights file with --set weights"
    ):
        build_backbone("open_clip:tiny", weights="imagenet")
