"""Apply a table of corrections to a catalogue: products get another category path, or are removed.

`core/base/corrections.py` has the columns. Rows are matched by their id, and where the table names a photo too, by
both: one photo of a product can be removed alone. What is not decided changes nothing.

Shapes: M rows of the catalogue, R rows that are removed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.corrections import CHANGE, DECISION, DECISIONS, ID, IMAGE, KEEP, REMOVE
from prodrec.core.base.errors import BadTable
from prodrec.core.base.wording import counted, listed
from prodrec.core.data.tables.catalogue import Catalogue
from prodrec.core.data.tables.catalogue_files import CatalogueFiles
from prodrec.core.data.tables.lines import read_lines
from prodrec.core.data.tables.records import ROW_COLUMN

if TYPE_CHECKING:
    import polars as pl

FOLDER = "corrected"
"""The folder for the corrected catalogue in the scratch directory."""
FLAG = "--corrections"


@dataclass(frozen=True, eq=False)
class AppliedCorrections:
    """What a table of corrections did.

    file:      its name
    removed_R: the rows of the catalogue that it removes, ascending
    counts:    rows of the catalogue that were changed, confirmed (already in the class that they are changed to),
               kept and removed; lines of the table that are undecided, and whose product is not in the catalogue
    """

    file: str
    removed_R: NDArray[np.int64]
    counts: dict[str, int]

    def note(self) -> str:
        """Return a sentence that accounts for every line."""
        rows = {"changed": "changed", "removed": "removed", "kept": "kept", "confirmed": "as they were"}
        done = [f"{self.counts[key]:,} {text}" for key, text in rows.items() if self.counts[key]]
        undecided, unknown = self.counts["undecided"], self.counts["unknown"]
        open_lines = f"; {counted(undecided, 'line is', 'lines are')} undecided" if undecided else ""
        strangers = f"; {counted(unknown, 'line names', 'lines name')} no product of the tables" if unknown else ""
        return f"{self.file}: rows {', '.join(done) or 'without a change'}{open_lines}{strangers}"


def apply_corrections(catalogue: Catalogue, path: Path, scratch: Path) -> Catalogue:
    """Return the catalogue with the corrections of the table `path`, which `Catalogue.corrections` accounts for.

    Raise NotFound or BadTable if the table cannot be read, lacks a column, or contradicts itself.
    """
    import polars as pl

    table = _read(path, catalogue.levels)
    levels = [f"level_{i}" for i in range(len(catalogue.levels))]
    # a line for one photo wins over a line for its product
    by_photo = table.filter(pl.col(IMAGE).is_not_null())
    by_product = table.filter(pl.col(IMAGE).is_null()).drop(IMAGE)
    decided, new = f"{DECISION}_found", [f"new_{level}" for level in levels]
    frame = catalogue.frame.join(
        by_photo.lazy(), left_on=["id", "image"], right_on=[ID, IMAGE], how="left", maintain_order="left"
    )
    frame = frame.rename({DECISION: "photo_decision", **{name: f"photo_{name}" for name in new}})
    frame = frame.join(by_product.lazy(), left_on="id", right_on=ID, how="left", maintain_order="left")
    has_photo_line = pl.col("photo_decision").is_not_null()
    frame = frame.with_columns(
        pl.when(has_photo_line).then(pl.col("photo_decision")).otherwise(pl.col(DECISION)).alias(decided),
        *(pl.when(has_photo_line).then(pl.col(f"photo_{name}")).otherwise(pl.col(name)).alias(name) for name in new),
    )
    is_changed = (pl.col(decided) == CHANGE).fill_null(value=False)
    is_same = pl.all_horizontal(pl.col(level).eq_missing(pl.col(name)) for level, name in zip(levels, new, strict=True))
    found = frame.select(decided, is_same=is_same).collect()
    decision_M, is_same_M = found[decided], found["is_same"]
    is_changed_M = (decision_M == CHANGE).fill_null(value=False)
    removed_R = (decision_M == REMOVE).fill_null(value=False).arg_true().to_numpy().astype(np.int64)
    ids = catalogue.frame.select("id", "image").unique().collect()
    unknown = by_photo.join(ids, left_on=[ID, IMAGE], right_on=["id", "image"], how="anti").height
    unknown += by_product.join(ids, left_on=ID, right_on="id", how="anti").height
    counts = {
        "changed": int((is_changed_M & ~is_same_M).sum()),
        "confirmed": int((is_changed_M & is_same_M).sum()),
        "kept": int((decision_M == KEEP).fill_null(value=False).sum()),
        "removed": len(removed_R),
        "undecided": int(table[DECISION].eq("").sum()),
        "unknown": unknown,
    }
    corrected = frame.with_columns(
        pl.when(is_changed).then(pl.col(name)).otherwise(pl.col(level)).alias(level)
        for level, name in zip(levels, new, strict=True)
    ).select(catalogue.frame.collect_schema().names())
    (scratch / FOLDER).mkdir()
    applied = AppliedCorrections(path.name, removed_R, counts)
    stored = CatalogueFiles(scratch / FOLDER).store(corrected)
    return dataclasses.replace(catalogue, frame=stored, notes=(*catalogue.notes, applied.note()), corrections=applied)


def _read(path: Path, levels: Sequence[str]) -> pl.DataFrame:
    """Return the lines with the columns id, image (null for all photos), decision and new_level_0 …, checked."""
    import polars as pl

    read = read_lines(path, FLAG, (ID, *levels), optional=(IMAGE, DECISION))
    lines = read.select(
        ROW_COLUMN,
        ID,
        pl.col(IMAGE) if IMAGE in read.columns else pl.lit(None, pl.String).alias(IMAGE),
        pl.col(DECISION).str.to_lowercase().fill_null("")
        if DECISION in read.columns
        else pl.lit(CHANGE).alias(DECISION),
        *(pl.col(name).alias(f"new_level_{i}") for i, name in enumerate(levels)),
    )
    lines = lines.filter(~pl.all_horizontal(pl.col(ID, "new_level_0").is_null()))
    _check(lines, path)
    return lines.drop(ROW_COLUMN).unique(maintain_order=True)


def _check(lines: pl.DataFrame, path: Path) -> None:
    """Raise BadTable for an unknown decision, a line without id, a change to no class, and for contradictions."""
    import polars as pl

    def first(wrong: pl.Expr) -> tuple[int, pl.DataFrame] | None:
        found = lines.filter(wrong)
        return (int(found[ROW_COLUMN][0]), found) if found.height else None

    if wrong := first(~pl.col(DECISION).is_in(["", *DECISIONS])):
        raise BadTable(
            f"{path}, row {wrong[0]}, has the {DECISION} {wrong[1][DECISION][0]!r}; expected "
            f"{', '.join(DECISIONS)}, or an empty cell for what is not decided."
        )
    if wrong := first((pl.col(DECISION) != "") & pl.col(ID).is_null()):
        raise BadTable(f"{path}, row {wrong[0]}, has a {DECISION} and no {ID}; expected the id of a product.")
    if wrong := first((pl.col(DECISION) == CHANGE) & pl.col("new_level_0").is_null()):
        raise BadTable(
            f"{path}, row {wrong[0]}, changes {wrong[1][ID][0]} to no class; fill in its category path, or "
            f"write {REMOVE}."
        )
    decided = lines.filter(pl.col(DECISION) != "").drop(ROW_COLUMN).unique()
    twice = decided.filter(pl.struct(ID, IMAGE).is_duplicated())[ID].unique(maintain_order=True).to_list()
    if twice:
        raise BadTable(f"{path} decides {listed(twice)} in two ways; leave one line for each product or photo.")
