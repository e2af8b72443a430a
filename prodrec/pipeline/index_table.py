"""Read the products of tables for an index, as `prepare` reads them, but without the need for categories."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from prodrec.core.base import console
from prodrec.core.base.config import split_list
from prodrec.core.base.taxonomy import PATH_SEPARATOR
from prodrec.core.data.tables.columns import ColumnNames
from prodrec.pipeline.index_classes import tree_paths

if TYPE_CHECKING:
    from prodrec.core.base.taxonomy import Taxonomy
    from prodrec.core.data.tables.catalogue import Catalogue
    from prodrec.core.data.tables.rejects import Rejects
    from prodrec.index.photos import GivenProduct

SINGLE, LISTS = ("image", "id", "title", "path", "separator"), ("levels", "attributes", "further_images")
"""Fields of ColumnNames that matter here."""


@dataclass(frozen=True, eq=False)
class TableProducts:
    """The products of tables.

    products: those with a photo that exists
    named:    ids of all products that the tables name, also of those that cannot be used
    """

    catalogue: Catalogue
    rejected: Rejects
    products: list[GivenProduct]
    named: frozenset[str]


def choose_columns(
    recorded: Mapping[str, Any], given: Mapping[str, str | None], table_columns: Collection[str]
) -> ColumnNames:
    """Return the columns of a table: `given` ones, those of the dataset that the table has, and none of the others.

    recorded: columns with which the dataset of the index was prepared
    given:    names by role, those of LISTS joined by commas; None is not given
    """
    values: dict[str, Any] = {}
    has_path = recorded.get("path") in table_columns
    for name in SINGLE:
        is_column = recorded.get(name) in table_columns or (name == "separator" and has_path)
        if recorded.get(name) is not None and is_column:
            values[name] = recorded[name]
    for name in LISTS:
        present = tuple(column for column in recorded.get(name, ()) if column in table_columns)
        values[name] = present
        if name == "levels" and (has_path or len(present) < len(recorded.get(name, ()))):
            values[name] = tuple(recorded["levels"]) if has_path else ()
    for name, value in given.items():
        if value is not None:
            values[name] = tuple(split_list(value)) if name in LISTS else value
    return ColumnNames(**values)


def read_products(
    tables: Sequence[Path],
    images: Path | None,
    *,
    options: Mapping[str, Any],
    given: Mapping[str, str | None],
    taxonomy: Taxonomy,
    scratch: Path,
) -> TableProducts:
    """Read tables, and find the photos that they name.

    options:  of `prepare`, as the index records them
    given:    names of columns by role, in place of theirs
    taxonomy: classes of the run; paths are those of its tree
    scratch:  a directory for files that are needed while the result is used

    Raise NotFound, BadTable or BadOption if a table or the photos cannot be used.
    """
    from prodrec.core.data.photos.blobs import photos_from_blobs
    from prodrec.core.data.photos.decoding import find_photos
    from prodrec.core.data.photos.sources import open_photos
    from prodrec.core.data.prepare import selection
    from prodrec.core.data.prepare.options import PrepareOptions
    from prodrec.core.data.prepare.sources import photo_folder, photos_in_tables, unused_images_note
    from prodrec.core.data.tables.catalogue import read_catalogue
    from prodrec.core.data.tables.open_table import open_table
    from prodrec.core.data.tables.rejects import Rejects

    encoding = options.get("encoding")
    header = open_table(tables[0], encoding).header
    catalogue = read_catalogue(
        tables,
        choose_columns(options.get("columns", {}), given, header),
        scratch=scratch,
        encoding=encoding,
        missing_values=options.get("missing_values", ()),
        needs_categories=False,
    )
    console.info(f"{catalogue.table_rows:,} rows · {catalogue.column_summary}")
    rejected = Rejects.for_rows(catalogue.row_count)
    selection.reject_malformed_rows(catalogue, rejected, from_folders=False)
    if photos_in_tables(catalogue, PrepareOptions()) is not None:
        if images is not None:
            console.warn(unused_images_note(catalogue, images))
        inside = (photo for table, column in catalogue.photo_tables for photo in table.photos(column))
        source = photos_from_blobs(inside, scratch / "photos", path=catalogue.photo_tables[0][0].path)
    else:
        source = open_photos(photo_folder(tables, images), unpack_into=scratch)
    found = find_photos(source, catalogue.read_column("image"), rejected)
    locations = list(source.locations(found.source_W))
    products = _products(
        catalogue, found.rows_W, locations, taxonomy, is_path_identity=bool(options.get("path_identity"))
    )
    return TableProducts(catalogue, rejected, products, frozenset(catalogue.read_column("id").drop_nulls().to_list()))


def _products(
    catalogue: Catalogue,
    rows_W: np.ndarray[Any, Any],
    locations: list[Any],
    taxonomy: Taxonomy,
    *,
    is_path_identity: bool,
) -> list[GivenProduct]:
    """Return the products of rows, each with the photos of all its rows, in order of their first rows."""
    from prodrec.index.photos import GivenProduct

    levels = [f"level_{i}" for i in range(len(catalogue.levels))]
    attributes = [f"attribute_{i}" for i in range(len(catalogue.attributes))]
    frame = catalogue.read_rows(rows_W, "id", "title", *levels, *attributes)
    paths = [_path(row, is_path_identity) for row in frame.select(levels).iter_rows()] if levels else [()] * len(frame)
    in_tree = tree_paths(set(paths), taxonomy)
    products: dict[str, GivenProduct] = {}
    for row, number, location, path in zip(frame.iter_rows(named=True), rows_W.tolist(), locations, paths, strict=True):
        states = zip(catalogue.attributes, (row[name] for name in attributes), strict=True)
        one = GivenProduct(
            sku=row["id"],
            title=row["title"] or "",
            path=in_tree[path],
            attributes=tuple((name, state) for name, state in states if state is not None),
            photos=(location,),
            rows=(number,),
        )
        first = products.get(one.sku)
        products[one.sku] = one if first is None else _with_photo(first, one)
    return list(products.values())


def _with_photo(first: GivenProduct, other: GivenProduct) -> GivenProduct:
    """Return a product with one more photo, and what only the row of this photo gives."""
    return replace(
        first,
        title=first.title or other.title,
        path=first.path or other.path,
        attributes=first.attributes or other.attributes,
        photos=(*first.photos, *other.photos),
        rows=(*first.rows, *other.rows),
    )


def _path(names: tuple[str | None, ...], is_path_identity: bool) -> tuple[str, ...]:
    """Return the names down to the first level that is empty; with path identity, each is the whole path to it."""
    path: list[str] = []
    for name in names:
        if name is None:
            break
        path.append(name)
    if not is_path_identity:
        return tuple(path)
    return tuple(PATH_SEPARATOR.join(path[: depth + 1]) for depth in range(len(path)))
