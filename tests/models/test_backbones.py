"""Backbones by name, and what their libraries state about them."""

from __future__ import annotations

import pytest

from prodrec.core.base.errors import BadOption
from prodrec.models.backbone_source import BackboneSource, library_of, source_message, use_source
from prodrec.models.backbones import build_backbone, describe_source
from prodrec.models.families import make_recipe

SOURCE = BackboneSource("160", (0.5, 0.4, 0.3), (0.2, 0.2, 0.1), "cc-by-nc-4.0", "https://huggingface.co/timm/x")


def test_names_have_the_prefix_of_their_library() -> None:
    assert library_of("timm:resnet50") == "timm" and library_of("open_clip:ViT-B-32") == "open_clip"
    assert library_of("resnet50") is None and library_of("keras:resnet50") is None
    with pytest.raises(BadOption, match="backbone=keras:resnet50 is no torchvision classification network"):
        build_backbone("keras:resnet50", weights=None)
    assert describe_source("resnet50", "imagenet") is None


def test_a_library_that_is_not_installed_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prodrec.models.backbones.find_spec", lambda _: None)
    for library in ("timm", "open_clip"):
        with pytest.raises(BadOption, match=rf'needs {library}, which .*: pip install "prodrec\[backbones\]"\.'):
            build_backbone(f"{library}:resnet50", weights=None)


def test_feature_vectors_take_no_backbone_of_a_library() -> None:
    with pytest.raises(BadOption, match="backbone=timm:x is for photos, and this dataset contains feature vectors"):
        build_backbone("timm:x", weights=None, feature_width=8)


def test_photos_are_normalised_as_the_library_does_unless_the_user_decides() -> None:
    recipe = make_recipe("visual", {"image_size": "96"})
    own, keys = use_source(recipe, SOURCE, explicit=["image_size"])
    assert keys == ["mean", "std"] and own.photos.image_size == "96"
    assert own.photos.mean == (0.5, 0.4, 0.3) and own.photos.std == (0.2, 0.2, 0.1)
    assert use_source(recipe, SOURCE, explicit=[])[0].photos.image_size == "160"
    assert use_source(recipe, None, explicit=[]) == (recipe, [])


def test_licence_and_origin_are_reported() -> None:
    recipe = use_source(make_recipe("visual", {"backbone": "timm:x"}), SOURCE, explicit=[])[0]
    assert source_message(recipe, SOURCE) == (
        "backbone timm:x: weights from https://huggingface.co/timm/x, licence: cc-by-nc-4.0; photos of 160 pixels, "
        "mean 0.5,0.4,0.3, std 0.2,0.2,0.1"
    )
    unknown = BackboneSource("160", SOURCE.mean, SOURCE.std, None, None)
    assert "licence: not stated by the library" in source_message(recipe, unknown)
    assert SOURCE.as_json() == {"weights_from": "https://huggingface.co/timm/x", "licence": "cc-by-nc-4.0"}
