"""Learning rates and numbers of steps."""

from __future__ import annotations

import itertools

import pytest

from prodrec.core.training.config import TrainingConfig
from prodrec.core.training.schedule import count_head_steps, count_steps, learning_rate


def test_the_schedule_of_paper_a_multiplies_by_point_eight_after_every_epoch():
    config = TrainingConfig(lr=0.1, epochs=4)
    rates = [learning_rate(config, step, steps_per_epoch=10) for step in (0, 9, 10, 25, 39)]
    assert rates == pytest.approx([0.1, 0.1, 0.08, 0.064, 0.1 * 0.8**3])


def test_decays_are_counted_from_the_end_of_the_warm_up():
    config = TrainingConfig(lr=1.0, epochs=5, warmup_epochs=1.5, decay_every=1, decay_factor=0.5)
    rates = [learning_rate(config, step, steps_per_epoch=4) for step in range(20)]
    assert rates[:6] == pytest.approx([(step + 1) / 6 for step in range(6)])
    assert rates[6:] == pytest.approx([0.5 ** (step // 4) for step in range(14)])


def test_warm_up_rises_to_lr_and_cosine_falls_to_zero():
    config = TrainingConfig(lr=1.0, epochs=5, warmup_epochs=1, schedule="cosine")
    rates = [learning_rate(config, step, steps_per_epoch=4) for step in range(20)]
    assert rates[:4] == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert rates[4] == pytest.approx(1.0)
    assert all(a > b for a, b in itertools.pairwise(rates[4:]))
    assert rates[12] == pytest.approx(0.5) and 0 < rates[19] < 0.05


def test_each_of_two_stages_has_its_own_warm_up_and_schedule():
    config = TrainingConfig(lr=1.0, epochs=5, head_epochs=2, warmup_epochs=1, schedule="cosine")
    both = [learning_rate(config, step, steps_per_epoch=4) for step in range(20)]
    head = TrainingConfig(lr=1.0, epochs=2, warmup_epochs=1, schedule="cosine")
    tuning = TrainingConfig(lr=1.0, epochs=3, warmup_epochs=1, schedule="cosine")
    assert count_head_steps(config, steps_per_epoch=4) == 8
    assert both[:8] == [learning_rate(head, step, steps_per_epoch=4) for step in range(8)]
    assert both[8:] == [learning_rate(tuning, step, steps_per_epoch=4) for step in range(12)]


@pytest.mark.parametrize(
    ("epochs", "accumulate", "expected"), [(2, 1, 20), (1.5, 1, 15), (2, 3, 8), (0.3, 1, 3), (0.05, 1, 1), (1.1, 1, 11)]
)
def test_count_steps(epochs, accumulate, expected):
    assert count_steps(TrainingConfig(epochs=epochs, accumulate=accumulate), batches_per_epoch=10) == expected
