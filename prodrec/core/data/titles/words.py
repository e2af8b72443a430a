"""Titles into words, words into a vocabulary, and every title into word ids.

A title is normalised (NFKC, so that full-width forms become plain ones; lower case) and cut by one expression into
Latin words and numbers, kept whole (`air-max`, `l'oreal`, `2.5`, `at&t`), and runs of Chinese characters, which go to
jieba or rjieba; because both see only such runs, they agree. Punctuation is dropped (paper A §4.1).
"""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import itertools
import logging
import os
import re
import sys
import tempfile
import unicodedata
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.errors import BadOption, nearest
from prodrec.core.base.ragged import Ragged
from prodrec.core.base.texts import Texts
from prodrec.core.base.workers import map_in_order, raise_if_stopped
from prodrec.core.data.titles.vocabulary import By, TrimReport, Vocabulary, check_shares, trim

__all__ = [
    "By",
    "Tokenizer",
    "TrimReport",
    "Vocabulary",
    "choose_tokenizer",
    "encode_titles",
    "normalise",
]

TOKENIZERS = ("rjieba", "jieba")

_CHUNK = 10_000  # some chunks for every process wait at a time, and 64 cores are no rarity
_REMEMBERED_RUNS = 1 << 16

_CHINESE = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
# Letters and digits of any script but Chinese, with the marks that scripts such as Devanagari and Thai put on letters.
_LETTER = f"(?:[^\\W_{_CHINESE}]|[\u0300-\u036f\u064b-\u065f\u0900-\u0903\u093a-\u094f\u0980-\u0dff\u0e31-\u0e4e])"
_PIECES = re.compile(f"([{_CHINESE}]+)|{_LETTER}+(?:[-'.&]{_LETTER}+)*")
_ASCII_WORDS = re.compile("[a-z0-9]+(?:[-'.&][a-z0-9]+)*")
_SAME_MARK = str.maketrans({"‘": "'", "’": "'", "ʼ": "'", "´": "'", "‐": "-", "‒": "-", "–": "-", "−": "-"})


@dataclass(frozen=True)
class Tokenizer:
    """Cuts a title into words. `name` is the library that cuts Chinese, `version` its version.

    Both libraries run with their hidden Markov model on, which puts together words that no dictionary has, brands above
    all. A Tokenizer can be sent to another process; the dictionary is loaded there, at the first Chinese characters.
    """

    name: str
    version: str

    def __call__(self, title: str) -> list[str]:
        """The words of `title` in order; empty for a title without any."""
        if title.isascii():
            return _ASCII_WORDS.findall(title.lower())  # the same words, eight times as fast
        words: list[str] = []
        for piece in _PIECES.finditer(normalise(title)):
            if piece.group(1):
                words += self._cut(piece.group(1))
            else:
                words.append(piece.group())
        return words

    @functools.cached_property
    def _cut(self) -> Callable[[str], tuple[str, ...]]:
        cut = _rjieba() if self.name == "rjieba" else _jieba(self.version)
        return functools.lru_cache(_REMEMBERED_RUNS)(lambda run: tuple(cut(run)))

    def __reduce__(self) -> tuple[Any, ...]:
        return Tokenizer, (self.name, self.version)


def normalise(title: str) -> str:
    """NFKC (full-width forms become plain ones), one sign for each of apostrophe and hyphen, lower case."""
    if title.isascii():
        return title.lower()
    return unicodedata.normalize("NFKC", title).translate(_SAME_MARK).lower()


def choose_tokenizer(name: str | None = None) -> Tokenizer:
    """The tokenizer called `name`; without a name rjieba where it is installed, else jieba (slower, same words).

    Raises BadOption for a name that is not known or not installed.
    """
    if name is None:
        name = next((known for known in TOKENIZERS if importlib.util.find_spec(known)), "jieba")
    if name not in TOKENIZERS:
        raise BadOption(f"unknown tokenizer {name!r}{nearest(name, TOKENIZERS)}; there are {' and '.join(TOKENIZERS)}.")
    if not importlib.util.find_spec(name):
        raise BadOption(f"the tokenizer {name} is not installed; `pip install {name}`, or leave the choice to prodrec.")
    return Tokenizer(name, importlib.metadata.version(name))


def _rjieba() -> Callable[[str], Iterable[str]]:
    import rjieba

    return rjieba.Jieba().cut


def _jieba(version: str) -> Callable[[str], Iterable[str]]:
    """A private jieba: the shared one keeps its cache in the common temporary folder, in the way of other users."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # jieba's own: pkg_resources, invalid escapes
        import jieba

    jieba.setLogLevel(logging.CRITICAL)
    tokenizer = jieba.Tokenizer()
    tokenizer.cache_file = f"jieba-{version}.cache"
    with tempfile.TemporaryDirectory(prefix="prodrec-") as for_once:
        tokenizer.tmp_dir = str(_cache_directory() or for_once)
        tokenizer.initialize()
    return tokenizer.cut  # type: ignore[no-any-return]


def _cache_directory() -> Path | None:
    """The user's own cache directory for prodrec, readable by nobody else; None where it cannot be written to."""
    if sys.platform == "win32":
        home = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    else:
        home = os.environ.get("XDG_CACHE_HOME") or ("~/Library/Caches" if sys.platform == "darwin" else "~/.cache")
    try:
        place = Path(home).expanduser() / "prodrec"
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (OSError, RuntimeError):
        return None
    return place if os.access(place, os.W_OK) else None


def encode_titles(
    titles: Iterable[str | None],
    tokenizer: Tokenizer,
    *,
    drop_frequent: float = 0.05,
    drop_rare: float = 0.05,
    by: By = "occurrences",
    counted_N: NDArray[np.bool_] | None = None,
    workers: int = 1,
    advance: Callable[[int], object] = lambda rows: None,
) -> tuple[Ragged, Vocabulary, TrimReport]:
    """Tokenise, build the vocabulary (see `vocabulary.trim`) and encode every title, in one pass.

    A title that is None or left without words becomes an empty row. counted_N: the titles whose words make the
    vocabulary, all where None. `advance` is called with the rows done since the last call. With several workers the
    titles are cut in other processes; the result is the same.
    """
    check_shares(drop_frequent, drop_rare, by)
    provisional: dict[str, int] = {}
    values, lengths = bytearray(), [np.empty(0, np.int32)]
    for words, local, chunk_lengths in _cut_chunks(titles, tokenizer, workers):
        known = np.fromiter((provisional.setdefault(word, len(provisional)) for word in words), np.int32, len(words))
        values += known[local].data
        lengths.append(chunk_lengths)
        advance(len(chunk_lengths))
    tokens = Ragged.from_lengths(np.frombuffer(values, np.int32), np.concatenate(lengths))
    counted_N = np.ones(len(tokens), bool) if counted_N is None else counted_N
    counts = tokens.counts(counted_N, below=len(provisional))
    words_before = Texts.of(provisional)
    occurring = np.flatnonzero(counts)
    if len(occurring) < len(counts):
        words_before, counts = words_before.take(occurring), counts[occurring]
    made_by = (tokenizer.name, tokenizer.version)
    vocabulary, report = trim(words_before, counts, made_by, drop_frequent, drop_rare, by)
    final = np.zeros(len(provisional), np.int32)
    final[occurring] = vocabulary.words.find(words_before) + 1
    for _, piece in tokens.pieces():
        piece.values[:] = final[piece.values]
    return tokens.keep(tokens.values > 0), vocabulary, report


Chunk = tuple[list[str], NDArray[np.int32], NDArray[np.int32]]


def _cut_chunks(titles: Iterable[str | None], tokenizer: Tokenizer, workers: int) -> Iterator[Chunk]:
    """The titles in chunks: the distinct words of a chunk, every word as an index into them, words of every title."""
    remaining = iter(titles)
    chunks = iter(lambda: list(itertools.islice(remaining, _CHUNK)), [])
    return map_in_order(functools.partial(_cut_chunk, tokenizer), chunks, workers=workers)


def _cut_chunk(tokenizer: Tokenizer, titles: list[str | None]) -> Chunk:
    cut: list[Sequence[str]] = []
    for row, title in enumerate(titles):
        if row % 1000 == 0:
            raise_if_stopped()
        cut.append(tokenizer(title) if title else ())
    words = list(itertools.chain.from_iterable(cut))
    index = {word: i for i, word in enumerate(dict.fromkeys(words))}
    values = np.fromiter(map(index.__getitem__, words), np.int32, len(words))
    return list(index), values, np.fromiter(map(len, cut), np.int32, len(cut))
