from __future__ import annotations

import pytest

from prodrec.core.training.photo_cost import PhotoCost

COST = PhotoCost(0.1, recognised_seconds=0.01, cached_seconds=0.02)


@pytest.mark.parametrize(
    ("epochs", "expected"),
    [
        (2, 1000 * (0.1 * 2 + 0.02 * 2) + 0.01 * (50 + 200 * 4 + 1000)),
        (8, 1000 * (0.1 * 8 + 0.02 * 3) + 0.01 * (50 + 200 * 10 + 1000)),
    ],
)
def test_a_training_with_a_cache(epochs: int, expected: float) -> None:
    seconds = COST.training_seconds(epochs, train_photos=1000, validation_photos=200, start_photos=50, views=3)
    assert seconds == pytest.approx(expected)


def test_a_training_without_neighbours_recognises_no_training_photo() -> None:
    without = COST.training_seconds(1, train_photos=1000, validation_photos=200, neighbours=False)
    assert without == pytest.approx(1000 * 0.1 + 0.01 * 200 * 3)
