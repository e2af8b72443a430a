from __future__ import annotations

import numpy as np
import pytest
import torch

from prodrec.core.base.errors import BadOption
from prodrec.core.base.taxonomy import Taxonomy
from prodrec.models.adapt import adapt_recipe
from prodrec.models.assemble import build_network
from prodrec.models.families import FAMILIES, make_recipe
from prodrec.models.word_targets import WordTargets


@pytest.mark.parametrize("name", [name for name, row in FAMILIES.items() if "attention" not in row.network])
def test_families_take_vectors_in_place_of_photos(name: str, taxonomy: Taxonomy, attributes: tuple, make_batch) -> None:
    """The backbone returns its input: features, loss and gradient need no part for photos."""
    adapted = adapt_recipe(make_recipe(name), "features").network
    assert (adapted.backbone, adapted.weights) == ("features", None)
    network = build_network(
        adapted
        if adapted.titles is None
        else adapt_recipe(
            make_recipe(name, {} if name == "titled" else {"word_vectors": "random"}), "features"
        ).network,
        taxonomy=taxonomy,
        attributes=attributes,
        words=30,
        word_targets=WordTargets(np.arange(-1, 30), np.ones(30, np.float32)),
        feature_width=12,
    ).eval()
    batch = make_batch(6)
    batch.inputs = torch.randn(6, 12)
    batch.tokens_BT %= 31
    assert torch.equal(network.score(batch).features_BD, batch.inputs)
    network.loss(batch).total.backward()
    assert all(parameter.grad is not None for parameter in network.heads.parameters())
    assert not list(network.backbone.parameters())


def test_explicit_settings_stay() -> None:
    adapted = adapt_recipe(
        make_recipe("sicot", {"embed": 64, "lr": 0.3, "dropout": 0.2}), "features", explicit=("embed", "lr", "dropout")
    )
    assert (adapted.network.embed, adapted.network.dropout, adapted.training.lr) == (64, 0.2, 0.3)
    assert adapt_recipe(make_recipe("sicot"), "photos") == make_recipe("sicot")
    assert adapt_recipe(adapted, "features") == adapted
    settings = {"backbone": "features", "weights": "none"}
    assert adapt_recipe(make_recipe("visual", settings), "features", explicit=settings).network.backbone == "features"


@pytest.mark.parametrize(
    ("family", "settings", "inputs", "message"),
    [
        ("visual", {"backbone": "resnet18"}, "features", "backbone=resnet18 is for photos, and shop contains feature"),
        ("visual", {"image_size": "64"}, "features", "image_size=64 is about photos"),
        ("visual", {"mirror": "no"}, "features", "mirror=false is about photos"),
        ("visual", {"weights": "imagenet"}, "features", "weights=imagenet is about photos"),
        ("visual", {"freeze_until": "layer2"}, "features", "freeze_until=layer2"),
        ("visual", {"backbone_lr_scale": "0.1"}, "features", "backbone_lr_scale=0.1"),
        ("visual", {"cache_frozen": "no"}, "features", "cache_frozen=no is about photos"),
        ("visual", {"cutmix": "1"}, "features", "cutmix=1.0 is about photos"),
        ("visual", {"rand_augment": "9"}, "features", "rand_augment=9.0 is about photos"),
        ("visual", {"lora_rank": "4"}, "features", "lora_rank=4"),
        ("visual", {"head_epochs": "1"}, "features", "head_epochs=1"),
        ("visual", {"layer_lr_decay": "0.8"}, "features", "layer_lr_decay=0.8"),
        ("sscnn", {}, "features", "take another family than sscnn"),
        (
            "visual",
            {"backbone": "features"},
            "photos",
            "backbone=features takes feature vectors, and shop contains photos",
        ),
    ],
)
def test_settings_without_effect_are_refused(family: str, settings: dict[str, str], inputs: str, message: str) -> None:
    with pytest.raises(BadOption, match=message):
        adapt_recipe(make_recipe(family, settings), inputs, explicit=settings, dataset="shop")


def test_the_backbone_must_fit_photos_or_vectors(taxonomy: Taxonomy) -> None:
    for name, width in (("features", None), ("squeezenet1_1", 12)):
        with pytest.raises(BadOption, match="datasets of feature vectors"):
            build_network(
                make_recipe("visual", {"backbone": name, "weights": "none"}).network,
                taxonomy=taxonomy,
                feature_width=width,
            )
