"""Write what an audit found: suspects.csv and audit.html.

Shapes: N rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from prodrec.core.base.outputs import new_file
from prodrec.core.base.taxonomy import PATH_SEPARATOR
from prodrec.eval.audit.odd_photos import TEXTS
from prodrec.eval.audit.sheet import SheetContent, build_sheet, rows_of, shown
from prodrec.eval.audit.table import Line, write_table

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

    from prodrec.core.data.dataset import Dataset
    from prodrec.pipeline.audit_findings import Findings


def write_outputs(
    data: Dataset,
    labels_N: NDArray[np.int64],
    found: Findings,
    sentences: Sequence[str],
    *,
    csv: Path,
    html: Path,
    force: bool,
) -> None:
    """Write both files. Raise OutputExists if one exists and `force` is not set."""
    from prodrec.eval.page.inputs import PhotoSource

    products = data.products().select("row", "id", "image", "title")
    with new_file(csv, kind="audit", force=force) as partial:
        write_table(partial, _lines(data, labels_N, found, products), data.taxonomy.levels)
    content = shown(
        SheetContent(
            dataset=str(data.path),
            sentences=sentences,
            suspects=found.suspects,
            shared=found.shared,
            pairs=found.pairs,
            odd=found.odd,
            labels=dict(enumerate(labels_N.tolist())),
            ids={},
            titles={},
        )
    )
    texts = products[rows_of(content)]
    content = replace(
        content,
        ids=dict(zip(texts["row"], texts["id"], strict=True)),
        titles=dict(zip(texts["row"], texts["title"].fill_null(""), strict=True)),
    )
    source = None if data.photos is None else PhotoSource(data.photos.decode, data.photo_files)
    with new_file(html, kind="audit", force=force) as partial:
        partial.write_text(build_sheet(content, data.taxonomy, source), "utf-8")


def _lines(data: Dataset, labels_N: NDArray[np.int64], found: Findings, products: pl.DataFrame) -> Iterator[Line]:
    """Yield the suspects, then the odd photos, then the nearly equal photos under different classes.

    A product that has a line already gets no other: two decisions could contradict each other.
    """
    photos_P = np.bincount(np.asarray(data.product_N))
    listed: set[str] = set()

    def line(
        row: int, path: tuple[str, ...], why: str, suspicion: float | None, reasons: Sequence[str]
    ) -> Iterator[Line]:
        product = products.row(row, named=True)
        if product["id"] in listed:
            return
        listed.add(product["id"])
        one_of_several = photos_P[data.product_N[row]] > 1
        image = (product["image"] or "") if one_of_several and why != "label" else ""
        own = data.taxonomy.known_path(data.labels_NL[row])
        yield Line(product["id"], image, product["title"] or "", path, why, own, suspicion, tuple(reasons))

    for suspect in found.suspects:
        path = _own_names(data, data.taxonomy.path(suspect.proposal))
        yield from line(suspect.row, path, "label", suspect.suspicion, suspect.reasons)
    for row, kind in found.odd.items():
        yield from line(row, (), kind, None, (TEXTS[kind],))
    for pair in found.pairs:
        if labels_N[pair.first] != labels_N[pair.second]:
            other = products.row(pair.first, named=True)["id"]
            yield from line(pair.second, (), "duplicate", None, (f"the photo is nearly that of {other}",))


def _own_names(data: Dataset, path: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names as a table has them: with --path-identity, a class has the name of its whole path."""
    if not data.header["options"].get("path_identity"):
        return path
    names = [path[0], *(name.removeprefix(above + PATH_SEPARATOR) for above, name in pairwise(path))]
    return tuple(_undoubled(name) for name in names)


def _undoubled(name: str) -> str:
    """Return a name as the table has it: the path of a class doubles the slashes of names (`selection.py`)."""
    return name.replace("//", "/") if re.search(r"(?:^|\s)/+(?:\s|$)", name) else name
