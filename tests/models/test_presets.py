"""The settings that presets choose, for machines and datasets of every kind; costs are computed by formulas."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from prodrec.core.base.errors import BadOption
from prodrec.models.families import FAMILIES, Recipe, make_recipe
from prodrec.models.presets import Chosen, choose_settings
from prodrec.models.situation import Budget, Choice, PhotoCost, Situation

from .drawn_machine import GIB, DrawnMachine

SHOP = Situation(train_photos=28_000, photo_size=(80, 60), same_aspect=True, gpu=False)


def choose(
    family: str = "visual",
    situation: Situation = SHOP,
    *,
    minutes: float = 20,
    is_limit: bool = True,
    speed: float = 1e6,
    **explicit: Any,
) -> tuple[Recipe, dict[str, Choice]]:
    recipe, budget = make_recipe(family, explicit), Budget(minutes, is_limit)
    chosen = choose_settings(recipe, explicit, situation, budget=budget, machine=DrawnMachine(speed))
    return chosen.recipe, {choice.key: choice for choice in chosen.choices}


def test_a_shop_on_a_small_machine() -> None:
    recipe, choices = choose()
    network, training = recipe.network, recipe.training
    assert (network.backbone, recipe.photos.image_size, training.batch_size) == ("mobilenet_v2", "128x96", 64)
    assert (network.freeze_until, recipe.photos.views) == ("features.10", 3)
    assert (training.optimizer, training.lr, training.schedule) == ("adamw", 0.001, "cosine")
    assert network.freeze_batch_norm and training.backbone_lr_scale == 0.3
    assert network.classifier_start == "class-means"
    seconds = 128 * 96 / 1e6
    cached, trained, recognised = (28_000 * share * seconds for share in (3 * 0.2, 0.25, 0.25))
    assert training.epochs == int((20 * 60 / 1.05 - cached - recognised) / trained) == 9
    assert training.warmup_epochs == 0.5 and all(choice.reason for choice in choices.values())
    assert str(choices["image_size"]).startswith("image_size=128x96: photos of 80x60 enlarged")


@pytest.mark.parametrize(
    ("minutes", "frozen", "views", "size", "epochs"),
    [
        (600, None, None, "128x96", 16),
        (40, None, None, "128x96", 6),
        (15, "features.10", 3, "128x96", 6),
        (12, "features.10", 2, "128x96", 5),
        (9, "features.14", 2, "128x96", 7),
        (5, "features.14", 2, "96x72", 7),
    ],
)
def test_less_time_freezes_more_and_then_takes_smaller_photos(
    minutes: float, frozen: str | None, views: int | None, size: str, epochs: int
) -> None:
    recipe, _ = choose(minutes=minutes)
    assert (recipe.network.freeze_until, recipe.photos.image_size) == (frozen, size)
    assert (recipe.photos.views, recipe.training.epochs) == (views, epochs)


@pytest.mark.parametrize(
    "explicit", [{"weights": "none"}, {"freeze_until": "features.14"}, {"views": "2"}, {"backbone": "resnet18"}]
)
def test_stages_are_not_frozen_against_the_user(explicit: dict[str, str]) -> None:
    recipe, choices = choose(minutes=8, **explicit)
    assert not choices.keys() & {"freeze_until", "views"}
    assert recipe.network.freeze_until == explicit.get("freeze_until")


def test_every_rank_trains_all_stages() -> None:
    assert choose(situation=replace(SHOP, ranks=2), minutes=8)[0].network.freeze_until is None


def test_photos_that_start_the_classifiers_and_validation_take_time() -> None:
    epochs = [
        choose(situation=replace(SHOP, **extra))[0].training.epochs
        for extra in ({}, {"start_photos": 28_000}, {"validation_photos": 6_000})
    ]
    assert epochs[0] > epochs[1] > epochs[2]


def test_classifiers_are_random_where_their_classes_are_not_seen() -> None:
    for explicit in ({"weights": "none"}, {"heads": "attributes"}):
        assert choose(**explicit)[0].network.classifier_start == "random"
    assert choose(situation=Situation(28_000, None, False, False), speed=1e9)[0].network.classifier_start == "random"


def test_explicit_settings_stay() -> None:
    recipe, choices = choose(lr="0.02", image_size="33", epochs="2.5", backbone="resnet18", crop_area="0.2,0.9")
    assert (recipe.training.lr, recipe.photos.image_size, recipe.training.epochs) == (0.02, "33", 2.5)
    assert recipe.network.backbone == "resnet18" and recipe.photos.crop_area == (0.2, 0.9)
    assert not choices.keys() & {"lr", "image_size", "epochs", "backbone", "crop_area"}


def test_sgd_keeps_the_rate_of_the_paper_in_proportion_to_the_batch() -> None:
    recipe, choices = choose(optimizer="sgd")
    assert recipe.training.lr == pytest.approx(0.1 * 64 / 256) and "momentum" not in choices


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_keeps_its_parts(family: str) -> None:
    paper, (recipe, _) = make_recipe(family).network, choose(family)
    assert recipe.family == family
    for part in ("attention", "heads", "head_weights", "attribute_weights", "titles"):
        assert getattr(recipe.network, part) == getattr(paper, part)


def test_titles() -> None:
    recipe, _ = choose("sicot")
    assert (recipe.network.word_dropout, recipe.network.title_loss_weight) == (0.5, 0.3)
    assert "word_dropout" not in choose("visual")[1]
    recipe, _ = choose("titled")
    assert (recipe.network.word_dropout, recipe.network.title_loss_weight, recipe.network.mixing) == (0, 1, "sum")


@pytest.mark.parametrize(
    ("photo_size", "same_aspect", "gpu", "expected"),
    [
        ((256, 256), True, False, "128"),
        ((256, 192), True, False, "148x111"),
        ((256, 340), False, False, "128"),
        ((256, 340), False, True, "224"),
        ((100, 60), False, False, "111"),
        ((60, 60), False, False, "111"),
        ((40, 30), True, False, "80x60"),
        ((90, 30), True, False, "180x60"),
        ((80, 20), True, False, "192x48"),
    ],
)
def test_photo_sizes(photo_size: tuple[int, int], same_aspect: bool, gpu: bool, expected: str) -> None:
    recipe, _ = choose(situation=Situation(5_000, photo_size, same_aspect, gpu), speed=1e9)
    assert recipe.photos.image_size == expected


def test_too_little_time_for_the_size_takes_smaller_photos() -> None:
    situation = Situation(28_000, (160, 160), same_aspect=True, gpu=False)
    recipes = [choose(situation=situation, speed=speed, weights="none")[0] for speed in (4e6, 1.8e6, 1e6, 4e5)]
    assert [recipe.photos.image_size for recipe in recipes] == ["128", "96", "64", "64"]
    assert [recipe.training.epochs for recipe in recipes] == [9, 7, 9, 3]


def test_a_busy_machine_still_trains_enough() -> None:
    """The time of a preset is no limit: four epochs remain."""
    recipe, choices = choose(speed=5e4, is_limit=False)
    assert (recipe.photos.image_size, recipe.training.epochs) == ("64x48", 4)
    assert "about 35 minutes here; fewer would leave" in choices["epochs"].reason
    assert choose(speed=1e5, minutes=10)[0].training.epochs == 1


def test_a_time_that_is_too_short_is_refused_with_the_time_that_is_not() -> None:
    with pytest.raises(BadOption, match=r"an epoch of 28,000 photos takes about 2\.3 minutes; give at least --time 3m"):
        choose(minutes=1, speed=4e5)
    recipe, _ = choose(minutes=3, speed=4e5)
    assert recipe.training.epochs == 1


@pytest.mark.parametrize(
    ("photos", "batch_size", "epochs"), [(28_000, 64, 16), (1_300, 64, 40), (700, 32, 37), (100, 8, 60), (3, 8, 60)]
)
def test_few_photos_have_small_batches_and_more_epochs(photos: int, batch_size: int, epochs: int) -> None:
    recipe, choices = choose(situation=Situation(photos, (80, 60), True, False), speed=1e9)
    assert (recipe.training.batch_size, recipe.training.epochs) == (batch_size, epochs)
    assert "more epochs add little" in choices["epochs"].reason


def test_feature_vectors_have_a_hidden_layer_and_no_photos() -> None:
    recipe, choices = choose(situation=Situation(28_000, None, False, False), minutes=5, speed=1e9)
    keys = choices.keys()
    assert recipe.network.embed == 768 and recipe.training.batch_size == 256
    assert not keys & {"backbone", "image_size", "crop_area", "freeze_batch_norm", "backbone_lr_scale"}


def test_random_weights_learn_faster_and_with_their_own_statistics() -> None:
    recipe, _ = choose(weights="none")
    assert recipe.training.lr == 0.003 and not recipe.network.freeze_batch_norm


def test_the_backbone_of_given_weights() -> None:
    recipe, _ = choose(situation=Situation(28_000, (80, 60), True, False, weights_of="resnet18"))
    assert recipe.network.backbone == "resnet18"


PHOTOS = {"photo_size": (256, 256), "same_aspect": True}
SMALL_GPU = Situation(28_000, **PHOTOS, gpu=True, cores=8, memory_bytes=int(7.5 * GIB))
LARGE_GPU = Situation(28_000, **PHOTOS, gpu=True, cores=32, memory_bytes=79 * GIB)
LAPTOP = Situation(28_000, **PHOTOS, gpu=False, cores=2, memory_bytes=3 * GIB)
MANY_CORES = Situation(28_000, **PHOTOS, gpu=False, cores=64, memory_bytes=200 * GIB)


@pytest.mark.parametrize(
    ("situation", "speed", "minutes", "backbone", "size", "batch_size"),
    [
        (LARGE_GPU, 1e9, 20, "resnet50", "224", 128),
        (SMALL_GPU, 1e9, 20, "resnet50", "224", 64),
        (SMALL_GPU, 4e7, 20, "resnet50", "168", 64),
        (SMALL_GPU, 1e7, 20, "mobilenet_v2", "224", 64),
        (SMALL_GPU, 5e6, 20, "mobilenet_v2", "168", 128),
        (replace(SMALL_GPU, memory_bytes=2 * GIB), 1e9, 20, "resnet50", "224", 8),
        (LAPTOP, 4e6, 20, "mobilenet_v2", "128", 64),
        (replace(LAPTOP, memory_bytes=GIB), 4e6, 20, "mobilenet_v2", "128", 32),
        (replace(LAPTOP, memory_bytes=GIB, ranks=4), 4e6, 20, "mobilenet_v2", "128", 64),
        (MANY_CORES, 2e7, 20, "mobilenet_v2", "224", 64),
        (MANY_CORES, 2e7, 600, "resnet50", "224", 64),
        (replace(MANY_CORES, cores=15), 2e7, 600, "mobilenet_v2", "128", 64),
    ],
)
def test_network_size_and_batch_of_a_machine(
    situation: Situation, speed: float, minutes: float, backbone: str, size: str, batch_size: int
) -> None:
    recipe, choices = choose(situation=situation, speed=speed, minutes=minutes)
    assert (recipe.network.backbone, recipe.photos.image_size) == (backbone, size)
    assert recipe.training.batch_size == batch_size and recipe.training.epochs >= 6
    machine = DrawnMachine(speed)
    needed = machine.state_memory(recipe).total + machine.photo_cost(recipe).memory_bytes * batch_size / situation.ranks
    assert needed <= 0.8 * situation.memory_bytes
    by_photos = 128 if situation.gpu else 64
    assert ("of free memory" in choices["batch_size"].reason) == (batch_size < by_photos)


def test_a_small_machine_measures_no_large_network() -> None:
    machine = DrawnMachine(1e6)
    choose_settings(make_recipe("visual"), (), LAPTOP, budget=Budget(20), machine=machine)
    assert {recipe.network.backbone for recipe in machine.measured} == {"mobilenet_v2"}


def test_weights_of_an_unknown_network_keep_the_backbone() -> None:
    recipe, _ = choose(situation=SMALL_GPU, speed=1e7, weights="some.pth")
    assert (recipe.network.backbone, recipe.photos.image_size) == ("resnet50", "168")


def choose_for_classes(classes: int, situation: Situation, **explicit: Any) -> Chosen:
    machine = DrawnMachine(1e9, classes=classes)
    return choose_settings(make_recipe("visual", explicit), explicit, situation, budget=Budget(120), machine=machine)


@pytest.mark.parametrize(
    ("situation", "embed"),
    [
        (LARGE_GPU, None),
        (SMALL_GPU, 256),
        (MANY_CORES, None),
        (LAPTOP, 128),
        (replace(LAPTOP, memory_bytes=6 * GIB), 256),
    ],
)
def test_a_million_classes_have_a_feature_whose_classifier_fits(situation: Situation, embed: int | None) -> None:
    chosen = choose_for_classes(10**6, situation)
    recipe, machine = chosen.recipe, DrawnMachine(1e9, classes=10**6)
    assert recipe.network.embed == embed and chosen.warning is None
    state = machine.state_memory(recipe)
    assert state.total <= situation.memory_bytes / 2
    photos = machine.photo_cost(recipe).memory_bytes * recipe.training.batch_size
    assert state.total + photos <= 0.8 * situation.memory_bytes
    assert choose_for_classes(1000, situation).recipe.network.embed is None


def test_a_classifier_that_does_not_fit_is_refused_and_the_remedy_fits() -> None:
    with pytest.raises(BadOption, match=r"needs about 14\.3 GiB .* has 3\.0 GiB free, because its") as caught:
        choose_for_classes(10**6, LAPTOP, embed="1280")
    embed = str(caught.value).split("set embed=")[1].split(",")[0]
    assert choose_for_classes(10**6, LAPTOP, embed=embed).warning is None
    tiny = replace(LAPTOP, memory_bytes=GIB // 2)
    with pytest.raises(BadOption, match="start more ranks with torchrun, which divide the classes"):
        choose_for_classes(10**6, tiny)


def test_a_batch_that_does_not_fit_is_warned_of_and_the_remedy_fits() -> None:
    warning = choose_for_classes(100, SMALL_GPU, batch_size="512").warning
    assert warning is not None and "the GPU has 7.5 GiB free; set batch_size=64." in warning
    assert choose_for_classes(100, SMALL_GPU, batch_size="64").warning is None
    assert choose_for_classes(100, LARGE_GPU, batch_size="512").warning is None


def test_a_device_without_room_for_a_few_photos() -> None:
    class Full(DrawnMachine):
        def photo_cost(self, recipe: Recipe) -> PhotoCost:
            cost = super().photo_cost(recipe)
            return PhotoCost(math.inf, math.inf) if recipe.photos.height > 64 else cost

    with pytest.raises(BadOption, match=r"a few photos of 112 pixels do not fit .* set image_size=64"):
        choose_settings(make_recipe("visual"), (), SMALL_GPU, budget=Budget(20), machine=Full(1e9))
    recipe = make_recipe("visual", {"image_size": "64"})
    chosen = choose_settings(recipe, ("image_size",), SMALL_GPU, budget=Budget(20), machine=Full(1e9))
    assert chosen.recipe.network.backbone == "resnet50"
