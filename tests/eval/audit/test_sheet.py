from __future__ import annotations

import numpy as np

from prodrec.eval.audit import sheet
from prodrec.eval.audit.duplicates import Pair
from prodrec.eval.audit.shared_classes import SharedClass
from prodrec.eval.audit.sheet import SheetContent, build_sheet, rows_of, shown
from prodrec.eval.audit.suspects import Suspect
from prodrec.eval.page.inputs import PhotoSource

from .conftest import Drawn

CONTENT = SheetContent(
    dataset="shop",
    sentences=["10 rows examined."],
    suspects=[Suspect(1, 2, 0, 3, 0.97, ("<b>reason</b>",), (2,), (3,))] * 400,
    shared=[SharedClass(0, 1, 0.75, True)],
    pairs=[Pair(4, 5, 0.99), Pair(6, 7, 0.98)],
    odd={8: "dark"},
    labels={row: [0, 0, 0, 0, 1, 2, 3, 3, 4][row] for row in range(9)},
    ids={row: f"p{row}" for row in range(9)},
    titles={1: "<script>alert(1)</script>"},
)


def test_the_sheet_shows_everything_once_and_runs_nothing(clouds: Drawn) -> None:
    content = shown(CONTENT)
    assert len(content.suspects) == sheet.MOST_SUSPECTS and rows_of(content) == [1, 4, 5, 6, 7, 8]
    photos = PhotoSource(lambda row: np.full((3, 20, 10), 25 * row, np.uint8), lambda rows: {1: "one.jpg"})
    page = build_sheet(content, clouds.taxonomy, photos)
    assert "<script" not in page and "&lt;b&gt;reason&lt;/b&gt;" in page and "script-src &#39;none&#39;" in page
    for text in ("10 rows examined.", "one.jpg", "97 %", "leaf 3", "p4", "Under different classes", "Under one class"):
        assert text in page, text
    assert page.count("data:image/jpeg") > 300 and ">75<" in page and "the photo is very dark" in page


def test_a_sheet_without_findings_and_photos(clouds: Drawn) -> None:
    content = SheetContent("shop", ["Nothing."], [], [], [], {}, {}, {}, {})
    page = build_sheet(content, clouds.taxonomy, None)
    assert "No label is suspicious." in page and 'id="odd"' not in page and "<img" not in page
