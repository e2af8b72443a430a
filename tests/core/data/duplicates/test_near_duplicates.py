"""Catalogues that are only hashes: random photos and near copies of some, with the same leaf or another."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from prodrec.core.base.errors import BadOption
from prodrec.core.data.duplicates import near_duplicates
from prodrec.core.data.duplicates.near_duplicates import join_near_duplicates, parse_near_duplicates
from prodrec.core.data.duplicates.perceptual_hash import FLAT, count_comparisons

RANDOM = np.random.default_rng(0)
HASHES = RANDOM.integers(1, 2**64, 1000, dtype=np.uint64)
LEAVES = RANDOM.integers(0, 10, 1000).astype(np.int32)
TWO_BITS = np.uint64(0b11 << 17)


def with_copies(wrong: float, count: int = 200) -> tuple[NDArray[np.int64], NDArray[np.uint64], NDArray[np.int32]]:
    """The catalogue and near copies of `count` photos; the share `wrong` of the copies has another leaf."""
    leaves = LEAVES[:count].copy()
    leaves[: round(wrong * count)] = (leaves[: round(wrong * count)] + 1) % 10
    hashes = np.concatenate([HASHES, HASHES[:count] ^ TWO_BITS])
    return np.arange(len(hashes)), hashes, np.concatenate([LEAVES, leaves])


def test_near_copies_are_joined() -> None:
    exact, hashes, leaf = with_copies(wrong=0.01)
    group, report = join_near_duplicates(exact, hashes, leaf, "auto")
    assert group.tolist() == [*range(1000), *range(200)]
    assert report["bits"] == near_duplicates.AUTO_BITS and report["why"].startswith(
        "on: of 200 pairs within 4 bits 1.0%"
    )
    assert (report["near_pairs"], report["largest_group"]) == (200, 2)


def test_other_products_that_look_alike_are_not_joined() -> None:
    exact, hashes, leaf = with_copies(wrong=0.1)
    group, report = join_near_duplicates(exact, hashes, leaf, "auto")
    assert group is exact and report["bits"] == 0
    assert "10.0% stand under different leaves" in report["why"] and "different products" in report["why"]
    assert report["near_apart"] == pytest.approx(0.1) and report["chance_apart"] == pytest.approx(0.9, abs=0.01)


def test_wrong_labels_are_not_mistaken_for_other_products() -> None:
    """If pixel-identical photos have different leaves as often, near-identical photos may have them as well."""
    exact, hashes, leaf = with_copies(wrong=0.1)
    identical = np.arange(100)  # and 100 identical photos, ten of them with another leaf
    leaf_again = LEAVES[500:600].copy()
    leaf_again[:10] = (leaf_again[:10] + 1) % 10
    exact = np.concatenate([exact, 500 + identical])
    hashes, leaf = np.concatenate([hashes, HASHES[500:600]]), np.concatenate([leaf, leaf_again])
    group, report = join_near_duplicates(exact, hashes, leaf, "auto")
    assert report["bits"] == near_duplicates.AUTO_BITS and "identical photos 10.0%" in report["why"]
    assert len(np.unique(group)) == 1000


def test_a_long_comparison_is_announced(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    exact, hashes, leaf = with_copies(wrong=0)
    join_near_duplicates(exact, hashes, leaf, "4")
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(near_duplicates, "WARN_FROM_PAIRS", 1)
    join_near_duplicates(exact, hashes, leaf, "4")
    pairs = count_comparisons(hashes, 4)
    message = f"{pairs:,} pairs of photos are compared, which takes minutes; --near-duplicates off skips this"
    assert message in capsys.readouterr().err


def test_labels_that_cannot_distinguish_products() -> None:
    exact, hashes, _ = with_copies(wrong=0)
    _, report = join_near_duplicates(exact, hashes, np.zeros(1200, np.int32), "auto")
    assert report["bits"] == 0 and "one leaf" in report["why"]


def test_a_chain_through_the_catalogue() -> None:
    """Each photo is near the next and all have one leaf: only the length of the chain reveals the mistake."""
    steps = np.uint64(1) << np.arange(60, dtype=np.uint64)
    chain = np.bitwise_xor.accumulate(np.concatenate([[np.uint64(77)], steps]))
    hashes = np.concatenate([HASHES, chain])
    leaf = np.concatenate([LEAVES, np.full(61, 3, np.int32)])
    exact = np.arange(len(hashes))
    group, report = join_near_duplicates(exact, hashes, leaf, "auto")
    assert group is exact and report["bits"] == 0 and "one chain would join 61 of 1,061 photos" in report["why"]
    group, report = join_near_duplicates(exact, hashes, leaf, "4")
    assert report["largest_group"] == 61 and report["why"] == "as asked for"


def test_plain_photos_and_equal_hashes() -> None:
    hashes = np.array([FLAT, 5 << 40, FLAT, 5 << 40, 9], np.uint64)
    group, report = join_near_duplicates(np.array([0, 1, 2, 3, 0]), hashes, np.arange(5, dtype=np.int32), "1")
    assert group.tolist() == [0, 1, 2, 1, 0]
    assert report["near_pairs"] == 1


def test_off() -> None:
    exact, hashes, leaf = with_copies(wrong=0)
    group, report = join_near_duplicates(exact, hashes, leaf, "off")
    assert group is exact and report == {"bits": 0, "why": "off, as asked for"}


def test_nothing_near() -> None:
    group, report = join_near_duplicates(np.arange(1000), HASHES, LEAVES, "auto")
    assert group.tolist() == list(range(1000)) and "no two photos are within 4 bits" in report["why"]


def test_a_sample_decides_for_all_photos(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_duplicates, "_SAMPLE_PHOTOS", 600)
    exact, hashes, leaf = with_copies(wrong=0.0, count=900)
    group, report = join_near_duplicates(exact, hashes, leaf, "auto")
    assert report["sampled_photos"] == 600 and 50 < report["near_pairs"] < 400
    assert len(np.unique(group)) == 1000


def test_values_of_the_option() -> None:
    assert [parse_near_duplicates(text) for text in ("auto", "off", "3")] == [None, 0, 3]
    for text in ("0", "17", "-1", "yes", "", "2.5"):
        with pytest.raises(BadOption, match="--near-duplicates"):
            parse_near_duplicates(text)
