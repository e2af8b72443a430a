"""The vocabulary of a dataset: the words it contains, their order and counts, and the words that trimming dropped.

Paper A §4.1 discards "5 percent of very frequent and very infrequent words". The 5 % can be a share of the distinct
words or of the running text; `by=` selects one. The default is the running text, because titles follow Zipf's law:
the most frequent 5 % of the distinct words make up most of the text. In a catalogue of 40,946 fashion products,
dropping them left 46 % of the titles without any word.

Word ids: 1 is the most frequent word of the vocabulary, V the rarest; 0 is padding and "unknown".

Shapes: V words of the vocabulary.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.errors import BadArtefact, BadOption, BadTable, NotFound
from prodrec.core.base.texts import Texts

if TYPE_CHECKING:
    from prodrec.core.data.dataset import Dataset

TrimBy = Literal["words", "occurrences"]

_MAX_EXAMPLES = 8
"""Largest number of dropped words that a TrimReport lists, for frequent and for rare words."""
_LINE = r"^(?<word>[^\t]+)\t(?<count>[0-9]{1,18})$"
"""A line of the vocabulary file. Every number of 18 digits fits into an int64."""


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The words of a dataset, by decreasing count and then by code points, and how often each occurs.

    words:  V words; any sequence of strings is converted to Texts. Word id i + 1 is words[i].
    counts: int64 [V], occurrences in all titles
    tokenizer, tokenizer_version: the library that split the titles, and its version
    """

    words: Texts
    counts: NDArray[np.int64]
    tokenizer: str
    tokenizer_version: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "words", Texts.from_strings(self.words))
        if len(self.words) != len(self.counts):
            raise ValueError(f"{len(self.words)} words and {len(self.counts)} counts")

    def __len__(self) -> int:
        return len(self.words)

    @functools.cached_property
    def ids(self) -> dict[str, int]:
        """The id of every word."""
        return {word: i for i, word in enumerate(self.words, start=1)}

    def id_of(self, word: str) -> int:
        """Return the id of `word`, 1 to V, or 0 if the vocabulary does not contain it."""
        return self.ids.get(word, 0)

    def encode(self, words: Sequence[str]) -> NDArray[np.int32]:
        """Return the ids of `words` in order. Words that the vocabulary does not contain are skipped."""
        return np.asarray([self.ids[word] for word in words if word in self.ids], dtype=np.int32)

    def encode_text(self, text: str) -> NDArray[np.int32]:
        """Split a text as the titles were split, and return the ids of its words in order, without unknown words.

        Raise BadOption if a library that split the titles is missing.
        """
        from prodrec.core.data.titles.tokenizer import recorded_tokenizer

        return self.encode(recorded_tokenizer(self.tokenizer, self.tokenizer_version)(text))

    def save(self, path: Path) -> None:
        """Write one line `word<tab>count` for every word, in order."""
        lines = (f"{word}\t{count}\n" for word, count in zip(self.words, self.counts.tolist(), strict=True))
        Path(path).write_text("".join(lines), "utf-8", newline="\n")

    @classmethod
    def load(cls, path: Path, *, tokenizer: str, tokenizer_version: str) -> Vocabulary:
        """Read a file that `save` wrote. Raise NotFound, or BadArtefact with the number of the bad line.

        The words stay in polars columns: a million Python strings would take 80 MB.
        """
        import polars as pl

        path = Path(path)
        try:
            raw = path.read_bytes()
        except FileNotFoundError as error:
            raise NotFound(f"{path} does not exist; expected a file with a word and its count on each line.") from error
        if raw and not raw.endswith(b"\n"):
            complete_lines = raw.count(b"\n")
            raise BadArtefact(f"{path} ends in the middle of line {complete_lines + 1}; make the dataset again.")
        try:
            text = raw.decode()
        except UnicodeDecodeError as error:
            raise BadArtefact(f"{path} is not UTF-8 text ({error}); make the dataset again.") from error
        lines = pl.Series([text]).str.split("\n").explode().head(-1)
        fields = lines.str.extract_groups(_LINE).struct.unnest()
        bad_lines = fields["count"].is_null().arg_true()
        if len(bad_lines):
            first = bad_lines[0]
            raise BadArtefact(f"{path}, line {first + 1}: found {lines[first]!r}, expected a word, a tab and a count.")
        words, counts = Texts.from_polars(fields["word"]), fields["count"].cast(pl.Int64).to_numpy()
        repeated = words.first_duplicate()
        if repeated is not None:
            raise BadArtefact(f"{path} has the word {words[repeated]!r} twice; make the dataset again.")
        return cls(words, counts, tokenizer, tokenizer_version)


def require_vocabulary(dataset: Dataset) -> Vocabulary:
    """Return the vocabulary of `dataset`. Raise BadTable if it is empty."""
    if not len(dataset.vocabulary):
        raise BadTable(
            f"{dataset.path} has no words: its table had no titles, or trimming dropped all of them; "
            "prepare it again with --title COLUMN."
        )
    return dataset.vocabulary


@dataclass(frozen=True)
class TrimReport:
    """What trimming dropped: numbers of distinct words, their shares of the running text, and examples."""

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
        """Return the fields as plain values, for dataset.json."""
        return asdict(self)


def trim_words(
    words: Sequence[str],
    counts: NDArray[np.int64],
    tokenizer: tuple[str, str],
    drop_frequent: float,
    drop_rare: float,
    by: TrimBy,
) -> tuple[Vocabulary, TrimReport]:
    """Sort the words by decreasing count and drop the most and the least frequent ones (paper A §4.1).

    With by="words", `drop_frequent` and `drop_rare` are shares of the distinct words. With by="occurrences", they are
    the largest shares of the running text that the dropped words may make up together. Raise BadOption if the shares
    leave no words.
    """
    check_trim_shares(drop_frequent, drop_rare, by)
    words, counts = _sort_by_count(Texts.from_strings(words), counts)
    total, end = int(counts.sum()), len(words)
    # 1e-9: a share that ends exactly on a word includes it in spite of rounding.
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
        frequent_examples=tuple(words[:first][:_MAX_EXAMPLES]),
        rare_words=end - last,
        rare_share=float(counts[last:].sum() / max(total, 1)),
        rare_examples=tuple(words[last:][:_MAX_EXAMPLES]),
    )
    return Vocabulary(words[first:last], counts[first:last], *tokenizer), report


def _sort_by_count(words: Texts, counts: NDArray[np.int64]) -> tuple[Texts, NDArray[np.int64]]:
    """Sort by decreasing count, and words of equal count by code points, which is the order of their UTF-8 bytes."""
    import polars as pl

    frame = pl.DataFrame([words.to_polars("word"), pl.Series("count", counts)])
    order = frame.with_row_index("index").sort(["count", "word"], descending=[True, False])["index"].to_numpy()
    return words.take(order), counts[order]


def check_trim_shares(drop_frequent: float, drop_rare: float, by: str) -> None:
    """Raise BadOption if the shares leave no words, or if `by` is unknown."""
    if by not in ("words", "occurrences"):
        raise BadOption(f"trimming by {by!r} is not known; choose words or occurrences.")
    if not (0 <= drop_frequent < 1 and 0 <= drop_rare < 1 and drop_frequent + drop_rare < 1):
        raise BadOption(
            f"dropping {drop_frequent:g} of the most and {drop_rare:g} of the least frequent words leaves none; "
            "both are shares from 0 to 1 and together less than 1."
        )
