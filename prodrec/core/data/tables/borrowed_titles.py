"""A table of borrowed titles, which `borrow-titles` writes and `prepare --borrowed-titles` gives to photos without one.

    id image          the photo that takes the title; the image is empty where photos have no names
    title             the title
    similarity        cosine of the two photos' vectors
    lender            id of the product whose title it is

Rows are matched by id and image. A row that has a title keeps it. The lender and the similarity are kept in
products.parquet, so that a borrowed title is never lent again.

Shapes: M rows of the catalogue, N kept rows.
"""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.csv_cells import harmless
from prodrec.core.base.errors import BadTable
from prodrec.core.base.wording import counted, listed
from prodrec.core.data.tables.catalogue import Catalogue
from prodrec.core.data.tables.catalogue_files import CatalogueFiles
from prodrec.core.data.tables.lines import read_lines
from prodrec.core.data.tables.records import ROW_COLUMN

if TYPE_CHECKING:
    import polars as pl

COLUMNS = ("id", "image", "title", "similarity", "lender")
LENDER_COLUMN, SIMILARITY_COLUMN = "title_lender", "title_similarity"
"""Columns of the catalogue and of products.parquet; null for a title of one's own."""
FLAG = "--borrowed-titles"
FOLDER = "with-borrowed-titles"
"""The folder for the new catalogue in the scratch directory."""


@dataclass(frozen=True)
class BorrowedTitle:
    """One line of the table. The image is empty where photos have no names."""

    id: str
    image: str
    title: str
    similarity: float
    lender: str


@dataclass(frozen=True)
class AppliedTitles:
    """What a table of borrowed titles did.

    path:   the table
    counts: rows that took a title (borrowed); lines whose photo has a title already (own), and is not in the catalogue
            (unknown)
    """

    path: Path
    counts: dict[str, int]

    def note(self) -> str:
        """Return a sentence that accounts for every line."""
        own, unknown = self.counts["own"], self.counts["unknown"]
        has_own = f"; {counted(own, 'line is', 'lines are')} for photos with a title of their own" if own else ""
        strangers = f"; {counted(unknown, 'line names', 'lines name')} no photo of the tables" if unknown else ""
        rows = counted(self.counts["borrowed"], "row takes the title", "rows take the titles")
        return f"{self.path.name}: {rows} of other photos{has_own}{strangers}"


def write_borrowed_titles(path: Path, lines: Iterable[BorrowedTitle]) -> None:
    """Write the table; no text of it runs as a formula in a spreadsheet."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for line in lines:
            texts = map(harmless, (line.id, line.image, line.title))
            writer.writerow([*texts, f"{line.similarity:.4f}", harmless(line.lender)])


def apply_borrowed_titles(catalogue: Catalogue, path: Path, scratch: Path) -> Catalogue:
    """Return the catalogue with the titles of the table `path`, which `Catalogue.borrowed_titles` accounts for.

    Raise NotFound or BadTable if the table cannot be read, lacks a column or a value, or contradicts itself.
    """
    import polars as pl

    lines = _read(path)
    keys = ["id", "image"]
    own = catalogue.frame.select(*keys, has_title=pl.col("title").is_not_null()).unique().collect()
    found = lines.join(own, on=keys, how="inner", nulls_equal=True)
    taken = found.filter(~pl.col("has_title")).select(*keys).unique()
    frame = catalogue.frame.join(lines.lazy(), on=keys, how="left", nulls_equal=True, maintain_order="left")
    takes = pl.col("title").is_null() & pl.col("borrowed_title").is_not_null()
    frame = frame.with_columns(
        pl.coalesce("title", "borrowed_title").alias("title"),
        pl.when(takes).then(pl.col("lender")).alias(LENDER_COLUMN),
        pl.when(takes).then(pl.col("similarity")).alias(SIMILARITY_COLUMN),
    ).drop("borrowed_title", "lender", "similarity")
    (scratch / FOLDER).mkdir()
    stored = CatalogueFiles(scratch / FOLDER).store(frame)
    known = found.select(*keys).unique().height
    applied = AppliedTitles(
        path,
        {
            "borrowed": int(stored.select(pl.col(LENDER_COLUMN).is_not_null().sum()).collect().item()),
            "own": known - taken.height,
            "unknown": lines.height - known,
        },
    )
    notes = (*catalogue.notes, applied.note())
    return dataclasses.replace(catalogue, frame=stored, notes=notes, borrowed_titles=applied)


def refuse_held_out_lenders(catalogue: Catalogue, rows_N: NDArray[np.int64], is_held_out_N: NDArray[np.bool_]) -> None:
    """Raise BadTable if a validation or test product lends its title, as with another split than that of the lenders.

    is_held_out_N: whether each of `rows_N` is in the validation or test split
    """
    if catalogue.borrowed_titles is None:
        return
    held_out = catalogue.read_column("id").gather(rows_N[is_held_out_N])
    lenders = catalogue.read_column(LENDER_COLUMN).gather(rows_N).drop_nulls().unique(maintain_order=True)
    wrong = lenders.filter(lenders.is_in(held_out.implode())).to_list()
    if wrong:
        products = counted(len(wrong), "product that is", "products that are")
        raise BadTable(
            f"{catalogue.borrowed_titles.path} lends titles of {products} in the validation or test split "
            f"({listed(wrong)}); give the --split and --seed of the dataset for which `prodrec borrow-titles` ran, or "
            "run it again."
        )


def _read(path: Path) -> pl.DataFrame:
    """Return the lines as id, image (or null), borrowed_title, similarity and lender, checked."""
    import polars as pl

    lines = read_lines(path, FLAG, COLUMNS)
    for name in ("id", "title", "similarity", "lender"):
        missing = lines.filter(pl.col(name).is_null())
        if missing.height:
            raise BadTable(
                f"{path}, row {missing[ROW_COLUMN][0]}, has no {name}; expected a table of `prodrec borrow-titles`."
            )
    lines = lines.with_columns(pl.col("similarity").cast(pl.Float32, strict=False).alias("cosine"))
    wrong = lines.filter(~pl.col("cosine").is_between(-1, 1).fill_null(value=False))
    if wrong.height:
        raise BadTable(
            f"{path}, row {wrong[ROW_COLUMN][0]}, has the similarity {wrong['similarity'][0]!r}; expected a number "
            "between -1 and 1."
        )
    twice = lines.group_by("id", "image", maintain_order=True).agg(ROW_COLUMN).filter(pl.col(ROW_COLUMN).list.len() > 1)
    if twice.height:
        first, second, *_ = twice[ROW_COLUMN][0]
        raise BadTable(
            f"{path}, rows {first} and {second}, are both about {twice['image'][0] or twice['id'][0]}; leave one line "
            "for each photo."
        )
    return lines.select(
        "id", "image", pl.col("title").alias("borrowed_title"), pl.col("cosine").alias("similarity"), "lender"
    )
