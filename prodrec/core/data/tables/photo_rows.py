"""The rows of a table with the photos and the product that each names, without categories: to recognise, not to train.

Shapes: R photos of rows; a row that names several photos counts once for each, and one that names none counts once.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prodrec.core.base.errors import BadTable
from prodrec.core.data.tables.columnar_table import ColumnarTable
from prodrec.core.data.tables.columns import CategoryColumns, ColumnNames, TableColumns, resolve_columns
from prodrec.core.data.tables.header import Header
from prodrec.core.data.tables.image_columns import columns_of_photo_names
from prodrec.core.data.tables.open_table import open_table
from prodrec.core.data.tables.product_columns import find_products
from prodrec.core.data.tables.records import ROW_COLUMN, Table, refuse_damaged
from prodrec.core.data.tables.roles import select_roles
from prodrec.core.data.tables.table_sample import sample_unique_columns, take_sample

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, eq=False)
class PhotoRows:
    """R photos that the rows of a table name, in the order of the table.

    columns: the columns of the table; those with a repeated name are omitted
    cells:   the texts of every row of the table
    photos:  for each of the R photos: `position` in `cells`, `row` as a user sees it, `product`, `image`, and why the
             row is malformed, `problem`. A row without a product is a product of its own.
    """

    table: Path
    columns: tuple[str, ...]
    cells: pl.DataFrame
    photos: pl.DataFrame

    def cells_of(self, position: int) -> dict[str, str]:
        """Return the texts of a row of the table by column; an empty text for a value that is missing."""
        return dict(zip(self.columns, (text or "" for text in self.cells.row(position)), strict=False))


def read_photo_rows(path: Path, requested: ColumnNames) -> PhotoRows:
    """Read a table; the columns of photos and products are those requested, or are detected by name as in `prepare`.

    Raise NotFound or BadTable if the table cannot be used, and BadTable if it contains the photos themselves.
    """
    import polars as pl

    table = open_table(path)
    header = Header(table.header, table.path)
    columns = _find_columns(table, header, requested)
    names = [name for name in header.names if header.names.count(name) == 1]
    chunks, photos, first = [], [], 0
    with refuse_damaged(path):
        for chunk in table.chunks(list(dict.fromkeys([*names, *columns.to_read()]))):
            rows = chunk.collect()
            roles = select_roles(rows.lazy(), columns, 0, ("",)).collect()
            positions = rows.select(pl.col(ROW_COLUMN).cast(pl.Int64).alias("table_row")).with_row_index(
                "position", first
            )
            photos.append(roles.join(positions, on="table_row", how="left", maintain_order="left"))
            chunks.append(rows.select(names))
            first += rows.height
    named = pl.concat(photos)
    product = pl.coalesce("product", "id", pl.concat_str(pl.lit("\0row "), pl.col("table_row").cast(pl.String)))
    named = named.select("position", pl.col("table_row").alias("row"), product.alias("product"), "image", "problem")
    return PhotoRows(path, tuple(names), pl.concat(chunks), named)


def _find_columns(table: Table, header: Header, requested: ColumnNames) -> TableColumns:
    photo_columns: Any = table.photo_columns if isinstance(table, ColumnarTable) else ()
    if photo_columns and requested.image in (None, *photo_columns):
        raise BadTable(
            f"{table.path} contains the photos themselves in the column {photo_columns[0]}, and expected are names of "
            "photo files; name another column with --image, or write the photos to files."
        )
    if requested.image is None:
        photo_columns = columns_of_photo_names(sample_unique_columns(table, header), header)
    products = find_products(take_sample(table, header, requested), header, requested)
    return resolve_columns(header, requested, CategoryColumns(()), products, photo_columns=photo_columns)
