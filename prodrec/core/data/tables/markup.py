"""Remove HTML from titles: tags, comments and entities, also escaped twice.

Exports of shops contain titles such as `<b>Boot</b> &amp;amp; Co`. Signs that only look like HTML stay: `5 < 7`, `<3`,
`Boot <New>`, `H&M`, `rock&roll`. Therefore a tag is only what has the name of an HTML element, or attributes with
values, and an entity is only what ends in a semicolon, except the few that exports often cut short.
"""

from __future__ import annotations

import html
import re
from html.entities import html5
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

_MAX_ESCAPES = 5
"""How many times a text can be escaped and is still read; each system that an export passes may escape it once more."""

_ENTITY = re.compile(
    r"&(?:#(?P<decimal>[0-9]{1,8});|#[xX](?P<hexadecimal>[0-9a-fA-F]{1,7});|(?P<name>[A-Za-z][A-Za-z0-9]{1,31});"
    r"|#0?(?P<cut_decimal>34|38|39|160|8[0-9]{3})(?![0-9])|(?P<cut_name>amp|nbsp|quot|lt|gt)(?![A-Za-z0-9=]))"
)

_MARKUP = (
    "abbr|acronym|b|bdi|bdo|blockquote|br|colgroup|dd|del|dfn|div|dl|dt|em|fieldset|figcaption|font|h[1-6]|hr|html|i"
    "|iframe|img|ins|kbd|li|nav|nobr|noscript|ol|optgroup|p|pre|rp|rt|samp|span|strike|strong|sub|sup|svg|tbody|td"
    "|textarea|tfoot|th|thead|tr|tt|u|ul"
)
_WORDS = (
    "a|address|article|aside|audio|big|body|button|caption|center|cite|code|col|data|details|dir|embed|figure|footer"
    "|form|head|header|input|label|legend|link|main|map|mark|menu|meta|object|option|param|picture|q|ruby|s|script"
    "|section|select|small|source|style|summary|table|template|time|title|track|var|video"
)
"""Elements whose name can stand in angle brackets in a title, `<Small>`; without attributes, only a pair is HTML."""
_ATTRIBUTE = r"""\s+[a-zA-Z_:@][-\w:.]*\s*=\s*(?:"[^"]*"|'[^']*'|[^\s"'<>=`]+)"""
_TAG = re.compile(
    rf"<(?:(?:{_MARKUP})(?:{_ATTRIBUTE}|\s+[a-z]+(?=\s*/?>))*\s*/?"  # <br/>, <p align=left>, <iframe allowfullscreen>
    rf"|[a-z][-\w:]*(?:{_ATTRIBUTE})+\s*/?"  # <a href=x>, <x-badge id="1">
    rf"|(?P<word>{_WORDS})"  # <small>
    rf"|(?:{_WORDS})\s*/"  # <link/>
    r"|[a-z]\w*:[a-z]\w*\s*/?"  # <o:p>
    rf"|/(?:{_MARKUP}|{_WORDS}|[a-z]\w*[-:][-:\w]*)\s*"  # </b>, </o:p>, </x-badge>
    r"|!doctype\b[^<>]*|\?xml\b[^<>]*)>",
    re.IGNORECASE,
)
_CUT_TAG = re.compile(
    rf"""<(?:{_MARKUP}|{_WORDS})(?:{_ATTRIBUTE})*\s+[a-z][-\w]*\s*=\s*(?:"[^"<>]*|'[^'<>]*|[^\s"'<>]*)$""",
    re.IGNORECASE,
)
"""A tag at the end of a title that was cut to a length: `<a href="htt`."""
_COMMENT = re.compile(r"<!--.{0,10000}?-->|<(script|style)\b[^<>]*>.{0,10000}?</\1\s*>", re.DOTALL | re.IGNORECASE)
_CDATA = re.compile(r"<!\[CDATA\[(.{0,10000}?)\]\]>", re.DOTALL)
_POSSIBLE_BREAK = re.compile(r"<wbr\s*/?>", re.IGNORECASE)
_INVISIBLE = dict.fromkeys(map(ord, "\u00ad\u200b\u2060\ufeff"), "")
"""Signs for possible line breaks within a word, such as `&shy;`."""


def clean_title(title: str) -> str:
    """Return `title` without HTML: tags become a blank, entities their characters, and runs of blanks one blank.

    A title without HTML is returned unchanged, with its blanks.
    """
    if "&" not in title and "<" not in title:
        return title
    text = title
    for _ in range(_MAX_ESCAPES):
        decoded = _decode_entities(text) if "&" in text else text
        if decoded == text:
            break
        text = decoded
    if "<" in text:
        text = _remove_tags(text)
    return title if text == title else " ".join(text.split())


def clean_titles(titles: pl.Expr) -> pl.Expr:
    """Return a text expression with `clean_title` of every value; null stays null.

    Only the values with `&` or `<` become Python strings.
    """
    import polars as pl

    return titles.map_batches(_clean_series, return_dtype=pl.String, is_elementwise=True)


def _clean_series(titles: pl.Series) -> pl.Series:
    import polars as pl

    suspects = titles.str.contains("[&<]").fill_null(False).arg_true()
    if not len(suspects):
        return titles
    cleaned = pl.Series([clean_title(title) for title in titles.gather(suspects)], dtype=pl.String)
    return titles.scatter(suspects, cleaned)


def _decode_entities(text: str) -> str:
    """Replace every entity once. Characters beyond U+FFFF that were written as two surrogates become one character."""
    decoded = _ENTITY.sub(_decode_entity, text)
    if re.search("[\ud800-\udfff]", decoded):
        decoded = decoded.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")
    return decoded


def _decode_entity(match: re.Match[str]) -> str:
    name = match["name"] or match["cut_name"]
    if name:
        # shops write titles in capitals, and entities with them: &AMP; &NBSP; &EACUTE;
        spellings = (name, name.capitalize(), name.lower()) if name.isupper() else (name,)
        decoded = next((html5[f"{spelling};"] for spelling in spellings if f"{spelling};" in html5), match[0])
    else:
        hexadecimal = match["hexadecimal"]
        code = int(hexadecimal, 16) if hexadecimal else int(match["decimal"] or match["cut_decimal"])
        # html.unescape knows the numbers of Windows-1252, such as &#146;
        decoded = chr(code) if 0xD800 <= code < 0xE000 else html.unescape(f"&#{code};").replace("\ufffd", " ")
    return decoded.translate(_INVISIBLE)


def _remove_tags(text: str) -> str:
    text = _POSSIBLE_BREAK.sub("", text)
    if "<!" in text or "</" in text:
        text = _COMMENT.sub(" ", _CDATA.sub(r" \1 ", text))
    closed = text.lower()

    def blank(match: re.Match[str]) -> str:
        word = match["word"]
        return " " if word is None or f"</{word.lower()}" in closed else match[0]

    return _CUT_TAG.sub(" ", _TAG.sub(blank, text))
