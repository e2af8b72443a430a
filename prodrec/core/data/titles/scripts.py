"""Scripts that are written without blanks between words, besides Chinese: which titles contain them, who cuts them.

Japanese and Thai are cut by libraries that are optional (`pip install 'prodrec[japanese]'`, `'prodrec[thai]'`). No
library is offered for Lao, Burmese and Khmer. Text that is not cut counts as one word up to the next blank or sign.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from prodrec.core.base import console

KANA = "\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff"
THAI = "\u0e01-\u0e3a\u0e40-\u0e4e"
JAPANESE_SIGNS = "\u3005-\u3007"
"""々, 〆 and 〇, which stand among Chinese characters in Japanese."""

MIN_SHARE_TO_WARN = 0.01
"""A catalogue with fewer titles in a script that is not cut loses next to nothing."""

_UNCUT = {"Lao": "\u0e81-\u0edf", "Burmese": "\u1000-\u109f\ua9e0-\ua9fe\uaa60-\uaa7f", "Khmer": "\u1780-\u17d3"}
_SUSPECTS = re.compile(f"[{KANA}{THAI}{''.join(_UNCUT.values())}]")
_KANA_RUN = re.compile(f"[{KANA}]{{2,}}")
_RUNS = {script: re.compile(f"[{span}]{{2}}") for script, span in {"Thai": THAI, **_UNCUT}.items()}

_MAX_RUN = 4_000
"""Characters that Sudachi gets at once; it refuses more than 49,149 bytes."""


@dataclass(frozen=True)
class Library:
    """An optional library that cuts a script into words.

    packages: what must be installed: the library, and its dictionary if that is a package of its own
    extra:    the extra of prodrec that installs them
    load:     return the function that cuts a run of the script; threads may call it at the same time
    """

    script: str
    packages: tuple[str, ...]
    extra: str
    load: Callable[[], Callable[[str], Iterable[str]]]

    @property
    def name(self) -> str:
        return self.packages[0]

    @property
    def is_installed(self) -> bool:
        return all(importlib.util.find_spec(package) for package in self.packages)

    @property
    def version(self) -> str:
        """The versions of the packages, such as 0.7.0/20261015: another dictionary gives other words too."""
        return "/".join(importlib.metadata.version(package) for package in self.packages)

    @property
    def remedy(self) -> str:
        return f"`pip install 'prodrec[{self.extra}]'`"


def scripts_of(text: str) -> Sequence[str]:
    """Return the scripts in `text`, in NFKC form, that need cutting besides Chinese.

    They are Japanese, Thai, Lao, Burmese and Khmer; one letter alone does not count. A text with kana side by side is
    Japanese, and then its Chinese characters are Japanese too. Chinese titles decorate with single kana (の, ツ).
    """
    if text.isascii() or not _SUSPECTS.search(text):
        return ()
    is_japanese = any(run.strip("のー") for run in _KANA_RUN.findall(text))
    return (["Japanese"] if is_japanese else []) + [name for name, run in _RUNS.items() if run.search(text)]


def warn_of_uncut(counts: Mapping[str, int], titles: int, cut: Iterable[str]) -> None:
    """Warn of each script that many of the `titles` contain and that is not one of the scripts `cut`.

    counts: the number of titles with each script
    """
    for note in uncut_notes(counts, titles, cut):
        console.warn(f"{note}.")


def uncut_notes(counts: Mapping[str, int], titles: int, cut: Iterable[str]) -> list[str]:
    """Return the warnings of `warn_of_uncut`."""
    notes = []
    for script, count in counts.items():
        if script in cut or count < MIN_SHARE_TO_WARN * titles:
            continue
        subject = f"{count:,} titles contain" if count > 1 else "1 title contains"
        library = LIBRARIES.get(script)
        if library is None:
            remedy = "separate the words by blanks in the table if their words matter"
        else:
            remedy = f"{library.remedy} and prepare again"
        notes.append(f"{subject} {script} text, which is not cut into words; {remedy}")
    return notes


def _load_sudachi() -> Callable[[str], Iterable[str]]:
    """Sudachi with its small dictionary, in the shortest units (mode A)."""
    import sudachipy

    tokenizer = sudachipy.Dictionary(dict="small").tokenizer(mode=sudachipy.SplitMode.A)
    lock = threading.Lock()  # a Sudachi tokenizer refuses a second thread

    def cut(run: str) -> list[str]:
        parts = (run[start : start + _MAX_RUN] for start in range(0, len(run), _MAX_RUN))
        with lock:
            return [morpheme.surface() for part in parts for morpheme in tokenizer.tokenize(part)]

    return cut


def _load_pythainlp() -> Callable[[str], Iterable[str]]:
    """PyThaiNLP's maximal matching within Thai character clusters (newmm)."""
    # its import makes a directory in the user's home unless one of these is set; both together are an error
    is_set = "PYTHAINLP_READ_ONLY" in os.environ or "PYTHAINLP_READ_MODE" in os.environ
    if not is_set:
        os.environ["PYTHAINLP_READ_ONLY"] = "1"
    try:
        from pythainlp.tokenize import newmm
    finally:
        if not is_set:
            del os.environ["PYTHAINLP_READ_ONLY"]
    return newmm.segment


LIBRARIES = {
    library.script: library
    for library in (
        Library("Japanese", ("sudachipy", "sudachidict_small"), "japanese", _load_sudachi),
        Library("Thai", ("pythainlp",), "thai", _load_pythainlp),
    )
}
