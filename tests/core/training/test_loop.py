"""The loop: schedules, accumulation, frozen parts, moving average, and what a step tells."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from prodrec.core.base.errors import ProdrecError
from prodrec.core.data.batches import RowBatches, sequential_order, shuffled_order
from prodrec.core.training.config import TrainingConfig
from prodrec.core.training.loop import Position, learning_rate, steps_in_all, train_steps

from .conftest import PHOTOS


def batches_of(dataset, size):
    """The training batches of an epoch, as the loop asks for them."""

    def epoch_batches(epoch, skip):
        source = RowBatches(dataset, PHOTOS, augment=True, seed=0, epoch=epoch)
        for rows in shuffled_order(dataset.rows("train"), batch_size=size, seed=0, epoch=epoch)[skip:]:
            yield source.batch(rows).to_device(torch.device("cpu"), PHOTOS)

    count = len(shuffled_order(dataset.rows("train"), batch_size=size, seed=0, epoch=0))
    return epoch_batches, count


def run_through(train_state, dataset, *, size=16, position=None):
    epoch_batches, count = batches_of(dataset, size)
    return list(train_steps(train_state, epoch_batches, batches_per_epoch=count, position=position or Position()))


def test_paper_a_schedule_is_times_point_eight_after_every_epoch():
    config = TrainingConfig(lr=0.1, epochs=4)
    rates = [learning_rate(config, step, steps_per_epoch=10) for step in (0, 9, 10, 25, 39)]
    assert rates == pytest.approx([0.1, 0.1, 0.08, 0.064, 0.1 * 0.8**3])


def test_warm_up_rises_to_lr_and_cosine_falls_to_nothing():
    config = TrainingConfig(lr=1.0, epochs=5, warmup_epochs=1, schedule="cosine")
    rates = [learning_rate(config, step, steps_per_epoch=4) for step in range(20)]
    assert rates[:4] == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert rates[4] == pytest.approx(1.0)
    assert all(a > b for a, b in itertools.pairwise(rates[4:]))
    assert rates[12] == pytest.approx(0.5) and 0 < rates[19] < 0.05


@pytest.mark.parametrize(
    ("epochs", "accumulate", "expected"), [(2, 1, 20), (1.5, 1, 15), (2, 3, 8), (0.3, 1, 3), (0.05, 1, 1), (1.1, 1, 11)]
)
def test_steps_in_all(epochs, accumulate, expected):
    assert steps_in_all(TrainingConfig(epochs=epochs, accumulate=accumulate), batches_per_epoch=10) == expected


def test_steps_tell_epochs_photos_and_means(prepared, trainee_of):
    steps = run_through(trainee_of(epochs=2), prepared)
    last = [step for step in steps if step.ends_epoch]
    assert [step.epoch for step in last] == [1, 2]
    assert sum(step.photos for step in steps) == 2 * len(prepared.rows("train"))
    first_epoch = [step.losses["loss"] for step in steps if step.epoch == 1]
    assert last[0].epoch_losses["loss"] == pytest.approx(sum(first_epoch) / len(first_epoch))
    assert [step.step for step in steps] == list(range(1, len(steps) + 1))


def test_training_learns(prepared, trainee_of):
    """The tiny network cannot do much, but better than knowing only how frequent each class is."""
    steps = run_through(trainee_of(epochs=12, lr=0.2), prepared)
    share = prepared.train_images / prepared.train_images.sum()
    ignorant = -(share[share > 0] * np.log(share[share > 0])).sum()
    assert steps[-1].epoch_losses["loss"] < 0.95 * ignorant


def test_accumulated_batches_equal_one_big_batch(prepared, trainee_of):
    """Without batch norm and dropout, two batches of equal size added up are one batch of twice the size."""
    rows = prepared.rows("train")[:32]

    def weights_after(size, accumulate):
        train_state = trainee_of(epochs=1, accumulate=accumulate, momentum=0.0)
        train_state.network.backbone[1] = torch.nn.Identity()
        train_state.network.backbone[3] = torch.nn.Identity()
        source = RowBatches(prepared, PHOTOS, augment=False)

        def epoch_batches(_epoch, skip):
            return (
                source.batch(r).to_device(torch.device("cpu"), PHOTOS) for r in sequential_order(rows, batch_size=size)[skip:]
            )

        list(train_steps(train_state, epoch_batches, batches_per_epoch=32 // size, position=Position()))
        return train_state.network.classifier.weight.detach()

    torch.testing.assert_close(weights_after(16, 2), weights_after(32, 1))


def test_a_part_with_learning_rate_zero_is_frozen(prepared, trainee_of):
    train_state = trainee_of(epochs=1, backbone_lr_scale=0)
    before = train_state.network.backbone[0].weight.detach().clone()
    run_through(train_state, prepared)
    assert torch.equal(train_state.network.backbone[0].weight, before)


def test_clipping_bounds_the_update(prepared, trainee_of):
    train_state = trainee_of(epochs=0.01, clip_norm=1e-3, lr=1.0, momentum=0.0, weight_decay=0.0)
    before = [p.detach().clone() for p in train_state.network.parameters()]
    run_through(train_state, prepared)
    after = [p.detach() for p in train_state.network.parameters()]
    moved = math.sqrt(sum(float(((a - b) ** 2).sum()) for a, b in zip(after, before, strict=True)))
    assert 0 < moved <= 1.001e-3


def test_moving_average_follows_the_weights(prepared, trainee_of):
    train_state = trainee_of(epochs=1, ema=0.5)
    start = train_state.network.classifier.weight.detach().clone()
    expected = None
    epoch_batches, count = batches_of(prepared, 16)
    for _ in train_steps(train_state, epoch_batches, batches_per_epoch=count, position=Position()):
        now = train_state.network.classifier.weight.detach()
        expected = now.clone() if expected is None else 0.5 * expected + 0.5 * now
    assert expected is not None and not torch.equal(expected, start)
    torch.testing.assert_close(train_state.network_to_save.classifier.weight.detach(), expected)


def test_a_loss_that_is_not_finite_ends_training_in_one_sentence(prepared, trainee_of):
    train_state = trainee_of(epochs=1)
    with torch.no_grad():
        train_state.network.classifier.bias.fill_(float("nan"))
    with pytest.raises(ProdrecError, match="the loss became nan at learning rate"):
        run_through(train_state, prepared)


def test_bf16_trains(prepared, trainee_of):
    steps = run_through(trainee_of(epochs=1, precision="bf16"), prepared)
    assert math.isfinite(steps[-1].losses["loss"])
