"""audit.html: the contact sheet of suspects, with the page code, style and policy of a report (`eval/page`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import prodrec
from prodrec.core.base.taxonomy import Taxonomy
from prodrec.eval.audit.duplicates import Pair
from prodrec.eval.audit.odd_photos import TEXTS
from prodrec.eval.audit.shared_classes import SharedClass
from prodrec.eval.audit.suspects import Suspect
from prodrec.eval.page.inputs import PhotoSource
from prodrec.eval.page.render import render_page
from prodrec.eval.page.thumbnails import Thumbnails

MOST_SUSPECTS, MOST_PAIRS, MOST_ODD, MOST_SHARED = 300, 60, 60, 60
"""Entries of the sheet; suspects.csv has all. With these a sheet has less than 4 MB."""
SIDE, NEAR_SIDE = 120, 48
"""Sides of the photos in pixels."""
READING = (
    (
        "Suspects are ranked by evidence from other products only: no photo, no duplicate of it and no other photo of "
        "its product has spoken for itself."
    ),
    (
        "The probability beside a proposal is that of a wrong label, and assumes that about one label in twenty is "
        "wrong; trust the order more than the number."
    ),
    (
        "Open suspects.csv, and fill in the column decision: keep, change (to the path in the line, which you "
        "may correct) or remove. An empty cell changes nothing."
    ),
    (
        "Then run prodrec prepare again with --corrections suspects.csv: it changes and removes these rows, and prints "
        "how many."
    ),
)


@dataclass(frozen=True)
class SheetContent:
    """What the sheet shows.

    sentences: the summary
    ids:       the id of every row that is shown
    titles:    the titles of the suspects
    """

    dataset: str
    sentences: Sequence[str]
    suspects: Sequence[Suspect]
    shared: Sequence[SharedClass]
    pairs: Sequence[Pair]
    odd: Mapping[int, str]
    labels: Mapping[int, int]
    ids: Mapping[int, str]
    titles: Mapping[int, str]


def shown(content: SheetContent) -> SheetContent:
    """Return the content without what has no place on the sheet."""
    across = [pair for pair in content.pairs if content.labels[pair.first] != content.labels[pair.second]]
    inside = [pair for pair in content.pairs if content.labels[pair.first] == content.labels[pair.second]]
    return replace(
        content,
        suspects=content.suspects[:MOST_SUSPECTS],
        shared=content.shared[:MOST_SHARED],
        pairs=[*across[:MOST_PAIRS], *inside[:MOST_PAIRS]],
        odd=dict(list(content.odd.items())[:MOST_ODD]),
    )


def rows_of(content: SheetContent) -> list[int]:
    """Return the rows whose ids and file names the sheet shows."""
    rows = {suspect.row for suspect in content.suspects} | set(content.odd)
    return sorted(rows | {row for pair in content.pairs for row in (pair.first, pair.second)})


def build_sheet(content: SheetContent, taxonomy: Taxonomy, source: PhotoSource | None) -> str:
    """Return the sheet as HTML.

    content: that of `shown`
    """
    photos = Thumbnails(source)
    files = {} if source is None else dict(source.file_names(rows_of(content)))

    def leaf(index: int) -> dict[str, Any]:
        path = taxonomy.path(index) if index >= 0 else ("no label",)
        return {"name": path[-1], "above": list(path[:-1])}

    def entry(row: int) -> dict[str, Any]:
        uri = photos.uri(row, SIDE)
        return {"photo": uri, "id": content.ids[row], "file": files.get(row, ""), "label": leaf(content.labels[row])}

    suspects = [
        {
            **entry(suspect.row),
            "number": number,
            "label": leaf(suspect.label),
            "proposal": leaf(suspect.proposal),
            "suspicion": suspect.suspicion,
            "reasons": suspect.reasons,
            "title": content.titles.get(suspect.row, ""),
            "photos": suspect.photos,
            "near_label": [photos.uri(row, NEAR_SIDE) for row in suspect.near_label],
            "near_proposal": [photos.uri(row, NEAR_SIDE) for row in suspect.near_proposal],
        }
        for number, suspect in enumerate(content.suspects, 1)
    ]
    pairs = [[entry(pair.first), entry(pair.second)] for pair in content.pairs]
    is_across = [content.labels[pair.first] != content.labels[pair.second] for pair in content.pairs]
    shared = [
        {"first": leaf(one.first), "second": leaf(one.second), "mixed": min(1.0, one.mixed), "alike": one.alike}
        for one in content.shared
    ]
    return render_page(
        {
            "title": f"prodrec audit: {content.dataset}",
            "version": prodrec.__version__,
            "dataset": content.dataset,
            "sentences": content.sentences,
            "suspects": suspects,
            "shared": shared,
            "across": [pair for pair, across in zip(pairs, is_across, strict=True) if across],
            "inside": [pair for pair, across in zip(pairs, is_across, strict=True) if not across],
            "odd": [{**entry(row), "text": TEXTS[kind]} for row, kind in content.odd.items()],
            "reading": READING,
            "with_photos": source is not None,
        },
        template="sheet.html",
    )
