"""The page of words: marks without colour, hostile texts, and a title alone."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from prodrec.eval.page.inputs import PhotoSource
from prodrec.eval.page.words import build_words_page


def word(text: str, weight: float | None, mark: str = "") -> dict[str, Any]:
    return {"word": text, "weight": weight, "mark": mark}


TITLE = {
    "title": "<script>alert(1)</script>",
    "words": [word("nike", 0.91, "+"), word("air", 0.5), word("<b>new", 0.09, "-"), word("zz", None)],
    "id": "p1",
    "path": ["Shoes", "Boots & co"],
    "row": 7,
}
MEANS = {
    "titles": 1234,
    "min_count": 10,
    "words": 2,
    "most": [{"word": "nike", "count": 1500, "weight": 0.8, "relative": 1.25}],
    "least": [{"word": "<i>new", "count": 12, "weight": 0.1, "relative": 0.5}],
}
CONTENT = {"run": "runs/sicot", "encoder": "bilinear", "dataset": "shop", "titles": [TITLE], "means": MEANS}


def test_marks_are_signs_and_texts_are_texts() -> None:
    page = build_words_page(CONTENT, PhotoSource(lambda row: np.full((3, 20, 10), 9 * row, np.uint8), lambda _: {}))
    assert "<script" not in page and "<b>" not in page and "<i>" not in page and "script-src &#39;none&#39;" in page
    assert re.search(r'class="better">\+ nike<', page) and re.search(r'class="worse">− &lt;b&gt;new<', page)
    assert page.index("nike") < page.index("0.91") < page.index("0.50") < page.index("0.09")
    for text in ("Shoes / Boots &amp; co", "1.25", "1,500", "1,234 titles of shop", "2 words occur at least 10 times"):
        assert text in page, text
    assert page.count("data:image/jpeg") == 1


def test_a_title_alone() -> None:
    one = {**TITLE, "title": "nike", "id": "", "path": [], "row": -1, "words": []}
    page = build_words_page({**CONTENT, "dataset": None, "titles": [one], "means": None}, None)
    assert "The title has no words." in page and 'id="words"' not in page and "<img" not in page
    none = {**MEANS, "most": [], "least": [], "words": 0}
    assert "Too few words occur often enough." in build_words_page({**CONTENT, "means": none}, None)
