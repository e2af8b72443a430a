"""Encode titles as word ids: split all titles, build the vocabulary, and replace the words of every title by ids.

Shapes: N titles, n titles of a chunk, W words of a chunk of titles.
"""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.ragged import Ragged
from prodrec.core.base.texts import Texts
from prodrec.core.base.workers import map_in_order, raise_if_stopped
from prodrec.core.data.titles.scripts import warn_of_uncut
from prodrec.core.data.titles.tokenizer import Tokenizer
from prodrec.core.data.titles.vocabulary import TrimBy, TrimReport, Vocabulary, check_trim_shares, trim_words

_CHUNK_TITLES = 10_000
"""Titles of a chunk. `map_in_order` queues several chunks for every process, which takes memory on many cores."""
_TITLES_BETWEEN_CHECKS = 1_000

SplitTitles = tuple[list[str], NDArray[np.int32], NDArray[np.int32], Counter[str]]
"""The distinct words of n titles; the index of each of the W words in that list; the number of words per title, [n];
the number of titles with each script of `scripts.scripts_of`."""


def encode_titles(
    titles: Iterable[str | None],
    tokenizer: Tokenizer,
    *,
    drop_frequent: float = 0.05,
    drop_rare: float = 0.05,
    by: TrimBy = "occurrences",
    counted_N: NDArray[np.bool_] | None = None,
    workers: int = 1,
    advance: Callable[[int], object] = lambda titles: None,
) -> tuple[Ragged, Vocabulary, TrimReport]:
    """Split the titles, build the vocabulary (see `vocabulary.trim_words`) and encode every title.

    Return the word ids of N titles, the vocabulary, and the report on trimming. The titles are read once.
    A title that is None or contains no word of the vocabulary becomes an empty row. The vocabulary records those
    libraries that cut at least one title. Warn of scripts that are not cut.

    counted_N: the titles whose words make up the vocabulary; by default all
    workers:   processes that split titles; the result does not depend on their number
    advance:   called with the number of titles that were split since the last call
    """
    check_trim_shares(drop_frequent, drop_rare, by)
    provisional_ids: dict[str, int] = {}  # in order of first occurrence, until the vocabulary is complete
    values, lengths = bytearray(), [np.empty(0, np.int32)]
    scripts: Counter[str] = Counter()
    for words, indices_W, lengths_n, scripts_of_chunk in _split_in_chunks(titles, tokenizer, workers):
        scripts += scripts_of_chunk
        ids = (provisional_ids.setdefault(word, len(provisional_ids)) for word in words)
        values += np.fromiter(ids, np.int32, len(words))[indices_W].data
        lengths.append(lengths_n)
        advance(len(lengths_n))
    tokens = Ragged.from_lengths(np.frombuffer(values, np.int32), np.concatenate(lengths))
    warn_of_uncut(scripts, len(tokens), tokenizer.scripts)
    tokenizer = tokenizer.restricted_to(scripts)
    counted_N = np.ones(len(tokens), bool) if counted_N is None else counted_N
    counts = tokens.value_counts(counted_N, size=len(provisional_ids))
    words_before = Texts.from_strings(provisional_ids)
    occurring = np.flatnonzero(counts)
    if len(occurring) < len(counts):
        words_before, counts = words_before.take(occurring), counts[occurring]
    vocabulary, report = trim_words(
        words_before, counts, (tokenizer.name, tokenizer.version), drop_frequent, drop_rare, by
    )
    final_ids = np.zeros(len(provisional_ids), np.int32)
    final_ids[occurring] = vocabulary.words.find(words_before) + 1
    for _, chunk in tokens.chunks():
        chunk.values[:] = final_ids[chunk.values]
    return tokens.filter(tokens.values > 0), vocabulary, report


def _split_in_chunks(titles: Iterable[str | None], tokenizer: Tokenizer, workers: int) -> Iterator[SplitTitles]:
    """Split the titles in chunks, in order, by `workers` processes."""
    remaining = iter(titles)
    chunks = iter(lambda: list(itertools.islice(remaining, _CHUNK_TITLES)), [])
    return map_in_order(functools.partial(_split_chunk, tokenizer), chunks, workers=workers)


def _split_chunk(tokenizer: Tokenizer, titles: list[str | None]) -> SplitTitles:
    """Split the titles of one chunk, in a worker process."""
    words_by_title: list[Sequence[str]] = []
    scripts: Counter[str] = Counter()
    for i, title in enumerate(titles):
        if i % _TITLES_BETWEEN_CHECKS == 0:
            raise_if_stopped()
        words_of_title, scripts_of_title = tokenizer.split(title) if title else ((), ())
        words_by_title.append(words_of_title)
        if scripts_of_title:
            scripts.update(scripts_of_title)
    words = list(itertools.chain.from_iterable(words_by_title))
    index = {word: i for i, word in enumerate(dict.fromkeys(words))}
    indices_W = np.fromiter(map(index.__getitem__, words), np.int32, len(words))
    lengths_n = np.fromiter(map(len, words_by_title), np.int32, len(titles))
    return list(index), indices_W, lengths_n, scripts
