"""Split titles into words.

A title is normalised (NFKC, which turns full-width forms into plain ones; lower case) and split by one regular
expression into Latin words and numbers, which stay whole (`air-max`, `l'oreal`, `2.5`, `at&t`), and runs of Chinese
characters, which jieba or rjieba segments. Both libraries agree on such runs. Punctuation is dropped (paper A §4.1).
"""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import logging
import os
import re
import sys
import tempfile
import unicodedata
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prodrec.core.base.errors import BadOption, did_you_mean

TOKENIZERS = ("rjieba", "jieba")
"""In order of preference: rjieba is faster and gives the same words."""

_CACHED_RUNS = 1 << 16
"""Runs of Chinese characters whose words a tokenizer keeps in its cache."""

_CHINESE = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
# Letters and digits of all scripts except Chinese, with the marks that scripts such as Devanagari and Thai add to them.
_LETTER = f"(?:[^\\W_{_CHINESE}]|[\u0300-\u036f\u064b-\u065f\u0900-\u0903\u093a-\u094f\u0980-\u0dff\u0e31-\u0e4e])"
_CHINESE_RUN_OR_WORD = re.compile(f"([{_CHINESE}]+)|{_LETTER}+(?:[-'.&]{_LETTER}+)*")
_ASCII_WORD = re.compile("[a-z0-9]+(?:[-'.&][a-z0-9]+)*")
_PLAIN_MARKS = str.maketrans({"‘": "'", "’": "'", "ʼ": "'", "´": "'", "‐": "-", "‒": "-", "–": "-", "−": "-"})


@dataclass(frozen=True)
class Tokenizer:
    """A callable that splits a title into words.

    Both libraries run with their hidden Markov model, which finds words that the dictionary does not contain, mostly
    brands. A Tokenizer can be pickled; each process loads the dictionary at its first Chinese characters.

    name:    the library that segments Chinese, one of TOKENIZERS
    version: the version of that library
    """

    name: str
    version: str

    def __call__(self, title: str) -> list[str]:
        """Return the words of `title` in order. A title without words gives an empty list."""
        if title.isascii():
            return _ASCII_WORD.findall(title.lower())  # the same words as below, eight times as fast
        words: list[str] = []
        for match in _CHINESE_RUN_OR_WORD.finditer(normalise_text(title)):
            if match.group(1):
                words += self._segment(match.group(1))
            else:
                words.append(match.group())
        return words

    @functools.cached_property
    def _segment(self) -> Callable[[str], tuple[str, ...]]:
        """The function that splits a run of Chinese characters."""
        segment = _load_rjieba() if self.name == "rjieba" else _load_jieba(self.version)
        return functools.lru_cache(_CACHED_RUNS)(lambda run: tuple(segment(run)))

    def __reduce__(self) -> tuple[Any, ...]:
        return Tokenizer, (self.name, self.version)  # without the loaded dictionary


def normalise_text(text: str) -> str:
    """Return `text` in NFKC form and lower case, with one plain character for all apostrophes and all hyphens."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKC", text).translate(_PLAIN_MARKS).lower()


def choose_tokenizer(name: str | None = None) -> Tokenizer:
    """Return the tokenizer called `name`; by default rjieba if it is installed, else jieba (slower, same words).

    Raise BadOption if the name is unknown or the library is not installed.
    """
    if name is None:
        name = next((known for known in TOKENIZERS if importlib.util.find_spec(known)), "jieba")
    if name not in TOKENIZERS:
        raise BadOption(
            f"unknown tokenizer {name!r}{did_you_mean(name, TOKENIZERS)}; there are {' and '.join(TOKENIZERS)}."
        )
    if not importlib.util.find_spec(name):
        raise BadOption(f"the tokenizer {name} is not installed; `pip install {name}`, or let prodrec choose.")
    return Tokenizer(name, importlib.metadata.version(name))


def _load_rjieba() -> Callable[[str], Iterable[str]]:
    import rjieba

    return rjieba.Jieba().cut


def _load_jieba(version: str) -> Callable[[str], Iterable[str]]:
    """Load jieba with a cache file of its own.

    jieba's default cache file is in the shared temporary folder, where it collides with the files of other users.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # jieba's import warns about pkg_resources and invalid escapes
        import jieba

    jieba.setLogLevel(logging.CRITICAL)
    tokenizer = jieba.Tokenizer()
    tokenizer.cache_file = f"jieba-{version}.cache"
    with tempfile.TemporaryDirectory(prefix="prodrec-") as temporary:
        tokenizer.tmp_dir = str(_cache_directory() or temporary)
        tokenizer.initialize()
    return tokenizer.cut  # type: ignore[no-any-return]


def _cache_directory() -> Path | None:
    """Return the user's own cache directory for prodrec, which only they can read, or None if it is not writable."""
    if sys.platform == "win32":
        home = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    else:
        home = os.environ.get("XDG_CACHE_HOME") or ("~/Library/Caches" if sys.platform == "darwin" else "~/.cache")
    try:
        directory = Path(home).expanduser() / "prodrec"
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (OSError, RuntimeError):
        return None
    return directory if os.access(directory, os.W_OK) else None
