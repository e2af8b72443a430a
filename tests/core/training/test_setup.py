"""A network made ready for training: groups of its optimiser, arithmetic, and when its classifier is updated."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from prodrec.core.training.config import TrainingConfig
from prodrec.core.training.setup import choose_arithmetic, why_not_fused


def test_learning_rates_are_scaled_by_part_and_biases_are_not_decayed(trainee_of):
    train_state = trainee_of(backbone_lr_scale=0.1, weight_decay=0.5)
    groups = {(g["part"], g["weight_decay"]): g for g in train_state.optimizer.param_groups}
    assert set(groups) == {("backbone", 0.5), ("backbone", 0.0), ("classifier", 0.5), ("classifier", 0.0)}
    assert groups["backbone", 0.5]["scale"] == 0.1 and groups["classifier", 0.5]["scale"] == 1.0
    assert all(p.ndim == 1 for p in groups["backbone", 0.0]["params"])


def test_arithmetic_is_as_asked_and_bf16_is_for_large_photos_only():
    cpu = torch.device("cpu")
    asked = TrainingConfig(precision="bf16", channels_last="no")
    assert choose_arithmetic(asked, cpu, pixels=100) == (torch.bfloat16, False)
    assert choose_arithmetic(replace(asked, precision="fp32"), cpu, pixels=10**6)[0] is torch.float32
    assert choose_arithmetic(TrainingConfig(), cpu, pixels=80 * 60)[0] is torch.float32


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"fused_update": "no"}, "fused_update=no"),
        ({"clip_norm": 1.0}, "clip_norm=1 needs its whole gradient"),
        ({"accumulate": 2}, "accumulate=2 needs its whole gradient"),
    ],
)
def test_a_classifier_is_updated_within_backward_where_nothing_needs_its_whole_gradient(trainee_of, settings, told):
    fused, not_fused = trainee_of(optimizer="adamw"), trainee_of(**settings)
    assert fused.network.fused_with is fused.optimizer and not hasattr(not_fused.network, "fused_with")
    assert why_not_fused(fused.config) is None and why_not_fused(not_fused.config) == told
