"""Read the first rows of tables as `build` does, without decoding a photo or writing a dataset.

Rows are rejected by the functions that `build` calls. What needs all rows, such as rare leaves, is skipped unless all
rows were read.

Shapes: M rows of all tables that were read, N kept rows, L levels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.artefact import SPLITS
from prodrec.core.data.duplicates.groups import group_sizes
from prodrec.core.data.photos.partial_listing import PartialListing
from prodrec.core.data.prepare import selection
from prodrec.core.data.prepare.class_table import read_class_titles
from prodrec.core.data.prepare.options import PrepareOptions
from prodrec.core.data.prepare.preview_inputs import PhotoLookup, list_photos, read_inputs
from prodrec.core.data.prepare.preview_result import (
    AttributePreview,
    ExampleRow,
    LevelPreview,
    Preview,
    RejectPreview,
    SplitPreview,
)
from prodrec.core.data.prepare.products import find_products
from prodrec.core.data.prepare.row_labels import read_labels
from prodrec.core.data.prepare.sources import open_folders, photo_folder, read_tables, unused_images_note
from prodrec.core.data.tables.catalogue import Catalogue
from prodrec.core.data.tables.rejects import Rejects
from prodrec.core.data.titles.scripts import scripts_of, uncut_notes
from prodrec.core.data.titles.tokenizer import Tokenizer, normalise_text

if TYPE_CHECKING:
    import polars as pl

EXAMPLES = 5
EXAMPLES_OF_REJECTS = 3
CHECKED_TITLES = 10_000


@dataclass(frozen=True)
class _Sources:
    """The opened inputs.

    is_whole: whether the catalogue contains all rows
    photos:   the listed photos of a catalogue without tables
    """

    catalogue: Catalogue
    is_whole: bool
    photos: PartialListing | None = None


def build_preview(
    tables: Sequence[Path],
    source_path: Path | None,
    options: PrepareOptions,
    tokenizer: Tokenizer,
    *,
    scratch: Path,
    max_rows: int,
) -> Preview:
    """Return what `build` would understand of the first `max_rows` rows of every table. See `build` for errors.

    scratch: a directory for temporary files
    """
    sources = _open_sources(tables, source_path, options, scratch, max_rows)
    catalogue = sources.catalogue
    labels = read_labels(catalogue, options, from_folders=not tables)
    rejected, notes = labels.rejected, [*labels.notes]
    if sources.is_whole:  # the rows that were not read may have other leaves
        read_class_titles(options, labels.names[-1], level=catalogue.levels[-1])
    inputs, lookup = read_inputs(
        tables, source_path, catalogue, rejected, options, scratch, listing=sources.photos, is_whole=sources.is_whole
    )
    if inputs.kind == "photos" and inputs.source is None and source_path is not None:
        notes.append(unused_images_note(catalogue, source_path))
    is_whole = sources.is_whole and not inputs.not_reached
    if is_whole:
        leaf_M, leaves = labels.codes_ML[:, -1], labels.names[-1]
        selection.reject_rare_leaves(leaf_M, leaves, rejected, min_images=options.min_leaf_images)
    attribute_options = options if is_whole else replace(options, min_attribute_images=1)
    attributes, state_MA, dropped = selection.select_attributes(catalogue, rejected, attribute_options)
    notes += [f"the attribute {name} is omitted: only {images:,} rows have it" for name, images in dropped.items()]

    rows_N = rejected.kept_rows
    class_N, _ = selection.deepest_classes(labels.codes_ML[rows_N], labels.names)
    product_N, product_notes = find_products(catalogue, rows_N, class_N, group_by=options.columns.group_by)
    notes += product_notes
    notes += _uncut_titles(catalogue, rows_N, tokenizer)
    levels = tuple(
        LevelPreview(name, len(np.unique(code_N[code_N >= 0])), int((code_N >= 0).sum()))
        for name, code_N in zip(catalogue.levels, labels.codes_ML[rows_N].T, strict=True)
    )
    columns = catalogue.columns
    used = set(columns.to_read()) if columns else set()
    return Preview(
        tables=catalogue.descriptions,
        rows_read=catalogue.table_rows,
        photo_rows=catalogue.row_count,
        is_whole=sources.is_whole,
        columns=columns.by_role() if columns else {},
        column_summary=catalogue.column_summary,
        unused_columns=tuple(
            name for table in catalogue.descriptions[:1] for name in table.columns if name not in used
        ),
        levels=levels,
        example_paths=_frequent_paths(catalogue, rows_N),
        attributes=tuple(
            AttributePreview(a.name, len(a.states), int((state_N > 0).sum()), a.states[:EXAMPLES])
            for a, state_N in zip(attributes, state_MA[rows_N].T, strict=True)
        ),
        products={
            "count": int(product_N.max(initial=-1)) + 1,
            "with_several_photos": len(np.unique(product_N[group_sizes(product_N) > 1])),
        },
        split=_split(labels.split_M, rows_N, catalogue, options),
        inputs=inputs,
        examples=_examples(catalogue, rows_N, lookup),
        notes=tuple(notes),
        kept=len(rows_N),
        rejected=_rejects(catalogue, rejected),
        not_checked=_not_checked(options, is_whole=is_whole),
    )


def _open_sources(
    tables: Sequence[Path], source_path: Path | None, options: PrepareOptions, scratch: Path, max_rows: int
) -> _Sources:
    if not tables:
        folder = photo_folder(tables, source_path)
        listing = list_photos(folder, options, scratch)
        catalogue = open_folders(listing.source, folder, options, scratch)
        return _Sources(catalogue, listing.is_complete, listing)
    catalogue = read_tables(tables, options, scratch, max_rows=max_rows)
    rows_by_table = catalogue.frame.select("table", "table_row").unique().collect()["table"].value_counts()
    is_whole = int(rows_by_table["count"].max() or 0) < max_rows  # type: ignore[arg-type]  # a number
    return _Sources(catalogue, is_whole)


def _uncut_titles(catalogue: Catalogue, rows_N: NDArray[np.int64], tokenizer: Tokenizer) -> list[str]:
    """Return a sentence on each script whose titles are not cut into words."""
    titles = catalogue.read_rows(rows_N[:CHECKED_TITLES], "title").to_series().drop_nulls()
    counts = Counter(script for title in titles for script in scripts_of(normalise_text(title)))
    return uncut_notes(counts, len(titles), tokenizer.scripts)


def _frequent_paths(catalogue: Catalogue, rows_N: NDArray[np.int64]) -> tuple[tuple[str, ...], ...]:
    """Return the most frequent category paths, and the first of them by name if several are equally frequent."""
    import polars as pl

    columns = [f"level_{i}" for i in range(len(catalogue.levels))]
    paths = catalogue.frame.select(columns).collect()[rows_N].group_by(columns).agg(pl.len().alias("rows"))
    paths = paths.sort("rows", *columns, descending=[True, *(False for _ in columns)], nulls_last=True)
    return tuple(_path(row) for row in paths.select(columns).head(EXAMPLES).iter_rows())


def _path(names: Sequence[str | None]) -> tuple[str, ...]:
    return tuple(name for name in names if name is not None)


def _split(
    split_M: NDArray[np.uint8] | None, rows_N: NDArray[np.int64], catalogue: Catalogue, options: PrepareOptions
) -> SplitPreview:
    if split_M is None:
        return SplitPreview("ratios", options.split)
    counts = np.bincount(split_M[rows_N], minlength=len(SPLITS)).tolist()
    columns = catalogue.columns
    source: Literal["folders", "column", "tables"]
    source = "folders" if columns is None else "column" if columns.split else "tables"
    return SplitPreview(source, rows=dict(zip(SPLITS, counts, strict=True)))


def _examples(catalogue: Catalogue, rows_N: NDArray[np.int64], lookup: PhotoLookup | None) -> tuple[ExampleRow, ...]:
    """Return some kept rows, spread over all of them."""
    chosen = np.unique(np.linspace(0, len(rows_N) - 1, min(EXAMPLES, len(rows_N))).astype(np.int64))
    rows = rows_N[chosen]
    levels = [f"level_{i}" for i in range(len(catalogue.levels))]
    frame = catalogue.read_rows(rows, "table", "table_row", "id", "title", "image", *levels)
    return tuple(
        ExampleRow(
            catalogue.tables[table],
            table_row,
            id_,
            title,
            _path(names),
            image,
            None if lookup is None or lookup.is_unknown_M[row] else bool(lookup.is_found_M[row]),
        )
        for row, (table, table_row, id_, title, image, *names) in zip(rows.tolist(), frame.iter_rows(), strict=True)
    )


def _rejects(catalogue: Catalogue, rejected: Rejects) -> tuple[RejectPreview, ...]:
    """Return the rejected rows by reason, the most frequent first, with the first rows of different details."""
    previews = []
    for reason, count in rejected.counts().items():
        rows = np.flatnonzero(rejected.reason_M == rejected.reasons.index(reason))
        _, first = np.unique(rejected.detail_M[rows], return_index=True)
        shown = rows[np.sort(first)[:EXAMPLES_OF_REJECTS]]
        frame = catalogue.read_rows(shown, "table_row", "image", "id")
        details = rejected.details.gather(rejected.detail_M[shown])
        previews.append(RejectPreview(reason, count, tuple(_reject_texts(frame, details))))
    return tuple(previews)


def _reject_texts(frame: pl.DataFrame, details: pl.Series) -> list[str]:
    """Return a text for every row: its number, its photo or id, and the detail."""
    texts = []
    for (row, image, id_), detail in zip(frame.iter_rows(), details, strict=True):
        names = dict.fromkeys((f"row {row}", image or id_))  # the id of a row without one is `row 5`
        texts.append(", ".join(names) + (f": {detail}" if detail else ""))
    return texts


def _not_checked(options: PrepareOptions, *, is_whole: bool) -> tuple[str, ...]:
    """Return what only `prepare` finds."""
    checks = {
        "photos": "photos are not decoded: broken ones, duplicates and conflicting labels are found by prepare",
        "features": "vectors are not read: numbers that are not finite, and duplicates, are found by prepare",
        "nothing": "",
    }
    sentences = [checks[options.inputs]]
    if options.min_leaf_images > 1 and not is_whole:
        sentences.append("--min-leaf-images needs all rows")
    if options.min_attribute_images > 1 and not is_whole:
        sentences.append("--min-attribute-images needs all rows")
    if options.class_table is not None and not is_whole:
        sentences.append("--class-table needs the leaves of all rows")
    if options.drop_wordless:
        sentences.append("--drop-wordless needs the words of all titles")
    return tuple(filter(None, sentences))
