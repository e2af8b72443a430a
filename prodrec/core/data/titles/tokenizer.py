"""Split titles into words.

A title is normalised (NFKC, which turns full-width forms into plain ones; lower case) and split by one regular
expression into Latin words and numbers, which stay whole (`air-max`, `l'oreal`, `2.5`, `at&t`), and runs of Chinese
characters, which jieba or rjieba segments. Both libraries agree on such runs. Punctuation is dropped (paper A §4.1).
Where an optional library of `scripts` is installed, it segments runs of Thai, and kana and Chinese characters of
Japanese titles.
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
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prodrec.core.base import console
from prodrec.core.base.errors import BadOption, did_you_mean
from prodrec.core.data.titles.scripts import JAPANESE_SIGNS, KANA, LIBRARIES, THAI, scripts_of

TOKENIZERS = ("rjieba", "jieba")
"""In order of preference: rjieba is faster and gives the same words."""

_CACHED_RUNS = 1 << 16
"""Runs of characters whose words are kept for each library."""

_CHINESE = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
# The marks that scripts such as Devanagari and Thai add to their letters, which `\w` does not contain.
_MARKS = (
    "\u0300-\u036f\u064b-\u065f\u0900-\u0903\u093a-\u094f\u0980-\u0dff\u0e31-\u0e4e"
    "\u0eb1-\u0ecd\u102b-\u103e\u17b4-\u17d3"
)
# Letters and digits of all scripts except Chinese.
_LETTER = f"(?:[^\\W_{_CHINESE}]|[{_MARKS}])"
_ASCII_WORD = re.compile("[a-z0-9]+(?:[-'.&][a-z0-9]+)*")
_PLAIN_MARKS = str.maketrans(
    {"‘": "'", "’": "'", "ʼ": "'", "´": "'", "‐": "-", "‒": "-", "–": "-", "−": "-"}
    | dict.fromkeys("\u00ad\u2060\ufeff", "")  # a soft hyphen and the like are no ends of words
)
_BEFORE_FRACTION = re.compile("(?<=[0-9])(?=[¼½¾⅐-⅞])")


@dataclass(frozen=True)
class Tokenizer:
    """A callable that splits a title into words.

    Both libraries for Chinese run with their hidden Markov model, which finds words that the dictionary does not
    contain, mostly brands. A Tokenizer can be pickled; a process loads a dictionary once, for the first run that it
    segments.

    name:    the library that segments Chinese, one of TOKENIZERS, and those that segment other scripts:
             `rjieba japanese=sudachipy thai=pythainlp`
    version: the versions of these libraries, in the same form
    """

    name: str
    version: str

    def __call__(self, title: str) -> list[str]:
        """Return the words of `title` in order. A title without words gives an empty list."""
        return self.split(title)[0]

    def split(self, title: str) -> tuple[list[str], Sequence[str]]:
        """Return the words of `title`, and its scripts that need cutting besides Chinese, cut or not."""
        if title.isascii():
            return _ASCII_WORD.findall(title.lower()), ()  # the same words as below, eight times as fast
        text = normalise_text(title)
        scripts, loaded = scripts_of(text), self._loaded
        words: list[str] = []
        pattern = _runs_and_words(self.scripts.intersection(scripts)) if scripts else _CHINESE_RUN_OR_WORD
        for match in pattern.finditer(text):
            script = match.lastgroup
            if script:
                words += (loaded.get(script) or self._load(script))(match.group())
            else:
                words.append(match.group())
        return words, scripts

    @functools.cached_property
    def scripts(self) -> frozenset[str]:
        """The scripts besides Chinese that are cut into words: Japanese, Thai."""
        return frozenset(part.split("=")[0].capitalize() for part in self.name.split()[1:])

    def restricted_to(self, scripts: Collection[str]) -> Tokenizer:
        """Return the tokenizer without the libraries of other scripts than `scripts`."""
        kept = [script for script in LIBRARIES if script in self.scripts and script in scripts]
        name, version = (
            " ".join([parts[0], *(part for part in parts[1:] if part.split("=")[0].capitalize() in kept)])
            for parts in (self.name.split(), self.version.split())
        )
        return Tokenizer(name, version)

    def _load(self, script: str) -> Callable[[str], tuple[str, ...]]:
        """Return the function that splits a run of the characters of `script`, and keep it."""
        self._loaded[script] = load_library(self.name.split()[0] if script == "Chinese" else script)
        return self._loaded[script]

    @functools.cached_property
    def _loaded(self) -> dict[str, Callable[[str], tuple[str, ...]]]:
        """The functions of `_load` by script."""
        return {}

    def __reduce__(self) -> tuple[Any, ...]:
        return Tokenizer, (self.name, self.version)  # without the loaded dictionaries


@functools.cache
def _runs_and_words(scripts: frozenset[str]) -> re.Pattern[str]:
    """Return the expression that finds the words of a title, and in groups the runs of Chinese and of `scripts`."""
    runs = {"Chinese": _CHINESE}
    if "Thai" in scripts:
        runs = {"Thai": THAI} | runs
    if "Japanese" in scripts:
        runs = {"Japanese": _CHINESE + KANA + JAPANESE_SIGNS} | runs
    # letters and digits of all other scripts; the shorter form is faster
    letter = f"(?:(?![{''.join(runs.values())}])(?:[^\\W_]|[{_MARKS}]))" if scripts else _LETTER
    groups = "|".join(f"(?P<{script}>[{characters}]+)" for script, characters in runs.items())
    return re.compile(f"{groups}|{letter}+(?:[-'.&]{letter}+)*")


_CHINESE_RUN_OR_WORD = _runs_and_words(frozenset())


def normalise_text(text: str) -> str:
    """Return `text` in NFKC form and lower case, with one plain character for all apostrophes and all hyphens.

    Thai sara am (ำ) stays one character, as in dictionaries; NFKC divides it. NFKC would join 42½ to 421⁄2.
    """
    if text.isascii():
        return text.lower()
    text = unicodedata.normalize("NFKC", _BEFORE_FRACTION.sub(" ", text))
    return text.replace("\u0e4d\u0e32", "\u0e33").translate(_PLAIN_MARKS).lower()


def choose_tokenizer(name: str | None = None) -> Tokenizer:
    """Return the tokenizer for new titles, with all optional libraries that are installed.

    name: the library for Chinese; by default rjieba if it is installed, else jieba (slower, same words)

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
    names, versions = [name], [importlib.metadata.version(name)]
    for script, library in LIBRARIES.items():
        if library.is_installed:
            names.append(f"{script.lower()}={library.name}")
            versions.append(f"{script.lower()}={library.version}")
    return Tokenizer(" ".join(names), " ".join(versions))


@functools.lru_cache(8)
def recorded_tokenizer(name: str, version: str) -> Tokenizer:
    """Return the tokenizer that a dataset or a run has recorded, to split more titles in the same way.

    Where rjieba is not installed, jieba takes its place, which gives the same words. Warn if another version of a
    library for Japanese or Thai is installed. Raise BadOption if such a library is missing or unknown.
    """
    chinese, *others = name.split() or ["jieba"]
    if chinese not in TOKENIZERS or not importlib.util.find_spec(chinese):
        chinese = "jieba"
    recorded = dict(part.split("=", 1) for part in version.split() if "=" in part)
    for part in others:
        script, _, library_name = part.partition("=")
        library = LIBRARIES.get(script.capitalize())
        if library is None or library.name != library_name:
            raise BadOption(
                f"the titles were cut by {part}, which this prodrec does not know; use the prodrec that prepared them."
            )
        if not library.is_installed:
            raise BadOption(
                f"the {library.script} titles of the training data were cut by {library.name}, which is not "
                f"installed; {library.remedy}, or recognise without titles."
            )
        if recorded.get(script) != library.version:
            console.warn(
                f"the {library.script} titles of the training data were cut by {library.name} {recorded.get(script)}, "
                f"and {library.version} is installed, which may find other words; install the recorded version."
            )
    return Tokenizer(" ".join([chinese, *others]), version)


def describe_tokenizer(name: str, version: str) -> str:
    """Return the libraries with their versions in words: `rjieba 0.2.1, Thai by pythainlp 5.4.0`."""
    names, versions = name.split(" "), version.split(" ")
    parts = [f"{names[0]} {versions[0]}"]
    for library, its_version in zip(names[1:], versions[1:], strict=False):
        script, _, library_name = library.partition("=")
        parts.append(f"{script.capitalize()} by {library_name} {its_version.partition('=')[2]}")
    return ", ".join(parts)


@functools.cache
def load_library(name: str) -> Callable[[str], tuple[str, ...]]:
    """Load the library for Chinese of this name, or the one for another script; a process does it once.

    Return the function that splits a run of characters of the script into words.
    """
    loaders = {"rjieba": _load_rjieba, "jieba": _load_jieba}
    segment = loaders[name]() if name in loaders else LIBRARIES[name].load()
    return functools.lru_cache(_CACHED_RUNS)(lambda run: tuple(segment(run)))


def _load_rjieba() -> Callable[[str], Iterable[str]]:
    import rjieba

    return rjieba.Jieba().cut


def _load_jieba() -> Callable[[str], Iterable[str]]:
    """Load jieba with a cache file of its own.

    jieba's default cache file is in the shared temporary folder, where it collides with the files of other users.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # jieba's import warns about pkg_resources and invalid escapes
        import jieba

    jieba.setLogLevel(logging.CRITICAL)
    tokenizer = jieba.Tokenizer()
    tokenizer.cache_file = f"jieba-{importlib.metadata.version('jieba')}.cache"
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
