"""Names in a zip file whose encoding is not stated: the encoding in which they are read.

A zip file flags names that are UTF-8. Without the flag, names are cp437 by the standard; but macOS writes UTF-8, and
Windows the encoding of its language, such as GBK. One encoding is chosen for all these names of an archive.

Shapes: U names without a stated encoding.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.texts import Texts
from prodrec.core.data.photos.listing import normalise

if TYPE_CHECKING:
    import polars as pl

STANDARD = "cp437"

ENCODINGS = {
    "utf-8": "UTF-8",
    "gb18030": "GB18030 (Chinese)",
    "cp950": "Big5 (Chinese)",
    "cp932": "Shift_JIS (Japanese)",
    "cp949": "EUC-KR (Korean)",
    STANDARD: "cp437 (DOS)",
    "cp1252": "Windows-1252 (Western)",
    "cp850": "cp850 (Western, DOS)",
    "cp1250": "Windows-1250 (Central European)",
    "cp852": "cp852 (Central European, DOS)",
    "cp1251": "Windows-1251 (Cyrillic)",
    "cp866": "cp866 (Cyrillic, DOS)",
    "cp1253": "Windows-1253 (Greek)",
    "cp1254": "Windows-1254 (Turkish)",
    "cp857": "cp857 (Turkish, DOS)",
    "cp1255": "Windows-1255 (Hebrew)",
    "cp1256": "Windows-1256 (Arabic)",
    "cp1258": "Windows-1258 (Vietnamese)",
    "cp874": "Windows-874 (Thai)",
    "mac_roman": "Mac Roman (Western)",
}
"""Encodings that are tried, and their names in messages. If several fit equally well, the first is used."""

_KEYS = {"big5": "cp950", "big5hkscs": "cp950", "shift_jis": "cp932", "euc_kr": "cp949", "mac-roman": "mac_roman"}
"""Keys of ENCODINGS by names of Python for guesses of chardet."""

_WESTERN = (STANDARD, "cp1252", "cp850")
_CLOSE_TO_WESTERN = ("cp1250", "cp852", "cp1254", "cp857")
_CLOSE = 0.55
"""A Western encoding is the guess if it is this close to a Central European or Turkish one, which has almost the same
letters. Of drawn French and German names, Western ones reach 0.6 to 1.3 of the best; of Polish, Czech, Hungarian, 0.1
to 0.5."""

SAMPLE_NAMES = 1000
"""Names from which the encoding is chosen, evenly spaced: decoding a million names in all encodings takes a minute."""


@dataclass(frozen=True, eq=False)
class UnflaggedNames:
    """U names whose encoding is not stated.

    photo_U: int64, their positions in the PhotoSource
    raw_U:   the names, decoded as cp437, from which the bytes of each can be restored
    """

    photo_U: NDArray[np.int64]
    raw_U: Texts

    def decode(self, names: Texts, encoding: str) -> Texts:
        """Return `names` with the names of this archive that have no stated encoding read in `encoding`.

        A name that `encoding` cannot decode is read as cp437.
        """
        decoded = list(names)
        for photo, raw in zip(self.photo_U.tolist(), self.raw_U, strict=True):
            decoded[photo] = normalise(_decode(raw, encoding) or raw)
        return Texts.from_strings(decoded)

    def choose_encoding(self, wanted: pl.Series | None = None) -> str:
        """Return the encoding in which most names are among `wanted`; if that decides nothing, the most plausible one.

        wanted: names of photos in a table, of which base names are compared, ignoring case
        """
        sample = self._sample()
        if wanted is not None:
            counts = _count_wanted(sample, wanted)
            best = max(counts, key=lambda encoding: counts[encoding])
            if counts[best]:
                return best
        return _most_plausible(sample)

    def _sample(self) -> list[str]:
        count = len(self.raw_U)
        return list(self.raw_U.take(np.unique(np.linspace(0, count - 1, min(count, SAMPLE_NAMES)).astype(np.int64))))


def _decode(raw: str, encoding: str) -> str | None:
    """Return a name that was decoded as cp437 in another encoding; None if its bytes are invalid there."""
    try:
        return raw.encode(STANDARD).decode(encoding)
    except UnicodeError:
        return None


def _count_wanted(sample: Sequence[str], wanted: pl.Series) -> dict[str, int]:
    """Return, for every encoding, how many names of `sample` are among the wanted names."""
    import polars as pl

    def key(name: str) -> pl.Expr:
        base_name = pl.col(name).str.replace_all("\\", "/", literal=True).str.split("/").list.last()
        return base_name.str.to_lowercase().str.normalize("NFC").str.replace(r"\.[a-z]+$", "")

    is_ascii = pl.col("name").str.len_bytes() == pl.col("name").str.len_chars()
    # an address in a table has its letters in percent notation, from which no encoding of the archive can be seen
    keys = wanted.alias("name").to_frame().filter(~is_ascii).select(key("name").unique()).to_series()
    decoded = pl.DataFrame(
        [pl.Series(encoding, [_decode(raw, encoding) for raw in sample], dtype=pl.String) for encoding in ENCODINGS]
    )
    counts = decoded.select(key(encoding).is_in(keys.implode()).sum().alias(encoding) for encoding in ENCODINGS)
    return {encoding: count or 0 for encoding, count in counts.row(0, named=True).items()}


def _most_plausible(sample: Sequence[str]) -> str:
    """Return UTF-8 if all names are valid UTF-8, which text in another encoding hardly ever is; else the best guess."""
    from chardet import detect_all

    if all(_decode(raw, "utf-8") is not None for raw in sample):
        return "utf-8"
    candidates = [encoding for encoding in ENCODINGS if encoding != "utf-8"]
    lines = "\n".join(sample).encode(STANDARD)
    guesses = detect_all(
        lines, ignore_threshold=True, prefer_superset=True, include_encodings=candidates, no_match_encoding=STANDARD
    )
    likely: dict[str, float] = {}
    for guess in guesses:
        name = codecs.lookup(guess["encoding"] or STANDARD).name
        likely.setdefault(_KEYS.get(name, name), guess["confidence"])
    best = max(candidates, key=lambda encoding: likely.get(encoding, 0))
    western = max(_WESTERN, key=lambda encoding: likely.get(encoding, 0))
    return western if best in _CLOSE_TO_WESTERN and likely.get(western, 0) > _CLOSE * likely[best] else best
