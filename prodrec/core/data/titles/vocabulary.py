"""The vocabulary of a dataset: which words were kept, in which order, how often each occurs, and what was dropped.

Paper A §4.1 discards "5 percent of very frequent and very infrequent words". That can be read as a share of the
distinct words or of the running text; both are here, `by=`. The default is the running text: titles follow Zipf's law,
so that 5 % of the distinct words are most of what is written (in a catalogue of 40,946 fashion products, dropping the
most frequent 5 % of the distinct words left 46 % of the titles without any word).

Word ids: 1 is the most frequent word that was kept, V the rarest; 0 is padding and "unknown".
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.errors import BadArtefact, BadOption, NotFound
from prodrec.core.base.texts import Texts

By = Literal["words", "occurrences"]

_EXAMPLES = 8
_TAB, _NEWLINE = ord("\t"), ord("\n")
_DIGITS = 18
"""More would not fit an int64."""


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The words that were kept, in order of decreasing count (ties in order of code points), and how often each occurs.

    words:  V words as Texts (any other sequence of strings becomes such); word id i + 1 is words[i]
    counts: int64 [V], occurrences in all titles
    tokenizer, tokenizer_version: what cut the titles
    """

    words: Texts
    counts: NDArray[np.int64]
    tokenizer: str
    tokenizer_version: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "words", Texts.of(self.words))
        assert len(self.words) == len(self.counts)

    def __len__(self) -> int:
        return len(self.words)

    @functools.cached_property
    def ids(self) -> dict[str, int]:
        """Word id by word."""
        return {word: i for i, word in enumerate(self.words, start=1)}

    def id_of(self, word: str) -> int:
        """The id of `word`, 1 to V; 0 where it is not in the vocabulary."""
        return self.ids.get(word, 0)

    def encode(self, words: Sequence[str]) -> NDArray[np.int32]:
        """The ids of `words` in order; words that are not in the vocabulary are left out."""
        found = [self.ids[word] for word in words if word in self.ids]
        return np.asarray(found, dtype=np.int32)

    def save(self, path: Path) -> None:
        """Write one line `word<tab>count` for every word, in order."""
        lines = (f"{word}\t{count}\n" for word, count in zip(self.words, self.counts.tolist(), strict=True))
        Path(path).write_text("".join(lines), "utf-8", newline="\n")

    @classmethod
    def load(cls, path: Path, *, tokenizer: str, tokenizer_version: str) -> Vocabulary:
        """Read what `save` wrote, without a Python string a word. Raises NotFound, BadArtefact naming the bad line."""
        try:
            raw = np.fromfile(path, np.uint8)
        except FileNotFoundError as error:
            raise NotFound(f"{path} does not exist; expected one word and its count a line.") from error
        words, counts = _parse(raw, path)
        repeated = words.first_repeated()
        if repeated is not None:
            raise BadArtefact(f"{path} has the word {words[repeated]!r} twice; make the dataset again.")
        return cls(words, counts, tokenizer, tokenizer_version)


def _parse(raw_b: NDArray[np.uint8], path: Path) -> tuple[Texts, NDArray[np.int64]]:
    """Words and counts of the b bytes of a file of `word<tab>count` lines."""
    if len(raw_b) and raw_b[-1] != _NEWLINE:
        lines = int((raw_b == _NEWLINE).sum())
        raise BadArtefact(f"{path} ends in the middle of line {lines + 1}; make the dataset again.")
    ends_V, tabs = np.flatnonzero(raw_b == _NEWLINE), np.flatnonzero(raw_b == _TAB)
    starts_V = np.r_[0, ends_V + 1][:-1]
    tab_V = ends_V.copy()
    tab_V[np.searchsorted(ends_V, tabs)[::-1]] = tabs[::-1]  # the first one of a line
    length_V = ends_V - tab_V - 1
    _refuse(np.flatnonzero((length_V < 1) | (length_V > _DIGITS) | (tab_V == starts_V)), raw_b, ends_V, path)
    steps = np.zeros(len(raw_b), np.int8)  # up where a word begins, down behind its end
    steps[starts_V], steps[tab_V] = 1, -1
    in_word_b = np.cumsum(steps, dtype=np.int8).view(np.bool_)
    odd_b = ~in_word_b & ((raw_b < ord("0")) | (raw_b > ord("9")))
    odd_b[tab_V], odd_b[ends_V] = False, False
    _refuse(np.searchsorted(ends_V, np.flatnonzero(odd_b)), raw_b, ends_V, path)
    try:
        offsets = np.r_[0, np.cumsum(tab_V - starts_V)]
        words = Texts.checked(raw_b[in_word_b], offsets)
    except ValueError as error:
        raise BadArtefact(f"{path} is not UTF-8 text ({error}); make the dataset again.") from error
    counts_V = np.zeros(len(ends_V), np.int64)
    for place in range(1, int(length_V.max(initial=0)) + 1):
        digit_V = raw_b[ends_V - place].astype(np.int64) - ord("0")
        counts_V += np.where(place <= length_V, digit_V * 10 ** (place - 1), 0)
    return words, counts_V


def _refuse(lines: NDArray[np.int64], raw_b: NDArray[np.uint8], ends_V: NDArray[np.int64], path: Path) -> None:
    """Raise BadArtefact for the first of `lines`, where there is one."""
    for number in lines[:1]:
        start = ends_V[number - 1] + 1 if number else 0
        line = raw_b[start : ends_V[number]].tobytes().decode("utf-8", "replace")
        raise BadArtefact(f"{path}, line {number + 1}: found {line!r}, expected a word, a tab and a count.")


@dataclass(frozen=True)
class TrimReport:
    """What trimming dropped: numbers of distinct words, their shares of the running text, and some of them."""

    by: str
    drop_frequent: float
    drop_rare: float
    words_before: int
    words: int
    occurrences_before: int
    occurrences: int
    frequent_words: int
    frequent_share: float
    frequent_examples: tuple[str, ...]
    rare_words: int
    rare_share: float
    rare_examples: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values, for dataset.json."""
        return asdict(self)


def trim(
    words: Sequence[str],
    counts: NDArray[np.int64],
    tokenizer: tuple[str, str],
    drop_frequent: float,
    drop_rare: float,
    by: By,
) -> tuple[Vocabulary, TrimReport]:
    """Order the words by decreasing count, drop the most and least frequent (paper A §4.1), and say what was dropped.

    by="words": shares of the distinct words. by="occurrences": as many of the most (least) frequent words as together
    make up no more than that share of the running text. Raises BadOption for shares that leave nothing.
    """
    check_shares(drop_frequent, drop_rare, by)
    words, counts = _most_frequent_first(Texts.of(words), counts)
    total, end = int(counts.sum()), len(words)
    if by == "words":
        first, last = int(drop_frequent * end + 1e-9), end - int(drop_rare * end + 1e-9)
    else:
        first = int(np.searchsorted(np.cumsum(counts), drop_frequent * total + 1e-9, side="right"))
        last = end - int(np.searchsorted(np.cumsum(counts[::-1]), drop_rare * total + 1e-9, side="right"))
    report = TrimReport(
        by=by,
        drop_frequent=drop_frequent,
        drop_rare=drop_rare,
        words_before=end,
        words=last - first,
        occurrences_before=total,
        occurrences=int(counts[first:last].sum()),
        frequent_words=first,
        frequent_share=float(counts[:first].sum() / max(total, 1)),
        frequent_examples=tuple(words[:first][:_EXAMPLES]),
        rare_words=end - last,
        rare_share=float(counts[last:].sum() / max(total, 1)),
        rare_examples=tuple(words[last:][:_EXAMPLES]),
    )
    return Vocabulary(words[first:last], counts[first:last], *tokenizer), report


def _most_frequent_first(words: Texts, counts: NDArray[np.int64]) -> tuple[Texts, NDArray[np.int64]]:
    """By falling count; words of one count in order of code points, which is that of their bytes."""
    import polars as pl

    frame = pl.DataFrame([words.to_polars("word"), pl.Series("count", counts)])
    order = frame.with_row_index("at").sort(["count", "word"], descending=[True, False])["at"].to_numpy()
    return words.take(order), counts[order]


def check_shares(drop_frequent: float, drop_rare: float, by: str) -> None:
    """Raise BadOption for shares that leave no words, or an unknown way to count them."""
    if by not in ("words", "occurrences"):
        raise BadOption(f"trimming by {by!r} is not known; choose words or occurrences.")
    if not (0 <= drop_frequent < 1 and 0 <= drop_rare < 1 and drop_frequent + drop_rare < 1):
        raise BadOption(
            f"dropping {drop_frequent:g} of the most and {drop_rare:g} of the least frequent words leaves none; "
            "both are shares from 0 to 1 and together less than 1."
        )
