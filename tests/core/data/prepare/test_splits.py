from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from prodrec.core.base.errors import BadOption
from prodrec.core.data.prepare.splits import (
    Ratios,
    count_leaks,
    crossing_rows,
    empty_split_notes,
    move_crossing_groups,
    parse_ratios,
    split_rows,
)


def split(
    leaf: NDArray[np.int64], group: NDArray[np.int64] | None = None, **options: int | Ratios
) -> NDArray[np.uint8]:
    names = [f"leaf {i}" for i in range(int(leaf.max()) + 1)]
    group = np.arange(len(leaf)) if group is None else group
    settings = {"ratios": Ratios(), "seed": 0, **options}
    return split_rows(leaf, group, names, **settings)  # type: ignore[arg-type]


def counts(split_N: NDArray[np.uint8]) -> list[int]:
    return np.bincount(split_N, minlength=3).tolist()


@pytest.mark.parametrize(
    ("photos", "expected"),
    [
        *(
            (1, [1, 0, 0]),
            (2, [2, 0, 0]),
            (3, [2, 1, 0]),
            (4, [3, 1, 0]),
            (5, [3, 1, 1]),
            (7, [5, 1, 1]),
            (8, [5, 2, 1]),
        ),
        *((10, [7, 2, 1]), (15, [10, 3, 2]), (100, [70, 20, 10]), (1234, [864, 247, 123])),
    ],
)
def test_split_sizes_of_a_leaf(photos: int, expected: list[int]) -> None:
    assert counts(split(np.zeros(photos, np.int64))) == expected


def test_every_leaf_has_its_shares() -> None:
    leaf = np.random.default_rng(0).integers(0, 12, 2000)
    splits = split(leaf)
    for i in range(12):
        n = int((leaf == i).sum())
        assert counts(splits[leaf == i])[1:] == [int(0.2 * n + 0.5), int(0.1 * n + 0.5)]


def test_seed() -> None:
    leaf = np.zeros(500, np.int64)
    assert np.array_equal(split(leaf, seed=3), split(leaf, seed=3))
    assert (split(leaf, seed=3) != split(leaf, seed=4)).mean() > 0.3


def test_every_position_is_in_test_as_often_as_its_share() -> None:
    """Over many seeds, and over many leaves of one seed; and positions do not depend on each other."""
    by_seed = np.mean([split(np.zeros(50, np.int64), seed=seed) == 1 for seed in range(1000)], axis=0)
    assert np.abs(by_seed - 0.2).max() < 0.05
    by_leaf = (split(np.repeat(np.arange(1000), 50)) == 1).reshape(1000, 50).mean(axis=0)
    assert np.abs(by_leaf - 0.2).max() < 0.05
    correlation = np.corrcoef((split(np.repeat(np.arange(1000), 50)) == 1).reshape(1000, 50).T)
    assert np.abs(correlation - np.eye(50)).max() < 0.15


def test_the_split_of_a_leaf_does_not_depend_on_other_leaves() -> None:
    """Leaf 2 is removed and the others are renumbered."""
    leaf = np.random.default_rng(1).integers(0, 6, 600)
    with_all = split(leaf)
    kept = leaf != 2
    names = ["leaf 5", "leaf 4", "leaf 3", "leaf 1", "leaf 0"]
    renumbered = np.array([4, 3, -1, 2, 1, 0])[leaf[kept]]
    without = split_rows(renumbered, np.arange(kept.sum()), names, ratios=Ratios(), seed=0)
    assert np.array_equal(with_all[kept], without)


@pytest.mark.parametrize("seed", range(8))
def test_groups_stay_together_and_no_split_gets_more_than_its_share(seed: int) -> None:
    random = np.random.default_rng(seed)
    leaf = random.integers(0, 9, 900)
    group = np.unique(random.integers(0, 700, 900), return_inverse=True)[1]  # across leaves too
    splits = split(leaf, group, seed=seed)
    assert not crossing_rows(splits, group).any()
    assert count_leaks(splits, group) == 0
    shares = np.array(counts(splits)) / 900
    assert shares[1] == pytest.approx(0.2, abs=0.02) and shares[2] == pytest.approx(0.1, abs=0.02)
    assert shares[1] <= 0.2 + 9 * 0.5 / 900


def test_a_group_larger_than_a_share_stays_in_train() -> None:
    group = np.array([0] * 8 + [1, 2])
    splits = split(np.zeros(10, np.int64), group)
    assert counts(splits) == [8, 1, 1] or counts(splits) == [8, 2, 0]
    assert (splits[:8] == 0).all()


@pytest.mark.parametrize(
    ("products", "photos", "expected"),
    [(4, 3, [9, 3, 0]), (3, 2, [4, 2, 0]), (2, 3, [6, 0, 0]), (2, 5, [10, 0, 0]), (1, 3, [3, 0, 0])],
)
def test_one_product_of_a_leaf_is_in_test_if_half_of_it_fits(products: int, photos: int, expected: list[int]) -> None:
    leaf, group = np.zeros(products * photos, np.int64), np.repeat(np.arange(products), photos)
    splits = split(leaf, group)
    assert not crossing_rows(splits, group).any() and (len(set(splits)) == 1) == (expected[1] == 0)
    assert counts(splits) == expected
    assert counts(split(leaf, group, balanced_test=1)) == [products * photos, 0, 0]


def test_a_single_group_is_train() -> None:
    assert counts(split(np.zeros(50, np.int64), np.zeros(50, np.int64))) == [50, 0, 0]


def test_a_group_of_two_leaves_belongs_to_the_majority() -> None:
    leaf = np.array([0, 1, 1] + [0] * 30 + [1] * 30)
    group = np.array([0, 0, 0, *range(1, 61)])
    for seed in range(30):
        splits = split(leaf, group, seed=seed)
        assert len(set(splits[:3].tolist())) == 1


@pytest.mark.parametrize(
    ("balanced", "photos", "expected"), [(10, 100, [80, 10, 10]), (10, 12, [5, 6, 1]), (3, 1, [1, 0, 0])]
)
def test_balanced_test(balanced: int, photos: int, expected: list[int]) -> None:
    assert counts(split(np.zeros(photos, np.int64), balanced_test=balanced)) == expected


def test_train_keeps_at_least_one() -> None:
    for n in range(1, 40):
        splits = split(np.zeros(n, np.int64), ratios=Ratios(0.01, 0.69, 0.3))
        assert counts(splits)[0] >= 1


def test_given_splits_keep_groups_together() -> None:
    given = np.array([0, 1, 2, 1, 1, 2], np.uint8)
    group = np.array([0, 0, 1, 2, 2, 1])
    splits, is_crossing = move_crossing_groups(given, group)
    assert splits.tolist() == [0, 0, 2, 1, 1, 2]
    assert is_crossing.tolist() == [True, True, False, False, False, False]


def test_leaks() -> None:
    group = np.array([0, 0, 0, 1, 1, 2])
    # A group in test and validation is not a leak from train.
    assert count_leaks(np.array([0, 1, 2, 1, 2, 1], np.uint8), group) == 2
    assert count_leaks(np.array([0, 0, 0, 1, 1, 2], np.uint8), group) == 0
    assert count_leaks(np.empty(0, np.uint8), np.empty(0, np.int64)) == 0


def test_ratios() -> None:
    assert parse_ratios("7:2:1") == Ratios(0.7, 0.2, 0.1)
    assert parse_ratios("80:20:0") == Ratios(0.8, 0.2, 0.0)
    for wrong in ("7:2", "0:2:1", "7:-2:1", "a:b:c", "", "7:2:1:0", "nan:1:1", "inf:1:1"):
        with pytest.raises(BadOption, match="--split"):
            parse_ratios(wrong)


@pytest.mark.parametrize(
    ("codes", "ratios", "is_given", "expected"),
    [
        ([0, 1, 2], "7:2:1", False, None),
        ([0, 2], "9:0:1", False, None),  # as the user asked
        ([0, 2], "7:2:1", False, "no row is in test, so nothing can be measured on it: every class"),
        ([0, 2], "9:0:1", True, "no row is in test, so nothing can be measured on it: the given splits"),
        ([1, 2], "7:2:1", True, "no row is in train"),
    ],
)
def test_empty_splits_are_reported(codes: list[int], ratios: str, is_given: bool, expected: str | None) -> None:
    notes = empty_split_notes(np.array(codes, np.uint8), ratios, is_given=is_given)
    assert len(notes) == (expected is not None)
    assert not notes or notes[0].startswith(expected or "")
