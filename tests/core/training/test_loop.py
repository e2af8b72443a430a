"""The loop: accumulation, frozen parts, moving average, what a step reports, and infinite losses and gradients."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from prodrec.core.base.errors import ProdrecError
from prodrec.core.data.batches import RowBatches, sequential_order, shuffled_order
from prodrec.core.training.loop import Position, train_steps

from .conftest import PHOTOS, TinyLosses


def batches_of(dataset, size):
    """Return the function that yields the training batches of an epoch, and their number."""

    def epoch_batches(epoch, skip):
        source = RowBatches(dataset, PHOTOS, augment=True, seed=0, epoch=epoch)
        for rows in shuffled_order(dataset.rows("train"), batch_size=size, seed=0, epoch=epoch)[skip:]:
            yield source.batch(rows).to_device(torch.device("cpu"), PHOTOS)

    count = len(shuffled_order(dataset.rows("train"), batch_size=size, seed=0, epoch=0))
    return epoch_batches, count


def run_through(train_state, dataset, *, size=16, position=None):
    epoch_batches, count = batches_of(dataset, size)
    return list(train_steps(train_state, epoch_batches, batches_per_epoch=count, position=position or Position()))


def test_steps_report_epochs_photos_and_means(prepared, new_train_state):
    steps = run_through(new_train_state(epochs=2), prepared)
    last = [step for step in steps if step.ends_epoch]
    assert [step.epoch for step in last] == [1, 2]
    assert sum(step.photos for step in steps) == 2 * len(prepared.rows("train"))
    first_epoch = [step.losses["loss"] for step in steps if step.epoch == 1]
    assert last[0].epoch_losses["loss"] == pytest.approx(sum(first_epoch) / len(first_epoch))
    assert [step.step for step in steps] == list(range(1, len(steps) + 1))


def progress_of_batches(train_state, dataset, *, first=0, last=None):
    """Return the progress of every batch from step `first` to `last`, where training starts at `first`."""
    loss, seen = train_state.network.loss, []

    def record(batch):
        seen.append(batch.progress)
        return loss(batch)

    train_state.network.loss = record
    epoch_batches, count = batches_of(dataset, 16)
    steps_per_epoch = math.ceil(count / train_state.config.accumulate)
    epoch, step_of_epoch = divmod(first, steps_per_epoch)
    position = Position(epoch, step_of_epoch * train_state.config.accumulate, first)
    steps = train_steps(train_state, epoch_batches, batches_per_epoch=count, position=position)
    for _ in itertools.islice(steps, None if last is None else last - first):
        pass
    return seen


def test_batches_know_the_progress_of_the_training_and_a_resumed_one_repeats_it(prepared, new_train_state):
    settings = {"epochs": 1.5, "accumulate": 2}
    whole = progress_of_batches(new_train_state(**settings), prepared)
    batches = math.ceil(len(prepared.rows("train")) / 16)
    per_epoch = math.ceil(batches / 2)
    last_step = per_epoch + math.ceil(per_epoch / 2)
    expected = [step / last_step for step in range(last_step) for _ in range(2)]
    if batches % 2:
        del expected[2 * per_epoch - 1]  # the last step of an epoch has one batch
    assert whole == expected and whole[0] == 0 < whole[-1] < 1
    parts = [
        progress_of_batches(new_train_state(**settings), prepared, first=first, last=last)
        for first, last in ((0, 2), (2, None))
    ]
    assert parts[0] + parts[1] == whole


def test_training_learns(prepared, new_train_state):
    """The loss of the tiny network falls below the loss of predicting the shares of the classes."""
    steps = run_through(new_train_state(epochs=12, lr=0.2), prepared)
    share = prepared.train_images / prepared.train_images.sum()
    loss_of_shares = -(share[share > 0] * np.log(share[share > 0])).sum()
    assert steps[-1].epoch_losses["loss"] < 0.95 * loss_of_shares


def test_accumulated_batches_equal_one_big_batch(prepared, new_train_state):
    """Without batch norm and dropout, two accumulated batches of equal size equal one batch of twice the size."""
    rows = prepared.rows("train")[:32]

    def weights_after(size, accumulate):
        train_state = new_train_state(epochs=1, accumulate=accumulate, momentum=0.0)
        train_state.network.backbone[1] = torch.nn.Identity()
        train_state.network.backbone[3] = torch.nn.Identity()
        source = RowBatches(prepared, PHOTOS, augment=False)

        def epoch_batches(_epoch, skip):
            order = sequential_order(rows, batch_size=size)[skip:]
            return (source.batch(r).to_device(torch.device("cpu"), PHOTOS) for r in order)

        list(train_steps(train_state, epoch_batches, batches_per_epoch=32 // size, position=Position()))
        return train_state.network.classifier.weight.detach()

    torch.testing.assert_close(weights_after(16, 2), weights_after(32, 1))


def test_a_part_with_learning_rate_zero_is_frozen(prepared, new_train_state):
    train_state = new_train_state(epochs=1, backbone_lr_scale=0)
    before = train_state.network.backbone[0].weight.detach().clone()
    run_through(train_state, prepared)
    assert torch.equal(train_state.network.backbone[0].weight, before)


def test_the_backbone_is_kept_in_the_first_stage_and_trained_in_the_second(prepared, new_train_state):
    """Its weights and the statistics of its batch norm are those of the start, and no gradient is computed for it."""
    train_state = new_train_state(epochs=2, head_epochs=1, weight_decay=0.1)
    start = {name: value.clone() for name, value in train_state.network.state_dict().items()}
    epoch_batches, count = batches_of(prepared, 16)
    for step in train_steps(train_state, epoch_batches, batches_per_epoch=count, position=Position()):
        now = train_state.network.state_dict()
        changed = {name for name in now if not torch.equal(now[name], start[name])}
        head = {"classifier.weight", "classifier.bias"}
        if step.step <= count:
            assert changed == head, step.step
            assert all(p.grad is None for p in train_state.network.backbone.parameters())
        else:
            assert {"backbone.0.weight", "backbone.1.running_mean", *head} <= changed


def test_two_stages_equal_two_trainings(prepared, new_train_state):
    """With plain SGD, the second stage is a training that starts from the weights of the first one."""
    settings = {"momentum": 0.0, "schedule": "constant"}
    both = new_train_state(epochs=2, head_epochs=1, **settings)
    run_through(both, prepared)
    head = new_train_state(epochs=2, head_epochs=1, **settings)
    epoch_batches, count = batches_of(prepared, 16)
    steps = train_steps(head, epoch_batches, batches_per_epoch=count, position=Position())
    list(itertools.islice(steps, count))
    tuning = new_train_state(epochs=2, **settings)
    tuning.network.load_state_dict(head.network.state_dict())
    run_through(tuning, prepared, position=Position(epoch=1, step=count))
    for name, value in both.network.state_dict().items():
        assert torch.equal(value, tuning.network.state_dict()[name]), name


def test_clipping_bounds_the_update(prepared, new_train_state):
    train_state = new_train_state(epochs=0.01, clip_norm=1e-3, lr=1.0, momentum=0.0, weight_decay=0.0)
    before = [p.detach().clone() for p in train_state.network.parameters()]
    run_through(train_state, prepared)
    after = [p.detach() for p in train_state.network.parameters()]
    moved = math.sqrt(sum(float(((a - b) ** 2).sum()) for a, b in zip(after, before, strict=True)))
    assert 0 < moved <= 1.001e-3


def test_moving_average_follows_the_weights(prepared, new_train_state):
    train_state = new_train_state(epochs=1, ema=0.5)
    start = train_state.network.classifier.weight.detach().clone()
    expected = None
    epoch_batches, count = batches_of(prepared, 16)
    for _ in train_steps(train_state, epoch_batches, batches_per_epoch=count, position=Position()):
        now = train_state.network.classifier.weight.detach()
        expected = now.clone() if expected is None else 0.5 * expected + 0.5 * now
    assert expected is not None and not torch.equal(expected, start)
    torch.testing.assert_close(train_state.network_to_save.classifier.weight.detach(), expected)


def test_bf16_trains(prepared, new_train_state):
    steps = run_through(new_train_state(epochs=1, precision="bf16"), prepared)
    assert math.isfinite(steps[-1].losses["loss"])


def test_a_loss_that_is_not_finite_ends_training_in_one_sentence(prepared, new_train_state):
    train_state = new_train_state(epochs=1)
    with torch.no_grad():
        train_state.network.classifier.bias.fill_(float("nan"))
    with pytest.raises(ProdrecError, match="the loss became nan at learning rate"):
        run_through(train_state, prepared)


def test_a_clipped_gradient_that_is_not_finite_changes_no_weight(prepared, new_train_state, monkeypatch):
    train_state = new_train_state(epochs=1, clip_norm=1.0)
    loss, steps = train_state.network.loss, itertools.count()

    def loss_with_nan_gradient(batch):
        losses = loss(batch)
        zero = (train_state.network.classifier.weight * 0).sum()
        return TinyLosses(losses.total + zero.sqrt(), losses.terms) if next(steps) == 2 else losses  # 0 · ∞

    monkeypatch.setattr(train_state.network, "loss", loss_with_nan_gradient)
    epoch_batches, count = batches_of(prepared, 16)
    before: dict[str, torch.Tensor] = {}
    with pytest.raises(ProdrecError, match="the norm of the gradient became nan at learning rate"):
        for _ in train_steps(train_state, epoch_batches, batches_per_epoch=count, position=Position()):
            before = {name: p.detach().clone() for name, p in train_state.network.named_parameters()}
    assert before
    for name, parameter in train_state.network.named_parameters():
        assert torch.equal(parameter, before[name]), name
