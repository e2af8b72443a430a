"""The parameter groups of the optimizer, and when classifiers are updated within backward."""

from __future__ import annotations

import pytest

from prodrec.core.training.train_state import reason_against_fused_update


def test_learning_rates_are_scaled_by_part_and_biases_have_no_decay(new_train_state):
    train_state = new_train_state(backbone_lr_scale=0.1, weight_decay=0.5)
    groups = {(g["part"], g["weight_decay"]): g for g in train_state.optimizer.param_groups}
    assert set(groups) == {("backbone", 0.5), ("backbone", 0.0), ("classifier", 0.5), ("classifier", 0.0)}
    assert groups["backbone", 0.5]["scale"] == 0.1 and groups["classifier", 0.5]["scale"] == 1.0
    assert all(p.ndim == 1 for p in groups["backbone", 0.0]["params"])


def test_the_learning_rate_decays_from_the_last_stage_backwards(new_train_state):
    train_state = new_train_state(backbone_lr_scale=0.4, layer_lr_decay=0.5, weight_decay=0.5)
    scales = {id(p): group["scale"] for group in train_state.optimizer.param_groups for p in group["params"]}
    convolution, norm = train_state.network.backbone[0], train_state.network.backbone[1]
    assert [scales[id(p)] for p in convolution.parameters()] == pytest.approx([0.2, 0.2])
    assert [scales[id(p)] for p in norm.parameters()] == pytest.approx([0.4, 0.4])
    assert {scales[id(p)] for p in train_state.network.classifier.parameters()} == {1.0}
    assert len(scales) == len(list(train_state.network.parameters()))
    with_decay = {id(p) for g in train_state.optimizer.param_groups if g["weight_decay"] for p in g["params"]}
    assert with_decay == {id(p) for p in train_state.network.parameters() if p.ndim > 1}


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"fused_update": "no"}, "fused_update=no"),
        ({"clip_norm": 1.0}, "clip_norm=1 needs its whole gradient"),
        ({"accumulate": 2}, "accumulate=2 needs its whole gradient"),
    ],
)
def test_a_classifier_is_updated_within_backward_unless_its_whole_gradient_is_needed(new_train_state, settings, reason):
    fused, plain = new_train_state(optimizer="adamw"), new_train_state(**settings)
    assert fused.network.optimizer_in_backward is fused.optimizer
    assert not hasattr(plain.network, "optimizer_in_backward")
    assert reason_against_fused_update(fused.config) is None and reason_against_fused_update(plain.config) == reason
