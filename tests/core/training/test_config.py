"""Settings of training: the recipe of paper A as defaults, ranges, and contradictions."""

from __future__ import annotations

from typing import Any

import pytest

from prodrec.core.training.config import TrainingConfig


def test_the_defaults_are_the_papers_recipe() -> None:
    """A §4.3: SGD, batch 256, learning rate 0.1, times 0.8 after every epoch."""
    config = TrainingConfig()
    assert (config.optimizer, config.batch_size, config.lr) == ("sgd", 256, 0.1)
    assert (config.schedule, config.decay_factor, config.decay_every) == ("step", 0.8, 1.0)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *((key, 0) for key in ("epochs", "batch_size", "lr", "decay_factor", "decay_every", "accumulate")),
        *((key, -1) for key in ("epochs", "batch_size", "lr", "checkpoint_minutes", "clip_norm", "seed")),
        *((key, -0.1) for key in ("weight_decay", "warmup_epochs", "backbone_lr_scale", "word_vectors_lr_scale")),
        *((key, 1) for key in ("momentum", "ema")),
        *((key, -0.1) for key in ("momentum", "ema")),
        *((key, -0.1) for key in ("mixup", "cutmix", "pair_probability")),
        ("pair_probability", 0),
        ("clip_norm", 0),
        ("warmup_epochs", 20.0),
        ("seed", 2**63),
    ],
)
def test_values_out_of_range_are_refused(key: str, value: Any) -> None:
    with pytest.raises(ValueError) as caught:
        TrainingConfig(**{key: value})
    assert str(caught.value).startswith(f"{key}={value}") and str(caught.value).endswith(".")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("epochs", 0.25),
        ("weight_decay", 0.0),
        ("backbone_lr_scale", 0.0),
        ("momentum", 0.0),
        ("ema", 0.9999),
        ("clip_norm", None),
        ("warmup_epochs", 19.5),
        ("seed", 2**63 - 1),
    ],
)
def test_values_at_the_bounds_are_accepted(key: str, value: Any) -> None:
    assert getattr(TrainingConfig(**{key: value}), key) == value


@pytest.mark.parametrize(("rule", "rate"), [("linear", 0.4), ("sqrt", 0.2), ("none", 0.1)])
def test_scale_batch_becomes_batch_size_and_lr_for_the_number_of_ranks(rule: Any, rate: float) -> None:
    scaled = TrainingConfig(batch_size=8, lr=0.1, scale_batch=True, lr_rule=rule).on_ranks(4)
    assert scaled == TrainingConfig(batch_size=32, lr=rate)
    assert scaled.on_ranks(2) is scaled, "a run keeps it on another number of ranks"


def test_lr_rule_without_scale_batch_is_refused() -> None:
    with pytest.raises(ValueError, match="lr_rule=sqrt does nothing here; set scale_batch=true too"):
        TrainingConfig(lr_rule="sqrt")


def test_pair_probability_without_mixing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"pair_probability=0\.8 does nothing here; set mixup=0\.2 too"):
        TrainingConfig(pair_probability=0.8)
    assert TrainingConfig(pair_probability=0.8, cutmix=1.0).cutmix == 1


def test_a_decay_over_the_stages_needs_a_backbone_that_is_trained() -> None:
    with pytest.raises(ValueError, match=r"layer_lr_decay=0\.8 does nothing with backbone_lr_scale=0"):
        TrainingConfig(layer_lr_decay=0.8, backbone_lr_scale=0.0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"head_epochs": 2, "epochs": 2}, "head_epochs=2 must be less than epochs=2"),
        ({"head_epochs": 1, "backbone_lr_scale": 0.0}, "head_epochs=1 does nothing with backbone_lr_scale=0"),
        ({"head_epochs": 1, "epochs": 4, "warmup_epochs": 1}, "must be less than each of the two stages, of 1 and 3"),
        ({"head_epochs": 3, "epochs": 3.5, "warmup_epochs": 0.5}, "stages, of 3 and 0.5 epochs"),
    ],
)
def test_two_stages_that_do_not_fit_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainingConfig(**settings)
