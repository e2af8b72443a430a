"""Words by weight: what is marked, and mean weights against a plain loop."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pytest

from prodrec.core.base.ragged import Ragged
from prodrec.inference import title_words
from prodrec.inference.results import Word
from prodrec.inference.title_words import LEAST, MOST, mean_weights, rank_words


def marks(*weights: float | None) -> str:
    """The marks of words with these weights, in descending order of them; a point for none."""
    ranked = rank_words([Word(f"w{i}", weight) for i, weight in enumerate(weights)])
    return "".join(word.mark or "." for word in ranked)


def test_words_are_sorted_and_three_are_marked_at_each_end() -> None:
    weights = [0.2, None, 0.9, 0.5, 0.1, 0.7, 0.3, 0.8, 0.4]
    ranked = rank_words([Word(str(weight), weight) for weight in weights])
    assert [word.weight for word in ranked] == [0.9, 0.8, 0.7, 0.5, 0.4, 0.3, 0.2, 0.1, None]
    assert [word.mark for word in ranked] == [MOST] * 3 + [""] * 2 + [LEAST] * 3 + [""]
    assert all(word.weight is None or word.word == str(word.weight) for word in ranked)


def test_short_titles_have_fewer_marks() -> None:
    assert [marks(*range(count, 0, -1)) for count in range(8)] == [
        "",
        ".",
        "+-",
        "+.-",
        "++--",
        "++.--",
        "+++---",
        "+++.---",
    ]


def test_equal_weights_have_no_marks() -> None:
    assert marks(0.5, 0.5, 0.5, 0.5) == "...."
    assert marks(0.5, 0.5, 0.5, 0.4) == "...."  # two of three equal words would be the least important ones
    assert marks(0.5, 0.5, 0.4, 0.4) == "++--"
    assert marks(None, None) == ".."


def test_equal_weights_keep_the_order_of_the_title() -> None:
    ranked = rank_words([Word("b", 0.5), Word("a", 0.5), Word("c", 0.9)])
    assert [word.word for word in ranked] == ["c", "b", "a"]


@pytest.mark.parametrize("batch", [2, 4096])
def test_means_agree_with_a_loop(batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(title_words, "BATCH", batch)
    random = np.random.default_rng(0)
    titles = [random.integers(1, 12, size=length).tolist() for length in (0, 1, 2, 2, 3, 5, 5, 8, 1, 4)] + [[12, 12]]

    def weight_of(ids: list[int]) -> list[float]:
        """A weight of 0 for word 12, or else one that depends on the title."""
        return [0.0 if word == 12 else word / (1 + len(set(ids))) for word in ids]

    def weigh(tokens_BT: Any) -> Any:
        weights_BT = np.full(tokens_BT.shape, 99.0, np.float32)  # weights of padding must not count
        for row, tokens_T in enumerate(tokens_BT.tolist()):
            ids = [word for word in tokens_T if word]
            weights_BT[row, : len(ids)] = weight_of(ids)
        return weights_BT

    expected: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for ids in titles:
        weights = weight_of(ids)
        if len(ids) > 1 and sum(weights) > 0:
            for word, weight in zip(ids, weights, strict=True):
                expected[word].append((weight, weight / (sum(weights) / len(weights))))
    lengths = np.array([len(ids) for ids in titles])
    means = mean_weights(weigh, Ragged.from_lengths(np.concatenate(titles), lengths), words=12)
    assert means.titles == 7
    for word in range(1, 13):
        assert means.counts_V[word] == len(expected[word])
        if expected[word]:
            weight, relative = np.mean(expected[word], axis=0)
            assert (means.weights_V[word], means.relative_V[word]) == pytest.approx((weight, relative), rel=1e-6)
    for min_count in (1, 3):
        ids = means.ranked(min_count)
        assert set(ids.tolist()) == {word for word, values in expected.items() if len(values) >= min_count}
        assert np.all(np.diff(means.relative_V[ids]) <= 0)
