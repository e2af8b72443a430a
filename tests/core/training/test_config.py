"""Settings of training: the paper's recipe as defaults, and what cannot be."""

from __future__ import annotations

from typing import Any

import pytest

from prodrec.core.training.config import TrainingConfig


def test_the_defaults_are_the_papers_recipe() -> None:
    """A §4.3: SGD, batch 256, learning rate 0.1, times 0.8 after every epoch."""
    usual = TrainingConfig()
    assert (usual.optimizer, usual.batch_size, usual.lr) == ("sgd", 256, 0.1)
    assert (usual.schedule, usual.decay_factor, usual.decay_every) == ("step", 0.8, 1.0)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *((key, 0) for key in ("epochs", "batch_size", "lr", "decay_factor", "decay_every", "accumulate")),
        *((key, -1) for key in ("epochs", "batch_size", "lr", "checkpoint_minutes", "clip_norm", "seed")),
        *((key, -0.1) for key in ("weight_decay", "warmup_epochs", "backbone_lr_scale", "word_vectors_lr_scale")),
        *((key, 1) for key in ("momentum", "ema")),
        *((key, -0.1) for key in ("momentum", "ema")),
        ("clip_norm", 0),
        ("warmup_epochs", 20.0),
        ("seed", 2**63),
    ],
)
def test_what_cannot_be(key: str, value: Any) -> None:
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
def test_the_bounds_themselves_can_be(key: str, value: Any) -> None:
    assert getattr(TrainingConfig(**{key: value}), key) == value


@pytest.mark.parametrize(("rule", "rate"), [("linear", 0.4), ("sqrt", 0.2), ("none", 0.1)])
def test_a_scaled_batch_is_plain_batch_size_and_lr_of_so_many_ranks(rule: Any, rate: float) -> None:
    scaled = TrainingConfig(batch_size=8, lr=0.1, scale_batch=True, lr_rule=rule).on_ranks(4)
    assert scaled == TrainingConfig(batch_size=32, lr=rate)
    assert scaled.on_ranks(2) is scaled, "it stays when others go on with it"


def test_a_rule_of_scaling_without_scaling_is_refused() -> None:
    with pytest.raises(ValueError, match="lr_rule=sqrt does nothing here; set scale_batch=true too"):
        TrainingConfig(lr_rule="sqrt")
