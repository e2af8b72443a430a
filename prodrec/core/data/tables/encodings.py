"""The text encoding of a table: named by the user, marked in the file, or guessed."""

from __future__ import annotations

import codecs
import re

BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""UTF-32 comes first: its little-endian mark begins with that of UTF-16."""

MARK_UNDECODABLE = "prodrec.mark-undecodable"
"""An error handler of Python that replaces bytes that are not text by a lone surrogate, which no text contains."""

MAX_CONTROL_SHARE = 0.05
"""Binary data has a larger share of control characters; text has almost none."""

_CONTROL_BYTES = bytes(i for i in range(32) if i not in b"\t\n\r\f\x1a\x1b")
_WIDE_SHARE = 0.02
"""Text in UTF-16 has a larger share of NUL bytes; other text has none."""

_FEW_SIGNS = 2
"""Lines that end in a NUL byte and a line end can look like UTF-16 whose ASCII characters are line ends only."""

_NOT_FOR_FILES = ("idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape")
"""Encodings of Python for host names and source code."""

_KOI8 = "koi8-r"
_FRAMES = re.compile("[\u2500-\u259f]")
"""Signs for frames, which text in KOI8-R has not, and other text that is read as KOI8-R has."""

_ASIAN = ("gb18030", "big5hkscs", "cp949", "cp932", "euc_jis_2004")
_LATIN = ("cp1252", "cp1250", "cp1254", "cp1257", "mac-roman")
_OTHER = (_KOI8, "cp1251", "cp1253", "cp874")
"""The encodings of shop exports that are guessed; with more of them, short samples are mistaken more often."""

_USUAL = "cp1252"
_CLOSE = 0.9
"""Western European is the guess if it is this close to the best one; others need more text to be distinguished."""

_GUESS_BYTES = 1 << 18
_LETTERS_BEYOND_ASCII = re.compile(rb"([A-Za-z])?[\x80-\xff]+([A-Za-z])?")

codecs.register_error(MARK_UNDECODABLE, lambda error: ("\udfff", getattr(error, "end", 0)))


def named_encoding(name: str) -> str:
    """Return Python's name of a text encoding. Raise LookupError if there is none."""
    info = codecs.lookup(name)
    if not getattr(info, "_is_text_encoding", True) or info.name in _NOT_FOR_FILES:
        raise LookupError(f"{name} is not an encoding of text files")
    return "utf-8" if info.name == "utf-8-sig" else info.name


def marked_encoding(sample: bytes) -> str | None:
    """Return the encoding that a byte order mark at the start shows, if there is one."""
    return next((name for mark, name in BYTE_ORDER_MARKS if sample.startswith(mark)), None)


def wide_encoding(sample: bytes) -> str | None:
    """Return UTF-16-LE or UTF-16-BE if the places of NUL bytes show that the sample is such text.

    Separators and ends of lines or of XML elements are enough: in Chinese text too they are ASCII characters.
    """
    sample = sample[: len(sample) & ~1]
    for start, name in ((1, "utf-16-le"), (0, "utf-16-be")):
        at_place, elsewhere = sample[start::2].count(0), sample[1 - start :: 2].count(0)
        if at_place > _WIDE_SHARE * len(sample) and elsewhere * 2 < at_place:
            text = sample.decode(name, "ignore")
            is_text = len(text.encode(name)) > 0.99 * len(sample) and not is_binary(text.encode())
            ascii_signs = {sign for sign in text if sign.isascii()}
            if is_text and ascii_signs & {"\r", "\n", ">"} and len(ascii_signs) > _FEW_SIGNS:
                return name
    return None


def is_wide(encoding: str) -> bool:
    """Return whether a line end is more than the byte 0x0a, so that bytes cannot be cut at it."""
    return "\n".encode(encoding) != b"\n"


def is_binary(sample: bytes) -> bool:
    """Return whether bytes are no text of any encoding in which ASCII characters are single bytes."""
    return len(sample) - len(sample.translate(None, _CONTROL_BYTES)) > MAX_CONTROL_SHARE * len(sample)


def guess_encoding(sample: bytes, *, is_whole: bool) -> str:
    """Return the encoding of text: UTF-8 if at least half of its lines beyond ASCII are, else a statistical guess.

    is_whole: whether `sample` is the whole file; otherwise its last line is incomplete
    """
    lines = re.split(rb"[\r\n]", sample)
    if not is_whole and len(lines) > 1:
        del lines[-1]
    beyond_ascii = [line for line in lines if not line.isascii()]
    not_utf8 = [line for line in beyond_ascii if not _is_utf8(line)]
    if len(not_utf8) * 2 <= len(beyond_ascii):
        return "utf-8"
    text = b"\n".join(not_utf8)[:_GUESS_BYTES]
    best = _most_likely(text, (*_ASIAN, *_LATIN, *_OTHER))
    if best == _OTHER[0] and re.search(
        "[\u2500-\u259f]", text.decode(best)
    ):  # Chinese would have signs for frames in it
        best = _most_likely(text, (*_ASIAN, *_LATIN, *_OTHER[1:]))
    runs = [match[1] is not None or match[2] is not None for match in _LETTERS_BEYOND_ASCII.finditer(text)]
    if best in _OTHER and sum(runs) * 2 > len(runs):  # "café": words of other scripts have no Latin letters
        best = _most_likely(text, (*_ASIAN, *_LATIN))
    return best


def _most_likely(text: bytes, encodings: tuple[str, ...]) -> str:
    """Return the encoding that chardet finds most likely."""
    from chardet import detect_all

    guesses = detect_all(
        text, ignore_threshold=True, max_bytes=_GUESS_BYTES, prefer_superset=True, include_encodings=encodings
    )
    likely = {codecs.lookup(guess["encoding"]).name: guess["confidence"] for guess in guesses if guess["encoding"]}
    best = next(iter(likely), None)
    if best is None or (best in _LATIN and likely.get(_USUAL, 0) >= _CLOSE * likely[best]):
        return _USUAL
    return best


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True
