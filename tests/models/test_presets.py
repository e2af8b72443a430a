"""The settings that presets choose, for machines and datasets of every kind; the time is measured by a formula."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from prodrec.core.base.errors import BadOption
from prodrec.models.families import FAMILIES, Recipe, make_recipe
from prodrec.models.presets import Budget, Choice, Situation, choose_settings

SHOP = Situation(train_photos=28_000, photo_size=(80, 60), same_aspect=True, gpu=False)


def at_speed(pixels_per_second: float) -> Callable[[Recipe], float]:
    return lambda recipe: recipe.photos.height * recipe.photos.width / pixels_per_second


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
    chosen, choices = choose_settings(recipe, explicit, situation, budget=budget, seconds_per_photo=at_speed(speed))
    return chosen, {choice.key: choice for choice in choices}


def test_a_shop_on_a_small_machine() -> None:
    recipe, choices = choose()
    assert (recipe.network.backbone, recipe.photos.image_size, recipe.training.batch_size) == (
        "mobilenet_v2",
        "80x60",
        64,
    )
    assert (recipe.training.optimizer, recipe.training.lr, recipe.training.schedule) == ("adamw", 0.001, "cosine")
    assert recipe.network.freeze_batch_norm and recipe.training.backbone_lr_scale == 0.3
    seconds_per_epoch = 28_000 * 80 * 60 / 1e6 * 1.25
    assert recipe.training.epochs == int(20 * 60 / seconds_per_epoch) == 7
    assert recipe.training.warmup_epochs == 0.5 and all(choice.reason for choice in choices.values())
    assert str(choices["image_size"]) == "image_size=80x60: the size of the photos"


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
        ((100, 60), False, False, "60"),
        ((40, 30), True, False, "64x48"),
        ((90, 30), True, False, "144x48"),
    ],
)
def test_photo_sizes(photo_size: tuple[int, int], same_aspect: bool, gpu: bool, expected: str) -> None:
    recipe, _ = choose(situation=Situation(5_000, photo_size, same_aspect, gpu), speed=1e9)
    assert recipe.photos.image_size == expected


def test_too_little_time_for_the_size_takes_smaller_photos() -> None:
    situation = Situation(28_000, (160, 160), same_aspect=True, gpu=False)
    sizes = {speed: choose(situation=situation, speed=speed)[0] for speed in (4e6, 1.8e6, 1e6, 4e5)}
    assert [recipe.photos.image_size for recipe in sizes.values()] == ["128", "96", "64", "64"]
    assert [recipe.training.epochs for recipe in sizes.values()] == [8, 6, 8, 3]


def test_a_busy_machine_still_trains_enough() -> None:
    """The time of a preset is no limit: the size of the photos and four epochs remain."""
    recipe, choices = choose(speed=1e5, is_limit=False)
    assert recipe.photos.image_size == "80x60" and recipe.training.epochs == 4
    assert "about 112 minutes here; fewer would leave" in choices["epochs"].reason
    assert choose(speed=1e5, minutes=40)[0].training.epochs == 1


def test_a_time_that_is_too_short_is_refused_with_the_time_that_is_not() -> None:
    with pytest.raises(BadOption, match=r"an epoch of 28,000 photos takes about 4\.0 minutes; give at least --time 4m"):
        choose(minutes=1, speed=7e5)
    recipe, _ = choose(minutes=4, speed=7e5)
    assert recipe.training.epochs == 1


@pytest.mark.parametrize(
    ("photos", "batch_size", "epochs"), [(28_000, 64, 16), (1_300, 64, 40), (700, 32, 37), (100, 8, 60), (3, 8, 60)]
)
def test_few_photos_have_small_batches_and_more_epochs(photos: int, batch_size: int, epochs: int) -> None:
    recipe, choices = choose(situation=Situation(photos, (80, 60), True, False), speed=1e9)
    assert (recipe.training.batch_size, recipe.training.epochs) == (batch_size, epochs)
    assert "more epochs add little" in choices["epochs"].reason


def test_feature_vectors_have_a_hidden_layer_and_no_photos() -> None:
    def measure(recipe: Recipe) -> float:
        return 1e-5

    recipe, choices = choose_settings(
        make_recipe("visual"), (), Situation(28_000, None, False, False), budget=Budget(5), seconds_per_photo=measure
    )
    keys = {choice.key for choice in choices}
    assert recipe.network.embed == 768 and recipe.training.batch_size == 256
    assert not keys & {"backbone", "image_size", "crop_area", "freeze_batch_norm", "backbone_lr_scale"}


def test_random_weights_learn_faster_and_with_their_own_statistics() -> None:
    recipe, _ = choose(weights="none")
    assert recipe.training.lr == 0.003 and not recipe.network.freeze_batch_norm


def test_the_backbone_of_given_weights() -> None:
    recipe, _ = choose(situation=Situation(28_000, (80, 60), True, False, weights_of="resnet18"))
    assert recipe.network.backbone == "resnet18"
