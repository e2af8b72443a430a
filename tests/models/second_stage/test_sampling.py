"""Class-balanced sampling draws every class equally often."""

from __future__ import annotations

import numpy as np

from prodrec.models.second_stage.sampling import ClassBalancedSampler


def test_classes_are_drawn_equally_often_and_so_are_the_photos_of_a_class() -> None:
    class_N = np.array([4, 0, 0, 4, 0, 0, 0, 0, 7, 0], dtype=np.int64)  # classes 1, 2, 3, 5 and 6 have no photo
    sampler = ClassBalancedSampler(class_N, views=2, seed=3)
    rows, views = (
        np.concatenate(parts) for parts in zip(*(sampler.draw(step, 512) for step in range(40)), strict=True)
    )
    draws = len(rows)
    for c, photos in ((0, 7), (4, 2), (7, 1)):
        drawn = np.bincount(rows, minlength=10)[class_N == c]
        assert len(drawn) == photos
        # p = 1/3 · 1/n_c, within five standard deviations
        p = 1 / 3 / photos
        assert np.all(np.abs(drawn - draws * p) < 5 * np.sqrt(draws * p * (1 - p)))
    assert abs(views.mean() - 0.5) < 5 * 0.5 / draws**0.5


def test_a_draw_depends_on_seed_and_step_alone() -> None:
    class_N = np.arange(50, dtype=np.int64) % 7
    first, again = ClassBalancedSampler(class_N, seed=1), ClassBalancedSampler(class_N, seed=1)
    again.draw(0, 8)
    assert np.array_equal(first.draw(5, 64)[0], again.draw(5, 64)[0])
    assert not np.array_equal(first.draw(5, 64)[0], first.draw(6, 64)[0])
    assert not np.array_equal(first.draw(5, 64)[0], ClassBalancedSampler(class_N, seed=2).draw(5, 64)[0])
