"""HTML is removed from titles, and signs that only look like HTML stay."""

from __future__ import annotations

import html
import random
import time

import polars as pl
import pytest

from prodrec.core.data.tables.markup import clean_title, clean_titles

CLEANED = {
    "<b>Boot</b> &amp; Co": "Boot & Co",
    "M&amp;M&#39;s &quot;red&quot;": 'M&M\'s "red"',
    "a&nbsp;b&#160;c": "a b c",
    "x &amp;amp; y &amp;amp;amp; z": "x & y & z",
    "&lt;b&gt;Boot&lt;/b&gt; &amp;lt;3": "Boot <3",
    "one<br/>two<BR>three<br />four": "one two three four",
    "<a href='x>y' target=_blank>link</a>": "link",
    '<span class="a" style="color:red">Red</span> shoe': "Red shoe",
    "<p>Boot</p><ul><li>warm</li></ul>": "Boot warm",
    "<p>Boot <strong>warm": "Boot warm",
    '<x-badge id="1">New</x-badge> <o:p></o:p>shoe': "New shoe",
    'Boot <a href="https://exam': "Boot",
    "<!-- price --><style>p { color: red }</style>Boot": "Boot",
    "<![CDATA[Boot <i>warm</i>]]>": "Boot warm",
    "Kids' &#8217;s &#x27;x&#X27; &#146;": "Kids' ’s 'x' ’",
    "BOOT &AMP; CO CAF&EACUTE;&NBSP;X": "BOOT & CO CAFÉ X",
    "AT&amp T, cut &amp": "AT& T, cut &",
    "it&#39s": "it's",
    "Turn&shy;schuh Turn<wbr>schuh": "Turnschuh Turnschuh",
    "&#55357;&#56832; smile": "😀 smile",
    "&yen;100 &euro;5 &frac12;": "¥100 €5 ½",
    "a&#0;b&#10;c": "a b c",
    "<small>fine</small> print": "fine print",
    "<br>": "",
    "&lt;3": "<3",
}
KEPT = [
    "",
    "plain  title ",
    "5 < 7",
    "5 < 7 > 3",
    "3<4 and 4>3",
    "<3",
    "I <3 you > all",
    "H&M, R&D, AT&T",
    "rock&roll",
    "salt&pepper black&regular &copying",
    "Shirt <S> <M> <XL>",
    "Ring <Ruby> <New>",
    "Shoe <Nike>",
    "size <M and >S",
    "a<b and c>d",
    "fish &chips; &x;",
    " two  blanks & a  sign ",
    "-> <- <-> << >> <<sale>>",
    "包邮 <新款> 红&黑",
]


@pytest.mark.parametrize("title", CLEANED)
def test_html_is_removed(title: str) -> None:
    assert clean_title(title) == CLEANED[title]


@pytest.mark.parametrize("title", KEPT)
def test_what_only_looks_like_html_is_kept(title: str) -> None:
    assert clean_title(title) == title


@pytest.mark.parametrize("title", [*CLEANED, *KEPT])
def test_cleaning_a_clean_title_changes_nothing(title: str) -> None:
    assert clean_title(clean_title(title)) == clean_title(title)


@pytest.mark.parametrize("seed", range(20))
def test_titles_survive_escaping_and_markup(seed: int) -> None:
    """Any text that was escaped up to three times and put into elements comes back."""
    rng = random.Random(seed)
    parts = ["Boot", "5 < 7", "<3", "H&M", "L'Oréal", '12"', "红色", "รองเท้า", "a > b", "R&D", "😀"]
    for _ in range(50):
        title = " ".join(rng.choices(parts, k=rng.randint(1, 6)))
        escaped = html.escape(title)
        for _ in range(rng.randint(0, 2)):
            escaped = html.escape(escaped)
        element = rng.choice(["b", "p", "span", "H1", "div"])
        attributes = rng.choice(["", ' class="x"', " id=7"])
        assert clean_title(escaped) == title
        assert clean_title(f"<{element}{attributes}>{escaped}</{element}>") == title


def test_expression_cleans_every_value_and_keeps_nulls() -> None:
    titles = [*CLEANED, None, *KEPT]
    cleaned = pl.DataFrame({"title": titles}, schema={"title": pl.String}).select(clean_titles(pl.col("title")))
    assert cleaned["title"].to_list() == [None if title is None else clean_title(title) for title in titles]
    assert cleaned.columns == ["title"]
    for plain in (["a", None], [None], []):
        frame = pl.LazyFrame({"title": plain}, schema={"title": pl.String}).select(clean_titles(pl.col("title")))
        assert frame.collect()["title"].to_list() == plain


@pytest.mark.parametrize("unit", ["<", "<a ", "<!--", "<script>", "<a x='", "&amp;", "&", "<b a=", "</", "<a x=y "])
def test_hostile_titles_take_time_in_proportion_to_their_length(unit: str) -> None:
    start = time.perf_counter()
    clean_title(unit * 5_000)
    assert time.perf_counter() - start < 5
