from __future__ import annotations

import json

import pytest

from prodrec.core.base.errors import BadOption
from prodrec.models.families import FAMILIES, Recipe, make_recipe


@pytest.mark.parametrize("name", FAMILIES)
def test_every_row_makes_a_recipe_that_survives_json(name: str) -> None:
    made = make_recipe(name, {"lr": "0.05", "image_size": "96x80", "embed": "64", "weights": "some.pth"})
    again = Recipe.from_json(json.loads(json.dumps(made.as_json())))
    assert again == made
    assert (again.training.lr, again.photos.width, again.network.embed) == (0.05, 80, 64)
    assert FAMILIES[name].paper and FAMILIES[name].summary


@pytest.mark.parametrize("name", ["visual", "sicot", "words", "titled"])
def test_paper_a_recipe(name: str) -> None:
    """A §4.3: ResNet-50 from ImageNet, SGD, batch 256, learning rate 0.1, times 0.8 every step (an epoch)."""
    made = make_recipe(name)
    assert (made.network.backbone, made.network.weights) == ("resnet50", "imagenet")
    assert (made.training.optimizer, made.training.batch_size, made.training.lr) == ("sgd", 256, 0.1)
    assert (made.training.schedule, made.training.decay_factor, made.training.decay_every) == ("step", 0.8, 1)
    assert made.network.titles == {"sicot": "bilinear", "titled": "tfidf"}.get(name)


def test_families_differ_by_titles_only() -> None:
    """A §4.3: baseline and co-training are trained with the same learning configuration."""
    visual, sicot = make_recipe("visual"), make_recipe("sicot", {"titles": "none"})
    assert (visual.network, visual.training, visual.photos) == (sicot.network, sicot.training, sicot.photos)
    words = make_recipe("words", {"heads": "leaf"})
    assert (visual.network, visual.training, visual.photos) == (words.network, words.training, words.photos)


def test_titles_are_not_mixed_away() -> None:
    with pytest.raises(BadOption, match="titles=bilinear does nothing with pair_probability=1"):
        make_recipe("sicot", {"mixup": "0.2", "pair_probability": "1"})
    assert make_recipe("visual", {"mixup": "0.2", "pair_probability": "1"}).training.pair_probability == 1


PAPER_S = {"bcnn": 0, "sscnn": 1, "bmtl-rl": 0, "bmtl-ca": 0, "ssmtl-rl": 1, "ssmtl-ca": 1}


@pytest.mark.parametrize("name", PAPER_S)
def test_paper_s_recipe(name: str) -> None:
    """S §4.2: VGG-16, SGD, momentum 0.9, weight decay 0.0005, one decay by 10; crop, mirror and deformation at 224."""
    made = make_recipe(name)
    assert (made.network.backbone, made.network.weights, made.network.attention is not None) == (
        "vgg16",
        "imagenet",
        bool(PAPER_S[name]),
    )
    training = made.training
    assert (training.optimizer, training.momentum, training.weight_decay) == ("sgd", 0.9, 0.0005)
    assert training.lr == (0.0001 if "mtl" in name else 0.001)
    assert (training.schedule, training.decay_factor, training.decay_every) == ("step", 0.1, training.epochs / 2)
    assert made.photos.height == 224 and made.photos.mirror and made.photos.deform > 0
    heads = {"cnn": ("leaf",), "-rl": ("root", "leaf"), "-ca": ("leaf", "attributes")}[name[-3:]]
    assert made.network.heads == heads
    assert dict(made.network.head_weights) == ({"root": 0.1} if name.endswith("-rl") else {})
    gammas = {"color": 0.5, "sleeve length": 0.3, "others": 0.1} if name.endswith("-ca") else {}
    assert dict(made.network.attribute_weights) == gammas


def test_both_papers_in_one_network() -> None:
    made = make_recipe(
        "ssmtl-ca", {"heads": "root,leaf,attributes", "titles": "bilinear", "attribute_weights": "colour:0.2"}
    )
    network = made.network
    assert (network.attention, network.titles, network.heads) == ("spatial", "bilinear", ("root", "leaf", "attributes"))
    assert network.attribute_weights == {"color": 0.5, "sleeve length": 0.3, "others": 0.1, "colour": 0.2}


def test_unknown_names_fail_with_the_nearest() -> None:
    with pytest.raises(BadOption, match=r"'sicott' is no model family \(did you mean sicot\?\)"):
        make_recipe("sicott")
    with pytest.raises(BadOption, match=r"config.toml: unknown key 'backbon' \(did you mean backbone\?\)"):
        make_recipe("visual", {"backbon": "resnet18"}, source="config.toml")
    with pytest.raises(BadOption, match="no model family"):
        Recipe.from_json({**make_recipe("visual").as_json(), "family": "other"})


def test_with_settings_leaves_the_original() -> None:
    made = make_recipe("sicot")
    changed = made.with_settings({"titles": "mean", "epochs": "2"}, source="--set")
    assert made.network.titles == "bilinear" and changed.network.titles == "mean" and changed.training.epochs == 2
