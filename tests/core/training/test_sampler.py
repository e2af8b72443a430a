"""The epochs of a sampler: the share of every group, its cycles through its photos, and the shares of the classes.

Shapes: R training photos, G groups, L levels.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from prodrec.core.base.taxonomy import Taxonomy
from prodrec.core.training.sampler import POWERS, Sampler, group_of_rows, sample_rows, sampled_images

LABELS_RL = np.array([[0, 0]] * 50 + [[0, 1]] * 9 + [[0, -1]] * 4 + [[1, 2]] * 1 + [[1, -1]] * 16, np.int32)
SIZES = [50, 9, 4, 1, 16]
ROWS_R = 1000 + 3 * np.arange(len(LABELS_RL))
TAXONOMY = Taxonomy(
    levels=("root", "leaf"),
    names=(("shoes", "bags"), ("boots", "sandals", "totes", "satchels")),
    parents=(np.full(2, -1, np.int32), np.array([0, 0, 1, 1], np.int32)),
)
IMAGES = {"root": np.array([63, 17]), "leaf": np.array([50, 9, 1, 0])}


def draw(sampler: Sampler, *, seed: int = 0, epoch: int = 0) -> np.ndarray:
    return sample_rows(ROWS_R, group_of_rows(LABELS_RL), sampler, seed=seed, epoch=epoch)


def test_rows_with_the_same_deepest_label_are_a_group() -> None:
    group_R = group_of_rows(LABELS_RL)
    labels_of_group = {group: {tuple(labels) for labels in LABELS_RL[group_R == group]} for group in set(group_R)}
    assert sorted(labels_of_group) == [0, 1, 2, 3, 4] and all(len(labels) == 1 for labels in labels_of_group.values())


@pytest.mark.parametrize("sampler", POWERS)
def test_a_group_has_its_share_of_every_epoch_and_cycles_through_its_photos(sampler: Sampler) -> None:
    total = len(ROWS_R)
    weights = [size ** POWERS[sampler] for size in SIZES]
    expected = [total * weight / sum(weights) for weight in weights]
    starts = np.cumsum([0, *SIZES])
    sums = np.zeros(len(SIZES))
    for epoch in range(200):
        sampled_R = draw(sampler, epoch=epoch)
        assert len(sampled_R) == total
        for group, size in enumerate(SIZES):
            own = ROWS_R[starts[group] : starts[group] + size]
            drawn = sampled_R[np.isin(sampled_R, own)]
            assert abs(len(drawn) - expected[group]) < 1
            for first in range(0, len(drawn), size):  # no photo again before all others
                assert max(Counter(drawn[first : first + size].tolist()).values()) == 1
            sums[group] += len(drawn)
    np.testing.assert_allclose(sums / 200, expected, atol=0.15)


def test_an_epoch_depends_on_seed_and_epoch_alone() -> None:
    first = draw("classes", seed=1, epoch=2)
    assert np.array_equal(first, draw("classes", seed=1, epoch=2))
    assert not np.array_equal(first, draw("classes", seed=2, epoch=2))
    assert not np.array_equal(first, draw("classes", seed=1, epoch=3))


def test_few_draws_of_a_large_group_are_other_photos_in_every_epoch() -> None:
    large = ROWS_R[:50]
    seen = [frozenset(row for row in draw("classes", epoch=epoch) if row in large) for epoch in range(20)]
    assert len(set(seen)) == 20 and len(frozenset.union(*seen)) > 40


@pytest.mark.parametrize("sampler", POWERS)
def test_the_images_of_an_epoch_are_counted_by_level(sampler: Sampler) -> None:
    weights = [size ** POWERS[sampler] for size in SIZES]
    boots, sandals, shoes, totes, bags = weights
    sampled = sampled_images(IMAGES, TAXONOMY, sampler)
    np.testing.assert_allclose(sampled["leaf"], [boots, sandals, totes, 0])
    np.testing.assert_allclose(sampled["root"], [boots + sandals + shoes, totes + bags])
    if sampler == "images":
        assert all(np.array_equal(sampled[level], IMAGES[level]) for level in IMAGES)


def test_counts_by_level_are_those_of_drawn_epochs() -> None:
    sampled, counts = sampled_images(IMAGES, TAXONOMY, "sqrt"), np.zeros(2)
    for epoch in range(100):
        roots = LABELS_RL[(draw("sqrt", epoch=epoch) - 1000) // 3, 0]
        counts += np.bincount(roots, minlength=2)
    np.testing.assert_allclose(counts / counts.sum(), sampled["root"] / sampled["root"].sum(), atol=0.005)


def test_one_class_and_one_photo() -> None:
    for count in (1, 3):
        rows_R = np.arange(count)
        sampled_R = sample_rows(rows_R, np.zeros(count, np.int64), "classes", seed=0, epoch=0)
        assert sorted(sampled_R) == rows_R.tolist()
