"""Counts of words in titles, in which a word counts once for each title that contains it.

Shapes: V words of the vocabulary, R titles, T words of the longest one.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.ragged import Ragged

TITLES_AT_ONCE = 65_536


def titles_with_word(tokens: Ragged, rows_R: NDArray[np.int64], *, words: int) -> NDArray[np.int64]:
    """Return the number of titles in `rows_R` that contain each word: int64 [V + 1], by word id; 0 is no word.

    words: V
    """
    titles_V = np.zeros(words + 1, np.int64)
    for _, tokens_RT, is_first_RT in _first_occurrences(tokens, rows_R):
        titles_V += np.bincount(tokens_RT[is_first_RT], minlength=len(titles_V))
    return titles_V


def words_per_title(tokens: Ragged, rows_R: NDArray[np.int64], counts_V: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the number of different words of every title in `rows_R`, int64 [R].

    counts_V: whether a word counts, bool [V + 1] by word id
    """
    words_R = np.zeros(len(rows_R), np.int64)
    for part, tokens_RT, is_first_RT in _first_occurrences(tokens, rows_R):
        words_R[part] = (is_first_RT & counts_V[tokens_RT]).sum(1)
    return words_R


def _first_occurrences(
    tokens: Ragged, rows_R: NDArray[np.int64]
) -> Iterator[tuple[slice, NDArray[np.int64], NDArray[np.bool_]]]:
    """Yield parts of `rows_R` with their sorted words, and whether each is the first of its kind in its title."""
    for start in range(0, len(rows_R), TITLES_AT_ONCE):
        part = slice(start, start + TITLES_AT_ONCE)
        tokens_RT = np.sort(tokens.padded(rows_R[part]), axis=1)
        yield part, tokens_RT, np.diff(tokens_RT, axis=1, prepend=0) > 0
