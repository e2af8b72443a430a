"""Clean the text of categories, and cut category paths into their levels.

Names that look the same become the same: HTML entities, Unicode composition (NFC), invisible signs and blanks.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from prodrec.core.data.tables.cells import parse_list
from prodrec.core.data.tables.markup import clean_title

MISSING_WORDS = frozenset(
    {
        "null",
        "nan",
        "n/a",
        "n.a.",
        "#n/a",
        "na",
        "none",
        "nil",
        "undefined",
        "missing",
        "unknown",
        "-",
        "--",
        "?",
        "(blank)",
    }
    | {"uncategorized", "uncategorised", "unkategorisiert", "non classé", "sin categorizar", "senza categoria"}
)
"""Values, in lower case, that usually mean that a category, an attribute or an id is missing."""

ARROWS = (">>", "->", "=>", ">", "»", "›", "→", "❯", "▸", "＞", "::")
"""Separators of levels that hardly occur in names of categories, so a column with them is cut without being asked."""

SLASHES = ("|", "｜", " / ", "/", "／", "\\")
"""Separators that also occur within names, `Tops/Tees`; they are suggested, and cut where the column is known."""

JOINERS = (",", "|", ";", "\n")
"""Texts between several paths in one cell."""

MIN_SHARE_OF_PATHS = 0.2
"""The share of distinct texts that must contain an arrow in a column of paths. Trees are ragged: not all texts do."""

NUMBER_OF_PATH = re.compile(r"\s*\d+\s+-\s+(?=\D)")
"""The number of a category before its path, as in Google's taxonomy with ids."""

_NAME_KEYS = ("name", "title", "label", "value")
"""The keys under which an object in a list names its category."""

_INVISIBLE = dict.fromkeys(
    map(ord, "\u00ad\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff"), ""
)
_MEANINGLESS_JOINERS = re.compile(
    "(?<![\u0600-\u1aff\u2600-\u27bf\ufe0f\U0001f000-\U0001ffff])[\u200c\u200d]+|[\u200c\u200d]+(?=\\s|$)"
)
"""Zero-width joiners and non-joiners mean something within words of Arabic and Indic scripts, and in emoji."""


def clean_name(text: str) -> str:
    """Return the name of a category without HTML, invisible signs and superfluous blanks, in Unicode form NFC.

    Cleaning a clean name changes nothing.
    """
    if text.isascii() and "&" not in text and "<" not in text:
        return text if "  " not in text and text.isprintable() and text == text.strip() else " ".join(text.split())
    while (cleaned := _clean_once(text)) != text:  # what one step removes may have hidden another entity
        text = cleaned
    return text


def _clean_once(text: str) -> str:
    text = _MEANINGLESS_JOINERS.sub("", clean_title(text).translate(_INVISIBLE))
    return " ".join(unicodedata.normalize("NFC", text).split())


@dataclass(frozen=True)
class PathFormat:
    """How the cells of a column contain category paths.

    separator:   the text between two levels
    roots:       the first levels of the cells; with them, several paths in a cell are recognised
    joiner:      the text that always separates two paths, or None
    is_numbered: whether a path begins with its number, which is no part of a name: `3237 - Animals > Live Animals`
    """

    separator: str
    roots: frozenset[str] = frozenset()
    joiner: str | None = None
    is_numbered: bool = False

    def parse(self, text: str) -> list[tuple[str, ...]]:
        """Return the paths of a cell; a path has no empty levels.

        A list of names without separators is one path. A separator or a comma after a backslash is part of a name.
        """
        text = _without_markup(text)
        values = parse_list(text) if text.lstrip().startswith("[") else None
        if values is None:
            return [path for part in self._split_paths(text) if (path := self._split(part))]
        if all(isinstance(value, str) and not self._contains_separator(value) for value in values):
            path = tuple(name for value in values if (name := clean_name(value)))
            return [path] if path else []
        return [path for value in values for path in self._parse_item(value)]

    def _parse_item(self, value: Any) -> list[tuple[str, ...]]:
        if isinstance(value, dict):  # an object of an API: {"id": 9, "name": "Boots"}
            value = next((value[key] for key in _NAME_KEYS if isinstance(value.get(key), str)), None)
        if isinstance(value, str):
            return self.parse(value)
        if isinstance(value, list):
            path = tuple(name for item in value if isinstance(item, str) and (name := clean_name(item)))
            return [path] if path else []
        return []

    def _split_paths(self, text: str) -> list[str]:
        """Return the paths of a cell as text.

        Names may contain a comma: `Food, Beverages & Tobacco > Tea`, `Toys > Dolls, Playsets & Figures > Dolls`. So a
        cell is only cut where the root of some cell begins, and if its first path begins with one as well. At `|` and
        line ends it is also cut if all parts have several levels.
        """
        for joiner in JOINERS:
            if joiner in text and joiner != self.separator:
                parts = _split_unescaped(text, joiner)
                paths_alone = (
                    joiner in "|\n" and self.roots and all(map(self._contains_separator, filter(str.strip, parts)))
                )
                if joiner == self.joiner or paths_alone:
                    return parts
                starts = [i for i in range(1, len(parts)) if self._begins_with_root(parts[i:], joiner)]
                bounds = list(zip([0, *starts], [*starts, len(parts)], strict=True))
                paths = [joiner.join(parts[start:end]) for start, end in bounds]
                if starts and self._root(paths[0]) in self.roots:
                    return paths
        return [text]

    def _begins_with_root(self, parts: Sequence[str], joiner: str) -> bool:
        """Return whether the first part, or all parts up to a separator, begin with a known root."""
        return self._root(parts[0]) in self.roots or self._root(joiner.join(parts)) in self.roots

    def _root(self, text: str) -> str:
        return next(iter(self._split(text)), "")

    def _split(self, text: str) -> tuple[str, ...]:
        parts = _split_unescaped(NUMBER_OF_PATH.sub("", text) if self.is_numbered else text, self.separator)
        return tuple(name for part in parts if (name := clean_name(_unescape(part))))

    def _contains_separator(self, text: str) -> bool:
        return len(_split_unescaped(text, self.separator)) > 1


def detect_path_format(
    texts: Iterable[str], separator: str | None = None, *, slashes: bool = False, joiner: str | None = None
) -> PathFormat | None:
    """Return how the distinct cells of a column contain paths, or None if they contain none.

    separator: the separator that the user named
    slashes:   whether `|` and `/` count as separators
    joiner:    the text that always separates two paths, or None
    """
    cells = [_without_markup(text.strip()) for text in texts if text]
    if separator is None:
        separator = _detect_separator(cells, slashes=slashes)
    if separator is None:
        return None
    separator = separator.strip() or separator
    is_numbered = all(NUMBER_OF_PATH.match(cell) or cell.isdecimal() for cell in cells)
    simple = PathFormat(separator, is_numbered=is_numbered)
    roots = frozenset(simple._root(cell) for cell in cells if not cell.startswith("["))
    return replace(simple, roots=roots, joiner=joiner)


def _detect_separator(cells: Sequence[str], *, slashes: bool) -> str | None:
    if not cells:
        return None
    for arrow in ARROWS:
        if sum(arrow in cell for cell in cells) >= MIN_SHARE_OF_PATHS * len(cells):
            is_mixed = arrow == ">>" and any(">" in cell.replace(">>", "") for cell in cells)
            return ">" if is_mixed else arrow  # which cuts at `>>` as well, since a path has no empty levels
    lists = sum(parse_list(cell) is not None for cell in cells if cell.lstrip().startswith("["))
    if lists > 0.5 * len(cells):
        return ">"
    return suggest_slash(cells) if slashes else None


def suggest_slash(cells: Sequence[str]) -> str | None:
    """Return the separator of SLASHES that more than half of the distinct cells contain, or None.

    In `A/B|A/C`, `|` separates two paths.
    """
    frequent = [slash for slash in SLASHES if sum(slash in cell for cell in cells) > 0.5 * len(cells)]
    if frequent[:1] == ["|"] and len(frequent) > 1:
        several = [cell.split("|") for cell in cells if "|" in cell]
        if sum(all(frequent[1] in part for part in parts) for parts in several) > 0.5 * len(several):
            return frequent[1]
    return next(iter(frequent), None)


def _without_markup(text: str) -> str:
    """Return a cell without HTML, whose tags contain `>`; `A &gt; B` is a path."""
    return clean_title(text) if "<" in text or "&" in text else text


def _split_unescaped(text: str, separator: str) -> list[str]:
    """Split at every `separator` that no backslash precedes."""
    if "\\" not in text or separator.startswith("\\"):
        return text.split(separator)
    return re.split(rf"(?<!\\){re.escape(separator)}", text)


def _unescape(text: str) -> str:
    """Return a name without the backslashes that mark its separators."""
    return re.sub(r"\\([,/|>\\])", r"\1", text) if "\\" in text else text
