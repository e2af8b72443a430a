"""The counts of a plan equal those of the network, and measured memory grows with the batch and the photos."""

from __future__ import annotations

from dataclasses import replace

import pytest

from prodrec.core.training.plan import plan

from .conftest import PHOTOS


def test_parameters_and_optimiser(prepared, new_train_state):
    train_state = new_train_state()
    count = sum(p.numel() for p in train_state.network.parameters())
    cost = plan(train_state, prepared, PHOTOS)
    assert sum(cost.parameters.values()) == cost.trainable == count
    assert set(cost.parameters) == {"backbone", "classifier"}
    assert cost.state.weights == cost.state.gradients == cost.state.optimizer == 4 * count
    assert cost.state.copies == 0 and cost.total_bytes == 12 * count + cost.activations_bytes
    assert {cost.as_json()[f"{key}_bytes"] for key in ("weights", "gradients", "optimizer")} == {4 * count}
    frozen = plan(new_train_state(backbone_lr_scale=0), prepared, PHOTOS)
    assert frozen.trainable == cost.parameters["classifier"]


def test_activations_grow_with_batch_and_photo(prepared, new_train_state):
    small = plan(new_train_state(batch_size=16), prepared, PHOTOS).activations_bytes
    large = plan(new_train_state(batch_size=64), prepared, PHOTOS).activations_bytes
    assert large == pytest.approx(4 * small, rel=0.01)  # a few bytes do not grow with the batch
    assert (
        plan(new_train_state(batch_size=16), prepared, replace(PHOTOS, image_size="32x24")).activations_bytes
        > 3 * small
    )


def test_a_training_shorter_than_the_probe_is_planned_too(prepared, new_train_state):
    assert plan(new_train_state(epochs=0.2, batch_size=64), prepared, PHOTOS).steps == 1


def test_steps_and_times(prepared, new_train_state):
    cost = plan(new_train_state(epochs=3, batch_size=16), prepared, PHOTOS)
    batches = -(-len(prepared.rows("train")) // 16)
    assert cost.steps == 3 * batches and cost.train_photos == len(prepared.rows("train"))
    neighbours = cost.seconds - 3 * cost.seconds_per_epoch
    assert 0 < neighbours < 2 * cost.seconds_per_epoch
    assert cost.as_json()["bytes_in_all"] == cost.total_bytes


def test_every_classifier_is_described_with_its_update(prepared, new_train_state):
    class KnownClassifier:
        shard, can_update_in_backward = None, True

        def describe(self, rows, dtype):
            return f"{rows} rows in {dtype}"

        def buffer_bytes(self, rows, dtype):
            return rows * dtype.itemsize

    def planned(**settings):
        train_state = new_train_state(batch_size=16, **settings)
        train_state.network.classifiers = lambda: {"level": KnownClassifier(), "classifier": KnownClassifier()}
        return plan(train_state, prepared, PHOTOS, streams=2)

    fused, unfused = planned(), planned(clip_norm=2.0)
    assert [each.description for each in fused.classifiers] == ["16 rows in torch.float32", "32 rows in torch.float32"]
    assert {each.not_fused for each in fused.classifiers} == {None}
    assert fused.scores_bytes == (16 + 32) * 4
    assert {each.not_fused for each in unfused.classifiers} == {"clip_norm=2 needs its whole gradient"}
    classifier = sum(p.numel() for p in new_train_state().network.classifier.parameters())
    assert unfused.state.gradients - fused.state.gradients == 4 * classifier
