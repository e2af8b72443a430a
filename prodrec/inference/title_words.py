"""The words of titles by their weights (A fig. 7): within a title, and in the mean over many titles.

A weight means something beside the other words of its title only: the weights of some encoders sum to 1, so a word of a
short title has more. The relative weight of word t of a title of T words is comparable over titles; 1 is a word that
weighs as much as the others:

    r_t = a_t / mean_t' a_t'

Shapes: P titles, B titles of a batch, T words of a title, V words of the vocabulary, row 0 for padding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base import console
from prodrec.core.base.ragged import Ragged
from prodrec.inference.results import Word

MOST, LEAST = "+", "-"
MARKED = 3
"""Words of a title that are marked as the most and as the least important ones, as in A fig. 7."""
BATCH = 4096
"""Titles of a batch, of about the same length."""

Weigh = Callable[[NDArray[np.int64]], NDArray[np.float32]]
"""Returns the weights [B, T] of the words with the ids [B, T]; 0 is padding."""


@dataclass(frozen=True)
class RankedWord:
    """A word of a title; `weight` is None outside the vocabulary, `mark` is MOST, LEAST or empty."""

    word: str
    weight: float | None
    mark: str = ""


@dataclass(frozen=True, eq=False)
class WordWeights:
    """The mean weights of words over titles.

    titles:     number of titles, those with at least two words
    counts_V:   occurrences in them
    weights_V:  mean weight, relative_V: mean relative weight; 0 for a word that does not occur
    """

    titles: int
    counts_V: NDArray[np.int64]
    weights_V: NDArray[np.float64]
    relative_V: NDArray[np.float64]

    def ranked(self, min_count: int) -> NDArray[np.int64]:
        """Return the ids of the words with at least `min_count` occurrences, largest mean relative weight first."""
        ids = np.flatnonzero(self.counts_V >= max(1, min_count))
        return ids[np.argsort(-self.relative_V[ids], kind="stable")]


def rank_words(words: Sequence[Word]) -> list[RankedWord]:
    """Return the words by descending weight, unknown ones last, with the first and the last MARKED marked.

    Less than half of the words get a mark of one kind. A word with the weight of one that is marked MOST is not marked
    LEAST: where all words weigh the same, nothing is the least important.
    """
    known = sorted(((word.word, word.weight) for word in words if word.weight is not None), key=lambda pair: -pair[1])
    marked = min(MARKED, len(known) // 2)
    lightest_most = known[marked - 1][1] if marked else 0.0
    heaviest_least = known[-marked][1] if marked else 0.0
    has_marks = marked > 0 and heaviest_least < lightest_most
    ranked = [
        RankedWord(
            word,
            weight,
            "" if not has_marks else MOST if place < marked else LEAST if place >= len(known) - marked else "",
        )
        for place, (word, weight) in enumerate(known)
    ]
    return ranked + [RankedWord(word.word, None) for word in words if word.weight is None]


def mean_weights(weigh: Weigh, titles: Ragged, *, words: int) -> WordWeights:
    """Return the mean weights of all words over `titles`, the ids of the words of P titles.

    words: number of words of the vocabulary. Titles of one word, and those whose weights are all 0, do not count.
    """
    counts_V, weights_V, relative_V = (np.zeros(words + 1) for _ in range(3))
    used = 0
    rows_P = np.flatnonzero(titles.lengths > 1)
    rows_P = rows_P[np.argsort(titles.lengths[rows_P], kind="stable")]
    with console.progress("weighing words", total=len(rows_P), unit="titles", minimum=4 * BATCH) as advance:
        for start in range(0, len(rows_P), BATCH):
            tokens_BT = titles.padded(rows_P[start : start + BATCH])
            is_word_BT = tokens_BT != 0
            weights_BT = np.where(is_word_BT, weigh(tokens_BT), 0.0).astype(np.float64)
            means_B = weights_BT.sum(axis=1) / is_word_BT.sum(axis=1)
            is_word_BT &= means_B[:, None] > 0
            relative_BT = weights_BT / np.where(means_B > 0, means_B, 1.0)[:, None]
            ids = tokens_BT[is_word_BT]
            counts_V += np.bincount(ids, minlength=words + 1)
            weights_V += np.bincount(ids, weights=weights_BT[is_word_BT], minlength=words + 1)
            relative_V += np.bincount(ids, weights=relative_BT[is_word_BT], minlength=words + 1)
            used += int((means_B > 0).sum())
            advance(len(tokens_BT))
    occurrences_V = np.maximum(counts_V, 1)
    return WordWeights(used, counts_V.astype(np.int64), weights_V / occurrences_V, relative_V / occurrences_V)
